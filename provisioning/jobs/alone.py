"""One at a time for each box: whoever reads or changes it holds its advisory lock.

The lock is a database connection's that does nothing else: it ends with the process, and whoever takes over can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError

from core.database import Database

#: First key of the advisory lock of a box; the NAS entry's id is the second.
_LOCK_SPACE: Final = 0x50524F


@contextmanager
def alone_at(database: Database, nas_id: int, *, patience_ms: int = 0) -> Iterator[bool]:
    """False where somebody is at this box, and still is after so many milliseconds."""
    with database.engine.connect() as connection:
        key = (_LOCK_SPACE, nas_id % (1 << 31))
        alone = _waited(connection, key, patience_ms) if patience_ms else _tried(connection, key)
        connection.commit()  # the lock is the connection's; no transaction stays open meanwhile
        try:
            yield alone
        finally:
            if alone:
                connection.scalar(select(func.pg_advisory_unlock(*key)))
                connection.commit()


def _tried(connection: Connection, key: tuple[int, int]) -> bool:
    return bool(connection.scalar(select(func.pg_try_advisory_lock(*key))))


def _waited(connection: Connection, key: tuple[int, int], patience_ms: int) -> bool:
    connection.execute(select(func.set_config("lock_timeout", str(patience_ms), True)))
    try:
        connection.execute(select(func.pg_advisory_lock(*key)))
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        connection.rollback()
        return False
    return True
