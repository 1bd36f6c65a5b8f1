"""Quotas, prepaid balances and hours on a whole node, seen at the simulated BRAS's lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import Node, wait_for

from aaa.bras import BoxOptions, Credential, Runner
from aaa.bras.subscriber import State, Subscriber

pytestmark = pytest.mark.e2e

FULL, THROTTLED, NIGHT = "100000k/200000k", "512k/1024k", "200000k/400000k"
#: A line at its full rate uses 7.5 MB a second: each of these lasts some seconds.
QUOTA = 40_000_000
PLAN = {"down_kbps": 200_000, "up_kbps": 100_000, "throttle": {"down_kbps": 1024, "up_kbps": 512}}
BLOCK = {"quota_effect": "block"}
ALL_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
#: Two that are never closed together.
ALWAYS = [
    {"days": ALL_DAYS, "from": begins, "until": ends, "down_kbps": 400_000, "up_kbps": 200_000}
    for begins, ends in (("00:00", "12:00"), ("12:00", "00:00"))
]


class Provider:
    """A plan and a subscriber of each kind."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.plans = {
            "quota": node.post("/plans", {"name": "Franquia", "quota_bytes": QUOTA, **PLAN})["id"],
            "volume": node.post("/plans", {"name": "Pré-pago", "prepaid": "volume", **BLOCK, **PLAN})["id"],
            "time": node.post("/plans", {"name": "Por hora", "prepaid": "time", **BLOCK, **PLAN})["id"],
            "night": node.post("/plans", {"name": "Madrugada", **PLAN})["id"],
        }  # fmt: skip
        self.services = {login: self._subscriber(login) for login in self.plans}

    def _subscriber(self, login: str) -> str:
        customer = self.node.post("/customers", {"name": login, "kind": "person"})
        contract = self.node.post(
            "/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
        )
        body = {"contract_id": contract["id"], "plan_id": self.plans[login], "login": login, "password": "senha"}
        return str(self.node.post("/services", body)["id"])

    def usage(self, login: str) -> dict[str, Any]:
        return self.node.api.get(f"/services/{self.services[login]}/usage").json()  # type: ignore[no-any-return]

    def credit(self, login: str, **what: int) -> dict[str, Any]:
        return self.node.post(f"/services/{self.services[login]}/credits", what)

    def change(self, login: str, **what: Any) -> None:
        self.node.api.patch(f"/plans/{self.plans[login]}", json=what).raise_for_status()


@pytest.fixture(scope="module")
def provider(node: Node) -> Provider:
    return Provider(node)


@pytest.fixture(scope="module")
def lines(node: Node, provider: Provider) -> Iterator[dict[str, Subscriber]]:
    coa_port = free_port(socket.SOCK_DGRAM)
    node.post("/nas", {"name": "bras", "address": "127.0.0.1", "secret": NAS_SECRET, "vendor": "mikrotik",
                       "coa_port": coa_port})  # fmt: skip
    runner = Runner(
        BoxOptions(redial_s=(0.5, 1.0), interim_s=1.0), [Credential(login, "senha") for login in provider.services],
        server="127.0.0.1", auth_port=node.auth_port, acct_port=node.acct_port, coa_port=coa_port, control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    yield {one.login: one for one in runner.box.subscribers}
    stop.set()
    thread.join()


def test_a_prepaid_line_gets_what_it_paid_for_and_a_recharge_brings_it_back(
    provider: Provider, lines: dict[str, Subscriber]
) -> None:
    line = lines["volume"]
    wait_for(lambda: line.state is State.OFFLINE and line.rejects > 0)
    # It came in for a moment before it was known to have nothing, and owes that.
    owed = -provider.usage("volume")["prepaid"]["octets"]
    assert provider.credit("volume", octets=owed + QUOTA)["octets"] == QUOTA
    wait_for(lambda: line.state is State.ONLINE)
    assert line.grant.total_octets == QUOTA
    wait_for(lambda: line.state is State.OFFLINE)
    rejects = line.rejects
    wait_for(lambda: line.rejects > rejects)
    # Its box ended it, and its next login was refused, long before the server's clock looked at balances.
    assert -QUOTA * 0.1 < provider.usage("volume")["prepaid"]["octets"] <= 0
    provider.credit("volume", octets=1 << 40)
    wait_for(lambda: line.state is State.ONLINE)


def test_time_that_is_paid_for_ends_the_session_on_the_second(provider: Provider, lines: dict[str, Subscriber]) -> None:
    line = lines["time"]
    wait_for(lambda: line.state is State.OFFLINE and line.rejects > 0)
    owed = -provider.usage("time")["prepaid"]["seconds"]
    assert provider.credit("time", seconds=owed + 6)["seconds"] == 6
    wait_for(lambda: line.state is State.ONLINE)
    assert line.grant.session_timeout_s == 6
    assert 5 < wait_for(lambda: line.state is State.OFFLINE) < 8
    rejects = line.rejects
    wait_for(lambda: line.rejects > rejects)
    assert provider.usage("time")["prepaid"] == {"octets": 0, "seconds": 0}
    provider.credit("time", seconds=3600)
    wait_for(lambda: line.state is State.ONLINE)


def test_a_plans_hours_change_the_rate_of_the_open_session_and_back(
    provider: Provider, lines: dict[str, Subscriber]
) -> None:
    line = lines["night"]
    wait_for(lambda: line.rate_limit == FULL)
    session = line.acct_session_id
    provider.change("night", time_windows=ALWAYS)
    wait_for(lambda: line.rate_limit == NIGHT)
    provider.change("night", time_windows=[])
    wait_for(lambda: line.rate_limit == FULL)
    assert line.acct_session_id == session


def test_a_used_up_quota_throttles_the_open_session(
    node: Node, provider: Provider, lines: dict[str, Subscriber]
) -> None:
    line = lines["quota"]
    wait_for(lambda: line.rate_limit == THROTTLED, timeout_s=90)
    cycle = provider.usage("quota")["cycle"]
    assert (cycle["quota_bytes"], cycle["remaining_bytes"]) == (QUOTA, 0)
    assert "franquia esgotada" in node.run("explain", "quota")
    told = node.api.get("/events", params={"type": "quota.used"}).json()["items"]
    assert sorted(one["payload"]["percent"] for one in told) == [80, 100]
    assert line.logins == 1
