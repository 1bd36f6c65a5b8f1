"""Addresses of our pools that sessions have and nobody leased: their services hold them from now on.

Another server gave them while we take over from it, or a NAS out of a pool of its own, before the pool was one of ours.
Without that, such an address would be the next that is "free", and somebody else's while its session lives.

An address that is leased to another service is left with it, and `conflicts` tells of it: whose it is only a person
can say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session as DatabaseSession

from core import changes
from core.models.system import ChangeKind

#: What a live session has that lies in a range of ours, of the pool's own kind and length.
_HAD: Final = """
SELECT p.id AS pool_id, p.name AS pool, r.id AS range_id, s.address, s.service_id, s.updated_at
FROM (
  SELECT service_id, updated_at, unnest(ARRAY['ipv4', 'ipv6', 'delegated']) AS kind,
    unnest(ARRAY[framed_ipv4, framed_ipv6_prefix, delegated_ipv6_prefix]) AS address
  FROM session WHERE stopped_at IS NULL AND service_id IS NOT NULL AND kind = 'line'
) s
JOIN pool_range r ON CAST(s.address AS inet) <<= CAST(r.network AS inet)
JOIN address_pool p ON p.id = r.pool_id AND p.kind = s.kind AND masklen(CAST(s.address AS inet)) =
  CASE p.kind WHEN 'ipv4' THEN 32 ELSE p.prefix_length END
JOIN service v ON v.id = s.service_id AND v.status = 'active'
WHERE s.address IS NOT NULL AND s.address IS DISTINCT FROM
  CASE p.kind WHEN 'ipv4' THEN v.ipv4_address WHEN 'ipv6' THEN v.ipv6_prefix ELSE v.delegated_ipv6_prefix END
"""
#: Of tables that were filled a moment ago (an import, a new pool) the planner knows nothing, and would compare each
#: session with each service or lease.
_BY_HASH: Final = "SET LOCAL enable_nestloop = off"
_AS_USUAL: Final = "SET LOCAL enable_nestloop = on"
_LOCK_POOLS: Final = "SELECT id FROM address_pool ORDER BY name FOR UPDATE"
#: One for each service and pool: the session that was heard of last tells what it has.
_ADOPT: Final = f"""
WITH had AS ({_HAD}),
of_service AS (SELECT DISTINCT ON (pool_id, service_id) * FROM had ORDER BY pool_id, service_id, updated_at DESC),
wanted AS (SELECT DISTINCT ON (pool_id, address) * FROM of_service ORDER BY pool_id, address, updated_at DESC)
INSERT INTO address_lease AS l (pool_id, range_id, address, service_id, state, given_at, used_at, changed_at)
SELECT pool_id, range_id, address, service_id, 'held', now(), now(), now() FROM wanted w
WHERE NOT EXISTS (
  SELECT FROM address_lease k WHERE k.pool_id = w.pool_id AND k.service_id = w.service_id AND k.state = 'held')
ON CONFLICT (pool_id, address) DO UPDATE SET service_id = excluded.service_id, state = 'held',
  given_at = excluded.given_at, used_at = excluded.used_at, changed_at = excluded.changed_at
  WHERE l.state = 'free'
RETURNING l.id
"""  # noqa: S608
_CONFLICTS: Final = f"""
WITH had AS ({_HAD})
SELECT v.login, h.pool, h.address, own.address, holder.login FROM had h
JOIN service v ON v.id = h.service_id
LEFT JOIN address_lease own ON own.pool_id = h.pool_id AND own.service_id = h.service_id AND own.state = 'held'
LEFT JOIN address_lease theirs ON theirs.pool_id = h.pool_id AND theirs.address = h.address
  AND theirs.service_id <> h.service_id AND theirs.state <> 'free'
LEFT JOIN service holder ON holder.id = theirs.service_id
WHERE own.address IS DISTINCT FROM h.address ORDER BY v.login, h.pool
"""  # noqa: S608


class Conflict(NamedTuple):
    """A session has an address that its service does not hold: it holds another, or somebody else holds this one."""

    login: str
    pool: str
    address: str
    leased: str | None
    holder: str | None


def adopt(session: DatabaseSession) -> int:
    """How many addresses are held now that no lease was known of."""
    if not session.scalars(text(_LOCK_POOLS)).all():  # against `taking.take`, which may be giving one of them
        return 0
    with _hashed(session):
        lease_ids = session.scalars(text(_ADOPT)).all()
    for lease_id in lease_ids:
        changes.note(session, ChangeKind.LEASE, lease_id)
    return len(lease_ids)


def conflicts(session: DatabaseSession) -> list[Conflict]:
    with _hashed(session):
        rows: Any = session.execute(text(_CONFLICTS)).all()
    return [Conflict(*row) for row in rows]


@contextmanager
def _hashed(session: DatabaseSession) -> Iterator[None]:
    session.execute(text(_BY_HASH))
    yield
    session.execute(text(_AS_USUAL))
