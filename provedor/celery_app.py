"""Celery: one task that does the work of outbox rows, one that runs a periodic job.

The broker carries ids, never the work itself, several in a message where much is due. A message that is lost is
published again when its rows' leases run out; one that comes twice finds no row, or finds it locked.
"""

from __future__ import annotations

import contextlib
from collections import deque

import structlog
from celery import Celery
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import OperationalError

from core import outbox
from core.work import Handler, Periodic
from provedor.runtime import Runtime
from provedor.work import work_of

WORK_TASK = "provedor.work"
PERIODIC_TASK = "provedor.periodic"
#: Short, so that a frozen broker delays nobody: what could not be published is published again.
SOCKET_TIMEOUT_S = 2.0

WORK = Counter("provedor_work_total", "Outbox work by topic and outcome", ["topic", "outcome"])
WORK_SECONDS = Histogram("provedor_work_seconds", "Time a handler took", ["topic"])
log = structlog.get_logger()


def make_app(broker_url: str) -> Celery:
    """For publishing; `register` adds the tasks where they are to run."""
    app = Celery("provedor", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_default_queue="default",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            # A lost message is published again when its row's lease has run out, so what the Redis transport does with
            # every message to survive a lost worker is done for nothing: a third of a payment's time in the worker.
            "ack_emulation": False,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "retry_on_timeout": False,
        },
        task_serializer="json",
        accept_content=["json"],
    )
    return app


def register(app: Celery, runtime: Runtime) -> None:
    here = work_of(runtime)
    handlers = here.handlers()
    jobs = {job.name: job for job in here.periodic()}

    @app.task(name=WORK_TASK)  # type: ignore[untyped-decorator]
    def work(item_ids: list[int]) -> None:
        for item_id in item_ids:
            do_work(here, handlers, item_id)

    @app.task(name=PERIODIC_TASK)  # type: ignore[untyped-decorator]
    def periodic(name: str) -> None:
        run_job(here, jobs[name])

    app.conf.beat_schedule = {
        name: {
            "task": PERIODIC_TASK,
            "schedule": job.every_s,
            "args": [name],
            # A run that nobody fetched in time is not worth two: the next is on its way.
            "options": {"queue": job.queue, "expires": job.every_s},
        }
        for name, job in jobs.items()
    }


def run_job(runtime: Runtime, job: Periodic) -> None:
    """One run of a periodic job; one that fails comes again with the clock."""
    try:
        with runtime.database.transaction() as session:
            job.run(session)
    except Exception as error:  # noqa: BLE001  (whatever it is, there is nobody to raise it to)
        WORK.labels(job.name, "failed").inc()
        log.warning("periodic work failed, it comes again", job=job.name, error=type(error).__name__)


def do_work(runtime: Runtime, handlers: dict[str, Handler], item_id: int) -> None:
    """Do the work of one outbox row, and then what followed from it on the same queue: of each piece its own first."""
    to_do = deque([item_id])
    while to_do:
        to_do.extendleft(reversed(_do_one(runtime, handlers, to_do.popleft())))


def _do_one(runtime: Runtime, handlers: dict[str, Handler], item_id: int) -> list[int]:
    """Run the handler of one outbox row in the transaction that takes the row; returns the rows it left to us."""
    topic = "gone"
    try:
        with runtime.database.transaction() as session:
            item = outbox.claim(session, item_id)
            if item is None:
                return []
            topic = item.topic
            following = outbox.keep_own(session, item.queue)
            with WORK_SECONDS.labels(topic).time():
                afterwards = handlers[topic](session, item.payload)
    except Exception as error:  # noqa: BLE001  (whatever it is, the row stays and is tried again)
        WORK.labels(topic, "failed").inc()
        log.warning("work failed, it will be tried again", item_id=item_id, topic=topic, error=type(error).__name__)
        _keep_failure(runtime, item_id, error)
        return []
    if afterwards is not None:
        afterwards()
    WORK.labels(topic, "done").inc()
    return following


def _keep_failure(runtime: Runtime, item_id: int, error: Exception) -> None:
    """With the row, for who looks; while the database is away, the row comes again when its lease has run out."""
    with contextlib.suppress(OperationalError), runtime.database.transaction() as session:
        outbox.record_failure(session, item_id, f"{type(error).__name__}: {error}")
