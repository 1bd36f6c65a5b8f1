"""Comparisons: from the workers' socket into PostgreSQL. Lossy by design, and bounded in number.

A login's last comparison is the truth: its differences replace the ones before.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import structlog
from psycopg.types.json import Jsonb
from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from aaa.models import TakeoverDifference, TakeoverLogin
from aaa.takeover.compare import Comparison

COMPARISONS_SOCKET: Final = "comparisons.sock"
#: Rows of each of the two tables (as PostgreSQL estimates them); above that nothing is added until old ones are gone.
LOGINS_MAX: Final = 1_000_000
DIFFERENCES_MAX: Final = 200_000
#: Comparisons read from the socket in one go.
BATCH: Final = 1000

#: What was not compared again since.
KEPT_DAYS: Final = 30

_LOGINS: Final = """
INSERT INTO takeover_login AS t (nas_id, login, comparisons, differences)
SELECT nas_id, login, 1, differences FROM jsonb_to_recordset(%(rows)s) AS r (nas_id bigint, login text, differences int)
WHERE (SELECT reltuples FROM pg_class WHERE oid = 'takeover_login'::regclass) < %(max)s
ON CONFLICT (nas_id, login) DO UPDATE
SET comparisons = t.comparisons + 1, differences = excluded.differences, last_at = now()
"""
_FORGET: Final = """
DELETE FROM takeover_difference d USING jsonb_to_recordset(%(rows)s) AS r (nas_id bigint, login text)
WHERE d.nas_id = r.nas_id AND d.login = r.login AND NOT EXISTS (
  SELECT FROM jsonb_to_recordset(%(found)s) AS f (nas_id bigint, login text, kind text, attribute text)
  WHERE f.nas_id = d.nas_id AND f.login = d.login AND f.kind = d.kind AND f.attribute = d.attribute)
"""
_FOUND: Final = """
INSERT INTO takeover_difference AS t (nas_id, login, kind, attribute, ours, theirs, harmless, count)
SELECT nas_id, login, kind, attribute, ours, theirs, harmless, 1 FROM jsonb_to_recordset(%(found)s)
  AS r (nas_id bigint, login text, kind text, attribute text, ours text, theirs text, harmless boolean)
WHERE (SELECT reltuples FROM pg_class WHERE oid = 'takeover_difference'::regclass) < %(max)s
ON CONFLICT (nas_id, login, kind, attribute) DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs,
  harmless = excluded.harmless, count = t.count + 1, last_at = now()
"""

log = structlog.get_logger()
_decoder: Final = msgspec.msgpack.Decoder(list[Comparison])


class ComparisonSink:
    """The socket to which this node's workers report comparisons."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setblocking(False)

    def store(self, connection: psycopg.Connection[Any]) -> None:
        """Keep what was reported since the last call; what the database refuses is dropped."""
        latest = {(one.nas_id, one.login): one for one in self._receive()}
        if not latest:
            return
        try:
            store_comparisons(connection, list(latest.values()))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.error("comparisons dropped", count=len(latest), error=type(error).__name__)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> list[Comparison]:
        found: list[Comparison] = []
        while len(found) < BATCH:
            try:
                found += _decoder.decode(self._socket.recv(65536))
            except BlockingIOError:
                break
        return found


def store_comparisons(connection: psycopg.Connection[Any], comparisons: list[Comparison]) -> None:
    """Each (NAS, login) once. In order, so that two nodes do not wait for each other."""
    ordered = sorted(comparisons, key=lambda one: (one.nas_id, one.login))
    rows = [{"nas_id": one.nas_id, "login": one.login, "differences": one.mattering} for one in ordered]
    found = [
        {"nas_id": one.nas_id, "login": one.login, **msgspec.structs.asdict(difference)}
        for one in ordered
        for difference in one.differences
    ]
    values = {"rows": Jsonb(rows), "found": Jsonb(found)}
    with connection.transaction():
        connection.execute(_LOGINS, {**values, "max": LOGINS_MAX})
        connection.execute(_FORGET, values)
        connection.execute(_FOUND, {**values, "max": DIFFERENCES_MAX})


def forget_comparisons(session: Session) -> None:
    """Drop logins, with their differences, that were last compared more than KEPT_DAYS ago."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    for table in (TakeoverDifference, TakeoverLogin):
        session.execute(delete(table).where(table.last_at < age).execution_options(synchronize_session=False))
