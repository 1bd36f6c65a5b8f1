"""What a node's settings change in the API: the CoA port of a new NAS, and where the API is found."""

from __future__ import annotations

from datetime import UTC

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from core import tokens
from core.audit import Actor
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from core.models.system import Role
from provedor.migrate import head_revision


@pytest.fixture
def client(database: Database, keyring: Keyring) -> TestClient:
    app = create_app(
        database, keyring, clock=utc_now, zone=UTC, schema_head=head_revision(), coa_port=1700,
        public_url="https://provedor.example",
    )  # fmt: skip
    with database.transaction() as session:
        _, secret = tokens.create_token(session, "settings", Role.ADMIN, Actor("test"))
    return TestClient(app, headers={"Authorization": f"Bearer {secret}"})


def test_a_nas_that_names_no_coa_port_has_the_default_of_the_settings(client: TestClient) -> None:
    body = {"name": "a", "address": "192.0.2.1", "secret": "testing123", "vendor": "mikrotik"}
    assert client.post("/api/v1/nas", json=body).json()["coa_port"] == 1700
    named = body | {"name": "b", "address": "192.0.2.2", "coa_port": 3799}
    assert client.post("/api/v1/nas", json=named).json()["coa_port"] == 3799


def test_the_openapi_document_says_where_the_api_is(client: TestClient) -> None:
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "https://provedor.example"}]
