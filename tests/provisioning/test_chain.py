"""What is done with one live session: the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aaa.vendors import Local, adapter
from core.access import Access
from core.policy import Policy
from provisioning.chain import Action, Situation, decide

FULL = Policy(Access.FULL, 200_000, 50_000, address_pool="a")
SLOW = Policy(Access.THROTTLED, 1024, 1024, address_pool="a")
GARDEN = Policy(Access.WALLED_GARDEN, 1024, 1024, address_pool="a", address_list="walled-garden")
BLOCKED = Policy(Access.BLOCKED)
MOVED = replace(FULL, address_pool="b")


def situation(applied: Policy | None, intended: Policy, **more: object) -> Situation:
    values: dict[str, object] = {
        "ours": True, "frozen": False, "emergency": False, "entitled": True, "coa_refused": False, "window_open": False,
        "effective_fingerprint": applied.fingerprint if applied else "unknown", "applied": applied,
        "intended_fingerprint": intended.fingerprint, "intended": intended,
    }  # fmt: skip
    return Situation(**values | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "action", "paced"),
    [
        (situation(FULL, FULL), Action.NONE, False),
        (situation(FULL, SLOW), Action.COA, False),
        (situation(SLOW, FULL), Action.COA, False),
        (situation(FULL, SLOW, coa_refused=True), Action.DISCONNECT, True),
        (situation(SLOW, FULL, coa_refused=True), Action.DISCONNECT, False),  # a return is never paced
        (situation(FULL, GARDEN), Action.DISCONNECT, True),
        (situation(GARDEN, FULL), Action.DISCONNECT, False),
        (situation(FULL, BLOCKED), Action.DISCONNECT, True),
        (situation(FULL, MOVED), Action.WAIT, False),
        (situation(FULL, MOVED, window_open=True), Action.DISCONNECT, False),
        (situation(FULL, replace(FULL, interim_seconds=600)), Action.ADOPT, False),
        (situation(None, FULL), Action.DISCONNECT, False),
        (situation(FULL, SLOW, ours=False), Action.NONE, False),
        (situation(FULL, SLOW, frozen=True), Action.WAIT, False),
        (situation(FULL, SLOW, emergency=True), Action.NONE, False),
        (situation(FULL, FULL, entitled=False), Action.DISCONNECT, True),
    ],
)
def test_the_table(given: Situation, action: Action, paced: bool) -> None:
    decision = decide(given, adapter("mikrotik"), Local())
    assert (decision.action, decision.paced) == (action, paced)
    assert decision.reason
