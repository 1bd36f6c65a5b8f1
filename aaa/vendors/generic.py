"""A NAS of which we know no more than the RFCs: standard attributes, and WISPr rates that many understand.

It is not known what such a NAS changes by CoA, so everything but the next login's timers needs a redial.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import Kind, integer_attribute, text_attribute, vendor_attribute
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
from core.policy import Policy

WISPR: Final = 14122
BANDWIDTH_MAX_UP: Final = 7
BANDWIDTH_MAX_DOWN: Final = 8
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "burst"})
_RATE_BPS_MAX: Final = 0xFFFFFFFF


class GenericAdapter:
    def accept_attributes(self, policy: Policy, names: Names) -> bytes:
        parts = [integer_attribute(Kind.SERVICE_TYPE, 2), integer_attribute(Kind.FRAMED_PROTOCOL, 1)]
        for kind, rate_kbps in ((BANDWIDTH_MAX_UP, policy.up_kbps), (BANDWIDTH_MAX_DOWN, policy.down_kbps)):
            if rate_kbps is not None:
                rate_bps = min(rate_kbps * 1000, _RATE_BPS_MAX)
                parts.append(vendor_attribute(WISPR, kind, rate_bps.to_bytes(4, "big")))
        if policy.address_list:
            parts.append(text_attribute(Kind.FILTER_ID, local_name(names, "address_lists", policy.address_list)))
        return b"".join([*parts, address_attributes(policy, names), timer_attributes(policy)])

    def live_change(self, applied: Policy, intended: Policy, names: Names) -> LiveChange | RedialNeeded:  # noqa: ARG002
        changed = changed_fields(applied, intended) - _NEXT_LOGIN
        return RedialNeeded(tuple(sorted(changed))) if changed else LiveChange(b"")

    def session_keys(self, keys: SessionKeys) -> bytes:
        return standard_session_keys(keys)
