"""The relay: publishes due outbox rows to Celery. It wakes on NOTIFY and looks by itself besides.

A row is leased when it is taken; what the broker does not accept keeps its lease and is published again when that has
run out, so a broker that is frozen, flushed or away costs time and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import kombu.exceptions
import psycopg
import redis
import sqlalchemy.exc
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select

from core import outbox
from core.models.system import OutboxItem
from provedor.celery_app import WORK_TASK, make_app
from provedor.runtime import Runtime

BATCH = 500
#: Retries come due without a NOTIFY; this is how late one may be.
POLL_S = 0.25
RECONNECT_S = 1.0
MEASURE_S = 1.0

PUBLISHED = Counter("provedor_outbox_published_total", "Outbox rows handed to the broker", ["queue"])
REFUSED = Counter("provedor_outbox_refused_total", "Outbox rows that the broker did not take")
DEPTH = Gauge("provedor_outbox_rows", "Outbox rows that exist")
log = structlog.get_logger()

_BROKER_AWAY = (kombu.exceptions.OperationalError, redis.RedisError, OSError)


class Relay:
    """Runs until `stop`."""

    def __init__(self, runtime: Runtime, on_ready: Callable[[], None]) -> None:
        self._runtime = runtime
        self._app = make_app(runtime.broker_url)
        self._on_ready = on_ready
        self._stopped = threading.Event()
        self._measured_at = 0.0

    def run(self) -> None:
        self._on_ready()
        while not self._stopped.is_set():
            try:
                self._relay_while_connected()
            except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
                log.warning("relay: database away", error=type(error).__name__)
                self._stopped.wait(RECONNECT_S)

    def stop(self) -> None:
        self._stopped.set()

    def _relay_while_connected(self) -> None:
        with psycopg.connect(self._runtime.libpq_url, autocommit=True, connect_timeout=5) as listener:
            listener.execute(f"LISTEN {outbox.CHANNEL}")
            while not self._stopped.is_set():
                if self.publish_due() < BATCH:
                    self._measure()
                    for _ in listener.notifies(timeout=POLL_S, stop_after=1):
                        break

    def publish_due(self) -> int:
        """Publish what is due now; returns how many rows were taken."""
        with self._runtime.database.transaction() as session:
            due = outbox.lease_due(session, BATCH)
        for place, item in enumerate(due):
            try:
                self._app.send_task(WORK_TASK, args=[item.id], queue=item.queue, retry=False)
            except _BROKER_AWAY as error:
                REFUSED.inc(len(due) - place)
                log.warning("relay: broker away, the work waits", rows=len(due) - place, error=type(error).__name__)
                self._stopped.wait(RECONNECT_S)
                return 0
            PUBLISHED.labels(item.queue).inc()
        return len(due)

    def _measure(self) -> None:
        """Now and then, and when nothing waits to be published."""
        if time.monotonic() < self._measured_at + MEASURE_S:
            return
        self._measured_at = time.monotonic()
        with self._runtime.database.transaction() as session:
            DEPTH.set(session.scalar(select(func.count()).select_from(OutboxItem)) or 0)
