"""What RADIUS replies name, against what is there at the box; pure.

A reply that names what its box does not have ends badly: Huawei drops the subscriber, others give him no limit at all.
Names are compared as they are: what differs in its capitals only is another name.

`read` finds the names in a running configuration, `needed` says which ones a plan makes our vendor adapters name
(aaa.vendors), `missing` is the difference.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from aaa.vendors import Local
from core.models.network import Vendor


class Kind(StrEnum):
    QOS_PROFILE = "QoS profile"
    POLICY_MAP = "policy map"
    SERVICE = "service"
    DYNAMIC_PROFILE = "dynamic profile"
    SLA_PROFILE = "SLA profile"
    USER_GROUP = "user group or ACL"
    FILTER = "filter"
    POOL = "pool"
    IPV6_POOL = "IPv6 pool"
    VRF = "VRF"


Names = Mapping[str, Iterable[str]]

#: In a configuration of lines: what is followed by a name. Of lines by braces see `_from_blocks`.
_LINES: Final[Mapping[str, tuple[tuple[Kind, re.Pattern[str]], ...]]] = {
    platform: tuple((kind, re.compile(pattern, re.MULTILINE)) for kind, pattern in patterns)
    for platform, patterns in {
        "huawei_vrp8": (
            (Kind.QOS_PROFILE, r"^qos-profile (\S+)"),
            (Kind.USER_GROUP, r"^user-group (\S+)"),
            (Kind.USER_GROUP, r"^acl (?:ipv6 )?(?:number )?(\d+)"),
            (Kind.USER_GROUP, r"^acl (?:ipv6 )?name (\S+)"),
            (Kind.POOL, r"^ip pool (\S+)"),
            (Kind.IPV6_POOL, r"^ipv6 pool (\S+)"),
            (Kind.VRF, r"^ip vpn-instance (\S+)"),
        ),
        "cisco_ios": (
            (Kind.POLICY_MAP, r"^policy-map (?!type\b)(\S+)"),
            (Kind.SERVICE, r"^policy-map type service (\S+)"),
            (Kind.FILTER, r"^(?:ip|ipv6) access-list (?:extended |standard )?(\S+)"),
            (Kind.FILTER, r"^access-list (\d+)"),
            (Kind.POOL, r"^ip local pool (\S+)"),
            (Kind.IPV6_POOL, r"^ipv6 local pool (\S+)"),
            (Kind.VRF, r"^(?:vrf definition|ip vrf) (\S+)"),
        ),
        "cisco_iosxr": (
            (Kind.POLICY_MAP, r"^policy-map (?!type\b)(\S+)"),
            (Kind.SERVICE, r"^ type service (\S+)"),
            (Kind.FILTER, r"^ipv[46] access-list (\S+)"),
            (Kind.POOL, r"^pool vrf \S+ ipv4 (\S+)"),
            (Kind.IPV6_POOL, r"^pool vrf \S+ ipv6 (\S+)"),
            (Kind.VRF, r"^vrf (\S+)"),
        ),
    }.items()
}
#: By braces: the blocks above (groups left out), and the block that a name is of.
_BLOCKS: Final[Mapping[str, tuple[tuple[Kind, str, re.Pattern[str]], ...]]] = {
    platform: tuple((kind, above, re.compile(pattern)) for kind, above, pattern in patterns)
    for platform, patterns in {
        "juniper_junos": (
            (Kind.DYNAMIC_PROFILE, "dynamic-profiles", r"(\S+)"),
            (Kind.FILTER, "firewall family inet", r"filter (\S+)"),
            (Kind.FILTER, "firewall", r"filter (\S+)"),
            (Kind.POOL, "access address-assignment", r"pool (\S+)"),
            (Kind.VRF, "routing-instances", r"(\S+)"),
        ),
        "nokia_sros": (
            (Kind.SLA_PROFILE, "configure subscriber-mgmt", r'sla-profile "?([^"]+)"?'),
            (Kind.FILTER, "configure filter", r'ip-filter "?([^"]+)"?'),
        ),
    }.items()
}
#: A pool of Junos is of both protocols.
_ALSO: Final[Mapping[str, Mapping[Kind, Kind]]] = {"juniper_junos": {Kind.IPV6_POOL: Kind.POOL}}


@dataclass(frozen=True, slots=True)
class Needed:
    """`field`: the plan's."""

    field: str
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Missing:
    needed: Needed
    #: What is there and nearly the same.
    near: str | None

    def __str__(self) -> str:
        near = f"; it has {self.near}" if self.near else ""
        if self.near and self.near.casefold() == self.needed.name.casefold():
            near = f"; it has {self.near}, in other letters"
        return f"no {self.needed.kind} {self.needed.name}{near}"


def read(platform: str, configuration: str) -> dict[str, list[str]]:
    """Sorted, by kind; a kind that this platform has and of which none is there is empty. Raises KeyError for a
    platform of which we know no names."""
    found: dict[Kind, set[str]] = {}
    for kind, pattern in _LINES.get(platform, ()):
        found.setdefault(kind, set()).update(one.strip('"') for one in pattern.findall(configuration))
    for kind, above, block in _BLOCKS.get(platform, ()):
        names = found.setdefault(kind, set())
        for path in _blocks(configuration):
            match = block.fullmatch(path[-1])
            if match and " ".join(path[:-1]) == above:
                names.add(match[1].strip('"'))
    if not found:
        raise KeyError(platform)
    return {kind.value: sorted(names) for kind, names in found.items()}


def knows(platform: str) -> bool:
    return platform in _LINES or platform in _BLOCKS


def needed(vendor: Vendor, plan: Mapping[str, Any], local: Local) -> Iterator[Needed]:
    """Of a plan's fields, as this vendor's adapter names them."""
    for field in ("profile", "throttle_profile"):
        if plan.get(field):
            yield from _profile(vendor, field, local.name("profiles", plan[field]))
    if vendor is Vendor.JUNIPER and not plan.get("profile"):
        yield Needed("profile", Kind.DYNAMIC_PROFILE, local.option(vendor, "rate_service"))
    if plan.get("address_list"):
        yield from needed_list(vendor, plan["address_list"], local)
    for field in ("ingress_filter", "egress_filter"):
        if plan.get(field):
            yield from _filter(vendor, field, local.name("filters", plan[field]))
    for field, kind in (("address_pool", Kind.POOL), ("ipv6_pool", Kind.IPV6_POOL),
                        ("delegated_ipv6_pool", Kind.IPV6_POOL)):  # fmt: skip
        if plan.get(field):
            yield Needed(field, kind, local.name("pools", plan[field]))
    if plan.get("vrf"):
        yield Needed("vrf", Kind.VRF, local.name("vrfs", plan["vrf"]))


def needed_list(vendor: Vendor, ours: str, local: Local) -> Iterator[Needed]:
    """What a list is there: a user group, a service, a profile, a filter by its number."""
    name = local.name("address_lists", ours)
    kinds = {
        Vendor.HUAWEI: Kind.USER_GROUP, Vendor.CISCO: Kind.SERVICE, Vendor.JUNIPER: Kind.DYNAMIC_PROFILE,
        Vendor.NOKIA: Kind.FILTER if name.isdecimal() else Kind.SLA_PROFILE,
    }  # fmt: skip
    if vendor in kinds:
        yield Needed("address_list", kinds[vendor], name)


def missing(platform: str, there: Names, wanted: Iterable[Needed]) -> list[Missing]:
    """A kind of which nothing is known there is not missed."""
    found = []
    for one in wanted:
        kind = _ALSO.get(platform, {}).get(one.kind, one.kind)
        names = there.get(kind.value)
        if names is not None and one.name not in names:
            found.append(Missing(one, _nearest(one.name, list(names))))
    return found


def _profile(vendor: Vendor, field: str, name: str) -> Iterator[Needed]:
    if vendor is Vendor.HUAWEI:
        yield Needed(field, Kind.QOS_PROFILE, name)
    elif vendor is Vendor.CISCO:
        upload, _, download = name.partition("/")
        yield from (Needed(field, Kind.POLICY_MAP, one) for one in dict.fromkeys((upload, download or upload)))
    elif vendor is Vendor.JUNIPER:
        yield Needed(field, Kind.DYNAMIC_PROFILE, name.partition("(")[0])
    elif vendor is Vendor.NOKIA:
        yield Needed(field, Kind.SLA_PROFILE, name)


def _filter(vendor: Vendor, field: str, name: str) -> Iterator[Needed]:
    """Huawei has one for both directions, by the upload's name; Nokia's are numbers, and others are not told."""
    if vendor is Vendor.HUAWEI and field == "ingress_filter":
        yield Needed(field, Kind.USER_GROUP, name)
    elif vendor in {Vendor.CISCO, Vendor.JUNIPER} or (vendor is Vendor.NOKIA and name.isdecimal()):
        yield Needed(field, Kind.FILTER, name)


def _nearest(name: str, names: list[str]) -> str | None:
    folded = next((one for one in names if one.casefold() == name.casefold()), None)
    return folded or next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)


def _blocks(configuration: str) -> Iterator[tuple[str, ...]]:
    """Every block of a configuration by braces, with those that it is in; configuration groups count as the whole."""
    path: list[str] = []
    for raw in configuration.splitlines():
        line = raw.strip()
        if line.endswith("{"):
            path.append(line[:-1].strip().removeprefix("replace:").strip())
            yield tuple(path[2:]) if path[0] == "groups" and len(path) > 2 else tuple(path)
        elif line.startswith("}") and path:
            path.pop()
