"""Hotspots whose users RADIUS knows, and what they reach before they log in. The pages are whoever's they are."""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.routeros.bras.intent import Hotspot
from provisioning.routeros.planning import Wanted


def rows(hotspot: Hotspot) -> Iterator[Wanted]:
    mark = f"hotspot/{hotspot.called}"
    profile = {
        "name": hotspot.called,
        "hotspot-address": hotspot.address,
        "dns-name": hotspot.dns_name,
        "login-by": ",".join(hotspot.login_by),
        "ssl-certificate": hotspot.certificate or "none",
        "use-radius": "yes",
        "radius-accounting": "yes",
        # As the Access-Accept says it (Acct-Interim-Interval).
        "radius-interim-update": "received",
    }
    yield Wanted("/ip/hotspot/profile", mark, profile)
    server = {
        "name": hotspot.called,
        "interface": hotspot.interface,
        "profile": hotspot.called,
        "address-pool": hotspot.pool,
        "addresses-per-mac": str(hotspot.addresses_per_mac),
        "disabled": "no",
    }
    yield Wanted("/ip/hotspot", mark, server)
    for one in hotspot.allowed:
        yield _allowed(hotspot.called, one)


def _allowed(server: str, one: str) -> Wanted:
    """All names of a domain are known by what a browser asks for; the address of one name is looked up."""
    mark = f"hotspot/{server}/{one}"
    if one.startswith("*."):
        values = {"server": server, "dst-host": one, "action": "allow", "disabled": "no"}
        return Wanted("/ip/hotspot/walled-garden", mark, values)
    to = "dst-host" if one[-1].isalpha() and ":" not in one else "dst-address"
    values = {"server": server, to: one, "action": "accept", "disabled": "no"}
    return Wanted("/ip/hotspot/walled-garden/ip", mark, values)
