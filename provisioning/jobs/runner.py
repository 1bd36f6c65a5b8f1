"""Who does the jobs: a thread for each box that is at work, and never two at one box.

A box is locked by an advisory lock of a database connection that does nothing else: it ends with the process, and
whoever takes over can tell. What a died process left half-done, the next one undoes, or finds done.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from core import outbox, topics
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.models.network import Nas
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provisioning.backups import store as backups
from provisioning.backups.keeper import Backups
from provisioning.backups.models import Why
from provisioning.credentials.keeper import Rotations
from provisioning.jobs import drift, store
from provisioning.jobs.alone import alone_at
from provisioning.jobs.engines import BoxKind, Engine, kind_of
from provisioning.jobs.models import AT_WORK, JobState, ProvisioningJob
from provisioning.jobs.routeros_engine import RouterOsEngine
from provisioning.outcome import Doubt, Outcome, Result
from provisioning.routeros.client import RouterOs

#: A box that another job has is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=5)
#: Progress is written no more often.
TOLD_EVERY: Final = timedelta(seconds=1)
_STATES: Final = {
    Outcome.DONE: JobState.DONE, Outcome.REFUSED: JobState.REFUSED, Outcome.UNDONE: JobState.UNDONE,
    Outcome.UNKNOWN: JobState.UNKNOWN,
}  # fmt: skip

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Provisioner:
    """`wait`: for so many seconds, between looks at a box that does not answer. `zone`: of windows. `napalm`: for all
    boxes but RouterOS."""

    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock
    wait: Callable[[float], None]
    zone: tzinfo = UTC
    napalm: Engine | None = None

    @property
    def backups(self) -> Backups:
        return Backups(self.database, self.keyring, self.connect, self.threads, self.clock, self.wait)

    @property
    def rotations(self) -> Rotations:
        return Rotations(self.database, self.keyring, self.connect, self.threads, self.clock)

    def handle_due(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of PROVISIONING_DUE: a job is to be planned, carried out, or taken over."""
        job = session.get(ProvisioningJob, payload["job_id"], with_for_update=True, populate_existing=True)
        if job is None or job.state not in AT_WORK:
            return None
        job.claimed_until = self.clock() + store.CLAIM
        return lambda: self._submit(payload["job_id"])

    def handle_drift(self, _session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of DRIFT_DUE."""
        return lambda: self._submit_look(payload["nas_id"])

    def _submit(self, job_id: int) -> None:
        self.threads.submit(self._run, job_id)

    def _submit_look(self, nas_id: int) -> None:
        self.threads.submit(self._look_for_drift, nas_id)

    def _look_for_drift(self, nas_id: int) -> None:
        """In a thread. One that fails comes again with the clock."""
        try:
            with alone_at(self.database, nas_id) as alone:
                if alone:
                    self._keep_drift(nas_id)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.error("a look for drift failed, it will come again", nas_id=nas_id, error=type(error).__name__)

    def _keep_drift(self, nas_id: int) -> None:
        try:
            look = self._engine(nas_id).look(nas_id, asked=False)
        except ProvedorError as error:
            with self.database.transaction() as session:
                drift.fail(session, nas_id, error.detail, self.clock())
            return
        with self.database.transaction() as session:
            if drift.keep(session, nas_id, look.commands, look.changes, look.problems, self.clock()):
                # while its log still says who it was
                backups.owe(session, nas_id, Why.DRIFT, self.clock())

    def _run(self, job_id: int) -> None:
        """In a thread. One that fails comes again with its claim."""
        try:
            with self.database.transaction() as session:
                nas_id = store.get_job(session, job_id).nas_id
            with alone_at(self.database, nas_id) as alone:
                self._work(job_id) if alone else self._later(job_id)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.error("a provisioning job failed, it will be taken up again", job=job_id, error=type(error).__name__)

    def _work(self, job_id: int) -> None:
        with self.database.transaction() as session:
            job = store.get_job(session, job_id, lock=True)
            state = job.state
            if state is JobState.APPROVED and not store.begin(session, job, self.clock(), self.zone):
                return
        if state is JobState.PLANNING:
            self._plan(job_id, job.nas_id)
        elif state is JobState.APPROVED:
            self._carry_out(job_id, job.nas_id)
        elif state in {JobState.RUNNING, JobState.UNKNOWN}:
            engine = self._engine(job.nas_id)
            self._conclude(engine, job_id, engine.change(job_id, self._journal(job_id)).take_over())
            self.backups.try_to_take(job.nas_id, Why.AFTER_CHANGE, job_id)

    def _carry_out(self, job_id: int, nas_id: int) -> None:
        """With what the box was before, and is after it, kept."""
        engine = self._engine(nas_id)
        try:
            self.backups.take(nas_id, Why.BEFORE_CHANGE, job_id)
        except ProvedorError as error:
            self._finish(job_id, JobState.REFUSED, f"its configuration could not be kept first: {error.detail}")
            return
        self._conclude(engine, job_id, engine.change(job_id, self._journal(job_id)).run())
        self.backups.try_to_take(nas_id, Why.AFTER_CHANGE, job_id)

    def _plan(self, job_id: int, nas_id: int) -> None:
        try:
            look = self._engine(nas_id).look(nas_id, asked=True)
        except ProvedorError as error:
            self._finish(job_id, JobState.REFUSED, error.detail)
            return
        with self.database.transaction() as session:
            job = store.get_job(session, job_id, lock=True)
            if job.state is JobState.PLANNING:  # else it was cancelled
                store.keep_plan(session, job, look, self.clock())
            drift.keep(session, nas_id, look.commands, look.changes, look.problems, self.clock())

    def _engine(self, nas_id: int) -> Engine:
        """Raises Conflict."""
        with self.database.transaction() as session:
            kind = kind_of(session.get_one(Nas, nas_id))
        if kind is BoxKind.NAPALM and self.napalm is not None:
            return self.napalm
        return RouterOsEngine(self.database, self.keyring, self.connect, self.clock, self.wait)

    def _journal(self, job_id: int) -> _Journal:
        return _Journal(self.database, self.clock, job_id)

    def _conclude(self, engine: Engine, job_id: int, result: Result) -> None:
        state = _STATES[result.outcome]
        with self.database.transaction() as session:
            job = store.get_job(session, job_id, lock=True)
            if state is JobState.DONE:
                problems = engine.keep_done(session, job)
                job.steps_applied = len(job.commands)
                drift.keep(session, job.nas_id, (), (), problems, self.clock())
            elif job.cancelled_by is not None and state is JobState.UNDONE:
                state = JobState.CANCELLED
            store.finish(session, job, state, result.detail, self.clock())

    def _finish(self, job_id: int, state: JobState, detail: str) -> None:
        with self.database.transaction() as session:
            store.finish(session, store.get_job(session, job_id, lock=True), state, detail, self.clock())

    def _later(self, job_id: int) -> None:
        with self.database.transaction() as session:
            outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job_id}, due_at=self.clock() + BUSY_RETRY)


@dataclass(slots=True)
class _Journal:
    """Says how far a job came, and that somebody is at it; hears whether somebody cancelled it."""

    database: Database
    clock: Clock
    job_id: int
    _told_at: datetime | None = field(default=None)

    def armed(self, by: str) -> None:
        with self.database.transaction() as session:
            store.get_job(session, self.job_id, lock=True).undo_by = str(by)

    def applied(self, steps: int) -> None:
        """Raises Doubt where it was cancelled."""
        now = self.clock()
        if self._told_at is not None and now < self._told_at + TOLD_EVERY:
            return
        self._told_at = now
        with self.database.transaction() as session:
            job = store.get_job(session, self.job_id, lock=True)
            job.steps_applied, job.claimed_until = steps, now + store.CLAIM
            cancelled_by = job.cancelled_by
        if cancelled_by is not None:
            raise Doubt(f"cancelled by {cancelled_by}")
