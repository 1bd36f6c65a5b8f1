"""What a provider says of a BRAS. Every part may be left out, and what is left out is not managed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any, Final, Literal

import msgspec

from core.errors import InvalidInput

#: As RouterOS takes it: "100-199,300".
_VLANS: Final = re.compile(r"[1-9][0-9]{0,3}(-[1-9][0-9]{0,3})?(,[1-9][0-9]{0,3}(-[1-9][0-9]{0,3})?)*")
_NAME: Final = re.compile(r"[\w.@:+-]{1,64}")
_HOST: Final = re.compile(r"(?=.{1,253}$)([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")
VLAN_MAX: Final = 4094
#: Where each VLAN needs an interface and a server of its own, a box has no room for more.
VLANS_MAX: Final = 1000

#: All of them are asked before the router gives up on us and undoes.
TARGETS_MAX: Final = 8
PINGS_MAX: Final = 10

Authentication = Literal["pap", "chap", "mschap1", "mschap2"]
Service = Literal["api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl"]


class RadiusServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str
    authentication_port: int = 1812
    accounting_port: int = 1813


class Radius(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first server is asked first. `source`: the address that the NAS entry has, where the box has several."""

    servers: tuple[RadiusServer, ...]
    source: str | None = None
    timeout_ms: int = 3000
    interim_seconds: int = 300


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ranges`: "100.64.0.2-100.64.63.254,…"; `next`: the pool that follows where this one is used up."""

    name: str
    ranges: str
    next: str | None = None


class Ipv6Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    prefix: str
    prefix_length: int


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of every session. `pool`, `delegated_ipv6_pool`: where RADIUS names none."""

    local_address: str
    name: str = "provedor"
    dns: tuple[str, ...] = ()
    pool: str | None = None
    delegated_ipv6_pool: str | None = None


class PppoeServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`vlans`: on each of these of the interface, and not on the interface itself."""

    interface: str
    service_name: str = ""
    vlans: str | None = None
    mtu: int = 1480
    authentication: tuple[Authentication, ...] = ("pap", "chap", "mschap1", "mschap2")
    max_sessions: int | None = None
    one_session_per_host: bool = True
    pado_delay_ms: int = 0


class WalledGarden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`portal`: where debtors' HTTP goes. `allowed`: addresses, networks and host names that they reach besides."""

    portal: str
    portal_port: int = 80
    dns: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class Syslog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: str
    port: int = 514
    topics: tuple[str, ...] = ("info", "warning", "error", "critical")


class Snmp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`networks`: who may ask. The community, or the user of v3, is the NAS entry's."""

    networks: tuple[str, ...]
    contact: str = ""
    location: str = ""


class Management(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`networks`: from where the box may be managed, by `services` and no others; ours is to be among them."""

    networks: tuple[str, ...]
    services: tuple[Service, ...] = ("api-ssl", "ssh", "winbox")
    ntp: tuple[str, ...] = ()
    syslog: Syslog | None = None
    snmp: Snmp | None = None


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has to answer the box after a change as before. `vrf`: before 7.0 a routing table."""

    ping: tuple[str, ...]
    source: str | None = None
    interface: str | None = None
    vrf: str | None = None
    count: int = 5
    loss_percent: int = 40


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    radius: Radius | None = None
    pools: tuple[Pool, ...] = ()
    ipv6_pools: tuple[Ipv6Pool, ...] = ()
    profile: Profile | None = None
    pppoe: tuple[PppoeServer, ...] = ()
    walled_garden: WalledGarden | None = None
    #: Names of rules of the connection log, whose NAT this box does.
    cgnat: tuple[str, ...] = ()
    management: Management | None = None
    probe: Probe | None = None


def intent_of(body: Mapping[str, Any]) -> Intent:
    """Raises InvalidInput naming the field."""
    try:
        intent = msgspec.convert(dict(body), Intent)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(detail, field=path.rstrip("`") or None) from None
    _check(intent)
    return intent


def vlan_ids(vlans: str) -> list[int]:
    ids: list[int] = []
    for part in vlans.split(","):
        first, _, last = part.partition("-")
        ids += range(int(first), int(last or first) + 1)
    return ids


def _check(intent: Intent) -> None:
    if intent.radius is not None:
        _check_radius(intent.radius)
    _check_pools(intent)
    for number, server in enumerate(intent.pppoe):
        _check_pppoe(server, f"pppoe[{number}]")
    if intent.pppoe and intent.profile is None:
        raise InvalidInput("a PPPoE server needs a profile", field="profile")
    if intent.walled_garden is not None:
        _check_walled_garden(intent.walled_garden)
    if intent.management is not None:
        _check_management(intent.management)
    if intent.probe is not None:
        _check_probe(intent.probe)


def _check_radius(radius: Radius) -> None:
    if not radius.servers:
        raise InvalidInput("name at least one server", field="radius.servers")
    _addresses([server.address for server in radius.servers], "radius.servers")
    _addresses([radius.source] if radius.source else [], "radius.source")
    if not 100 <= radius.timeout_ms <= 10_000:
        raise InvalidInput("from 100 to 10,000 ms", field="radius.timeout_ms")
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
    if not server.authentication:
        raise InvalidInput("name at least one way", field=f"{field}.authentication")
    if not 576 <= server.mtu <= 65_535:
        raise InvalidInput("from 576 to 65535", field=f"{field}.mtu")
    if server.vlans is None:
        return
    if not _VLANS.fullmatch(server.vlans):
        raise InvalidInput('as "100-199,300"', field=f"{field}.vlans")
    ids = vlan_ids(server.vlans)
    if not ids or max(ids) > VLAN_MAX or len(set(ids)) != len(ids):
        raise InvalidInput(f"each once, from 1 to {VLAN_MAX}, ranges upwards", field=f"{field}.vlans")


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
        try:
            found = ip_address(text)
        except ValueError:
            raise InvalidInput(f"{text!r} is no address", field=field) from None
        if version not in {None, found.version}:
            raise InvalidInput(f"{text} is no IPv{version} address", field=field)


def _networks(texts: Iterable[str], field: str) -> None:
    for text in texts:
        try:
            ip_network(text)
        except ValueError:
            raise InvalidInput(f"{text!r} is no address or network", field=field) from None


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
