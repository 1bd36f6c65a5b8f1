"""Local access of a box, switched on and off by a person, and how far it has come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.network import Nas
from core.models.system import Change, ChangeKind
from provisioning.jobs.intents import check_manageable, get_intent, read_intent
from provisioning.local.done import PROBLEMS_MAX, Done
from provisioning.local.models import LocalAccess, LocalMode

EVERY: Final = timedelta(minutes=15)
#: Where sessions wait for their turn to end.
SOON: Final = timedelta(seconds=30)
#: Whoever was told to come is there by then, or died.
CLAIM: Final = timedelta(minutes=1)
FAILED_RETRY: Final = timedelta(seconds=15)


def get_local(session: Session, nas_id: int, *, lock: bool = False) -> LocalAccess:
    """Raises NotFound."""
    kept = session.get(LocalAccess, nas_id, with_for_update=lock, populate_existing=lock)
    if kept is None:
        raise NotFound("local access of NAS", nas_id)
    return kept


def set_local(session: Session, nas: Nas, mode: LocalMode, watch_seconds: int, actor: Actor) -> LocalAccess:
    """The box is read; nothing is changed there before it is approved. Raises Conflict, InvalidInput or NotFound."""
    if mode is LocalMode.LEAVING:
        raise InvalidInput("serve or standby; to leave it, delete it", field="mode")
    check_manageable(nas)
    intent = read_intent(get_intent(session, nas.id))
    if intent.profile is None:
        raise InvalidInput("the intent needs a profile: all others begin with it", field="profile")
    if mode is LocalMode.STANDBY and intent.radius is None:
        raise InvalidInput("standby watches the RADIUS servers of the intent: it has none", field="radius")
    if mode is LocalMode.SERVE and intent.radius is not None:
        raise InvalidInput("the intent has RADIUS: take standby, or leave `radius` out", field="mode")
    kept = session.get(LocalAccess, nas.id, with_for_update=True, populate_existing=True)
    if kept is None:
        kept = LocalAccess(nas_id=nas.id, mode=mode, approved_by=None)
        session.add(kept)
    elif (kept.mode, kept.watch_seconds) == (mode, watch_seconds):
        return kept
    kept.mode, kept.watch_seconds, kept.approved_by = mode, watch_seconds, None
    session.flush()
    audit.record(session, actor, "update", "local_access", nas.id, {"mode": mode, "watch_seconds": watch_seconds})
    look_now(session, kept)
    return kept


def approve(session: Session, kept: LocalAccess, actor: Actor) -> LocalAccess:
    """From now on the box is kept. Raises Conflict before anybody can have seen what that means."""
    if kept.approved_by is not None:
        return kept
    if kept.looked_at is None or kept.error is not None:
        raise Conflict("the box was not read yet: look at what there is to do first", field="nas_id")
    kept.approved_by = actor.name
    session.flush()
    audit.record(session, actor, "approve", "local_access", kept.nas_id, {"mode": kept.mode})
    events.record(session, "local_access.approved", "nas", kept.nas_id, mode=kept.mode, approved_by=actor.name)
    look_now(session, kept)
    return kept


def leave(session: Session, kept: LocalAccess, actor: Actor, *, keep_rows: bool = False) -> None:
    """What the box has of ours is taken away, or with `keep_rows` given back: then subscribers' secrets, profiles and
    queues stay as they are, without our mark. Sessions that are up go on until they end."""
    audit.record(session, actor, "delete", "local_access", kept.nas_id, {"mode": kept.mode, "keep_rows": keep_rows})
    if kept.approved_by is None:
        session.delete(kept)
        return
    kept.mode, kept.keep_rows = LocalMode.LEAVING, keep_rows
    session.flush()
    look_now(session, kept)


def let_go(session: Session, kept: LocalAccess, actor: Actor) -> LocalAccess:
    """The rows that were held back may go. Raises Conflict where there are none."""
    if not kept.held_back:
        raise Conflict("nothing is held back", field="held_back")
    audit.record(session, actor, "let_go", "local_access", kept.nas_id, {"rows": kept.held_back})
    kept.may_remove = True
    session.flush()
    look_now(session, kept)
    return kept


def look_now(session: Session, kept: LocalAccess) -> None:
    """Nobody waits for the clock."""
    _note(session, kept.nas_id, look_due_at=None, claimed_until=None)
    outbox.enqueue(session, topics.LOCAL_DUE, {"nas_id": kept.nas_id})


def owe_due(session: Session, now: datetime) -> int:
    """Boxes that are behind, or to be looked at; returns how many. Run by the clock."""
    newer = select(Change.revision).where(Change.kind == ChangeKind.SERVICE, Change.revision > LocalAccess.revision)
    due = or_(
        LocalAccess.revision.is_(None),
        LocalAccess.look_due_at.is_(None),
        LocalAccess.look_due_at <= now,
        (LocalAccess.approved_by.is_not(None) & newer.exists()),
    )
    free = or_(LocalAccess.claimed_until.is_(None), LocalAccess.claimed_until < now)
    nas_ids = session.scalars(select(LocalAccess.nas_id).where(due, free).with_for_update(skip_locked=True)).all()
    for nas_id in nas_ids:
        _note(session, nas_id, claimed_until=now + CLAIM)
        outbox.enqueue(session, topics.LOCAL_DUE, {"nas_id": nas_id})
    return len(nas_ids)


def is_look_due(kept: LocalAccess, now: datetime) -> bool:
    return kept.revision is None or kept.look_due_at is None or kept.look_due_at <= now


def look_again(session: Session, nas_id: int, now: datetime) -> None:
    """The feed does not reach back to what this box has seen."""
    _note(session, nas_id, revision=None, look_due_at=now, claimed_until=None)


def looked(session: Session, nas_id: int, done: Done, revision: int, now: datetime) -> None:
    kept = session.get(LocalAccess, nas_id, with_for_update=True, populate_existing=True)
    if kept is None:
        return
    if kept.mode is LocalMode.LEAVING and not done.problems:
        session.delete(kept)
        events.record(session, "local_access.left", "nas", nas_id)
        return
    _tell(session, kept, done)
    _note(
        session, nas_id, revision=revision, looked_at=now, look_due_at=now + (SOON if done.waiting else EVERY),
        claimed_until=None, services=done.services, in_use=bool(done.in_use), problems=done.problems[:PROBLEMS_MAX],
        to_do=done.to_do, error=None, held_back=done.held_back or None, may_remove=False,
    )  # fmt: skip


def followed(session: Session, nas_id: int, done: Done, revision: int, now: datetime) -> None:
    """The next look finds what waits, and tells what became of the problems."""
    kept = session.get(LocalAccess, nas_id, with_for_update=True, populate_existing=True)
    if kept is None:
        return
    problems = list(dict.fromkeys([*kept.problems, *done.problems]))[:PROBLEMS_MAX]
    soon = {"look_due_at": now + SOON} if done.waiting else {}
    _note(session, nas_id, revision=revision, problems=problems, claimed_until=None, error=None, **soon)


def settled(session: Session, nas_id: int) -> None:
    """Whoever was told to come found nothing to do: the next need not wait for him."""
    session.execute(
        update(LocalAccess)
        .where(LocalAccess.nas_id == nas_id, LocalAccess.claimed_until.is_not(None))
        .values(claimed_until=None, updated_at=LocalAccess.updated_at)
    )


def fail(session: Session, nas_id: int, detail: str, now: datetime) -> None:
    """It comes again soon; once it is back all of it is looked at."""
    kept = session.get(LocalAccess, nas_id)
    if kept is None:
        return
    if kept.error is None:
        events.record(session, "local_access.unreachable", "nas", nas_id, detail=detail)
    _note(session, nas_id, error=detail, claimed_until=now + FAILED_RETRY, look_due_at=now)


def _tell(session: Session, kept: LocalAccess, done: Done) -> None:
    if kept.error is not None:
        events.record(session, "local_access.reachable", "nas", kept.nas_id)
    if done.in_use is not None and done.in_use != kept.in_use:
        name = "local_access.radius_away" if done.in_use else "local_access.radius_back"
        events.record(session, name, "nas", kept.nas_id)
    if done.held_back and not kept.held_back:
        events.record(session, "local_access.held_back", "nas", kept.nas_id, rows=done.held_back)


def _note(session: Session, nas_id: int, **values: object) -> None:
    """It is no edit: its version stays."""
    session.execute(
        update(LocalAccess)
        .where(LocalAccess.nas_id == nas_id)
        .values(updated_at=LocalAccess.updated_at, **values)
        .execution_options(synchronize_session="fetch")
    )
