"""Folded accounting into PostgreSQL: records once, sessions joined, one transaction with the spool's position.

Works on a bare psycopg connection: COPY into temporary tables, then one statement for all. The join in SQL is that of
`sessions.merge`. In addition it knows how a session may have ended without the NAS's word (NAS reboot, silence,
not found): such an end is taken back when a later Interim shows that the session lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from aaa.accounting import AccountingRecord, Status
from aaa.sessions import SessionState, fold

Connection = psycopg.Connection[Any]

_RECORD_COLUMNS: Final = (
    "received_on, dedupe_key, received_at, event_at, nas_id, box, source, status, acct_session_id, accept_id, "
    "service_id, login, session_seconds, input_octets, output_octets, terminate_cause, framed_ipv4, "
    "delegated_ipv6_prefix, calling_station_id"
)
_SESSION_COLUMNS: Final = (
    "nas_id, box, acct_session_id, accept_id, started_at, updated_at, stopped_at, terminate_cause, service_id, "
    "class_fingerprint, session_seconds, input_octets, output_octets, input_packets, output_packets, interims, login, "
    "nas_address, nas_port_id, calling_station_id, called_station_id, framed_ipv4, framed_ipv6_prefix, "
    "delegated_ipv6_prefix"
)
_PREPARE: Final = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS arriving ON COMMIT DELETE ROWS AS
  SELECT 0 AS place, {_RECORD_COLUMNS} FROM accounting_record WITH NO DATA;
CREATE TEMPORARY TABLE IF NOT EXISTS folded ON COMMIT DELETE ROWS AS
  SELECT {_SESSION_COLUMNS} FROM session WITH NO DATA;
"""  # noqa: S608
#: A retransmit spooled twice (its worker died before answering) is the same row. Around midnight the first may lie
#: in yesterday's partition, which is why that is asked too, in the hour in which it can matter.
_INSERT_RECORDS: Final = f"""
INSERT INTO accounting_record ({_RECORD_COLUMNS})
SELECT DISTINCT ON (a.received_on, a.dedupe_key) {", ".join("a." + column for column in _RECORD_COLUMNS.split(", "))}
FROM arriving a
WHERE NOT (
  a.received_at < (a.received_on + interval '1 hour') AT TIME ZONE 'UTC'
  AND EXISTS (SELECT FROM accounting_record y
              WHERE y.received_on = a.received_on - 1 AND y.dedupe_key = a.dedupe_key))
ORDER BY a.received_on, a.dedupe_key
ON CONFLICT DO NOTHING
RETURNING dedupe_key
"""  # noqa: S608
#: `newer` is whether the arriving state is at least as late as the stored one.
_UPSERT_SESSIONS: Final = f"""
INSERT INTO session AS s ({_SESSION_COLUMNS}, stop_kind)
SELECT {_SESSION_COLUMNS}, CASE WHEN stopped_at IS NOT NULL THEN 'stop' END FROM folded
ON CONFLICT (nas_id, box, acct_session_id, accept_id) DO UPDATE SET
  started_at = least(s.started_at, excluded.started_at),
  updated_at = greatest(s.updated_at, excluded.updated_at),
  stopped_at = CASE
    WHEN s.stop_kind = 'stop' AND excluded.stopped_at IS NOT NULL THEN least(s.stopped_at, excluded.stopped_at)
    WHEN s.stop_kind = 'stop' THEN s.stopped_at
    WHEN excluded.stopped_at IS NOT NULL THEN excluded.stopped_at
    WHEN s.stopped_at < excluded.updated_at THEN NULL
    ELSE s.stopped_at END,
  stop_kind = CASE
    WHEN s.stop_kind = 'stop' OR excluded.stopped_at IS NOT NULL THEN 'stop'
    WHEN s.stopped_at < excluded.updated_at THEN NULL
    ELSE s.stop_kind END,
  terminate_cause = CASE
    WHEN s.stop_kind = 'stop' AND (excluded.stopped_at IS NULL OR s.stopped_at <= excluded.stopped_at)
    THEN s.terminate_cause ELSE coalesce(excluded.terminate_cause, s.terminate_cause) END,
  service_id = coalesce(s.service_id, excluded.service_id),
  class_fingerprint = coalesce(s.class_fingerprint, excluded.class_fingerprint),
  session_seconds = greatest(s.session_seconds, excluded.session_seconds),
  input_octets = greatest(s.input_octets, excluded.input_octets),
  output_octets = greatest(s.output_octets, excluded.output_octets),
  input_packets = greatest(s.input_packets, excluded.input_packets),
  output_packets = greatest(s.output_packets, excluded.output_packets),
  interims = s.interims + excluded.interims,
  login = CASE WHEN excluded.updated_at >= s.updated_at AND excluded.login <> ''
    THEN excluded.login ELSE s.login END,
  nas_address = CASE WHEN excluded.updated_at >= s.updated_at THEN excluded.nas_address ELSE s.nas_address END,
  {
    ", ".join(
        f"{column} = CASE WHEN excluded.updated_at >= s.updated_at THEN coalesce(excluded.{column}, s.{column}) "
        f"ELSE coalesce(s.{column}, excluded.{column}) END"
        for column in (
            "nas_port_id",
            "calling_station_id",
            "called_station_id",
            "framed_ipv4",
            "framed_ipv6_prefix",
            "delegated_ipv6_prefix",
        )
    )
}
"""  # noqa: S608
_REBOOT: Final = """
UPDATE session SET stopped_at = to_timestamp(%(at)s), stop_kind = 'nas_reboot', terminate_cause = 11
WHERE nas_id = %(nas_id)s AND box = %(box)s AND stopped_at IS NULL AND started_at < to_timestamp(%(at)s)
"""
#: The join, and with it the enforcement owed to sessions that began on another policy than is intended by now (a
#: hold between Accept and Start). The services are found from the rows just written, never by the session's key.
_JOIN_AND_OWE: Final = f"""
WITH joined AS (
  {_UPSERT_SESSIONS}
  RETURNING s.id, s.service_id, s.stopped_at, s.interims, s.class_fingerprint,
            coalesce(s.applied_fingerprint, s.class_fingerprint) AS effective)
INSERT INTO outbox (topic, queue, payload)
SELECT 'provisioning.session_out_of_step', 'enforce', jsonb_build_object('session_id', j.id)
FROM joined j JOIN service v ON v.id = j.service_id
WHERE j.stopped_at IS NULL AND j.class_fingerprint IS NOT NULL AND j.interims = 0
  AND j.effective <> v.policy_fingerprint
"""  # noqa: S608
_POSITION: Final = """
INSERT INTO spool_position (node, spool, segment, position) VALUES (%s, %s, %s, %s)
ON CONFLICT (node, spool) DO UPDATE SET segment = excluded.segment, position = excluded.position
"""


def read_position(connection: Connection, node: str, spool: str) -> tuple[int, int]:
    """(segment, offset) of the next record to ship; (0, 0) for a spool never seen."""
    row = connection.execute(
        "SELECT segment, position FROM spool_position WHERE node = %s AND spool = %s", (node, spool)
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def store_batch(
    connection: Connection,
    records: Sequence[AccountingRecord],
    position: tuple[str, str, int, int],
) -> int:
    """Everything a batch changes and where its spool stands after it, in one transaction.

    Returns how many records were new. `position` is (node, spool, segment, offset).
    """
    with connection.transaction():
        connection.execute(_PREPARE)
        fresh = _insert_records(connection, records)
        _store_sessions(connection, fresh)
        connection.execute(_POSITION, position)
    return len(fresh)


def ensure_partitions(connection: Connection, first: date, days: int) -> None:
    """Daily partitions from `first` on; safe to run by several at once."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('accounting_record partitions'))")
        for number in range(days):
            day = first + timedelta(days=number)
            name = sql.Identifier(f"accounting_record_{day:%Y%m%d}")
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} PARTITION OF accounting_record FOR VALUES FROM ({}) TO ({})"
                ).format(name, sql.Literal(day), sql.Literal(day + timedelta(days=1)))
            )


def _insert_records(connection: Connection, records: Sequence[AccountingRecord]) -> list[AccountingRecord]:
    """The records that were not known yet, each once."""
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY arriving (place, {_RECORD_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join([_record_line(place, record) for place, record in enumerate(records)]).encode())
        new = {bytes(row[0]) for row in cursor.execute(_INSERT_RECORDS)}
    fresh = []
    for record in records:
        if record.dedupe_key in new:
            new.discard(record.dedupe_key)
            fresh.append(record)
    return fresh


def _store_sessions(connection: Connection, records: Iterable[AccountingRecord]) -> None:
    """Join sessions run by run: an Accounting-On or -Off stands between what came before and after it."""
    run: list[AccountingRecord] = []
    for record in records:
        if record.status in {Status.START, Status.INTERIM, Status.STOP}:
            run.append(record)
            continue
        _join_run(connection, run)
        run = []
        if record.status in {Status.ON, Status.OFF}:
            connection.execute(_REBOOT, {"at": record.event_at, "nas_id": record.nas_id, "box": record.box})
    _join_run(connection, run)


def _join_run(connection: Connection, run: Sequence[AccountingRecord]) -> None:
    if not run:
        return
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE folded")
        with cursor.copy(f"COPY folded ({_SESSION_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join([_session_line(state) for state in fold(run)]).encode())
        cursor.execute(_JOIN_AND_OWE)
        if cursor.rowcount:
            cursor.execute("NOTIFY provedor_outbox")


def _record_line(place: int, record: AccountingRecord) -> str:
    received_at = datetime.fromtimestamp(record.received_at, UTC)
    return (
        f"{place}\t{received_at:%Y-%m-%d}\t\\\\x{record.dedupe_key.hex()}\t{received_at}\t"
        f"{datetime.fromtimestamp(record.event_at, UTC)}\t{record.nas_id}\t{_text(record.box)}\t{record.source}\t"
        f"{record.status}\t{_text(record.acct_session_id)}\t{record.accept_id}\t{_null(record.service_id)}\t"
        f"{_text(record.login)}\t{record.session_seconds}\t{record.input_octets}\t{record.output_octets}\t"
        f"{_null(record.terminate_cause)}\t{_null(record.framed_ipv4)}\t{_null(record.delegated_ipv6_prefix)}\t"
        f"{_text(record.calling_station_id)}\n"
    )


def _session_line(state: SessionState) -> str:
    nas_id, box, acct_session_id, accept_id = state.key
    stopped_at = "\\N" if state.stopped_at is None else datetime.fromtimestamp(state.stopped_at, UTC)
    return (
        f"{nas_id}\t{_text(box)}\t{_text(acct_session_id)}\t{accept_id}\t"
        f"{datetime.fromtimestamp(state.started_at, UTC)}\t{datetime.fromtimestamp(state.updated_at, UTC)}\t"
        f"{stopped_at}\t{_null(state.terminate_cause)}\t{_null(state.service_id)}\t{_null(state.fingerprint)}\t"
        f"{state.session_seconds}\t{state.input_octets}\t{state.output_octets}\t{state.input_packets}\t"
        f"{state.output_packets}\t{state.interims}\t{_text(state.login)}\t{_text(state.nas_address)}\t"
        f"{_text(state.nas_port_id)}\t{_text(state.calling_station_id)}\t{_text(state.called_station_id)}\t"
        f"{_null(state.framed_ipv4)}\t{_null(state.framed_ipv6_prefix)}\t{_null(state.delegated_ipv6_prefix)}\n"
    )


def _null(value: object | None) -> str:
    return "\\N" if value is None else str(value)


def _text(value: str | None) -> str:
    """Text from the network in COPY's own escapes; `readable` has taken control characters out before."""
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\") if "\\" in value else value
