"""All parts of an intent together, for one box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from aaa.connection_log.nat import DeterministicNat
from provisioning.routeros.bras import access, cgnat, dhcp, hotspot, management, queues, radius, walled_garden
from provisioning.routeros.bras.intent import Intent
from provisioning.routeros.bras.management import SnmpAgent
from provisioning.routeros.planning import Desired, Setting, Wanted
from provisioning.routeros.probing import Ping, Proof
from provisioning.routeros.schema import Release

#: Families of marks, and the menus where their rows may be, or whose rows name theirs: what is used is not taken away.
FAMILIES: Final[Mapping[str, frozenset[str]]] = {
    "radius": frozenset({"/radius"}),
    "access": frozenset(
        {"/ip/pool", "/ipv6/pool", "/ppp/profile", "/interface/vlan", "/interface/pppoe-server/server",
         "/ip/dhcp-server", "/ipv6/dhcp-server", "/ip/hotspot"}
    ),
    "ipoe": frozenset(
        {"/interface/vlan", "/ip/address", "/ip/dhcp-server", "/ip/dhcp-server/network", "/ipv6/dhcp-server"}
    ),
    "hotspot": frozenset(
        {"/ip/hotspot", "/ip/hotspot/profile", "/ip/hotspot/walled-garden", "/ip/hotspot/walled-garden/ip"}
    ),
    "queues": frozenset({"/queue/type", "/queue/tree"}),
    "garden": frozenset(
        {"/ip/firewall/address-list", "/ip/firewall/filter", "/ip/firewall/nat", "/ipv6/firewall/address-list",
         "/ipv6/firewall/filter"}
    ),
    "cgnat": frozenset({"/ip/firewall/nat"}),
    "management": frozenset(
        {"/ip/service", "/snmp/community", "/system/logging/action", "/system/logging"}
    ),
    "user": frozenset({"/user", "/user/group"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the box stands elsewhere: in its NAS entry, at the box itself, in the connection log's rules."""

    release: Release
    radius_secret: str = field(repr=False)
    coa_port: int
    walled_garden_list: str
    nat_rules: Mapping[str, DeterministicNat] = field(default_factory=dict)
    snmp: SnmpAgent | None = None
    #: By whom we are connected.
    user: str = ""


def desired_of(intent: Intent, around: Surroundings) -> Desired:
    """Raises InvalidInput where this release cannot have it. Of a part that is not said, no row is touched."""
    found = [*_parts(intent, around)]
    families = {name for name, _ in found}
    rows = [row for _, part in found for row in part]
    return Desired(
        tuple(row for row in rows if isinstance(row, Wanted)),
        tuple(row for row in rows if isinstance(row, Setting)),
        frozenset(families),
        frozenset().union(*(FAMILIES[name] for name in families)),
    )


def proof_of(intent: Intent) -> Proof:
    """What a change of this box must not cut."""
    radius, probe = intent.radius, intent.probe
    servers = () if radius is None else tuple(Ping(one.address, radius.source) for one in radius.servers)
    asked = () if probe is None else tuple(
        Ping(target, probe.source, probe.interface, probe.vrf, probe.count, probe.loss_percent)
        for target in probe.ping
    )  # fmt: skip
    return Proof((*servers, *asked), radius=radius is not None)


def _parts(intent: Intent, around: Surroundings) -> Iterator[tuple[str, Iterable[Wanted | Setting]]]:
    if intent.radius is not None:
        services = _services(intent)
        yield "radius", radius.rows(intent.radius, services, around.radius_secret, around.coa_port, around.release)
    if intent.profile is not None or intent.pools or intent.ipv6_pools:
        yield "access", access.rows(intent, around.release, around.walled_garden_list)
    if intent.dhcp is not None:
        yield "ipoe", dhcp.rows(intent, around.release)
    if intent.hotspots is not None:
        yield "hotspot", [row for one in intent.hotspots for row in hotspot.rows(one)]
    if intent.queues is not None:
        yield "queues", queues.rows(intent.queues, around.release)
    if intent.walled_garden is not None:
        yield "garden", walled_garden.rows(intent.walled_garden, around.walled_garden_list)
    if intent.cgnat:
        yield "cgnat", cgnat.rows(intent.cgnat, around.nat_rules)
    if intent.management is not None:
        yield "management", management.rows(intent.management, around.snmp, around.release)
        if intent.management.user is not None:
            yield "user", management.user_rows(intent.management.user, around.user)


def _services(intent: Intent) -> set[str]:
    """Who of the box asks RADIUS."""
    dhcp_asks = any(server.radius != "no" for server in intent.dhcp or ())
    return {"ppp"} | ({"dhcp"} if dhcp_asks else set()) | ({"hotspot"} if intent.hotspots else set())
