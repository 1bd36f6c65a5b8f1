"""One module a gateway, each behind `GatewayAdapter`: authenticate what came, read what it says, and ask its API."""

from __future__ import annotations

from billing_hooks.gateways.asaas import Asaas
from billing_hooks.gateways.base import GatewayAdapter
from billing_hooks.gateways.efi import Efi
from billing_hooks.gateways.iugu import Iugu
from billing_hooks.gateways.mercado_pago import MercadoPago
from billing_hooks.gateways.pix import Pix
from billing_hooks.gateways.standard import StandardWebhooks
from billing_hooks.gateways.stripe import Stripe

ADAPTERS: dict[str, GatewayAdapter] = {
    "asaas": Asaas(),
    "efi": Efi(),
    "iugu": Iugu(),
    "mercadopago": MercadoPago(),
    "pix": Pix(),
    "standard": StandardWebhooks(),
    "stripe": Stripe(),
}

__all__ = ["ADAPTERS", "GatewayAdapter"]
