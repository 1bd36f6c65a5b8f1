"""Is what a provider says of a BRAS possible? Each part by its own rules, and what of several parts has to fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from itertools import combinations
from typing import Any, Final

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import (
    DhcpServer,
    Hotspot,
    Intent,
    Ipv6Pool,
    Management,
    PppoeServer,
    Probe,
    Profile,
    Queues,
    QueueTree,
    Radius,
    WalledGarden,
)
from provisioning.routeros.schema import MENUS
from provisioning.saying import VLAN_MAX, address_of, check_vlans, network_of, read, vlan_ids

_RATE: Final = re.compile(r"[0-9]{1,12}[kMG]?")
_NAME: Final = re.compile(r"[\w.@:+-]{1,64}")
_HOST: Final = re.compile(r"(?=.{1,253}$)([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
#: What a subscriber's PPPoE client may name, or nothing.
_SERVICE_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,64}")
#: All of them are asked before the router gives up on us and undoes.
TARGETS_MAX: Final = 8
PINGS_MAX: Final = 10


def intent_of(body: Mapping[str, Any]) -> Intent:
    """Raises InvalidInput naming the field."""
    intent = read(body, Intent)
    _check(intent)
    return intent


def _check(intent: Intent) -> None:
    if intent.radius is not None:
        _check_radius(intent.radius)
    _check_pools(intent)
    for number, server in enumerate(intent.pppoe):
        _check_pppoe(server, f"pppoe[{number}]")
    _check_pppoe_lines(intent.pppoe)
    if intent.pppoe and intent.profile is None:
        raise InvalidInput("a PPPoE server needs a profile", field="profile")
    _check_lines(intent)
    if intent.queues is not None:
        _check_queues(intent.queues)
    if intent.walled_garden is not None:
        _check_walled_garden(intent.walled_garden)
    if intent.management is not None:
        _check_management(intent.management)
    if intent.probe is not None:
        _check_probe(intent.probe)


def _check_radius(radius: Radius) -> None:
    if not 1 <= len(radius.servers) <= TARGETS_MAX:
        raise InvalidInput(f"1 to {TARGETS_MAX} servers", field="radius.servers")
    _addresses([server.address for server in radius.servers], "radius.servers")
    _addresses([radius.source] if radius.source else [], "radius.source")
    if not 100 <= radius.timeout_ms <= 10_000:
        raise InvalidInput("from 100 to 10,000 ms", field="radius.timeout_ms")
    if radius.radsec is not None:
        _name(radius.radsec.certificate, "radius.radsec.certificate")
        if not 1 <= radius.radsec.port <= 65_535:
            raise InvalidInput("from 1 to 65535", field="radius.radsec.port")
    if not 60 <= radius.interim_seconds <= 86_400:
        raise InvalidInput("from a minute to a day", field="radius.interim_seconds")


def _check_pools(intent: Intent) -> None:
    names = [pool.name for pool in intent.pools]
    _unique(names, "pools")
    for number, pool in enumerate(intent.pools):
        _name(pool.name, f"pools[{number}].name")
        _check_ranges(pool.ranges, f"pools[{number}].ranges")
        if pool.next is not None and (pool.next not in names or pool.next == pool.name):
            raise InvalidInput("names another of these pools", field=f"pools[{number}].next")
    _check_chain({pool.name: pool.next for pool in intent.pools})
    _unique([pool.name for pool in intent.ipv6_pools], "ipv6_pools")
    for number, ipv6_pool in enumerate(intent.ipv6_pools):
        _name(ipv6_pool.name, f"ipv6_pools[{number}].name")
        _check_prefix(ipv6_pool, f"ipv6_pools[{number}]")
    if intent.profile is not None:
        _check_profile(intent.profile, names, [pool.name for pool in intent.ipv6_pools])


def _check_chain(following: Mapping[str, str | None]) -> None:
    for name in following:
        seen, at = {name}, following[name]
        while at is not None and at not in seen:
            seen.add(at)
            at = following[at]
        if at is not None:
            raise InvalidInput(f"the pools after {name} lead back to {at}", field="pools")


def _check_profile(profile: Profile, pools: list[str], ipv6_pools: list[str]) -> None:
    _name(profile.name, "profile.name")
    _addresses([profile.local_address], "profile.local_address")
    _addresses(profile.dns, "profile.dns")
    if profile.pool not in {None, *pools}:
        raise InvalidInput("names one of the pools", field="profile.pool")
    if profile.delegated_ipv6_pool not in {None, *ipv6_pools}:
        raise InvalidInput("names one of the ipv6_pools", field="profile.delegated_ipv6_pool")


def _check_pppoe(server: PppoeServer, field: str) -> None:
    _name(server.interface, f"{field}.interface")
    if not _SERVICE_NAME.fullmatch(server.service_name):
        raise InvalidInput("at most 64 characters, none of control", field=f"{field}.service_name")
    if not server.authentication:
        raise InvalidInput("name at least one way", field=f"{field}.authentication")
    if not 576 <= server.mtu <= 65_535:
        raise InvalidInput("from 576 to 65535", field=f"{field}.mtu")
    if server.vlans is not None:
        check_vlans(server.vlans, f"{field}.vlans")


def _check_pppoe_lines(servers: Iterable[PppoeServer]) -> None:
    """Of an interface, each VLAN and what has no tag once."""
    lines = [(one.interface, line) for one in servers for line in (vlan_ids(one.vlans) if one.vlans else [None])]
    if len(set(lines)) != len(lines):
        raise InvalidInput("each interface and VLAN once", field="pppoe")


def _check_lines(intent: Intent) -> None:
    """DHCP servers and hotspots, which are on interfaces of their own and ask RADIUS."""
    servers, hotspots = intent.dhcp or (), intent.hotspots or ()
    for number, server in enumerate(servers):
        _check_dhcp(server, intent, f"dhcp[{number}]")
    _unique([server.called for server in servers], "dhcp")
    _unique([server.place for server in servers], "dhcp")
    for one, other in combinations([IPv4Network(server.network) for server in servers], 2):
        if one.overlaps(other):
            raise InvalidInput(f"{one} and {other} overlap", field="dhcp")
    for number, hotspot in enumerate(hotspots):
        _check_hotspot(hotspot, intent, f"hotspots[{number}]")
    _unique([hotspot.called for hotspot in hotspots], "hotspots")
    _unique([hotspot.interface for hotspot in hotspots], "hotspots")
    if intent.radius is None and (hotspots or any(server.radius != "no" for server in servers)):
        raise InvalidInput("DHCP and hotspots ask RADIUS: name its servers", field="radius")


def _check_dhcp(server: DhcpServer, intent: Intent, field: str) -> None:
    _name(server.interface, f"{field}.interface")
    _name(server.called, f"{field}.name")
    try:
        network, gateway = IPv4Network(server.network), IPv4Address(server.gateway)
    except ValueError as error:
        raise InvalidInput(str(error), field=f"{field}.network") from None
    if gateway not in network:
        raise InvalidInput(f"{gateway} is not in {network}", field=f"{field}.gateway")
    _addresses(server.dns, f"{field}.dns", version=4)
    _check_vlan(server, intent, f"{field}.vlan")
    if server.pool is None and server.radius != "leases":
        raise InvalidInput("nobody names addresses: name a pool", field=f"{field}.pool")
    if server.pool not in {None, *(pool.name for pool in intent.pools)}:
        raise InvalidInput("names one of the pools", field=f"{field}.pool")
    if server.delegated_ipv6_pool not in {None, *(pool.name for pool in intent.ipv6_pools)}:
        raise InvalidInput("names one of the ipv6_pools", field=f"{field}.delegated_ipv6_pool")
    if not 60 <= server.lease_seconds <= 2_592_000:
        raise InvalidInput("from a minute to thirty days", field=f"{field}.lease_seconds")
    if not 0 <= (server.delay_threshold_seconds or 0) <= 60:
        raise InvalidInput("from 0 to 60", field=f"{field}.delay_threshold_seconds")


def _check_vlan(server: DhcpServer, intent: Intent, field: str) -> None:
    if server.vlan is None:
        return
    if not 1 <= server.vlan <= VLAN_MAX:
        raise InvalidInput(f"from 1 to {VLAN_MAX}", field=field)
    for pppoe in intent.pppoe:
        if pppoe.interface == server.interface and pppoe.vlans and server.vlan in vlan_ids(pppoe.vlans):
            raise InvalidInput("a PPPoE server has this VLAN", field=field)


def _check_hotspot(hotspot: Hotspot, intent: Intent, field: str) -> None:
    _name(hotspot.interface, f"{field}.interface")
    _name(hotspot.called, f"{field}.name")
    _addresses([hotspot.address], f"{field}.address", version=4)
    if hotspot.pool not in {pool.name for pool in intent.pools}:
        raise InvalidInput("names one of the pools", field=f"{field}.pool")
    if hotspot.dns_name and not _HOST.fullmatch(hotspot.dns_name):
        raise InvalidInput("a host name", field=f"{field}.dns_name")
    if not hotspot.login_by:
        raise InvalidInput("name at least one way", field=f"{field}.login_by")
    if ("https" in hotspot.login_by) != (hotspot.certificate is not None):
        raise InvalidInput("https has a certificate, and nothing else has", field=f"{field}.certificate")
    if hotspot.certificate is not None:
        _name(hotspot.certificate, f"{field}.certificate")
    if not 1 <= hotspot.addresses_per_mac <= 255:
        raise InvalidInput("from 1 to 255", field=f"{field}.addresses_per_mac")
    _unique(list(hotspot.allowed), f"{field}.allowed")
    for one in hotspot.allowed:
        if not _HOST.fullmatch(one.removeprefix("*.")):
            _networks([one], f"{field}.allowed", version=4)


def _check_queues(queues: Queues) -> None:
    _unique([one.name for one in queues.types], "queues.types")
    for number, one in enumerate(queues.types):
        field = f"queues.types[{number}]"
        _name(one.name, f"{field}.name")
        if one.name in MENUS["/queue/type"].builtin:
            raise InvalidInput("every router has a type of this name", field=f"{field}.name")
        _rates({"rate": one.rate}, field)
        if one.kind == "pcq" and one.classifier is None:
            raise InvalidInput("a queue for each what?", field=f"{field}.classifier")
    _unique([tree.name for tree in queues.trees], "queues.trees")
    for number, tree in enumerate(queues.trees):
        _check_tree(tree, queues, number)


def _check_tree(tree: QueueTree, queues: Queues, number: int) -> None:
    field = f"queues.trees[{number}]"
    _name(tree.name, f"{field}.name")
    _name(tree.parent, f"{field}.parent")
    if tree.parent in {later.name for later in queues.trees[number:]}:
        raise InvalidInput("names a tree above this one", field=f"{field}.parent")
    if tree.queue not in MENUS["/queue/type"].builtin | {one.name for one in queues.types}:
        raise InvalidInput("names one of the types", field=f"{field}.queue")
    for mark in tree.packet_marks:
        _name(mark, f"{field}.packet_marks")
    _rates({"max_limit": tree.max_limit, "limit_at": tree.limit_at}, field)
    if not 1 <= tree.priority <= 8:
        raise InvalidInput("from 1 to 8", field=f"{field}.priority")


def _rates(rates: Mapping[str, str], field: str) -> None:
    for name, rate in rates.items():
        if not _RATE.fullmatch(rate):
            raise InvalidInput('as "50M"', field=f"{field}.{name}")


def _check_walled_garden(garden: WalledGarden) -> None:
    _addresses([garden.portal], "walled_garden.portal", version=4)
    _addresses(garden.dns, "walled_garden.dns")
    for one in garden.allowed:
        if not _HOST.fullmatch(one):
            _networks([one], "walled_garden.allowed")


def _check_management(management: Management) -> None:
    if not management.networks:
        raise InvalidInput("nobody could manage the box any more", field="management.networks")
    _networks(management.networks, "management.networks")
    if not {"api", "api-ssl"} & set(management.services):
        raise InvalidInput("without api-ssl or api we could not manage it", field="management.services")
    _addresses(management.ntp, "management.ntp")
    if management.user is not None:
        if not management.user.networks:
            raise InvalidInput("he could come from nowhere", field="management.user.networks")
        _networks(management.user.networks, "management.user.networks")
    if management.syslog is not None:
        _addresses([management.syslog.server], "management.syslog.server")
    if management.snmp is not None:
        if not management.snmp.networks:
            raise InvalidInput("nobody could ask it", field="management.snmp.networks")
        _networks(management.snmp.networks, "management.snmp.networks")


def _check_probe(probe: Probe) -> None:
    if not 1 <= len(probe.ping) <= TARGETS_MAX:
        raise InvalidInput(f"1 to {TARGETS_MAX} addresses", field="probe.ping")
    _addresses(probe.ping, "probe.ping")
    if probe.source is not None:
        _addresses([probe.source], "probe.source")
        version = ip_address(probe.source).version
        _addresses(probe.ping, "probe.ping", version)
    for name in ("interface", "vrf"):
        if (said := getattr(probe, name)) is not None:
            _name(said, f"probe.{name}")
    if not 1 <= probe.count <= PINGS_MAX:
        raise InvalidInput(f"from 1 to {PINGS_MAX}", field="probe.count")
    if not 0 <= probe.loss_percent < 100:
        raise InvalidInput("from 0 to 99", field="probe.loss_percent")


def _name(name: str, field: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput("letters, digits and . @ : + - _, at most 64", field=field)


def _unique(names: list[str], field: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidInput("each name once", field=field)


def _addresses(texts: Iterable[str], field: str, version: int | None = None) -> None:
    for text in texts:
        found = address_of(text, field)
        if version not in {None, found.version}:
            raise InvalidInput(f"{text} is no IPv{version} address", field=field)


def _networks(texts: Iterable[str], field: str, version: int | None = None) -> None:
    for text in texts:
        found = network_of(text, field)
        if version not in {None, found.version}:
            raise InvalidInput(f"{text} is no IPv{version} address or network", field=field)


def _check_ranges(ranges: str, field: str) -> None:
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        try:
            fits = IPv4Address(first) <= IPv4Address(last) if dash else bool(IPv4Network(part))
        except ValueError:
            fits = False
        if not fits:
            raise InvalidInput(f"{part!r} is no IPv4 network or range of addresses", field=field)


def _check_prefix(pool: Ipv6Pool, field: str) -> None:
    try:
        network = ip_network(pool.prefix)
    except ValueError:
        raise InvalidInput(f"{pool.prefix!r} is no prefix", field=f"{field}.prefix") from None
    if network.version != 6:
        raise InvalidInput("IPv6 only", field=f"{field}.prefix")
    if not network.prefixlen <= pool.prefix_length <= 64:
        raise InvalidInput(f"from {network.prefixlen} to 64", field=f"{field}.prefix_length")
