"""A NAS of which we know no more than the RFCs: standard attributes, and WISPr rates that many understand.

It is not known what such a NAS changes by CoA, so everything but the next login's timers needs a redial.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, text_attribute
from aaa.vendors.base import (
    LiveChange,
    Local,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    framed_ppp,
    own_attributes,
    pool_attribute,
    rate_bps,
    redial_needed,
    standard_dns,
    standard_session_keys,
    timer_attributes,
    vendor_integer,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import Policy

WISPR: Final = 14122
BANDWIDTH_MAX_UP: Final = 7
BANDWIDTH_MAX_DOWN: Final = 8
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "session_seconds", "idle_seconds", "dns_servers"})


class GenericAdapter:
    vendor = Vendor.GENERIC
    sources = "RFC 2865, 2869, 3162, 4818, 5176, 6911; WISPr"
    octets = "input is from the subscriber (RFC 2866 5.3)"
    coa = "Disconnect only: what its CoA changes is not known"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        rates = ((BANDWIDTH_MAX_UP, policy.up_kbps), (BANDWIDTH_MAX_DOWN, policy.down_kbps))
        names = (
            ("address_lists", policy.address_list),
            ("filters", policy.ingress_filter),
            ("filters", policy.egress_filter),
        )
        return b"".join(
            [
                framed_ppp(),
                *(vendor_integer(WISPR, kind, rate_bps(rate)) for kind, rate in rates if rate is not None),
                *(text_attribute(Kind.FILTER_ID, local.name(family, name)) for family, name in names if name),
                address_attributes(policy, local),
                pool_attribute(Kind.FRAMED_IPV6_POOL, policy.ipv6_pool, local),
                pool_attribute(Kind.DELEGATED_IPV6_PREFIX_POOL, policy.delegated_ipv6_pool, local),
                standard_dns(policy),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        redial = redial_needed(changed, intended, live=frozenset(), next_login=_NEXT_LOGIN)
        return redial or LiveChange(())

    def session_keys(self, keys: SessionKeys) -> bytes:
        return standard_session_keys(keys)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""
