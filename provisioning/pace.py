"""How fast and whether a NAS may be asked: a bucket of disconnects, and a breaker for one that does not answer.

Both live in one row per NAS, so that all workers of all nodes share them. The row is locked until the caller's
transaction ends, so that has to be before the NAS is asked. The breaker spares a dead NAS and us what is useless: after
SILENT_MAX time-outs in a row nobody tries for CLOSED_FOR, then one may.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from provisioning.models import NasPace

SILENT_MAX = 3
CLOSED_FOR = timedelta(seconds=20)
#: Nobody's turn is said to be later than this: the pace may be another by then.
TURN_MAX = timedelta(minutes=10)


class Line:
    """When those whom a NAS's pace keeps waiting come again: one after another, at that pace. If all of them came every
    few seconds, ten thousand would keep the workers busy with being sent away, and who paid would wait behind them.

    A place in the line is no disconnect: who comes takes one then, if he still needs it. Kept in the process, because a
    second node's line costs only tries; the disconnects themselves are shared.
    """

    def __init__(self) -> None:
        self._ends: dict[int, datetime] = {}
        self._lock = Lock()

    def is_long(self, nas_id: int, now: datetime) -> bool:
        """Whether somebody waits: who comes now goes behind, and need not lock the NAS's row to hear that."""
        return self._ends.get(nas_id, now) > now

    def wait(self, nas_id: int, per_minute: int, now: datetime) -> timedelta:
        """Until the turn of one more."""
        with self._lock:
            end = max(self._ends.get(nas_id, now), now) + timedelta(minutes=1) / per_minute
            self._ends[nas_id] = min(end, now + TURN_MAX)
            return self._ends[nas_id] - now


def take_disconnect(session: Session, nas_id: int, per_minute: int, now: datetime) -> bool:
    """Take one token; False when the NAS has had its disconnects for now. A bucket holds ten seconds' worth."""
    pace = _locked(session, nas_id, per_minute, now)
    burst = max(1.0, per_minute / 6)
    elapsed_s = max(0.0, (now - pace.filled_at).total_seconds())
    tokens = min(burst, pace.tokens + elapsed_s * per_minute / 60)
    granted = tokens >= 1
    # Whoever waited for the row comes with a moment that is past: time that was counted is not counted again.
    pace.tokens, pace.filled_at = tokens - granted, max(pace.filled_at, now)
    session.flush()
    return granted


def may_ask(session: Session, nas_id: int, now: datetime) -> bool:
    """Whether the breaker lets a request to this NAS through; the one that probes shuts it for the others."""
    closed_until = session.scalar(select(NasPace.closed_until).where(NasPace.nas_id == nas_id))
    if closed_until is None:
        return True
    probing = session.execute(
        update(NasPace)
        .where(NasPace.nas_id == nas_id, NasPace.closed_until <= now)
        .values(closed_until=now + CLOSED_FOR)
        .returning(NasPace.nas_id)
    ).first()
    return probing is not None


def record_answer(session: Session, nas_id: int) -> bool:
    """The NAS lives; True where it had been silent."""
    was_silent = session.execute(
        update(NasPace)
        .where(NasPace.nas_id == nas_id, (NasPace.silent > 0) | NasPace.closed_until.is_not(None))
        .values(silent=0, closed_until=None)
        .returning(NasPace.nas_id)
    )
    return was_silent.first() is not None


def record_silence(session: Session, nas_id: int, per_minute: int, now: datetime) -> bool:
    """One more time-out; True when this one shut the breaker."""
    pace = _locked(session, nas_id, per_minute, now)
    pace.silent += 1
    shut = pace.silent == SILENT_MAX
    if pace.silent >= SILENT_MAX:
        pace.closed_until = now + CLOSED_FOR
    session.flush()
    return shut


def _locked(session: Session, nas_id: int, per_minute: int, now: datetime) -> NasPace:
    session.execute(
        insert(NasPace).values(nas_id=nas_id, tokens=max(1.0, per_minute / 6), filled_at=now).on_conflict_do_nothing()
    )
    return session.scalars(select(NasPace).where(NasPace.nas_id == nas_id).with_for_update()).one()
