"""An Accounting-Request as a record: pure, and fast, because a busy node reads tens of thousands a second.

RFC 2866, 2869 (Gigawords, Event-Timestamp), 3162, 4818.

Event time is the NAS's own (Event-Timestamp) where its clock is sound, else the time of receipt less Acct-Delay-Time
(RFC 5080 2.3.3). A clock that is hours off, as one set to local time is, must not be believed: its live sessions
would look as if nobody had heard of them for hours. What lay in the NAS for long says so in Acct-Delay-Time.

A packet and its retransmits, which may differ in Acct-Delay-Time and so in Identifier and authenticator, have one
dedupe key: NAS, box, session, status and the moment. The moment is Event-Timestamp; without one, session time and
counters tell one interim from the next, and an Accounting-On or -Off, which has none, counts once a minute. The first
half of the key is the session's alone, so that all its records lie beside each other under the table's only index.
"""

from __future__ import annotations

import socket
from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from aaa.accept_class import find_class
from aaa.connection_log.blocks import NatPorts, read_ports
from aaa.counters import COUNTER_MAX, join_words
from aaa.packet import Kind, parse, readable
from aaa.vendor_accounting import NOTHING, VendorAccounting, read_vendor_accounting

#: A NAS whose clock is further off than this is not believed about time. Together with one interim interval it
#: must stay below the shortest silence that makes a session stale (see staleness).
CLOCK_SKEW_MAX_S: Final = 300
#: Longer delays than this are nonsense.
DELAY_MAX_S: Final = 24 * 3600
#: Octets of a dedupe key that belong to the session, and of the whole key.
SESSION_KEY_OCTETS: Final = 8
DEDUPE_KEY_OCTETS: Final = 16


class Status(IntEnum):
    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    OFF = 8


#: What a box says of itself: all its sessions end.
BOX_STATUSES: Final = frozenset({Status.ON, Status.OFF})
_TEXTS: Final = (
    Kind.USER_NAME,
    Kind.ACCT_SESSION_ID,
    Kind.NAS_IDENTIFIER,
    Kind.NAS_PORT_ID,
    Kind.CALLING_STATION_ID,
    Kind.CALLED_STATION_ID,
    Kind.ACCT_MULTI_SESSION_ID,
)
_INTEGERS: Final = (
    Kind.ACCT_STATUS_TYPE,
    Kind.ACCT_SESSION_TIME,
    Kind.EVENT_TIMESTAMP,
    Kind.ACCT_DELAY_TIME,
    Kind.ACCT_INPUT_OCTETS,
    Kind.ACCT_INPUT_GIGAWORDS,
    Kind.ACCT_OUTPUT_OCTETS,
    Kind.ACCT_OUTPUT_GIGAWORDS,
    Kind.ACCT_INPUT_PACKETS,
    Kind.ACCT_OUTPUT_PACKETS,
    Kind.ACCT_TERMINATE_CAUSE,
)
_ADDRESSES: Final = tuple(
    int(kind)
    for kind in (
        Kind.NAS_IP_ADDRESS,
        Kind.NAS_IPV6_ADDRESS,
        Kind.FRAMED_IP_ADDRESS,
        Kind.FRAMED_IPV6_PREFIX,
        Kind.DELEGATED_IPV6_PREFIX,
    )
)


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
    #: What ties the sessions of one subscriber's line together: Acct-Multi-Session-Id, or a service's parent.
    multi_session_id: str | None
    #: The session is of a service on a subscriber's session.
    is_service: bool
    #: The ports of a shared address that a NAT gave the session.
    nat_ports: NatPorts | None = None


def read_record(received_at_ns: int, nas_id: int, source: str, octets: bytes) -> AccountingRecord:
    """The record in a packet that was verified before it was spooled. Raises MalformedPacket."""
    packet = parse(octets)
    get = packet.firsts.get
    login, acct_session_id, identifier, nas_port_id, calling, called, multi_session_id = [
        None if value is None else readable(value) for value in map(get, _TEXTS)
    ]
    status, session_seconds, stamp, delay_s, low_in, high_in, low_out, high_out, packets_in, packets_out, cause = [
        int.from_bytes(value, "big") if value is not None and len(value) == 4 else 0 for value in map(get, _INTEGERS)
    ]
    nas_ipv4, nas_ipv6, framed_ipv4, framed_ipv6_prefix, delegated_ipv6_prefix = map(get, _ADDRESSES)
    nas_address = _address(nas_ipv4 or nas_ipv6) or source
    box = identifier or nas_address
    ours = find_class(packet.every(Kind.CLASS))
    accept_id = ours.accept_id if ours else ""
    input_octets, output_octets = join_words(high_in, low_in), join_words(high_out, low_out)
    vendor = NOTHING
    if Kind.VENDOR_SPECIFIC in packet.firsts:
        vendor = read_vendor_accounting(packet.every(Kind.VENDOR_SPECIFIC))
        if vendor is not NOTHING:
            input_octets = min(max(input_octets + vendor.beside[0], vendor.instead[0]), COUNTER_MAX)
            output_octets = min(max(output_octets + vendor.beside[1], vendor.instead[1]), COUNTER_MAX)
    received_at = received_at_ns / 1e9
    event_at = _event_time(received_at, stamp, delay_s)
    moment = f"@{stamp}" if stamp else _moment(status, event_at, (session_seconds, input_octets, output_octets))
    return AccountingRecord(
        received_at,
        event_at,
        nas_id,
        box,
        source,
        status,
        acct_session_id or "",
        accept_id,
        (ours.service_id or None) if ours else None,
        ours.fingerprint if ours else None,
        login or "",
        session_seconds,
        input_octets,
        output_octets,
        packets_in,
        packets_out,
        cause if 0 < cause < 1 << 15 else None,
        nas_address,
        nas_port_id,
        calling,
        called,
        _ipv4(framed_ipv4) if framed_ipv4 else None,
        _prefix(framed_ipv6_prefix) if framed_ipv6_prefix else None,
        _prefix(delegated_ipv6_prefix) if delegated_ipv6_prefix else None,
        session_prefix(nas_id, box, acct_session_id or "", accept_id)
        + blake2b(f"{status}\n{moment}".encode(), digest_size=DEDUPE_KEY_OCTETS - SESSION_KEY_OCTETS).digest(),
        _line(acct_session_id or "", multi_session_id, vendor),
        vendor.service,
        read_ports(packet) if Kind.VENDOR_SPECIFIC in packet.firsts else None,
    )


def session_prefix(nas_id: int, box: str, acct_session_id: str, accept_id: str) -> bytes:
    """How the dedupe keys of a session's records begin."""
    # No text from the network holds a control character: the separator separates.
    key = f"{nas_id}\n{box}\n{acct_session_id}\n{accept_id}"
    return blake2b(key.encode(), digest_size=SESSION_KEY_OCTETS).digest()


def _line(acct_session_id: str, multi_session_id: str | None, vendor: VendorAccounting) -> str | None:
    if vendor.parent_in_id and ":" in acct_session_id:
        return acct_session_id.rpartition(":")[0]
    return multi_session_id or None


def _moment(status: int, event_at: float, counted: tuple[int, int, int]) -> str:
    """What tells this event without a time stamp from the session's (or the box's) others of the same status."""
    if status in BOX_STATUSES:
        return f"~{event_at // 60:.0f}"
    return "{}:{}:{}".format(*counted)


def _event_time(received_at: float, stamp: int, delay_s: int) -> float:
    """RFC 2869 5.3, where the NAS's clock agrees with ours; else what our clock and Acct-Delay-Time say."""
    ours = received_at - min(delay_s, DELAY_MAX_S)
    if stamp and (abs(stamp - ours) <= CLOCK_SKEW_MAX_S or abs(stamp - received_at) <= CLOCK_SKEW_MAX_S):
        return float(stamp)
    return ours


def _address(value: bytes | None) -> str | None:
    if value is None or len(value) not in {4, 16}:
        return None
    return socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)


def _ipv4(value: bytes) -> str | None:
    return socket.inet_ntoa(value) if len(value) == 4 else None


def _prefix(value: bytes) -> str | None:
    if not 2 <= len(value) <= 18 or value[1] > 128:
        return None
    return f"{socket.inet_ntop(socket.AF_INET6, value[2:].ljust(16, bytes(1)))}/{value[1]}"
