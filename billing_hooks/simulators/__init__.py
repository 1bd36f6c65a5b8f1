"""Gateways to try things with: each serves its API and sends its webhooks as its documents have it.

Each refuses what the real one refuses.

`hooks` is how a webhook is tried, repeated, put off and given up (pure); `serving` runs a gateway's app and its sender;
one module a gateway has its API, its objects and what it tells. Beside the gateway's own paths each has `/_simulate`,
by which a person or a test pays, takes back, and orders faults. `made_up` is an account for who needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from billing_hooks.simulators import asaas, efi, iugu, mercado_pago, pix, standard, stripe
from billing_hooks.simulators.simulation import Options, Simulation

SIMULATORS: Mapping[str, Callable[[Options], Simulation]] = {
    "asaas": asaas.simulation,
    "efi": efi.simulation,
    "iugu": iugu.simulation,
    "mercadopago": mercado_pago.simulation,
    "pix": pix.simulation,
    "standard": standard.simulation,
    "stripe": stripe.simulation,
}

__all__ = ["SIMULATORS", "Options", "Simulation"]
