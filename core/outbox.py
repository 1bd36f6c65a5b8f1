"""Work that must follow a commit: a row written in the same transaction, gone only when the work is done.

    enqueue (in the transaction)  ->  relay publishes the row's id to its Celery queue and leases the row, as long as
                                      not too much waits there already
    ->  a worker runs the topic's handler in a transaction that deletes the row  ->  commit

Whatever dies in between, the lease runs out and the relay publishes again: a flushed broker, a killed worker or
a lost message delay the work, they never lose it. A second delivery finds no row, or finds it locked, and does
nothing. A handler that raises leaves the row with the error and a later `due_at`.

Work that follows from work need not go round by the broker: a worker that says `keep_own` is left the rows of its own
queue that its transaction owes. They are born leased to it, and it does them next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, bindparam, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from core.models.system import OutboxItem
from core.topics import Topic

#: Name of the NOTIFY channel that wakes the relay.
CHANNEL = "provedor_outbox"
#: How long a published row is left to its worker before it is published again.
LEASE = timedelta(seconds=20)
#: Rows of one transaction that are left to its worker; what is owed beyond that goes to whoever is free.
KEPT_MAX = 8
#: Longest pause between two attempts at the same work.
BACKOFF_MAX = timedelta(minutes=10)


class Item(NamedTuple):
    """The work of a row."""

    topic: str
    queue: str
    payload: dict[str, Any]


#: As a table, and built once: every piece of work comes by here, and has no use for objects that follow their rows.
_ROWS = cast("Table", OutboxItem.__table__)
_INSERT = insert(_ROWS).returning(_ROWS.c.id)
_INSERT_ALL = insert(_ROWS).inline()
_INSERT_LEASED = insert(_ROWS).values(due_at=func.now() + LEASE).returning(_ROWS.c.id)
_FREE = select(_ROWS.c.id).where(_ROWS.c.id == bindparam("item_id")).with_for_update(skip_locked=True)
_CLAIM = (
    delete(_ROWS).where(_ROWS.c.id == _FREE.scalar_subquery()).returning(_ROWS.c.topic, _ROWS.c.queue, _ROWS.c.payload)
)
_FORGET = delete(_ROWS).where(_ROWS.c.id == bindparam("item_id")).returning(_ROWS.c.id)


class Kept(NamedTuple):
    """Rows of this queue that are left to the worker whose transaction owes them."""

    queue: str
    item_ids: list[int]


_KEPT = "outbox_kept"


def keep_own(session: Session, queue: str) -> list[int]:
    """Leave to us what this transaction owes to `queue` now; once it has committed, the list says what that is."""
    kept = Kept(queue, [])
    session.info[_KEPT] = kept
    return kept.item_ids


def enqueue(session: Session, topic: Topic, payload: dict[str, Any], *, due_at: datetime | None = None) -> int:
    """Owe this work; returns the row's id. It starts when the transaction commits, or soon after `due_at`."""
    values: dict[str, Any] = {"topic": topic.name, "queue": topic.queue, "payload": payload}
    kept: Kept | None = session.info.get(_KEPT)
    own = kept is not None and due_at is None and kept.queue == topic.queue and len(kept.item_ids) < KEPT_MAX
    if due_at is not None:
        values["due_at"] = due_at
    item_id: int = session.execute(_INSERT_LEASED if own else _INSERT, values).scalar_one()
    if own and kept is not None:
        kept.item_ids.append(item_id)
    elif due_at is None:
        _wake_relay(session, topic)
    return item_id


def enqueue_all(session: Session, topic: Topic, payloads: Sequence[dict[str, Any]]) -> None:
    """Owe all of these at once; they go to whoever is free."""
    if payloads:
        rows = [{"topic": topic.name, "queue": topic.queue, "payload": payload} for payload in payloads]
        session.execute(_INSERT_ALL, rows)
        _wake_relay(session, topic)


def _wake_relay(session: Session, topic: Topic) -> None:
    """A NOTIFY is not free: all transactions that hold one commit one after another."""
    if topic.is_urgent:
        session.execute(text(f"NOTIFY {CHANNEL}"))


def forget(session: Session, item_id: int) -> bool:
    """The work was done another way; False when the row was gone already."""
    return session.execute(_FORGET, {"item_id": item_id}).first() is not None


def hasten(session: Session, topic_prefix: str) -> None:
    """What waits under these topics is due now: whatever it waited for is over."""
    session.execute(
        update(OutboxItem)
        .where(OutboxItem.topic.startswith(topic_prefix), OutboxItem.due_at > func.now())
        .values(due_at=func.now())
        .execution_options(synchronize_session=False)
    )
    session.execute(text(f"NOTIFY {CHANNEL}"))


def lease_due(session: Session, queue: str, limit: int) -> list[int]:
    """Take up to `limit` rows of a queue that are due, each leased for LEASE, oldest first; returns their ids."""
    lose_on_crash(session)  # then they are due still
    due = (
        select(OutboxItem.id)
        .where(OutboxItem.queue == queue, OutboxItem.due_at <= func.now())
        .order_by(OutboxItem.due_at, OutboxItem.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # Once: a plan that asked for each row anew would find others each time, the first being locked, and lease all.
        .cte("due")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    leased = session.execute(
        update(OutboxItem)
        .where(OutboxItem.id == due.c.id)
        .values(due_at=func.now() + LEASE)
        .returning(OutboxItem.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(leased.scalars())


def lose_on_crash(session: Session) -> None:
    """Commit without waiting for the disk: for what is simply done again if the database's machine dies."""
    session.execute(text("SET LOCAL synchronous_commit TO off"))


def claim(session: Session, item_id: int) -> Item | None:
    """The work, its row gone when this transaction commits; None when another has it or it is done."""
    row = session.execute(_CLAIM, {"item_id": item_id}).first()
    return None if row is None else Item(*row)


def record_failure(session: Session, item_id: int, error: str) -> None:
    """Keep the row for a later attempt: 1, 2, 4 … seconds, at most BACKOFF_MAX."""
    attempts = OutboxItem.attempts + 1
    pause = func.least(func.power(2.0, func.least(OutboxItem.attempts, 20)), BACKOFF_MAX.total_seconds())
    session.execute(
        update(OutboxItem)
        .where(OutboxItem.id == item_id)
        .values(
            attempts=attempts,
            last_error=error[:500],
            due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, pause),
        )
        .execution_options(synchronize_session=False)
    )
