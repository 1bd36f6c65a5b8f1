"""What a router is, as an intent would say it: for a person to look at, to complete, and to give to `provision intent`.

What an intent cannot say as it is there is left out and told. RADIUS servers have no key by which a row could be known
again: an intent's are put before those that are there, which stay until somebody removes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import InvalidInput
from provisioning.adopt.effect import Effects
from provisioning.adopt.found import (
    AAA,
    IPV6_POOLS,
    NTP,
    POOLS,
    PPPOE,
    PROFILES,
    RADIUS,
    SERVICES,
    SNMP,
    Found,
    words_of,
)
from provisioning.routeros.bras.checking import intent_of
from provisioning.routeros.client import Row
from provisioning.routeros.values import parse_duration

_NO_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  (what 6.x prints where there is none)
#: What a profile of every session has, if nothing is to change by it.
_OF_EVERY_SESSION: Final = {
    "change-tcp-mss": "yes", "use-ipv6": "yes", "only-one": "default", "rate-limit": "", "on-down": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProposedIntent:
    """`told`: what of the router is not in it."""

    body: Mapping[str, Any]
    told: tuple[str, ...]


def propose_intent(found: Found) -> ProposedIntent:
    """With nothing in it that could not be."""
    told: list[str] = []
    body: dict[str, Any] = {}
    effects = Effects(found)
    for part, say in _PARTS:
        said = say(found, effects, told)
        if not said:
            continue
        try:
            intent_of({**body, part: said})
        except InvalidInput as error:
            told.append(f"{part}: {error.field}: {error.detail}" if error.field else f"{part}: {error.detail}")
        else:
            body[part] = said
    return ProposedIntent(body, tuple(told))


def _pools(found: Found, _: Effects, told: list[str]) -> list[dict[str, Any]]:
    rows = [row for row in found.of(POOLS) if _can_be("pools", row, told)]
    names = {row["name"] for row in rows}
    return [
        {"name": row["name"], "ranges": row.get("ranges", ""),
         **({"next": row["next-pool"]} if row.get("next-pool", "none") in names else {})}
        for row in rows
    ]  # fmt: skip


def _can_be(part: str, row: Row, told: list[str]) -> bool:
    """By itself; a pool that has a next one is looked at without."""
    try:
        intent_of({part: [{"name": row.get("name", ""), "ranges": row.get("ranges", "")}]})
    except InvalidInput as error:
        told.append(f"pool {words_of(row.get('name', ''))}: {error.detail}")
        return False
    return True


def _ipv6_pools(found: Found, _: Effects, told: list[str]) -> list[dict[str, Any]]:
    pools = []
    for row in found.of(IPV6_POOLS):
        length = row.get("prefix-length", "")
        name, prefix = row.get("name", ""), row.get("prefix", "")
        pool = {"name": name, "prefix": prefix, "prefix_length": _number(length) or 0}
        try:
            intent_of({"ipv6_pools": [pool]})
        except InvalidInput as error:
            told.append(f"IPv6 pool {words_of(name)}: {error.detail}")
        else:
            pools.append(pool)
    return pools


def _profile(found: Found, effects: Effects, told: list[str]) -> dict[str, Any] | None:
    """The one that the PPPoE servers' sessions begin with, where nothing changes by that; else one of its own."""
    used = Counter(row.get("default-profile", "default") for row in _pppoe_rows(found))
    by_secret = Counter(row.get("profile", "default") for row in found.of("/ppp/secret"))
    name = next((one for one, _ in (used or by_secret).most_common(1)), "default")
    local = effects.said(name, "local-address")
    if local in _NO_ADDRESS:
        local = next((one for one, _ in _local_addresses(found, effects).most_common(1)), "")
    if local in _NO_ADDRESS:
        told.append("profile: no local-address is known")
        return None
    pool, delegated = effects.said(name, "remote-address"), effects.said(name, "dhcpv6-pd-pool")
    said: dict[str, Any] = {
        "local_address": local, "dns": [one for one in effects.said(name, "dns-server").split(",") if one],
        "pool": pool if effects.is_pool(pool) else None, "delegated_ipv6_pool": delegated or None,
    }  # fmt: skip
    fits = name not in {"default", "default-encryption"} and len(used) <= 1 and _begins_all(effects.profile(name))
    if fits:
        return {"name": name, **said}
    told.append(f"the profile is called provedor: {words_of(name)} says what no profile of every session does")
    return said


def _begins_all(profile: Row) -> bool:
    return all((profile.get(name, plain) or plain) == plain for name, plain in _OF_EVERY_SESSION.items())


def _local_addresses(found: Found, effects: Effects) -> Counter[str]:
    names = (row.get("name", "") for row in found.of(PROFILES))
    return Counter(one for name in names if (one := effects.said(name, "local-address")) not in _NO_ADDRESS)


def _pppoe_rows(found: Found) -> Iterator[Row]:
    return (row for row in found.of(PPPOE) if row.get("disabled") != "true")


def _pppoe(found: Found, _: Effects, told: list[str]) -> list[dict[str, Any]]:
    servers = []
    for row in _pppoe_rows(found):
        mtu = _number(row.get("max-mtu", ""))
        if mtu is None:
            told.append(f"the PPPoE server on {words_of(row.get('interface', ''))} gets an MTU of 1480 instead of auto")
        sessions = _number(row.get("max-sessions", ""))
        servers.append(
            {"interface": row.get("interface", ""), "service_name": words_of(row.get("service-name", "")),
             "mtu": mtu or 1480, "authentication": row.get("authentication", "").split(","),
             "max_sessions": sessions, "one_session_per_host": row.get("one-session-per-host") == "true",
             "pado_delay_ms": _number(row.get("pado-delay", "")) or 0,
             "vlans": row.get("pppoe-over-vlan-range") or None}
        )  # fmt: skip
    return servers


def _radius(found: Found, _: Effects, told: list[str]) -> dict[str, Any] | None:
    rows = [
        row for row in found.of(RADIUS)
        if row.get("disabled") != "true" and "ppp" in row.get("service", "").split(",")
    ]  # fmt: skip
    if not rows or found.single(AAA).get("use-radius") != "true":
        return None
    told.append("radius: the secret is the NAS entry's; the router's own rows stay behind those of the intent")
    interim = parse_duration(found.single(AAA).get("interim-update", ""))
    timeout = parse_duration(rows[0].get("timeout", ""))
    source = rows[0].get("src-address", "")
    return {
        "servers": [
            {"address": row.get("address", ""), "authentication_port": _number(row["authentication-port"]) or 1812,
             "accounting_port": _number(row["accounting-port"]) or 1813}
            for row in rows
        ],
        "source": None if source in _NO_ADDRESS else source,
        "timeout_ms": int(timeout.total_seconds() * 1000) if timeout else 3000,
        "interim_seconds": max(60, int(interim.total_seconds())) if interim else 300,
    }  # fmt: skip


def _management(found: Found, _: Effects, told: list[str]) -> dict[str, Any] | None:
    """Only where the router says itself from where it may be managed, for all of its services alike."""
    on = [row for row in found.of(SERVICES) if row.get("disabled") != "true"]
    networks = {row.get("address", "") for row in on}
    if len(networks) != 1 or networks <= {""}:
        told.append("management: from where the box may be managed, it does not say, or not for all services alike")
        return None
    ntp = found.single(NTP)
    servers = [*ntp.get("servers", "").split(","), ntp.get("primary-ntp", ""), ntp.get("secondary-ntp", "")]
    if found.single(SNMP).get("enabled") == "true":
        told.append("management.snmp: its community is the NAS entry's: set `snmp` there, then say its networks here")
    return {
        "networks": networks.pop().split(","), "services": [row.get("name", "") for row in on],
        "ntp": [one for one in servers if one not in _NO_ADDRESS] if ntp.get("enabled") == "true" else [],
    }  # fmt: skip


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_Part = Callable[[Found, Effects, list[str]], "list[dict[str, Any]] | dict[str, Any] | None"]
#: In this order: a profile names pools, and a server needs a profile.
_PARTS: Final[tuple[tuple[str, _Part], ...]] = (
    ("pools", _pools), ("ipv6_pools", _ipv6_pools), ("profile", _profile), ("pppoe", _pppoe), ("radius", _radius),
    ("management", _management),
)  # fmt: skip
