"""What a provider says of a BRAS. Every part may be left out, and what is left out is not managed."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from provisioning.saying import RadiusServer

#: Where each VLAN needs an interface and a server of its own, a box has no room for more.
VLANS_MAX: Final = 1000

Authentication = Literal["pap", "chap", "mschap1", "mschap2"]
Service = Literal["api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl"]


class RadSec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RADIUS over TLS. `certificate`: at the box, by its name there; whom it trusts are its own authorities."""

    certificate: str
    port: int = 2083


class Radius(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first server is asked first. `source`: the address that the NAS entry has, where the box has several."""

    servers: tuple[RadiusServer, ...]
    source: str | None = None
    timeout_ms: int = 3000
    interim_seconds: int = 300
    radsec: RadSec | None = None


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


class DhcpServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """IPoE: on an interface, or on a VLAN of it. `gateway`: the box's address in this network.

    `radius`: it names the addresses ("leases"), or is only told of them. `pool`: where it names none, or is not asked;
    without a pool nobody gets an address whom RADIUS does not know.
    """

    interface: str
    network: str
    gateway: str
    vlan: int | None = None
    name: str | None = None
    dns: tuple[str, ...] = ()
    pool: str | None = None
    radius: Literal["leases", "accounting", "no"] = "leases"
    lease_seconds: int = 3600
    add_arp: bool = True
    delay_threshold_seconds: int | None = None
    insert_queue_before: Literal["first", "bottom"] | None = None
    delegated_ipv6_pool: str | None = None

    @property
    def place(self) -> str:
        return self.interface if self.vlan is None else f"{self.interface}.{self.vlan}"

    @property
    def called(self) -> str:
        return self.name or f"ipoe-{self.place}"


LoginBy = Literal["cookie", "http-chap", "http-pap", "https", "mac", "mac-cookie"]


class Hotspot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`address`: the box's on this interface. `allowed`: what is reached before the login: addresses, networks, host
    names, and all names of a domain ("*.example.com")."""

    interface: str
    address: str
    pool: str
    name: str | None = None
    dns_name: str = ""
    login_by: tuple[LoginBy, ...] = ("cookie", "http-chap")
    certificate: str | None = None
    addresses_per_mac: int = 2
    allowed: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        return self.name or f"hotspot-{self.interface}"


class QueueType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate`, `classifier`: of pcq, a queue for each address. `diffserv`, `nat`: of cake."""

    name: str
    kind: Literal["cake", "fq-codel", "pcq"]
    rate: str = "0"
    classifier: Literal["src-address", "dst-address"] | None = None
    diffserv: Literal["besteffort", "diffserv3", "diffserv4", "diffserv8", "precedence"] = "diffserv3"
    nat: bool = False


class QueueTree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`parent`: "global", an interface, or a tree above. `queue`: a type of these, or one that every router has."""

    name: str
    parent: str
    queue: str = "default-small"
    packet_marks: tuple[str, ...] = ()
    max_limit: str = "0"
    limit_at: str = "0"
    priority: int = 8


class Queues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    types: tuple[QueueType, ...] = ()
    trees: tuple[QueueTree, ...] = ()


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


class ApiUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The NAS entry's user at the box: with no more rights than Provedor needs, and only from these networks."""

    networks: tuple[str, ...]


class Management(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`networks`: from where the box may be managed, by `services` and no others; ours is to be among them.

    `back_doors`: "closed" are what lets in, or tells of the box, by MAC address and without a service: the MAC server,
    discovery, the bandwidth test.
    """

    networks: tuple[str, ...]
    services: tuple[Service, ...] = ("api-ssl", "ssh", "winbox")
    ntp: tuple[str, ...] = ()
    syslog: Syslog | None = None
    snmp: Snmp | None = None
    user: ApiUser | None = None
    back_doors: Literal["closed"] | None = None


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
    #: An empty list is said, too: what was ours there goes.
    dhcp: tuple[DhcpServer, ...] | None = None
    hotspots: tuple[Hotspot, ...] | None = None
    queues: Queues | None = None
    walled_garden: WalledGarden | None = None
    #: Names of rules of the connection log, whose NAT this box does.
    cgnat: tuple[str, ...] = ()
    management: Management | None = None
    probe: Probe | None = None
