"""A job's states. Whoever changes one holds the job's row."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.models.network import Nas
from core.nas_management import pin_host_key
from provisioning.jobs.engines import Look
from provisioning.jobs.intents import check_manageable, get_intent
from provisioning.jobs.models import AT_WORK, LIVE, JobState, ProvisioningJob

#: Whoever is at a job says so again, mostly within this; that nobody else is at its box is the lock's part.
CLAIM: Final = timedelta(seconds=20)
#: A box that could not be asked what became of a job is asked again after this.
UNKNOWN_RETRY: Final = timedelta(minutes=5)


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
    job.release, job.plan_encrypted, job.sessions = look.release, look.sealed, look.sessions
    job.commands, job.problems = list(look.commands), list(look.problems)
    job.host_key, job.cannot_undo = look.host_key, look.cannot_undo
    job.state = JobState.PLANNED if look.commands else JobState.IN_STEP
    job.claimed_until, job.finished_at = None, None if look.commands else now
    session.flush()
    events.record(session, f"provisioning.{job.state}", "nas", job.nas_id, job_id=job.id, steps=len(look.commands),
                  problems=len(look.problems))  # fmt: skip


def approve(
    session: Session, job: ProvisioningJob, actor: Actor, now: datetime, not_before: datetime | None = None, *,
    without_undo: bool = False,
) -> ProvisioningJob:  # fmt: skip
    """It is carried out now, or at a time; a host key that it shows is approved with it.

    Raises Conflict for one that no person is asked about, and for a box that cannot undo by itself, where that was not
    approved in so many words.
    """
    if job.state is not JobState.PLANNED:
        raise Conflict(f"job {job.id} is {job.state}, not planned", field="state")
    if job.cannot_undo is not None and not without_undo:
        raise Conflict(f"the box would not undo it by itself ({job.cannot_undo}): approve it with `without_undo`",
                       field="without_undo")  # fmt: skip
    nas = session.get_one(Nas, job.nas_id)
    if job.host_key is not None and nas.management is not None and nas.management["host_key"] is None:
        pin_host_key(session, nas, job.host_key, actor)
    job.state, job.approved_at, job.approved_by, job.not_before = JobState.APPROVED, now, actor.name, not_before
    session.flush()
    audit.record(session, actor, "approve", "provisioning_job", job.id, {"not_before": str(not_before or "now")})
    events.record(session, "provisioning.approved", "nas", job.nas_id, job_id=job.id, approved_by=actor.name)
    outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id}, due_at=not_before)
    return job


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
    ended = state not in LIVE
    job.state, job.detail = state, detail or None
    job.claimed_until = None if ended else now + UNKNOWN_RETRY
    job.finished_at, job.undo_by = (now, None) if ended else (None, job.undo_by)
    session.flush()
    events.record(session, f"provisioning.{state}", "nas", job.nas_id, job_id=job.id, detail=detail)


def owe_abandoned(session: Session, now: datetime) -> int:
    """Jobs whose worker said for too long nothing are somebody else's; returns how many."""
    abandoned = select(ProvisioningJob).where(ProvisioningJob.state.in_(AT_WORK), ProvisioningJob.claimed_until < now)
    jobs = session.scalars(abandoned.with_for_update(skip_locked=True)).all()
    for job in jobs:
        job.claimed_until = now + CLAIM
        outbox.enqueue(session, topics.PROVISIONING_DUE, {"job_id": job.id})
    return len(jobs)
