"""Changes of a simulated router over real sockets: whatever breaks, it is either changed or as it was, and we know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from routeros_boxes import Box, Clock, box, do, rows, session

from provisioning.outcome import Doubt
from provisioning.routeros.bras import Surroundings, desired_of, intent_of
from provisioning.routeros.change import ChangeRun, Outcome, Result, UndoBy
from provisioning.routeros.change.run import SETTLE_TRIES
from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Desired, make_plan
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import MENUS
from provisioning.simulators.routeros import Fault, FaultKind, Version, When

SMALL = {"walled_garden": {"portal": "192.0.2.80"}}
BIG: dict[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "homes"},
    "pppoe": [{"interface": "ether2"}],
    **SMALL,
}
#: Of ours that stays nothing behind, whatever became of a change.
TRACES = ("/system/script", "/system/scheduler")
NAME = "provedor-undo-7"
VERSIONS = [Version.V6_49, Version.V7_12, Version.V7_18]


@dataclass
class Journal:
    applied_steps: int = 0
    by: UndoBy | None = None
    cancel_at: int = 0

    def armed(self, by: UndoBy) -> None:
        self.by = by

    def applied(self, steps: int) -> None:
        self.applied_steps = steps
        if steps == self.cancel_at:
            raise Doubt("cancelled by ana")


@dataclass
class World:
    """A router, what is wanted of it, and what it was."""

    box: Box
    clock: Clock
    desired: Desired
    journal: Journal = field(default_factory=Journal)
    #: Called when the run waits for the router.
    while_waiting: Callable[[], None] = lambda: None

    def client(self) -> RouterOs:
        return RouterOs(self.box.access(), timeout_s=2.0)

    def change(self) -> ChangeRun:
        client = self.client()
        release = release_of(client)
        menus = self.desired.menus | {one.menu for one in self.desired.settings}
        before = read_rows(client, menus, release)
        client.close()
        plan = make_plan(self.desired, before, release, {})
        return ChangeRun(self.client, NAME, self.desired, before, plan, release, {}, self.journal, self.wait)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.while_waiting()

    def state(self) -> Any:
        """Of everything that can be configured."""
        return {menu: [{k: v for k, v in row.items() if k != ".id" and not MENUS[menu].fields.get(k, _ANY).read_only}
                       for row in rows(self.box.router, menu)] for menu in MENUS if menu not in TRACES}  # fmt: skip

    def traces(self) -> list[str]:
        return [row["name"] for menu in TRACES for row in rows(self.box.router, menu)]


_ANY = MENUS["/radius"].fields["comment"]


@contextmanager
def world(version: Version, body: dict[str, Any] = BIG, sessions: int = 0, **given: Any) -> Iterator[World]:
    clock = Clock()
    online = [session(number, f"user{number}") for number in range(1, sessions + 1)]
    with box(*online, version=version, clock=clock, **given) as one:
        client = RouterOs(one.access())
        release = release_of(client)
        client.close()
        yield World(one, clock, desired_of(intent_of(body), Surroundings(release, "s3cret", 3799, "walled-garden")))


def accepts(world: World) -> bool:
    """Whether it lets us in: it was never locked."""
    client = world.client()
    try:
        return bool(release_of(client))
    finally:
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_is_applied_seen_and_leaves_nothing_behind(version: Version) -> None:
    with world(version, sessions=5) as one:
        change = one.change()
        assert change.run() == Result(Outcome.DONE, "")
        assert one.journal.applied_steps == len(change.plan.steps)
        assert one.traces() == []
        again = one.change().plan
        assert [step.menu for step in again.steps if "comment" in MENUS[step.menu].known_to(change.release)] == []


@pytest.mark.parametrize(
    ("version", "body", "by"),
    [(Version.V6_49, SMALL, UndoBy.SCHEDULER), (Version.V7_12, SMALL, UndoBy.SCHEDULER),
     (Version.V7_18, SMALL, UndoBy.SAFE_MODE), (Version.V7_18, BIG, UndoBy.SCHEDULER)],
)  # fmt: skip
def test_safe_mode_undoes_small_changes_where_there_is_one_and_a_scheduler_the_others(
    version: Version, body: dict[str, Any], by: UndoBy
) -> None:
    with world(version, body) as one:
        assert one.change().run().outcome is Outcome.DONE
        assert one.journal.by is by


KINDS = {
    "cut before": Fault(FaultKind.CUT, when=When.BEFORE),
    "cut in the answer": Fault(FaultKind.CUT, when=When.AFTER, octets=3),
    "cut after it": Fault(FaultKind.CUT, when=When.ANSWERED),
    "reboot": Fault(FaultKind.REBOOT, when=When.BEFORE, seconds=60),
    "reboot after it": Fault(FaultKind.REBOOT, when=When.AFTER, seconds=60),
    "refused": Fault(FaultKind.REFUSE, message="failure: so ordered"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("version", "body"), [(Version.V7_12, BIG), (Version.V7_18, SMALL), (Version.V6_49, SMALL)])
def test_whatever_breaks_at_whatever_command_it_is_changed_or_as_it_was(
    version: Version, body: dict[str, Any], kind: str
) -> None:
    """The fault meets each command of the change in turn, until the change ends before it."""
    outcomes = []
    for at in range(1, 200):
        with world(version, body, sessions=3) as one:
            before, change = one.state(), one.change()
            fault = KINDS[kind]
            one.box.router.faults.order(Fault(**{**_said(fault), "at": at}))
            result = change.run()
            met = one.box.router.faults.rows()[0]["done"] == "1"
            one.box.router.faults.clear()
            one.clock.now += 3600  # nothing is still to come
            assert accepts(one)
            after = one.state()
            assert one.traces() == [], (at, result)
            if result.outcome is Outcome.DONE:
                assert state_of_plan(one, change) == "changed", (at, result)
            else:
                assert result.outcome in {Outcome.UNDONE, Outcome.REFUSED}, (at, result)
                assert after == before, (at, result)
            outcomes.append(result.outcome)
            if not met:
                break  # it was over before the fault could meet it
    assert Outcome.DONE in outcomes
    assert {Outcome.UNDONE, Outcome.REFUSED} & set(outcomes)


def _said(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in fault.__slots__}


def state_of_plan(one: World, change: ChangeRun) -> str:
    client = one.client()
    try:
        left = make_plan(
            change.desired, read_rows(client, change.before, change.release), change.release, change._owned_after()
        )
        return "not changed" if left.steps else "changed"
    finally:
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_that_locks_us_out_is_undone_by_the_router(version: Version) -> None:
    """The new rule keeps our addresses out: no second connection comes about, and we cannot undo."""
    body = {"management": {"networks": ["198.51.100.0/24"], "services": ["api", "ssh"]}}
    with world(version, body, firewall=True, seen_as="192.0.2.5") as one:
        before, change = one.state(), one.change()
        result = change.run()
        assert result.outcome is Outcome.UNDONE
        assert one.state() == before
        assert accepts(one)


def test_a_change_that_loses_sessions_is_undone() -> None:
    with world(Version.V7_12, SMALL, sessions=50) as one:
        before, change = one.state(), one.change()
        one.journal.applied = lambda _: one.box.online.sessions.clear()  # type: ignore[method-assign]
        result = change.run()
        assert (result.outcome, result.detail) == (Outcome.UNDONE, "50 of 50 sessions are gone")
        assert one.state() == before


def test_a_change_that_is_cancelled_undoes_what_it_did() -> None:
    for version in VERSIONS:
        with world(version, SMALL) as one:
            before = one.state()
            one.journal.cancel_at = 3
            assert one.change().run() == Result(Outcome.UNDONE, "cancelled by ana")
            assert one.state() == before
            assert one.traces() == []


def test_a_router_that_was_changed_since_is_not_touched() -> None:
    with world(Version.V7_18, SMALL) as one:
        change = one.change()
        do(one.box.router, "/ip/firewall/filter/add", chain="forward", action="drop")
        before = one.state()
        result = change.run()
        assert result.outcome is Outcome.REFUSED
        assert "plan again" in result.detail
        assert one.state() == before


def test_what_somebody_else_changes_meanwhile_does_not_hide_that_it_was_undone() -> None:
    with world(Version.V7_12, SMALL) as one:

        def meanwhile(steps: int) -> None:
            if steps == 2:
                do(one.box.router, "/ip/firewall/filter/add", chain="input", action="accept", comment="his")
                raise Doubt("cancelled by ana")

        one.journal.applied = meanwhile  # type: ignore[method-assign]
        assert one.change().run() == Result(Outcome.UNDONE, "cancelled by ana")
        assert [row["comment"] for row in rows(one.box.router, "/ip/firewall/filter")] == ["his"]
        assert one.traces() == []


def test_a_router_that_may_not_schedule_is_not_touched() -> None:
    with world(Version.V7_18, BIG, device_mode="home") as one:
        before = one.state()
        result = one.change().run()
        assert result.outcome is Outcome.REFUSED
        assert "device-mode" in result.detail
        assert one.state() == before
        assert one.traces() == []


def test_a_router_that_stays_away_is_unknown_and_settled_later() -> None:
    with world(Version.V7_12, SMALL) as one:
        before, change = one.state(), one.change()
        away_s = SETTLE_TRIES * 60
        one.box.router.faults.order(Fault(FaultKind.REBOOT, "/ip/firewall/nat/add", seconds=away_s))
        assert change.run().outcome is Outcome.UNKNOWN
        one.clock.now += away_s
        assert change.take_over().outcome is Outcome.UNDONE
        assert one.state() == before
        assert one.traces() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_whoever_takes_over_from_a_dead_process_undoes_it(version: Version) -> None:
    """At every step: the process dies, which the router hears as a connection that ends."""
    steps = 0
    while True:
        steps += 1
        with world(version, SMALL) as one:
            before, change = one.state(), one.change()
            if steps > len(change.plan.steps):
                return
            one.journal.applied = lambda done, at=steps: _die(done == at)  # type: ignore[method-assign]
            with pytest.raises(_Died):
                change.run()
            assert change.take_over().outcome is Outcome.UNDONE
            assert one.state() == before
            assert one.traces() == []


class _Died(Exception):
    pass


def _die(now: bool) -> None:
    if now:
        raise _Died
