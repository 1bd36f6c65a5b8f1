"""The shipper: moves spooled accounting records into PostgreSQL, each exactly once, and what workers report as well.

One or two processes a node, which share its spools by number. For every spool: read from the committed position, store
a batch and the new position in one transaction, delete segments that are wholly committed. If PostgreSQL is away, or
this process dies anywhere, the position says where to go on. A record that the database refuses (which none should be)
is put aside in a file, after halving the batch until it stands alone, so that it cannot stop the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta, tzinfo
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
import structlog
from prometheus_client import Counter, Gauge

from aaa import session_store
from aaa.accounting import AccountingRecord, read_record
from aaa.packet import MalformedPacket
from aaa.report_sink import ReportSink
from aaa.spool import SpooledRecord, find_next_record, list_segments, read_segment, segment_path
from aaa.takeover.sink import COMPARISONS_SOCKET, ComparisonSink
from core.clock import Clock, utc_now
from core.database import CONNECTION_ARGUMENTS

#: Records in one transaction: large enough for PostgreSQL's sake, small enough to be seen at once.
BATCH_RECORDS: Final = 5000
IDLE_S: Final = 0.05
#: So many records that came faster than that into one spool are a burst. While they are fresh, a shipper rests after
#: its work, RESTS times as long, and leaves the processor to those who acknowledge.
BURST_RECORDS: Final = 1000
BURST_PER_S: Final = 20_000
FRESH_S: Final = 2.0
RESTS: Final = 5.0
RECONNECT_S: Final = 1.0
MEASURE_S: Final = 1.0
#: How often the database is told that a spool is empty.
NOTE_S: Final = 5.0
#: A database that is busy at midnight finds its partitions made.
PARTITIONS_AHEAD_DAYS: Final = 7

log = structlog.get_logger()

SHIPPED = Counter("provedor_accounting_records_shipped_total", "Accounting records stored", ["new"])
QUARANTINED = Counter("provedor_accounting_records_quarantined_total", "Records that the database refused")
DAMAGED = Counter("provedor_accounting_spool_damaged_total", "Places in a spool that could not be read")
RESTED = Counter("provedor_accounting_shipper_rested_seconds_total", "Time left to those who acknowledge a burst")
ERRORS = Counter("provedor_accounting_shipper_errors_total", "Failures of the database while shipping", ["error"])
BACKLOG = Gauge("provedor_accounting_spool_octets", "Octets spooled and not yet shipped")
LAG = Gauge("provedor_accounting_spool_lag_seconds", "Age of the oldest record that is not yet shipped")

Connection = psycopg.Connection[Any]


class Place(NamedTuple):
    """Where the next record of a spool begins."""

    segment: int
    offset: int


class Share(NamedTuple):
    """Which of a node's spools a shipper takes: those whose number leaves this remainder. The first does the rest."""

    ordinal: int
    shippers: int

    def takes(self, spool: str) -> bool:
        number = spool.rpartition("-")[2]
        return (int(number) if number.isdigit() else 0) % self.shippers == self.ordinal


class Shipped(Enum):
    """What a look at a spool came to."""

    NOTHING = "nothing was waiting"
    SOME = "some"
    BURST = "many at once, a moment old"


class Decoded(NamedTuple):
    """A spooled record and what it says; None where it says nothing that can be read."""

    spooled: SpooledRecord
    record: AccountingRecord | None


class Shipper:
    """Runs until `stop`."""

    def __init__(
        self,
        *,
        node: str,
        directory: Path,
        share: Share,
        reports_socket: Path,
        database_url: str,
        on_ready: Callable[[], None],
        zone: tzinfo,
        clock: Clock = utc_now,
    ) -> None:
        """`zone`: of the provider's calendar, in whose days usage is kept."""
        self._node = node
        self._directory = directory
        self._share = share
        self._reports = ReportSink(reports_socket) if share.ordinal == 0 else None
        comparisons_socket = reports_socket.with_name(COMPARISONS_SOCKET)
        self._comparisons = ComparisonSink(comparisons_socket) if share.ordinal == 0 else None
        self._database_url = database_url
        self._on_ready = on_ready
        self._zone = zone
        self._clock = clock
        self._stopped = threading.Event()
        self._places: dict[str, Place] = {}
        #: Days that are known to have a partition.
        self._days: set[date] = set()
        self._measured_at = clock() - timedelta(seconds=MEASURE_S)
        #: When each spool was last found empty (seconds since 1970), and when the database was told.
        self._empty_at: dict[str, float] = {}
        self._noted_at = 0.0

    def run(self) -> None:
        self._on_ready()
        while not self._stopped.is_set():
            try:
                self._ship_while_connected()
            except psycopg.Error as error:
                ERRORS.labels(type(error).__name__).inc()
                log.warning("shipper: the database fails, records wait in the spool", error=type(error).__name__)
                self._measure()
                self._stopped.wait(RECONNECT_S)
        if self._reports is not None:
            self._reports.close()
        if self._comparisons is not None:
            self._comparisons.close()

    def stop(self) -> None:
        self._stopped.set()

    def _ship_while_connected(self) -> None:
        with psycopg.connect(
            self._database_url, autocommit=True, application_name="provedor-shipper", **CONNECTION_ARGUMENTS
        ) as connection:
            connection.execute("SELECT set_config('TimeZone', %s, false)", (str(self._zone),))
            # What failed to be committed, or was committed after all, the database knows.
            self._places.clear()
            self._days.clear()
            self._noted_at = 0.0
            if self._share.ordinal == 0:
                session_store.forget_lost_spools(connection, self._node, self._all_spools())
            while not self._stopped.is_set():
                today = self._clock().date()
                self._ensure_partitions(connection, {today + timedelta(days=n) for n in range(PARTITIONS_AHEAD_DAYS)})
                began_s = time.monotonic()
                shipped = [self._ship_spool(connection, spool) for spool in self._spools()]
                if Shipped.BURST in shipped:
                    self._rest(RESTS * (time.monotonic() - began_s))
                self._note_empty(connection)
                if self._reports is not None:
                    self._reports.store(connection)
                if self._comparisons is not None:
                    self._comparisons.store(connection)
                self._measure()
                if set(shipped) <= {Shipped.NOTHING}:
                    self._stopped.wait(IDLE_S)

    def _rest(self, seconds: float) -> None:
        RESTED.inc(seconds)
        self._stopped.wait(seconds)

    def _spools(self) -> list[str]:
        return sorted(filter(self._share.takes, self._all_spools()))

    def _all_spools(self) -> list[str]:
        return [path.name for path in self._directory.iterdir() if path.is_dir()]

    def _note_empty(self, connection: Connection) -> None:
        """Where nothing comes, time goes on all the same (see staleness)."""
        now = self._clock().timestamp()
        if self._empty_at and now - self._noted_at >= NOTE_S:
            session_store.note_empty(connection, self._node, self._empty_at)
            self._empty_at, self._noted_at = {}, now

    def _ship_spool(self, connection: Connection, spool: str) -> Shipped:
        """Ship one batch of one spool."""
        directory = self._directory / spool
        looked_at = self._clock().timestamp()
        segments = list_segments(directory)
        if not segments:
            self._empty_at[spool] = looked_at
            return Shipped.NOTHING
        if spool not in self._places:
            self._places[spool] = self._first_place(connection, spool, segments)
        segment, offset = self._places[spool]
        spooled, broken = read_segment(segment_path(directory, segment), offset, BATCH_RECORDS)
        if spooled:
            self._store(connection, spool, segment, [Decoded(one, self._decode(one)) for one in spooled])
            return Shipped.BURST if _came_in_a_burst(spooled, self._clock().timestamp()) else Shipped.SOME
        if segment == segments[-1]:
            self._empty_at[spool] = looked_at
            return Shipped.NOTHING  # its writer may be in the middle of a record
        after = self._skip_damage(directory, segment, offset) if broken else None
        if after is not None:
            self._places[spool] = Place(segment, after)
        else:
            self._finish_segment(connection, spool, segment, next(number for number in segments if number > segment))
        return Shipped.SOME

    def _first_place(self, connection: Connection, spool: str, segments: Sequence[int]) -> Place:
        """Where to go on, as the database knows it. Deletes what a predecessor committed and had no time to."""
        place = Place(*session_store.read_position(connection, self._node, spool))
        if place.segment > segments[-1]:
            log.error("accounting spool begins anew: its directory was lost", spool=spool, expected=place.segment)
            return Place(segments[0], 0)
        for number in segments:
            if number < place.segment:
                segment_path(self._directory / spool, number).unlink(missing_ok=True)
        if place.segment in segments:
            return place
        return Place(next(number for number in segments if number > place.segment), 0)

    def _store(self, connection: Connection, spool: str, segment: int, batch: Sequence[Decoded]) -> None:
        place = Place(segment, batch[-1].spooled.end)
        records = [one.record for one in batch if one.record is not None]
        self._ensure_partitions(connection, session_store.days_of(records))
        try:
            new = session_store.store_batch(connection, records, (self._node, spool, *place))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(batch) > 1:
                half = len(batch) // 2
                self._store(connection, spool, segment, batch[:half])
                self._store(connection, spool, segment, batch[half:])
                return
            self._quarantine(batch[0].spooled, type(error).__name__)
            records, new = [], session_store.store_batch(connection, [], (self._node, spool, *place))
        self._places[spool] = place
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
        if after is None:
            log.warning("accounting spool ends in a torn record", file=str(path), octets=_size(path) - offset)
            return None
        DAMAGED.inc()
        log.error("accounting spool damaged", file=str(path), offset=offset, resumes_at=after)
        path.with_suffix(".damaged").write_bytes(path.read_bytes())
        return after

    def _finish_segment(self, connection: Connection, spool: str, segment: int, following: int) -> None:
        """Commit that all of it is shipped, and delete it."""
        self._places[spool] = Place(following, 0)
        session_store.store_batch(connection, [], (self._node, spool, *self._places[spool]))
        segment_path(self._directory / spool, segment).unlink(missing_ok=True)

    def _ensure_partitions(self, connection: Connection, days: set[date]) -> None:
        missing = days - self._days
        if missing:
            session_store.ensure_partitions(connection, missing)
            self._days |= missing

    def _measure(self) -> None:
        """How much waits, and for how long, about once a second."""
        now = self._clock()
        if now - self._measured_at < timedelta(seconds=MEASURE_S):
            return
        self._measured_at = now
        waiting, oldest_ns = 0, int(now.timestamp() * 1e9)
        for spool in self._spools():
            place = self._places.get(spool, Place(0, 0))
            paths = [segment_path(self._directory / spool, n) for n in list_segments(self._directory / spool)]
            ahead = [path for path in paths if int(path.stem) >= place.segment]
            waiting += sum(_size(path) for path in ahead) - place.offset
            if ahead:
                offset = place.offset if int(ahead[0].stem) == place.segment else 0
                first, _ = read_segment(ahead[0], offset, 1)
                oldest_ns = min([oldest_ns, *(record.received_at_ns for record in first)])
        BACKLOG.set(waiting)
        LAG.set(max(0.0, now.timestamp() - oldest_ns / 1e9))


def _came_in_a_burst(spooled: Sequence[SpooledRecord], now: float) -> bool:
    first_s, last_s = spooled[0].received_at_ns / 1e9, spooled[-1].received_at_ns / 1e9
    fast = BURST_RECORDS <= len(spooled) > (last_s - first_s) * BURST_PER_S
    return fast and now - last_s < FRESH_S


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
