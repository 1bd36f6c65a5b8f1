"""MikroTik RouterOS (vendor 14988).

Source: RouterOS manual, RADIUS, as of 2026-05. A CoA can change the rate limit and the session timeout; "not possible
to change IP address, pool or routes that way - for such changes a user must be disconnected first", and the address
list is not among what it lists as changeable. Interim interval is fixed at login.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, integer_attribute, vendor_attribute
from aaa.vendors.base import (
    LiveChange,
    Names,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    changed_fields,
    local_name,
    standard_session_keys,
    timer_attributes,
)
from core.access import Access
from core.policy import Policy

VENDOR: Final = 14988
RATE_LIMIT: Final = 8
ADDRESS_LIST: Final = 19
#: Policy fields whose change a CoA carries. `access` is only the word for the others' change.
_LIVE: Final = frozenset({"access", "down_kbps", "up_kbps", "burst", "session_seconds"})
#: Fields that concern the next login only: a session need not be disturbed for them.
_NEXT_LOGIN: Final = frozenset({"interim_seconds"})
#: RouterOS takes 0 for no limit at all when a CoA must take a Session-Timeout away.
_NO_TIMEOUT: Final = 0


class MikrotikAdapter:
    def accept_attributes(self, policy: Policy, names: Names) -> bytes:
        parts = [integer_attribute(Kind.SERVICE_TYPE, 2), integer_attribute(Kind.FRAMED_PROTOCOL, 1)]
        rate = rate_limit(policy)
        if rate:
            parts.append(vendor_attribute(VENDOR, RATE_LIMIT, rate.encode()))
        if policy.address_list:
            name = local_name(names, "address_lists", policy.address_list)
            parts.append(vendor_attribute(VENDOR, ADDRESS_LIST, name.encode()))
        return b"".join([*parts, address_attributes(policy, names), timer_attributes(policy)])

    def live_change(self, applied: Policy, intended: Policy, names: Names) -> LiveChange | RedialNeeded:  # noqa: ARG002
        changed = changed_fields(applied, intended)
        fixed = changed - _LIVE - _NEXT_LOGIN
        if fixed or intended.access is Access.BLOCKED:
            return RedialNeeded(tuple(sorted(fixed or {"access"})))
        parts = []
        rate = rate_limit(intended)
        if rate:
            parts.append(vendor_attribute(VENDOR, RATE_LIMIT, rate.encode()))
        if "session_seconds" in changed:
            parts.append(integer_attribute(Kind.SESSION_TIMEOUT, intended.session_seconds or _NO_TIMEOUT))
        return LiveChange(b"".join(parts))

    def session_keys(self, keys: SessionKeys) -> bytes:
        return standard_session_keys(keys)


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
