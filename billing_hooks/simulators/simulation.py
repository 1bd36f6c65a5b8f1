"""What a simulated gateway is made of, and what comes of it, the same for all."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from starlette.applications import Starlette

from billing_hooks.simulators.hooks import HookQueue
from core.clock import Clock


@dataclass(frozen=True, slots=True)
class Options:
    """`secret` and `credentials` are the account's at this node; what is missing of them is made up."""

    secret: str
    credentials: Mapping[str, str]
    clock: Clock
    random: Random
    hook_url: str

    def credential(self, name: str) -> str:
        return self.credentials.get(name) or secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Simulation:
    """`credentials`: what the gateway account here has to have, to be shown to who starts it. `base_path` ends its base
    URL."""

    app: Starlette
    queue: HookQueue
    hook_url: str
    base_path: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict)
