"""Tests take turns with one database: each finds it as the migrations leave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from databases import one_after_another
from psycopg import Connection

from core.database import libpq_url
from provedor.embedded import EmbeddedPostgres


@pytest.fixture
def urls(postgres: EmbeddedPostgres) -> Iterator[Iterator[str]]:
    with closing(one_after_another(postgres)) as urls:
        yield urls


def connect(url: str) -> Connection:
    return psycopg.connect(libpq_url(url), autocommit=True)


def contents(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, and where the sequences stand."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}
    rows["sequences"] = connection.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1").fetchall()
    return rows


def test_what_a_test_wrote_is_gone_for_the_next(urls: Iterator[str]) -> None:
    with connect(first := next(urls)) as connection:
        before = contents(connection)
        connection.execute(
            "INSERT INTO company (name, document, version) SELECT n, n, 1 FROM generate_series(1, 9000) n"
        )
        connection.execute("UPDATE setting SET value = '\"another\"'")
        connection.execute("DELETE FROM alembic_version")
        connection.execute(
            "INSERT INTO connection_lookup (actor, reason, question, results) VALUES ('a', 'b', '{}', 0)"
        )
    with connect(second := next(urls)) as connection:
        assert contents(connection) == before
        (size,) = connection.execute("SELECT pg_relation_size('company')").fetchall()
    assert first == second
    assert size == (0,)


def test_whoever_is_connected_still_is_not_in_the_next_test(urls: Iterator[str]) -> None:
    left_over = connect(next(urls))
    left_over.execute("BEGIN; UPDATE setting SET value = '\"never committed\"'")
    next(urls)
    with pytest.raises(psycopg.OperationalError):
        left_over.execute("COMMIT")


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE extra ()",
        "DROP TABLE hold CASCADE",
        "ALTER TABLE customer ADD COLUMN extra int",
        "ALTER TABLE customer ALTER COLUMN name SET DEFAULT 'x'",
        "ALTER TABLE customer DISABLE TRIGGER ALL",
        "DROP INDEX ix_address_use_session",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
    ],
)
def test_a_changed_schema_ends_the_copy(urls: Iterator[str], change: str) -> None:
    with connect(first := next(urls)) as connection:
        connection.execute(change)
    assert next(urls) != first
