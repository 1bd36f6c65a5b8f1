"""Nokia 7750 SR, enhanced subscriber management (vendor 6527).

Source: SR OS, RADIUS attributes reference guide (14.0.R4; 22.2: CoA and Disconnect, QoS override, filters, ESM
accounting). Rates are kbit/s on top of what the SLA profile has; an override is kept and not applied where the QoS
policy has no such queue, policer or scheduler. Keys by priority: NAS-Port-Id with an address, Acct-Session-Id (number
format), User-Name; the first two must agree, else 503, and 32 hosts are the most, else 501. What is not supported is
ignored in silence; a value that cannot be is refused with 407. An address and a pool together fail the host's set-up,
and so does an SLA profile that does not exist. Volume is counted a queue or policer, in 64 bits of the vendor's own;
`accounting` may have session (as without it), host, queue, and std for the standard counters beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aaa.bras.dialect import Refused, Site, vendor_text, vendor_texts
from aaa.bras.generic import GenericDialect, granted, standard_counters
from aaa.bras.subscriber import Grant, State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, text_attribute, vendor_attribute
from core.models.network import Vendor
from core.nas_options import OPTIONS

VENDOR: Final = 6527
SUBSCRIBER_ID, SUBSCRIBER_PROFILE, SLA_PROFILE = 11, 12, 13
QOS_OVERRIDE, SUBSCRIBER_FILTER, REMOVE_OVERRIDE = 126, 134, 238
INPUT_INPROF, INPUT_OUTPROF, OUTPUT_INPROF, OUTPUT_OUTPROF = 19, 20, 21, 22
ACCT_MULTI_SESSION_ID: Final = 50
#: Hosts that one request may mean.
HOSTS_MAX: Final = 32
INTERIM_S_MIN: Final = 300.0
_NAME_LENGTH_MAX: Final = 32
_SESSION_ID: Final = re.compile(r"[0-9A-F]{22}")
_MAXIMUM, _NO_OVERRIDE = -1, -2
#: i or e; a queue or policer by number, the egress aggregate, the root arbiter, a scheduler by name.
_OVERRIDE: Final = re.compile(
    r"(?:(?P<way>[ieIE]):(?P<object>[qQ]:[0-9]+|[pP]:[0-9]+|[aA]:root|[sS]:[^:,=]+)|(?P<egress>[eE]):[rR])"
    r":(?P<parameters>[a-z_]+=[^,=]+(?:,[a-z_]+=[^,=]+)*),?"
)
_RATE_PARAMETERS: Final = {"q": {"pir", "cir", "mbs", "cbs", "class_weight", "wrr_weight"},
                           "p": {"pir", "cir", "mbs", "cbs"}, "r": {"rate"}, "a": {"rate"},
                           "s": {"rate", "cir"}}  # fmt: skip
_FILTER: Final = re.compile(r"(Ingr|Egr)-v([46]):(-?[0-9]+)")
#: Numbers of accounting sessions of one session: host, session, queue instance.
_HOST, _SESSION, _QUEUE = 0, 1, 2


class NokiaDialect(GenericDialect):
    signs_requests = False
    signs_answers = False
    repeats_with_delay = True
    nas_port_type = 34  # PPPoEoQinQ (RFC 4603)

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        options, known = self.configured.options, OPTIONS[Vendor.NOKIA]
        ingress, egress = (str(options.get(way, known[way].default)).lower() for way in ("ingress", "egress"))
        self._limits = {"up": f"i:{ingress}", "down": f"e:{egress}"}
        self._ingress = ingress
        #: Which accounting session the session is known by.
        words = [("host", _HOST), ("session", _SESSION), ("queue", _QUEUE)]
        self._modes = [number for word, number in words if self.configured.accounts(word)] or [_SESSION]

    def acct_session_id(self, number: int, now: float) -> str:
        return self._session_id(number, self._modes[0], now)

    def _session_id(self, number: int, mode: int, now: float) -> str:
        """22 hexadecimal digits: the system, a count, the time."""
        return f"{0x240000 + self.site.seed % 0x10000:06X}{number * 3 + mode:08X}{int(now) & 0xFFFFFFFF:08X}"

    def calling_station_id(self, line: Subscriber) -> str:
        return line.mac.hex(":")

    def nas_port_id(self, line: Subscriber) -> str:
        return f"1/1/4:503.{line.number % 4094 + 1}"

    def accounting_sessions(self, line: Subscriber) -> tuple[str, ...]:
        return tuple(_in_mode(line, mode) for mode in self._modes)

    def accounting_attributes(self, line: Subscriber, acct_session_id: str, status: int, now: float) -> bytes:
        octets = self.session_attributes(line, acct_session_id, status, now) + self.counters(line)
        queue = _in_mode(line, _QUEUE)
        if acct_session_id != queue:
            octets += text_attribute(ACCT_MULTI_SESSION_ID, queue)
        return octets

    def counters(self, line: Subscriber) -> bytes:
        """In profile and out of it, for the policer or queue that limits the upload and for the egress queue."""
        policer = self._ingress.startswith("p:")
        number = int(self._ingress[2:]) if self._ingress[:2] in {"p:", "q:"} else 1
        upload, download = bytes((0x80 if policer else 0, number)), b"\0\1"
        octets = b"".join(
            vendor_attribute(VENDOR, kind, which + value.to_bytes(8, "big"))
            for kind, which, value in (
                (INPUT_INPROF, upload, line.input_octets - line.input_octets // 5),
                (INPUT_OUTPROF, upload, line.input_octets // 5),
                (OUTPUT_INPROF, download, line.output_octets - line.output_octets // 5),
                (OUTPUT_OUTPROF, download, line.output_octets // 5),
            )
        )
        if self.configured.accounts("std"):
            octets += standard_counters(line.input_octets, line.output_octets)
        return octets

    def accept(self, reply: Packet) -> Grant:
        grant = granted(reply)
        if grant.framed_ipv4 and reply.first(Kind.FRAMED_POOL):
            raise Refused(None, "an address and a pool: the host is not set up")
        grant = replace(grant, interim_s=max(INTERIM_S_MIN, grant.interim_s))
        return self._told(grant, reply)

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        keys = request.firsts
        first = {Kind.NAS_PORT_ID, Kind.FRAMED_IP_ADDRESS}
        if first <= keys.keys():
            wanted = first | {Kind.ACCT_SESSION_ID}
        elif Kind.ACCT_SESSION_ID in keys:
            wanted = {Kind.ACCT_SESSION_ID}
        elif Kind.USER_NAME in keys:
            wanted = {Kind.USER_NAME, Kind.FRAMED_IP_ADDRESS}
        else:
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "no session key that this box knows")
        found = [
            line
            for line in candidates
            if line.state is State.ONLINE
            and all(keys[kind] == self.key_value(line, kind) for kind in wanted if kind in keys)
        ]
        if not found:
            raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no host has this key")
        if len(found) > HOSTS_MAX:
            raise Refused(ErrorCause.ADMINISTRATIVELY_PROHIBITED, f"more than {HOSTS_MAX} hosts")
        return found

    def check_disconnect(self, request: Packet) -> None:
        """What is not supported is ignored."""

    def change(self, grant: Grant, request: Packet) -> Grant:
        for text in vendor_texts(request, VENDOR, REMOVE_OVERRIDE):
            grant = _without(grant, text.replace("-", "."))
        return self._told(grant, request)

    def _told(self, grant: Grant, packet: Packet) -> Grant:
        names, limits = dict(grant.names), dict(grant.limits)
        sla = vendor_text(packet, VENDOR, SLA_PROFILE)
        if sla:
            names["sla"] = self._profile(sla)
        elif not names.get("sla") and not self.configured.default_profile:
            raise Refused(None, "no SLA profile: the host is not set up")
        for text in vendor_texts(packet, VENDOR, QOS_OVERRIDE):
            limits |= read_override(text)
        for text in vendor_texts(packet, VENDOR, SUBSCRIBER_FILTER):
            names |= self._filters(text)
        return self.settled(replace(grant, names=names, limits=limits))

    def _profile(self, sla: str) -> str:
        if len(sla) > _NAME_LENGTH_MAX or not (sla in self.configured.profiles or self.configured.exists(sla)):
            raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"there is no SLA profile {sla}")
        return sla

    def _filters(self, text: str) -> dict[str, str]:
        """-1 changes nothing, -2 gives back the SLA profile's, 0 is none; others must exist."""
        filters = {}
        for part in text.split(","):
            match = _FILTER.fullmatch(part)
            if not match:
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{part} is no filter")
            number = int(match[3])
            if number > 0 and not self.configured.exists(match[3]):
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"there is no filter {number}")
            if number != _MAXIMUM:
                filters[f"{match[1]}-v{match[2]}"] = match[3] if number > 0 else ""
        return filters

    def settled(self, grant: Grant) -> Grant:
        sla = grant.names.get("sla") or self.configured.default_profile
        up, down = self.configured.profiles.get(sla, (0, 0))
        rates = {"up": up, "down": down}
        for way, place in self._limits.items():
            limit = grant.limits.get(place, _NO_OVERRIDE)
            if limit != _NO_OVERRIDE:
                rates[way] = max(0, limit)
        listed = sla if self.configured.exists(sla) else grant.names.get("Ingr-v4", "")
        return replace(
            grant, up_kbps=rates["up"], down_kbps=rates["down"], address_list=listed,
            walled_garden=listed == self.configured.walled_garden,
        )  # fmt: skip


def read_override(text: str) -> dict[str, int]:
    """The rate of a QoS override by its place, as {"i:p:1": 50000}. Raises Refused for one that cannot be."""
    match = _OVERRIDE.fullmatch(text)
    if not match:
        raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{text} is no QoS override")
    kind, _, which = (match["object"] or "r").partition(":")
    place = ":".join(filter(None, ((match["way"] or match["egress"]).lower(), kind.lower(), which)))
    limits = {}
    for parameter in match["parameters"].split(","):
        name, _, value = parameter.partition("=")
        if name not in _RATE_PARAMETERS[kind.lower()]:
            raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{place} has no {name}")
        if name in {"pir", "rate"}:
            limits[place] = _override_kbps(value)
    return limits


def _override_kbps(value: str) -> int:
    if value == "max":
        return _MAXIMUM
    if not re.fullmatch(r"-[12]|[0-9]{1,9}", value):
        raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{value} is no rate")
    return int(value)


def _without(grant: Grant, attribute_id: str) -> Grant:
    """What Alc-Remove-Override takes away (dotted, with 26 before it or not)."""
    match attribute_id.removeprefix("26."):
        case "6527.13":
            return replace(grant, names={place: name for place, name in grant.names.items() if place != "sla"})
        case "6527.126":
            return replace(grant, limits={})
        case "6527.134":
            return replace(grant, names={place: name for place, name in grant.names.items() if place == "sla"})
        case _:
            raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{attribute_id} is nothing that can be removed")


def _in_mode(line: Subscriber, mode: int) -> str:
    """The id of the accounting session in this mode: all of one session differ in the count only."""
    own = line.acct_session_id
    return f"{own[:6]}{line.number * 3 + mode:08X}{own[14:]}"
