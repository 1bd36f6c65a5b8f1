"""What workers report, from their socket into PostgreSQL; what the database refuses is dropped."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import structlog

from aaa.reports import AttemptReport, FindingReport, Report

#: Datagrams read from the socket in one go.
DATAGRAMS_MAX: Final = 100
_DATAGRAM_OCTETS: Final = 1 << 18

_INSERT_ATTEMPT: Final = """
INSERT INTO authentication_attempt
  (at, login, nas_id, source, calling_station_id, reason, method, hint, service_id, times, detail)
VALUES (to_timestamp(%(at)s), %(login)s, %(nas_id)s, %(source)s, %(calling_station_id)s, %(reason)s, %(method)s,
  %(hint)s, %(service_id)s, %(times)s, %(detail)s)
"""
_ADD_FINDING: Final = """
INSERT INTO nas_finding AS f (nas_id, source, kind, count, detail)
VALUES (%(nas_id)s, %(source)s, %(kind)s, %(count)s, %(detail)s)
ON CONFLICT (nas_id, source, kind) DO UPDATE
SET last_at = now(), count = f.count + excluded.count, detail = excluded.detail
"""

log = structlog.get_logger()


class ReportSink:
    """The socket to which this node's workers report."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.setblocking(False)

    def store(self, connection: psycopg.Connection[Any]) -> None:
        """Keep what was reported since the last call."""
        reports = self._receive()
        attempts = [one for one in reports if isinstance(one, AttemptReport)]
        findings = [one for one in reports if isinstance(one, FindingReport)]
        _keep(connection, _INSERT_ATTEMPT, map(_values, attempts))
        # In one order everywhere, so that two nodes do not wait for each other.
        _keep(connection, _ADD_FINDING, map(_values, sorted(findings, key=_key)))

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> list[Report]:
        reports: list[Report] = []
        for _ in range(DATAGRAMS_MAX):
            try:
                reports += msgspec.msgpack.decode(self._socket.recv(_DATAGRAM_OCTETS), type=list[Report])
            except BlockingIOError:
                break
        return reports


def _keep(connection: psycopg.Connection[Any], statement: str, rows: Iterable[dict[str, Any]]) -> None:
    values = list(rows)
    if not values:
        return
    try:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(statement, values)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        log.error("reports dropped", count=len(values), error=type(error).__name__)


def _key(finding: FindingReport) -> tuple[int, str, str]:
    return finding.nas_id, finding.source, finding.kind


def _values(report: Report) -> dict[str, Any]:
    values = msgspec.to_builtins(report)
    values["detail"] = msgspec.json.encode(report.detail).decode()
    return values  # type: ignore[no-any-return]
