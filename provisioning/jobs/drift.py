"""Drift: whether each box still is what it should be, looked at by the clock and on demand. Nothing is changed by it.

What somebody changed at a box shows as what there would be to do; putting it back is a job like any other. A box that
another thread is at is looked at next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import to_builtins
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from core import events, outbox, topics
from provisioning.jobs.models import BrasIntent
from provisioning.routeros.planning.words import Told

EVERY: Final = timedelta(minutes=15)
#: Whoever looks is done by then, or died.
CLAIM: Final = timedelta(minutes=2)
#: Owed at a time; the next come with the clock, some seconds later.
LIMIT: Final = 200


def owe_due(session: Session, now: datetime) -> int:
    """Looks that are due; returns how many. Run by the clock."""
    due = (
        or_(BrasIntent.checked_at.is_(None), BrasIntent.checked_at <= now - EVERY),
        or_(BrasIntent.check_claimed_until.is_(None), BrasIntent.check_claimed_until < now),
    )
    query = select(BrasIntent.nas_id).where(*due).order_by(BrasIntent.checked_at.nulls_first()).limit(LIMIT)
    nas_ids = session.scalars(query.with_for_update(skip_locked=True)).all()
    for nas_id in nas_ids:
        owe(session, nas_id, now)
    return len(nas_ids)


def owe(session: Session, nas_id: int, now: datetime) -> None:
    """A person does not wait for the clock."""
    _note(session, nas_id, check_claimed_until=now + CLAIM)
    outbox.enqueue(session, topics.DRIFT_DUE, {"nas_id": nas_id})


def keep(
    session: Session, nas_id: int, commands: Sequence[str], changes: Sequence[Told], problems: Sequence[str],
    now: datetime,
) -> bool:  # fmt: skip
    """What there would be to do; whether that is news. A box that never was what it should be, as it is said now, has
    not drifted."""
    row = session.get_one(BrasIntent, nas_id, populate_existing=True)
    before, was_in_step = row.drift, row.in_step_at is not None
    _note(session, nas_id, drift=list(commands), drift_changes=to_builtins(changes), drift_problems=list(problems),
          checked_at=now, check_error=None, check_claimed_until=None,
          in_step_at=row.in_step_at if commands else now)  # fmt: skip
    drifted = was_in_step and bool(commands) and list(commands) != before
    if drifted:
        events.record(session, "provisioning.drifted", "nas", nas_id, steps=len(commands))
    elif was_in_step and before and not commands:
        events.record(session, "provisioning.drift_ended", "nas", nas_id)
    return drifted


def fail(session: Session, nas_id: int, detail: str, now: datetime) -> None:
    """It could not be looked at; what was seen last stays."""
    before = session.get_one(BrasIntent, nas_id).check_error
    _note(session, nas_id, checked_at=now, check_error=detail, check_claimed_until=None)
    if before is None:
        events.record(session, "provisioning.unreadable", "nas", nas_id, detail=detail)


def _note(session: Session, nas_id: int, **values: object) -> None:
    """It is no edit of the intent: its version stays."""
    session.execute(
        update(BrasIntent).where(BrasIntent.nas_id == nas_id).values(updated_at=BrasIntent.updated_at, **values)
    )
