"""How each vendor's BRAS is told a policy: reply attributes, live changes, session keys. One module a vendor."""

from __future__ import annotations

from aaa.vendors.base import LiveChange, RedialNeeded, SessionKeys, VendorAdapter
from aaa.vendors.generic import GenericAdapter
from aaa.vendors.mikrotik import MikrotikAdapter

_ADAPTERS: dict[str, VendorAdapter] = {"mikrotik": MikrotikAdapter(), "generic": GenericAdapter()}


def adapter(vendor: str) -> VendorAdapter:
    """The adapter of a vendor named in core.models.network.Vendor."""
    return _ADAPTERS[vendor]


__all__ = ["LiveChange", "RedialNeeded", "SessionKeys", "VendorAdapter", "adapter"]
