"""One plan in every vendor's dialect: a whole node, a NAS entry and a simulated box each, and holds over REST.

Every box speaks by its vendor's documents; the node knows of each no more than what its NAS entry says.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import Node, wait_for, whole_node

from aaa.bras import BoxOptions, Configured, Credential, Runner
from aaa.bras.subscriber import State, Subscriber

pytestmark = pytest.mark.e2e

FULL, THROTTLED = "100000k/200000k", "512k/1024k"


@dataclass(frozen=True)
class Place:
    """One box: its NAS entry, and what is configured at the box itself."""

    name: str
    vendor: str
    entry: dict[str, Any] = field(default_factory=dict)
    walled_garden: str = "walled-garden"
    known: frozenset[str] = frozenset()
    #: Whether its CoA changes rates, and puts into the walled garden and out of it, without a redial.
    live: bool = True
    garden_live: bool = True

    @property
    def login(self) -> str:
        return f"cliente-{self.name}"


PLACES = (
    Place("mikrotik", "mikrotik", garden_live=False),
    Place("huawei", "huawei", {"names": {"address_lists": {"full": "normal"}}}, known=frozenset({"normal"})),
    Place("ios", "cisco"),
    Place("xr", "cisco", {"options": {"platform": "ios_xr"}}),
    Place("juniper", "juniper"),
    Place("nokia", "nokia", {"names": {"address_lists": {"walled-garden": "20"}}}, walled_garden="20"),
    Place("accel", "accel_ppp", {"options": {"l4_redirect": "243"}}),
    Place("generic", "generic", live=False, garden_live=False),
)


class Provider:
    """A plan for everybody, and one subscriber at each box."""

    def __init__(self, node: Node) -> None:
        self.node = node
        plan = node.post(
            "/plans",
            {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000,
             "throttle": {"down_kbps": 1024, "up_kbps": 512}},
        )  # fmt: skip
        self.plan_id = plan["id"]
        self.services = {place.name: self._subscriber(place) for place in PLACES}

    def _subscriber(self, place: Place) -> str:
        customer = self.node.post("/customers", {"name": place.name, "kind": "person"})
        contract = self.node.post(
            "/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
        )
        body = {"contract_id": contract["id"], "plan_id": self.plan_id, "login": place.login, "password": "senha"}
        return str(self.node.post("/services", body)["id"])

    def hold(self, effect: str) -> dict[str, str]:
        """On everybody; ids by place."""
        body = {"reason": "billing", "effect": effect}
        return {name: self.node.post(f"/services/{one}/holds", body)["id"] for name, one in self.services.items()}

    def lift(self, placed: dict[str, str]) -> None:
        for name, hold_id in placed.items():
            self.node.api.delete(f"/services/{self.services[name]}/holds/{hold_id}").raise_for_status()

    def session(self, name: str) -> dict[str, Any] | None:
        answer = self.node.api.get("/sessions", params={"service_id": self.services[name], "active": True})
        items = answer.json()["items"]
        return items[0] if len(items) == 1 else None


@contextmanager
def box(node: Node, place: Place, address: str) -> Iterator[Subscriber]:
    """The line at this place's simulated box, which runs in a thread."""
    port = free_port(socket.SOCK_DGRAM)
    node.post("/nas", {"name": place.name, "address": address, "secret": NAS_SECRET, "vendor": place.vendor,
                       "coa_port": port, "disconnects_per_minute": 600, **place.entry})  # fmt: skip
    configured = Configured(
        options=place.entry.get("options", {}), walled_garden=place.walled_garden, known=place.known
    )
    runner = Runner(
        BoxOptions(identity=place.name, address=address, redial_s=(0.3, 0.6), interim_s=1.0, vendor=place.vendor,
                   configured=configured),
        [Credential(place.login, "senha")], server="127.0.0.1", auth_port=node.auth_port, acct_port=node.acct_port,
        coa_port=port, control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    try:
        yield runner.box.subscribers[0]
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with whole_node(tmp_path_factory.mktemp("vendors") / "data") as node:
        yield Provider(node)


@pytest.fixture(scope="module")
def lines(provider: Provider) -> Iterator[dict[str, Subscriber]]:
    """By place; everybody is online, and the node knows it."""
    with ExitStack() as stack:
        lines = {
            place.name: stack.enter_context(box(provider.node, place, f"127.0.1.{number}"))
            for number, place in enumerate(PLACES, start=1)
        }
        wait_for(lambda: all(one.state is State.ONLINE for one in lines.values()))
        wait_for(lambda: all(provider.session(name) for name in lines))
        yield lines


def have(lines: dict[str, Subscriber], rates: str, *, garden: bool) -> None:
    """Wait until every line has this; otherwise say what each has."""

    def found() -> dict[str, tuple[str, bool]]:
        return {name: (one.rate_limit, one.grant.walled_garden) for name, one in lines.items()}

    wanted = dict.fromkeys(lines, (rates, garden))
    try:
        wait_for(lambda: found() == wanted)
    except pytest.fail.Exception:
        assert found() == wanted


def in_step(provider: Provider) -> None:
    wait_for(lambda: all((provider.session(name) or {}).get("in_step") for name in provider.services), every_s=0.1)


def test_one_plan_is_the_same_line_in_every_dialect(provider: Provider, lines: dict[str, Subscriber]) -> None:
    have(lines, FULL, garden=False)
    in_step(provider)


def test_a_throttle_reaches_each_line_and_leaves_it(provider: Provider, lines: dict[str, Subscriber]) -> None:
    logins = {name: one.logins for name, one in lines.items()}
    placed = provider.hold("throttle")
    have(lines, THROTTLED, garden=False)
    in_step(provider)
    provider.lift(placed)
    have(lines, FULL, garden=False)
    in_step(provider)
    redialed = {name for name, one in lines.items() if one.logins != logins[name]}
    assert redialed == {place.name for place in PLACES if not place.live}


def test_the_walled_garden_takes_each_line_in_and_lets_it_out(provider: Provider, lines: dict[str, Subscriber]) -> None:
    logins = {name: one.logins for name, one in lines.items()}
    placed = provider.hold("walled_garden")
    have(lines, THROTTLED, garden=True)
    in_step(provider)
    provider.lift(placed)
    have(lines, FULL, garden=False)
    in_step(provider)
    redialed = {name for name, one in lines.items() if one.logins != logins[name]}
    assert redialed == {place.name for place in PLACES if not place.garden_live}


def test_a_faster_plan_is_at_each_box_that_changes_it_live_and_at_the_others_at_the_next_login(
    provider: Provider, lines: dict[str, Subscriber]
) -> None:
    provider.node.api.patch(f"/plans/{provider.plan_id}", json={"down_kbps": 400_000}).raise_for_status()
    live = {place.name: lines[place.name] for place in PLACES if place.live}
    have(live, "100000k/400000k", garden=False)


def test_a_block_leaves_every_line_offline_and_refused(provider: Provider, lines: dict[str, Subscriber]) -> None:
    placed = provider.hold("block")
    wait_for(lambda: all(one.state is not State.ONLINE and one.rejects for one in lines.values()))
    provider.lift(placed)
    have(lines, "100000k/400000k", garden=False)
