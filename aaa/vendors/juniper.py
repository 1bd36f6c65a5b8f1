"""Juniper MX and, with the same vendor number, ERX (vendor 4874).

Source: Junos OS, RADIUS standard attributes and VSAs for subscriber management; dynamic service activation. What a plan
does is a service: a dynamic profile with parameters in parentheses, activated with a tag of its own and deactivated by
its name. Both may stand in one CoA. A Disconnect must carry Acct-Session-Id, and every key given must match.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, vendor_attribute
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
    timer_attributes,
    vendor_dns,
    vendor_text,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import Policy

VENDOR: Final = 4874
VIRTUAL_ROUTER: Final = 1
PRIMARY_DNS, SECONDARY_DNS = 4, 5
INGRESS_POLICY: Final = 10
EGRESS_POLICY: Final = 11
IPV6_PRIMARY_DNS, IPV6_SECONDARY_DNS = 47, 48
SERVICE_ACTIVATE: Final = 65
SERVICE_DEACTIVATE: Final = 66
DELEGATED_IPV6_POOL: Final = 161
_SERVICES: Final = frozenset({"down_kbps", "up_kbps", "profile", "profile_limits", "address_list"})
_FILTERS: Final = frozenset({"ingress_filter", "egress_filter"})
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "session_seconds", "idle_seconds", "dns_servers"})


class JuniperAdapter:
    vendor = Vendor.JUNIPER
    sources = "Junos OS, RADIUS attributes and VSAs for subscriber management; dynamic service activation"
    octets = "input is from the subscriber; services count for themselves"
    coa = "one port, 3799, for all servers of the access profile; Acct-Session-Id is the key"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                _activate(services(policy, local)),
                _filters(policy, local),
                address_attributes(policy, local),
                pool_attribute(Kind.FRAMED_IPV6_POOL, policy.ipv6_pool, local),
                vendor_text(VENDOR, DELEGATED_IPV6_POOL, _pool(policy, local)),
                vendor_text(VENDOR, VIRTUAL_ROUTER, local.name("vrfs", policy.vrf) if policy.vrf else None),
                vendor_dns(policy, VENDOR, (PRIMARY_DNS, SECONDARY_DNS), (IPV6_PRIMARY_DNS, IPV6_SECONDARY_DNS)),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        live = (_SERVICES | _FILTERS) - removed(changed, intended, _FILTERS)
        redial = redial_needed(changed, intended, live=live, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        before, after = services(applied, local), services(intended, local)
        parts = [
            *(vendor_text(VENDOR, SERVICE_DEACTIVATE, _name(service)) for service in before if service not in after),
            _activate([service for service in after if service not in before]),
        ]
        if changed & _FILTERS:
            parts.append(_filters(intended, local))
        octets = b"".join(parts)
        return LiveChange((octets,) if octets else ())

    def session_keys(self, keys: SessionKeys) -> bytes:
        return session_id_key(keys)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""


def services(policy: Policy, local: Local) -> list[str]:
    """What is active for the subscriber: the plan's rates, and what its list is called here."""
    active = []
    if policy.profile and policy.profile_limits:
        active.append(local.name("profiles", policy.profile))
    elif policy.down_kbps is not None and policy.up_kbps is not None:
        name = local.option(Vendor.JUNIPER, "rate_service")
        active.append(f"{name}({policy.down_kbps}k,{policy.up_kbps}k)")
    if policy.address_list:
        active.append(local.name("address_lists", policy.address_list))
    return active


def _activate(active: list[str]) -> bytes:
    """Each with a tag of its own, from 1 on (RFC 2868 3.1)."""
    return b"".join(
        vendor_attribute(VENDOR, SERVICE_ACTIVATE, bytes((tag,)) + service.encode())
        for tag, service in enumerate(active, start=1)
    )


def _name(service: str) -> str:
    return service.partition("(")[0]


def _filters(policy: Policy, local: Local) -> bytes:
    named = ((INGRESS_POLICY, policy.ingress_filter), (EGRESS_POLICY, policy.egress_filter))
    return b"".join(vendor_text(VENDOR, kind, local.name("filters", name)) for kind, name in named if name)


def _pool(policy: Policy, local: Local) -> str | None:
    return local.name("pools", policy.delegated_ipv6_pool) if policy.delegated_ipv6_pool else None
