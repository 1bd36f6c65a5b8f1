"""Accounting records into PostgreSQL: records once, sessions joined, one transaction with the spool's position.

Works on a bare psycopg connection. A batch is copied once, into a temporary table of its own shape; from there each
record becomes a row of `accounting_record`, and each session that the batch tells of is joined with what is stored.
Several records of one session are folded in Python first (`sessions.fold`); the join in SQL is that of
`sessions.merge`. Who writes sessions holds one lock until commit: shippers, on one node or several, would otherwise
wait for each other's rows in turn.

Totals are a function of all of a session's records (`counters`). The next record in order whose counters went on needs
none of the others: it is added to the row's base in SQL, and that is nearly all of them. Where a record is late, or a
counter fell, the session is counted anew from its records, which lie together under their key.

How a session may have ended without the NAS's own word is known here and to `core.sessions`:

- nas_reboot: its box said Accounting-On or -Off, and nothing was heard of the session since. The last restart of each
  box is kept, because a record from before it may come after it (workers have spools of their own).
- superseded: MikroTik says of itself that a Start while an older session of the same client is open means that the
  older one's Stop was lost. Only for sessions of ours, on the same box.
- stale, not_found.

Each such end is taken back when a later event shows that the session lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from aaa import boxes, lines
from aaa.accounting import (
    BOX_STATUSES,
    DEDUPE_KEY_OCTETS,
    AccountingRecord,
    Status,
    session_prefix,
)
from aaa.connection_log import store as connection_log
from aaa.counters import Point, count
from aaa.sessions import SessionKey, SessionState, fold
from aaa.takeover.attribution import attribute_by_login, name_boxes

Connection = psycopg.Connection[Any]

#: A session that is longer is counted anew from its latest records only; its total never falls for that.
COUNTED_DAYS_MAX: Final = 400
#: A retransmit may come this long after midnight and have its first record in yesterday's partition.
MIDNIGHT_S: Final = 3600
_DAY_S: Final = 86400
_SESSION_STATUSES: Final = frozenset({Status.START, Status.INTERIM, Status.STOP})
_LATER_STATUSES: Final = frozenset({Status.INTERIM, Status.STOP})

_RECORD_COLUMNS: Final = (
    "received_on, dedupe_key, received_at, event_at, nas_id, box, source, status, acct_session_id, accept_id, "
    "service_id, login, session_seconds, input_octets, output_octets, terminate_cause, framed_ipv4, "
    "delegated_ipv6_prefix, calling_station_id, input_packets, output_packets"
)
_COUNTERS: Final = "session_seconds, input_octets, output_octets, input_packets, output_packets"
#: Joined by the greatest.
_GREATEST: Final = ("session_seconds", "input_packets", "output_packets")
_OPTIONAL: Final = (
    "nas_port_id",
    "calling_station_id",
    "called_station_id",
    "framed_ipv4",
    "framed_ipv6_prefix",
    "delegated_ipv6_prefix",
)
_ATTRIBUTES: Final = f"login, nas_address, {', '.join(_OPTIONAL)}"
#: Joined like the optional attributes.
_LATEST: Final = (*_OPTIONAL, "multi_session_id")
_KEY: Final = "nas_id, box, acct_session_id, accept_id"
#: The columns of a SessionState; `input_base` is null where the octets have to be counted anew.
_STATE: Final = (
    f"{_KEY}, started_at, updated_at, stopped_at, terminate_cause, service_id, fingerprint, {_COUNTERS}, interims, "
    f"{_ATTRIBUTES}, multi_session_id, kind, input_base, output_base"
)
_SESSION_COLUMNS: Final = _STATE.replace("fingerprint", "class_fingerprint")
#: Times are seconds since 1970 in both tables, as they are in Python. Every join of a small batch with a large table
#: is by key; without statistics on temporary tables the planner would sometimes read the large one. Nor is a plan kept
#: that was made while the large one was small: it would read all of it for each record, for ever.
#: Who holds the lock and falls silent (its node lost the network) is put out of its transaction.
_PREPARE: Final = """
SET LOCAL client_min_messages = warning;
SET LOCAL idle_in_transaction_session_timeout = '5s';
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
CREATE TEMPORARY TABLE IF NOT EXISTS arriving (
  received_on date, alone boolean, received_at float8, event_at float8, nas_id bigint, box text, source text,
  status smallint, acct_session_id text, accept_id text, service_id bigint, fingerprint text, login text,
  session_seconds bigint, input_octets bigint, output_octets bigint, input_packets bigint, output_packets bigint,
  terminate_cause smallint, nas_address text, nas_port_id text, calling_station_id text, called_station_id text,
  framed_ipv4 text, framed_ipv6_prefix text, delegated_ipv6_prefix text, dedupe_key bytea, multi_session_id text,
  kind text) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS folded (
  nas_id bigint, box text, acct_session_id text, accept_id text, started_at float8, updated_at float8,
  stopped_at float8, terminate_cause smallint, service_id bigint, fingerprint text, session_seconds bigint,
  input_octets bigint, output_octets bigint, input_packets bigint, output_packets bigint, interims integer,
  login text, nas_address text, nas_port_id text, calling_station_id text, called_station_id text, framed_ipv4 text,
  framed_ipv6_prefix text, delegated_ipv6_prefix text, multi_session_id text, kind text, input_base bigint,
  output_base bigint) ON COMMIT DELETE ROWS;
"""
#: A retransmit spooled twice (its worker died before answering, or another node had the first) is the same row.
_INSERT_RECORDS: Final = f"""
INSERT INTO accounting_record ({_RECORD_COLUMNS})
SELECT {_RECORD_COLUMNS.replace("received_at, event_at", "to_timestamp(received_at), to_timestamp(event_at)")}
FROM arriving
ON CONFLICT DO NOTHING
RETURNING dedupe_key
"""  # noqa: S608
#: What the batch says of each session, as `sessions.state_of` and `sessions.fold` say it.
_STATES: Final = f"""
SELECT {_KEY}, status = 1 AS start, to_timestamp(event_at - session_seconds) AS started_at,
  to_timestamp(event_at) AS updated_at, CASE status WHEN 2 THEN to_timestamp(event_at) END AS stopped_at,
  CASE status WHEN 2 THEN terminate_cause END AS terminate_cause, service_id, fingerprint AS class_fingerprint,
  {_COUNTERS}, CASE status WHEN 3 THEN 1 ELSE 0 END AS interims, {_ATTRIBUTES}, multi_session_id, kind,
  0::bigint AS input_base, 0::bigint AS output_base, CASE status WHEN 2 THEN 'stop' END AS stop_kind
FROM arriving WHERE alone AND dedupe_key <> ALL(%(repeated)s)
UNION ALL
SELECT {_KEY}, true, to_timestamp(started_at), to_timestamp(updated_at), to_timestamp(stopped_at), terminate_cause,
  service_id, fingerprint, {_COUNTERS}, interims, {_ATTRIBUTES}, multi_session_id, kind, input_base, output_base,
  CASE WHEN stopped_at IS NOT NULL THEN 'stop' END
FROM folded
"""  # noqa: S608
#: A record without counters (a Start, a Stop of zeros) moves none.
_SAYS_NOTHING: Final = "{new}.input_octets = 0 AND {new}.output_octets = 0 AND {new}.input_base IS NOT NULL"
#: The next in order, and its counters went on: it needs none of the others. Never true where something is null.
_GOES_ON: Final = " AND ".join(
    [
        "s.stop_kind IS DISTINCT FROM 'stop' AND {new}.input_base IS NOT NULL",
        "({new}.session_seconds, {new}.updated_at) >= (s.session_seconds, s.updated_at)",
        *(
            f"{{new}}.{way}_octets >= s.{way}_octets - s.{way}_base "
            f"AND (s.{way}_base = 0 OR {{new}}.{way}_octets < 4294967296)"
            for way in ("input", "output")
        ),
    ]
)
_OCTETS: Final = ", ".join(
    f"{way}_octets = CASE WHEN {_SAYS_NOTHING} THEN s.{way}_octets "
    f"WHEN {_GOES_ON} THEN {{new}}.{way}_octets + s.{way}_base ELSE s.{way}_octets END, "
    f"{way}_base = CASE WHEN ({_SAYS_NOTHING}) OR ({_GOES_ON}) THEN s.{way}_base END"
    for way in ("input", "output")
)
#: `s` is what is stored, `{new}` what was heard.
_JOINED: Final = f"""
  started_at = least(s.started_at, {{new}}.started_at),
  updated_at = greatest(s.updated_at, {{new}}.updated_at),
  stopped_at = CASE
    WHEN s.stop_kind = 'stop' AND {{new}}.stopped_at IS NOT NULL THEN least(s.stopped_at, {{new}}.stopped_at)
    WHEN s.stop_kind = 'stop' THEN s.stopped_at
    WHEN {{new}}.stopped_at IS NOT NULL THEN {{new}}.stopped_at
    WHEN s.stopped_at < {{new}}.updated_at THEN NULL
    ELSE s.stopped_at END,
  stop_kind = CASE
    WHEN s.stop_kind = 'stop' OR {{new}}.stopped_at IS NOT NULL THEN 'stop'
    WHEN s.stopped_at < {{new}}.updated_at THEN NULL
    ELSE s.stop_kind END,
  terminate_cause = CASE
    WHEN s.stop_kind = 'stop' AND ({{new}}.stopped_at IS NULL OR
      (s.stopped_at, coalesce(s.terminate_cause, 0)) <= ({{new}}.stopped_at, coalesce({{new}}.terminate_cause, 0)))
    THEN s.terminate_cause
    WHEN {{new}}.stopped_at IS NOT NULL THEN {{new}}.terminate_cause
    WHEN s.stopped_at < {{new}}.updated_at THEN NULL
    ELSE s.terminate_cause END,
  service_id = coalesce(s.service_id, {{new}}.service_id),
  class_fingerprint = coalesce(s.class_fingerprint, {{new}}.class_fingerprint),
  {", ".join(f"{name} = greatest(s.{name}, {{new}}.{name})" for name in _GREATEST)},
  {_OCTETS},
  interims = s.interims + {{new}}.interims,
  kind = CASE WHEN {{new}}.kind = 'service' THEN {{new}}.kind ELSE s.kind END,
  login = CASE WHEN {{new}}.updated_at >= s.updated_at AND {{new}}.login <> '' OR s.login = ''
    THEN {{new}}.login ELSE s.login END,
  nas_address = CASE WHEN {{new}}.updated_at >= s.updated_at THEN {{new}}.nas_address ELSE s.nas_address END,
  {
    ", ".join(
        f"{name} = CASE WHEN {{new}}.updated_at >= s.updated_at THEN coalesce({{new}}.{name}, s.{name}) "
        f"ELSE coalesce(s.{name}, {{new}}.{name}) END"
        for name in _LATEST
    )
}
"""
#: What these sessions moved more than was known of them, to their services' days (of the provider's calendar: the
#: connection's time zone). Only lines count: what is a view of one, or a service on it, would count twice.
_MORE: Final = (
    "s.service_id, s.nas_id, s.kind, s.updated_at, s.input_octets - coalesce(old.input_octets, 0) AS input_more, "
    "s.output_octets - coalesce(old.output_octets, 0) AS output_more, "
    "s.session_seconds - coalesce(old.session_seconds, 0) AS seconds_more"
)
_KEEP_USAGE: Final = """
  INSERT INTO service_usage AS u (service_id, day, down_octets, up_octets, seconds)
  SELECT j.service_id, j.updated_at::date,
    sum(CASE WHEN n.octets_direction = 'client' THEN j.input_more ELSE j.output_more END),
    sum(CASE WHEN n.octets_direction = 'client' THEN j.output_more ELSE j.input_more END), sum(j.seconds_more)
  FROM joined j LEFT JOIN nas n ON n.id = j.nas_id
  WHERE j.service_id IS NOT NULL AND j.kind = 'line' AND (j.input_more, j.output_more, j.seconds_more) <> (0, 0, 0)
  GROUP BY 1, 2
  ON CONFLICT (service_id, day) DO UPDATE SET down_octets = u.down_octets + excluded.down_octets,
    up_octets = u.up_octets + excluded.up_octets, seconds = u.seconds + excluded.seconds
"""
#: Most records tell more of a session that is stored: that is half the work of an upsert. A Start seldom does.
_UPDATE_SESSIONS: Final = f"""
WITH joined AS (
  UPDATE session s SET {_JOINED.replace("{new}", "n")}
  FROM ({_STATES}) n
  WHERE NOT n.start AND s.nas_id = n.nas_id AND s.box = n.box AND s.acct_session_id = n.acct_session_id
    AND s.accept_id = n.accept_id
  RETURNING s.id, s.input_base, {_MORE}),
used AS ({_KEEP_USAGE})
SELECT count(*), array_agg(id) FILTER (WHERE input_base IS NULL) FROM joined
"""  # noqa: S608
#: The sessions that are left, and with them the enforcement owed to those that begin on another policy than is
#: intended by now (a hold between Accept and Start). A reopened session is left to the reconciler, who looks four
#: times a minute.
_UPSERT_AND_OWE: Final = f"""
WITH joined AS (
  INSERT INTO session AS s ({_SESSION_COLUMNS}, stop_kind)
  SELECT {_SESSION_COLUMNS}, stop_kind FROM ({_STATES}) n
  WHERE n.start OR (%(unknown)s AND NOT EXISTS (
    SELECT FROM session k WHERE k.nas_id = n.nas_id AND k.box = n.box AND k.acct_session_id = n.acct_session_id
      AND k.accept_id = n.accept_id))
  ON CONFLICT ({_KEY}) DO UPDATE SET {_JOINED.replace("{new}", "excluded")}
  RETURNING s.id, s.stopped_at, s.class_fingerprint AS begun_on, s.applied_fingerprint AS applied, s.input_base,
            s.xmax = 0 AS appeared, {_MORE}),
used AS ({_KEEP_USAGE}),
owed AS (
  INSERT INTO outbox (topic, queue, payload)
  SELECT 'provisioning.session_out_of_step', 'enforce', jsonb_build_object('session_id', j.id)
  FROM joined j JOIN service v ON v.id = j.service_id
  WHERE j.appeared AND j.stopped_at IS NULL AND j.begun_on IS NOT NULL AND j.kind = 'line'
    AND coalesce(j.applied, j.begun_on) <> v.policy_fingerprint
  RETURNING id)
SELECT (SELECT count(*) FROM owed), (SELECT array_agg(id) FILTER (WHERE input_base IS NULL) FROM joined)
"""  # noqa: S608
#: Without our Class, nothing but its Start says that a NAS uses an id again: the session that had it makes room.
_SET_ASIDE: Final = """
UPDATE session s SET accept_id = 'ended-' || s.id
FROM arriving a
WHERE a.status = 1 AND a.accept_id = '' AND s.accept_id = '' AND s.nas_id = a.nas_id AND s.box = a.box
  AND s.acct_session_id = a.acct_session_id AND s.stopped_at < to_timestamp(a.event_at)
"""
#: Held until the commit by who writes sessions.
LOCK_SESSIONS: Final = "SELECT pg_advisory_xact_lock(hashtext('sessions from accounting'))"
#: OFFSET keeps the planner from looking for the older sessions by their NAS, and ORDER BY (no sort being allowed) from
#: reading through an index without the service: while everybody dials after a power cut, that is each Start times all
#: sessions.
_SUPERSEDE: Final = """
WITH lost AS MATERIALIZED (
  SELECT older.id, a.event_at
  FROM arriving a JOIN nas n ON n.id = a.nas_id AND n.vendor = 'mikrotik'
    CROSS JOIN LATERAL (
      SELECT s.* FROM session s WHERE s.service_id = a.service_id AND s.stopped_at IS NULL ORDER BY s.id OFFSET 0) older
  WHERE a.status = 1 AND older.nas_id = a.nas_id AND older.box = a.box AND older.login = a.login
    AND older.calling_station_id = a.calling_station_id
    AND (older.acct_session_id, older.accept_id) <> (a.acct_session_id, a.accept_id)
    AND greatest(older.started_at, older.updated_at) < to_timestamp(a.event_at))
UPDATE session s
SET stopped_at = to_timestamp(lost.event_at), stop_kind = 'superseded', terminate_cause = NULL
FROM lost WHERE s.id = lost.id AND s.stopped_at IS NULL
"""
_KEEP_RESTART: Final = """
INSERT INTO box_restart (nas_id, box, at) VALUES (%s, %s, to_timestamp(%s))
ON CONFLICT (nas_id, box) DO UPDATE SET at = greatest(box_restart.at, excluded.at)
"""
_RESTARTS: Final = """
SELECT nas_id, box, extract(epoch FROM at)::float8
FROM unnest(%s::bigint[], %s::text[]) AS asked (nas_id, box) JOIN box_restart USING (nas_id, box)
"""
_CLOSE_RESTARTED: Final = """
UPDATE session s SET stopped_at = r.at, stop_kind = 'nas_reboot', terminate_cause = 11
FROM box_restart r
WHERE r.nas_id = %s AND r.box = %s AND s.nas_id = r.nas_id AND s.box = r.box
  AND s.stopped_at IS NULL AND s.started_at < r.at AND s.updated_at <= r.at
"""
_POSITION: Final = """
INSERT INTO spool_position AS p (node, spool, segment, position, shipped_until)
VALUES (%s, %s, %s, %s, to_timestamp(%s))
ON CONFLICT (node, spool) DO UPDATE SET segment = excluded.segment, position = excluded.position,
  shipped_until = coalesce(excluded.shipped_until, p.shipped_until)
"""
_EMPTY: Final = """
INSERT INTO spool_position AS p (node, spool, segment, position, shipped_until)
SELECT %s, empty.spool, 0, 0, to_timestamp(empty.at) FROM unnest(%s::text[], %s::float8[]) AS empty (spool, at)
ON CONFLICT (node, spool) DO UPDATE SET shipped_until = greatest(p.shipped_until, excluded.shipped_until)
"""
#: All that was told of these sessions. Of a session that has no end yet, what came since may lie days behind.
_POINTS: Final = """
SELECT asked.id, r.status = 2, r.session_seconds, extract(epoch FROM r.event_at)::float8, r.input_octets,
  r.output_octets, r.input_packets, r.output_packets
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::date[], %s::date[]) AS asked (id, low, high, first, last)
  CROSS JOIN LATERAL generate_series(0, asked.last - asked.first) AS day
  JOIN accounting_record r ON r.received_on = asked.first + day AND r.dedupe_key BETWEEN asked.low AND asked.high
"""
_COUNTED: Final = f"""
WITH joined AS (
UPDATE session s SET
  input_octets = greatest(s.input_octets, n.input_octets),
  output_octets = greatest(s.output_octets, n.output_octets),
  input_base = CASE WHEN n.input_octets >= s.input_octets AND n.output_octets >= s.output_octets THEN n.input_base END,
  output_base = CASE WHEN n.input_octets >= s.input_octets AND n.output_octets >= s.output_octets THEN n.output_base END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
  AS n (id, input_octets, output_octets, input_base, output_base)
WHERE s.id = n.id
RETURNING {_MORE})
{_KEEP_USAGE}
"""  # noqa: S608
_OWE_COUNTS: Final = """
INSERT INTO outbox (topic, queue, payload)
SELECT 'core.prepaid_due', 'enforce', jsonb_build_object('service_id', s.id)
FROM service s JOIN plan p ON p.id = s.plan_id
WHERE s.id = ANY(%s) AND p.prepaid IS NOT NULL
"""


def read_position(connection: Connection, node: str, spool: str) -> tuple[int, int]:
    """(segment, offset) of the next record to ship; (0, 0) for a spool never seen."""
    row = connection.execute(
        "SELECT segment, position FROM spool_position WHERE node = %s AND spool = %s", (node, spool)
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def store_batch(
    connection: Connection, records: Sequence[AccountingRecord], position: tuple[str, str, int, int]
) -> int:
    """Everything a batch changes and where its spool stands after it, in one transaction.

    Returns how many records were new. `position` is (node, spool, segment, offset). The days on which the records
    were received must have their partitions.
    """
    with connection.transaction():
        connection.execute(_PREPARE)
        distinct = attribute_by_login(connection, _distinct(connection, records))
        new = _store_records(connection, distinct) if distinct else 0
        # Records of a spool stand in the order in which they were received.
        connection.execute(_POSITION, (*position, records[-1].received_at if records else None))
    return new


def note_empty(connection: Connection, node: str, empty_at: dict[str, float]) -> None:
    """Nothing was waiting in these spools then (seconds since 1970): what was acknowledged before is stored."""
    spools = sorted(empty_at)
    connection.execute(_EMPTY, (node, spools, [empty_at[spool] for spool in spools]))


def forget_lost_spools(connection: Connection, node: str, present: Iterable[str]) -> None:
    """Nothing more will come from those that are not there any more."""
    connection.execute(
        "UPDATE spool_position SET shipped_until = NULL WHERE node = %s AND spool <> ALL(%s)", (node, list(present))
    )


def days_of(records: Iterable[AccountingRecord]) -> set[date]:
    """The days on which these were received."""
    numbers = {int(record.received_at // _DAY_S) for record in records}
    return {date(1970, 1, 1) + timedelta(days=number) for number in numbers}


def ensure_partitions(connection: Connection, days: Iterable[date]) -> None:
    """Partitions for these days; several may do so at once.

    Attached, not created in place: that would wait for, and hold up, everybody who reads the table.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('accounting_record partitions'))")
        for day in sorted(days):
            name = f"accounting_record_{day:%Y%m%d}"
            if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
                continue
            values = {"name": sql.Identifier(name), "day": sql.Literal(day), "next": sql.Literal(day + timedelta(1))}
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {name} (LIKE accounting_record INCLUDING DEFAULTS INCLUDING CONSTRAINTS); "
                    "ALTER TABLE accounting_record ATTACH PARTITION {name} FOR VALUES FROM ({day}) TO ({next})"
                ).format(**values)
            )


def _distinct(connection: Connection, records: Sequence[AccountingRecord]) -> list[AccountingRecord]:
    """Each record of the batch once, without those that stand in yesterday's partition."""
    distinct: dict[bytes, AccountingRecord] = {}
    for record in records:
        distinct.setdefault(record.dedupe_key, record)
    early = [record for record in distinct.values() if record.received_at % _DAY_S < MIDNIGHT_S]
    for day in days_of(early):
        known = connection.execute(
            "SELECT dedupe_key FROM accounting_record WHERE received_on = %s AND dedupe_key = ANY(%s)",
            (day - timedelta(days=1), [record.dedupe_key for record in early]),
        )
        for (key,) in known:
            distinct.pop(bytes(key), None)
    return list(distinct.values())


def _store_records(connection: Connection, records: Sequence[AccountingRecord]) -> int:
    sessions = _by_session(records)
    _copy_records(connection, sessions)
    repeated = _insert_records(connection, records)
    connection.execute(LOCK_SESSIONS)
    name_boxes(connection, records)
    if any(record.status == Status.START and not record.accept_id for record in records):
        connection.execute(_SET_ASIDE, prepare=False)
    several = [record for group in sessions.values() if len(group) > 1 for record in group]
    _copy_states(
        connection,
        fold(one for one in several if one.status in _SESSION_STATUSES and one.dedupe_key not in repeated),
    )
    _join(connection, sessions, repeated)
    lines.sort_out_views(connection, records)
    if any(record.status == Status.START and record.service_id for record in records):
        connection.execute(_SUPERSEDE, prepare=False)
        lines.end_over_limit(connection)
    _apply_restarts(connection, records)
    boxes.keep_heard(connection, records)
    _owe_counts(connection, records)
    connection_log.record_batch(connection, records)
    return len(records) - len(repeated)


def _owe_counts(connection: Connection, records: Iterable[AccountingRecord]) -> None:
    """Of prepaid services whose sessions ended: their next login is to be given what is left."""
    ended = {record.service_id for record in records if record.status == Status.STOP and record.service_id}
    if ended and connection.execute(_OWE_COUNTS, (list(ended),)).rowcount:
        connection.execute("NOTIFY provedor_outbox")


def _join(connection: Connection, sessions: dict[SessionKey, list[AccountingRecord]], repeated: set[bytes]) -> None:
    alone = [group[0] for group in sessions.values() if len(group) == 1 and group[0].dedupe_key not in repeated]
    later = sum(record.status in _LATER_STATUSES for record in alone)
    parameters = {"repeated": list(repeated)}
    updated, uncounted = _one(connection, _UPDATE_SESSIONS, parameters) if later else (0, None)
    owed, uncounted_too = _one(connection, _UPSERT_AND_OWE, parameters | {"unknown": updated < later})
    if owed:
        connection.execute("NOTIFY provedor_outbox")
    session_ids = [*(uncounted or ()), *(uncounted_too or ())]
    if session_ids:
        _count_anew(connection, session_ids, max(days_of(record for group in sessions.values() for record in group)))


def _one(connection: Connection, query: str, parameters: dict[str, Any]) -> tuple[Any, Any]:
    (row,) = connection.execute(query, parameters, prepare=False).fetchall()
    return row[0], row[1]


def _count_anew(connection: Connection, session_ids: Sequence[int], newest: date) -> None:
    """The totals of these sessions from all their records, the latest of which were received on `newest`."""
    rows = connection.execute(
        f"SELECT id, {_KEY}, started_at, updated_at FROM session WHERE id = ANY(%s)",  # noqa: S608
        (list(session_ids),),
    ).fetchall()
    asked = []
    for session_id, *key, started_at, updated_at in rows:
        prefix = session_prefix(*key)
        low, high = (prefix.ljust(DEDUPE_KEY_OCTETS, filler) for filler in (b"\0", b"\xff"))
        first = started_at.astimezone(UTC).date() - timedelta(days=1)
        last = max(updated_at.astimezone(UTC).date(), newest)
        asked.append((session_id, low, high, max(first, last - timedelta(days=COUNTED_DAYS_MAX)), last))
    points: dict[int, list[Point]] = {row[0]: [] for row in rows}
    for session_id, *values in connection.execute(_POINTS, _columns(asked), prepare=False):
        points[session_id].append(Point(*values))
    counted = [(session_id, *count(of_session)) for session_id, of_session in points.items()]
    connection.execute(_COUNTED, _columns(counted), prepare=False)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _by_session(records: Iterable[AccountingRecord]) -> dict[SessionKey, list[AccountingRecord]]:
    """In the order of the keys; a session's own in the order of events."""
    sessions: dict[SessionKey, list[AccountingRecord]] = {}
    for record in records:
        key = (record.nas_id, record.box, record.acct_session_id, record.accept_id)
        sessions.setdefault(key, []).append(record)
    for group in sessions.values():
        if len(group) > 1:
            group.sort(key=lambda record: (record.event_at, record.dedupe_key))
    return {key: sessions[key] for key in sorted(sessions)}


def _copy_records(connection: Connection, sessions: dict[SessionKey, list[AccountingRecord]]) -> None:
    days: dict[int, str] = {}
    lines = []
    for group in sessions.values():
        alone = len(group) == 1 and group[0].status in _SESSION_STATUSES
        for record in group:
            number = int(record.received_at // _DAY_S)
            day = days.get(number) or days.setdefault(number, str(datetime.fromtimestamp(number * _DAY_S, UTC).date()))
            lines.append(_record_line(day, alone, record))
    with connection.cursor() as cursor, cursor.copy("COPY arriving FROM STDIN") as copy:
        copy.write("".join(lines).encode())


def _insert_records(connection: Connection, records: Sequence[AccountingRecord]) -> set[bytes]:
    """Make rows of what arrived; returns the dedupe keys of what was there before."""
    inserted = connection.execute(_INSERT_RECORDS)
    if inserted.rowcount == len(records):
        return set()
    return {record.dedupe_key for record in records} - {bytes(row[0]) for row in inserted}


def _copy_states(connection: Connection, states: Sequence[SessionState]) -> None:
    if not states:
        return
    with connection.cursor() as cursor, cursor.copy("COPY folded FROM STDIN") as copy:
        copy.write("".join([_state_line(state) for state in states]).encode())


def _apply_restarts(connection: Connection, records: Iterable[AccountingRecord]) -> None:
    """Keep the restarts in this batch; close what its boxes had open, where the batch tells of a time before one."""
    oldest: dict[tuple[int, str], float] = {}
    for record in records:
        box = (record.nas_id, record.box)
        oldest[box] = min(record.event_at, oldest.get(box, record.event_at))
        if record.status in BOX_STATUSES:
            connection.execute(_KEEP_RESTART, (*box, record.event_at))
    boxes = sorted(oldest)
    restarts = connection.execute(_RESTARTS, ([nas_id for nas_id, _ in boxes], [name for _, name in boxes])).fetchall()
    for nas_id, name, at in restarts:
        if oldest[nas_id, name] <= at + 1:  # the statement decides; a second for the database's rounding
            connection.execute(_CLOSE_RESTARTED, (nas_id, name))


def _record_line(day: str, alone: bool, record: AccountingRecord) -> str:
    (
        received_at, event_at, nas_id, box, source, status, acct_session_id, accept_id, service_id, fingerprint, login,
        session_seconds, input_octets, output_octets, input_packets, output_packets, terminate_cause, nas_address,
        nas_port_id, calling_station_id, called_station_id, framed_ipv4, framed_ipv6_prefix, delegated_ipv6_prefix,
        dedupe_key, multi_session_id, is_service, _,
    ) = record  # fmt: skip
    return (
        f"{day}\t{'t' if alone else 'f'}\t{received_at}\t{event_at}\t{nas_id}\t{_text(box)}\t{source}\t{status}\t"
        f"{_text(acct_session_id)}\t{accept_id}\t{_null(service_id)}\t{_null(fingerprint)}\t{_text(login)}\t"
        f"{session_seconds}\t{input_octets}\t{output_octets}\t{input_packets}\t{output_packets}\t"
        f"{_null(terminate_cause)}\t{_text(nas_address)}\t{_text(nas_port_id)}\t{_text(calling_station_id)}\t"
        f"{_text(called_station_id)}\t{_null(framed_ipv4)}\t{_null(framed_ipv6_prefix)}\t"
        f"{_null(delegated_ipv6_prefix)}\t\\\\x{dedupe_key.hex()}\t{_text(multi_session_id)}\t"
        f"{'service' if is_service else 'line'}\n"
    )


def _state_line(state: SessionState) -> str:
    """Where several records say something of the counters, they are counted anew with all others."""
    counted = state.counted
    told = sum(1 for point in state.points if point.input_octets or point.output_octets)
    base = 0 if told < 2 else None
    values = (
        *state.key, state.started_at, state.updated_at, state.stopped_at, state.terminate_cause, state.service_id,
        state.fingerprint, state.session_seconds, counted.input_octets, counted.output_octets, state.input_packets,
        state.output_packets, state.interims, state.login, state.nas_address, state.nas_port_id,
        state.calling_station_id, state.called_station_id, state.framed_ipv4, state.framed_ipv6_prefix,
        state.delegated_ipv6_prefix, state.multi_session_id, "service" if state.is_service else "line", base, base,
    )  # fmt: skip
    return "\t".join([_null(value) if not isinstance(value, str) else _text(value) for value in values]) + "\n"


def _null(value: object | None) -> str:
    return "\\N" if value is None else str(value)


def _text(value: str | None) -> str:
    """Text from the network in COPY's own escapes; `readable` has taken control characters out before."""
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\") if "\\" in value else value
