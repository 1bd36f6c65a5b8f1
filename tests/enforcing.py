"""Services with live sessions, a simulated BRAS behind one real socket, and the handlers as a worker runs them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from factories import make_nas, make_service
from sqlalchemy import select

from aaa.bras import Box, BoxOptions, Credential
from aaa.bras.box import Datagram
from aaa.bras.subscriber import Grant, State, Subscriber
from aaa.packet import Kind, parse
from core import holds
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.database import Database
from core.keyring import Keyring
from core.models import Nas, OutboxItem, Service, Session
from core.work import Handler
from provisioning.enforce import Enforcer
from provisioning.models import ASKING, EnforcementStep


class Bras:
    """The simulated box behind one real socket, its dynamic authorization port; `send` takes what else it sends."""

    def __init__(
        self, options: BoxOptions | None = None, send: Callable[[Datagram], None] = lambda _: None, lines: int = 4
    ) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        credentials = [Credential(str(number), "pw") for number in range(lines)]
        self.box = Box(options or BoxOptions(), credentials, send, time.time())
        #: What the box takes for the time.
        self.clock: Callable[[], float] = time.time
        self.requests: list[int] = []
        #: Logins whose requests get lost.
        self.deaf_to: set[str] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def put_online(self, login: str, acct_session_id: str) -> Subscriber:
        one = self.box.subscribers[self.box.online]
        one.login, one.acct_session_id, one.state = login, acct_session_id, State.ONLINE
        one.grant, one.framed_ipv4 = Grant(up_kbps=50_000, down_kbps=200_000), b"\x64\x40\0\1"
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
            answer = self.box.receive_dynamic(source, octets, self.clock())
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
