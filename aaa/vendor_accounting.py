"""What vendors say in accounting in their own attributes: counters, and which session is part of another.

By the vendor number in the attribute, because the record is read before anybody looks up its NAS.

- Huawei (2011): dual-stack users are counted "separately" unless the domain says `accounting dual-stack identical`
  (NetEngine 8000 command reference): 42/43 are IPv4 then, and HW-Acct-IPv6-*-Octets 144/145 with their Gigawords
  148/149 come on top. In `identical` mode they are not sent.
- Juniper (4874): "RADIUS reports subscriber statistics as an aggregate of both IPv4 statistics and IPv6 statistics"
  (Junos, RADIUS Accounting Statistics for Subscriber Access): ERX-IPv6-Acct-* 151-156 are part of the standard
  counters and never added. A record with ERX-Service-Session (83) is a service's own accounting; its session id is
  the subscriber's, a colon and the service's.
- Nokia SR OS (6527): Alc-Acct-I/O-Inprof/Outprof-Octets-64 (19-22) with `detailed-acct-attributes`, 42/43 with
  `std-acct-attributes`, or both of the same traffic: the greater counts. One attribute per queue (first octet 0x00)
  or policer (0x80), its number, and eight octets; other first octets are application assurance, which counts the same
  traffic by application. Alc-Sub-Serv-Activate (151) in accounting marks a subscriber service's own session, whose
  Acct-Multi-Session-Id is the subscriber's.
- MikroTik and accel-ppp have the standard counters and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from aaa.counters import join_words
from aaa.packet import vendor_attributes

HUAWEI: Final = 2011
JUNIPER: Final = 4874
NOKIA: Final = 6527
_VENDORS: Final = {number.to_bytes(4, "big"): number for number in (HUAWEI, JUNIPER, NOKIA)}

_HUAWEI_IN, _HUAWEI_OUT, _HUAWEI_HIGH_IN, _HUAWEI_HIGH_OUT = 144, 145, 148, 149
_JUNIPER_SERVICE_SESSION: Final = 83
_NOKIA_IN: Final = frozenset({19, 20})
_NOKIA_OUT: Final = frozenset({21, 22})
_NOKIA_SERVICE_ACTIVATE: Final = 151
#: Q/P-selection: a queue's or a policer's own counter.
_NOKIA_FORWARDED: Final = frozenset({0x00, 0x80})


class VendorAccounting(NamedTuple):
    """`beside` comes on top of the standard counters; `instead` is the same traffic told another way: (in, out)."""

    beside: tuple[int, int] = (0, 0)
    instead: tuple[int, int] = (0, 0)
    #: The session is of a service on a subscriber's session.
    service: bool = False
    #: The subscriber's session id stands before the last colon of this one's.
    parent_in_id: bool = False


NOTHING: Final = VendorAccounting()


def read_vendor_accounting(fields: Sequence[bytes]) -> VendorAccounting:
    """What the Vendor-Specific attributes of one record say."""
    by_vendor: dict[int, list[tuple[int, bytes]]] = {}
    for field in fields:
        vendor = _VENDORS.get(field[:4])
        if vendor is not None:
            by_vendor.setdefault(vendor, []).extend(vendor_attributes(field, vendor))
    if not by_vendor:
        return NOTHING
    service = any(kind == _JUNIPER_SERVICE_SESSION for kind, _ in by_vendor.get(JUNIPER, ()))
    nokia = by_vendor.get(NOKIA, [])
    return VendorAccounting(
        beside=_huawei_ipv6(dict(by_vendor.get(HUAWEI, ()))),
        instead=(_nokia_octets(nokia, _NOKIA_IN), _nokia_octets(nokia, _NOKIA_OUT)),
        service=service or any(kind == _NOKIA_SERVICE_ACTIVATE for kind, _ in nokia),
        parent_in_id=service,
    )


def _huawei_ipv6(values: dict[int, bytes]) -> tuple[int, int]:
    low_in, low_out, high_in, high_out = [
        int.from_bytes(values[kind], "big") if len(values.get(kind, b"")) == 4 else 0
        for kind in (_HUAWEI_IN, _HUAWEI_OUT, _HUAWEI_HIGH_IN, _HUAWEI_HIGH_OUT)
    ]
    return join_words(high_in, low_in), join_words(high_out, low_out)


def _nokia_octets(attributes: Sequence[tuple[int, bytes]], kinds: frozenset[int]) -> int:
    return sum(
        int.from_bytes(value[2:], "big")
        for kind, value in attributes
        if kind in kinds and len(value) == 10 and value[0] in _NOKIA_FORWARDED
    )
