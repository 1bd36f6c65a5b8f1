"""Refused logins: from the workers' socket into PostgreSQL, and out of it for `core.explain`.

Lossy by design: a worker never waits for anybody to take its report, and what is kept is bounded in time and number.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import structlog
from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from aaa.models import AuthenticationAttempt
from core.explain import Attempt

SHOWN: Final = 5
KEPT_DAYS: Final = 30
#: A storm of made-up logins costs some 200 MB, no more.
KEPT_ROWS_MAX: Final = 1_000_000
#: Attempts read from their socket in one go.
ATTEMPTS_MAX: Final = 500

_INSERT: Final = """
INSERT INTO authentication_attempt (login, nas_id, source, calling_station_id, reason, method, hint)
VALUES (%(login)s, %(nas_id)s, %(source)s, %(calling_station_id)s, %(reason)s, %(method)s, %(hint)s)
"""

log = structlog.get_logger()


class AttemptSink:
    """The socket to which this node's workers report refusals, as msgpack."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setblocking(False)

    def store(self, connection: psycopg.Connection[Any]) -> None:
        """Insert what was reported since the last call; what the database refuses is dropped."""
        rows = self._receive()
        if not rows:
            return
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_INSERT, rows)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.error("attempts dropped", count=len(rows), error=type(error).__name__)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> list[dict[str, Any]]:
        rows = []
        for _ in range(ATTEMPTS_MAX):
            try:
                rows.append(msgspec.msgpack.decode(self._socket.recv(65536), type=dict[str, Any]))
            except BlockingIOError:
                break
        return rows


def recent_attempts(session: Session, login: str) -> list[Attempt]:
    """The latest refusals of this login, newest first."""
    rows = session.scalars(
        select(AuthenticationAttempt)
        .where(AuthenticationAttempt.login == login)
        .order_by(AuthenticationAttempt.id.desc())
        .limit(SHOWN)
    )
    return [Attempt(row.at, row.reason, row.hint, row.method) for row in rows]


def forget_attempts(session: Session, *, rows_max: int = KEPT_ROWS_MAX) -> None:
    """Drop what is older than KEPT_DAYS, and all but the latest `rows_max`."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    newest = select(func.max(AuthenticationAttempt.id)).scalar_subquery()
    session.execute(
        delete(AuthenticationAttempt)
        .where(or_(AuthenticationAttempt.at < age, AuthenticationAttempt.id <= newest - rows_max))
        .execution_options(synchronize_session=False)
    )
