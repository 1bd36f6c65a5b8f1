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
from aaa import session_statements as statements
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
        connection.execute(statements.PREPARE)
        distinct = attribute_by_login(connection, _distinct(connection, records))
        new = _store_records(connection, distinct) if distinct else 0
        # Records of a spool stand in the order in which they were received.
        connection.execute(statements.POSITION, (*position, records[-1].received_at if records else None))
    return new


def note_empty(connection: Connection, node: str, empty_at: dict[str, float]) -> None:
    """Nothing was waiting in these spools then (seconds since 1970): what was acknowledged before is stored."""
    spools = sorted(empty_at)
    connection.execute(statements.EMPTY, (node, spools, [empty_at[spool] for spool in spools]))


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
    connection.execute(statements.LOCK_SESSIONS)
    name_boxes(connection, records)
    if any(record.status == Status.START and not record.accept_id for record in records):
        connection.execute(statements.SET_ASIDE, prepare=False)
    several = [record for group in sessions.values() if len(group) > 1 for record in group]
    _copy_states(
        connection,
        fold(one for one in several if one.status in _SESSION_STATUSES and one.dedupe_key not in repeated),
    )
    untold = _join(connection, sessions, repeated)
    lines.sort_out_views(connection, records)
    if any(record.status == Status.START and record.service_id for record in records):
        _following(connection, statements.SUPERSEDE)
        lines.end_over_limit(connection)
    _apply_restarts(connection, records)
    boxes.keep_heard(connection, records)
    _owe_counts(connection, records)
    connection_log.record_batch(connection, records, untold)
    return len(records) - len(repeated)


def _owe_counts(connection: Connection, records: Iterable[AccountingRecord]) -> None:
    """Of prepaid services whose sessions ended: their next login is to be given what is left."""
    ended = {record.service_id for record in records if record.status == Status.STOP and record.service_id}
    if ended and connection.execute(statements.OWE_COUNTS, (list(ended),)).rowcount:
        connection.execute("NOTIFY provedor_outbox")


def _join(
    connection: Connection, sessions: dict[SessionKey, list[AccountingRecord]], repeated: set[bytes]
) -> list[bytes]:
    """Returns the dedupe keys of records that may tell of addresses what their sessions' rows do not."""
    alone = [group[0] for group in sessions.values() if len(group) == 1 and group[0].dedupe_key not in repeated]
    several = [record.dedupe_key for group in sessions.values() if len(group) > 1 for record in group]
    starts = [record.dedupe_key for record in alone if record.status == Status.START]
    later = sum(record.status in _LATER_STATUSES for record in alone)
    parameters: dict[str, Any] = {"repeated": list(repeated)}
    updated, uncounted, late = 0, None, None
    if later:
        updated, uncounted, late, *_ = _following(connection, statements.UPDATE_SESSIONS, parameters)
    session_ids, untold = list(uncounted or ()), [*map(bytes, late or ()), *several]
    if starts or several or updated < later:
        parameters = parameters | {"unknown": updated < later}
        ((owed, uncounted, known),) = connection.execute(statements.UPSERT_AND_OWE, parameters, prepare=False)
        session_ids += uncounted or ()
        untold += starts if known else ()
        if owed:
            connection.execute("NOTIFY provedor_outbox")
    if session_ids:
        _count_anew(connection, session_ids, max(days_of(record for group in sessions.values() for record in group)))
    return untold


def _following(
    connection: Connection, query: str, parameters: dict[str, Any] | tuple[Any, ...] | None = None
) -> tuple[Any, ...]:
    """The one row of a statement that tells the connection log of the sessions it changes."""
    connection.execute(statements.FOLLOWS)
    (row,) = connection.execute(query, parameters, prepare=False)
    connection.execute(statements.FOLLOWED)
    return tuple(row)


def _count_anew(connection: Connection, session_ids: Sequence[int], newest: date) -> None:
    """The totals of these sessions from all their records, the latest of which were received on `newest`."""
    rows = connection.execute(
        f"SELECT id, {statements.KEY}, started_at, updated_at FROM session WHERE id = ANY(%s)",  # noqa: S608
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
    for session_id, *values in connection.execute(statements.POINTS, _columns(asked), prepare=False):
        points[session_id].append(Point(*values))
    counted = [(session_id, *count(of_session)) for session_id, of_session in points.items()]
    connection.execute(statements.COUNTED, _columns(counted), prepare=False)


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
    inserted = connection.execute(statements.INSERT_RECORDS)
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
            connection.execute(statements.KEEP_RESTART, (*box, record.event_at))
    boxes = sorted(oldest)
    restarts = connection.execute(
        statements.RESTARTS, ([nas_id for nas_id, _ in boxes], [name for _, name in boxes])
    ).fetchall()
    for nas_id, name, at in restarts:
        if oldest[nas_id, name] <= at + 1:  # the statement decides; a second for the database's rounding
            _following(connection, statements.CLOSE_RESTARTED, (nas_id, name))


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
    """Where several records say something of the counters, or another than the last, all are counted anew."""
    counted = state.counted
    told = [point for point in state.points if point.input_octets or point.output_octets]
    last = (state.session_seconds, state.updated_at)
    base = 0 if not told or [(point.session_seconds, point.event_at) for point in told] == [last] else None
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
