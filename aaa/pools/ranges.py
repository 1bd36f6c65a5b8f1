"""Counting the addresses and prefixes of a network: pure.

Of an IPv4 network larger than two addresses neither the first nor the last is given: subnets that are routed as such
have no host there, and some CPEs refuse an address that ends in 0 of its own network. A /31 and a /32 are given whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from core.errors import InvalidInput

#: More prefixes than this in one network are never counted out one by one.
CAPACITY_MAX = 1 << 32


def check_range(network: str, *, prefix_length: int, ipv6: bool) -> str:
    """The network in canonical text; raises InvalidInput naming `ranges`."""
    try:
        parsed = ip_network(network)
    except ValueError as error:
        raise InvalidInput(f"{network}: not a network: {error}", field="ranges") from None
    if (parsed.version == 6) != ipv6:
        raise InvalidInput(f"{network}: is of the other IP version", field="ranges")
    if parsed.prefixlen > prefix_length:
        raise InvalidInput(f"{network}: is smaller than one /{prefix_length}", field="ranges")
    if parsed.is_multicast or parsed.is_loopback or parsed.is_unspecified:
        raise InvalidInput(f"{network}: cannot be given to subscribers", field="ranges")
    return str(parsed)


def check_apart(networks: Iterable[str], others: Iterable[str]) -> None:
    """No address may stand in two ranges. Raises InvalidInput naming `ranges`."""
    known = [ip_network(network) for network in others]
    for network in map(ip_network, networks):
        for other in known:
            if network.version == other.version and network.overlaps(other):
                raise InvalidInput(f"{network} overlaps {other}, which is in a pool already", field="ranges")
        known.append(network)


def capacity(network: str, prefix_length: int) -> int:
    """How many can be given out of it."""
    parsed = ip_network(network)
    if isinstance(parsed, IPv4Network):
        return parsed.num_addresses - 2 if parsed.prefixlen < 31 else parsed.num_addresses
    return int(min(CAPACITY_MAX, 1 << (prefix_length - parsed.prefixlen)))


def number_of(network: str, prefix_length: int, address: str) -> int | None:
    """`nth` backwards; None where it is none of those that are given."""
    parsed, one = ip_network(network), ip_network(address)
    if one.version != parsed.version or one.prefixlen != prefix_length:
        return None
    distance = int(one.network_address) - int(parsed.network_address)
    if isinstance(parsed, IPv4Network):
        number = distance - (1 if parsed.prefixlen < 31 else 0)
    else:
        number = distance >> (128 - prefix_length)
    return number if 0 <= number < capacity(network, prefix_length) else None


def nth(network: str, prefix_length: int, number: int) -> str:
    """The address or prefix with this number, from 0 on."""
    parsed = ip_network(network)
    if isinstance(parsed, IPv4Network):
        first = int(parsed.network_address) + (1 if parsed.prefixlen < 31 else 0)
        return str(IPv4Address(first + number))
    step = 128 - prefix_length
    return str(IPv6Network((IPv6Address(int(parsed.network_address) + (number << step)), prefix_length)))
