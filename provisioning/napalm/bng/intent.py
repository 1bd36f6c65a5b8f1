"""What a provider says of a BNG. Every part may be left out, and what is left out is not managed.

Every text ends up in a line of somebody's configuration, so each is held to what it may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any, Final, Literal

import msgspec

from core.errors import InvalidInput
from provisioning.saying import RadiusServer, address_of, check_vlans, network_of, read, vlan_ids

_NAME: Final = re.compile(r"[\w.@:+-]{1,32}", re.ASCII)
#: On a Cisco a policy is one of each direction: UPLOAD/DOWNLOAD.
_POLICY: Final = re.compile(r"[\w.@:+-]{1,32}(/[\w.@:+-]{1,32})?", re.ASCII)
_INTERFACE: Final = re.compile(r"[A-Za-z][\w./:-]{1,63}", re.ASCII)
#: Where each VLAN needs an interface of its own, boxes and people have no use for more.
VLANS_MAX: Final = 500


class Radius(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first server is asked first. `source_interface`: whose address our NAS entry has."""

    servers: tuple[RadiusServer, ...]
    source_interface: str | None = None
    timeout_seconds: int = 3
    retransmits: int = 2
    interim_seconds: int = 300


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses of `network` but its first and last, and `gateway`, which is the box."""

    name: str
    network: str
    gateway: str


class Ipv6Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each line is delegated a prefix of this length."""

    name: str
    prefix: str
    prefix_length: int


class Subscribers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them. `pool`, `delegated_ipv6_pool`: where RADIUS names none. `loopback`: whose address is theirs."""

    loopback: str
    name: str = "provedor"
    pool: str | None = None
    delegated_ipv6_pool: str | None = None
    dns: tuple[str, ...] = ()


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where subscribers come from: each VLAN of an interface."""

    interface: str
    vlans: str
    kind: Literal["pppoe", "ipoe"] = "pppoe"
    mtu: int = 1492


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan's `profile` names, as the plan has it; on a Cisco UPLOAD/DOWNLOAD."""

    name: str
    download_kbps: int
    upload_kbps: int


class WalledGarden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a debtor reaches: the portal, where his HTTP goes, DNS, and `allowed` addresses and networks besides.

    `applied`: huawei: the policy is put on all subscribers, in place of the one that is there.
    """

    portal: str
    portal_port: int = 80
    dns: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    applied: bool = False


class BngIntent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    radius: Radius | None = None
    pools: tuple[Pool, ...] = ()
    ipv6_pools: tuple[Ipv6Pool, ...] = ()
    subscribers: Subscribers | None = None
    access: tuple[Access, ...] = ()
    policies: tuple[Policy, ...] = ()
    walled_garden: WalledGarden | None = None
    #: Names of the plans that are sold here; None: all.
    serves: tuple[str, ...] | None = None


def bng_intent_of(body: Mapping[str, Any]) -> BngIntent:
    """Raises InvalidInput naming the field."""
    intent = read(body, BngIntent)
    _check(intent)
    return intent


def _check(intent: BngIntent) -> None:
    if intent.radius is not None:
        _check_radius(intent.radius)
    _check_pools(intent)
    if intent.access and intent.subscribers is None:
        raise InvalidInput("whoever comes in somewhere needs `subscribers`", field="subscribers")
    if intent.subscribers is not None and intent.radius is None:
        raise InvalidInput("subscribers are asked about at RADIUS servers", field="radius")
    for number, one in enumerate(intent.access):
        _check_access(one, f"access[{number}]")
    _unique([(one.interface, vlan) for one in intent.access for vlan in vlan_ids(one.vlans)], "access")
    _unique([one.name for one in intent.policies], "policies")
    for number, policy in enumerate(intent.policies):
        _matches(_POLICY, policy.name, f"policies[{number}].name")
        if not (0 < policy.download_kbps <= 10**9 and 0 < policy.upload_kbps <= 10**9):
            raise InvalidInput("kbit/s", field=f"policies[{number}]")
    if intent.walled_garden is not None:
        _check_walled_garden(intent.walled_garden)


def _check_radius(radius: Radius) -> None:
    if not radius.servers:
        raise InvalidInput("name at least one server", field="radius.servers")
    _addresses([server.address for server in radius.servers], "radius.servers")
    _unique([server.address for server in radius.servers], "radius.servers")
    for server in radius.servers:
        if not (0 < server.authentication_port < 65_536 and 0 < server.accounting_port < 65_536):
            raise InvalidInput("a port is 1 to 65,535", field="radius.servers")
    if radius.source_interface is not None:
        _matches(_INTERFACE, radius.source_interface, "radius.source_interface")
    if not 1 <= radius.timeout_seconds <= 10:
        raise InvalidInput("1 to 10 seconds", field="radius.timeout_seconds")
    if not 0 <= radius.retransmits <= 5:
        raise InvalidInput("0 to 5", field="radius.retransmits")
    if not 60 <= radius.interim_seconds <= 86_400 or radius.interim_seconds % 60:
        raise InvalidInput("whole minutes, from one to a day", field="radius.interim_seconds")


def _check_pools(intent: BngIntent) -> None:
    _unique([pool.name for pool in intent.pools] + [pool.name for pool in intent.ipv6_pools], "pools")
    for number, pool in enumerate(intent.pools):
        field = f"pools[{number}]"
        _matches(_NAME, pool.name, f"{field}.name")
        network, gateway = network_of(pool.network, f"{field}.network"), address_of(pool.gateway, f"{field}.gateway")
        if not isinstance(network, IPv4Network) or network.num_addresses < 4:
            raise InvalidInput("an IPv4 network of four addresses or more", field=f"{field}.network")
        if not isinstance(gateway, IPv4Address) or gateway not in (network[1], network[-2]):
            raise InvalidInput(f"the network's first or last: {network[1]} or {network[-2]}", field=f"{field}.gateway")
    for number, ipv6_pool in enumerate(intent.ipv6_pools):
        field = f"ipv6_pools[{number}]"
        _matches(_NAME, ipv6_pool.name, f"{field}.name")
        prefix = network_of(ipv6_pool.prefix, f"{field}.prefix")
        if not isinstance(prefix, IPv6Network) or not prefix.prefixlen < ipv6_pool.prefix_length <= 64:
            raise InvalidInput("an IPv6 prefix, and a longer length of at most 64", field=field)
    if intent.subscribers is not None:
        _check_subscribers(intent.subscribers, intent)


def _check_subscribers(subscribers: Subscribers, intent: BngIntent) -> None:
    _matches(_NAME, subscribers.name, "subscribers.name")
    _matches(_INTERFACE, subscribers.loopback, "subscribers.loopback")
    _addresses(subscribers.dns, "subscribers.dns")
    if subscribers.pool not in {None, *(pool.name for pool in intent.pools)}:
        raise InvalidInput("names one of the pools", field="subscribers.pool")
    if subscribers.delegated_ipv6_pool not in {None, *(pool.name for pool in intent.ipv6_pools)}:
        raise InvalidInput("names one of the ipv6_pools", field="subscribers.delegated_ipv6_pool")


def _check_access(access: Access, field: str) -> None:
    _matches(_INTERFACE, access.interface, f"{field}.interface")
    if not 576 <= access.mtu <= 9200:
        raise InvalidInput("from 576 to 9,200", field=f"{field}.mtu")
    check_vlans(access.vlans, f"{field}.vlans")


def _check_walled_garden(garden: WalledGarden) -> None:
    if not isinstance(address_of(garden.portal, "walled_garden.portal"), IPv4Address):
        raise InvalidInput("an IPv4 address", field="walled_garden.portal")
    if not 0 < garden.portal_port < 65_536:
        raise InvalidInput("a port is 1 to 65,535", field="walled_garden.portal_port")
    _addresses(garden.dns, "walled_garden.dns")
    for one in garden.allowed:
        network_of(one, "walled_garden.allowed")


def _matches(pattern: re.Pattern[str], text: str, field: str) -> None:
    if not pattern.fullmatch(text):
        raise InvalidInput(f"{text!r} cannot be a name at the box", field=field)


def _unique(values: list[Any], field: str) -> None:
    if len(set(values)) != len(values):
        raise InvalidInput("each once", field=field)


def _addresses(texts: Iterable[str], field: str) -> None:
    for text in texts:
        address_of(text, field)
