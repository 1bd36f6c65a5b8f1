"""What accounting says of a session, folded: order, loss and repetition do not change the outcome.

A session is the join of all that was heard about it. Every field joins in a way that is commutative, associative and
idempotent: the earliest start, all points of the counters (`counters` makes totals of them), the attributes that the
latest event told, and a Stop that stands once heard. So a late Interim never reopens a session that was stopped and
never takes a counter back; an Interim without a Start makes the session; a Stop without either makes a closed one.
`merge` is the definition, the SQL in `session_store` does the same to stored rows, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aaa.accounting import AccountingRecord, Status
from aaa.counters import Count, Point, count

#: (nas_id, box, acct_session_id, accept_id)
SessionKey = tuple[int, str, str, str]


class SessionState(NamedTuple):
    """What is known of one session. Times are seconds since 1970; `stopped_at` only from the NAS's own Stop."""

    key: SessionKey
    started_at: float
    updated_at: float
    stopped_at: float | None
    terminate_cause: int | None
    service_id: int | None
    fingerprint: str | None
    session_seconds: int
    points: frozenset[Point]
    input_packets: int
    output_packets: int
    interims: int
    login: str
    nas_address: str
    nas_port_id: str | None
    calling_station_id: str | None
    called_station_id: str | None
    framed_ipv4: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    multi_session_id: str | None
    is_service: bool

    @property
    def counted(self) -> Count:
        return count(self.points)


def point_of(record: AccountingRecord) -> Point:
    return Point(
        record.status == Status.STOP, record.session_seconds, record.event_at, record.input_octets,
        record.output_octets, record.input_packets, record.output_packets,
    )  # fmt: skip


def state_of(record: AccountingRecord) -> SessionState:
    """What a single Start, Interim-Update or Stop says."""
    stopped = record.status == Status.STOP
    return SessionState(
        (record.nas_id, record.box, record.acct_session_id, record.accept_id),
        record.event_at - record.session_seconds,
        record.event_at,
        record.event_at if stopped else None,
        record.terminate_cause if stopped else None,
        record.service_id,
        record.fingerprint,
        record.session_seconds,
        frozenset([point_of(record)]),
        record.input_packets,
        record.output_packets,
        1 if record.status == Status.INTERIM else 0,
        record.login,
        record.nas_address,
        record.nas_port_id,
        record.calling_station_id,
        record.called_station_id,
        record.framed_ipv4,
        record.framed_ipv6_prefix,
        record.delegated_ipv6_prefix,
        record.multi_session_id,
        record.is_service,
    )


def merge(one: SessionState, other: SessionState) -> SessionState:
    """Both, joined. Where two events of one moment differ, the greater value wins, so that order never matters.

    `interims` alone is a sum: the caller joins each distinct record once.
    """
    newer, older = (one, other) if _rank(one) >= _rank(other) else (other, one)
    stops = [state for state in (one, other) if state.stopped_at is not None]
    stop = min(stops, key=lambda state: (state.stopped_at, state.terminate_cause or 0)) if stops else None
    return SessionState(
        one.key,
        min(one.started_at, other.started_at),
        newer.updated_at,
        stop.stopped_at if stop else None,
        stop.terminate_cause if stop else None,
        newer.service_id or older.service_id,
        newer.fingerprint or older.fingerprint,
        max(one.session_seconds, other.session_seconds),
        one.points | other.points,
        max(one.input_packets, other.input_packets),
        max(one.output_packets, other.output_packets),
        one.interims + other.interims,
        newer.login or older.login,
        newer.nas_address,
        newer.nas_port_id or older.nas_port_id,
        newer.calling_station_id or older.calling_station_id,
        newer.called_station_id or older.called_station_id,
        newer.framed_ipv4 or older.framed_ipv4,
        newer.framed_ipv6_prefix or older.framed_ipv6_prefix,
        newer.delegated_ipv6_prefix or older.delegated_ipv6_prefix,
        newer.multi_session_id or older.multi_session_id,
        one.is_service or other.is_service,
    )


def fold(records: Iterable[AccountingRecord]) -> list[SessionState]:
    """One state per session, in the order of their keys (so that two shippers never wait for each other)."""
    states: dict[SessionKey, SessionState] = {}
    for record in records:
        state = state_of(record)
        known = states.get(state.key)
        states[state.key] = state if known is None else merge(known, state)
    return [states[key] for key in sorted(states)]


def _rank(state: SessionState) -> tuple[object, ...]:
    """Later events first; among equals any fixed order does."""
    return (
        state.updated_at,
        state.session_seconds,
        state.framed_ipv4 or "",
        state.framed_ipv6_prefix or "",
        state.delegated_ipv6_prefix or "",
        state.nas_port_id or "",
        state.calling_station_id or "",
        state.called_station_id or "",
        state.nas_address,
        state.login,
        state.multi_session_id or "",
    )
