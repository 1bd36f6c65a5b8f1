"""The real application on a database of its own, and a client for each role."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from applications import make_app
from fastapi.testclient import TestClient

from core import tokens
from core.audit import Actor
from core.database import Database
from core.keyring import Keyring
from core.models.system import Role

ClientFor = Callable[[Role], TestClient]
_numbers = itertools.count()


@pytest.fixture
def client_for(database: Database, keyring: Keyring) -> ClientFor:
    app = make_app(database, keyring)

    def make(role: Role) -> TestClient:
        with database.transaction() as session:
            _, secret = tokens.create_token(session, f"{role}-{next(_numbers)}", role, Actor("test"))
        return TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {secret}"})

    return make


@pytest.fixture
def client(client_for: ClientFor) -> TestClient:
    return client_for(Role.ADMIN)
