"""Port blocks in a NAT's syslog: one line in, the events in it out. Pure.

RFC 5424 and RFC 3164 headers alike: what counts is found behind them. A parser takes from a line what is listed here
and nothing else; a destination, where one stands, is not even read (Marco Civil art. 14).

Juniper MX with MS-MPC, MS-MIC, MS-DPC:
  {sset}[jservices-nat]: JSERVICES_NAT_PORT_BLOCK_ALLOC: 100.64.0.9 -> 203.0.113.7:1024-1151 0x5a0b
  …RELEASE, …ACTIVE (the interim log) alike
Juniper MX-SPC3 and SRX, plain and structured:
  RT_NAT: RT_SRC_NAT_PBA_ALLOC: Subscriber 100.64.0.9 used/maximum [1/4] blocks, allocates port block [48640-48895]
    from 203.0.113.7 in source pool p lsys_id: 0
  RT_NAT - RT_SRC_NAT_PBA_ALLOC [internal-ip="100.64.0.9" … block-port-low="48640" block-port-high="48895"
    reflexive-ip="203.0.113.7" … epoch-time-64="624b0492"]
Cisco IOS XR (CGv6, bulk port allocation), several in one datagram:
  NAT44 - [UserbasedA - 100.64.0.9 vrf - 203.0.113.7 - 1024 1535 - -][UserbasedW …]
Ours, for anything that can be made to write it (an rsyslog template, a script):
  NAT-BLOCK alloc inside=100.64.0.9 outside=203.0.113.7 ports=1024-2047

What logs each connection (MikroTik's firewall log, SessionbasedA of Cisco) has no block and no end, and tells
destinations: it is refused. MikroTik's way of sharing addresses is a fixed mapping: that is a rule (see `nat`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from aaa.connection_log.blocks import read_range

#: A sender's clock further off than this is not believed; the time of receipt is.
SKEW_MAX: Final = timedelta(minutes=5)


class NatEvent(NamedTuple):
    """A block was given to an inside address, or taken from it."""

    allocated: bool
    inside: str
    outside: str
    port_first: int
    port_last: int
    at: datetime


_IP = r"(\d{1,3}(?:\.\d{1,3}){3})"
_JSERVICES: Final = re.compile(
    rf"JSERVICES_NAT_PORT_BLOCK_(ALLOC|RELEASE|ACTIVE): {_IP} -> {_IP}:(\d{{1,5}})-(\d{{1,5}})\b"
)
_RT_NAT: Final = re.compile(
    rf"RT_SRC_NAT_PBA_(ALLOC|RELEASE|INTERIM): Subscriber {_IP} used/maximum \[\d+/\d+\] blocks?, "
    rf"(?:allocates|releases|interim) port block \[(\d{{1,5}})-(\d{{1,5}})\] from {_IP} "
)
_RT_NAT_STRUCTURED: Final = re.compile(r"RT_SRC_NAT_PBA_(ALLOC|RELEASE|INTERIM) \[([^\]]*)\]")
_FIELD: Final = re.compile(r'([a-z0-9-]+)="([^"]*)"')
#: Event, protocol, inside address, VRF, inside IPv6, outside address, port, first, last; what follows is not read.
_CISCO: Final = re.compile(rf"\[Userbased([AW]) (?:-|\S+) {_IP} \S+ - {_IP} - (\d{{1,5}}) (\d{{1,5}})\b")
_OURS: Final = re.compile(rf"\bNAT-BLOCK (alloc|release) inside={_IP} outside={_IP} ports=(\d{{1,5}})-(\d{{1,5}})\b")
_RELEASES: Final = frozenset({"RELEASE", "W", "release"})
#: RFC 5424 TIMESTAMP, which says its offset; a time without one (RFC 3164) is not read: it could be any zone's.
_STAMP: Final = re.compile(r"^<\d{1,3}>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ")


def read_events(line: str, received_at: datetime) -> list[NatEvent]:
    """The events of a line, at the sender's time where it tells one that can be believed; none for any other line."""
    at = _sender_time(line, received_at)
    return [event for reader in _READERS for event in reader(line, at)]


def _sender_time(line: str, received_at: datetime) -> datetime:
    match = _STAMP.match(line)
    if match is None:
        return received_at
    try:
        told = datetime.fromisoformat(match[1]).astimezone(UTC)
    except (ValueError, OverflowError):
        return received_at
    return told if abs(told - received_at) <= SKEW_MAX else received_at


def _juniper_services(line: str, at: datetime) -> Iterator[NatEvent]:
    for what, inside, outside, first, last in _JSERVICES.findall(line):
        yield from _event(what, inside, outside, first, last, at)


def _juniper_flow(line: str, at: datetime) -> Iterator[NatEvent]:
    for what, inside, first, last, outside in _RT_NAT.findall(line):
        yield from _event(what, inside, outside, first, last, at)
    for what, body in _RT_NAT_STRUCTURED.findall(line):
        told = dict(_FIELD.findall(body))
        names = ("internal-ip", "reflexive-ip", "block-port-low", "block-port-high")
        inside, outside, first, last = (told.get(name, "") for name in names)
        yield from _event(what, inside, outside, first, last, at)


def _cisco(line: str, at: datetime) -> Iterator[NatEvent]:
    for what, inside, outside, first, last in _CISCO.findall(line):
        yield from _event(what, inside, outside, first, last, at)


def _ours(line: str, at: datetime) -> Iterator[NatEvent]:
    for what, inside, outside, first, last in _OURS.findall(line):
        yield from _event(what, inside, outside, first, last, at)


def _event(what: str, inside: str, outside: str, first: str, last: str, at: datetime) -> Iterator[NatEvent]:
    ports, within = read_range(outside, first, last), read_range(inside, "1", "1")
    if ports is not None and within is not None:
        yield NatEvent(what not in _RELEASES, within.outside, *ports, at)


_READERS: Final[tuple[Callable[[str, datetime], Iterator[NatEvent]], ...]] = (
    _juniper_services, _juniper_flow, _cisco, _ours,
)  # fmt: skip
