"""What to do with one live session: a pure decision from what it has, what is intended, and what its NAS can.

    frozen, emergency, not ours      -> nothing
    in step                          -> nothing
    intended: no access              -> disconnect
    applied policy unknown           -> disconnect (we cannot tell what would have to change)
    nothing to change before the next login -> adopt: the session counts as in step
    the vendor changes it live       -> CoA, or several in order
    the router's API changes it live -> that
    else                             -> disconnect: at once for a hold or its lifting, otherwise in the window

What fails makes way for the next: a CoA for the router's API, that for a disconnect, a disconnect for the session's end
over the API. A disconnect for restriction is paced; one that gives access back never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aaa.vendors import LiveChange, Local, VendorAdapter
from aaa.vendors.base import visible_changes
from core.access import Access
from core.policy import Policy
from provisioning.routeros.live_sessions import RouterChange
from provisioning.routeros.queues import limits


class Action(StrEnum):
    NONE = "none"
    COA = "coa"
    #: By the API of its router.
    ROUTER = "router"
    DISCONNECT = "disconnect"
    #: By that API, too.
    END = "end"
    ADOPT = "adopt"
    WAIT = "wait"


#: Ways that go by the NAS's dynamic authorization port.
BY_RADIUS: Final = frozenset({Action.COA, Action.DISCONNECT})
#: What a router's API changes on a session that is up.
_BY_ROUTER: Final = frozenset({"address_list", "burst", "down_kbps", "up_kbps"})
_RATES: Final = _BY_ROUTER - {"address_list"}


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision depends on. A fingerprint or policy of None is unknown."""

    ours: bool
    frozen: bool
    emergency: bool
    #: The service still exists; a cancelled one may have no session.
    entitled: bool
    effective_fingerprint: str | None
    applied: Policy | None
    intended_fingerprint: str
    intended: Policy
    #: Its router's API may be used.
    router: bool
    #: Ways that were tried just now, and did not do.
    failed: frozenset[Action]
    window_open: bool


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    reason: str
    #: The attributes of each CoA, in order.
    requests: tuple[bytes, ...] = ()
    #: What the router is to do.
    change: RouterChange | None = None
    #: Counts against the NAS's disconnects per minute.
    paced: bool = False


def decide(situation: Situation, adapter: VendorAdapter, local: Local) -> Decision:
    if not situation.ours:
        return Decision(Action.NONE, "session without our Class: observed only")
    if situation.frozen:
        return Decision(Action.WAIT, "enforcement is frozen")
    if not situation.entitled:
        return _end(situation, "the service is cancelled", paced=True)
    if situation.emergency:
        return Decision(Action.NONE, "the NAS is in emergency mode")
    if situation.effective_fingerprint == situation.intended_fingerprint:
        return Decision(Action.NONE, "in step")
    if situation.intended.access is Access.BLOCKED:
        return _end(situation, "access is blocked", paced=True)
    if situation.applied is None:
        return _redial(situation, "the session's policy is unknown")
    return _change(situation, situation.applied, adapter, local)


def _change(situation: Situation, applied: Policy, adapter: VendorAdapter, local: Local) -> Decision:
    change = adapter.live_change(applied, situation.intended, local)
    if isinstance(change, LiveChange) and not change.requests:
        return Decision(Action.ADOPT, "differs at the next login only")
    if isinstance(change, LiveChange) and Action.COA not in situation.failed:
        return Decision(Action.COA, "changes live", change.requests)
    by_router = _router_change(situation, applied, adapter, local)
    if by_router is not None:
        return Decision(Action.ROUTER, "changes live at its router", change=by_router)
    if isinstance(change, LiveChange):
        return _redial(situation, "the NAS does not do the CoA")
    return _redial(situation, "needs a new login: " + ", ".join(change.fields))


def _router_change(
    situation: Situation, applied: Policy, adapter: VendorAdapter, local: Local
) -> RouterChange | None:  # fmt: skip
    """None where that is no way, or not one for all that differs."""
    intended = situation.intended
    changed = visible_changes(adapter, applied, intended, local)
    if not situation.router or Action.ROUTER in situation.failed or changed - _BY_ROUTER:
        return None
    lists = (applied.address_list, intended.address_list) if "address_list" in changed else (None, None)
    leave, enter = (local.name("address_lists", name) if name else None for name in lists)
    return RouterChange(leave, enter, limits(intended) if changed & _RATES else None)


def _redial(situation: Situation, reason: str) -> Decision:
    """A hold or its lifting goes at once; any other change that costs the subscriber a redial waits for the window."""
    before = situation.applied.access if situation.applied else None
    after = situation.intended.access
    if before is after and not situation.window_open:
        return Decision(Action.WAIT, f"{reason} (waits for the maintenance window)")
    return _end(situation, reason, paced=after is not Access.FULL)


def _end(situation: Situation, reason: str, *, paced: bool) -> Decision:
    over_api = situation.router and Action.DISCONNECT in situation.failed and Action.END not in situation.failed
    return Decision(Action.END if over_api else Action.DISCONNECT, reason, paced=paced)
