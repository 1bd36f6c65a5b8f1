"""Changes of a simulated router over real sockets: whatever breaks, it is either changed or as it was, and we know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from bras_intents import EVERYTHING, MODERN, around
from routeros_boxes import Box, Clock, box, do, rows, session

from provisioning.outcome import Doubt
from provisioning.routeros.bras import Surroundings, desired_of, intent_of, proof_of
from provisioning.routeros.change import ChangeRun, Outcome, Result, UndoBy
from provisioning.routeros.change.run import SETTLE_TRIES
from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Desired, Remove, Wanted, make_plan
from provisioning.routeros.probing import NO_PROOF, WATCH_S, Proof
from provisioning.routeros.reading import read_rows, release_of, state_of
from provisioning.routeros.schema import MENUS
from provisioning.simulators.routeros import Fault, FaultKind, Version, When

SMALL: dict[str, Any] = {"walled_garden": {"portal": "192.0.2.80"}}
PROBED: dict[str, Any] = {**SMALL, "probe": {"ping": ["198.51.100.1", "198.51.100.2"], "source": "192.0.2.1"}}
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
    proof: Proof = NO_PROOF
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
        return ChangeRun(
            self.client, NAME, self.desired, before, plan, release, {}, self.journal, self.wait, self.proof
        )

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.while_waiting()

    def outcome(self, change: ChangeRun) -> Result:
        """As it is found sooner or later: a router that cannot be asked is asked again, later and later."""
        result = change.run()
        for _ in range(10):
            if result.outcome is not Outcome.UNKNOWN:
                break
            self.clock.now += 60
            result = change.take_over()
        return result

    def state(self) -> Any:
        """Of everything that can be configured."""
        return {menu: [{k: v for k, v in row.items() if k != ".id" and not MENUS[menu].fields.get(k, _ANY).read_only}
                       for row in rows(self.box.router, menu) if row.get("dynamic") != "true"]
                for menu in MENUS if menu not in TRACES}  # fmt: skip

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
        wanted = desired_of(intent_of(body), Surroundings(release, "s3cret", 3799, "walled-garden"))
        yield World(one, clock, wanted, proof_of(intent_of(body)))


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


@pytest.mark.parametrize("version", [*VERSIONS, Version.V7_22, Version.V7_23])
def test_a_change_with_every_part_of_an_intent_is_applied_and_there_is_nothing_left_to_do(version: Version) -> None:
    """We are let in afterwards as a user with fewer rights, who may do all of the next change."""
    body = {**EVERYTHING, **({} if version is Version.V6_49 else MODERN)}
    body["management"] = {**body["management"], "networks": ["127.0.0.0/8"], "services": ["api", "ssh"],
                          "user": {"networks": ["127.0.0.0/8"]}}  # fmt: skip
    with world(version, SMALL, firewall=True) as one:
        client = one.client()
        release = release_of(client)
        client.close()
        one.desired, one.proof = desired_of(intent_of(body), around(release)), proof_of(intent_of(body))
        change = one.change()
        assert change.run() == Result(Outcome.DONE, "")
        (user,) = rows(one.box.router, "/user")
        assert (user["group"], user["address"]) == ("provedor-api", "127.0.0.0/8")
        mine = change._owned_after()
        again = make_plan(one.desired, read_rows(one.client(), change.before, release), release, mine)
        assert (again.steps, again.problems) == ((), ())
        one.desired = desired_of(intent_of({**body, "dhcp": [], "hotspots": [], "queues": {}}), around(release))
        less = one.change()
        less.owned = mine
        less.plan = make_plan(one.desired, less.before, release, mine)
        assert less.run() == Result(Outcome.DONE, "")
        for menu in ("/ip/dhcp-server", "/ip/address", "/ip/hotspot", "/ip/hotspot/walled-garden", "/queue/tree"):
            assert rows(one.box.router, menu) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_that_takes_rows_of_every_menu_away_is_undone_from_wherever_it_came_to(version: Version) -> None:
    body = {**EVERYTHING, **({} if version is Version.V6_49 else MODERN)}
    body["management"] = {**body["management"], "networks": ["127.0.0.0/8"], "services": ["api"], "user": None}
    with world(version, SMALL) as one:
        client = one.client()
        release = release_of(client)
        client.close()
        one.desired = desired_of(intent_of(body), around(release))
        first = one.change()
        assert first.run().outcome is Outcome.DONE
        mine, menus, less = first._owned_after(), first.before, {name: [] for name in ("dhcp", "hotspots", "pppoe")}
        more = {"queues": {}, "pools": [{"name": "other", "ranges": "10.0.0.0/24"}], "ipv6_pools": [], "profile": None}
        one.desired = desired_of(
            intent_of({**body, **less, **more, "walled_garden": {"portal": "192.0.2.81"}}), around(release)
        )
        for third in range(4):
            change = one.change()
            change.owned, change.plan = mine, make_plan(one.desired, change.before, release, mine)
            gone = {step.menu for step in change.plan.steps if isinstance(step, Remove)}
            assert gone >= {
                "/ip/pool",
                "/ppp/profile",
                "/interface/pppoe-server/server",
                "/ip/dhcp-server",
                "/queue/tree",
            }
            one.journal.cancel_at = max(1, len(change.plan.steps) * third // 3)
            client = one.client()
            before = state_of(read_rows(client, menus, release))
            assert one.outcome(change) == Result(Outcome.UNDONE, "cancelled by ana"), third
            assert state_of(read_rows(client, menus, release)) == before, third
            client.close()
            assert one.traces() == []


def test_a_change_that_takes_our_user_the_rights_or_addresses_that_we_need_is_undone() -> None:
    for version, networks in ((Version.V6_49, "198.51.100.0/24"), (Version.V7_18, "198.51.100.0/24")):
        body = {"management": {"networks": ["127.0.0.0/8"], "services": ["api"], "user": {"networks": [networks]}}}
        with world(version, SMALL, firewall=True) as one:
            client = one.client()
            release = release_of(client)
            client.close()
            one.desired = desired_of(intent_of(body), around(release))
            before = one.state()
            result = one.change().run()
            assert (result.outcome, "second connection failed" in result.detail) == (Outcome.UNDONE, True)
            assert one.state() == before
            assert accepts(one)


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
@pytest.mark.parametrize(("version", "body"), [(Version.V7_12, BIG), (Version.V7_18, PROBED), (Version.V6_49, SMALL)])
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
            result = one.outcome(change)
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


def cutting(one: World, **rule: str) -> ChangeRun:
    """A change with a rule that keeps the router's own packets in."""
    said = {name.replace("_", "-"): value for name, value in rule.items()}
    values = {"chain": "output", "action": "drop", "disabled": "no", **said}
    rows = (*one.desired.rows, Wanted("/ip/firewall/filter", "garden/mistake", values))
    one.desired = replace(one.desired, rows=rows)
    return one.change()


def test_a_change_that_loses_the_leases_of_a_dhcp_server_is_undone() -> None:
    with world(Version.V7_12, SMALL, sessions=1) as one:
        router, menu = one.box.router, "/ip/dhcp-server/lease"
        for number in range(12):
            lease = {"address": f"100.66.0.{number}", "status": "bound", "radius": "true" if number > 1 else "false"}
            router.put_dynamic(menu, lease)
        change = one.change()
        table = router.configuration.tables[menu]
        one.journal.applied = lambda _: table.drop(table.order)  # type: ignore[method-assign]
        assert change.run() == Result(Outcome.UNDONE, "10 of 11 sessions are gone")


#: A small change of 7.18 is undone by safe mode, the others by a scheduler.
@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_that_cuts_the_data_path_is_undone(version: Version) -> None:
    with world(version, PROBED, firewall=True) as one:
        before, change = one.state(), cutting(one, protocol="icmp", dst_address="198.51.100.2")
        result = change.run()
        detail = "198.51.100.2 from 192.0.2.1 does not answer pings any more"
        assert result == Result(Outcome.UNDONE, detail)
        assert one.journal.by is (UndoBy.SAFE_MODE if version is Version.V7_18 else UndoBy.SCHEDULER)
        assert one.state() == before
        assert one.traces() == []


def test_who_did_not_answer_before_the_change_is_no_harm() -> None:
    with world(Version.V7_18, PROBED) as one:
        one.box.router.answering = lambda address: address != "198.51.100.2"
        assert one.change().run().outcome is Outcome.DONE


def test_a_path_that_needs_a_moment_is_looked_at_again() -> None:
    with world(Version.V7_18, PROBED) as one:
        change = one.change()
        one.journal.applied = lambda _: setattr(one.box.router, "answering", lambda _: False)  # type: ignore[method-assign]
        one.while_waiting = lambda: setattr(one.box.router, "answering", lambda _: True)
        assert change.run().outcome is Outcome.DONE


def with_radius(one: World) -> None:
    """It has our RADIUS servers, and sessions that report."""
    assert one.change().run().outcome is Outcome.DONE
    one.box.router.radius.per_s = 2.0


RADIUS: dict[str, Any] = {"radius": {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}]}}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_change_that_cuts_radius_off_is_undone_though_its_servers_answer_pings(version: Version) -> None:
    with world(version, {**RADIUS, **SMALL}, firewall=True, sessions=5) as one:
        with_radius(one)
        before = one.state()
        result = cutting(one, protocol="udp", dst_port="1812-1813").run()
        assert result.outcome is Outcome.UNDONE
        assert result.detail == "; ".join(
            f"RADIUS server {address} was asked, and gave no answer that the box takes"
            for address in ("192.0.2.10", "192.0.2.11")
        )
        assert one.state() == before
        one.clock.now += WATCH_S
        assert rows(one.box.router, "/radius")  # and it is asked again
        first = one.client()
        (counters,) = first.call("/radius/monitor", {"numbers": "0", "once": ""})
        first.close()
        assert int(counters["accepts"]) > 0


def test_a_secret_that_radius_does_not_have_is_undone() -> None:
    with world(Version.V7_12, RADIUS) as one:
        one.box.router.radius.per_s, one.box.router.radius.secret = 2.0, "another"
        before = one.state()
        result = one.change().run()
        assert (result.outcome, "192.0.2.10 was asked" in result.detail) == (Outcome.UNDONE, True)
        assert one.state() == before


def test_radius_that_was_silent_before_is_no_harm_and_one_that_nobody_asks_proves_nothing() -> None:
    with world(Version.V7_12, {**RADIUS, **SMALL}) as one:
        with_radius(one)
        do(one.box.router, "/ip/firewall/filter/remove", numbers=rows(one.box.router, "/ip/firewall/filter")[0][".id"])
        one.box.router.answering = lambda _: False
        assert one.change().run().outcome is Outcome.DONE
        do(one.box.router, "/ip/firewall/filter/remove", numbers=rows(one.box.router, "/ip/firewall/filter")[0][".id"])
        one.box.router.radius.per_s = 0
        assert one.change().run().outcome is Outcome.DONE


@pytest.mark.parametrize(("pinged", "outcome"), [(True, Outcome.UNDONE), (False, Outcome.DONE)])
def test_radius_that_nobody_asked_before_is_harmed_only_where_it_was_there(pinged: bool, outcome: Outcome) -> None:
    """Of a server that was away all the time, the first who asks shall not undo a change."""
    with world(Version.V7_12, {**RADIUS, **SMALL}, firewall=True) as one:
        assert one.change().run().outcome is Outcome.DONE
        one.box.router.answering = lambda _: pinged
        one.journal.applied = lambda _: setattr(one.box.router.radius, "per_s", 2.0)  # type: ignore[method-assign]
        assert cutting(one, protocol="udp").run().outcome is outcome


def test_a_user_that_may_not_ping_changes_nothing() -> None:
    with world(Version.V7_18, PROBED) as one:
        do(one.box.router, "/user/group/add", name="narrow", policy="read,write,policy,api,sensitive")
        do(one.box.router, "/user/set", numbers="provedor", group="narrow")
        before = one.state()
        assert one.change().run() == Result(Outcome.REFUSED, "/ping: not enough permissions (9)")
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
