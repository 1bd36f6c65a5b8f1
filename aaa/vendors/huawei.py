"""Huawei BRAS: NetEngine, ME60 and their kin (vendor 2011).

Source: Huawei's attribute descriptions for NetEngine 8000 (HW-… 1 to 251). Rates are bit/s in 32 bits; an average rate
needs its peak rate beside it, and both go into every CoA, because a device keeps a greater peak that it was not told
to lower. A QoS profile that the device does not have sends the subscriber offline there, so names must be right.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.vendors.base import (
    NO_LIST,
    LiveChange,
    Local,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    framed_ppp,
    key,
    own_attributes,
    pool_attribute,
    rate_bps,
    redial_needed,
    removed,
    standard_session_keys,
    timer_attributes,
    vendor_dns,
    vendor_integer,
    vendor_text,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import WALLED_GARDEN_LIST, Policy

VENDOR: Final = 2011
INPUT_AVERAGE_RATE: Final = 2
INPUT_PEAK_RATE: Final = 3
OUTPUT_AVERAGE_RATE: Final = 5
OUTPUT_PEAK_RATE: Final = 6
QOS_PROFILE_NAME: Final = 31
VPN_INSTANCE: Final = 94
PRIMARY_DNS: Final = 135
SECONDARY_DNS: Final = 136
HTTP_REDIRECT_URL: Final = 140
DNS_SERVER_IPV6: Final = 154
DELEGATED_IPV6_POOL: Final = 191
_LIMITS: Final = frozenset({"down_kbps", "up_kbps", "burst", "profile", "profile_limits"})
_GROUP: Final = frozenset({"address_list", "ingress_filter"})
_LIVE: Final = _LIMITS | _GROUP | {"session_seconds"}
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "idle_seconds", "dns_servers"})


class HuaweiAdapter:
    vendor = Vendor.HUAWEI
    sources = "Huawei, RADIUS attributes of NetEngine 8000 V800R023"
    octets = "input is from the subscriber; the unit can be set on the device and must be byte"
    coa = "`radius-server authorization` with our address; port 3799"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                _limits(policy, local),
                _user_group(policy, local),
                _redirect(policy, local),
                address_attributes(policy, local),
                pool_attribute(Kind.FRAMED_IPV6_POOL, policy.ipv6_pool, local),
                _pool(policy, local),
                vendor_text(VENDOR, VPN_INSTANCE, local.name("vrfs", policy.vrf) if policy.vrf else None),
                vendor_dns(policy, VENDOR, (PRIMARY_DNS, SECONDARY_DNS), (DNS_SERVER_IPV6,)),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        live = _LIVE - removed(changed, intended, frozenset({"session_seconds", "down_kbps", "up_kbps"}))
        if not _user_group(intended, local):
            live -= _GROUP  # nothing would take the group away
        redial = redial_needed(changed, intended, live=live, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        parts = []
        if changed & _LIMITS:
            parts.append(_limits(intended, local))
        if changed & _GROUP:
            parts += [_user_group(intended, local), _redirect(intended, local)]
        if "session_seconds" in changed:
            parts.append(integer_attribute(Kind.SESSION_TIMEOUT, intended.session_seconds or 0))
        return LiveChange((b"".join(parts),) if parts else ())

    def session_keys(self, keys: SessionKeys) -> bytes:
        """Which of them are mandatory differs by release; all of them is what every release takes."""
        return standard_session_keys(keys) + key(Kind.NAS_PORT_ID, keys.nas_port_id)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""


def _limits(policy: Policy, local: Local) -> bytes:
    """The QoS profile that carries the rates, else average and peak of both directions; a burst is the peak."""
    if policy.profile and policy.profile_limits:
        return vendor_text(VENDOR, QOS_PROFILE_NAME, local.name("profiles", policy.profile))
    if policy.up_kbps is None or policy.down_kbps is None:
        return b""
    peak_up = policy.burst.up_kbps if policy.burst else policy.up_kbps
    peak_down = policy.burst.down_kbps if policy.burst else policy.down_kbps
    rates = (
        (INPUT_AVERAGE_RATE, policy.up_kbps),
        (INPUT_PEAK_RATE, peak_up),
        (OUTPUT_AVERAGE_RATE, policy.down_kbps),
        (OUTPUT_PEAK_RATE, peak_down),
    )
    return b"".join(vendor_integer(VENDOR, kind, rate_bps(rate)) for kind, rate in rates)


def _user_group(policy: Policy, local: Local) -> bytes:
    """Filter-Id names one user group or ACL: the list's, else the filter's, else that of whoever is in none."""
    if policy.address_list:
        return text_attribute(Kind.FILTER_ID, local.name("address_lists", policy.address_list))
    if policy.ingress_filter:
        return text_attribute(Kind.FILTER_ID, local.name("filters", policy.ingress_filter))
    group = local.known_name("address_lists", NO_LIST)
    return text_attribute(Kind.FILTER_ID, group) if group else b""


def _redirect(policy: Policy, local: Local) -> bytes:
    url = local.known_name("urls", WALLED_GARDEN_LIST) if policy.address_list == WALLED_GARDEN_LIST else None
    return vendor_text(VENDOR, HTTP_REDIRECT_URL, url)


def _pool(policy: Policy, local: Local) -> bytes:
    pool = policy.delegated_ipv6_pool
    return vendor_text(VENDOR, DELEGATED_IPV6_POOL, local.name("pools", pool) if pool else None)
