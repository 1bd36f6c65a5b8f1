"""The RADIUS nodes that leases wait for: what each knows, and until when what it acknowledged is stored.

An address changes hands only once every node knows that it does, and once everything that any node acknowledged is
stored: a Start in the spool of a node that is dead, or cut off from the database and still serving, tells of somebody
who has it. So nothing changes hands without a node that is silent, until it is back, or an operator says that it never
will be (`forget`). Then SETTLED_AFTER more, in which boxes tell another node of the sessions whose Start was lost.

A node that was forgotten and comes back joins anew, with a whole snapshot: what it knew is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import CursorResult, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools.models import RadiusNode
from core import audit, events
from core.audit import Actor
from core.errors import Conflict, NotFound

#: Feeders say every few seconds how far they are.
MISSED_AFTER: Final = timedelta(seconds=60)
#: What a lost spool held is known again by then: three Interim-Updates of the usual five minutes.
SETTLED_AFTER: Final = timedelta(minutes=15)

_NODES: Final = """
  SELECT n.name, n.revision, n.seen_at, n.forgotten_at, s.until AS stored_until
  FROM radius_node n
  LEFT JOIN (SELECT node, min(shipped_until) AS until FROM spool_position GROUP BY node) s ON s.node = n.name
"""
_STORED_UNTIL: Final = text(
    f"""
    SELECT least(min(CASE
      WHEN forgotten_at IS NULL THEN coalesce(stored_until, to_timestamp(0))
      WHEN forgotten_at > :lost_since THEN to_timestamp(0) END), :now)
    FROM ({_NODES}) nodes
    """  # noqa: S608
)


class NodeView(NamedTuple):
    """`stored_until`: what it acknowledged before is in the database; None as long as it never said so."""

    name: str
    revision: int
    seen_at: datetime
    forgotten_at: datetime | None
    stored_until: datetime | None


def join(session: DatabaseSession, name: str, now: datetime) -> None:
    """A node is about to read a whole snapshot: whatever is revoked from now on waits for it."""
    values = {"revision": 0, "seen_at": now, "forgotten_at": None}
    joined = insert(RadiusNode).values(name=name, **values)
    session.execute(joined.on_conflict_do_update(index_elements=[RadiusNode.name], set_=values))


def hear(session: DatabaseSession, name: str, revision: int, now: datetime) -> bool:
    """A node's feeder says how far all its workers are; False where nobody waits for it: it must join."""
    known = RadiusNode.name == name, RadiusNode.forgotten_at.is_(None)
    heard: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(RadiusNode).where(*known).values(revision=revision, seen_at=now)
    )
    return heard.rowcount > 0


def forget(session: DatabaseSession, name: str, actor: Actor, now: datetime) -> None:
    """Its machine is off and will not come back: give addresses on without it. What it acknowledged and did not ship is
    lost. A machine that is only cut off must not be forgotten: it goes on answering boxes that reach it.

    Raises NotFound, and Conflict for a node that is heard of.
    """
    node = session.get(RadiusNode, name, with_for_update=True)
    if node is None or node.forgotten_at is not None:
        raise NotFound("RADIUS node", name)
    silence = now - node.seen_at
    if silence < MISSED_AFTER:
        raise Conflict(f"{name} is alive: it was heard of {silence.seconds} seconds ago; stop it first", field="name")
    node.forgotten_at = now
    audit.record(session, actor, "forget", "radius_node", name, {"seen_at": node.seen_at.isoformat()})
    events.record(session, "radius_node.forgotten", "radius_node", 0, name=name)


def list_nodes(session: DatabaseSession) -> Sequence[NodeView]:
    """By name, those that were forgotten included."""
    return [NodeView(*row) for row in session.execute(text(f"{_NODES} ORDER BY n.name"))]


def missed(session: DatabaseSession, now: datetime) -> list[str]:
    """Who holds leases up: nodes that are silent, or that do not ship what they acknowledged."""
    late = now - MISSED_AFTER
    nodes = [one for one in list_nodes(session) if one.forgotten_at is None]
    return [one.name for one in nodes if one.seen_at < late or one.stored_until is None or one.stored_until < late]


def lowest_revision(session: DatabaseSession) -> int | None:
    """Every node works from this revision or a later one; None where there is no node."""
    return session.scalar(select(func.min(RadiusNode.revision)).where(RadiusNode.forgotten_at.is_(None)))


def stored_until(session: DatabaseSession, now: datetime) -> datetime:
    """What any node acknowledged before is stored. Not later than `now`."""
    until: datetime = session.execute(_STORED_UNTIL, {"now": now, "lost_since": now - SETTLED_AFTER}).scalar_one()
    return until
