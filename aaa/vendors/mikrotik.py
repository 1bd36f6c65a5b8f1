"""MikroTik RouterOS (vendor 14988).

Source: RouterOS manual, RADIUS, as of 2026-05. A CoA can change rate limit, group, Filter-Id and time-outs; "not
possible to change IP address, pool or routes that way - for such changes a user must be disconnected first", and the
address list is not among what it lists as changeable. Interim interval is fixed at login.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.vendors.base import (
    LiveChange,
    Local,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    framed_ppp,
    own_attributes,
    redial_needed,
    removed,
    standard_session_keys,
    timer_attributes,
    vendor_integer,
    vendor_text,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import Policy

VENDOR: Final = 14988
GROUP: Final = 3
RATE_LIMIT: Final = 8
TOTAL_LIMIT: Final = 17
TOTAL_LIMIT_GIGAWORDS: Final = 18
ADDRESS_LIST: Final = 19
DELEGATED_IPV6_POOL: Final = 22
_RATES: Final = frozenset({"down_kbps", "up_kbps", "burst"})
#: What a CoA gives but cannot take away.
_GIVEN: Final = frozenset({"down_kbps", "up_kbps", "profile", "ingress_filter", "egress_filter"})
#: Policy fields whose change a CoA carries.
_LIVE: Final = frozenset({"burst", "session_seconds", "idle_seconds"}) | _GIVEN
#: Fields that concern the next login only: a session need not be disturbed for them.
_NEXT_LOGIN: Final = frozenset({"interim_seconds"})
#: RouterOS takes 0 for no limit at all when a CoA must take a time-out away.
_NO_TIMEOUT: Final = 0


class MikrotikAdapter:
    vendor = Vendor.MIKROTIK
    sources = "RouterOS manual, RADIUS (2026-05)"
    octets = "the manual says both: look at a download in `provedor top`, and set `octets_direction`"
    coa = "`/radius incoming accept=yes`; the port is 3799 or 1700, as the router says"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                vendor_text(VENDOR, RATE_LIMIT, rate_limit(policy)),
                _group(policy, local),
                _filters(policy, local),
                vendor_text(VENDOR, ADDRESS_LIST, _address_list(policy, local)),
                address_attributes(policy, local),
                _delegated_pool(policy, local),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        live = _LIVE - removed(changed, intended, _GIVEN)
        redial = redial_needed(changed, intended, live=live, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        parts = []
        if changed & _RATES:
            parts.append(vendor_text(VENDOR, RATE_LIMIT, rate_limit(intended)))
        if "profile" in changed:
            parts.append(_group(intended, local))
        if changed & {"ingress_filter", "egress_filter"}:
            parts.append(_filters(intended, local))
        if "session_seconds" in changed:
            parts.append(integer_attribute(Kind.SESSION_TIMEOUT, intended.session_seconds or _NO_TIMEOUT))
        if "idle_seconds" in changed:
            parts.append(integer_attribute(Kind.IDLE_TIMEOUT, intended.idle_seconds or _NO_TIMEOUT))
        return LiveChange((b"".join(parts),) if parts else ())

    def session_keys(self, keys: SessionKeys) -> bytes:
        return standard_session_keys(keys)

    def volume_limit(self, octets: int) -> bytes:
        low, high = octets & 0xFFFFFFFF, octets >> 32
        limit = vendor_integer(VENDOR, TOTAL_LIMIT, low)
        return limit + vendor_integer(VENDOR, TOTAL_LIMIT_GIGAWORDS, high) if high else limit


def rate_limit(policy: Policy) -> str:
    """`rx/tx rx-burst/tx-burst rx-threshold/tx-threshold rx-time/tx-time`; rx is what the subscriber uploads."""
    if policy.up_kbps is None or policy.down_kbps is None:
        return ""
    rate = f"{policy.up_kbps}k/{policy.down_kbps}k"
    burst = policy.burst
    if burst is None:
        return rate
    return (
        f"{rate} {burst.up_kbps}k/{burst.down_kbps}k"
        f" {burst.up_threshold_kbps}k/{burst.down_threshold_kbps}k {burst.seconds}/{burst.seconds}"
    )


def _group(policy: Policy, local: Local) -> bytes:
    return vendor_text(VENDOR, GROUP, local.name("profiles", policy.profile) if policy.profile else None)


def _address_list(policy: Policy, local: Local) -> str | None:
    return local.name("address_lists", policy.address_list) if policy.address_list else None


def _filters(policy: Policy, local: Local) -> bytes:
    """Names of firewall chains; the ending says for which direction."""
    named = ((policy.ingress_filter, "in"), (policy.egress_filter, "out"))
    return b"".join(
        text_attribute(Kind.FILTER_ID, f"{local.name('filters', name)}.{way}") for name, way in named if name
    )


def _delegated_pool(policy: Policy, local: Local) -> bytes:
    pool = policy.delegated_ipv6_pool
    return vendor_text(VENDOR, DELEGATED_IPV6_POOL, local.name("pools", pool) if pool else None)
