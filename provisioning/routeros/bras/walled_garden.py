"""What a debtor reaches: the portal, DNS, and what else is allowed. RADIUS puts his address on the list.

His HTTP is sent to the portal, which tells him how to pay; HTTPS cannot be sent elsewhere without an alarm in his
browser, so it is refused at once, as everything else over TCP. Other servers' DNS is answered by ours. All of it stands
before the rules of others, or fasttrack would carry his connections past it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from provisioning.routeros.bras.intent import WalledGarden
from provisioning.routeros.planning import Place, Wanted

_V4, _V6 = "/ip/firewall", "/ipv6/firewall"


def rows(garden: WalledGarden, debtors: str) -> Iterator[Wanted]:
    """`debtors`: the list's name at this box."""
    allowed = f"{debtors}-allowed"
    reached = list(dict.fromkeys([garden.portal, *garden.dns, *garden.allowed]))
    yield from _list(_V4, allowed, (one for one in reached if not _is_v6(one)))
    yield from _list(_V6, allowed, (one for one in reached if _is_v6(one)))
    yield from _filter(_V4, debtors, allowed)
    yield from _filter(_V6, debtors, allowed)
    yield from _redirects(garden, debtors, allowed)


def _is_v6(text: str) -> bool:
    """A host name's addresses are looked up for IPv4."""
    try:
        return ip_network(text).version == 6
    except ValueError:
        return False


def _list(menu: str, name: str, addresses: Iterable[str]) -> Iterator[Wanted]:
    for address in addresses:
        values = {"list": name, "address": address, "disabled": "no"}
        yield Wanted(f"{menu}/address-list", f"garden/{address}", values)


def _filter(menu: str, debtors: str, allowed: str) -> Iterator[Wanted]:
    beyond = {"dst-address-list": f"!{allowed}"}
    from_debtors = {"chain": "forward", "src-address-list": debtors, "disabled": "no"}
    to_debtors = {"chain": "forward", "dst-address-list": debtors, "disabled": "no"}
    reset = {"action": "reject", "reject-with": "tcp-reset", "protocol": "tcp"}
    yield Wanted(f"{menu}/filter", "garden/tcp", {**from_debtors, **beyond, **reset}, Place.FIRST)
    yield Wanted(f"{menu}/filter", "garden/rest", {**from_debtors, **beyond, "action": "drop"}, Place.FIRST)
    inbound = {**to_debtors, "src-address-list": f"!{allowed}", "action": "drop"}
    yield Wanted(f"{menu}/filter", "garden/inbound", inbound, Place.FIRST)


def _redirects(garden: WalledGarden, debtors: str, allowed: str) -> Iterator[Wanted]:
    match = {"chain": "dstnat", "src-address-list": debtors, "dst-address-list": f"!{allowed}", "action": "dst-nat",
             "disabled": "no"}  # fmt: skip
    resolver = next((one for one in garden.dns if not _is_v6(one)), None)
    for protocol in ("udp", "tcp") if resolver else ():
        values = {**match, "protocol": protocol, "dst-port": "53", "to-addresses": resolver}
        yield Wanted(f"{_V4}/nat", f"garden/dns-{protocol}", values, Place.FIRST)
    portal = {"protocol": "tcp", "dst-port": "80", "to-addresses": garden.portal, "to-ports": str(garden.portal_port)}
    yield Wanted(f"{_V4}/nat", "garden/portal", {**match, **portal}, Place.FIRST)
