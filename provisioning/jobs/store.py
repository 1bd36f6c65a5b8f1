"""A job's states. Whoever changes one holds the job's row."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Final

from msgspec import to_builtins
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.models.network import Nas
from core.models.system import Role
from core.nas_management import pin_host_key
from provisioning.jobs import approval
from provisioning.jobs.engines import Look
from provisioning.jobs.intents import check_manageable, get_intent
from provisioning.jobs.models import AT_WORK, LIVE, JobState, ProvisioningJob

#: Whoever is at a job says so again, mostly within this; that nobody else is at its box is the lock's part.
CLAIM: Final = timedelta(seconds=20)
#: A box that could not be asked what became of a job is asked again soon, then later and later up to this.
UNKNOWN_RETRY: Final = timedelta(minutes=5)
UNKNOWN_RETRY_FIRST: Final = timedelta(seconds=5)


def get_job(session: Session, job_id: int, *, lock: bool = False) -> ProvisioningJob:
    """Raises NotFound."""
    job = session.get(ProvisioningJob, job_id, with_for_update=lock, populate_existing=lock)
    if job is None:
        raise NotFound("provisioning job", job_id)
    return job


def create_job(session: Session, nas: Nas, actor: Actor, now: datetime) -> ProvisioningJob:
    """The box is read and a plan is made. Raises Conflict while another job for it is not at its end, NotFound without
    an intent."""
    check_manageable(nas)
    get_intent(session, nas.id, lock=True)
    live = select(ProvisioningJob.id).where(ProvisioningJob.nas_id == nas.id, ProvisioningJob.state.in_(LIVE))
    other = session.scalar(live.limit(1))
    if other is not None:
        raise Conflict(f"job {other} for this NAS is not at its end: approve or cancel it first", field="nas_id")
    job = ProvisioningJob(nas_id=nas.id, created_by=actor.name, state=JobState.PLANNING, claimed_until=now + CLAIM)
    session.add(job)
    session.flush()
    audit.record(session, actor, "plan", "provisioning_job", job.id, {"nas_id": nas.id})
    outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id})
    return job


def keep_plan(session: Session, job: ProvisioningJob, look: Look, now: datetime) -> None:
    """What the box's plan is; without a step there is nothing to ask a person."""
    job.release, job.plan_encrypted = look.release, look.sealed
    job.sessions, job.touched, job.removed = look.sessions, look.touched, look.removed
    job.commands, job.problems = list(look.commands), list(look.problems)
    job.changes = to_builtins(look.changes)
    job.host_key, job.cannot_undo = look.host_key, look.cannot_undo
    job.state = JobState.PLANNED if look.commands else JobState.IN_STEP
    job.claimed_until, job.finished_at = None, None if look.commands else now
    session.flush()
    events.record(session, f"provisioning.{job.state}", "nas", job.nas_id, job_id=job.id, steps=len(look.commands),
                  problems=len(look.problems))  # fmt: skip


def approve(
    session: Session, job: ProvisioningJob, actor: Actor, now: datetime, zone: tzinfo,
    not_before: datetime | None = None, *, role: Role = Role.ADMIN, at_once: bool = False, without_undo: bool = False,
) -> ProvisioningJob:  # fmt: skip
    """It is carried out now or at a time, and in a window where it waits for one, unless a person says `at_once`.

    Raises Conflict for one that no person is asked about, that another person has to approve, or whose box cannot undo
    by itself where that was not approved in so many words, and Forbidden.
    """
    approval.check_approver(approval.get_policy(session), job.created_by, actor, role)
    if job.cannot_undo is not None and not without_undo:
        raise Conflict(f"the box would not undo it by itself ({job.cannot_undo}): approve it with `without_undo`",
                       field="without_undo")  # fmt: skip
    return release(session, job, actor, now, zone, not_before, at_once=at_once)


def release(
    session: Session, job: ProvisioningJob, actor: Actor, now: datetime, zone: tzinfo,
    not_before: datetime | None = None, *, at_once: bool = False,
) -> ProvisioningJob:  # fmt: skip
    """Approved by whoever may, with the host key that it shows. Raises Conflict for one that no person is asked about,
    or that needs a window."""
    if job.state is not JobState.PLANNED:
        raise Conflict(f"job {job.id} is {job.state}, not planned", field="state")
    nas = session.get_one(Nas, job.nas_id)
    if job.host_key is not None and nas.management is not None and nas.management["host_key"] is None:
        pin_host_key(session, nas, job.host_key, actor)
    after = max(now, not_before or now)
    opens = None if at_once else approval.due_at(approval.get_policy(session), job, after, zone)
    job.state, job.approved_at, job.approved_by = JobState.APPROVED, now, actor.name
    job.in_window, job.not_before = opens is not None, opens if opens is not None and opens > after else not_before
    session.flush()
    said = {"not_before": str(job.not_before or "now"), "in_window": job.in_window, "at_once": at_once}
    audit.record(session, actor, "approve", "provisioning_job", job.id, said)
    events.record(session, "provisioning.approved", "nas", job.nas_id, job_id=job.id, approved_by=actor.name,
                  not_before=None if job.not_before is None else job.not_before.isoformat())  # fmt: skip
    outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id}, due_at=job.not_before)
    return job


def begin(session: Session, job: ProvisioningJob, now: datetime, zone: tzinfo) -> bool:
    """An approved one runs from now on; False where its window has closed meanwhile, and it waits for the next."""
    if job.in_window:
        try:
            opens = approval.due_at(approval.get_policy(session), job, now, zone)
        except Conflict:
            finish(session, job, JobState.REFUSED, "there is no window for it any more: plan it again", now)
            return False
        if opens is not None and opens > now:
            _postpone(session, job, opens)
            return False
    job.state = JobState.RUNNING
    return True


def _postpone(session: Session, job: ProvisioningJob, opens: datetime) -> None:
    job.not_before, job.claimed_until = opens, None
    session.flush()
    events.record(session, "provisioning.postponed", "nas", job.nas_id, job_id=job.id, not_before=opens.isoformat())
    outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id}, due_at=opens)


def cancel(session: Session, job: ProvisioningJob, actor: Actor, now: datetime) -> ProvisioningJob:
    """One that runs undoes what it did; one of which nothing is known is given up. Raises Conflict for one that is at
    its end."""
    if job.state not in LIVE:
        raise Conflict(f"job {job.id} is {job.state}", field="state")
    job.cancelled_by = actor.name
    if job.state is not JobState.RUNNING:
        job.state, job.finished_at, job.claimed_until = JobState.CANCELLED, now, None
    session.flush()
    audit.record(session, actor, "cancel", "provisioning_job", job.id, {})
    events.record(session, "provisioning.cancelled", "nas", job.nas_id, job_id=job.id, cancelled_by=actor.name)
    return job


def finish(session: Session, job: ProvisioningJob, state: JobState, detail: str, now: datetime) -> None:
    """`detail`: why it is not done."""
    if state is JobState.UNKNOWN:
        _ask_later(session, job, now)
    else:
        job.claimed_until, job.finished_at, job.undo_by, job.unanswered = None, now, None, 0
    known = job.state is state
    job.state, job.detail = state, detail or None
    session.flush()
    if not known:
        events.record(session, f"provisioning.{state}", "nas", job.nas_id, job_id=job.id, detail=detail)


def is_long_unknown(job: ProvisioningJob) -> bool:
    """Its box was asked for some five minutes."""
    return job.state is JobState.UNKNOWN and _retry(job.unanswered) >= UNKNOWN_RETRY


def _ask_later(session: Session, job: ProvisioningJob, now: datetime) -> None:
    """A box that does not answer keeps no thread from the others meanwhile."""
    due_at = now + _retry(job.unanswered)
    job.unanswered, job.claimed_until = job.unanswered + 1, due_at + CLAIM
    outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id}, due_at=due_at)


def _retry(unanswered: int) -> timedelta:
    """Each twice the one before."""
    return min(UNKNOWN_RETRY_FIRST * (1 << min(unanswered, 10)), UNKNOWN_RETRY)


def owe_abandoned(session: Session, now: datetime) -> int:
    """Jobs whose worker said for too long nothing are somebody else's; returns how many."""
    abandoned = select(ProvisioningJob).where(ProvisioningJob.state.in_(AT_WORK), ProvisioningJob.claimed_until < now)
    jobs = session.scalars(abandoned.with_for_update(skip_locked=True)).all()
    for job in jobs:
        job.claimed_until = now + CLAIM
        outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id})
    return len(jobs)
