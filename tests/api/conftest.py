"""The real application on a database of its own, and a client for each role."""

from __future__ import annotations

import itertools
from collections.abc import Callable
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

ClientFor = Callable[[Role], TestClient]
_numbers = itertools.count()


@pytest.fixture
def client_for(database: Database, keyring: Keyring) -> ClientFor:
    app = create_app(database, keyring, clock=utc_now, zone=UTC, schema_head=head_revision())

    def make(role: Role) -> TestClient:
        with database.transaction() as session:
            _, secret = tokens.create_token(session, f"{role}-{next(_numbers)}", role, Actor("test"))
        return TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {secret}"})

    return make


@pytest.fixture
def client(client_for: ClientFor) -> TestClient:
    return client_for(Role.ADMIN)
