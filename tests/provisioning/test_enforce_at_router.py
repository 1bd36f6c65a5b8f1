"""Enforcement where RADIUS cannot: a simulated MikroTik with its dynamic authorization port and its API, on real
sockets, and a real database between the steps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from at_once import work_off
from enforcing import Bras, World, await_true, open_bras
from routeros_boxes import PASSWORD, USER, Box, box, do, rows
from routeros_boxes import session as shown
from sqlalchemy import select, update

from aaa.bras.subscriber import State
from aaa.coa import CoaClient, client
from core import policies, topics
from core.access import HoldEffect
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import ROUTEROS_PASSWORD, Keyring
from core.models import Service, Session
from core.models.network import Nas, StopKind, Vendor
from core.models.service import Plan
from core.routeros import check_routeros
from provisioning import live_rows
from provisioning.enforce import Enforcer
from provisioning.live_rows import Cleaner
from provisioning.models import LiveRow, NasPace
from provisioning.routeros.lines import RouterLines
from provisioning.routers import Routers
from provisioning.simulators.routeros import Fault, FaultKind

LISTS = "/ip/firewall/address-list"
ADDRESS = "100.64.0.1"
FULL, THROTTLED = "50000000/200000000", "512000/1000000"


class Scene:
    """One subscriber at a box that has both."""

    def __init__(self, world: World, bras: Bras, routeros: Box, cleaner: Cleaner) -> None:
        self.world = world
        self.bras = bras
        self.box = routeros
        self.cleaner = cleaner
        access = check_routeros({"user": USER, "port": routeros.server.port, "tls": False})
        self.nas_id = world.nas(
            bras, routeros=access, routeros_password_encrypted=world.keyring.seal(PASSWORD, ROUTEROS_PASSWORD)
        )
        self.service_id, self.session_id, self.line = world.online(
            self.nas_id, bras, framed_ipv4=ADDRESS, calling_station_id="02:00:00:00:00:01",
            started_at=datetime.now(UTC) - timedelta(seconds=90),
        )  # fmt: skip
        self.show()

    def show(self, **given: Any) -> None:
        """At the API, as the box has it."""
        live = self.world.session(self.session_id)
        one = shown(1, live.login, session_id=live.acct_session_id)
        self.box.online.begin(dataclasses.replace(one, **given))

    def enforce(self) -> list[tuple[str, str]]:
        """What was done for it this time."""
        before = len(self.world.steps())
        self.world.enforce(self.service_id)
        return [(action, outcome) for action, outcome, _ in self.world.steps()[before:]]

    def hold(self, effect: HoldEffect) -> list[tuple[str, str]]:
        self.hold_id = self.world.hold(self.service_id, effect)
        return self.enforce()

    def lift(self) -> list[tuple[str, str]]:
        self.world.lift(self.hold_id)
        return self.enforce()

    def listed(self, menu: str = LISTS) -> list[tuple[str, str]]:
        return [(row["list"], row["address"]) for row in rows(self.box.router, menu)]

    def queues(self) -> list[str]:
        return [row["max-limit"] for row in rows(self.box.router, "/queue/simple")]

    @property
    def in_step(self) -> bool:
        live = self.world.session(self.session_id)
        return live.effective_fingerprint == self.world.intended(self.service_id)

    @property
    def online(self) -> bool:
        return bool(self.box.online.read())

    def sweep(self) -> None:
        """What the clock does, and then the workers."""
        with self.world.database.transaction() as session:
            live_rows.owe_left(session, datetime.now(UTC))
        work_off(self.world.database, {topics.LIVE_ROWS_LEFT.name: self.cleaner.handle_left})

    def left(self) -> int:
        with self.world.database.transaction() as session:
            return len(session.scalars(select(LiveRow)).all())

    def stop(self) -> None:
        with self.world.database.transaction() as session:
            live = session.get_one(Session, self.session_id)
            live.stopped_at, live.stop_kind = datetime.now(UTC), StopKind.STOP


@pytest.fixture
def bras() -> Iterator[Bras]:
    with open_bras() as one:
        yield one


@pytest.fixture
def scene(database: Database, keyring: Keyring, bras: Bras) -> Iterator[Scene]:
    with box() as routeros, _scene(database, keyring, bras, routeros) as found:
        yield found


@contextmanager
def _scene(database: Database, keyring: Keyring, bras: Bras, routeros: Box) -> Iterator[Scene]:
    coa, lines, clock = CoaClient(), RouterLines(), ManualClock(datetime.now(UTC))
    with ThreadPoolExecutor(2) as conclusions:
        routers = Routers(lines, utc_now)
        enforcer = Enforcer(database, coa, routers, conclusions, keyring, clock, lambda _: False)
        cleaner = Cleaner(database, keyring, routers, conclusions)
        yield Scene(World(database, keyring, enforcer), bras, routeros, cleaner)
        lines.close()
        coa.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRANSMIT_AT_S", (0.02,))
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)


def test_into_the_walled_garden_and_out_of_it_without_a_redial(scene: Scene) -> None:
    assert scene.hold(HoldEffect.WALLED_GARDEN) == [("router", "ack")]
    assert scene.listed() == [("walled-garden", ADDRESS)]
    assert scene.queues() == [THROTTLED]
    assert scene.in_step
    assert scene.online
    assert scene.lift() == [("router", "ack")]
    assert (scene.listed(), scene.queues()) == ([], [FULL])
    assert scene.in_step
    assert scene.bras.requests == []  # RADIUS was not asked for any of it


def test_ipv6_prefixes_of_the_session_go_with_it(scene: Scene) -> None:
    with scene.world.database.transaction() as session:
        live = session.get_one(Session, scene.session_id)
        live.framed_ipv6_prefix, live.delegated_ipv6_prefix = "2001:db8:0:7::/64", "2001:db8:100::/56"
    assert scene.hold(HoldEffect.WALLED_GARDEN) == [("router", "ack")]
    expected = [("walled-garden", "2001:db8:0:7::/64"), ("walled-garden", "2001:db8:100::/56")]
    assert scene.listed("/ipv6/firewall/address-list") == expected
    scene.lift()
    assert scene.listed("/ipv6/firewall/address-list") == []


def test_what_a_coa_can_do_it_does(scene: Scene) -> None:
    assert scene.hold(HoldEffect.THROTTLE) == [("coa", "ack")]
    assert scene.queues() == []


def test_a_coa_that_is_refused_is_a_queue_at_the_router(scene: Scene) -> None:
    """As of a box that has no such attribute."""
    with scene.world.database.transaction() as session:
        session.get_one(Nas, scene.nas_id).vendor = Vendor.HUAWEI
    assert scene.hold(HoldEffect.THROTTLE) == [("coa", "nak"), ("router", "ack")]
    assert scene.queues() == [THROTTLED]
    assert scene.in_step


def test_a_silent_port_is_no_reason_to_wait(scene: Scene, impatient: None) -> None:
    scene.bras.deaf_to.add(scene.line.login)
    assert scene.hold(HoldEffect.THROTTLE) == [("coa", "timeout"), ("router", "ack")]
    assert scene.queues() == [THROTTLED]
    assert scene.in_step
    assert scene.lift()[-1] == ("router", "ack")
    assert scene.queues() == [FULL]


def test_with_the_breaker_shut_the_router_is_asked_at_once(scene: Scene) -> None:
    with scene.world.database.transaction() as session:
        session.add(NasPace(nas_id=scene.nas_id, tokens=20.0, filled_at=datetime.now(UTC), silent=9,
                            closed_until=datetime.now(UTC) + timedelta(minutes=5)))  # fmt: skip
    assert scene.hold(HoldEffect.THROTTLE) == [("router", "ack")]
    assert scene.bras.requests == []


def test_a_session_that_no_disconnect_ends_is_ended_at_its_router(scene: Scene, impatient: None) -> None:
    scene.bras.deaf_to.add(scene.line.login)
    assert scene.hold(HoldEffect.BLOCK) == [("disconnect", "timeout"), ("end", "ack")]
    assert not scene.online


def test_a_disconnect_that_somebody_asked_for_goes_there_too(scene: Scene, impatient: None) -> None:
    scene.bras.deaf_to.add(scene.line.login)
    scene.world.begin(scene.world.enforcer.session_disconnect, session_id=scene.session_id, reason="asked for")
    await_true(lambda: not scene.online)
    scene.world.await_answers()
    assert [step[:2] for step in scene.world.steps()] == [("disconnect", "timeout"), ("end", "ack")]


def test_an_entry_that_the_login_made_may_not_be_ours_then_he_dials_again(scene: Scene) -> None:
    scene.hold_id = scene.world.hold(scene.service_id, HoldEffect.WALLED_GARDEN)
    with scene.world.database.transaction() as session:  # he has dialled in the garden
        fingerprint = session.get_one(Service, scene.service_id).policy_fingerprint
        session.get_one(Session, scene.session_id).class_fingerprint = fingerprint
    scene.box.router.put_dynamic(LISTS, {"list": "walled-garden", "address": ADDRESS})
    assert scene.lift() == [("router", "nak"), ("disconnect", "ack")]
    assert scene.line.state is not State.ONLINE


def test_an_address_that_is_anothers_by_now_is_left_alone(scene: Scene) -> None:
    """Our session is gone, its Stop was lost, and somebody else has the address."""
    for one in scene.box.online.read():
        scene.box.online.end(one)
    scene.box.online.begin(shown(2, "eva", address=ADDRESS, session_id="81b00001"))
    assert scene.hold(HoldEffect.WALLED_GARDEN) == [("router", "nak")]
    assert scene.listed() == []
    assert scene.world.session(scene.session_id).stop_kind is StopKind.NOT_FOUND


def test_a_router_that_cannot_be_reached_leaves_it_to_radius(scene: Scene) -> None:
    scene.box.router.faults.order(Fault(FaultKind.CUT, times=0))
    assert scene.hold(HoldEffect.WALLED_GARDEN) == [("router", "unreachable"), ("disconnect", "ack")]


def test_where_nothing_does_it_is_tried_again_later(scene: Scene, impatient: None) -> None:
    scene.bras.deaf_to.add(scene.line.login)
    scene.box.router.faults.order(Fault(FaultKind.CUT, times=0))
    scene.hold_id = scene.world.hold(scene.service_id, HoldEffect.WALLED_GARDEN)
    done = scene.enforce()
    await_true(lambda: len(scene.world.steps()) == 3)
    scene.world.await_answers()
    assert done[0] == ("router", "unreachable")
    assert [step[:2] for step in scene.world.steps()] == [
        ("router", "unreachable"), ("disconnect", "timeout"), ("end", "unreachable"),
    ]  # fmt: skip
    assert len(scene.world.owed(topics.SESSION_OUT_OF_STEP.name)) == 1
    scene.box.router.faults.clear()
    assert scene.enforce()[0] == ("router", "ack")


def test_what_was_written_is_gone_when_the_session_is(scene: Scene) -> None:
    do(scene.box.router, f"{LISTS}/add", list="walled-garden", address="100.64.0.77", comment="mine")
    scene.hold(HoldEffect.WALLED_GARDEN)
    scene.sweep()
    assert scene.listed() == [("walled-garden", "100.64.0.77"), ("walled-garden", ADDRESS)]  # it is up
    scene.stop()
    scene.sweep()
    await_true(lambda: scene.left() == 0)
    assert (scene.listed(), scene.queues()) == ([("walled-garden", "100.64.0.77")], [])


def test_a_router_that_is_away_when_the_session_ends_is_cleaned_later(scene: Scene) -> None:
    scene.hold(HoldEffect.WALLED_GARDEN)
    scene.box.router.faults.order(Fault(FaultKind.CUT, times=0))
    scene.stop()
    scene.sweep()
    time.sleep(0.1)
    assert scene.left() == 1
    scene.box.router.faults.clear()
    scene.sweep()  # somebody was told to come a moment ago
    assert scene.left() == 1
    with scene.world.database.transaction() as session:
        session.execute(update(LiveRow).values(claimed_until=datetime.now(UTC) - timedelta(seconds=1)))
    scene.sweep()
    await_true(lambda: scene.left() == 0)
    assert scene.listed() == []


def test_another_speed_of_the_plan_by_a_router_needs_no_window(scene: Scene, impatient: None) -> None:
    scene.bras.deaf_to.add(scene.line.login)
    with scene.world.database.transaction() as session:
        plan = session.get_one(Plan, session.get_one(Service, scene.service_id).plan_id)
        plan.down_kbps = 400_000
        policies.refresh(session, [scene.service_id])
    assert scene.enforce() == [("coa", "timeout"), ("router", "ack")]
    assert scene.queues() == ["50000000/400000000"]
    assert scene.online
