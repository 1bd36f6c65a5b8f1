"""What a running node looks like from outside, for `provedor top`: counters, sessions, queues, events, processes.

Counters come from the processes' /metrics and rates are differences of two readings; the rest is in the database and
the broker, which are asked by a thread of its own, because one that hangs must not freeze the view.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import redis
from prometheus_client.parser import text_string_to_metric_families
from psycopg.rows import dict_row

from aaa.reasons import REJECTS, SUSPICIOUS, Reason
from provedor.node import DEFAULT_METRICS, ENFORCE_METRICS, RELAY_METRICS
from provedor.radius import FEEDER_METRICS, FORWARDER_METRICS, SHIPPER_METRICS
from provedor.runtime import Runtime
from provedor.settings import Settings

QUEUES: Final = ("enforce", "default", "notify", "provision")
_METRICS: Final = (
    FEEDER_METRICS, *SHIPPER_METRICS, FORWARDER_METRICS, RELAY_METRICS, ENFORCE_METRICS, DEFAULT_METRICS,
)  # fmt: skip
#: The database is given this share of the time at most, however long its answers take.
_DATABASE_SHARE: Final = 0.1
_PAUSE_S: Final = 1.0
#: A reading older than this is the past.
AWAY_AFTER_S: Final = 4.0
LINES_MAX: Final = 40

_CLASSES: Final[dict[str, str]] = {
    Reason.ACCEPTED: "accepts", Reason.ACCEPTED_EMERGENCY: "accepts", Reason.RECORDED: "accounting",
    Reason.DUPLICATE_ANSWERED: "duplicates", Reason.DUPLICATE_PENDING: "duplicates",
    **dict.fromkeys(REJECTS, "rejects"), **dict.fromkeys(SUSPICIOUS, "discards"),
}  # fmt: skip
RATES: Final = ("accepts", "rejects", "accounting", "duplicates", "discards")

_SESSIONS: Final = """
SELECT coalesce(n.name, 'NAS ' || s.nas_id) AS nas, count(*) AS sessions,
  count(*) FILTER (WHERE coalesce(s.applied_fingerprint, s.class_fingerprint) <> v.policy_fingerprint) AS out_of_step
FROM session s LEFT JOIN nas n ON n.id = s.nas_id LEFT JOIN service v ON v.id = s.service_id
WHERE s.stopped_at IS NULL AND s.kind = 'line' GROUP BY 1 ORDER BY 2 DESC, 1
"""
_OUTBOX: Final = """
SELECT count(*) AS rows, count(*) FILTER (WHERE attempts > 0) AS failing,
  coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at < now())), 0)::float8 AS late_s
FROM outbox
"""
_EVENTS: Final = "SELECT at, type, subject, payload FROM event ORDER BY id DESC LIMIT %s"
_STEPS: Final = """
SELECT e.at, e.action, e.outcome, e.reason, e.error_cause, e.duration_ms, s.login, n.name AS nas
FROM enforcement_step e LEFT JOIN session s ON s.id = e.session_id LEFT JOIN nas n ON n.id = e.nas_id
ORDER BY e.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this node, by the name that the supervisor gave it."""

    name: str
    pid: int
    up_s: float
    cpu_s: float
    memory_octets: int


@dataclass
class Reading:
    """What the database and the broker said last."""

    taken_at: float = 0.0
    database: str = "not asked yet"
    broker: str = "not asked yet"
    sessions: list[dict[str, Any]] = field(default_factory=list)
    outbox: dict[str, Any] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Counters:
    """One reading of the processes' /metrics."""

    taken_at: float
    #: Packets by NAS and class of reason.
    packets: Counter[tuple[str, str]]
    subscribers: int = 0
    spool_octets: float = 0.0
    lag_s: float = 0.0
    #: Shippers that answered.
    shippers: int = 0


class Observer:
    """`look` tells how things are now; call it about once a second."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reading = Reading()
        self._http = httpx.Client(timeout=1.0)
        self._before = read_counters(runtime.settings, self._http)
        self._processes_before = {one.pid: one for one in processes(runtime.settings)}
        self._stopped = threading.Event()
        self.first_reading = threading.Event()
        threading.Thread(target=self._read_on, name="observe", daemon=True).start()

    def look(self) -> dict[str, Any]:
        now, before = read_counters(self._runtime.settings, self._http), self._before
        running = processes(self._runtime.settings)
        seconds = max(now.taken_at - before.taken_at, 1e-3)
        packets = {key: max(0, count - before.packets[key]) / seconds for key, count in now.packets.items()}
        view = self._view(now, packets, [self._shown(one, seconds) for one in running])
        self._before, self._processes_before = now, {one.pid: one for one in running}
        return view

    def close(self) -> None:
        self._stopped.set()
        self._http.close()

    def _view(
        self, now: Counters, packets: dict[tuple[str, str], float], running: list[dict[str, Any]]
    ) -> dict[str, Any]:
        reading = self._reading
        silent_s = now.taken_at - reading.taken_at
        database = reading.database
        if database == "ok" and silent_s > AWAY_AFTER_S:
            database = f"no answer for {silent_s:.0f} s"
        rates: dict[str, dict[str, float]] = {}
        for (nas, kind), rate in packets.items():
            rates.setdefault(nas, dict.fromkeys(RATES, 0.0))[kind] += round(rate, 1)
        return {
            "node": self._runtime.settings.node,
            "database": database,
            "broker": reading.broker,
            "sessions": {
                "total": sum(row["sessions"] for row in reading.sessions),
                "out_of_step": sum(row["out_of_step"] for row in reading.sessions),
                "by_nas": reading.sessions,
            },
            "rates": {
                "total": {kind: round(sum(one[kind] for one in rates.values()), 1) for kind in RATES},
                "by_nas": rates,
            },
            "subscribers": now.subscribers,
            "spool": {"octets": int(now.spool_octets), "lag_s": round(now.lag_s, 1)},
            "outbox": reading.outbox,
            "queues": reading.queues,
            "processes": running,
            "events": reading.events,
            "enforcement": reading.steps,
        }

    def _shown(self, one: Process, seconds: float) -> dict[str, Any]:
        before = self._processes_before.get(one.pid, one)
        share = max(0.0, one.cpu_s - before.cpu_s) / seconds
        return {**asdict(one), "up_s": round(one.up_s), "cpu": round(share, 3)}

    def _read_on(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    self._runtime.libpq_url, autocommit=True, connect_timeout=3, row_factory=dict_row,
                    options="-c statement_timeout=3000", application_name="provedor-top",
                ) as connection:  # fmt: skip
                    while not self._stopped.is_set():
                        self._stopped.wait(self._read(connection))
            except (psycopg.Error, OSError) as error:
                said = str(error).strip().splitlines() or [type(error).__name__]
                self._tell(Reading(time.monotonic(), f"away: {said[0]}", self._reading.broker))
                self._stopped.wait(_PAUSE_S)

    def _read(self, connection: psycopg.Connection[dict[str, Any]]) -> float:
        """One reading; returns how long to wait for the next."""
        started = time.monotonic()
        reading = Reading(
            database="ok",
            sessions=connection.execute(_SESSIONS).fetchall(),
            outbox=connection.execute(_OUTBOX).fetchall()[0],
            events=connection.execute(_EVENTS, (LINES_MAX,)).fetchall(),
            steps=connection.execute(_STEPS, (LINES_MAX,)).fetchall(),
        )
        took_s = time.monotonic() - started
        reading.broker, reading.queues = queue_lengths(self._runtime.broker_url)
        reading.taken_at = time.monotonic()
        self._tell(reading)
        return max(_PAUSE_S, took_s / _DATABASE_SHARE)

    def _tell(self, reading: Reading) -> None:
        self._reading = reading
        self.first_reading.set()


def read_counters(settings: Settings, client: httpx.Client) -> Counters:
    """From the processes of this node; those that do not answer count nothing."""
    counters = Counters(time.monotonic(), Counter())
    for offset in _METRICS:
        try:
            answer = client.get(f"http://127.0.0.1:{settings.metrics_port + offset}/metrics")
        except httpx.HTTPError:
            continue
        _add(counters, answer.text)
    return counters


def queue_lengths(broker_url: str) -> tuple[str, dict[str, int]]:
    """How the broker is, and what waits in each queue; RabbitMQ is asked by its own tools."""
    if not broker_url.startswith(("redis", "unix")):
        return "not asked (no Redis protocol)", {}
    client = redis_client(broker_url)
    try:
        return "ok", {name: int(client.llen(name)) for name in QUEUES}
    except redis.RedisError as error:
        return f"away: {str(error).splitlines()[0]}", {}
    finally:
        client.close()


def redis_client(broker_url: str) -> redis.Redis:
    """Celery writes the URL of a Unix socket in its own way."""
    url = broker_url.replace("redis+socket://", "unix://")
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def processes(settings: Settings) -> list[Process]:
    """The node's processes: the supervisor, who holds the node's lock, and its children."""
    supervisor = _lock_holder(settings.data / "node.lock")
    if supervisor is None:
        return []
    found = [_process(pid, parent=None if pid == supervisor else supervisor) for pid in _pids()]
    ours = [one for one in found if one is not None and (one.pid == supervisor or one.name)]
    return sorted(ours, key=lambda one: (one.pid != supervisor, one.name))


def _lock_holder(path: Path) -> int | None:
    """Who holds the flock, as /proc/locks has it: `1: FLOCK ADVISORY WRITE pid major:minor:inode start end`."""
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == wanted:
            return int(words[4])
    return None


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _process(pid: int, *, parent: int | None) -> Process | None:
    """A process whose parent is this one (any where None is given); None for another, or one that has ended."""
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    name, fields = head.partition("(")[2], tail.split()
    if (parent is not None and int(fields[1]) != parent) or fields[0] == "Z":
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    up_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
    return Process(name.removeprefix("pvd-"), pid, up_s, (int(fields[11]) + int(fields[12])) / ticks, _memory(pid))


def _memory(pid: int) -> int:
    """The proportional share: forked processes have most of their pages in common."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _add(counters: Counters, text: str) -> None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "provedor_radius_packets_total":
                kind = _CLASSES.get(sample.labels["reason"])
                if kind is not None:
                    counters.packets[sample.labels["nas"], kind] += int(sample.value)
            elif sample.name == "provedor_radius_subscribers":
                counters.subscribers = max(counters.subscribers, int(sample.value))
            elif sample.name == "provedor_accounting_spool_octets":
                counters.spool_octets += sample.value
            elif sample.name == "provedor_accounting_spool_lag_seconds":
                counters.lag_s = max(counters.lag_s, sample.value)
                counters.shippers += 1
