"""How a FreeRADIUS is to answer for a service at each NAS: a policy in the attributes of that NAS's vendor and names.

What most NASes take is everybody's. Each other NAS has groups of its own beside it, which FreeRADIUS asks before: their
radgroupcheck has the NAS's address, or the first and the last one of a network (rlm_sql refuses whoever meets a regular
expression there, and knows no prefix). What is a service's own (addresses, leases out of pools of ours) is its radreply
where it is the same at every NAS, and else goes into groups of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

from aaa.dictionary import HIDDEN, describe
from aaa.packet import Code, header, parse
from aaa.snapshot import without_own_pools
from aaa.vendors import Local, adapter
from aaa.vendors.base import lease_attributes
from core.models.network import Nas, Vendor
from core.policy import Policy

GROUP: Final = "provedor-"
#: The attributes by which FreeRADIUS tells who asks it, by IP version.
ASKED_BY: Final = {4: "Packet-Src-IP-Address", 6: "Packet-Src-IPv6-Address"}

Rows = Counter[tuple[str, ...]]
#: (kind, address or prefix) of a service's leases, by pool.
Leases = Mapping[str, tuple[str, str]]


class Group(NamedTuple):
    checks: Rows
    replies: Rows


class Said(NamedTuple):
    """What a login is given: its groups in the order in which they are asked, and the replies of its own."""

    groups: Mapping[str, Group]
    replies: Rows


@dataclass(frozen=True)
class Dialect:
    """`checks`: who asks; none for everybody."""

    vendor: Vendor
    local: Local
    own_pools: Mapping[str, str]
    suffix: str = ""
    checks: Rows = field(default_factory=Counter)
    _known: dict[str, tuple[str, Rows, Rows, tuple[str, ...]]] = field(default_factory=dict)

    def of(self, fingerprint: str, policy: Policy) -> tuple[str, Rows, Rows, tuple[str, ...]]:
        """The group's name, its replies, those of the service's own, and the pools of ours that lease to it."""
        known = self._known.get(fingerprint)
        if known is None:
            policy, pools = without_own_pools(policy, self.local, self.own_pools)
            shared = replace(policy, ipv4_address=None, ipv4_routes=(), ipv6_prefix=None, delegated_ipv6_prefix=None)
            of_group, of_all = self._replies(shared), self._replies(policy)
            known = (f"{GROUP}{shared.fingerprint}{self.suffix}", of_group, of_all - of_group, pools)
            self._known[fingerprint] = known
        return known

    def _replies(self, policy: Policy) -> Rows:
        return _named(adapter(self.vendor).accept_attributes(policy, self.local))


@dataclass(frozen=True)
class Dialects:
    """In the order in which they are asked; the last one is everybody's."""

    dialects: Sequence[Dialect]

    def say(self, service_id: int, fingerprint: str, policy: Policy, leases: Leases) -> Said:
        said = [(one, *one.of(fingerprint, policy)) for one in self.dialects]
        own = [replies + _leased(leases, pools) for _, _, _, replies, pools in said]
        everywhere = all(one == own[0] for one in own)
        groups: dict[str, Group] = {}
        for (dialect, name, shared, _, _), mine in zip(said, own, strict=True):
            if everywhere:
                groups[name] = Group(dialect.checks, _operators(shared))
            else:
                groups[f"{name}-s{service_id}"] = Group(dialect.checks, _operators(shared + mine))
        return Said(groups, _operators(own[0]) if everywhere else Counter())


def dialects_of(nases: Sequence[Nas], own_pools: Mapping[str, str], vendor: Vendor | None) -> Dialects:
    """`vendor`: whose attributes are everybody's, instead of those of the most NASes."""
    spoken = Counter(_spoken(nas) for nas in nases if vendor in {None, nas.vendor})
    everybodys = spoken.most_common(1)[0][0] if spoken else (vendor or Vendor.GENERIC, "[{}, {}]")
    others = [nas for nas in nases if _spoken(nas) != everybodys]
    networks = [ip_network(nas.address) for nas in others if "/" in nas.address]
    inside = [nas for nas in nases if nas not in others and any(_inside(nas.address, one) for one in networks)]
    asked = sorted([*others, *inside], key=lambda nas: (-ip_network(nas.address).prefixlen, nas.id))
    dialects = [
        Dialect(nas.vendor, Local(nas.names, nas.options), own_pools, f"-{nas.id}", _asked_by(nas.address))
        for nas in asked
    ]
    return Dialects([*dialects, Dialect(everybodys[0], Local(*json.loads(everybodys[1])), own_pools)])


def _spoken(nas: Nas) -> tuple[Vendor, str]:
    return nas.vendor, json.dumps([nas.names, nas.options], sort_keys=True)


def _inside(address: str, network: IPv4Network | IPv6Network) -> bool:
    one = ip_network(address)
    return one.version == network.version and one.network_address in network


def _asked_by(address: str) -> Rows:
    network = ip_network(address)
    name, first, last = ASKED_BY[network.version], str(network[0]), str(network[-1])
    return Counter([(name, "==", first)] if first == last else [(name, ">=", first), (name, "<=", last)])


def _leased(leases: Leases, pools: Sequence[str]) -> Rows:
    held = [leases[pool] for pool in pools if pool in leases]
    return sum((_named(lease_attributes(kind, address)) for kind, address in held), Counter())


def _named(attributes: bytes) -> Rows:
    packet = parse(header(Code.ACCESS_ACCEPT, 0, len(attributes)) + bytes(16) + attributes)
    return Counter((name, _octets(name, value)) for name, value in describe(packet) if value != HIDDEN)


def _octets(name: str, value: str) -> str:
    """What our dictionary has no name for, FreeRADIUS takes by number and in hexadecimal."""
    return f"0x{value}" if name.startswith("Attr-") else value


def _operators(replies: Rows) -> Rows:
    """The first of a name takes the place of what is there, the others stand besides."""
    rows: Rows = Counter()
    named: set[str] = set()
    for name, value in sorted(replies.elements()):
        rows[name, "+=" if name in named else ":=", value] += 1
        named.add(name)
    return rows
