"""Huawei NetEngine and ME60 (vendor 2011).

Source: Huawei, RADIUS attributes of NetEngine 8000 (HW-2 to HW-191), `radius-server authorization error-reply`
(version2: what does not exist is refused with 404), `accounting dual-stack` (separate by default: standard counters
are IPv4's, HW-144 to 149 IPv6's), `radius-attribute qos-profile no-exist-policy` (offline by default). Names of QoS
profiles are made lower case. A line runs up to its peak rate, which the box keeps until it is told another; a peak
counts only with its average beside it. Not documented, and so a choice of this box: the later of a QoS profile and of
rates limits the line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aaa.bras.dialect import NAS_KEYS, Refused, refuse_unsupported, vendor_number, vendor_text
from aaa.bras.generic import PACKET_OCTETS, GenericDialect, granted, standard_counters, with_timeout
from aaa.bras.subscriber import IPV6_SHARE, Grant, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, vendor_attribute

VENDOR: Final = 2011
INPUT_AVERAGE, INPUT_PEAK, OUTPUT_AVERAGE, OUTPUT_PEAK = 2, 3, 5, 6
QOS_PROFILE: Final = 31
VPN_INSTANCE: Final = 94
HTTP_REDIRECT_URL: Final = 140
IPV6_INPUT_OCTETS, IPV6_OUTPUT_OCTETS, IPV6_INPUT_PACKETS, IPV6_OUTPUT_PACKETS = 144, 145, 146, 147
IPV6_INPUT_GIGAWORDS, IPV6_OUTPUT_GIGAWORDS = 148, 149
_LIVE: Final = frozenset({Kind.SESSION_TIMEOUT, Kind.IDLE_TIMEOUT, Kind.FILTER_ID})
_LIVE_VENDOR: Final = {VENDOR: frozenset({1, 2, 3, 4, 5, 6, 77, 78, QOS_PROFILE, VPN_INSTANCE, HTTP_REDIRECT_URL})}
_RATES: Final = (("up", INPUT_AVERAGE, INPUT_PEAK), ("down", OUTPUT_AVERAGE, OUTPUT_PEAK))


class HuaweiDialect(GenericDialect):
    signs_requests = False
    signs_answers = False

    def acct_session_id(self, number: int, now: float) -> str:
        """Host name, place of the port, VLANs, and a count: long."""
        return f"{self.site.identity[:7].upper()}02022000000503{int(now):08x}{number:06x}"

    def calling_station_id(self, line: Subscriber) -> str:
        return line.mac.hex("-")

    def nas_port_id(self, line: Subscriber) -> str:
        return f"slot=2;subslot=2;port=22;vlanid=503;vlanid2={line.number % 4094 + 1};"

    def counters(self, line: Subscriber) -> bytes:
        if not line.grant.ipv6:
            return standard_counters(line.input_octets, line.output_octets)
        ipv6_input, ipv6_output = int(line.input_octets * IPV6_SHARE), int(line.output_octets * IPV6_SHARE)
        return standard_counters(line.input_octets - ipv6_input, line.output_octets - ipv6_output) + b"".join(
            vendor_attribute(VENDOR, kind, (value & 0xFFFFFFFF).to_bytes(4, "big"))
            for kind, value in (
                (IPV6_INPUT_OCTETS, ipv6_input),
                (IPV6_OUTPUT_OCTETS, ipv6_output),
                (IPV6_INPUT_PACKETS, ipv6_input // PACKET_OCTETS),
                (IPV6_OUTPUT_PACKETS, ipv6_output // PACKET_OCTETS),
                (IPV6_INPUT_GIGAWORDS, ipv6_input >> 32),
                (IPV6_OUTPUT_GIGAWORDS, ipv6_output >> 32),
            )
        )

    def accept(self, reply: Packet) -> Grant:
        """A group that does not exist is as no group; a QoS profile that does not exist takes the user offline."""
        group = reply.text(Kind.FILTER_ID) or ""
        grant = granted(reply, address_list=group if self.configured.exists(group) else "")
        return self._with_limits(grant, reply)

    def change(self, grant: Grant, request: Packet) -> Grant:
        refuse_unsupported(request, self.session_keys | NAS_KEYS | _LIVE, _LIVE_VENDOR)
        grant = with_timeout(grant, request)
        group = request.text(Kind.FILTER_ID)
        if group is not None:
            if not self.configured.exists(group):
                raise Refused(ErrorCause.INVALID_REQUEST, f"there is no user group or ACL {group}")
            grant = replace(grant, address_list=group)
        return self._with_limits(grant, request)

    def _with_limits(self, grant: Grant, packet: Packet) -> Grant:
        names, limits = dict(grant.names), dict(grant.limits)
        profile = vendor_text(packet, VENDOR, QOS_PROFILE).lower()
        if profile and profile not in self.configured.profiles:
            raise Refused(ErrorCause.INVALID_REQUEST, f"there is no QoS profile {profile}")
        if profile:
            names["qos"], limits = profile, {}
        for way, average_kind, peak_kind in _RATES:
            average = vendor_number(packet, VENDOR, average_kind)
            if average is not None:
                names.pop("qos", None)
                limits |= _told(way, average, vendor_number(packet, VENDOR, peak_kind))
        return self.settled(replace(grant, names=names, limits=limits))

    def settled(self, grant: Grant) -> Grant:
        profile = grant.names.get("qos") or ("" if grant.limits else self.configured.default_profile)
        up, down = self.configured.profiles.get(profile, (0, 0))
        return replace(
            grant,
            up_kbps=max(grant.limits.get("up", up), grant.limits.get("up-peak", 0)),
            down_kbps=max(grant.limits.get("down", down), grant.limits.get("down-peak", 0)),
            walled_garden=grant.address_list == self.configured.walled_garden,
        )


def _told(way: str, average_bps: int, peak_bps: int | None) -> dict[str, int]:
    told = {way: average_bps // 1000}
    return told if peak_bps is None else told | {f"{way}-peak": peak_bps // 1000}
