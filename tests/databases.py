"""Databases for tests that commit: copies of the migrated one, and one that tests take turns with.

A copy takes half a second, emptying what a test filled a fiftieth of that. So each test process keeps one copy, and
makes it after each test what it was: nobody connected, no row but the migrations' own, every sequence at its start. A
test that changed the schema as well ends that copy, and the next one gets another.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection, sql

from core.database import libpq_url
from provedor.embedded import EmbeddedPostgres

#: Tests that rolled back what they did in the original have used up numbers of its sequences all the same.
_COUNT_FROM_ONE = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""
#: Waits until they are gone, so that none of them writes into the next test.
_DISCONNECT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
#: (name, octets) of the tables in whose file something was ever written.
_WRITTEN = """
SELECT oid::regclass::text, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND oid >= 16384 AND relpersistence <> 't' AND pg_relation_size(oid) > 0 ORDER BY oid
"""
#: Of dead rows, which every later test would read past.
_DEAD_OCTETS_MAX = 256 * 1024
#: All that stands in the catalogue of ours. A row's xmin is the transaction that wrote it last; VACUUM writes a table's
#: row in pg_class, so that one is known by oid and name.
_SCHEMA = """
SELECT md5(string_agg(one, ',' ORDER BY one)) FROM (
    SELECT concat('class ', oid, relname) FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'
    UNION ALL SELECT concat('attribute ', attrelid, ' ', attnum, ' ', a.xmin) FROM pg_attribute a
        JOIN pg_class c ON c.oid = attrelid WHERE attrelid >= 16384 AND relpersistence <> 't'
    UNION ALL SELECT concat('default ', oid, ' ', xmin) FROM pg_attrdef WHERE oid >= 16384
    UNION ALL SELECT concat('constraint ', oid, ' ', xmin) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat('trigger ', oid, ' ', xmin) FROM pg_trigger WHERE oid >= 16384
    UNION ALL SELECT concat('function ', oid, ' ', xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat('rule ', oid, ' ', xmin) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT concat('type ', oid, ' ', xmin) FROM pg_type WHERE oid >= 16384 AND typtype IN ('e', 'd')
    UNION ALL SELECT concat('setting ', s.xmin) FROM pg_db_role_setting s
) AS all_of_it(one)
"""


@contextmanager
def database_copy(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a copy, which is gone when the block ends."""
    name = f"test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    maintenance = libpq_url(postgres.url).replace("/provedor?", "/postgres?")
    url = postgres.url.replace("/provedor?", f"/{name}?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'provedor'")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE provedor")
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute(_COUNT_FROM_ONE)
    yield url
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class _Contents:
    """A new copy's schema and rows, to which it is brought back."""

    def __init__(self, connection: Connection) -> None:
        self._schema = _schema(connection)
        self._rows = {table: _rows(connection, table) for table in _written(connection)}

    def restore(self, connection: Connection) -> bool:
        """False where it cannot be: the schema is another."""
        connection.execute(_DISCONNECT)
        if _schema(connection) != self._schema:
            return False
        written = _written(connection)
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor foreign keys
            for table in written:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.SQL(table)))
            for table, rows in self._rows.items():
                with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.SQL(table))) as copy:
                    copy.write(rows)
            connection.execute(_COUNT_FROM_ONE)
        for table, octets in written.items():
            if octets > _DEAD_OCTETS_MAX:
                connection.execute(sql.SQL("VACUUM {}").format(sql.SQL(table)))
        return True


def one_after_another(postgres: EmbeddedPostgres) -> Generator[str]:
    """URLs, one a test: asked for the next, the test before has ended."""
    while True:
        with database_copy(postgres) as url, psycopg.connect(libpq_url(url), autocommit=True) as connection:
            contents = _Contents(connection)
            yield url
            while contents.restore(connection):
                yield url


def _schema(connection: Connection) -> str:
    (schema,) = connection.execute(_SCHEMA).fetchall()
    return str(schema[0])


def _written(connection: Connection) -> dict[str, int]:
    return dict(connection.execute(_WRITTEN).fetchall())


def _rows(connection: Connection, table: str) -> bytes:
    with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.SQL(table))) as copy:
        return b"".join(bytes(part) for part in copy)
