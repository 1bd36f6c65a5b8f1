"""Drift accepted into an intent over REST: shown first, then kept, and audited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from managed_box import API, ManagedBox, managed_box
from routeros_boxes import do, rows
from sqlalchemy import select

from core.database import Database
from core.keyring import Keyring
from core.models.system import AuditEntry
from provisioning.simulators.routeros import Version

INTENT: dict[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
}
WIDER = "100.64.0.2-100.64.7.254"


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def managed(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[ManagedBox]:  # fmt: skip
    with managed_box(client, database, keyring, request.param) as one:
        assert one.applied(INTENT)["state"] == "done"
        do(one.box.router, "/ip/pool/set", numbers="homes", ranges=WIDER)
        do(one.box.router, "/radius/set", numbers="0", secret="h1s0wn")
        yield one


def test_it_is_shown_first_then_kept_and_the_rest_is_left(managed: ManagedBox) -> None:
    job = managed.planned(INTENT)
    assert len(job["commands"]) == 2
    shown = managed.post(managed.of_nas("/intent/accept"), {"job_id": job["id"]})
    assert (shown["kept"], len(shown["taken"]), len(shown["rest"])) == (False, 1, 1)
    assert managed.get(managed.of_nas("/intent"))["body"]["pools"][0]["ranges"] == INTENT["pools"][0]["ranges"]
    kept = managed.post(managed.of_nas("/intent/accept"), {"job_id": job["id"], "confirm": True})
    assert kept["taken"] == shown["taken"]
    assert managed.get(f"/provisioning/jobs/{job['id']}")["state"] == "cancelled"
    intent = managed.get(managed.of_nas("/intent"))["body"]
    assert intent["pools"][0]["ranges"] == WIDER
    again = managed.planned(intent)
    assert again["commands"] == shown["rest"]
    assert rows(managed.box.router, "/ip/pool")[0]["ranges"] == WIDER
    with managed.database.transaction() as session:
        of_intents = select(AuditEntry).where(AuditEntry.resource == "bras_intent").order_by(AuditEntry.id)
        entries = session.scalars(of_intents).all()
    assert WIDER in str(entries[-1].changes)
    assert "h1s0wn" not in str([kept, shown, again, [entry.changes for entry in entries]])


def test_an_intent_that_was_changed_meanwhile_is_not_written_over(managed: ManagedBox) -> None:
    job = managed.planned(INTENT)
    path = f"{API}{managed.of_nas('/intent')}"
    etag = managed.client.get(path).headers["ETag"]
    assert managed.client.put(path, json={"body": {**INTENT, "cgnat": []}}).status_code == 200
    assert managed.client.put(path, json={"body": {"pools": INTENT["pools"]}}).status_code == 200
    answer = managed.client.post(
        f"{path}/accept", json={"job_id": job["id"], "confirm": True}, headers={"If-Match": etag}
    )
    assert answer.status_code == 412


def test_a_job_that_is_not_planned_has_nothing_to_accept(managed: ManagedBox) -> None:
    job = managed.planned(INTENT)
    managed.post(f"/provisioning/jobs/{job['id']}/cancel")
    answer = managed.client.post(f"{API}{managed.of_nas('/intent/accept')}", json={"job_id": job["id"]})
    assert (answer.status_code, answer.json()["field"]) == (409, "job_id")
