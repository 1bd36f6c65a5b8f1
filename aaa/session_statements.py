"""What `session_store` says to PostgreSQL: temporary tables of a batch, and what joins it with what is stored."""

from __future__ import annotations

from typing import Final

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
KEY: Final = "nas_id, box, acct_session_id, accept_id"
#: The columns of a SessionState; `input_base` is null where the octets have to be counted anew.
_STATE: Final = (
    f"{KEY}, started_at, updated_at, stopped_at, terminate_cause, service_id, fingerprint, {_COUNTERS}, interims, "
    f"{_ATTRIBUTES}, multi_session_id, kind, input_base, output_base"
)
_SESSION_COLUMNS: Final = _STATE.replace("fingerprint", "class_fingerprint")
#: Times are seconds since 1970 in both tables, as they are in Python. Every join of a small batch with a large table
#: is by key; without statistics on temporary tables the planner would sometimes read the large one. Nor is a plan kept
#: that was made while the large one was small: it would read all of it for each record, for ever.
#: Who holds the lock and falls silent (its node lost the network) is put out of its transaction.
PREPARE: Final = """
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
INSERT_RECORDS: Final = f"""
INSERT INTO accounting_record ({_RECORD_COLUMNS})
SELECT {_RECORD_COLUMNS.replace("received_at, event_at", "to_timestamp(received_at), to_timestamp(event_at)")}
FROM arriving
ON CONFLICT DO NOTHING
RETURNING dedupe_key
"""  # noqa: S608
#: What the batch says of each session, as `sessions.state_of` and `sessions.fold` say it.
_STATES: Final = f"""
SELECT {KEY}, status = 1 AS start, to_timestamp(event_at - session_seconds) AS started_at,
  to_timestamp(event_at) AS updated_at, CASE status WHEN 2 THEN to_timestamp(event_at) END AS stopped_at,
  CASE status WHEN 2 THEN terminate_cause END AS terminate_cause, service_id, fingerprint AS class_fingerprint,
  {_COUNTERS}, CASE status WHEN 3 THEN 1 ELSE 0 END AS interims, {_ATTRIBUTES}, multi_session_id, kind,
  0::bigint AS input_base, 0::bigint AS output_base, CASE status WHEN 2 THEN 'stop' END AS stop_kind, dedupe_key
FROM arriving WHERE alone AND dedupe_key <> ALL(%(repeated)s)
UNION ALL
SELECT {KEY}, true, to_timestamp(started_at), to_timestamp(updated_at), to_timestamp(stopped_at), terminate_cause,
  service_id, fingerprint, {_COUNTERS}, interims, {_ATTRIBUTES}, multi_session_id, kind, input_base, output_base,
  CASE WHEN stopped_at IS NOT NULL THEN 'stop' END, NULL
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
#: Statements that change many sessions at once tell the connection log themselves; for all others a trigger does, at
#: many times the price.
FOLLOWS: Final = "SET LOCAL provedor.follows_sessions = 'on'"
FOLLOWED: Final = "SET LOCAL provedor.follows_sessions = 'off'"
_ADDRESSES: Final = ("framed_ipv4", "framed_ipv6_prefix", "delegated_ipv6_prefix")
_IS_MOVED: Final = "({})".format(" OR ".join(f"old.{name} IS DISTINCT FROM s.{name}" for name in _ADDRESSES))
#: What the log is to be told of a changed session, for RETURNING.
_FOR_THE_LOG: Final = f"""
  old.started_at AS began, s.started_at AS begins, s.stopped_at AS ended, s.stop_kind AS how, s.login,
  s.calling_station_id AS device, {_IS_MOVED} AS moved, CASE WHEN {_IS_MOVED} THEN old END AS was,
  CASE WHEN {_IS_MOVED} THEN s END AS is_now,
  {_IS_MOVED} OR old.stopped_at IS DISTINCT FROM s.stopped_at OR old.stop_kind IS DISTINCT FROM s.stop_kind
    OR old.started_at > s.started_at OR old.service_id IS DISTINCT FROM s.service_id OR old.login <> s.login AS changed
"""
#: And the telling of it, as two columns of the statement's result.
_TELL_THE_LOG: Final = """
(SELECT follow_sessions(array_agg(id), array_agg(began), array_agg(begins), array_agg(ended), array_agg(how::text),
  array_agg(service_id), array_agg(login), array_agg(device), array_agg(moved)) FROM joined WHERE changed),
(SELECT count(*) FROM joined CROSS JOIN LATERAL log_moved_session(was, is_now) WHERE moved)
"""
#: It told of a time before the latest, or another address than the session has now (see the connection log).
_LATE: Final = "(n.updated_at < old.updated_at OR {}) IS TRUE AS late".format(
    " OR ".join(f"n.{name} <> s.{name}" for name in _ADDRESSES)
)
#: Most records tell more of a session that is stored: that is half the work of an upsert. A Start seldom does.
UPDATE_SESSIONS: Final = f"""
WITH joined AS (
  UPDATE session s SET {_JOINED.replace("{new}", "n")}
  FROM ({_STATES}) n
  WHERE NOT n.start AND s.nas_id = n.nas_id AND s.box = n.box AND s.acct_session_id = n.acct_session_id
    AND s.accept_id = n.accept_id
  RETURNING s.id, s.input_base, n.dedupe_key, {_LATE}, {_MORE}, {_FOR_THE_LOG}),
used AS ({_KEEP_USAGE})
SELECT count(*), array_agg(id) FILTER (WHERE input_base IS NULL), array_agg(dedupe_key) FILTER (WHERE late),
  {_TELL_THE_LOG}
FROM joined
"""  # noqa: S608
#: The sessions that are left, and with them the enforcement owed to those that begin on another policy than is
#: intended by now (a hold between Accept and Start). A reopened session is left to the reconciler, who looks four
#: times a minute.
UPSERT_AND_OWE: Final = f"""
WITH joined AS (
  INSERT INTO session AS s ({_SESSION_COLUMNS}, stop_kind)
  SELECT {_SESSION_COLUMNS}, stop_kind FROM ({_STATES}) n
  WHERE n.start OR (%(unknown)s AND NOT EXISTS (
    SELECT FROM session k WHERE k.nas_id = n.nas_id AND k.box = n.box AND k.acct_session_id = n.acct_session_id
      AND k.accept_id = n.accept_id))
  ON CONFLICT ({KEY}) DO UPDATE SET {_JOINED.replace("{new}", "excluded")}
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
SELECT (SELECT count(*) FROM owed), array_agg(id) FILTER (WHERE input_base IS NULL), bool_or(NOT appeared) FROM joined
"""  # noqa: S608
#: Without our Class, nothing but its Start says that a NAS uses an id again: the session that had it makes room.
SET_ASIDE: Final = """
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
SUPERSEDE: Final = f"""
WITH lost AS MATERIALIZED (
  SELECT older.id, a.event_at
  FROM arriving a JOIN nas n ON n.id = a.nas_id AND n.vendor = 'mikrotik'
    CROSS JOIN LATERAL (
      SELECT s.* FROM session s WHERE s.service_id = a.service_id AND s.stopped_at IS NULL ORDER BY s.id OFFSET 0) older
  WHERE a.status = 1 AND older.nas_id = a.nas_id AND older.box = a.box AND older.login = a.login
    AND older.calling_station_id = a.calling_station_id
    AND (older.acct_session_id, older.accept_id) <> (a.acct_session_id, a.accept_id)
    AND greatest(older.started_at, older.updated_at) < to_timestamp(a.event_at)),
joined AS (
  UPDATE session s
  SET stopped_at = to_timestamp(lost.event_at), stop_kind = 'superseded', terminate_cause = NULL
  FROM lost WHERE s.id = lost.id AND s.stopped_at IS NULL
  RETURNING s.id, s.service_id, {_FOR_THE_LOG})
SELECT {_TELL_THE_LOG}
"""  # noqa: S608
KEEP_RESTART: Final = """
INSERT INTO box_restart (nas_id, box, at) VALUES (%s, %s, to_timestamp(%s))
ON CONFLICT (nas_id, box) DO UPDATE SET at = greatest(box_restart.at, excluded.at)
"""
RESTARTS: Final = """
SELECT nas_id, box, extract(epoch FROM at)::float8
FROM unnest(%s::bigint[], %s::text[]) AS asked (nas_id, box) JOIN box_restart USING (nas_id, box)
"""
CLOSE_RESTARTED: Final = f"""
WITH joined AS (
  UPDATE session s SET stopped_at = r.at, stop_kind = 'nas_reboot', terminate_cause = 11
  FROM box_restart r
  WHERE r.nas_id = %s AND r.box = %s AND s.nas_id = r.nas_id AND s.box = r.box
    AND s.stopped_at IS NULL AND s.started_at < r.at AND s.updated_at <= r.at
  RETURNING s.id, s.service_id, {_FOR_THE_LOG})
SELECT {_TELL_THE_LOG}
"""  # noqa: S608
POSITION: Final = """
INSERT INTO spool_position AS p (node, spool, segment, position, shipped_until)
VALUES (%s, %s, %s, %s, to_timestamp(%s))
ON CONFLICT (node, spool) DO UPDATE SET segment = excluded.segment, position = excluded.position,
  shipped_until = coalesce(excluded.shipped_until, p.shipped_until)
"""
EMPTY: Final = """
INSERT INTO spool_position AS p (node, spool, segment, position, shipped_until)
SELECT %s, empty.spool, 0, 0, to_timestamp(empty.at) FROM unnest(%s::text[], %s::float8[]) AS empty (spool, at)
ON CONFLICT (node, spool) DO UPDATE SET shipped_until = greatest(p.shipped_until, excluded.shipped_until)
"""
#: All that was told of these sessions. Of a session that has no end yet, what came since may lie days behind.
POINTS: Final = """
SELECT asked.id, r.status = 2, r.session_seconds, extract(epoch FROM r.event_at)::float8, r.input_octets,
  r.output_octets, r.input_packets, r.output_packets
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::date[], %s::date[]) AS asked (id, low, high, first, last)
  CROSS JOIN LATERAL generate_series(0, asked.last - asked.first) AS day
  JOIN accounting_record r ON r.received_on = asked.first + day AND r.dedupe_key BETWEEN asked.low AND asked.high
"""
COUNTED: Final = f"""
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
OWE_COUNTS: Final = """
INSERT INTO outbox (topic, queue, payload)
SELECT 'core.prepaid_due', 'enforce', jsonb_build_object('service_id', s.id)
FROM service s JOIN plan p ON p.id = s.plan_id
WHERE s.id = ANY(%s) AND p.prepaid IS NOT NULL
"""
