"""DHCP servers that ask RADIUS: IPoE on interfaces and VLANs, and the prefixes of the same lines.

RouterOS sends the client's MAC address as User-Name with an empty password, the server's name as Called-Station-Id, and
what the access node wrote into Option 82 besides (docs/radius.md, "IPoE at a MikroTik").
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from provisioning.routeros.bras.intent import DhcpServer, Intent
from provisioning.routeros.planning import Setting, Wanted
from provisioning.routeros.schema import Release

#: A DHCPv6 server has a pool for prefixes apart from that for addresses; before, it has the one.
PREFIX_POOL_SINCE: Final = Release(7, 17)
_RADIUS: Final = {"leases": "yes", "accounting": "accounting", "no": "no"}


def rows(intent: Intent, release: Release) -> Iterator[Wanted | Setting]:
    for server in intent.dhcp or ():
        yield from _server(server)
        if server.delegated_ipv6_pool is not None:
            yield _ipv6_server(server, server.delegated_ipv6_pool, release)
    if intent.dhcp and intent.radius is not None:
        interim = f"{intent.radius.interim_seconds}s"
        yield Setting("/ip/dhcp-server/config", {"accounting": "yes", "interim-update": interim})


def _server(server: DhcpServer) -> Iterator[Wanted]:
    mark, network = f"ipoe/{server.called}", ip_network(server.network)
    if server.vlan is not None:
        vlan = {"name": server.place, "interface": server.interface, "vlan-id": str(server.vlan), "disabled": "no"}
        yield Wanted("/interface/vlan", mark, vlan)
    address = {"address": f"{server.gateway}/{network.prefixlen}", "interface": server.place, "disabled": "no"}
    yield Wanted("/ip/address", mark, address)
    of_network = {
        "address": str(network), "gateway": server.gateway, "netmask": str(network.prefixlen),
        "dns-server": ",".join(server.dns),
    }  # fmt: skip
    yield Wanted("/ip/dhcp-server/network", mark, of_network)
    threshold = server.delay_threshold_seconds
    values = {
        "name": server.called,
        "interface": server.place,
        "address-pool": server.pool or "static-only",
        "use-radius": _RADIUS[server.radius],
        "authoritative": "yes",
        "lease-time": f"{server.lease_seconds}s",
        "add-arp": "yes" if server.add_arp else "no",
        "delay-threshold": None if threshold is None else f"{threshold}s",
        "insert-queue-before": server.insert_queue_before,
        "disabled": "no",
    }
    yield Wanted("/ip/dhcp-server", mark, values)


def _ipv6_server(server: DhcpServer, pool: str, release: Release) -> Wanted:
    pools = {"address-pool": pool}
    if release >= PREFIX_POOL_SINCE:
        pools = {"address-pool": "static-only", "prefix-pool": pool}
    values = {
        "name": server.called,
        "interface": server.place,
        **pools,
        "lease-time": f"{server.lease_seconds}s",
        "use-radius": "no" if server.radius == "no" else "yes",
        "disabled": "no",
    }
    return Wanted("/ipv6/dhcp-server", f"ipoe/{server.called}", values)
