"""The shipper: moves spooled accounting records into PostgreSQL, each exactly once, and refused attempts as well.

One process a node. For every spool: read from the committed position, store a batch and the new position in one
transaction, delete segments that are wholly committed. If PostgreSQL is away, or this process dies anywhere, the
position says where to go on. A record that the database refuses (which none should be) is put aside in a file, after
halving the batch until it stands alone, so that it cannot stop the others.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import structlog
from prometheus_client import Counter, Gauge

from aaa import session_store
from aaa.accounting import AccountingRecord, read_record
from aaa.packet import MalformedPacket
from aaa.spool import SpooledRecord, find_next_record, list_segments, read_segment, segment_path

#: Records in one transaction: large enough for PostgreSQL's sake, small enough to be seen at once.
BATCH_RECORDS: Final = 5000
IDLE_S: Final = 0.05
RECONNECT_S: Final = 1.0
#: Attempts read from their socket in one go.
ATTEMPTS_MAX: Final = 500
PARTITIONS_AHEAD_DAYS: Final = 7

log = structlog.get_logger()

SHIPPED = Counter("provedor_accounting_records_shipped_total", "Accounting records stored", ["new"])
QUARANTINED = Counter("provedor_accounting_records_quarantined_total", "Records that the database refused")
DAMAGED = Counter("provedor_accounting_spool_damaged_total", "Places in a spool that could not be read")
BACKLOG = Gauge("provedor_accounting_spool_octets", "Octets spooled and not yet shipped")


class Shipper:
    """Runs until `stop`."""

    def __init__(
        self,
        *,
        node: str,
        directory: Path,
        attempts_socket: Path,
        database_url: str,
        on_ready: Callable[[], None],
    ) -> None:
        self._node = node
        self._directory = directory
        self._attempts = _bind_attempts(attempts_socket)
        self._database_url = database_url
        self._on_ready = on_ready
        self._stopped = threading.Event()
        self._partitions_until = date.min

    def run(self) -> None:
        self._on_ready()
        while not self._stopped.is_set():
            try:
                self._ship_while_connected()
            except psycopg.OperationalError as error:
                log.warning("shipper: database away, records wait in the spool", error=type(error).__name__)
                self._measure_backlog()
                self._stopped.wait(RECONNECT_S)

    def stop(self) -> None:
        self._stopped.set()

    def _ship_while_connected(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True, connect_timeout=5) as connection:
            connection.execute("SET statement_timeout = '60s'; SET timezone = 'UTC'")
            positions: dict[str, tuple[int, int]] = {}
            while not self._stopped.is_set():
                self._ensure_partitions(connection)
                shipped = [self._ship_spool(connection, spool, positions) for spool in self._spools()]
                self._store_attempts(connection)
                if not any(shipped):
                    self._measure_backlog()
                    self._stopped.wait(IDLE_S)

    def _spools(self) -> list[str]:
        return sorted(path.name for path in self._directory.iterdir() if path.is_dir())

    def _ship_spool(
        self, connection: psycopg.Connection[Any], spool: str, positions: dict[str, tuple[int, int]]
    ) -> bool:
        """Ship one batch of one spool; False when nothing was waiting."""
        directory = self._directory / spool
        segments = list_segments(directory)
        if not segments:
            return False
        if spool not in positions:
            positions[spool] = session_store.read_position(connection, self._node, spool)
        segment, offset = positions[spool]
        if segment not in segments:
            segment, offset = next((number for number in segments if number > segment), 0), 0
            if segment == 0:
                return False
        records, broken = read_segment(segment_path(directory, segment), offset, BATCH_RECORDS)
        if records:
            self._store(connection, records, spool, segment)
            positions[spool] = (segment, records[-1].end)
            return True
        if segment == segments[-1]:
            return False  # its writer may be in the middle of a record
        if broken and (after := self._skip_damage(directory, segment, offset)) is not None:
            positions[spool] = (segment, after)
            return True
        positions[spool] = (segments[segments.index(segment) + 1], 0)
        self._finish_segment(connection, directory, spool, segment, positions[spool])
        return True

    def _store(
        self, connection: psycopg.Connection[Any], spooled: list[SpooledRecord], spool: str, segment: int
    ) -> None:
        position = (self._node, spool, segment, spooled[-1].end)
        records = [record for one in spooled if (record := self._decode(one)) is not None]
        try:
            new = session_store.store_batch(connection, records, position)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(spooled) > 1:
                half = len(spooled) // 2
                self._store(connection, spooled[:half], spool, segment)
                self._store(connection, spooled[half:], spool, segment)
                return
            self._quarantine(spooled[0], type(error).__name__)
            session_store.store_batch(connection, [], position)
            return
        SHIPPED.labels("yes").inc(new)
        SHIPPED.labels("no").inc(len(records) - new)

    def _decode(self, spooled: SpooledRecord) -> AccountingRecord | None:
        try:
            return read_record(spooled.received_at_ns, spooled.nas_id, spooled.source, spooled.packet)
        except MalformedPacket:  # it was parsed before it was spooled: the disk lies, or we do
            self._quarantine(spooled, "MalformedPacket")
            return None

    def _quarantine(self, spooled: SpooledRecord, why: str) -> None:
        QUARANTINED.inc()
        log.error("accounting record put aside", why=why, nas_id=spooled.nas_id, source=spooled.source)
        with (self._directory / "refused.hex").open("a") as file:
            file.write(f"{spooled.received_at_ns} {spooled.nas_id} {spooled.source} {why} {spooled.packet.hex()}\n")

    def _skip_damage(self, directory: Path, segment: int, offset: int) -> int | None:
        """Where to go on behind damage; None for a torn tail, behind which there is nothing."""
        path = segment_path(directory, segment)
        after = find_next_record(path, offset)
        if after is not None:
            DAMAGED.inc()
            log.error("accounting spool damaged", file=str(path), offset=offset, resumes_at=after)
            path.with_suffix(".damaged").write_bytes(path.read_bytes())
        return after

    def _finish_segment(
        self,
        connection: psycopg.Connection[Any],
        directory: Path,
        spool: str,
        segment: int,
        position: tuple[int, int],
    ) -> None:
        session_store.store_batch(connection, [], (self._node, spool, *position))
        segment_path(directory, segment).unlink(missing_ok=True)

    def _ensure_partitions(self, connection: psycopg.Connection[Any]) -> None:
        """Yesterday's for what waited in the spool, a week ahead for a database that is busy at midnight."""
        today = datetime.now(UTC).date()
        if today < self._partitions_until:
            return
        oldest = min((self._oldest_record(spool) for spool in self._spools()), default=time.time())
        first = min(datetime.fromtimestamp(oldest, UTC).date(), today)
        days = (today - first).days + PARTITIONS_AHEAD_DAYS
        session_store.ensure_partitions(connection, first, days)
        self._partitions_until = datetime.fromtimestamp(time.time() + 86400, UTC).date()

    def _oldest_record(self, spool: str) -> float:
        """When the first record of a spool was received, as its segment's file tells."""
        segments = list_segments(self._directory / spool)
        if not segments:
            return time.time()
        records, _ = read_segment(segment_path(self._directory / spool, segments[0]), 0, 1)
        return records[0].received_at_ns / 1e9 if records else time.time()

    def _store_attempts(self, connection: psycopg.Connection[Any]) -> None:
        rows = _read_attempts(self._attempts)
        if not rows:
            return
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO authentication_attempt "
                    "(login, nas_id, source, calling_station_id, reason, method, hint) VALUES "
                    "(%(login)s, %(nas_id)s, %(source)s, %(calling_station_id)s, %(reason)s, %(method)s, %(hint)s)",
                    rows,
                )
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.error("attempts dropped", count=len(rows), error=type(error).__name__)

    def _measure_backlog(self) -> None:
        paths = [path for spool in self._spools() for path in (self._directory / spool).glob("*.spool")]
        BACKLOG.set(sum(path.stat().st_size for path in paths if path.exists()))


def _bind_attempts(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.bind(str(path))
    path.chmod(0o600)
    one.setblocking(False)
    return one


def _read_attempts(one: socket.socket) -> list[dict[str, Any]]:
    rows = []
    for _ in range(ATTEMPTS_MAX):
        try:
            rows.append(msgspec.msgpack.decode(one.recv(65536), type=dict[str, Any]))
        except BlockingIOError:
            break
    return rows
