"""A BRAS by the RFCs alone (2865, 2866, 2869, 5176) with WISPr rates; other vendors' dialects differ from it.

Rates are bit/s. A CoA changes timers, Filter-Id and WISPr rates; anything else is refused (RFC 5176 3.6: all attributes
are mandatory), and nothing is changed by a refused request. All keys given must match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aaa.bras.dialect import NAS_KEYS, Dialect, Refused, Site, refuse_unsupported, vendor_number
from aaa.bras.subscriber import Grant, State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, attribute, integer_attribute, readable, text_attribute, vendor_attribute

WISPR: Final = 14122
BANDWIDTH_MAX_UP: Final = 7
BANDWIDTH_MAX_DOWN: Final = 8
#: DSL Forum (RFC 4679).
DSL_FORUM: Final = 3561
AGENT_CIRCUIT_ID: Final = 1
AGENT_REMOTE_ID: Final = 2
#: What a packet of a subscriber's carries on the average.
PACKET_OCTETS: Final = 900
_IPV6_KINDS: Final = (
    Kind.FRAMED_IPV6_PREFIX, Kind.FRAMED_IPV6_POOL, Kind.DELEGATED_IPV6_PREFIX, Kind.DELEGATED_IPV6_PREFIX_POOL,
    Kind.STATEFUL_IPV6_ADDRESS_POOL,
)  # fmt: skip
_IPV6_PREFIXES: Final = (Kind.FRAMED_IPV6_PREFIX, Kind.DELEGATED_IPV6_PREFIX)
#: Acct-Status-Type of a session's first record.
_START: Final = 1
_NOTHING: Final[Mapping[str, str]] = {}
#: Addresses that mean: the NAS chooses (RFC 2865 5.8).
NAS_CHOOSES: Final = frozenset({b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"})


class GenericDialect(Dialect):
    signs_requests = True
    signs_answers = True
    says_delay = True
    repeats_with_delay = False
    #: Ethernet (RFC 2865 5.41).
    nas_port_type = 15
    session_keys: frozenset[int] = frozenset(
        {Kind.USER_NAME, Kind.ACCT_SESSION_ID, Kind.FRAMED_IP_ADDRESS, Kind.CALLING_STATION_ID, Kind.NAS_PORT_ID}
    )

    def __init__(self, site: Site) -> None:
        self.site = site
        self.configured = site.configured

    def acct_session_id(self, number: int, now: float) -> str:
        return f"{int(now):08x}{number:06x}"

    def calling_station_id(self, line: Subscriber) -> str:
        """RFC 3580 3.21."""
        return line.mac.hex("-").upper()

    def nas_port_id(self, line: Subscriber) -> str:
        return f"eth0/1:{line.number % 4000}"

    def circuit(self, line: Subscriber) -> bytes:
        """What the access node said of the line (RFC 4679)."""
        ids = ((AGENT_CIRCUIT_ID, f"olt-1 xpon 0/1/0/{line.number % 64}:1.1.503"), (AGENT_REMOTE_ID, line.login))
        return b"".join(vendor_attribute(DSL_FORUM, kind, value.encode()) for kind, value in ids)

    def request_attributes(self, line: Subscriber) -> bytes:
        return (
            integer_attribute(Kind.SERVICE_TYPE, 2)
            + integer_attribute(Kind.FRAMED_PROTOCOL, 1)
            + integer_attribute(Kind.NAS_PORT, line.number)
            + integer_attribute(Kind.NAS_PORT_TYPE, self.nas_port_type)
            + text_attribute(Kind.CALLING_STATION_ID, self.calling_station_id(line))
            + text_attribute(Kind.NAS_PORT_ID, self.nas_port_id(line))
            + text_attribute(Kind.NAS_IDENTIFIER, self.site.identity)
            + attribute(Kind.NAS_IP_ADDRESS, self.site.address)
            + self.circuit(line)
        )

    def accounting_sessions(self, line: Subscriber) -> tuple[str, ...]:
        return (line.acct_session_id,)

    def accounting_attributes(self, line: Subscriber, acct_session_id: str, status: int, now: float) -> bytes:
        return self.session_attributes(line, acct_session_id, status, now) + self.counters(line)

    def session_attributes(self, line: Subscriber, acct_session_id: str, status: int, now: float) -> bytes:
        parts = [
            text_attribute(Kind.USER_NAME, line.login),
            integer_attribute(Kind.ACCT_STATUS_TYPE, status),
            text_attribute(Kind.ACCT_SESSION_ID, acct_session_id),
            integer_attribute(Kind.EVENT_TIMESTAMP, int(now)),
            integer_attribute(Kind.ACCT_SESSION_TIME, int(now - line.started_at)),
        ]
        parts += [attribute(Kind.CLASS, value) for value in line.grant.classes]
        if line.framed_ipv4:
            parts.append(attribute(Kind.FRAMED_IP_ADDRESS, line.framed_ipv4))
        if status != _START:  # router advertisements and DHCPv6 come after the session's start
            parts.append(line.grant.ipv6_prefixes)
        return b"".join(parts)

    def counters(self, line: Subscriber) -> bytes:
        return standard_counters(line.input_octets, line.output_octets)

    def accept(self, reply: Packet) -> Grant:
        grant = granted(reply, address_list=reply.text(Kind.FILTER_ID) or "")
        return self.settled(replace(grant, limits=_wispr(reply)))

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        self.check_nas(request)
        if not any(kind in request.firsts for kind in self.session_keys):
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "no session key that this box knows")
        found = [line for line in candidates if line.state is State.ONLINE and self.matches(line, request)]
        if not found:
            raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no session has all these keys")
        return found

    def check_nas(self, request: Packet) -> None:
        if request.first(Kind.NAS_IP_ADDRESS) not in {None, self.site.address} or (
            request.text(Kind.NAS_IDENTIFIER) not in {None, self.site.identity}
        ):
            raise Refused(ErrorCause.NAS_IDENTIFICATION_MISMATCH, "this is another NAS")

    def matches(self, line: Subscriber, request: Packet) -> bool:
        """Whether all session keys of the request are this session's."""
        return all(
            request.firsts[kind] == self.key_value(line, kind) for kind in self.session_keys if kind in request.firsts
        )

    def key_value(self, line: Subscriber, kind: int) -> bytes:
        match kind:
            case Kind.USER_NAME:
                return line.login.encode()
            case Kind.ACCT_SESSION_ID:
                return line.acct_session_id.encode()
            case Kind.FRAMED_IP_ADDRESS:
                return line.framed_ipv4
            case Kind.CALLING_STATION_ID:
                return self.calling_station_id(line).encode()
            case _:
                return self.nas_port_id(line).encode()

    def check_disconnect(self, request: Packet) -> None:
        """RFC 5176 3.6: nothing but identification belongs in a Disconnect-Request."""
        refuse_unsupported(request, self.session_keys | NAS_KEYS)

    def change(self, grant: Grant, request: Packet) -> Grant:
        live = frozenset({Kind.SESSION_TIMEOUT, Kind.IDLE_TIMEOUT, Kind.FILTER_ID})
        rates = frozenset({BANDWIDTH_MAX_UP, BANDWIDTH_MAX_DOWN})
        refuse_unsupported(request, self.session_keys | NAS_KEYS | live, {WISPR: rates})
        grant = with_timeout(grant, request)
        filter_id = request.text(Kind.FILTER_ID)
        if filter_id is not None:
            grant = replace(grant, address_list=filter_id)
        return self.settled(replace(grant, limits={**grant.limits, **_wispr(request)}))

    def settled(self, grant: Grant) -> Grant:
        """The grant with the rates and the walled garden that follow from the rest of it."""
        return replace(
            grant, up_kbps=grant.limits.get("up", 0), down_kbps=grant.limits.get("down", 0),
            walled_garden=grant.address_list == self.configured.walled_garden,
        )  # fmt: skip


def granted(reply: Packet, names: Mapping[str, str] = _NOTHING, address_list: str = "") -> Grant:
    """What the standard attributes of an Access-Accept give, to begin with."""
    address = reply.first(Kind.FRAMED_IP_ADDRESS) or b""
    return Grant(
        classes=tuple(reply.every(Kind.CLASS)),
        framed_ipv4=b"" if address in NAS_CHOOSES else address,
        pool=readable(reply.first(Kind.FRAMED_POOL) or b"default"),
        ipv6=any(kind in reply.firsts for kind in _IPV6_KINDS),
        ipv6_prefixes=b"".join(
            attribute(kind, value) for kind in _IPV6_PREFIXES if (value := reply.first(kind)) is not None
        ),
        interim_s=float(reply.integer(Kind.ACCT_INTERIM_INTERVAL) or 300),
        session_timeout_s=reply.integer(Kind.SESSION_TIMEOUT) or 0,
        names=names,
        address_list=address_list,
    )


def with_timeout(grant: Grant, request: Packet) -> Grant:
    timeout = request.integer(Kind.SESSION_TIMEOUT)
    return grant if timeout is None else replace(grant, session_timeout_s=timeout)


def standard_counters(input_octets: int, output_octets: int) -> bytes:
    """RFC 2866 5.3 and 2869 5.1: input is what came from the subscriber."""
    parts = []
    for octets, low, high, packets in (
        (input_octets, Kind.ACCT_INPUT_OCTETS, Kind.ACCT_INPUT_GIGAWORDS, Kind.ACCT_INPUT_PACKETS),
        (output_octets, Kind.ACCT_OUTPUT_OCTETS, Kind.ACCT_OUTPUT_GIGAWORDS, Kind.ACCT_OUTPUT_PACKETS),
    ):
        parts += [integer_attribute(low, octets & 0xFFFFFFFF), integer_attribute(high, octets >> 32)]
        parts.append(integer_attribute(packets, octets // PACKET_OCTETS & 0xFFFFFFFF))
    return b"".join(parts)


def _wispr(packet: Packet) -> dict[str, int]:
    """kbit/s; the attributes have bit/s."""
    found = (("up", BANDWIDTH_MAX_UP), ("down", BANDWIDTH_MAX_DOWN))
    rates = ((way, vendor_number(packet, WISPR, number)) for way, number in found)
    return {way: rate // 1000 for way, rate in rates if rate is not None}
