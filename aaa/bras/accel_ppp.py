"""accel-ppp.

Source: its code, radius/dm_coa.c, radius/radius.c, shaper/shaper.c, ipoe, and accel-ppp.conf(5). The shaper reads one
attribute (Filter-Id, or Mikrotik-Rate-Limit where `vendor` and `attr` say so): DOWN/UP in whole kbit/s, or one number
for both; what it cannot read leaves the rate as it was, and the CoA is acknowledged. Of a CoA, the shaper comes first;
then Class, or else Session-Timeout, or else the VRF is taken, and what comes later in that order is passed over. Keys
are all matched and the first session that fits is meant, though several fit. NAS-Identifier and NAS-IP-Address must be
its own (403). Other attributes are ignored, in a Disconnect too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aaa.bras.dialect import Refused, Site, vendor_text
from aaa.bras.generic import GenericDialect, granted, with_timeout
from aaa.bras.mikrotik import RATE_LIMIT
from aaa.bras.mikrotik import VENDOR as MIKROTIK
from aaa.bras.subscriber import Grant, State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet
from core.models.network import Vendor
from core.nas_options import OPTIONS

VENDOR: Final = 55999
VRF_NAME: Final = 1
#: G is ten thousand thousand there.
_FACTORS: Final = {"": 1.0, "B": 0.001, "K": 1.0, "M": 1000.0, "G": 10_000_000.0}
_NUMBER: Final = r"\s*([+-]?[0-9]+)([BKMGbkmg]?)"
_DOWN: Final = re.compile(rf"(?:[0-9]+,)?{_NUMBER}(?=$|[ \t/\\:])")
_UP: Final = re.compile(rf"(?:[0-9]+,)?{_NUMBER}[/\\:]{_NUMBER}(?=$|[ \t])")
_BOTH: Final = re.compile(rf"(?:[0-9]+,)?{_NUMBER}(?=$|[ \t])")
_CISCO: Final = {"down": re.compile(r"rate-limit output (?:access-group [0-9]+ )?([0-9]+) [0-9]+ [0-9]+"),
                 "up": re.compile(r"rate-limit input (?:access-group [0-9]+ )?([0-9]+) [0-9]+ [0-9]+")}  # fmt: skip


class AccelPppDialect(GenericDialect):
    signs_requests = False
    signs_answers = False
    says_delay = False
    session_keys = frozenset(
        {Kind.ACCT_SESSION_ID, Kind.USER_NAME, Kind.NAS_PORT, Kind.NAS_PORT_ID, Kind.FRAMED_IP_ADDRESS,
         Kind.CALLING_STATION_ID}
    )  # fmt: skip

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        options, known = self.configured.options, OPTIONS[Vendor.ACCEL_PPP]
        self._reads_mikrotik = options.get("shaper", known["shaper"].default) == "mikrotik"
        redirect = str(options.get("l4_redirect", known["l4_redirect"].default))
        self._redirect = int(redirect) if redirect else None

    def acct_session_id(self, number: int, now: float) -> str:
        """A 64-bit count that goes on over restarts."""
        return f"{self.site.seed % 256:02x}{int(now) & 0xFFFFFFFF:08x}{number & 0xFFFFFF:06x}"

    def calling_station_id(self, line: Subscriber) -> str:
        return line.mac.hex(":")

    def nas_port_id(self, line: Subscriber) -> str:
        """The interface."""
        return f"ppp{line.number}"

    def circuit(self, line: Subscriber) -> bytes:
        """Only where a PPPoE client's access node says something."""
        return b""

    def key_value(self, line: Subscriber, kind: int) -> bytes:
        return line.number.to_bytes(4, "big") if kind == Kind.NAS_PORT else super().key_value(line, kind)

    def accept(self, reply: Packet) -> Grant:
        """Class has one place there, and the last one stays."""
        grant = granted(reply)
        return self._shaped(replace(grant, classes=grant.classes[-1:], names=_vrf(reply)), reply)

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        self.check_nas(request)
        if not any(kind in request.firsts for kind in self.session_keys):
            raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no key")
        for line in candidates:
            if line.state is State.ONLINE and self.matches(line, request):
                return [line]
        raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no session has all these keys")

    def check_disconnect(self, request: Packet) -> None:
        """Nothing is checked."""

    def change(self, grant: Grant, request: Packet) -> Grant:
        grant = self._shaped(grant, request)
        given = request.first(Kind.CLASS)
        if given is not None:
            return replace(grant, classes=(given,))
        if request.integer(Kind.SESSION_TIMEOUT) is not None:
            return with_timeout(grant, request)
        return replace(grant, names={**grant.names, **_vrf(request)})

    def _shaped(self, grant: Grant, packet: Packet) -> Grant:
        if self._reads_mikrotik:
            up, down = shaper_rates(vendor_text(packet, MIKROTIK, RATE_LIMIT))
        else:
            down, up = shaper_rates(packet.text(Kind.FILTER_ID) or "")
        grant = replace(grant, up_kbps=up or grant.up_kbps, down_kbps=down or grant.down_kbps)
        return self._redirected(grant, packet)

    def _redirected(self, grant: Grant, packet: Packet) -> Grant:
        garden = self.configured.walled_garden
        if self._redirect is None:
            return replace(
                grant, walled_garden=grant.pool == garden, address_list=garden if grant.pool == garden else ""
            )
        told = packet.integer(self._redirect)
        walled = grant.walled_garden if told is None else told > 0
        return replace(grant, walled_garden=walled, address_list=garden if walled else "")


def shaper_rates(text: str) -> tuple[int, int]:
    """Download and upload in kbit/s; 0 for what the shaper cannot read (its parser, with its ten-fold G)."""
    cisco = {way: pattern.search(text) for way, pattern in _CISCO.items()}
    if any(cisco.values()):
        down_bps, up_bps = (int(found[1]) if found else 0 for found in (cisco["down"], cisco["up"]))
        return down_bps // 1000, up_bps // 1000
    both, up = _BOTH.match(text), _UP.match(text)
    return _kbps(_DOWN.match(text)), _kbps(up) if up else _kbps(both)


def _kbps(match: re.Match[str] | None) -> int:
    """Of the last number of a match."""
    return max(0, int(int(match.groups()[-2]) * _FACTORS[match.groups()[-1].upper()])) if match else 0


def _vrf(packet: Packet) -> dict[str, str]:
    """`0` takes the interface out of its VRF."""
    name = vendor_text(packet, VENDOR, VRF_NAME)
    return {"vrf": "" if name == "0" else name} if name else {}
