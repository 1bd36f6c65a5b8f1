"""Nokia 7750 SR and its kin, enhanced subscriber management (vendor 6527).

Source: SR OS RADIUS attributes reference guide. Rates are overrides, in kbit/s, of what the SLA profile configures:
ingress is the subscriber's upload. An override of -2 gives back what the profile has, and so does a filter of -2. A
static address and a pool together make the host fail. CoA and Disconnect find a session by Acct-Session-Id (number
format); keys that do not agree are refused with 503. Attributes that it does not support it ignores in silence.
"""

from __future__ import annotations

from typing import Final

from aaa.vendors.base import (
    LiveChange,
    Local,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    framed_ppp,
    own_attributes,
    redial_needed,
    session_id_key,
    timer_attributes,
    vendor_dns,
    vendor_integer,
    vendor_text,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import Policy

VENDOR: Final = 6527
PRIMARY_DNS, SECONDARY_DNS = 9, 10
SUBSCRIBER_PROFILE: Final = 12
SLA_PROFILE: Final = 13
RETAIL_SERVICE_ID: Final = 17
IPV6_PRIMARY_DNS, IPV6_SECONDARY_DNS = 105, 106
QOS_OVERRIDE: Final = 126
DELEGATED_IPV6_POOL: Final = 131
SUBSCRIBER_FILTER: Final = 134
SLAAC_IPV6_POOL: Final = 181
_AS_PROFILED: Final = -2
_RATES: Final = frozenset({"down_kbps", "up_kbps", "profile_limits"})
_FILTERS: Final = frozenset({"address_list", "ingress_filter", "egress_filter"})
_LIVE: Final = _RATES | _FILTERS | {"profile"}
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "session_seconds", "idle_seconds", "dns_servers"})


class NokiaAdapter:
    vendor = Vendor.NOKIA
    sources = "Nokia 7750 SR, RADIUS attributes reference guide (14.0 to 23.3)"
    octets = "input is from the subscriber, in 64-bit attributes of its own"
    coa = "`accept-authorization-change`; accounting session ids in number format; port 3799"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                vendor_text(VENDOR, SUBSCRIBER_PROFILE, local.option(self.vendor, "subscriber_profile")),
                vendor_text(VENDOR, SLA_PROFILE, _sla_profile(policy, local)),
                _overrides(policy, local),
                _filter(policy, local),
                address_attributes(policy, local),
                vendor_text(VENDOR, SLAAC_IPV6_POOL, _pool(policy.ipv6_pool, local)),
                vendor_text(VENDOR, DELEGATED_IPV6_POOL, _pool(policy.delegated_ipv6_pool, local)),
                _retail_service(policy, local),
                vendor_dns(policy, VENDOR, (PRIMARY_DNS, SECONDARY_DNS), (IPV6_PRIMARY_DNS, IPV6_SECONDARY_DNS)),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        live = _LIVE
        if _sla_profile(applied, local) and not _sla_profile(intended, local):
            live -= {"profile", "address_list"}  # nothing would give back the SLA profile of whoever is told none
        redial = redial_needed(changed, intended, live=live, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        parts = []
        if _sla_profile(applied, local) != _sla_profile(intended, local):
            parts.append(vendor_text(VENDOR, SLA_PROFILE, _sla_profile(intended, local)))
        if changed & _RATES:
            parts.append(_overrides(intended, local) or _no_overrides(local))
        parts.append(_filter_change(applied, intended, local))
        octets = b"".join(parts)
        return LiveChange((octets,) if octets else ())

    def session_keys(self, keys: SessionKeys) -> bytes:
        return session_id_key(keys)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""


def _sla_profile(policy: Policy, local: Local) -> str | None:
    """The plan's, unless its list is here an SLA profile of its own."""
    if policy.address_list and not _list_filter(policy, local):
        return local.name("address_lists", policy.address_list)
    return local.name("profiles", policy.profile) if policy.profile else None


def _overrides(policy: Policy, local: Local) -> bytes:
    if policy.profile_limits or policy.up_kbps is None or policy.down_kbps is None:
        return b""
    return _override("i", "ingress", policy.up_kbps, local) + _override("e", "egress", policy.down_kbps, local)


def _no_overrides(local: Local) -> bytes:
    return _override("i", "ingress", _AS_PROFILED, local) + _override("e", "egress", _AS_PROFILED, local)


def _override(way: str, option: str, rate_kbps: int, local: Local) -> bytes:
    target = local.option(Vendor.NOKIA, option)
    parameter = "pir" if target[0] in "qp" else "rate"
    return vendor_text(VENDOR, QOS_OVERRIDE, f"{way}:{target}:{parameter}={rate_kbps}")


def _filter(policy: Policy, local: Local) -> bytes:
    return vendor_text(
        VENDOR, SUBSCRIBER_FILTER, ",".join(f"{way}:{number}" for way, number in _filters(policy, local))
    )


def _filters(policy: Policy, local: Local) -> list[tuple[str, str]]:
    """Filters by their numbers: the list's for both protocols, else those of the plan for IPv4."""
    number = _list_filter(policy, local)
    if number:
        return [("Ingr-v4", number), ("Ingr-v6", number)]
    named = (("Ingr-v4", policy.ingress_filter), ("Egr-v4", policy.egress_filter))
    numbers = [(way, local.name("filters", name)) for way, name in named if name]
    return [(way, number) for way, number in numbers if number.isdecimal()]  # a host with any other is not set up


def _filter_change(applied: Policy, intended: Policy, local: Local) -> bytes:
    """What was applied and is not intended any more gives way to the SLA profile's."""
    before, after = dict(_filters(applied, local)), dict(_filters(intended, local))
    if before == after:
        return b""
    numbers = dict.fromkeys(before, str(_AS_PROFILED)) | after
    return vendor_text(VENDOR, SUBSCRIBER_FILTER, ",".join(f"{way}:{number}" for way, number in numbers.items()))


def _list_filter(policy: Policy, local: Local) -> str | None:
    name = local.name("address_lists", policy.address_list) if policy.address_list else ""
    return name if name.isdecimal() else None


def _pool(pool: str | None, local: Local) -> str | None:
    return local.name("pools", pool) if pool else None


def _retail_service(policy: Policy, local: Local) -> bytes:
    """A VRF is a VPRN here, known by its service number."""
    number = local.name("vrfs", policy.vrf) if policy.vrf else ""
    return vendor_integer(VENDOR, RETAIL_SERVICE_ID, int(number)) if number.isdecimal() else b""
