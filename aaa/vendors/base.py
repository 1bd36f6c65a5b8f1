"""What every vendor adapter answers, and the encoding that all share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network
from typing import Any, Protocol

from aaa.packet import VALUE_OCTETS_MAX, Kind, attribute, integer_attribute, text_attribute
from core.policy import Policy

#: Nas.names: {"pools": {ours: theirs}, "address_lists": {ours: theirs}}.
Names = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What identifies a live session at its NAS, byte-exact as the NAS told it."""

    login: str
    acct_session_id: str
    framed_ipv4: str | None
    nas_ip_address: str | None


@dataclass(frozen=True, slots=True)
class LiveChange:
    """A CoA with these attributes (besides the session's keys) brings the session in step."""

    attributes: bytes


@dataclass(frozen=True, slots=True)
class RedialNeeded:
    """Only a new login brings the session in step; `fields` of the policy say why."""

    fields: tuple[str, ...]


class VendorAdapter(Protocol):
    """Pure: policies in, attributes out."""

    def accept_attributes(self, policy: Policy, names: Names) -> bytes:
        """Reply attributes of an Access-Accept, without Class and Message-Authenticator."""

    def live_change(self, applied: Policy, intended: Policy, names: Names) -> LiveChange | RedialNeeded:
        """How a session goes from one policy to another that differs from it."""

    def session_keys(self, keys: SessionKeys) -> bytes:
        """Attributes that identify a session in a CoA- or Disconnect-Request."""


def local_name(names: Names, family: str, ours: str) -> str:
    """What a pool or list of ours is called at this NAS."""
    return str(names.get(family, {}).get(ours, ours))


def changed_fields(applied: Policy, intended: Policy) -> frozenset[str]:
    return frozenset(name for name in Policy.__dataclass_fields__ if getattr(applied, name) != getattr(intended, name))


def address_attributes(policy: Policy, names: Names) -> bytes:
    """Addresses and pools as the RFCs have them (RFC 2865 5.8, 5.9, 5.22; 2869 5.18; 3162 2.3; 4818)."""
    parts = []
    if policy.ipv4_address:
        parts += [
            attribute(Kind.FRAMED_IP_ADDRESS, IPv4Address(policy.ipv4_address).packed),
            attribute(Kind.FRAMED_IP_NETMASK, b"\xff\xff\xff\xff"),
        ]
    elif policy.address_pool:
        parts.append(text_attribute(Kind.FRAMED_POOL, local_name(names, "pools", policy.address_pool)))
    # RFC 2865 5.22: gateway 0.0.0.0 stands for the subscriber's own address; metric 1.
    parts += [text_attribute(Kind.FRAMED_ROUTE, f"{route} 0.0.0.0 1") for route in policy.ipv4_routes]
    if policy.ipv6_prefix:
        parts.append(attribute(Kind.FRAMED_IPV6_PREFIX, prefix_value(policy.ipv6_prefix)))
    if policy.delegated_ipv6_prefix:
        parts.append(attribute(Kind.DELEGATED_IPV6_PREFIX, prefix_value(policy.delegated_ipv6_prefix)))
    return b"".join(parts)


def timer_attributes(policy: Policy) -> bytes:
    parts = []
    if policy.session_seconds:
        parts.append(integer_attribute(Kind.SESSION_TIMEOUT, policy.session_seconds))
    if policy.interim_seconds:
        parts.append(integer_attribute(Kind.ACCT_INTERIM_INTERVAL, policy.interim_seconds))
    return b"".join(parts)


def prefix_value(prefix: str) -> bytes:
    """Reserved octet, length, and no more octets than the length needs (RFC 8044 3.10)."""
    network = IPv6Network(prefix)
    octets = -(-network.prefixlen // 8)
    return bytes((0, network.prefixlen)) + network.network_address.packed[:octets]


def standard_session_keys(keys: SessionKeys) -> bytes:
    """User-Name, Acct-Session-Id, and the addresses where they are known (RFC 5176 section 3)."""
    parts = [_key(Kind.USER_NAME, keys.login), _key(Kind.ACCT_SESSION_ID, keys.acct_session_id)]
    if keys.framed_ipv4:
        parts.append(attribute(Kind.FRAMED_IP_ADDRESS, IPv4Address(keys.framed_ipv4).packed))
    if keys.nas_ip_address:
        parts.append(attribute(Kind.NAS_IP_ADDRESS, IPv4Address(keys.nas_ip_address).packed))
    return b"".join(parts)


def _key(kind: int, value: str) -> bytes:
    """Nothing where a NAS told none, or octets that are no text: escaped, as they are kept, they identify nobody."""
    return text_attribute(kind, value) if 0 < len(value.encode()) <= VALUE_OCTETS_MAX else b""
