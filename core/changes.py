"""The revision feed: what RADIUS nodes must learn, in an order that equals commit order.

`note` collects what a transaction touches; `seal` runs just before the commit and writes the entries as the
last statements, under a transaction lock. Nobody else can take a later revision until this transaction has
committed, so a follower that has seen revision N has missed nothing below it. Large changes come in chunks
(one transaction each), so that the lock is never held long.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from core.models.system import Change, ChangeKind, Setting

#: Key of the advisory lock that serialises revision allocation.
LOCK_KEY = 0x50524F56
#: Name of the NOTIFY channel; the payload is empty, followers read the table.
CHANNEL = "provedor_change"
#: Setting that names this database's history; a restore from backup makes a new one.
EPOCH_KEY = "feed_epoch"

_NOTED = "noted_changes"
#: One statement, so that nobody holds the lock for longer than his commit takes: whoever pays waits for it. No row is
#: made, and so no revision taken, before `locked` has its one.
_SEAL = text(
    """
    WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(:key))
    INSERT INTO change (revision, kind, ref_id)
    SELECT nextval('change_revision'), kind, ref_id FROM (
      SELECT noted.kind, noted.ref_id
      FROM locked,
        unnest(CAST(:kinds AS text[]), CAST(:ref_ids AS bigint[])) WITH ORDINALITY AS noted (kind, ref_id, place)
      ORDER BY noted.place) AS ordered
    """
)


def note(session: Session, kind: ChangeKind, ref_id: int) -> None:
    """Remember that this transaction changed what RADIUS nodes know about `ref_id`."""
    session.info.setdefault(_NOTED, {})[kind, ref_id] = None


def seal(session: Session) -> None:
    """Write the noted changes; called by the session just before it commits.

    And before a savepoint ends, which is no end: the lock would be held for all that the transaction has still to do,
    and everybody who pays meanwhile would wait for it.
    """
    if session.in_nested_transaction():
        return
    noted = session.info.pop(_NOTED, None)
    if not noted:
        return
    session.flush()
    session.execute(text(f"NOTIFY {CHANNEL}"))
    kinds, ref_ids = zip(*((kind.value, ref_id) for kind, ref_id in noted), strict=True)
    session.execute(_SEAL, {"key": LOCK_KEY, "kinds": list(kinds), "ref_ids": list(ref_ids)})


def forget_before(session: Session, days: int = 2) -> int:
    """Drop entries that every follower has long read; returns how many. A node behind that reloads in full."""
    newest = select(func.max(Change.revision)).scalar_subquery()
    age = func.now() - func.make_interval(0, 0, 0, days)
    return session.execute(delete(Change).where(Change.at < age, Change.revision < newest)).rowcount  # type: ignore[attr-defined, no-any-return]


def feed_epoch(session: Session) -> str:
    """The identity of this database's history of revisions."""
    setting = session.get_one(Setting, EPOCH_KEY)
    return str(setting.value["epoch"])
