"""The relay: publishes due outbox rows to Celery. It wakes on NOTIFY and looks by itself besides.

A row is leased when it is taken; what the broker does not accept keeps its lease and is published again when that has
run out, so a broker that is frozen, flushed or away costs time and nothing else.

No more is handed to the broker than workers do while the lease runs: whatever waited there for longer would be
published a second time. Where much is due, a message carries several ids, because a message costs more than many a
piece of work; where little is due, each has its own, so that all threads of a worker have something to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import kombu.exceptions
import psycopg
import redis
import sqlalchemy.exc
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select

from core import outbox, topics
from core.models.system import OutboxItem
from provedor.celery_app import WORK_TASK, make_app
from provedor.runtime import Runtime

#: Messages that wait in the broker for a worker of their queue, and ids that one carries.
WAITING_MAX = 32
TOGETHER_MAX = 8
#: While so many wait, all threads of a worker have something to do.
BUSY_FROM = 8
#: Work comes due without a NOTIFY, too; this is how late it may be.
POLL_S = 0.25
#: The pause where workers are busy: what comes due meanwhile is published together.
BUSY_S = 0.05
RECONNECT_S = 1.0
MEASURE_S = 1.0

PUBLISHED = Counter("provedor_outbox_published_total", "Outbox rows handed to the broker", ["queue"])
REFUSED = Counter("provedor_outbox_refused_total", "Times that the broker took nothing")
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
                busy = {queue for queue in topics.QUEUES if self.publish_due(queue)}
                self._measure()
                if topics.ENFORCE in busy:
                    self._stopped.wait(BUSY_S)
                    continue
                for _ in listener.notifies(timeout=BUSY_S if busy else POLL_S, stop_after=1):
                    break

    def publish_due(self, queue: str) -> bool:
        """Publish what is due now; True where its workers have all that they can do for the moment."""
        try:
            waiting = self._waiting(queue)
            if waiting >= WAITING_MAX:
                return True
            with self._runtime.database.transaction() as session:
                due = outbox.lease_due(session, queue, TOGETHER_MAX * (WAITING_MAX - waiting))
            self._publish(queue, due, waiting)
        except _BROKER_AWAY as error:
            REFUSED.inc()
            log.warning("relay: broker away, the work waits", queue=queue, error=type(error).__name__)
            self._stopped.wait(RECONNECT_S)
            return False
        return waiting + len(due) >= BUSY_FROM

    def _publish(self, queue: str, due: Sequence[int], waiting: int) -> None:
        """Each by itself where a worker's threads wait for something to do, else several in a message."""
        together = min(TOGETHER_MAX, -(-len(due) // max(1, BUSY_FROM - waiting)))
        for first in range(0, len(due), max(1, together)):
            self._app.send_task(WORK_TASK, args=[due[first : first + together]], queue=queue, retry=False)
        PUBLISHED.labels(queue).inc(len(due))

    def _waiting(self, queue: str) -> int:
        """Messages that no worker has fetched."""
        with self._app.pool.acquire(block=True) as connection:
            declared = self._app.amqp.queues[queue].bind(connection.default_channel).queue_declare()
            return int(declared.message_count)

    def _measure(self) -> None:
        """Now and then, and when nothing waits to be published."""
        if time.monotonic() < self._measured_at + MEASURE_S:
            return
        self._measured_at = time.monotonic()
        with self._runtime.database.transaction() as session:
            DEPTH.set(session.scalar(select(func.count()).select_from(OutboxItem)) or 0)
