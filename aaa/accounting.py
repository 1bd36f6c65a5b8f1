"""An Accounting-Request as a record: pure, and fast, because a busy node reads tens of thousands a second.

RFC 2866, 2869 (Gigawords, Event-Timestamp), 3162, 4818. Event time is the NAS's own (Event-Timestamp) where its
clock is sound, else the time of receipt less Acct-Delay-Time (RFC 5080 2.3.3).
"""

from __future__ import annotations

import socket
from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from aaa.accept_class import find_class
from aaa.packet import Kind, Packet, parse

#: A NAS whose clock is further off than this is not believed about time.
CLOCK_SKEW_MAX_S: Final = 24 * 3600
CLOCK_AHEAD_MAX_S: Final = 300
#: What a PostgreSQL bigint holds; no subscriber has moved eight exabytes.
_COUNTER_MAX: Final = (1 << 63) - 1


class Status(IntEnum):
    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    OFF = 8


class AccountingRecord(NamedTuple):
    """What one packet says. Times are seconds since 1970, UTC."""

    received_at: float
    event_at: float
    nas_id: int
    box: str
    source: str
    status: int
    acct_session_id: str
    accept_id: str
    service_id: int | None
    fingerprint: str | None
    login: str
    session_seconds: int
    input_octets: int
    output_octets: int
    input_packets: int
    output_packets: int
    terminate_cause: int | None
    nas_address: str
    nas_port_id: str | None
    calling_station_id: str | None
    called_station_id: str | None
    framed_ipv4: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    #: Equal for a packet and its retransmits: NAS, session, status and event time.
    dedupe_key: bytes


def read_record(received_at_ns: int, nas_id: int, source: str, octets: bytes) -> AccountingRecord:
    """The record in a packet that was verified before it was spooled."""
    packet = parse(octets)
    first, integer = packet.first, packet.integer
    received_at = received_at_ns / 1e9
    status = integer(Kind.ACCT_STATUS_TYPE) or 0
    acct_session_id = packet.text(Kind.ACCT_SESSION_ID) or ""
    nas_address = _address(first(Kind.NAS_IP_ADDRESS) or first(Kind.NAS_IPV6_ADDRESS)) or source
    box = packet.text(Kind.NAS_IDENTIFIER) or nas_address
    ours = find_class(packet.every(Kind.CLASS))
    accept_id = ours.accept_id if ours else ""
    input_octets = _counter(packet, Kind.ACCT_INPUT_OCTETS, Kind.ACCT_INPUT_GIGAWORDS)
    output_octets = _counter(packet, Kind.ACCT_OUTPUT_OCTETS, Kind.ACCT_OUTPUT_GIGAWORDS)
    session_seconds = integer(Kind.ACCT_SESSION_TIME) or 0
    stamp = integer(Kind.EVENT_TIMESTAMP)
    event_at = _event_time(received_at, stamp, integer(Kind.ACCT_DELAY_TIME) or 0)
    moment = f"@{stamp}" if stamp else f"{session_seconds}:{input_octets}:{output_octets}"
    key = f"{nas_id}|{box}|{acct_session_id}|{accept_id}|{status}|{moment}"
    return AccountingRecord(
        received_at,
        event_at,
        nas_id,
        box,
        source,
        status,
        acct_session_id,
        accept_id,
        (ours.service_id or None) if ours else None,
        ours.fingerprint if ours else None,
        packet.text(Kind.USER_NAME) or "",
        session_seconds,
        input_octets,
        output_octets,
        integer(Kind.ACCT_INPUT_PACKETS) or 0,
        integer(Kind.ACCT_OUTPUT_PACKETS) or 0,
        _small(integer(Kind.ACCT_TERMINATE_CAUSE)),
        nas_address,
        packet.text(Kind.NAS_PORT_ID),
        packet.text(Kind.CALLING_STATION_ID),
        packet.text(Kind.CALLED_STATION_ID),
        _ipv4(first(Kind.FRAMED_IP_ADDRESS)),
        _prefix(first(Kind.FRAMED_IPV6_PREFIX)),
        _prefix(first(Kind.DELEGATED_IPV6_PREFIX)),
        blake2b(key.encode(), digest_size=16).digest(),
    )


def _counter(packet: Packet, octets: Kind, gigawords: Kind) -> int:
    counted = (packet.integer(gigawords) or 0) << 32 | (packet.integer(octets) or 0)
    return min(counted, _COUNTER_MAX)


def _event_time(received_at: float, stamp: int | None, delay_s: int) -> float:
    """RFC 2869 5.3, distrusting a clock that is far off; never later than a little after receipt."""
    if stamp and -CLOCK_SKEW_MAX_S < stamp - received_at < CLOCK_AHEAD_MAX_S:
        return float(stamp)
    return received_at - min(delay_s, CLOCK_SKEW_MAX_S)


def _address(value: bytes | None) -> str | None:
    if value is None or len(value) not in {4, 16}:
        return None
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)


def _ipv4(value: bytes | None) -> str | None:
    return socket.inet_ntoa(value) if value is not None and len(value) == 4 else None


def _prefix(value: bytes | None) -> str | None:
    if value is None or not 2 <= len(value) <= 18 or value[1] > 128:
        return None
    return f"{socket.inet_ntop(socket.AF_INET6, value[2:].ljust(16, bytes(1)))}/{value[1]}"


def _small(value: int | None) -> int | None:
    return value if value is not None and value < 1 << 15 else None
