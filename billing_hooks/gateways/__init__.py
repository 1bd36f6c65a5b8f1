"""One module a gateway, each behind `GatewayAdapter`: authenticate what came, and read what it says."""

from __future__ import annotations

from billing_hooks.gateways.base import GatewayAdapter
from billing_hooks.gateways.standard import StandardWebhooks

ADAPTERS: dict[str, GatewayAdapter] = {"standard": StandardWebhooks()}

__all__ = ["ADAPTERS", "GatewayAdapter"]
