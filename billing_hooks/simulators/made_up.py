"""An account at a simulated gateway, made up: what the simulator is started with and the account here has to have."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing_hooks.gateways import ADAPTERS
from billing_hooks.simulators.pix import self_signed

#: As a bank's random keys look.
PIX_KEY: Final = "71cdf9ba-c695-4e3c-b010-abb521a3f1be"


@dataclass(frozen=True, slots=True)
class MadeUp:
    """As `/gateway-accounts` takes them; the simulator's URL is still to be added to the settings."""

    secret: str
    credentials: Mapping[str, str]
    settings: Mapping[str, str]

    def options(self) -> list[str]:
        """Of `provedor simulate gateway NAME`."""
        pairs = {**self.credentials, **self.settings}
        given = [option for name, value in pairs.items() for option in ("--credential", f"{name}={value}")]
        return ["--secret", self.secret, *given]


def make_up(gateway: str, now: datetime) -> MadeUp:
    """Each in the form that the gateway has."""
    certificate = self_signed(now) if gateway == "pix" else {}
    names = ADAPTERS[gateway].credentials
    return MadeUp(
        _secret(gateway), {name: certificate.get(name) or secrets.token_hex(16) for name in names},
        {"pix_key": PIX_KEY} if gateway == "pix" else {},
    )  # fmt: skip


def _secret(gateway: str) -> str:
    if gateway == "stripe":
        return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    return secrets.token_hex(20)
