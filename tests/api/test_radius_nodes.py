"""RADIUS nodes over the API: how far each is, and one that is gone for good is forgotten by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from aaa.pools import nodes
from aaa.pools.nodes import MISSED_AFTER
from core.clock import utc_now
from core.database import Database
from core.models.system import Role

ClientFor = Callable[[Role], TestClient]
PATH = "/api/v1/radius-nodes"


@pytest.fixture(autouse=True)
def joined(database: Database) -> None:
    """One that is heard of, and one that is not."""
    with database.transaction() as session:
        nodes.join(session, "node-1", utc_now())
        nodes.join(session, "node-2", utc_now() - MISSED_AFTER - timedelta(seconds=1))


def test_nodes_are_listed(client: TestClient) -> None:
    found = client.get(PATH).json()["items"]
    assert [(one["name"], one["revision"], one["stored_until"], one["forgotten_at"]) for one in found] == [
        ("node-1", 0, None, None), ("node-2", 0, None, None),
    ]  # fmt: skip


def test_one_that_is_silent_is_forgotten_and_one_that_is_alive_is_not(client: TestClient) -> None:
    refused = client.delete(f"{PATH}/node-1")
    assert (refused.status_code, refused.json()["field"]) == (409, "name")
    assert client.delete(f"{PATH}/node-2").status_code == 204
    assert client.delete(f"{PATH}/node-2").status_code == 404
    assert client.delete(f"{PATH}/node-3").status_code == 404
    assert [one["forgotten_at"] is not None for one in client.get(PATH).json()["items"]] == [False, True]


def test_who_may(client_for: ClientFor) -> None:
    readers = {role for role in Role if client_for(role).get(PATH).status_code == 200}
    forgetters = {role for role in Role if client_for(role).delete(f"{PATH}/nobody").status_code == 404}
    assert readers >= forgetters | {Role.READONLY}
    assert forgetters == {Role.ADMIN, Role.OPERATOR, Role.NOC}
