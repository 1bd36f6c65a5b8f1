"""What to do with one live session: a pure decision from what it has, what is intended, and what its NAS can.

    frozen, emergency, not ours      -> nothing
    in step                          -> nothing
    intended: no access              -> disconnect
    applied policy unknown           -> disconnect (we cannot tell what would have to change)
    nothing to change before the next login -> adopt: the session counts as in step
    the vendor changes it live       -> CoA, or several in order
    else                             -> disconnect: at once for a hold or its lifting, otherwise in the window

A CoA that the NAS refuses becomes a disconnect. A disconnect for restriction is paced; one that gives access back never
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aaa.vendors import LiveChange, Local, VendorAdapter
from core.access import Access
from core.policy import Policy


class Action(StrEnum):
    NONE = "none"
    COA = "coa"
    DISCONNECT = "disconnect"
    ADOPT = "adopt"
    WAIT = "wait"


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
    coa_refused: bool
    window_open: bool


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    reason: str
    #: The attributes of each CoA, in order.
    requests: tuple[bytes, ...] = ()
    #: Counts against the NAS's disconnects per minute.
    paced: bool = False


def decide(situation: Situation, adapter: VendorAdapter, local: Local) -> Decision:
    if not situation.ours:
        return Decision(Action.NONE, "session without our Class: observed only")
    if situation.frozen:
        return Decision(Action.WAIT, "enforcement is frozen")
    if not situation.entitled:
        return Decision(Action.DISCONNECT, "the service is cancelled", paced=True)
    if situation.emergency:
        return Decision(Action.NONE, "the NAS is in emergency mode")
    if situation.effective_fingerprint == situation.intended_fingerprint:
        return Decision(Action.NONE, "in step")
    if situation.intended.access is Access.BLOCKED:
        return Decision(Action.DISCONNECT, "access is blocked", paced=True)
    if situation.applied is None:
        return _redial(situation, "the session's policy is unknown")
    return _change(situation, situation.applied, adapter, local)


def _change(situation: Situation, applied: Policy, adapter: VendorAdapter, local: Local) -> Decision:
    change = adapter.live_change(applied, situation.intended, local)
    if not isinstance(change, LiveChange):
        return _redial(situation, "needs a new login: " + ", ".join(change.fields))
    if not change.requests:
        return Decision(Action.ADOPT, "differs at the next login only")
    if situation.coa_refused:
        return _redial(situation, "the NAS refused the CoA")
    return Decision(Action.COA, "changes live", change.requests)


def _redial(situation: Situation, reason: str) -> Decision:
    """A hold or its lifting goes at once; any other change that costs the subscriber a redial waits for the window."""
    before = situation.applied.access if situation.applied else None
    after = situation.intended.access
    if before is after and not situation.window_open:
        return Decision(Action.WAIT, f"{reason} (waits for the maintenance window)")
    return Decision(Action.DISCONNECT, reason, paced=after is not Access.FULL)
