"""Pools, the profile of every session, and PPPoE servers on interfaces and VLANs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import VLANS_MAX, Intent, PppoeServer, Profile
from provisioning.routeros.live_sessions import leave_list
from provisioning.routeros.planning import Wanted
from provisioning.routeros.schema import Release
from provisioning.saying import vlan_ids

#: A server takes ranges of VLANs itself; before, each needs an interface and a server.
VLAN_RANGES_SINCE: Final = Release(7, 17)
#: And is told whether it takes what has no tag; before, the manual does not say whether it does.
UNTAGGED_SINCE: Final = Release(7, 20)


def rows(intent: Intent, release: Release, walled_garden_list: str) -> Iterator[Wanted]:
    """Raises InvalidInput for PPPoE servers that this release cannot have."""
    for pool in intent.pools:
        values = {"name": pool.name, "ranges": pool.ranges, "next-pool": pool.next or "none"}
        yield Wanted("/ip/pool", f"access/{pool.name}", values)
    for ipv6_pool in intent.ipv6_pools:
        values = {"name": ipv6_pool.name, "prefix": ipv6_pool.prefix, "prefix-length": str(ipv6_pool.prefix_length)}
        yield Wanted("/ipv6/pool", f"access/{ipv6_pool.name}", values)
    if intent.profile is None:
        return
    interfaces = [server.interface for server in intent.pppoe]
    if release >= VLAN_RANGES_SINCE and len(set(interfaces)) != len(interfaces):
        detail = f"RouterOS {release.major}.{release.minor} has one server for an interface: say its VLANs together"
        raise InvalidInput(detail, field="pppoe")
    yield _profile(intent.profile, walled_garden_list)
    for server in intent.pppoe:
        yield from _servers(server, intent.profile.name, release)


def _profile(profile: Profile, walled_garden_list: str) -> Wanted:
    values = {
        "name": profile.name,
        "local-address": profile.local_address,
        "dns-server": ",".join(profile.dns) or None,
        "remote-address": profile.pool,
        "dhcpv6-pd-pool": profile.delegated_ipv6_pool,
        "change-tcp-mss": "yes",
        "use-ipv6": "yes",
        "only-one": "default",
        "rate-limit": None,
        "on-down": leave_list(walled_garden_list),
    }
    return Wanted("/ppp/profile", f"access/{profile.name}", values)


def _servers(server: PppoeServer, profile: str, release: Release) -> Iterator[Wanted]:
    if server.vlans is None:
        yield _server(server, server.interface, profile)
    elif release >= VLAN_RANGES_SINCE:
        of_vlans = {"pppoe-over-vlan-range": server.vlans}
        if release >= UNTAGGED_SINCE:
            of_vlans["accept-untagged"] = "no"
        yield _server(server, server.interface, profile, of_vlans)
    else:
        yield from _server_each(server, vlan_ids(server.vlans), profile, release)


def _server_each(server: PppoeServer, ids: list[int], profile: str, release: Release) -> Iterator[Wanted]:
    if len(ids) > VLANS_MAX:
        detail = f"RouterOS {release.major}.{release.minor} needs an interface for each VLAN: at most {VLANS_MAX}"
        raise InvalidInput(detail, field="pppoe.vlans")
    for vlan_id in ids:
        name = f"{server.interface}.{vlan_id}"
        values = {"name": name, "interface": server.interface, "vlan-id": str(vlan_id), "disabled": "no"}
        yield Wanted("/interface/vlan", f"access/{name}", values)
        yield _server(server, name, profile)


def _server(
    server: PppoeServer, interface: str, profile: str, of_vlans: Mapping[str, str] = MappingProxyType({})
) -> Wanted:
    values = {
        "interface": interface,
        "service-name": server.service_name,
        "default-profile": profile,
        "authentication": ",".join(server.authentication),
        "max-mtu": str(server.mtu),
        "max-mru": str(server.mtu),
        "max-sessions": str(server.max_sessions) if server.max_sessions else "unlimited",
        "one-session-per-host": "yes" if server.one_session_per_host else "no",
        "pado-delay": str(server.pado_delay_ms),
        "pppoe-over-vlan-range": "",
        "accept-untagged": "yes",
        "disabled": "no",
        **of_vlans,
    }
    return Wanted("/interface/pppoe-server/server", f"access/{interface}", values)
