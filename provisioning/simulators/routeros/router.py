"""The router that connections talk to: its version, who may log in, and its menus by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provisioning.simulators.routeros.menus import Menu


class Version(StrEnum):
    """One for each way in which the API itself behaves; 6.42 is the last with the login by challenge."""

    V6_42 = "6.42"
    V6_49 = "6.49"
    V7_12 = "7.12"
    V7_18 = "7.18"

    @property
    def logs_in_by_challenge(self) -> bool:
        """6.43 brought the plain login, and its routers keep no password that a challenge could be answered with."""
        return self is Version.V6_42

    @property
    def says_empty(self) -> bool:
        """`!empty` before `!done` where there is nothing to return."""
        return self is Version.V7_18


@dataclass(frozen=True)
class Router:
    menus: Mapping[str, Menu]
    version: Version = Version.V7_18
    users: Mapping[str, str] = field(default_factory=lambda: {"admin": ""}, repr=False)
