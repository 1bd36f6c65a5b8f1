"""Enforcement against the simulated MikroTik over real UDP, and a real database between the steps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from enforcing import Bras, World, await_true, open_bras
from sqlalchemy import delete, select, text, update

from aaa.bras.subscriber import State
from aaa.coa import CoaClient, client
from core import outbox, policies, switches, topics
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock, utc_now
from core.database import Database
from core.holds import lift_hold, place_hold
from core.keyring import Keyring
from core.models import Event, OutboxItem, Service, Session, StopKind
from core.topics import Topic
from provisioning.enforce import TRIES_BEFORE_ALARM, Enforcer
from provisioning.models import ASKING, EnforcementStep
from provisioning.reconciler import sweep
from provisioning.routeros.lines import RouterLines
from provisioning.routers import Routers

OUT_OF_STEP = "provisioning.session_out_of_step"
AWAITS_TURN = "provisioning.session_awaits_turn"
DISCONNECT = "provisioning.session_disconnect"


@pytest.fixture
def bras() -> Iterator[Bras]:
    with open_bras() as one:
        yield one


@pytest.fixture
def world(database: Database, keyring: Keyring) -> Iterator[World]:
    coa = CoaClient()
    with ThreadPoolExecutor(2) as conclusions:
        clock = ManualClock(datetime.now(UTC))
        routers = Routers(RouterLines(), utc_now)
        yield World(database, keyring, Enforcer(database, coa, routers, conclusions, keyring, clock, lambda _: False))
        routers.lines.close()
        coa.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRANSMIT_AT_S", (0.02,))
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)


def test_a_throttle_goes_by_coa_and_comes_back(world: World, bras: Bras) -> None:
    service, live, line = world.online(world.nas(bras), bras)
    placed = world.hold(service, HoldEffect.THROTTLE)
    world.enforce(service)
    assert line.rate_limit == "512k/1000k"
    assert world.session(live).applied_fingerprint == world.intended(service)
    world.lift(placed)
    world.enforce(service)
    assert line.rate_limit == "50000k/200000k"
    assert world.steps() == [("coa", "ack", None), ("coa", "ack", None)]
    world.enforce(service)  # again: nothing is sent
    assert bras.requests == [43, 43]
    assert world.owed(OUT_OF_STEP) == []


def test_the_walled_garden_costs_a_redial(world: World, bras: Bras) -> None:
    service, _, line = world.online(world.nas(bras), bras)
    world.hold(service, HoldEffect.WALLED_GARDEN)
    world.enforce(service)
    assert line.state is State.OFFLINE
    assert world.steps() == [("disconnect", "ack", None)]


def test_a_session_that_the_nas_does_not_know_is_closed_here(world: World, bras: Bras) -> None:
    service, live, _ = world.online(world.nas(bras), bras)
    bras.box.by_session.clear()
    world.hold(service, HoldEffect.THROTTLE)
    world.enforce(service)
    assert world.session(live).stop_kind is StopKind.NOT_FOUND
    assert world.steps() == [("coa", "nak", 503)]
    assert bras.requests == [43, 43]  # with all keys, then with the session's id alone


def test_a_stale_address_among_the_keys_is_tried_without(world: World, bras: Bras) -> None:
    service, _, line = world.online(world.nas(bras), bras, framed_ipv4="100.64.9.9")
    world.hold(service, HoldEffect.THROTTLE)
    world.enforce(service)
    assert line.rate_limit == "512k/1000k"


def test_a_coa_that_is_refused_becomes_a_disconnect(world: World, bras: Bras) -> None:
    """The vendor's adapter says that it changes live, and this box says no."""
    service, _, line = world.online(world.nas(bras, vendor="generic"), bras)
    world.hold(service, HoldEffect.THROTTLE)
    world.begin(world.enforcer.service_out_of_step, service_id=service)
    await_true(lambda: line.state is State.OFFLINE)
    world.await_answers()
    assert [action for action, _, _ in world.steps()][-1] == "disconnect"
    assert world.owed(OUT_OF_STEP) == []


def test_frozen_and_foreign_sessions_are_left_alone(world: World, bras: Bras) -> None:
    nas = world.nas(bras)
    service, _, _ = world.online(nas, bras)
    world.online(nas, bras, class_fingerprint=None, accept_id="")
    world.hold(service, HoldEffect.THROTTLE)
    with world.database.transaction() as session:
        switches.freeze_enforcement(session, True, Actor("t"))
    world.enforce(service)
    assert bras.requests == []
    assert len(world.owed(OUT_OF_STEP)) == 1  # the work is kept
    with world.database.transaction() as session:
        switches.freeze_enforcement(session, False, Actor("t"))
    world.enforce(service)
    assert bras.requests == [43]


def test_the_reconciler_owes_what_is_out_of_step_once(world: World, bras: Bras) -> None:
    service, live, _ = world.online(world.nas(bras), bras)
    with world.database.transaction() as session:
        assert sweep(session) == 0
        body = policies.read(session, session.get_one(Service, service).policy_fingerprint)
        assert body is not None
        other = policies.keep(session, body.__class__(access=body.access, down_kbps=1, up_kbps=1))
        session.execute(update(Session).where(Session.id == live).values(class_fingerprint=other))
    with world.database.transaction() as session:
        assert sweep(session) == 1
        assert sweep(session) == 0


@pytest.mark.parametrize("topic", [topics.SERVICE_OUT_OF_STEP, topics.SERVICE_RESTRICTED])
def test_the_reconciler_leaves_alone_what_a_change_owes_already(world: World, bras: Bras, topic: Topic) -> None:
    """Else every sweep during a run of suspensions owed them all once more."""
    service, _, _ = world.online(world.nas(bras), bras)
    world.hold(service, HoldEffect.THROTTLE)
    with world.database.transaction() as session:
        session.execute(delete(OutboxItem))
        outbox.enqueue(session, topic, {"service_id": service})
        assert sweep(session) == 0
        session.execute(delete(OutboxItem))
        assert sweep(session) == 1


@pytest.mark.parametrize(
    ("reason", "queue"),
    [(HoldReason.BILLING, topics.PACED), (HoldReason.ADMIN, topics.ENFORCE)],
)
def test_a_restriction_for_debt_waits_behind_whoever_pays_and_an_operators_does_not(
    world: World, bras: Bras, reason: HoldReason, queue: str
) -> None:
    service, _, _ = world.online(world.nas(bras), bras)
    with world.database.transaction() as session:
        session.execute(delete(OutboxItem))
        now = datetime.now(UTC)
        hold = place_hold(session, service, reason=reason, effect=HoldEffect.THROTTLE, actor=Actor("t"), now=now)
        session.flush()
        assert session.scalars(select(OutboxItem.queue)).all() == [queue]
        session.execute(delete(OutboxItem))
        lift_hold(session, hold.id, actor=Actor("t"), now=now)
        assert session.scalars(select(OutboxItem.queue)).all() == [topics.ENFORCE]


@pytest.mark.usefixtures("impatient")
def test_a_silent_nas_shuts_its_breaker_and_the_work_is_kept(world: World, bras: Bras) -> None:
    service, live, _ = world.online(world.nas(bras), bras)
    bras.box.paused = True
    world.hold(service, HoldEffect.THROTTLE)
    for _ in range(5):
        world.begin(world.enforcer.session_out_of_step, session_id=live)
        world.await_answers()
    assert [outcome for _, outcome, _ in world.steps()] == ["timeout"] * 3  # then nobody asks for a while
    assert world.owed(OUT_OF_STEP)
    bras.box.paused = False
    world.enforcer.clock.advance(timedelta(seconds=45))  # type: ignore[attr-defined]
    world.begin(world.enforcer.session_out_of_step, session_id=live)
    world.await_answers()
    assert world.session(live).applied_fingerprint == world.intended(service)


@pytest.mark.usefixtures("impatient")
def test_who_waited_for_a_silent_nas_is_tried_once_it_answers(world: World, bras: Bras) -> None:
    nas = world.nas(bras)
    first, *others = (world.online(nas, bras)[0] for _ in range(3))
    bras.box.paused = True
    for service in (first, *others):
        world.hold(service, HoldEffect.THROTTLE)
        world.enforce(service)
    bras.box.paused = False
    with world.database.transaction() as session:  # an hour's pause each, which nobody waits out
        session.execute(update(OutboxItem).values(due_at=datetime.now(UTC) + timedelta(hours=1)))
    world.enforcer.clock.advance(timedelta(seconds=45))  # type: ignore[attr-defined]
    world.enforce(first)
    assert world.steps()[-1] == ("coa", "ack", None)
    with world.database.transaction() as session:
        due = select(OutboxItem.payload).where(OutboxItem.topic == OUT_OF_STEP, OutboxItem.due_at <= datetime.now(UTC))
        assert len(session.scalars(due).all()) == len(others) + 1  # his own from before finds nothing left to do


def test_a_silent_nas_keeps_nobody_else_waiting(world: World, bras: Bras) -> None:
    with open_bras() as silent:
        silent.box.paused = True
        unlucky, _, _ = world.online(world.nas(silent), silent)
        lucky, _, line = world.online(world.nas(bras), bras)
        world.hold(unlucky, HoldEffect.WALLED_GARDEN)
        world.hold(lucky, HoldEffect.WALLED_GARDEN)
        world.begin(world.enforcer.service_out_of_step, service_id=unlucky)
        world.begin(world.enforcer.service_out_of_step, service_id=lucky)
        await_true(lambda: line.state is State.OFFLINE)
        await_true(lambda: world.steps() == [("disconnect", ASKING, None), ("disconnect", "ack", None)])


def test_a_request_that_gets_lost_keeps_no_other_of_its_nas_waiting(world: World, bras: Bras) -> None:
    """Both are disconnects, which take from the same NAS's bucket."""
    nas = world.nas(bras)
    unlucky, live, unheard = world.online(nas, bras)
    lucky, _, line = world.online(nas, bras)
    bras.deaf_to.add(unheard.login)
    world.hold(unlucky, HoldEffect.WALLED_GARDEN)
    world.hold(lucky, HoldEffect.WALLED_GARDEN)
    world.begin(world.enforcer.service_out_of_step, service_id=unlucky)
    world.begin(world.enforcer.service_out_of_step, service_id=lucky)
    await_true(lambda: line.state is State.OFFLINE)
    await_true(lambda: world.steps() == [("disconnect", ASKING, None), ("disconnect", "ack", None)])
    with world.database.transaction() as session:  # nothing is locked meanwhile: accounting of the session goes on
        session.execute(text("SELECT id FROM session WHERE id = :id FOR UPDATE NOWAIT"), {"id": live})
        session.execute(text("SELECT nas_id FROM nas_pace FOR UPDATE NOWAIT"))
        session.execute(text("SELECT id FROM outbox FOR UPDATE NOWAIT"))


def test_who_exceeds_the_pace_comes_again_in_turn_and_nobody_overtakes(world: World, bras: Bras) -> None:
    nas = world.nas(bras, disconnects_per_minute=6)
    services, lives, _ = zip(*(world.online(nas, bras) for _ in range(4)), strict=True)
    for service in services[:3]:
        world.hold(service, HoldEffect.WALLED_GARDEN)
        world.enforce(service)
    assert world.steps() == [("disconnect", "ack", None)]
    put_off = [{"session_id": live, "tries": 0} for live in lives[1:]]
    assert world.owed(AWAITS_TURN) == put_off[:2]
    assert due_after(world) == [10.0, 20.0]
    world.enforcer.clock.advance(timedelta(seconds=10))  # type: ignore[attr-defined]
    world.hold(services[3], HoldEffect.WALLED_GARDEN)
    world.enforce(services[3])  # there is a disconnect to be had, and it is not his
    assert world.owed(AWAITS_TURN) == put_off
    world.begin(world.enforcer.session_awaits_turn, **put_off[0])
    world.await_answers()
    assert world.steps() == [("disconnect", "ack", None)] * 2


def due_after(world: World) -> list[float]:
    """In how many seconds of our clock the sessions' work is due."""
    with world.database.transaction() as session:
        query = select(OutboxItem.due_at).where(OutboxItem.topic == AWAITS_TURN).order_by(OutboxItem.id)
        return [(due_at - world.enforcer.clock()).total_seconds() for due_at in session.scalars(query)]


def test_one_session_is_asked_about_by_one_at_a_time(world: World, bras: Bras) -> None:
    service, live, line = world.online(world.nas(bras), bras)
    bras.deaf_to.add(line.login)
    placed = world.hold(service, HoldEffect.THROTTLE)
    world.begin(world.enforcer.service_out_of_step, service_id=service)
    world.lift(placed)
    world.hold(service, HoldEffect.WALLED_GARDEN)
    world.begin(world.enforcer.service_out_of_step, service_id=service)
    await_true(lambda: bras.requests == [43])
    assert world.steps() == [("coa", ASKING, None)]
    # The first's, for the case that we die, and the second's, soon.
    assert world.owed(OUT_OF_STEP) == [{"session_id": live, "tries": 0}] * 2


def test_a_claim_whose_holder_died_runs_out(world: World, bras: Bras) -> None:
    service, live, line = world.online(world.nas(bras), bras)
    bras.deaf_to.add(line.login)
    world.hold(service, HoldEffect.THROTTLE)
    world.begin(world.enforcer.service_out_of_step, service_id=service)
    with world.database.transaction() as session:  # what a death leaves behind, a minute later
        session.execute(update(EnforcementStep).values(at=EnforcementStep.at - timedelta(minutes=1)))
        for item_id in session.scalars(select(OutboxItem.id).where(OutboxItem.topic == OUT_OF_STEP)):
            outbox.forget(session, item_id)
    bras.deaf_to.clear()
    world.begin(world.enforcer.session_out_of_step, session_id=live)
    await_true(lambda: world.steps()[-1] == ("coa", "ack", None))
    assert line.rate_limit == "512k/1000k"
    # The first holder was not dead after all, and its answer comes late: it is kept, and nothing follows from it.
    await_true(lambda: world.steps()[0][1] == "ack")
    assert world.owed(OUT_OF_STEP) == []


def test_each_session_of_a_service_is_owed_by_itself(world: World, bras: Bras) -> None:
    nas = world.nas(bras)
    service, first, _ = world.online(nas, bras)
    _, second, _ = world.online(nas, bras)
    with world.database.transaction() as session:
        session.execute(update(Session).where(Session.id == second).values(service_id=service))
    world.hold(service, HoldEffect.THROTTLE)
    world.begin(world.enforcer.service_out_of_step, service_id=service)
    assert [one["session_id"] for one in world.owed(OUT_OF_STEP)] == [first, second]
    assert bras.requests == []


@pytest.mark.usefixtures("impatient")
def test_a_disconnect_that_somebody_asked_for_is_tried_again_and_then_given_up(world: World, bras: Bras) -> None:
    _, live, line = world.online(world.nas(bras), bras)
    bras.deaf_to.add(line.login)
    world.begin(world.enforcer.session_disconnect, session_id=live, reason="asked for by ana")
    world.await_answers()
    assert world.owed(DISCONNECT) == [{"session_id": live, "tries": 1, "reason": "asked for by ana"}]
    last_try = {"session_id": live, "tries": TRIES_BEFORE_ALARM - 1, "reason": "asked for by ana"}
    world.begin(world.enforcer.session_disconnect, **last_try)
    world.await_answers()
    assert len(world.owed(DISCONNECT)) == 1
    with world.database.transaction() as session:
        assert session.scalars(select(Event.type).where(Event.type == "enforcement.failed")).all()
    bras.deaf_to.clear()
    world.begin(world.enforcer.session_disconnect, session_id=live, reason="asked for by ana")
    await_true(lambda: line.state is State.OFFLINE)
    world.await_answers()
