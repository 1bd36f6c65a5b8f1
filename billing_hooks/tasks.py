"""Billing's background work, for `provedor` to wire."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from billing_hooks.inbox import handle_stored
from billing_hooks.suspension import RunUnsafe, Suspension
from core import events, holds, topics
from core.clock import Clock
from core.work import Handler, Periodic

RUN_EVERY_S = 600.0
EXPIRE_EVERY_S = 5.0

log = structlog.get_logger()


def handlers(suspension: Suspension, clock: Clock) -> dict[str, Handler]:
    return {
        topics.INBOX_STORED.name: handle_stored(clock),
        topics.STANDING_CHANGED.name: suspension.handle_standing_changed,
        topics.BILLING_CHUNK.name: suspension.handle_chunk,
    }


def periodic(suspension: Suspension, clock: Clock) -> list[Periodic]:
    return [
        Periodic("billing.run", RUN_EVERY_S, lambda session: _run(session, suspension)),
        Periodic("core.expire_holds", EXPIRE_EVERY_S, lambda session: holds.expire_holds(session, now=clock())),
    ]


def _run(session: Session, suspension: Suspension) -> None:
    """The scheduled run; one that is not safe asks for a person by an event and changes nothing."""
    try:
        suspension.run(session)
    except RunUnsafe as refused:
        events.record(session, "billing.run_stopped", "billing_run", 0, detail=refused.detail)
        log.warning("billing run stopped", detail=refused.detail)
