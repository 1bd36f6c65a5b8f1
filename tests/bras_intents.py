"""Intents with every part, and what else a BRAS's rows are made from."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from aaa.connection_log.models import NatOrder
from aaa.connection_log.nat import DeterministicNat
from provisioning.routeros.bras import SnmpAgent, Surroundings
from provisioning.routeros.schema import Release

EVERYTHING: Mapping[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}], "source": "192.0.2.1"},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254", "next": "more"},
              {"name": "more", "ranges": "100.65.0.0/22"}],
    "ipv6_pools": [{"name": "delegated", "prefix": "2001:db8::/32", "prefix_length": 56}],
    "profile": {"local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "homes",
                "delegated_ipv6_pool": "delegated"},
    "pppoe": [{"interface": "ether2", "service_name": "isp"}, {"interface": "ether3", "vlans": "100-102,200"}],
    "dhcp": [{"interface": "ether4", "network": "100.66.0.0/22", "gateway": "100.66.0.1", "dns": ["192.0.2.53"],
              "delegated_ipv6_pool": "delegated"},
             {"interface": "ether4", "vlan": 300, "network": "100.66.4.0/24", "gateway": "100.66.4.1", "pool": "homes",
              "radius": "accounting", "delay_threshold_seconds": 2, "insert_queue_before": "bottom"}],
    "hotspots": [{"interface": "ether5", "address": "10.5.50.1", "pool": "more", "dns_name": "login.example.com",
                  "allowed": ["192.0.2.80", "198.51.100.0/24", "pix.example.com", "*.bank.example.com"]}],
    "queues": {"types": [{"name": "homes-down", "kind": "pcq", "rate": "50M", "classifier": "dst-address"}],
               "trees": [{"name": "down", "parent": "global", "max_limit": "1G"},
                         {"name": "homes", "parent": "down", "queue": "homes-down", "packet_marks": ["homes"]}]},
    "walled_garden": {"portal": "192.0.2.80", "portal_port": 8080, "dns": ["192.0.2.53", "2001:db8::53"],
                      "allowed": ["198.51.100.0/24", "pix.example.com"]},
    "cgnat": ["cgnat-1"],
    "management": {"networks": ["192.0.2.0/24"], "ntp": ["192.0.2.123"], "syslog": {"server": "192.0.2.44"},
                   "snmp": {"networks": ["192.0.2.0/24"], "contact": "noc"},
                   "user": {"networks": ["192.0.2.0/28"]}, "back_doors": "closed"},
    "probe": {"ping": ["198.51.100.1"], "source": "192.0.2.1"},
}  # fmt: skip
NAT = DeterministicNat(IPv4Address("100.64.0.0"), IPv4Address("100.64.0.40"), IPv4Address("203.0.113.0"),
                       IPv4Address("203.0.113.1"), 2000, 1024, 65535, NatOrder.PORTS_FIRST)  # fmt: skip


#: What releases before 7.0 do not have.
MODERN: Mapping[str, Any] = {
    "radius": {**EVERYTHING["radius"], "radsec": {"certificate": "radsec-client"}},
    "queues": {"types": [*EVERYTHING["queues"]["types"], {"name": "fair", "kind": "fq-codel"},
                         {"name": "uplink", "kind": "cake", "diffserv": "besteffort", "nat": True}],
               "trees": EVERYTHING["queues"]["trees"]},
}  # fmt: skip
COMMUNITY = SnmpAgent("c0mmunity")
V3_USER = SnmpAgent("noc-user", "sha1", "auth-passphrase", "aes128", "priv-passphrase")


def around(release: Release, snmp: SnmpAgent | None = COMMUNITY) -> Surroundings:
    return Surroundings(release, "s3cret", 3799, "walled-garden", {"cgnat-1": NAT}, snmp, "provedor")
