"""Rollouts: the same care for many boxes. A canary first, then waves, and a stop at the first harm.

    planning   every box is read; each has a job of its own
    planned    a person looks at all of it
    running    the canary's jobs are approved, then wave after wave, each when the one before is done and has stood
    done, stopped, cancelled

Harm is a job that is not done, or a box that has lost sessions by the time the next wave would begin. What was done
stays done; the boxes of later waves are not touched. All of it is read from the jobs, so whoever looks next goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, events, network
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.network import Session as LiveSession
from core.models.network import SessionKind
from core.models.system import Role
from provisioning.jobs import approval, store
from provisioning.jobs.models import LIVE, JobState, ProvisioningJob, Rollout, RolloutState

BOXES_MAX: Final = 1000
#: Of the sessions that a box had when its job was approved so many may be gone, because people hang up, too.
SESSIONS_LOST_SHARE: Final = 0.1
SESSIONS_LOST: Final = 5
_HARM: Final = frozenset({JobState.UNDONE, JobState.REFUSED, JobState.CANCELLED})
_OVER: Final = frozenset({RolloutState.DONE, RolloutState.STOPPED, RolloutState.CANCELLED})


def get_rollout(session: Session, rollout_id: int, *, lock: bool = False) -> Rollout:
    """Raises NotFound."""
    rollout = session.get(Rollout, rollout_id, with_for_update=lock, populate_existing=lock)
    if rollout is None:
        raise NotFound("rollout", rollout_id)
    return rollout


def jobs_of(session: Session, rollout: Rollout) -> Sequence[ProvisioningJob]:
    """In the order in which they are done."""
    query = select(ProvisioningJob).where(ProvisioningJob.rollout_id == rollout.id).order_by(ProvisioningJob.id)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def create_rollout(
    session: Session, nas_ids: Sequence[int], actor: Actor, now: datetime, *, canary: int, wave_size: int,
    soak_seconds: int,
) -> Rollout:  # fmt: skip
    """Every box is read. Raises what `store.create_job` raises, for the first box of which that is so."""
    wanted = list(dict.fromkeys(nas_ids))
    if not 1 <= len(wanted) <= BOXES_MAX:
        raise InvalidInput(f"1 to {BOXES_MAX} boxes", field="nas_ids")
    rollout = Rollout(created_by=actor.name, canary=canary, wave_size=wave_size, soak_seconds=soak_seconds)
    session.add(rollout)
    session.flush()
    for nas_id in wanted:
        store.create_job(session, network.get_nas(session, nas_id), actor, now).rollout_id = rollout.id
    session.flush()
    audit.record(session, actor, "plan", "rollout", rollout.id, {"nas_ids": wanted})
    return rollout


def approve(
    session: Session, rollout: Rollout, actor: Actor, now: datetime, zone: tzinfo, *, role: Role = Role.ADMIN,
    at_once: bool = False,
) -> Rollout:  # fmt: skip
    """The canary begins, in its window. Raises Conflict for one that no person is asked about, or that another has to
    approve, or of which a box needs a window and has none, and Forbidden."""
    if rollout.state is not RolloutState.PLANNED:
        raise Conflict(f"rollout {rollout.id} is {rollout.state}, not planned", field="state")
    policy = approval.get_policy(session)
    approval.check_approver(policy, rollout.created_by, actor, role)
    planned = [job for job in jobs_of(session, rollout) if job.state is JobState.PLANNED]
    for job in planned:
        if job.cannot_undo is not None:
            raise Conflict(
                f"the box of job {job.id} would not undo it by itself ({job.cannot_undo}): approve it alone",
                field="nas_ids",
            )
    for job in () if at_once else planned:
        approval.due_at(policy, job, now, zone)
    rollout.state, rollout.approved_by, rollout.approved_at = RolloutState.RUNNING, actor.name, now
    rollout.at_once = at_once
    for number, job in enumerate(planned):
        job.wave = 0 if number < rollout.canary else 1 + (number - rollout.canary) // rollout.wave_size
    session.flush()
    audit.record(session, actor, "approve", "rollout", rollout.id, {"boxes": len(planned), "at_once": at_once})
    events.record(session, "rollout.approved", "rollout", rollout.id, approved_by=actor.name, boxes=len(planned))
    _begin_wave(session, rollout, 0, now, zone)
    return rollout


def cancel(session: Session, rollout: Rollout, actor: Actor, now: datetime) -> Rollout:
    """What is done stays; what runs is undone. Raises Conflict for one that is at its end."""
    if rollout.state in _OVER:
        raise Conflict(f"rollout {rollout.id} is {rollout.state}", field="state")
    for job in jobs_of(session, rollout):
        if job.state in LIVE:
            store.cancel(session, store.get_job(session, job.id, lock=True), actor, now)
    audit.record(session, actor, "cancel", "rollout", rollout.id, {})
    _end(session, rollout, RolloutState.CANCELLED, f"cancelled by {actor.name}", now)
    return rollout


def advance_all(session: Session, now: datetime, zone: tzinfo) -> None:
    """Each rollout goes on as far as it may. Run by the clock."""
    going = select(Rollout).where(Rollout.state.in_({RolloutState.PLANNING, RolloutState.RUNNING}))
    for rollout in session.scalars(going.order_by(Rollout.id).with_for_update(skip_locked=True)).all():
        _advance(session, rollout, now, zone)


def _advance(session: Session, rollout: Rollout, now: datetime, zone: tzinfo) -> None:
    jobs = jobs_of(session, rollout)
    if rollout.state is RolloutState.PLANNING:
        if all(job.state is not JobState.PLANNING for job in jobs):
            rollout.state = RolloutState.PLANNED
            events.record(session, "rollout.planned", "rollout", rollout.id)
        return
    begun = [job for job in jobs if job.wave is not None and job.state is not JobState.PLANNED]
    harm = _harm(session, begun)
    if harm is not None:
        _stop(session, rollout, jobs, harm, now)
    elif all(job.state is JobState.DONE for job in begun) and _has_stood(rollout, begun, now):
        _go_on(session, rollout, jobs, begun, now, zone)


def _go_on(
    session: Session, rollout: Rollout, jobs: Sequence[ProvisioningJob], begun: Sequence[ProvisioningJob],
    now: datetime, zone: tzinfo,
) -> None:  # fmt: skip
    left = [job.wave for job in jobs if job.wave is not None and job.state is JobState.PLANNED]
    if not left:
        _end(session, rollout, RolloutState.DONE, f"{len(begun)} boxes are as they should be", now)
        return
    try:
        _begin_wave(session, rollout, min(left), now, zone)
    except Conflict as error:  # the policy is another since
        _stop(session, rollout, jobs, error.detail, now)


def _begin_wave(session: Session, rollout: Rollout, wave: int, now: datetime, zone: tzinfo) -> None:
    actor = Actor(f"rollout:{rollout.id} by {rollout.approved_by}")
    for job in jobs_of(session, rollout):
        if job.wave == wave and job.state is JobState.PLANNED:
            job.online_before = online(session, job.nas_id)
            held = store.get_job(session, job.id, lock=True)
            store.release(session, held, actor, now, zone, at_once=rollout.at_once)
    events.record(session, "rollout.wave", "rollout", rollout.id, wave=wave)


def _harm(session: Session, begun: Sequence[ProvisioningJob]) -> str | None:
    for job in begun:
        if job.state in _HARM or store.is_long_unknown(job):
            return f"job {job.id} is {job.state}: {job.detail or job.cancelled_by}"
    for job in begun:
        if job.state is JobState.DONE and job.online_before is not None:
            lost = job.online_before - online(session, job.nas_id)
            if lost > SESSIONS_LOST + SESSIONS_LOST_SHARE * job.online_before:
                return f"NAS {job.nas_id} of job {job.id} lost {lost} of {job.online_before} sessions"
    return None


def _has_stood(rollout: Rollout, begun: Sequence[ProvisioningJob], now: datetime) -> bool:
    """Long enough since the last of them was done."""
    last = max((job.finished_at for job in begun if job.finished_at is not None), default=None)
    return last is None or last + timedelta(seconds=rollout.soak_seconds) <= now


def _stop(session: Session, rollout: Rollout, jobs: Sequence[ProvisioningJob], why: str, now: datetime) -> None:
    """What runs is let run to its end; what was not begun is not."""
    for job in jobs:
        if job.state in {JobState.PLANNED, JobState.APPROVED}:
            store.cancel(session, store.get_job(session, job.id, lock=True), Actor(f"rollout:{rollout.id}"), now)
    _end(session, rollout, RolloutState.STOPPED, why, now)


def _end(session: Session, rollout: Rollout, state: RolloutState, detail: str, now: datetime) -> None:
    rollout.state, rollout.detail, rollout.finished_at = state, detail, now
    session.flush()
    events.record(session, f"rollout.{state}", "rollout", rollout.id, detail=detail)


def online(session: Session, nas_id: int) -> int:
    """By our own count."""
    live = (LiveSession.nas_id == nas_id, LiveSession.stopped_at.is_(None), LiveSession.kind == SessionKind.LINE)
    return session.scalar(select(func.count()).select_from(LiveSession).where(*live)) or 0
