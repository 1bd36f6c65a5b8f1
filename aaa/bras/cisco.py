"""Cisco: IOS and IOS XE with ISG, and IOS XR with BNG (vendor 9).

Source: ISG, RADIUS-based policing; Change of Authorization support (15E); ASR 9000, multi-action CoA and BNG VSAs.
Rates are parameters of a policy that is active on the session in that direction, bit/s on IOS and kbit/s on XR; without
one they are refused, and so is a message that names a policy and parameterises one. Shaping is for the download. All
keys given must match, otherwise 407. What of several actions fails takes the others with it. XR wants to be told
`subscriber:command=account-update` where a CoA changes attributes rather than services. Not documented, and so a choice
of this box: 404 and 407 for what cannot be done; at login no XR session comes up with a template or policy that does
not exist, and an ISG session comes up without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from aaa.bras.dialect import ENVELOPE, NAS_KEYS, Refused, refuse_unsupported, vendor_texts
from aaa.bras.generic import GenericDialect, granted
from aaa.bras.subscriber import Grant, Service, State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, readable, vendor_attribute

VENDOR: Final = 9
AVPAIR: Final = 1
ACCOUNT_INFO: Final = 250
COMMAND_CODE: Final = 252
_ACTIVATE, _DEACTIVATE = b"\x0b", b"\x0c"
_NAMED: Final = re.compile(r"(?:ip:|subscriber:)?sub-qos-policy-(in|out)=(.+)")
_ADD: Final = re.compile(
    r"(?:ip:)?qos-policy-(in|out)=add-class\(sub,\(class-default\),(police|shape)\(([0-9]+)((?:,[A-Za-z0-9-]+)*)\)\)"
)
_REMOVE: Final = re.compile(r"(?:ip:)?qos-policy-(in|out)=remove-class\(sub,\(class-default\)\)")
_RATE_MAX: Final = 0xFFFFFFFF
_ACCOUNT_UPDATE: Final = "subscriber:command=account-update"


class _Limits:
    """What the attribute-value pairs of one message say of QoS."""

    def __init__(self, pairs: Iterable[str]) -> None:
        self.named: dict[str, str] = {}
        self.rates: dict[str, int] = {}
        self.removed: set[str] = set()
        for pair in pairs:
            self._read(pair)
        if self.named and (self.rates or self.removed):
            raise Refused(ErrorCause.INVALID_REQUEST, "a policy is named and another one parameterised")

    def __bool__(self) -> bool:
        return bool(self.named or self.rates or self.removed)

    def _read(self, pair: str) -> None:
        if named := _NAMED.fullmatch(pair):
            self.named[named[1]] = named[2]
        elif added := _ADD.fullmatch(pair):
            way, action, rate = added[1], added[2], int(added[3])
            if not 0 < rate <= _RATE_MAX or (way == "in" and action == "shape"):
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{pair} cannot be")
            self.rates[way] = rate
        elif removed := _REMOVE.fullmatch(pair):
            self.removed.add(removed[1])
        elif "qos-policy-" in pair:
            raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{pair} cannot be read")


class CiscoDialect(GenericDialect):
    """What both have in common."""

    signs_requests = False
    signs_answers = False
    nas_port_type = 34  # PPPoEoQinQ (RFC 4603)
    #: Of a rate in a parameter, how much is a kbit/s.
    per_kbps = 1000
    session_keys = frozenset(
        {Kind.USER_NAME, Kind.ACCT_SESSION_ID, Kind.FRAMED_IP_ADDRESS, Kind.CALLING_STATION_ID}
    )  # fmt: skip

    def acct_session_id(self, number: int, now: float) -> str:
        return f"{number & 0xFFFFFFFF:08X}"

    def calling_station_id(self, line: Subscriber) -> str:
        """0200.0000.0001"""
        return line.mac.hex(".", 2)

    def nas_port_id(self, line: Subscriber) -> str:
        return f"0/0/1/503.{line.number % 4094 + 1}"

    def circuit(self, line: Subscriber) -> bytes:
        tags = (f"circuit-id-tag=olt-1 xpon 0/1/0/{line.number % 64}:1.1.503", f"remote-id-tag={line.login}")
        return b"".join(vendor_attribute(VENDOR, AVPAIR, tag.encode()) for tag in tags)

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        try:
            return super().choose(request, candidates)
        except Refused as refused:
            named = {line.acct_session_id for line in candidates if line.state is State.ONLINE}
            if refused.cause is ErrorCause.SESSION_CONTEXT_NOT_FOUND and request.text(Kind.ACCT_SESSION_ID) in named:
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, "the session has other keys") from None
            raise

    def limited(self, grant: Grant, limits: _Limits) -> Grant:
        """With the policies and rates of one message. Raises Refused."""
        for name in limits.named.values():
            if name not in self.configured.profiles:
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"there is no policy map {name}")
        for way in limits.rates.keys() | limits.removed:
            if way not in grant.names and not self.configured.default_profile:
                raise Refused(ErrorCause.INVALID_REQUEST, f"no policy is active for {way}")
        rates = {way: rate // self.per_kbps for way, rate in limits.rates.items()}
        kept = {
            way: rate for way, rate in grant.limits.items() if way not in limits.named and way not in limits.removed
        }
        return replace(grant, names={**grant.names, **limits.named}, limits=kept | rates)

    def served(self, grant: Grant, activate: Iterable[str], deactivate: Iterable[str]) -> Grant:
        """With these services started and ended. Raises Refused where one cannot be."""
        services = dict(grant.services)
        for name in deactivate:
            if services.pop(name, None) is None:
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"service {name} is not active")
        for name in activate:
            if not self.configured.exists(name):
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"there is no service {name}")
            services[name] = Service(name)
        return replace(grant, services=services, address_list=next(reversed(services), ""))

    def settled(self, grant: Grant) -> Grant:
        profiles, default = self.configured.profiles, self.configured.default_profile
        up, _ = profiles.get(grant.names.get("in", default), (0, 0))
        _, down = profiles.get(grant.names.get("out", default), (0, 0))
        return replace(
            grant, up_kbps=grant.limits.get("in", up), down_kbps=grant.limits.get("out", down),
            walled_garden=self.configured.walled_garden in grant.services,
        )  # fmt: skip


class IosDialect(CiscoDialect):
    #: Or Account-Info with `S` and the address.
    _VENDOR_KINDS: Final = {VENDOR: frozenset({AVPAIR, ACCOUNT_INFO, COMMAND_CODE})}

    def accept(self, reply: Packet) -> Grant:
        services = [info[1:] for info in vendor_texts(reply, VENDOR, ACCOUNT_INFO) if info[:1] == "A"]
        grant = self.served(granted(reply), filter(self.configured.exists, services), ())
        try:
            grant = self.limited(grant, _Limits(vendor_texts(reply, VENDOR, AVPAIR)))
        except Refused:
            return self.settled(grant)
        return self.settled(grant)

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        sessions = [info[1:] for info in vendor_texts(request, VENDOR, ACCOUNT_INFO) if info[:1] == "S"]
        if not sessions or any(kind in request.firsts for kind in self.session_keys):
            return super().choose(request, candidates)
        found = [one for one in candidates if one.framed_ipv4 and str(IPv4Address(one.framed_ipv4)) == sessions[0]]
        if not found:
            raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, f"no session has {sessions[0]}")
        return found

    def change(self, grant: Grant, request: Packet) -> Grant:
        refuse_unsupported(request, self.session_keys | NAS_KEYS, self._VENDOR_KINDS)
        limits = _Limits(vendor_texts(request, VENDOR, AVPAIR))
        commands = request.vendor_values(VENDOR, COMMAND_CODE)
        activate = [readable(one[1:]) for one in commands if one[:1] == _ACTIVATE]
        deactivate = [readable(one[1:]) for one in commands if one[:1] == _DEACTIVATE]
        if len(activate) + len(deactivate) != len(commands) or not (limits or commands):
            raise Refused(ErrorCause.INVALID_REQUEST, "nothing that this box does")
        return self.settled(self.served(self.limited(grant, limits), activate, deactivate))


class IosXrDialect(CiscoDialect):
    per_kbps = 1

    def acct_session_id(self, number: int, now: float) -> str:
        return f"{0x04000000 + number:08x}"

    def accept(self, reply: Packet) -> Grant:
        return self._told(granted(reply), vendor_texts(reply, VENDOR, AVPAIR))

    def change(self, grant: Grant, request: Packet) -> Grant:
        refuse_unsupported(request, self.session_keys | NAS_KEYS | ENVELOPE, {VENDOR: frozenset({AVPAIR})})
        pairs = vendor_texts(request, VENDOR, AVPAIR)
        if _Limits(pairs) and _ACCOUNT_UPDATE not in pairs:
            raise Refused(ErrorCause.INVALID_REQUEST, "attributes without a command")
        if not any(pair.startswith("subscriber:") for pair in pairs):
            raise Refused(ErrorCause.INVALID_REQUEST, "no command")
        return self._told(grant, pairs)

    def _told(self, grant: Grant, pairs: Sequence[str]) -> Grant:
        activate = [pair.partition("=")[2] for pair in pairs if pair.startswith("subscriber:sa=")]
        deactivate = [pair.partition("=")[2] for pair in pairs if pair.startswith("subscriber:sd=")]
        return self.settled(self.served(self.limited(grant, _Limits(pairs)), activate, deactivate))
