"""What was written at routers for sessions that were up, taken away once these have ended.

A profile of ours takes entries away itself, the moment a session ends; this is for all other routers, and for queues.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as DatabaseSession

from aaa.coa import Outcome, OutcomeKind
from aaa.liveness import addressee_of
from core import outbox, topics
from core.database import Database
from core.keyring import Keyring
from core.models.network import Nas, Session
from core.work import Afterwards
from provisioning.models import LiveRow
from provisioning.routers import Routers

#: Taken up in one go; the next come with the clock, some seconds later.
LIMIT: Final = 500
#: A router that did not take them is asked again after this.
AGAIN: Final = timedelta(minutes=1)

log = structlog.get_logger()


def remember(session: DatabaseSession, session_id: int) -> None:
    session.execute(insert(LiveRow).values(session_id=session_id).on_conflict_do_nothing())


def owe_left(session: DatabaseSession, now: datetime) -> int:
    """Sessions that ended and left something; returns how many. Run by the clock."""
    free = or_(LiveRow.claimed_until.is_(None), LiveRow.claimed_until < now)
    ended = (
        select(LiveRow)
        .join(Session, Session.id == LiveRow.session_id, isouter=True)
        .where(free, or_(Session.id.is_(None), Session.stopped_at.is_not(None)))
        .limit(LIMIT)
        .with_for_update(of=LiveRow, skip_locked=True)
    )
    rows = session.scalars(ended).all()
    for row in rows:
        row.claimed_until = now + AGAIN
    outbox.enqueue_all(session, topics.LIVE_ROWS_LEFT, [{"session_id": row.session_id} for row in rows])
    return len(rows)


@dataclass(frozen=True, slots=True)
class Cleaner:
    """`conclusions` runs what waits for the database once a router has answered."""

    database: Database
    keyring: Keyring
    routers: Routers
    conclusions: Executor

    def handle_left(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of LIVE_ROWS_LEFT."""
        session_id = payload["session_id"]
        found = session.execute(
            select(Session, Nas).join(Nas, Nas.id == Session.nas_id).where(Session.id == session_id)
        ).first()
        access = addressee_of(found[0], found[1], self.keyring).routeros if found else None
        if access is None:  # nobody may go there any more
            _forget(session, session_id)
            return None
        return lambda: self.routers.clear(access, session_id, lambda outcome: self._cleared(session_id, outcome))

    def _cleared(self, session_id: int, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.ACK:
            self.conclusions.submit(self._conclude, session_id)

    def _conclude(self, session_id: int) -> None:
        try:
            with self.database.transaction() as session:
                _forget(session, session_id)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.warning("what a session left is asked about again", session=session_id, error=type(error).__name__)


def _forget(session: DatabaseSession, session_id: int) -> None:
    session.execute(delete(LiveRow).where(LiveRow.session_id == session_id))
