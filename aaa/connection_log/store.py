"""What is written into the connection log: late news of addresses, port blocks, and the months that come and go.

`record_batch` works on a bare psycopg connection inside the shipper's transaction, beside its temporary table
`arriving`. What a session's row says is in the log already, by trigger; here is what no session row can say: an event
that told another address than the session has now (it came late, or together with a later one), and NAT ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from aaa.accounting import AccountingRecord
from aaa.connection_log.syslog import NatEvent

Connection = psycopg.Connection[Any]
TABLES: Final = ("address_use", "port_block")
#: Months with a partition of their own, from this one on.
MONTHS_AHEAD: Final = 3
#: A release that was heard without its allocation proves no more than this, unless the block's last holder is known.
UNHEARD_START: Final = timedelta(days=1)

_SESSION_OF: Final = (
    "s.nas_id = a.nas_id AND s.box = a.box AND s.acct_session_id = a.acct_session_id AND s.accept_id = a.accept_id"
)
#: Sessions that these records of the batch give another address than they have now (true), and those of which they
#: tell something that is older than the latest. (OFFSET: each session by its key, never all of them.)
_LATE: Final = f"""
SELECT id, bool_or(other) FROM (
  SELECT s.id, (a.framed_ipv4 <> s.framed_ipv4 OR a.framed_ipv6_prefix <> s.framed_ipv6_prefix
    OR a.delegated_ipv6_prefix <> s.delegated_ipv6_prefix) IS TRUE AS other,
    to_timestamp(a.event_at) < s.updated_at AS older
  FROM arriving a CROSS JOIN LATERAL (SELECT * FROM session s WHERE {_SESSION_OF} OFFSET 0) s
  WHERE a.dedupe_key = ANY(%s)) heard
WHERE other OR older GROUP BY id
"""  # noqa: S608
#: An address may have been told earlier than was known.
_EARLIER: Final = f"""
UPDATE address_use u SET told_first_at = n.at
FROM (
  SELECT s.id, s.started_at, told.kind, readable_cidr(told.address) AS address, min(to_timestamp(a.event_at)) AS at
  FROM session s JOIN arriving a ON {_SESSION_OF}
    CROSS JOIN LATERAL (VALUES ('ipv4', a.framed_ipv4), ('ipv6', a.framed_ipv6_prefix),
      ('delegated', a.delegated_ipv6_prefix)) AS told (kind, address)
  WHERE s.id = ANY(%s) AND told.address IS NOT NULL
  GROUP BY s.id, s.started_at, told.kind, told.address) n
WHERE u.session_id = n.id AND u.started_at >= n.started_at AND u.kind = n.kind AND u.address = n.address
  AND u.told_first_at > n.at
"""  # noqa: S608
_MOVED: Final = """
SELECT s.id FROM session s
WHERE s.id = ANY(%s) AND EXISTS (
  SELECT FROM address_use u WHERE u.session_id = s.id AND u.started_at >= s.started_at AND u.moved)
"""
_TELL: Final = f"""
SELECT tell_address(s, told.kind, readable_cidr(told.address), told.at)
FROM session s CROSS JOIN LATERAL (
  SELECT kinds.kind, kinds.address, a.at
  FROM (
    SELECT to_timestamp(a.event_at) AS at, a.framed_ipv4, a.framed_ipv6_prefix, a.delegated_ipv6_prefix
    FROM arriving a WHERE {_SESSION_OF}
    UNION ALL SELECT s.updated_at, s.framed_ipv4, s.framed_ipv6_prefix, s.delegated_ipv6_prefix) a
  CROSS JOIN LATERAL (VALUES ('ipv4', a.framed_ipv4), ('ipv6', a.framed_ipv6_prefix),
    ('delegated', a.delegated_ipv6_prefix)) AS kinds (kind, address)) told
WHERE s.id = ANY(%s) AND readable_cidr(told.address) IS NOT NULL
"""  # noqa: S608
_SETTLE: Final = """
SELECT settle_addresses(s, kinds.kind, readable_cidr(kinds.address))
FROM session s CROSS JOIN LATERAL (VALUES ('ipv4', s.framed_ipv4), ('ipv6', s.framed_ipv6_prefix),
  ('delegated', s.delegated_ipv6_prefix)) AS kinds (kind, address)
WHERE s.id = ANY(%s) AND readable_cidr(kinds.address) IS NOT NULL
"""
#: A session's first block counts from its start; ports given later, from the event that told them.
_BLOCKS: Final = """
INSERT INTO port_block (started_at, outside, port_first, port_last, ended_at, end_kind, source, reporter, session_id,
  service_id, login)
SELECT DISTINCT ON (s.id, a.outside, a.port_first) CASE WHEN EXISTS (
    SELECT FROM port_block b WHERE b.session_id = s.id AND b.started_at >= s.started_at)
    THEN greatest(a.at, s.started_at) ELSE s.started_at END,
  a.outside, a.port_first, a.port_last, s.stopped_at, s.stop_kind, 'accounting', s.box, s.id, s.service_id, s.login
FROM (SELECT nas_id, box, acct_session_id, accept_id, to_timestamp(at) AS at, outside::cidr, port_first, port_last
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::int[], %s::int[])
    AS told (nas_id, box, acct_session_id, accept_id, at, outside, port_first, port_last)) a
  JOIN session s USING (nas_id, box, acct_session_id, accept_id)
WHERE NOT EXISTS (
  SELECT FROM port_block b WHERE b.session_id = s.id AND b.started_at >= s.started_at AND b.outside = a.outside
    AND b.port_first = a.port_first)
ORDER BY s.id, a.outside, a.port_first, a.at
"""


def record_batch(connection: Connection, records: Sequence[AccountingRecord], untold: Sequence[bytes]) -> None:
    """Within the shipper's transaction, after the batch has joined its sessions.

    `untold`: dedupe keys of the records that may tell what their sessions' rows do not; in a quiet stream there are
    none.
    """
    late = connection.execute(_LATE, (list(untold),), prepare=False).fetchall() if untold else []
    if late:
        _record_late(connection, [row[0] for row in late], {row[0] for row in late if row[1]})
    told = [(one, one.nat_ports) for one in records if one.nat_ports is not None]
    if told:
        rows = [(one.nas_id, one.box, one.acct_session_id, one.accept_id, one.event_at, *ports) for one, ports in told]
        connection.execute(_BLOCKS, [list(column) for column in zip(*rows, strict=True)], prepare=False)


def _record_late(connection: Connection, late: list[int], elsewhere: set[int]) -> None:
    """Of sessions that had, or have by this batch, several addresses every event counts."""
    connection.execute(_EARLIER, (late,), prepare=False)
    moved = sorted(elsewhere | {row[0] for row in connection.execute(_MOVED, (late,), prepare=False)})
    if moved:
        connection.execute(_TELL, (moved,), prepare=False)
        connection.execute(_SETTLE, (moved,), prepare=False)


def record_nat_event(connection: Connection, event: NatEvent, reporter: str) -> bool:
    """A block given or taken, as a NAT logged it; False where it was known. Repeats and interim logs change nothing.

    A block given to another while it is open shows that its release was lost: it ended then.
    """
    place = {"outside": event.outside, "first": event.port_first, "last": event.port_last, "inside": event.inside,
             "at": event.at, "reporter": reporter}  # fmt: skip
    if event.allocated:
        return _allocate(connection, place)
    return _release(connection, place)


def _allocate(connection: Connection, place: dict[str, Any]) -> bool:
    known = connection.execute(
        "SELECT FROM port_block WHERE outside = %(outside)s::cidr AND port_first = %(first)s "
        "AND inside = %(inside)s::cidr AND started_at <= %(at)s AND (ended_at IS NULL OR ended_at >= %(at)s) "
        "AND source = 'syslog' LIMIT 1",
        place,
    ).fetchone()
    if known is not None:
        return False
    connection.execute(
        "UPDATE port_block SET ended_at = %(at)s, end_kind = 'superseded' WHERE outside = %(outside)s::cidr "
        "AND port_first <= %(last)s AND port_last >= %(first)s AND started_at <= %(at)s AND ended_at IS NULL "
        "AND source = 'syslog'",
        place,
    )
    connection.execute(
        "INSERT INTO port_block (started_at, outside, port_first, port_last, inside, source, reporter) "
        "VALUES (%(at)s, %(outside)s::cidr, %(first)s, %(last)s, %(inside)s::cidr, 'syslog', %(reporter)s)",
        place,
    )
    return True


def _release(connection: Connection, place: dict[str, Any]) -> bool:
    closed = connection.execute(
        "UPDATE port_block SET ended_at = %(at)s, end_kind = 'stop' WHERE outside = %(outside)s::cidr "
        "AND port_first = %(first)s AND inside = %(inside)s::cidr AND started_at <= %(at)s AND ended_at IS NULL "
        "AND source = 'syslog'",
        place,
    )
    if closed.rowcount:
        return True
    inserted = connection.execute(
        "INSERT INTO port_block (started_at, ended_at, end_kind, start_known, outside, port_first, port_last, inside, "
        "source, reporter) "
        "SELECT greatest(%(at)s - %(unheard)s, (SELECT max(ended_at) FROM port_block WHERE outside = %(outside)s::cidr "
        "AND port_first <= %(last)s AND port_last >= %(first)s AND ended_at <= %(at)s AND source = 'syslog')), "
        "%(at)s, 'stop', false, %(outside)s::cidr, %(first)s, %(last)s, %(inside)s::cidr, 'syslog', %(reporter)s "
        "WHERE NOT EXISTS (SELECT FROM port_block WHERE outside = %(outside)s::cidr AND port_first = %(first)s "
        "AND inside = %(inside)s::cidr AND ended_at = %(at)s AND source = 'syslog')",
        place | {"unheard": UNHEARD_START},
    )
    return inserted.rowcount > 0


def import_blocks(connection: Connection, rows: Iterable[Sequence[Any]], reporter: str) -> int:
    """Rows of (outside, first, last, started_at, ended_at, inside, login); those that are known are left out."""
    count = 0
    for outside, first, last, started_at, ended_at, inside, login in rows:
        values = {"outside": outside, "first": first, "last": last, "started": started_at, "ended": ended_at,
                  "inside": inside, "login": login, "reporter": reporter}  # fmt: skip
        count += connection.execute(
            "INSERT INTO port_block (started_at, ended_at, end_kind, outside, port_first, port_last, inside, login, "
            "source, reporter) SELECT %(started)s, %(ended)s, CASE WHEN %(ended)s::timestamptz IS NULL THEN NULL "
            "ELSE 'stop' END, %(outside)s::cidr, %(first)s, %(last)s, %(inside)s::cidr, %(login)s, 'import', "
            "%(reporter)s WHERE NOT EXISTS (SELECT FROM port_block WHERE outside = %(outside)s::cidr "
            "AND started_at = %(started)s AND port_first = %(first)s AND source = 'import' "
            "AND inside IS NOT DISTINCT FROM %(inside)s::cidr AND login IS NOT DISTINCT FROM %(login)s)",
            values,
        ).rowcount
    return count


def keep_partitions(session: Session, *, now: datetime, months: int) -> list[str]:
    """Make the months that come, drop those whose every holding ended more than so many months ago.

    A month is dropped as a whole; what still counts of it (a session of a year, a block without an end) moves into the
    table for the rest first. Returns the partitions that went.
    """
    this = date(now.year, now.month, 1)
    cutoff = datetime.combine(_shift(this, -months), datetime.min.time(), UTC)
    connection = session.connection().connection.dbapi_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101
    dropped = []
    for table in TABLES:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:table || ' partitions'))"), {"table": table})
        for ahead in range(-1, MONTHS_AHEAD):
            _ensure_month(connection, table, _shift(this, ahead))
        dropped += _drop_before(connection, table, cutoff)
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE ended_at < %s").format(sql.Identifier(f"{table}_other")), (cutoff,)
        )
    return dropped


def _ensure_month(connection: Connection, table: str, month: date) -> None:
    """Attached, so that nobody waits for it; rows of the month that were kept with the rest move in first."""
    name = f"{table}_{month:%Y%m}"
    if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
        return
    first, following = (f"{day} 00:00+00" for day in (month, _shift(month, 1)))
    connection.execute(
        sql.SQL(
            "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES); "
            "WITH moved AS (DELETE FROM {other} WHERE started_at >= {first} AND started_at < {following} RETURNING *) "
            "INSERT INTO {name} SELECT * FROM moved; "
            "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({following})"
        ).format(
            name=sql.Identifier(name), table=sql.Identifier(table), other=sql.Identifier(f"{table}_other"),
            first=sql.Literal(first), following=sql.Literal(following),
        )
    )  # fmt: skip


def _drop_before(connection: Connection, table: str, cutoff: datetime) -> list[str]:
    names = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass AND c.relname ~ '_[0-9]{6}$' ORDER BY 1",
        (table,),
    ).fetchall()
    old = [name for (name,) in names if _shift(_month(name), 1) <= cutoff.date()]
    for name in old:
        connection.execute(
            sql.SQL(
                "ALTER TABLE {table} DETACH PARTITION {name}; "
                "INSERT INTO {table} OVERRIDING SYSTEM VALUE "
                "SELECT * FROM {name} WHERE ended_at IS NULL OR ended_at >= {cutoff}; "
                "DROP TABLE {name}"
            ).format(table=sql.Identifier(table), name=sql.Identifier(name), cutoff=sql.Literal(cutoff))
        )
    return old


def _month(name: str) -> date:
    return date(int(name[-6:-2]), int(name[-2:]), 1)


def _shift(month: date, by: int) -> date:
    years, index = divmod(month.month - 1 + by, 12)
    return date(month.year + years, index + 1, 1)
