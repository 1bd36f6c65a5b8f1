"""Fixtures on real parts: one PostgreSQL and one Valkey a test process, the schema made by the migrations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from clusters import discard
from databases import one_after_another
from sqlalchemy import event
from sqlalchemy.orm import Session

from core import changes
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database, psycopg_url
from core.keyring import Keyring
from provedor.embedded import EmbeddedPostgres, EmbeddedValkey
from provedor.migrate import migrate

#: A busy machine is no failure: hypothesis would else fail an example that took 200 ms of wall-clock time.
hypothesis.settings.register_profile("provedor", deadline=None)
hypothesis.settings.load_profile("provedor")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A cluster of this test process (without fsync: these tests never cut its power)."""
    with tempfile.TemporaryDirectory(prefix="pvd-pg-", ignore_cleanup_errors=True) as directory:
        server = EmbeddedPostgres(Path(directory) / "pg", fsync=False)
        server.start()
        migrate(server.url)
        yield server
        discard(server)


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    with tempfile.TemporaryDirectory(prefix="pvd-vk-", ignore_cleanup_errors=True) as directory:
        server = EmbeddedValkey(Path(directory))
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def shared_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """The migrated database, for tests that roll back what they do."""
    database = Database(psycopg_url(postgres.url))
    yield database
    database.dispose()


@pytest.fixture
def session(shared_database: Database) -> Iterator[Session]:
    """A session in an outer transaction that is rolled back: fast, and nothing stays.

    `session.commit()` inside ends a savepoint only, and runs what runs before a commit (changes.seal).
    """
    with shared_database.engine.connect() as connection:
        outer = connection.begin()
        session = Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        event.listen(session, "before_commit", changes.seal)
        yield session
        session.close()
        outer.rollback()


@pytest.fixture(scope="session")
def _database_urls(postgres: EmbeddedPostgres) -> Iterator[Iterator[str]]:
    urls = one_after_another(postgres)
    yield urls
    urls.close()


@pytest.fixture
def database_url(_database_urls: Iterator[str]) -> str:
    """The URL of a database of this test's own (as the migrations leave it), for tests that commit."""
    return next(_database_urls)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(psycopg_url(database_url))
    yield database
    database.dispose()


@pytest.fixture
def new_database(_database_urls: Iterator[str]) -> Iterator[Callable[[], Database]]:
    """A database for each example of a property; the one before is gone then."""
    made: list[Database] = []

    def make() -> Database:
        for one in made:
            one.dispose()
        made[:] = [Database(psycopg_url(next(_database_urls)))]
        return made[0]

    yield make
    for one in made:
        one.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))


@pytest.fixture
def keyring() -> Keyring:
    return Keyring({1: bytes(range(32))})


@pytest.fixture
def actor() -> Actor:
    return Actor("test:person", "192.0.2.7")
