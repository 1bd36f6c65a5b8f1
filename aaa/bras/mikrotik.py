"""How RouterOS speaks RADIUS: its requests, what it takes from replies, and what it answers to CoA and Disconnect.

Source: RouterOS manual, RADIUS (2026-05): keys given in a CoA are all matched; rate limit and timeouts change live;
address, pool, routes and address list do not, and are refused here with Error-Cause 401.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from aaa.bras.subscriber import State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, attribute, integer_attribute, readable, text_attribute, vendor_attributes

VENDOR: Final = 14988
_RATE_LIMIT: Final = (VENDOR, 8)
_ADDRESS_LIST: Final = (VENDOR, 19)
_SESSION_KEYS: Final = frozenset({Kind.USER_NAME, Kind.ACCT_SESSION_ID, Kind.FRAMED_IP_ADDRESS})
_KEYS: Final = _SESSION_KEYS | {Kind.NAS_IP_ADDRESS, Kind.NAS_IDENTIFIER}
_ENVELOPE: Final = frozenset({Kind.MESSAGE_AUTHENTICATOR, Kind.EVENT_TIMESTAMP, Kind.PROXY_STATE})
_LIVE: Final = frozenset({Kind.SESSION_TIMEOUT, Kind.IDLE_TIMEOUT, Kind.FILTER_ID})
_LIVE_VENDOR: Final = frozenset({1, 2, 3, 8, 11, 12, 13})
#: What a packet of a subscriber's carries on the average.
_PACKET_OCTETS: Final = 900


class TerminateCause(IntEnum):
    """RFC 2866 5.10, as far as a line ends here."""

    USER_REQUEST = 1
    SESSION_TIMEOUT = 5
    ADMIN_RESET = 6
    ADMIN_REBOOT = 7


def request_attributes(subscriber: Subscriber, identity: str, address: bytes, port: int) -> bytes:
    """What stands in every request besides the credentials."""
    return (
        integer_attribute(Kind.SERVICE_TYPE, 2)
        + integer_attribute(Kind.FRAMED_PROTOCOL, 1)
        + integer_attribute(Kind.NAS_PORT, port)
        + integer_attribute(Kind.NAS_PORT_TYPE, 15)
        + text_attribute(Kind.CALLING_STATION_ID, subscriber.mac)
        + text_attribute(Kind.CALLED_STATION_ID, "pppoe")
        + text_attribute(Kind.NAS_PORT_ID, "ether2")
        + text_attribute(Kind.NAS_IDENTIFIER, identity)
        + attribute(Kind.NAS_IP_ADDRESS, address)
    )


def accounting_attributes(subscriber: Subscriber, status: int, now: float) -> bytes:
    """Counters as RFC 2866 and 2869 have them: input is what came from the subscriber."""
    parts = [
        text_attribute(Kind.USER_NAME, subscriber.login),
        integer_attribute(Kind.ACCT_STATUS_TYPE, status),
        text_attribute(Kind.ACCT_SESSION_ID, subscriber.acct_session_id),
        integer_attribute(Kind.EVENT_TIMESTAMP, int(now)),
        integer_attribute(Kind.ACCT_SESSION_TIME, int(now - subscriber.started_at)),
    ]
    parts += [attribute(Kind.CLASS, value) for value in subscriber.classes]
    if subscriber.framed_ipv4:
        parts.append(attribute(Kind.FRAMED_IP_ADDRESS, subscriber.framed_ipv4))
    for octets, low, high, packets in (
        (subscriber.input_octets, Kind.ACCT_INPUT_OCTETS, Kind.ACCT_INPUT_GIGAWORDS, Kind.ACCT_INPUT_PACKETS),
        (subscriber.output_octets, Kind.ACCT_OUTPUT_OCTETS, Kind.ACCT_OUTPUT_GIGAWORDS, Kind.ACCT_OUTPUT_PACKETS),
    ):
        parts += [integer_attribute(low, octets & 0xFFFFFFFF), integer_attribute(high, octets >> 32)]
        parts.append(integer_attribute(packets, octets // _PACKET_OCTETS & 0xFFFFFFFF))
    return b"".join(parts)


def apply_accept(subscriber: Subscriber, reply: Packet, interim_s: float | None) -> str:
    """Take what an Access-Accept gives; returns the name of the pool that the address is to come from."""
    subscriber.classes = tuple(reply.every(Kind.CLASS))
    subscriber.rate_limit = _vendor_text(reply, _RATE_LIMIT)
    subscriber.address_list = _vendor_text(reply, _ADDRESS_LIST)
    subscriber.framed_ipv4 = reply.first(Kind.FRAMED_IP_ADDRESS) or b""
    subscriber.interim_s = interim_s or float(reply.integer(Kind.ACCT_INTERIM_INTERVAL) or 300)
    subscriber.session_timeout_s = reply.integer(Kind.SESSION_TIMEOUT) or 0
    return readable(reply.first(Kind.FRAMED_POOL) or b"default")


def matches(subscriber: Subscriber, request: Packet) -> bool:
    """Whether all session keys of the request are this session's."""
    given = {
        Kind.USER_NAME: subscriber.login.encode(),
        Kind.ACCT_SESSION_ID: subscriber.acct_session_id.encode(),
        Kind.FRAMED_IP_ADDRESS: subscriber.framed_ipv4,
    }
    return subscriber.state is State.ONLINE and all(
        request.first(kind) in {None, value} for kind, value in given.items()
    )


def names_no_session(request: Packet) -> bool:
    """A request that would mean everybody."""
    return all(request.first(kind) is None for kind in _SESSION_KEYS)


def disconnect_refused(request: Packet) -> ErrorCause | None:
    """RFC 5176 3.6: nothing but identification belongs in a Disconnect-Request."""
    strange = [kind for kind, _ in request.attributes if kind not in _KEYS | _ENVELOPE]
    return ErrorCause.UNSUPPORTED_ATTRIBUTE if strange else None


def change_refused(request: Packet) -> ErrorCause | None:
    """What RouterOS does not change live, it refuses whole."""
    for kind, value in request.attributes:
        if kind == Kind.VENDOR_SPECIFIC:
            if not all(number in _LIVE_VENDOR for number, _ in vendor_attributes(value, VENDOR)):
                return ErrorCause.UNSUPPORTED_ATTRIBUTE
        elif kind not in _KEYS | _ENVELOPE | _LIVE:
            return ErrorCause.UNSUPPORTED_ATTRIBUTE
    return None


def apply_change(subscriber: Subscriber, request: Packet) -> None:
    rate = _vendor_text(request, _RATE_LIMIT)
    if rate:
        subscriber.rate_limit = rate
    timeout = request.integer(Kind.SESSION_TIMEOUT)
    if timeout is not None:
        subscriber.session_timeout_s = timeout


def _vendor_text(packet: Packet, attribute_number: tuple[int, int]) -> str:
    values = packet.vendor_values(*attribute_number)
    return readable(values[0]) if values else ""
