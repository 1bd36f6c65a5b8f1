"""Databases for tests that commit: copies of the migrated one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from core.database import libpq_url
from provedor.embedded import EmbeddedPostgres

#: Tests that rolled back what they did in the original have used up numbers of its sequences all the same.
_COUNT_FROM_ONE = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""


@contextmanager
def database_copy(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a copy, which is gone when the block ends."""
    name = f"test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    maintenance = libpq_url(postgres.url).replace("/provedor?", "/postgres?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'provedor'")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE provedor")
    with psycopg.connect(libpq_url(postgres.url).replace("/provedor?", f"/{name}?"), autocommit=True) as connection:
        connection.execute(_COUNT_FROM_ONE)
    yield postgres.url.replace("/provedor?", f"/{name}?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
