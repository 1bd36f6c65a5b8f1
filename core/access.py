"""What a service may do right now: the most restrictive of its live holds, full access without one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Access(StrEnum):
    """Effective access, from free to shut."""

    FULL = "full"
    THROTTLED = "throttled"
    WALLED_GARDEN = "walled_garden"
    BLOCKED = "blocked"


class HoldReason(StrEnum):
    BILLING = "billing"
    ADMIN = "admin"
    ABUSE = "abuse"
    QUOTA = "quota"
    REQUEST = "request"


class HoldEffect(StrEnum):
    THROTTLE = "throttle"
    WALLED_GARDEN = "walled_garden"
    BLOCK = "block"


#: Ordered by severity: a later effect wins over an earlier one.
_EFFECTS: dict[HoldEffect, Access] = {
    HoldEffect.THROTTLE: Access.THROTTLED,
    HoldEffect.WALLED_GARDEN: Access.WALLED_GARDEN,
    HoldEffect.BLOCK: Access.BLOCKED,
}
_SEVERITY = {access: rank for rank, access in enumerate(Access)}


def effective_access(effects: Iterable[HoldEffect]) -> Access:
    """The most restrictive effect among live holds; lifting one never lifts another's."""
    return max((_EFFECTS[effect] for effect in effects), key=_SEVERITY.__getitem__, default=Access.FULL)
