"""What every vendor adapter answers, and the encoding that all share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any, Final, Protocol

from aaa.packet import (
    VALUE_OCTETS_MAX,
    Kind,
    attribute,
    integer_attribute,
    text_attribute,
    vendor_attribute,
)
from core.access import Access
from core.attributes import ALL
from core.models.network import Vendor
from core.nas_options import OPTIONS
from core.policy import Policy

MICROSOFT: Final = 311
MS_PRIMARY_DNS: Final = 28
MS_SECONDARY_DNS: Final = 29
#: Greatest rate that an attribute of 32 bits holds.
RATE_BPS_MAX: Final = 0xFFFFFFFF
#: What a list of ours is called that is applied to whoever is in none, where a vendor cannot take one away live.
NO_LIST: Final = "full"


@dataclass(frozen=True, slots=True)
class Local:
    """What is particular to one NAS: names that differ there, and what its vendor leaves to choose."""

    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def name(self, family: str, ours: str) -> str:
        """What something of ours is called there."""
        return str(self.names.get(family, {}).get(ours, ours))

    def known_name(self, family: str, ours: str) -> str | None:
        """What it is called there, if anybody said so."""
        return self.names.get(family, {}).get(ours)

    def option(self, vendor: Vendor, name: str) -> str:
        return str(self.options.get(name, OPTIONS[vendor][name].default))


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What identifies a live session at its NAS, byte-exact as the NAS told it."""

    login: str
    acct_session_id: str
    framed_ipv4: str | None
    nas_ip_address: str | None
    nas_port_id: str | None = None


@dataclass(frozen=True, slots=True)
class LiveChange:
    """CoAs, in order, each with these attributes besides the session's keys, bring the session in step.

    None at all: what differs concerns the next login only.
    """

    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RedialNeeded:
    """Only a new login brings the session in step; `fields` of the policy say why."""

    fields: tuple[str, ...]


class VendorAdapter(Protocol):
    """Pure: policies in, attributes out."""

    vendor: Vendor
    #: The manufacturer's documents that it follows, for people.
    sources: str
    #: Octet counters as the vendor's documents have them, for people.
    octets: str
    #: What a CoA or Disconnect needs of the NAS and what is particular to it, for people.
    coa: str

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        """Reply attributes of an Access-Accept, without Class and Message-Authenticator."""

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        """How a session goes from one policy to another that differs from it."""

    def session_keys(self, keys: SessionKeys) -> bytes:
        """Attributes that identify a session in a CoA- or Disconnect-Request."""

    def volume_limit(self, octets: int) -> bytes:
        """What ends a session after so many octets of both directions; nothing where the vendor has no such thing."""


def visible_changes(adapter: VendorAdapter, applied: Policy, intended: Policy, local: Local) -> frozenset[str]:
    """Fields that differ and whose difference this NAS is told of: what it never hears needs no step.

    One field may hide another in either policy (a walled garden's pool, the plan's), so both are looked at.
    """
    before, after = adapter.accept_attributes(applied, local), adapter.accept_attributes(intended, local)
    if before == after:
        return frozenset()
    changed = [name for name in Policy.__dataclass_fields__ if getattr(applied, name) != getattr(intended, name)]
    seen = [
        name
        for name in changed
        if adapter.accept_attributes(replace(applied, **{name: getattr(intended, name)}), local) != before
        or adapter.accept_attributes(replace(intended, **{name: getattr(applied, name)}), local) != after
    ]
    return frozenset(seen or changed)


def redial_needed(
    changed: Iterable[str], intended: Policy, *, live: frozenset[str], next_login: frozenset[str]
) -> RedialNeeded | None:
    """None where a CoA carries every change (or no change matters before the next login)."""
    if intended.access is Access.BLOCKED:
        return RedialNeeded(("access",))
    fixed = tuple(sorted(set(changed) - live - next_login))
    return RedialNeeded(fixed) if fixed else None


def removed(changed: Iterable[str], intended: Policy, fields: frozenset[str]) -> frozenset[str]:
    """Of these fields, those that the intended policy does not have any more: an absent attribute changes nothing."""
    return frozenset(name for name in changed if name in fields and getattr(intended, name) in {None, ()})


def address_attributes(policy: Policy, local: Local) -> bytes:
    """Addresses and pools as the RFCs have them (RFC 2865 5.8, 5.9, 5.22; 2869 5.18; 3162 2.3; 4818)."""
    parts = []
    if policy.ipv4_address:
        parts += [
            attribute(Kind.FRAMED_IP_ADDRESS, IPv4Address(policy.ipv4_address).packed),
            attribute(Kind.FRAMED_IP_NETMASK, b"\xff\xff\xff\xff"),
        ]
    elif policy.address_pool:
        parts.append(text_attribute(Kind.FRAMED_POOL, local.name("pools", policy.address_pool)))
    # RFC 2865 5.22: gateway 0.0.0.0 stands for the subscriber's own address; metric 1.
    parts += [text_attribute(Kind.FRAMED_ROUTE, f"{route} 0.0.0.0 1") for route in policy.ipv4_routes]
    if policy.ipv6_prefix:
        parts.append(attribute(Kind.FRAMED_IPV6_PREFIX, prefix_value(policy.ipv6_prefix)))
    if policy.delegated_ipv6_prefix:
        parts.append(attribute(Kind.DELEGATED_IPV6_PREFIX, prefix_value(policy.delegated_ipv6_prefix)))
    return b"".join(parts)


#: The attribute that gives a lease, by its pool's kind.
LEASED_BY: Final = {
    "ipv4": "Framed-IP-Address", "ipv6": "Framed-IPv6-Prefix", "delegated": "Delegated-IPv6-Prefix",
}  # fmt: skip


def lease_attributes(kind: str, address: str) -> bytes:
    """What gives a lease out of a pool of ours (its kind as in aaa.pools): every vendor takes the RFCs' attributes."""
    if kind == "ipv4":
        return address_attributes(Policy(Access.FULL, ipv4_address=address), Local())
    number = Kind.FRAMED_IPV6_PREFIX if kind == "ipv6" else Kind.DELEGATED_IPV6_PREFIX
    return attribute(number, prefix_value(address))


def timer_attributes(policy: Policy) -> bytes:
    timers = (
        (Kind.SESSION_TIMEOUT, policy.session_seconds),
        (Kind.IDLE_TIMEOUT, policy.idle_seconds),
        (Kind.ACCT_INTERIM_INTERVAL, policy.interim_seconds),
    )
    return b"".join(integer_attribute(kind, seconds) for kind, seconds in timers if seconds)


def within_balance(attributes: bytes, adapter: VendorAdapter, octets: int | None, seconds: int | None) -> bytes:
    """A reply that gives a prepaid service no more than is left to it. At least 1: RouterOS takes 0 for no limit."""
    if octets is not None:
        attributes += adapter.volume_limit(max(1, octets))
    if seconds is None:
        return attributes
    kept, timeout_s = b"", max(1, seconds)
    at = 0
    while at < len(attributes):
        end = at + attributes[at + 1]
        if attributes[at] == Kind.SESSION_TIMEOUT:
            timeout_s = min(timeout_s, int.from_bytes(attributes[at + 2 : end], "big"))
        else:
            kept += attributes[at:end]
        at = end
    return kept + integer_attribute(Kind.SESSION_TIMEOUT, timeout_s)


def framed() -> bytes:
    """Service-Type Framed."""
    return integer_attribute(Kind.SERVICE_TYPE, 2)


def framed_ppp() -> bytes:
    return framed() + integer_attribute(Kind.FRAMED_PROTOCOL, 1)


def pool_attribute(kind: int, pool: str | None, local: Local) -> bytes:
    return text_attribute(kind, local.name("pools", pool)) if pool else b""


def vendor_text(vendor: int, kind: int, value: str | None) -> bytes:
    """A vendor's text attribute; nothing for no value."""
    return vendor_attribute(vendor, kind, value.encode()) if value else b""


def vendor_integer(vendor: int, kind: int, value: int) -> bytes:
    return vendor_attribute(vendor, kind, value.to_bytes(4, "big"))


def own_attributes(policy: Policy, vendor: Vendor) -> bytes:
    """What people wrote themselves for every NAS and for this vendor's."""
    return b"".join(bytes.fromhex(octets) for one, octets in policy.vendor_attributes if one in {ALL, vendor})


def dns_servers(policy: Policy) -> tuple[list[bytes], list[bytes]]:
    """IPv4 and IPv6 resolvers as octets, in their order."""
    ipv4 = [IPv4Address(server).packed for server in policy.dns_servers if ":" not in server]
    ipv6 = [IPv6Address(server).packed for server in policy.dns_servers if ":" in server]
    return ipv4, ipv6


def vendor_dns(policy: Policy, vendor: int, ipv4_kinds: tuple[int, int], ipv6_kinds: tuple[int, ...]) -> bytes:
    """A vendor's primary and secondary resolver; of a kind given once, every IPv6 resolver has one."""
    ipv4, ipv6 = dns_servers(policy)
    kinds = ipv6_kinds * len(ipv6) if len(ipv6_kinds) == 1 else ipv6_kinds
    pairs = [*zip(ipv4_kinds, ipv4, strict=False), *zip(kinds, ipv6, strict=False)]
    return b"".join(vendor_attribute(vendor, kind, server) for kind, server in pairs)


def standard_dns(policy: Policy) -> bytes:
    """RFC 2548 2.7.5, 2.7.6 for IPv4; RFC 6911 3.2 for IPv6."""
    ipv4, ipv6 = dns_servers(policy)
    parts = [
        vendor_attribute(MICROSOFT, kind, server)
        for kind, server in zip((MS_PRIMARY_DNS, MS_SECONDARY_DNS), ipv4, strict=False)
    ]
    return b"".join(parts + [attribute(Kind.DNS_SERVER_IPV6_ADDRESS, server) for server in ipv6])


def rate_bps(rate_kbps: int) -> int:
    """As an attribute of 32 bits holds it: beyond 4.29 Gbit/s, all that it can say."""
    return min(rate_kbps * 1000, RATE_BPS_MAX)


def prefix_value(prefix: str) -> bytes:
    """Reserved octet, length, and no more octets than the length needs (RFC 8044 3.10)."""
    network = IPv6Network(prefix)
    octets = -(-network.prefixlen // 8)
    return bytes((0, network.prefixlen)) + network.network_address.packed[:octets]


def standard_session_keys(keys: SessionKeys) -> bytes:
    """User-Name, Acct-Session-Id, and the addresses where they are known (RFC 5176 section 3)."""
    parts = [key(Kind.USER_NAME, keys.login), key(Kind.ACCT_SESSION_ID, keys.acct_session_id)]
    if keys.framed_ipv4:
        parts.append(attribute(Kind.FRAMED_IP_ADDRESS, IPv4Address(keys.framed_ipv4).packed))
    if keys.nas_ip_address:
        parts.append(attribute(Kind.NAS_IP_ADDRESS, IPv4Address(keys.nas_ip_address).packed))
    return b"".join(parts)


def session_id_key(keys: SessionKeys) -> bytes:
    """Acct-Session-Id alone, for NASes that want every key to match: one that is stale makes a good CoA a NAK."""
    return key(Kind.ACCT_SESSION_ID, keys.acct_session_id)


def key(kind: int, value: str | None) -> bytes:
    """Nothing where a NAS told none, or octets that are no text: escaped, as they are kept, they identify nobody."""
    return text_attribute(kind, value) if value and len(value.encode()) <= VALUE_OCTETS_MAX else b""
