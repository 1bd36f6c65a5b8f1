"""Enforcement against the simulated MikroTik over real UDP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import make_nas, make_service
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.bras import Box, BoxOptions, Credential
from aaa.bras.subscriber import State, Subscriber
from aaa.coa import CoaClient
from core import holds, policies, switches
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.keyring import Keyring
from core.models import OutboxItem, Session, StopKind
from provisioning.enforce import Enforcer
from provisioning.models import EnforcementStep
from provisioning.reconciler import sweep


class Bras:
    """The simulated box behind one real socket; its dynamic authorization port only."""

    def __init__(self, secret: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.box = Box(BoxOptions(secret=secret), [Credential("ana", "pw")], lambda _: None, time.time())
        self.requests: list[int] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def put_online(self, login: str, acct_session_id: str) -> Subscriber:
        one = self.box.subscribers[0]
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
            answer = self.box.receive_dynamic(source, octets, time.time())
            if answer is not None:
                self.socket.sendto(answer, source)


@pytest.fixture
def bras() -> Iterator[Bras]:
    one = Bras(b"testing123")
    yield one
    one.socket.close()


@pytest.fixture
def enforcer(keyring: Keyring) -> Iterator[Enforcer]:
    client = CoaClient()
    yield Enforcer(client, keyring, ManualClock(datetime.now(UTC)), lambda _: False)
    client.close()


@pytest.fixture
def live(session: DatabaseSession, keyring: Keyring, bras: Bras) -> Callable[..., Any]:
    def make(**values: Any) -> tuple[Any, Session, Subscriber]:
        nas = make_nas(session, keyring, coa_port=bras.port)
        service = make_service(session, keyring)
        now = datetime.now(UTC)
        defaults: dict[str, Any] = {
            "nas_id": nas.id, "box": "bras-1", "acct_session_id": "81a00001", "accept_id": "a" * 16,
            "service_id": service.id, "login": service.login, "class_fingerprint": service.policy_fingerprint,
            "started_at": now, "updated_at": now, "nas_address": "127.0.0.1", "framed_ipv4": "100.64.0.1",
        }  # fmt: skip
        row = Session(**defaults | values)
        session.add(row)
        session.flush()
        return service, row, bras.put_online(service.login or "", "81a00001")

    return make


def hold(session: DatabaseSession, service: Any, effect: HoldEffect) -> Any:
    return holds.place_hold(
        session, service.id, reason=HoldReason.ADMIN, effect=effect, actor=Actor("t"), now=datetime.now(UTC)
    )


def steps(session: DatabaseSession) -> list[tuple[str, str, int | None]]:
    rows = session.scalars(select(EnforcementStep).order_by(EnforcementStep.id))
    return [(row.action, row.outcome, row.error_cause) for row in rows]


def test_a_throttle_goes_by_coa_and_comes_back(
    session: DatabaseSession, enforcer: Enforcer, live: Any, bras: Bras
) -> None:
    service, row, line = live()
    placed = hold(session, service, HoldEffect.THROTTLE)
    enforcer.service_out_of_step(session, {"service_id": service.id})
    session.refresh(row)
    assert line.rate_limit == "512k/1000k"
    assert row.applied_fingerprint == service.policy_fingerprint
    holds.lift_hold(session, placed.id, actor=Actor("t"), now=datetime.now(UTC))
    enforcer.service_out_of_step(session, {"service_id": service.id})
    assert line.rate_limit == "50000k/200000k"
    assert steps(session) == [("coa", "ack", None), ("coa", "ack", None)]
    enforcer.service_out_of_step(session, {"service_id": service.id})  # again: nothing is sent
    assert bras.requests == [43, 43]


def test_the_walled_garden_costs_a_redial(session: DatabaseSession, enforcer: Enforcer, live: Any) -> None:
    service, _, line = live()
    hold(session, service, HoldEffect.WALLED_GARDEN)
    enforcer.service_out_of_step(session, {"service_id": service.id})
    assert line.state is State.OFFLINE
    assert steps(session) == [("disconnect", "ack", None)]


def test_a_session_that_the_nas_does_not_know_is_closed_here(
    session: DatabaseSession, enforcer: Enforcer, live: Any, bras: Bras
) -> None:
    service, row, _ = live()
    bras.box.by_session.clear()
    hold(session, service, HoldEffect.THROTTLE)
    enforcer.service_out_of_step(session, {"service_id": service.id})
    session.refresh(row)
    assert row.stop_kind is StopKind.NOT_FOUND
    assert steps(session) == [("coa", "nak", 503)]


def test_a_stale_address_among_the_keys_is_tried_without(
    session: DatabaseSession, enforcer: Enforcer, live: Any
) -> None:
    service, _, line = live(framed_ipv4="100.64.9.9")
    hold(session, service, HoldEffect.THROTTLE)
    enforcer.service_out_of_step(session, {"service_id": service.id})
    assert line.rate_limit == "512k/1000k"


def test_frozen_and_foreign_sessions_are_left_alone(
    session: DatabaseSession, enforcer: Enforcer, live: Any, bras: Bras
) -> None:
    service, row, _ = live()
    now = datetime.now(UTC)
    session.add(
        Session(
            nas_id=row.nas_id, box="b", acct_session_id="other", accept_id="", class_fingerprint=None, login="x",
            service_id=service.id, started_at=now, updated_at=now, nas_address="127.0.0.1",
        )
    )  # fmt: skip
    session.flush()
    hold(session, service, HoldEffect.THROTTLE)
    switches.freeze_enforcement(session, True, Actor("t"))
    enforcer.service_out_of_step(session, {"service_id": service.id})
    assert bras.requests == []
    owed = session.scalars(select(OutboxItem.topic)).all()
    assert "provisioning.session_out_of_step" in owed  # the work is kept
    switches.freeze_enforcement(session, False, Actor("t"))
    enforcer.service_out_of_step(session, {"service_id": service.id})
    assert bras.requests == [43]


def test_the_reconciler_owes_what_is_out_of_step_once(session: DatabaseSession, live: Any) -> None:
    service, row, _ = live()
    assert sweep(session) == 0
    row.class_fingerprint = policies.keep(session, policies.read(session, service.policy_fingerprint).__class__(  # type: ignore[union-attr]
        access="full", down_kbps=1, up_kbps=1))  # type: ignore[call-arg]  # fmt: skip
    session.flush()
    assert sweep(session) == 1
    assert sweep(session) == 0


def test_a_silent_nas_shuts_its_breaker_and_the_work_is_kept(
    session: DatabaseSession, enforcer: Enforcer, live: Any, bras: Bras, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aaa.coa import client

    monkeypatch.setattr(client, "RETRANSMIT_AT_S", (0.02,))
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)
    service, row, _ = live()
    bras.box.paused = True
    hold(session, service, HoldEffect.THROTTLE)
    for _ in range(5):
        enforcer.session_out_of_step(session, {"session_id": row.id})
    assert [outcome for _, outcome, _ in steps(session)] == ["timeout"] * 3  # then nobody asks for a while
    bras.box.paused = False
    enforcer.clock.advance(timedelta(seconds=30))  # type: ignore[attr-defined]
    enforcer.session_out_of_step(session, {"session_id": row.id})
    session.refresh(row)
    assert row.applied_fingerprint == service.policy_fingerprint
