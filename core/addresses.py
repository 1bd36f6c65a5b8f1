"""Addresses and prefixes in one canonical text form, refused with the field's name."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

from core.errors import InvalidInput


def check_ipv4_address(value: str, *, field: str = "ipv4_address") -> str:
    """A host address that may be given to a subscriber."""
    try:
        address = IPv4Address(value)
    except AddressValueError as error:
        raise InvalidInput(f"not an IPv4 address: {error}", field=field) from None
    # RFC 2865 5.8 gives 255.255.255.255 and 255.255.255.254 a meaning of their own; RouterOS falls back to
    # its own pool for 127/8 and for everything from 224/3.
    if address.is_loopback or address.is_unspecified or int(address) >= int(IPv4Address("224.0.0.0")):
        raise InvalidInput(f"{address} cannot be a subscriber's address", field=field)
    return str(address)


def check_ipv4_network(value: str, *, field: str = "ipv4_routes") -> str:
    """A routed subnet; host bits must be zero."""
    try:
        return str(IPv4Network(value))
    except ValueError as error:
        raise InvalidInput(f"not an IPv4 network: {error}", field=field) from None


def check_ipv6_prefix(value: str, *, field: str = "ipv6_prefix") -> str:
    """An IPv6 prefix with its length; host bits must be zero (RFC 3162 2.3)."""
    if "/" not in value:
        raise InvalidInput("an IPv6 prefix has a length, such as 2001:db8::/56", field=field)
    try:
        return str(IPv6Network(value))
    except ValueError as error:
        raise InvalidInput(f"not an IPv6 prefix: {error}", field=field) from None


def check_dns_servers(values: Sequence[str], *, field: str = "dns_servers") -> list[str]:
    """At most two of each family: no vendor takes more."""
    try:
        servers = [ip_address(value) for value in values]
    except ValueError as error:
        raise InvalidInput(f"not an IP address: {error}", field=field) from None
    for version in (4, 6):
        if sum(server.version == version for server in servers) > 2:
            raise InvalidInput(f"more than two IPv{version} servers, which no NAS takes", field=field)
    return [str(server) for server in servers]


def check_nas_address(value: str, *, field: str = "address") -> str:
    """The source of a NAS's packets: one address or a CIDR, IPv4 or IPv6."""
    try:
        network = ip_network(value)
    except ValueError as error:
        raise InvalidInput(f"not an IP address or CIDR: {error}", field=field) from None
    if network.prefixlen == 0:
        raise InvalidInput("a NAS cannot be the whole internet", field=field)
    return str(network.network_address) if network.num_addresses == 1 else str(network)
