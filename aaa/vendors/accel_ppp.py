"""accel-ppp (vendor 55999 for its VRF; everything else is the operator's choice or standard).

Source: accel-ppp, radius and shaper modules and accel-ppp.conf(5). Its simple shaper string is DOWN/UP in whole kbit/s,
the reverse of MikroTik's; a suffix of G means something else there and is never written. It looks for a session by all
keys given and takes the first that fits, so the session's id is given alone. A CoA that has Session-Timeout changes
nothing after it (not the VRF), so that has one of its own. Addresses and pools are fixed at login.
The walled garden is its l4-redirect (IPoE, the attribute number is configured there) or a pool that is called so here.
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
    pool_attribute,
    redial_needed,
    removed,
    session_id_key,
    standard_dns,
    timer_attributes,
    vendor_text,
    visible_changes,
)
from aaa.vendors.mikrotik import RATE_LIMIT, rate_limit
from aaa.vendors.mikrotik import VENDOR as MIKROTIK
from core.models.network import Vendor
from core.policy import WALLED_GARDEN_LIST, Policy

VENDOR: Final = 55999
VRF_NAME: Final = 1
_RATES: Final = frozenset({"down_kbps", "up_kbps", "burst"})
_GIVEN: Final = frozenset({"down_kbps", "up_kbps", "session_seconds", "vrf"})
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "idle_seconds", "dns_servers"})


class AccelPppAdapter:
    vendor = Vendor.ACCEL_PPP
    sources = "accel-ppp: shaper, radius (dm_coa), ipoe and accel-ppp.conf(5), 2026-08"
    octets = "input is from the subscriber; Gigawords always"
    coa = "`dae-server=ADDRESS:3799,SECRET`; set `acct-timeout` to 0 or 120, its 3 s end sessions"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                _shaper(policy, local),
                _redirect(policy, local),
                _addresses(policy, local),
                pool_attribute(Kind.STATEFUL_IPV6_ADDRESS_POOL, policy.ipv6_pool, local),
                pool_attribute(Kind.DELEGATED_IPV6_PREFIX_POOL, policy.delegated_ipv6_pool, local),
                _vrf(policy, local),
                standard_dns(policy),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        live = (_RATES | _GIVEN) - removed(changed, intended, _GIVEN)
        if local.option(self.vendor, "l4_redirect"):
            live |= {"address_list"}
        redial = redial_needed(changed, intended, live=live, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        parts = []
        if changed & _RATES:
            parts.append(_shaper(intended, local))
        if "address_list" in changed:
            parts.append(_redirect(intended, local))
        if "vrf" in changed:
            parts.append(_vrf(intended, local))
        requests = [b"".join(parts)] if parts else []
        if "session_seconds" in changed:
            requests.append(integer_attribute(Kind.SESSION_TIMEOUT, intended.session_seconds or 0))
        return LiveChange(tuple(requests))

    def session_keys(self, keys: SessionKeys) -> bytes:
        return session_id_key(keys)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""


def _shaper(policy: Policy, local: Local) -> bytes:
    if policy.up_kbps is None or policy.down_kbps is None:
        return b""
    if local.option(Vendor.ACCEL_PPP, "shaper") == "mikrotik":
        return vendor_text(MIKROTIK, RATE_LIMIT, rate_limit(policy).partition(" ")[0])
    return text_attribute(Kind.FILTER_ID, f"{policy.down_kbps}/{policy.up_kbps}")


def _redirect(policy: Policy, local: Local) -> bytes:
    """1 in the walled garden, 0 out of it; nothing where the box has no such attribute."""
    number = local.option(Vendor.ACCEL_PPP, "l4_redirect")
    return integer_attribute(int(number), policy.address_list == WALLED_GARDEN_LIST) if number else b""


def _addresses(policy: Policy, local: Local) -> bytes:
    garden = local.known_name("pools", WALLED_GARDEN_LIST) if policy.address_list == WALLED_GARDEN_LIST else None
    return text_attribute(Kind.FRAMED_POOL, garden) if garden else address_attributes(policy, local)


def _vrf(policy: Policy, local: Local) -> bytes:
    return vendor_text(VENDOR, VRF_NAME, local.name("vrfs", policy.vrf) if policy.vrf else None)
