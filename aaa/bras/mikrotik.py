"""RouterOS (vendor 14988).

Source: RouterOS manual, RADIUS (2026-05): keys given in a CoA are all matched; rate limit, group, filter and time-outs
change live; address, pool, routes and address list do not, and are refused here with Error-Cause 401. A pool beside an
address is ignored, and so is an address in 127/8 or 224/3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from aaa.bras.dialect import NAS_KEYS, Refused, refuse_unsupported
from aaa.bras.generic import GenericDialect, granted, with_timeout
from aaa.bras.subscriber import Grant, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, readable, text_attribute

VENDOR: Final = 14988
GROUP: Final = 3
RATE_LIMIT: Final = 8
TOTAL_LIMIT: Final = 17
TOTAL_LIMIT_GIGAWORDS: Final = 18
ADDRESS_LIST: Final = 19
_LIVE: Final = frozenset({Kind.SESSION_TIMEOUT, Kind.IDLE_TIMEOUT, Kind.FILTER_ID, 62})  # and Port-Limit
_LIVE_VENDOR: Final = {VENDOR: frozenset({1, 2, 3, 8, 11, 12, 13})}
_RATE: Final = re.compile(r"([0-9]+)([kKM]?)(?:/([0-9]+)([kKM]?))?")
_FACTORS: Final = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}


class MikrotikDialect(GenericDialect):
    signs_answers = False
    session_keys = frozenset({Kind.USER_NAME, Kind.ACCT_SESSION_ID, Kind.FRAMED_IP_ADDRESS})

    def acct_session_id(self, number: int, now: float) -> str:
        """Two symbols of the service, one that changes with each boot, and a count."""
        return f"81{self.site.seed % 16:x}{number % (1 << 20):05x}"

    def calling_station_id(self, line: Subscriber) -> str:
        return line.mac.hex(":").upper()

    def nas_port_id(self, line: Subscriber) -> str:
        return "ether2"

    def circuit(self, line: Subscriber) -> bytes:
        return text_attribute(Kind.CALLED_STATION_ID, "pppoe")

    def accept(self, reply: Packet) -> Grant:
        told = reply.vendor_firsts(VENDOR)
        grant = granted(reply, _names(told), readable(told.get(ADDRESS_LIST, b"")))
        address = grant.framed_ipv4
        if address and (address[0] == 127 or address[0] >= 224):
            grant = replace(grant, framed_ipv4=b"")
        return self.settled(replace(grant, total_octets=_total_octets(told)))

    def check_nas(self, request: Packet) -> None:
        """The manual names no such check."""

    def change(self, grant: Grant, request: Packet) -> Grant:
        refuse_unsupported(request, self.session_keys | NAS_KEYS | _LIVE, _LIVE_VENDOR)
        names = _names(request.vendor_firsts(VENDOR))
        if "rate" in names and parse_rate(names["rate"]) is None:
            raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, "no rate limit")
        grant = with_timeout(grant, request)
        return self.settled(replace(grant, names={**grant.names, **names}))

    def settled(self, grant: Grant) -> Grant:
        """The rate limit comes before what the PPP profile has."""
        told = parse_rate(grant.names["rate"]) if "rate" in grant.names else None
        profile = self.configured.profiles.get(grant.names.get("group", self.configured.default_profile))
        up, down = told or profile or (0, 0)
        garden = grant.address_list == self.configured.walled_garden
        return replace(grant, up_kbps=up, down_kbps=down, walled_garden=garden)


def parse_rate(text: str) -> tuple[int, int] | None:
    """Upload and download in kbit/s out of `rx/tx …`, None where it is none; tx is rx where it is missing."""
    match = _RATE.fullmatch(text.partition(" ")[0])
    if not match:
        return None
    up = int(match[1]) * _FACTORS[match[2]]
    down = up if match[3] is None else int(match[3]) * _FACTORS[match[4]]
    return up // 1000, down // 1000


def _total_octets(told: Mapping[int, bytes]) -> int:
    high, low = (int.from_bytes(told.get(kind, b""), "big") for kind in (TOTAL_LIMIT_GIGAWORDS, TOTAL_LIMIT))
    return high << 32 | low


def _names(told: Mapping[int, bytes]) -> dict[str, str]:
    return {place: readable(told[kind]) for place, kind in (("rate", RATE_LIMIT), ("group", GROUP)) if kind in told}
