"""Juniper MX (vendor 4874).

Source: Junos OS, RADIUS attributes and VSAs for subscriber management, dynamic service activation, radius options;
JunosE, RADIUS dynamic-request server. Services are dynamic profiles with parameters: rates as Junos writes bandwidths
(`50m`, `200000k`). All services of one message come up or none does, and none at login means no session. A filter that
does not exist is passed over, and the rest applied and acknowledged (`coa-dynamic-variable-validation` off, the
default). Requests need Acct-Session-Id, which every other key must agree with. A service whose statistics are on is
accounted for itself, as `<session>:<number>`, with volume where they say so. Interims come every ten minutes at most.
Error-Causes: 401, 402, 404, 503.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aaa.bras.dialect import NAS_KEYS, Refused, Site, refuse_unsupported, vendor_text, vendor_texts
from aaa.bras.generic import GenericDialect, granted, standard_counters
from aaa.bras.subscriber import IPV6_SHARE, Grant, Service, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, readable, vendor_attribute
from core.models.network import Vendor
from core.nas_options import OPTIONS

VENDOR: Final = 4874
VIRTUAL_ROUTER, INGRESS_POLICY, EGRESS_POLICY = 1, 10, 11
ACTIVATE, DEACTIVATE, SERVICE_STATISTICS, SERVICE_SESSION, UPDATE = 65, 66, 69, 83, 180
IPV6_INPUT_OCTETS, IPV6_OUTPUT_OCTETS, IPV6_INPUT_GIGAWORDS, IPV6_OUTPUT_GIGAWORDS = 151, 152, 155, 156
ACCT_MULTI_SESSION_ID: Final = 50
#: Tags of services (RFC 2868 3.1).
_TAGS: Final = range(1, 9)
#: Statistics of a service: none, time, or time and volume.
_NONE, _VOLUME = 0, 2
INTERIM_S_MIN: Final = 600.0
_LIVE: Final = {
    VENDOR: frozenset({INGRESS_POLICY, EGRESS_POLICY, ACTIVATE, DEACTIVATE, 67, 68, SERVICE_STATISTICS, 179, UPDATE})
}
_SERVICE: Final = re.compile(r"([A-Za-z0-9_.-]+)(?:\(([^()]*)\))?")
_BANDWIDTH: Final = re.compile(r"([0-9]+)([kmg]?)")
_FACTORS: Final = {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}


class JuniperDialect(GenericDialect):
    signs_requests = False
    signs_answers = False
    session_keys = frozenset({Kind.ACCT_SESSION_ID, Kind.USER_NAME, ACCT_MULTI_SESSION_ID})

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        default = OPTIONS[Vendor.JUNIPER]["rate_service"].default
        self._rate_service = str(self.configured.options.get("rate_service", default))
        self._service_numbers = itertools.count(1)

    def acct_session_id(self, number: int, now: float) -> str:
        """Decimal, `accounting-session-id-format` as it is by default."""
        return str(number)

    def calling_station_id(self, line: Subscriber) -> str:
        return line.mac.hex(":")

    def nas_port_id(self, line: Subscriber) -> str:
        return f"ge-1/0/4.{3221225472 + line.number}:503-{line.number % 4094 + 1}"

    def accounting_sessions(self, line: Subscriber) -> tuple[str, ...]:
        counted = (one.number for one in line.grant.services.values() if one.number)
        return (line.acct_session_id, *(f"{line.acct_session_id}:{number}" for number in counted))

    def accounting_attributes(self, line: Subscriber, acct_session_id: str, status: int, now: float) -> bytes:
        service = _service_of(line, acct_session_id)
        octets = self.session_attributes(line, acct_session_id, status, now)
        if service is None:
            return octets + self.counters(line)
        octets += vendor_attribute(VENDOR, SERVICE_SESSION, service.name.encode())
        if not service.volume:
            return octets
        return octets + standard_counters(
            line.input_octets - service.input_octets, line.output_octets - service.output_octets
        )

    def counters(self, line: Subscriber) -> bytes:
        """Standard counters are of all traffic; those for IPv6 say how much of it."""
        octets = standard_counters(line.input_octets, line.output_octets)
        if not line.grant.ipv6:
            return octets
        ipv6_input, ipv6_output = int(line.input_octets * IPV6_SHARE), int(line.output_octets * IPV6_SHARE)
        return octets + b"".join(
            vendor_attribute(VENDOR, kind, (value & 0xFFFFFFFF).to_bytes(4, "big"))
            for kind, value in (
                (IPV6_INPUT_OCTETS, ipv6_input),
                (IPV6_OUTPUT_OCTETS, ipv6_output),
                (IPV6_INPUT_GIGAWORDS, ipv6_input >> 32),
                (IPV6_OUTPUT_GIGAWORDS, ipv6_output >> 32),
            )
        )

    def accept(self, reply: Packet) -> Grant:
        grant = granted(reply)
        grant = replace(grant, interim_s=max(INTERIM_S_MIN, grant.interim_s))
        return self._told(grant, reply)

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        if not {Kind.ACCT_SESSION_ID, ACCT_MULTI_SESSION_ID} & request.firsts.keys():
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "no session id")
        return super().choose(request, candidates)

    def key_value(self, line: Subscriber, kind: int) -> bytes:
        """No bundles here, so Acct-Multi-Session-Id is nobody's."""
        return b"" if kind == ACCT_MULTI_SESSION_ID else super().key_value(line, kind)

    def change(self, grant: Grant, request: Packet) -> Grant:
        refuse_unsupported(request, self.session_keys | NAS_KEYS, _LIVE)
        return self._told(grant, request)

    def _told(self, grant: Grant, packet: Packet) -> Grant:
        services = dict(grant.services)
        for text in vendor_texts(packet, VENDOR, DEACTIVATE):
            name = text.partition("(")[0]
            if services.pop(name, None) is None:
                raise Refused(ErrorCause.INVALID_REQUEST, f"service {name} is not active")
        statistics = {value[0]: value[-1] for value in packet.vendor_values(VENDOR, SERVICE_STATISTICS)}
        for kind in (ACTIVATE, UPDATE):
            for value in packet.vendor_values(VENDOR, kind):
                tag, service = value[0], self._service(readable(value[1:]))
                if tag not in _TAGS:
                    raise Refused(ErrorCause.INVALID_REQUEST, f"a service has the tag {tag}")
                counted = statistics.get(tag, _VOLUME if self.configured.accounts("service") else _NONE)
                services[service.name] = self._counted(service, counted)
        filters = {"ingress": vendor_text(packet, VENDOR, INGRESS_POLICY),
                   "egress": vendor_text(packet, VENDOR, EGRESS_POLICY)}  # fmt: skip
        known = {way: name for way, name in filters.items() if self.configured.exists(name)}
        return self.settled(replace(grant, services=services, names={**grant.names, **known}))

    def _service(self, text: str) -> Service:
        """`name(parameters)`. Raises Refused where there is no such dynamic profile, or it takes others."""
        match = _SERVICE.fullmatch(text)
        name = match[1] if match else ""
        parameters = (match[2] or "").split(",") if match else []
        if name == self._rate_service:
            rates = [bandwidth_kbps(one) for one in parameters]
            if len(rates) == 2 and rates[0] is not None and rates[1] is not None:
                return Service(name, up_kbps=rates[1], down_kbps=rates[0])
        elif parameters == [""] and name in self.configured.profiles:
            up, down = self.configured.profiles[name]
            return Service(name, up_kbps=up, down_kbps=down)
        elif parameters == [""] and self.configured.exists(name):
            return Service(name)
        raise Refused(ErrorCause.INVALID_REQUEST, f"no dynamic profile takes {text}")

    def _counted(self, service: Service, statistics: int) -> Service:
        if statistics == _NONE:
            return service
        return replace(service, number=next(self._service_numbers), volume=statistics == _VOLUME)

    def settled(self, grant: Grant) -> Grant:
        up, down, group = 0, 0, ""
        for service in grant.services.values():
            if service.up_kbps or service.down_kbps:
                up, down = service.up_kbps, service.down_kbps
            else:
                group = service.name
        return replace(
            grant, up_kbps=up, down_kbps=down, address_list=group,
            walled_garden=self.configured.walled_garden in grant.services,
        )  # fmt: skip


def bandwidth_kbps(text: str) -> int | None:
    """As Junos writes bandwidths: whole numbers of bit/s, with k, m or g; None where it is none."""
    match = _BANDWIDTH.fullmatch(text.strip())
    return int(match[1]) * _FACTORS[match[2]] // 1000 if match else None


def _service_of(line: Subscriber, acct_session_id: str) -> Service | None:
    _, colon, number = acct_session_id.rpartition(":")
    if not colon:
        return None
    return next((one for one in line.grant.services.values() if one.number == int(number)), None)
