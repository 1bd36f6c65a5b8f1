"""Enforcement against the simulated MikroTik over real UDP, and a real database between the steps."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import make_nas, make_service
from sqlalchemy import select, text, update

from aaa.bras import Box, BoxOptions, Credential
from aaa.bras.subscriber import State, Subscriber
from aaa.coa import CoaClient, client
from aaa.packet import Kind, parse
from core import holds, outbox, policies, switches
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import Event, Nas, OutboxItem, Service, Session, StopKind
from core.work import Handler
from provisioning.enforce import TRIES_BEFORE_ALARM, Enforcer
from provisioning.models import ASKING, EnforcementStep
from provisioning.reconciler import sweep

OUT_OF_STEP = "provisioning.session_out_of_step"
DISCONNECT = "provisioning.session_disconnect"


class Bras:
    """The simulated box behind one real socket; its dynamic authorization port only."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        credentials = [Credential(str(number), "pw") for number in range(4)]
        self.box = Box(BoxOptions(), credentials, lambda _: None, time.time())
        self.requests: list[int] = []
        #: Logins whose requests get lost.
        self.deaf_to: set[str] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def put_online(self, login: str, acct_session_id: str) -> Subscriber:
        one = self.box.subscribers[self.box.online]
        one.login, one.acct_session_id, one.state = login, acct_session_id, State.ONLINE
        one.rate_limit, one.framed_ipv4 = "50000k/200000k", b"\x64\x40\0\1"
        self.box.by_session[acct_session_id] = one
        return one

    def _serve(self) -> None:
        while True:
            try:
                octets, source = self.socket.recvfrom(4096)
            except OSError:
                return
            self.requests.append(octets[0])
            if parse(octets).text(Kind.USER_NAME) in self.deaf_to:
                continue
            answer = self.box.receive_dynamic(source, octets, time.time())
            if answer is not None:
                self.socket.sendto(answer, source)


class World:
    """Services with a session each, and the handlers as a worker runs them."""

    def __init__(self, database: Database, keyring: Keyring, enforcer: Enforcer) -> None:
        self.database = database
        self.keyring = keyring
        self.enforcer = enforcer
        self._sessions = 0

    def nas(self, bras: Bras, **values: Any) -> int:
        with self.database.transaction() as session:
            count = len(session.scalars(select(Nas)).all())
            # A network, so that the box's own address is where CoA goes: several boxes of these tests have the same.
            network = f"127.0.0.{4 * count}/30"
            return make_nas(session, self.keyring, coa_port=bras.port, address=network, **values).id

    def online(self, nas_id: int, bras: Bras, **values: Any) -> tuple[int, int, Subscriber]:
        """(service, session, line at the box)"""
        self._sessions += 1
        acct_session_id = f"81a0{self._sessions:04x}"
        with self.database.transaction() as session:
            service = make_service(session, self.keyring)
            now = datetime.now(UTC)
            defaults: dict[str, Any] = {
                "nas_id": nas_id, "box": "bras-1", "acct_session_id": acct_session_id, "accept_id": "a" * 16,
                "service_id": service.id, "login": service.login, "class_fingerprint": service.policy_fingerprint,
                "started_at": now, "updated_at": now, "nas_address": "127.0.0.1", "framed_ipv4": "100.64.0.1",
            }  # fmt: skip
            row = Session(**defaults | values)
            session.add(row)
            session.flush()
            return service.id, row.id, bras.put_online(service.login or "", acct_session_id)

    def hold(self, service_id: int, effect: HoldEffect) -> int:
        now = datetime.now(UTC)
        with self.database.transaction() as session:
            return holds.place_hold(
                session, service_id, reason=HoldReason.ADMIN, effect=effect, actor=Actor("t"), now=now
            ).id

    def lift(self, hold_id: int) -> None:
        with self.database.transaction() as session:
            holds.lift_hold(session, hold_id, actor=Actor("t"), now=datetime.now(UTC))

    def begin(self, handler: Handler, **payload: Any) -> None:
        """As a worker does it: it returns while the NAS is being asked."""
        with self.database.transaction() as session:
            afterwards = handler(session, payload)
        if afterwards is not None:
            afterwards()

    def enforce(self, service_id: int) -> None:
        self.begin(self.enforcer.service_out_of_step, service_id=service_id)
        self.await_answers()

    def await_answers(self) -> None:
        await_true(lambda: all(outcome != ASKING for _, outcome, _ in self.steps()))

    def steps(self) -> list[tuple[str, str, int | None]]:
        with self.database.transaction() as session:
            rows = session.scalars(select(EnforcementStep).order_by(EnforcementStep.id))
            return [(row.action, row.outcome, row.error_cause) for row in rows]

    def owed(self, topic: str) -> list[dict[str, Any]]:
        with self.database.transaction() as session:
            query = select(OutboxItem.payload).where(OutboxItem.topic == topic).order_by(OutboxItem.id)
            return list(session.scalars(query))

    def session(self, session_id: int) -> Session:
        with self.database.transaction() as session:
            return session.get_one(Session, session_id)

    def intended(self, service_id: int) -> str:
        with self.database.transaction() as session:
            return session.get_one(Service, service_id).policy_fingerprint


def await_true(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@contextmanager
def open_bras() -> Iterator[Bras]:
    one = Bras()
    yield one
    one.socket.close()


@pytest.fixture
def bras() -> Iterator[Bras]:
    with open_bras() as one:
        yield one


@pytest.fixture
def world(database: Database, keyring: Keyring) -> Iterator[World]:
    coa = CoaClient()
    with ThreadPoolExecutor(2) as conclusions:
        clock = ManualClock(datetime.now(UTC))
        yield World(database, keyring, Enforcer(database, coa, conclusions, keyring, clock, lambda _: False))
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
