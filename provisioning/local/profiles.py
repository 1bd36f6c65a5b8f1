"""From a policy to the PPP profile that gives it. Services whose policies differ by their addresses only share one.

A profile's rate limit becomes a dynamic queue at the login, and nobody can change that one. So a service with an
address of its own has none: its rate is a simple queue of ours, which changes while it is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from aaa.vendors import Local
from aaa.vendors.mikrotik import rate_limit
from core.access import Access
from core.policy import Policy
from provisioning.routeros.bras.intent import Profile
from provisioning.routeros.live_sessions import leave_list
from provisioning.routeros.planning import Wanted

#: Marks of profiles: of none of them it is said with one service that it is not needed any more.
FAMILY: Final = "localprofile"
MENU: Final = "/ppp/profile"


@dataclass(frozen=True, slots=True)
class Base:
    """What of every profile its box says. `garden_list`: its name there."""

    profile: Profile
    local: Local
    garden_list: str


def profile_of(policy: Policy, base: Base) -> Wanted:
    """Of a policy that has access."""
    shared = _shared(policy)
    values = {
        "local-address": base.profile.local_address,
        "remote-address": _pool(shared.address_pool, base) or base.profile.pool,
        "dns-server": ",".join(shared.dns_servers or base.profile.dns) or None,
        "rate-limit": None if policy.ipv4_address else rate_limit(policy) or None,
        "address-list": _name(base, "address_lists", shared.address_list) or "",
        "incoming-filter": _name(base, "filters", shared.ingress_filter),
        "outgoing-filter": _name(base, "filters", shared.egress_filter),
        "session-timeout": _seconds(shared.session_seconds),
        "idle-timeout": _seconds(shared.idle_seconds),
        "change-tcp-mss": "yes",
        "only-one": "default",
        "on-down": leave_list(base.garden_list),
        **_ipv6(shared, base),
    }
    name = _called(policy, values)
    return Wanted(MENU, f"{FAMILY}/{name}", {"name": name, **values})


def has_dynamic_ipv6(policy: Policy, base: Base) -> bool:
    """It is given addresses that only its session knows."""
    return bool(policy.ipv6_pool or policy.delegated_ipv6_pool or base.profile.delegated_ipv6_pool)


def _shared(policy: Policy) -> Policy:
    return replace(policy, ipv4_address=None, ipv4_routes=(), ipv6_prefix=None, delegated_ipv6_prefix=None)


def _ipv6(policy: Policy, base: Base) -> dict[str, str | None]:
    """None in the walled garden: its address list holds the IPv4 address alone."""
    if policy.access is Access.WALLED_GARDEN:
        return {"use-ipv6": "no", "remote-ipv6-prefix-pool": None, "dhcpv6-pd-pool": None}
    return {
        "use-ipv6": "yes",
        "remote-ipv6-prefix-pool": _pool(policy.ipv6_pool, base),
        "dhcpv6-pd-pool": _pool(policy.delegated_ipv6_pool, base) or base.profile.delegated_ipv6_pool,
    }


def _called(policy: Policy, values: dict[str, str | None]) -> str:
    """For people, and the same for the same values only."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:6]
    rate = f"{_rate(policy.down_kbps)}-{_rate(policy.up_kbps)}"
    garden = "-garden" if policy.access is Access.WALLED_GARDEN else ""
    return f"provedor-{rate}{garden}-{digest}"


def _rate(kbps: int | None) -> str:
    if kbps is None:
        return "any"
    return f"{kbps // 1000}m" if kbps % 1000 == 0 else f"{kbps}k"


def _name(base: Base, family: str, name: str | None) -> str | None:
    return base.local.name(family, name) if name else None


def _pool(name: str | None, base: Base) -> str | None:
    return _name(base, "pools", name)


def _seconds(seconds: int | None) -> str | None:
    return f"{seconds}s" if seconds else None
