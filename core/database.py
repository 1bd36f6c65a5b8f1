"""Database access: one engine a process, one transaction a request or task, committed at the edge.

Sessions are synchronous. Owner functions flush and never commit. `changes.seal` runs just before each commit,
so that revisions are allocated as the last statements of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from core import changes

#: For every connection of ours. A dead peer is noticed within half a minute instead of the kernel's two hours.
CONNECTION_ARGUMENTS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": "-c timezone=UTC -c statement_timeout=60000 -c lock_timeout=10000",
}


class Database:
    """The engine and its session factory. `url` is a SQLAlchemy URL with the psycopg driver."""

    def __init__(self, url: str, *, pool_size: int = 5, application_name: str = "provedor") -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_timeout=10,
            hide_parameters=True,  # or an error's text would hold what was being written: documents, sealed secrets
            connect_args={"application_name": application_name, **CONNECTION_ARGUMENTS},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        event.listen(self._sessions, "before_commit", changes.seal)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends and rolls back when it raises."""
        with self._sessions.begin() as session:
            yield session

    def dispose(self) -> None:
        self.engine.dispose()


def psycopg_url(url: str) -> str:
    """What PROVEDOR_DATABASE_URL holds, as a SQLAlchemy URL for psycopg 3."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def libpq_url(url: str) -> str:
    """The same for a bare psycopg connection (COPY, LISTEN)."""
    return psycopg_url(url).replace("postgresql+psycopg://", "postgresql://", 1)
