"""The real application for a test's own database; its routes are put together once a process, which takes longer."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import State

from api.app import create_app
from api.hooks import Receiver
from core.clock import Clock, utc_now
from core.database import Database
from core.keyring import Keyring
from provedor.migrate import head_revision


def make_app(
    database: Database, keyring: Keyring, *, clock: Clock = utc_now, zone: tzinfo = UTC, **services: Any
) -> FastAPI:
    """`services`: what else of `api.context.Services` is to be other than create_app's own."""
    app = copy(_routes())
    given = replace(app.state.services, database=database, keyring=keyring, clock=clock, zone=zone, **services)
    receiver = Receiver(database, keyring, clock)
    app.state = State({"services": given, "schema_head": app.state.schema_head, "receiver": receiver})
    return app


@cache
def _routes() -> FastAPI:
    """It serves nobody itself, so that each copy has middleware of its own."""
    nowhere = Database("postgresql+psycopg://")
    return create_app(nowhere, Keyring({1: bytes(32)}), clock=utc_now, zone=UTC, schema_head=head_revision())
