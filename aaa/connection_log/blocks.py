"""A port block of a CGNAT, as accounting attributes tell it. Pure, and quick where there is none.

Huawei (2011): HW-NAT-Public-Address 161 (ipaddr), HW-NAT-Start-Port 162, HW-NAT-End-Port 163 (integer).
Nokia (6527): Alc-Nat-Port-Range 121, text "192.0.2.1 1024..1055 router base".
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from aaa.packet import Packet

_HUAWEI: Final = (2011).to_bytes(4, "big")
_HUAWEI_START: Final = _HUAWEI + bytes((162, 6))
_NOKIA: Final = (6527).to_bytes(4, "big")
_NOKIA_RANGE: Final = _NOKIA + bytes((121,))
_RANGE: Final = re.compile(rb"(\d{1,3}(?:\.\d{1,3}){3}) (\d{1,5})(?:\.\.|-)(\d{1,5})(?: .*)?", re.DOTALL)


class NatPorts(NamedTuple):
    """Ports of an outside address, both ends included."""

    outside: str
    port_first: int
    port_last: int


def read_ports(packet: Packet) -> NatPorts | None:
    """The first block that the packet tells; None without one, and for one that makes no sense."""
    if _HUAWEI_START in packet.octets:
        told = packet.vendor_firsts(2011)
        found = [told.get(kind, b"") for kind in (161, 162, 163)]
        values = [int.from_bytes(value, "big") for value in found if len(value) == 4]
        return _ports(IPv4Address(values[0]), values[1], values[2]) if len(values) == 3 else None
    if _NOKIA_RANGE in packet.octets:
        match = _RANGE.fullmatch(packet.vendor_firsts(6527).get(121, b""))
        return read_range(*(part.decode() for part in match.groups())) if match else None
    return None


def read_range(outside: str, first: str, last: str) -> NatPorts | None:
    try:
        return _ports(IPv4Address(outside), int(first), int(last))
    except ValueError:
        return None


def _ports(outside: IPv4Address, first: int, last: int) -> NatPorts | None:
    return NatPorts(str(outside), first, last) if 0 < first <= last <= 65535 else None
