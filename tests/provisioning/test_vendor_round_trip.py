"""One service at each vendor's simulated box, by real adapters, decisions and CoA over UDP.

It logs in, is throttled, walled in, let out, moved to another plan live and by a redial, given a profile, and blocked.
What the line then has is what the box understood; that every CoA was acknowledged, what the router's documents allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from enforcing import Bras, World
from factories import make_plan, make_service
from sqlalchemy import select

from aaa.accept_class import class_attribute, find_class
from aaa.authenticator import SharedSecret, sign_accounting_response, sign_reply
from aaa.bras import BoxOptions, Configured
from aaa.bras.box import START, STOP, Datagram
from aaa.bras.subscriber import State, Subscriber
from aaa.coa import CoaClient
from aaa.packet import Code, Kind, Packet, parse
from aaa.vendors import Local, adapter
from core import policies
from core.access import Access, HoldEffect
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from core.models import Plan, Service, Session, StopKind, Vendor
from provisioning.enforce import Enforcer
from provisioning.routeros.lines import RouterLines
from provisioning.routers import Routers

SECRET = SharedSecret(b"testing123")
#: Upload and download, kbit/s.
FULL, THROTTLED, FASTER, GOLD = (50_000, 200_000), (512, 1_000), (150_000, 600_000), (70_000, 700_000)
COA, REDIAL = "coa", "disconnect"


@dataclass(frozen=True)
class Case:
    """A box and its NAS entry, and how each step reaches the session there."""

    vendor: Vendor
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    #: What the walled garden is called at the box, and what else is configured.
    walled_garden: str = "walled-garden"
    known: frozenset[str] = frozenset()
    rates: str = COA
    into_garden: str = COA
    out_of_garden: str = COA
    #: Whether a profile carries the rates here.
    has_profiles: bool = True


CASES = {
    "mikrotik": Case(Vendor.MIKROTIK, into_garden=REDIAL, out_of_garden=REDIAL, has_profiles=False),
    "huawei": Case(Vendor.HUAWEI, {"address_lists": {"full": "normal"}}, known=frozenset({"normal"})),
    "huawei without a group for everybody": Case(Vendor.HUAWEI, out_of_garden=REDIAL),
    "cisco ios": Case(Vendor.CISCO),
    "cisco ios_xr": Case(Vendor.CISCO, options={"platform": "ios_xr"}),
    "juniper": Case(Vendor.JUNIPER),
    "nokia": Case(Vendor.NOKIA, {"address_lists": {"walled-garden": "20"}}, walled_garden="20"),
    "nokia with an SLA profile for the garden": Case(
        Vendor.NOKIA, options={"ingress": "q:1", "egress": "a:root"}, out_of_garden=REDIAL
    ),
    "accel-ppp": Case(Vendor.ACCEL_PPP, options={"l4_redirect": "243"}, has_profiles=False),
    "accel-ppp with a pool for the garden": Case(
        Vendor.ACCEL_PPP, {"pools": {"walled-garden": "garden-pool"}}, {"shaper": "mikrotik"},
        walled_garden="garden-pool", into_garden=REDIAL, out_of_garden=REDIAL, has_profiles=False,
    ),
    "generic": Case(
        Vendor.GENERIC, rates=REDIAL, into_garden=REDIAL, out_of_garden=REDIAL, has_profiles=False
    ),
}  # fmt: skip


class Server:
    """Answers the box as the product's RADIUS server would: attributes by the real adapter, sessions into the table."""

    def __init__(self, world: World, case: Case) -> None:
        self.world = world
        self.case = case
        self.accounted: list[tuple[int, str]] = []
        self.bras: Bras
        self.nas_id = 0
        self._waiting: list[Datagram] = []

    def take(self, datagram: Datagram) -> None:
        self._waiting.append(datagram)

    def answer(self, now: float) -> None:
        waiting, self._waiting = self._waiting, []
        for datagram in waiting:
            request = parse(datagram.octets)
            if datagram.accounting:
                self._keep(request)
                reply = sign_accounting_response(request, b"", SECRET)
            else:
                reply = self._authorize(request)
            self.bras.box.receive(datagram.port, datagram.accounting, reply, now)

    def _authorize(self, request: Packet) -> bytes:
        with self.world.database.transaction() as session:
            service = session.scalars(select(Service).where(Service.login == request.text(Kind.USER_NAME))).one()
            policy = policies.read(session, service.policy_fingerprint)
            assert policy is not None
            fingerprint = bytes.fromhex(service.policy_fingerprint)
            attributes = class_attribute(service.id, b"12345678", fingerprint)
        if policy.access is Access.BLOCKED:
            return sign_reply(Code.ACCESS_REJECT, request.identifier, request.authenticator, b"", SECRET)
        local = Local(self.case.names, self.case.options)
        attributes += adapter(self.case.vendor).accept_attributes(policy, local)
        return sign_reply(Code.ACCESS_ACCEPT, request.identifier, request.authenticator, attributes, SECRET)

    def _keep(self, request: Packet) -> None:
        status, acct_session_id = request.integer(Kind.ACCT_STATUS_TYPE) or 0, request.text(Kind.ACCT_SESSION_ID) or ""
        self.accounted.append((status, acct_session_id))
        now = datetime.now(UTC)
        ours = find_class(request.every(Kind.CLASS))
        with self.world.database.transaction() as session:
            if status == START and ours is not None:
                session.add(
                    Session(
                        nas_id=self.nas_id, box="bras-1", acct_session_id=acct_session_id, accept_id=ours.accept_id,
                        service_id=ours.service_id, login=request.text(Kind.USER_NAME) or "",
                        class_fingerprint=ours.fingerprint, started_at=now, updated_at=now, nas_address="127.0.0.1",
                        nas_port_id=request.text(Kind.NAS_PORT_ID),
                        framed_ipv4=".".join(map(str, request.first(Kind.FRAMED_IP_ADDRESS) or b"")),
                    )
                )  # fmt: skip
            elif status == STOP:
                row = session.scalars(select(Session).where(Session.acct_session_id == acct_session_id)).one()
                row.stopped_at, row.stop_kind = now, StopKind.STOP


class Scene:
    """One service, at one box, and time that goes as fast as it is told."""

    def __init__(self, world: World, case: Case) -> None:
        self.world = world
        self.case = case
        self.server = Server(world, case)
        configured = Configured(
            options=case.options, profiles={"gold": GOLD}, walled_garden=case.walled_garden, known=case.known
        )
        options = BoxOptions(redial_s=(1.0, 2.0), vendor=case.vendor, configured=configured)
        self.bras = self.server.bras = Bras(options, self.server.take, lines=1)
        self.server.nas_id = world.nas(
            self.bras, vendor=case.vendor, names=case.names, options=case.options, disconnects_per_minute=600
        )
        self.now = self.bras.box.tick(0.0)
        self.bras.clock = lambda: self.now
        with world.database.transaction() as session:
            self.plan_id = make_plan(session).id
            service = make_service(session, world.keyring, plan=session.get_one(Plan, self.plan_id))
            self.service_id = service.id
            self.line.login, self.line.password = service.login or "", "secret"
        self.log_in()

    @property
    def line(self) -> Subscriber:
        return self.bras.box.subscribers[0]

    @property
    def rates(self) -> tuple[int, int]:
        return self.line.grant.up_kbps, self.line.grant.down_kbps

    @property
    def in_garden(self) -> bool:
        return self.line.grant.walled_garden

    def log_in(self) -> None:
        """Whatever CPE waits to dial does so, and the accounting is taken."""
        for _ in range(40):
            self.now += 0.1
            self.bras.box.tick(self.now)
            self.server.answer(self.now)

    def enforce(self) -> str:
        """How the session was brought in step; every request was acknowledged."""
        before = len(self.world.steps())
        requests = len(self.bras.requests)
        self.world.enforce(self.service_id)
        steps = self.world.steps()[before:]
        assert [outcome for _, outcome, _ in steps] == ["ack"], steps
        assert all(code == self.bras.requests[-1] for code in self.bras.requests[requests:])
        self.log_in()
        return steps[0][0]

    def hold(self, effect: HoldEffect) -> tuple[int, str]:
        placed = self.world.hold(self.service_id, effect)
        return placed, self.enforce()

    def lift(self, hold_id: int) -> str:
        self.world.lift(hold_id)
        return self.enforce()

    def change_plan(self, **values: Any) -> str:
        with self.world.database.transaction() as session:
            plan = session.get_one(Plan, self.plan_id)
            for name, value in values.items():
                setattr(plan, name, value)
            policies.refresh(session, [self.service_id])
        return self.enforce()


@pytest.fixture
def world(database: Database, keyring: Keyring) -> Iterator[World]:
    coa = CoaClient()
    with ThreadPoolExecutor(2) as conclusions:
        clock = ManualClock(datetime.now(UTC))
        routers = Routers(RouterLines(), utc_now)
        yield World(database, keyring, Enforcer(database, coa, routers, conclusions, keyring, clock, lambda _: True))
        routers.lines.close()
        coa.close()


@pytest.fixture(params=CASES.values(), ids=CASES)
def scene(request: pytest.FixtureRequest, world: World) -> Iterator[Scene]:
    scene = Scene(world, request.param)
    assert scene.line.state is State.ONLINE, "the box did not bring the session up"
    yield scene
    scene.bras.socket.close()


def test_a_login_gives_the_plans_rates_and_holds_take_them_and_give_them_back(scene: Scene) -> None:
    case = scene.case
    assert (scene.rates, scene.in_garden) == (FULL, False)
    throttle, how = scene.hold(HoldEffect.THROTTLE)
    assert (how, scene.rates, scene.in_garden) == (case.rates, THROTTLED, False)
    assert (scene.lift(throttle), scene.rates, scene.in_garden) == (case.rates, FULL, False)
    garden, how = scene.hold(HoldEffect.WALLED_GARDEN)
    assert (how, scene.rates, scene.in_garden) == (case.into_garden, THROTTLED, True)
    assert (scene.lift(garden), scene.rates, scene.in_garden) == (case.out_of_garden, FULL, False)


def test_a_blocked_line_is_disconnected_refused_and_comes_back(scene: Scene) -> None:
    block, how = scene.hold(HoldEffect.BLOCK)
    assert how == REDIAL
    assert scene.line.state is not State.ONLINE
    assert scene.line.rejects
    scene.world.lift(block)
    scene.log_in()
    assert (scene.line.state, scene.rates) == (State.ONLINE, FULL)


def test_another_plan_goes_live_where_it_can_and_by_a_redial_where_it_must(scene: Scene) -> None:
    up, down = FASTER
    assert scene.change_plan(up_kbps=up, down_kbps=down) == scene.case.rates
    assert scene.rates == FASTER
    assert scene.change_plan(address_pool="businesses") == REDIAL
    assert (scene.line.grant.pool, scene.rates) == ("businesses", FASTER)


@pytest.mark.parametrize("scene", [one for one in CASES.values() if one.has_profiles], indirect=True)
def test_a_profile_limits_where_the_vendor_has_such_a_thing_and_a_throttle_comes_before_it(scene: Scene) -> None:
    assert (scene.change_plan(profile="gold"), scene.rates) == (COA, GOLD)
    throttle, _ = scene.hold(HoldEffect.THROTTLE)
    assert scene.rates == THROTTLED
    scene.lift(throttle)
    assert scene.rates == GOLD


@pytest.mark.parametrize("scene", [CASES["accel-ppp"]], indirect=True)
def test_accel_ppp_is_told_of_a_vrf_and_of_a_timeout_in_two_coas(scene: Scene) -> None:
    """Of one that has both it takes the timeout alone, and says that it took everything."""
    assert scene.change_plan(vrf="business", session_seconds=3600) == COA
    assert (scene.line.grant.names["vrf"], scene.line.grant.session_timeout_s) == ("business", 3600)
