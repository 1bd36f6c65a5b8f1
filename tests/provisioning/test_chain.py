"""What is done with one live session: the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aaa.vendors import Local, adapter
from core.access import Access
from core.policy import Policy
from provisioning.chain import Action, Situation, decide
from provisioning.routeros.live_sessions import RouterChange
from provisioning.routeros.queues import limits

FULL = Policy(Access.FULL, 200_000, 50_000, address_pool="a")
SLOW = Policy(Access.THROTTLED, 1024, 1024, address_pool="a")
GARDEN = Policy(Access.WALLED_GARDEN, 1024, 1024, address_pool="a", address_list="walled-garden")
BLOCKED = Policy(Access.BLOCKED)
MOVED = replace(FULL, address_pool="b")
COA_FAILED = frozenset({Action.COA})
DEAF = frozenset({Action.COA, Action.DISCONNECT})


def situation(applied: Policy | None, intended: Policy, **more: object) -> Situation:
    values: dict[str, object] = {
        "ours": True, "frozen": False, "emergency": False, "entitled": True, "router": False,
        "failed": frozenset(), "window_open": False,
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
        (situation(FULL, SLOW, failed=COA_FAILED), Action.DISCONNECT, True),
        (situation(SLOW, FULL, failed=COA_FAILED), Action.DISCONNECT, False),  # a return is never paced
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
        # with a router's API
        (situation(FULL, SLOW, router=True), Action.COA, False),
        (situation(FULL, SLOW, router=True, failed=COA_FAILED), Action.ROUTER, False),
        (situation(FULL, GARDEN, router=True), Action.ROUTER, False),
        (situation(GARDEN, FULL, router=True), Action.ROUTER, False),
        (situation(FULL, GARDEN, router=True, failed=frozenset({Action.ROUTER})), Action.DISCONNECT, True),
        (situation(FULL, GARDEN, router=True, failed=DEAF | {Action.ROUTER}), Action.END, True),
        (situation(GARDEN, FULL, router=True, failed=DEAF | {Action.ROUTER}), Action.END, False),
        (situation(FULL, GARDEN, router=True, failed=DEAF | {Action.ROUTER, Action.END}), Action.DISCONNECT, True),
        (situation(FULL, MOVED, router=True), Action.WAIT, False),
        (situation(FULL, replace(GARDEN, address_pool="b"), router=True), Action.DISCONNECT, True),
        (situation(FULL, BLOCKED, router=True), Action.DISCONNECT, True),
        (situation(FULL, BLOCKED, router=True, failed=DEAF), Action.END, True),
        (situation(FULL, FULL, entitled=False, router=True, failed=DEAF), Action.END, True),
        (situation(None, FULL, router=True), Action.DISCONNECT, False),
    ],
)
def test_the_table(given: Situation, action: Action, paced: bool) -> None:
    decision = decide(given, adapter("mikrotik"), Local())
    assert (decision.action, decision.paced) == (action, paced)
    assert decision.reason


def test_what_the_router_is_to_do() -> None:
    local = Local({"address_lists": {"walled-garden": "DEVEDORES"}}, {})
    gold = replace(FULL, address_list="gold")

    def change(applied: Policy, intended: Policy, **more: object) -> RouterChange | None:
        return decide(situation(applied, intended, router=True, **more), adapter("mikrotik"), local).change

    slow = limits(SLOW)
    assert slow["max-limit"] == "1024k/1024k"
    assert change(gold, GARDEN) == RouterChange("gold", "DEVEDORES", slow)
    assert change(GARDEN, gold) == RouterChange("DEVEDORES", "gold", limits(FULL))
    assert change(FULL, SLOW, failed=COA_FAILED) == RouterChange(None, None, slow)
    assert change(replace(GARDEN, down_kbps=200_000, up_kbps=50_000), FULL) == RouterChange("DEVEDORES", None, None)
