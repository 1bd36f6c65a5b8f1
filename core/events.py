"""Domain events: what happened, in the transaction in which it happened, and the feed of them.

Ids are given when a row is written and seen when its transaction commits, so a reader that remembers an id misses a
lower one that commits later. The feed is therefore in the order of (transaction, id), and ends before the oldest
transaction that still runs: everything of the transactions before that one is there, and everything to come is after
it. A transaction that runs long holds the feed back for as long, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from typing import cast as typed

from sqlalchemy import BigInteger, Table, Text, cast, func, insert, select, tuple_
from sqlalchemy.orm import Session

from core.models.system import Event

#: As a table, and inline: nobody asks for the id, and an event accompanies every change.
_INSERT = insert(typed("Table", Event.__table__)).inline()


#: Type, kind of subject, its id, and payload.
Happened = tuple[str, str, int, dict[str, Any]]


class Position(NamedTuple):
    """A place in the feed: just after this event."""

    transaction_id: int
    event_id: int


START = Position(0, 0)


def record(session: Session, type_: str, subject_kind: str, subject_id: int, **payload: Any) -> None:  # noqa: ANN401
    """Add an event such as ("hold.placed", "service", 42, reason="billing")."""
    session.execute(_INSERT, {"type": type_, "subject": f"{subject_kind}:{subject_id}", "payload": payload})


def record_many(session: Session, happened: Sequence[Happened]) -> None:
    """Add many in one go."""
    if happened:
        session.execute(_INSERT, [
            {"type": type_, "subject": f"{kind}:{id_}", "payload": payload} for type_, kind, id_, payload in happened
        ])  # fmt: skip


def read_feed(
    session: Session, after: Position, limit: int, *, subject: str | None = None, type_: str | None = None
) -> Sequence[Event]:
    """The next events after a position; none is ever added before one that was read."""
    oldest_running = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
    query = select(Event).where(
        Event.transaction_id < oldest_running, tuple_(Event.transaction_id, Event.id) > tuple_(*after)
    )
    if subject is not None:
        query = query.where(Event.subject == subject)
    if type_ is not None:
        query = query.where(Event.type == type_)
    return session.scalars(query.order_by(Event.transaction_id, Event.id).limit(limit)).all()
