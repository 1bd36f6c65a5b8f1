"""People pay at gateways, a run suspends others and another billing system is followed, while something is away or
killed: every payment is applied once, and every hold is right in the end. `pytest -s` shows what happened."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
from free_ports import free_port
from gateway_processes import Gateway, gateways
from loads import Background
from small_provider import ANY_TIME, FULL, Provider, online
from whole_node import PROVEDOR, Node, kill, stopped, wait_for

from aaa.bras import Runner
from aaa.bras.subscriber import State, Subscriber
from provedor.embedded import EmbeddedPostgres, EmbeddedValkey

pytestmark = pytest.mark.e2e

#: By their numbers: who pays while something breaks, whom the run suspends meanwhile, and who is the ERP's.
PAYERS, DEBTORS, FOLLOWED = range(12), range(12, 24), range(24, 28)
#: The first tells all that there is to tell, the second only that there is something to ask for.
AT = ("asaas", "iugu")
#: Divides the pauses of the gateways' retries, of which some are hours.
SPEED = 30
AWAY_S = 5.0
RIGHT_S = 90.0
ERP_TOKEN = "17:0123456789abcdef"


@dataclass
class Payer:
    service: dict[str, Any]
    invoice: dict[str, Any]
    gateway: Gateway
    charge_id: str


class Payments(Background):
    """One after another at their gateways, whatever becomes of us meanwhile."""

    INTERVAL_S = 0.4

    def __init__(self, payers: list[Payer]) -> None:
        super().__init__()
        self._payers = payers

    def run(self) -> None:
        for payer in self._payers:
            payer.gateway.pay(payer.charge_id)
            self.stopping.wait(self.INTERVAL_S)


@dataclass
class House:
    """The node with everybody who talks to it."""

    provider: Provider
    runner: Runner
    gateways: dict[str, Gateway]
    erp: httpx.Client
    #: Whom the ERP restricts, by their numbers; the others of its subscribers it does not.
    restricted: set[int] = field(default_factory=set)

    @property
    def node(self) -> Node:
        return self.provider.node

    def line(self, number: int) -> Subscriber:
        return self.runner.box.subscribers[number]

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(EmbeddedPostgres(self.node.data / "postgres").url, autocommit=True)

    @contextmanager
    def everything_at_once(self, name: str) -> Iterator[None]:
        """Something breaks in the block; afterwards everything is waited for and checked, and everybody is free."""
        payers = self._payers()
        invoices = [self.provider.owe(self.provider.services[number]) for number in DEBTORS]
        self.restricted = set(FOLLOWED) - self.restricted
        began = time.monotonic()
        payments = Payments(payers)
        payments.start()
        self._start_run()
        self._erp_says()
        yield
        payments.finish()
        broken_s = time.monotonic() - began
        self._await_everything(payers)
        took_s = time.monotonic() - began
        answers = {at: dict(Counter(gateway.answers())) for at, gateway in self.gateways.items()}
        print(f"{name}: over after {broken_s:.1f} s, all right after {took_s:.1f} s; answers so far: {answers}")  # noqa: T201
        self._free(invoices, name)

    def _payers(self) -> list[Payer]:
        """They owe and are throttled, and have a charge each."""
        payers = []
        for number, at in zip(PAYERS, itertools.cycle(AT), strict=False):
            service, gateway = self.provider.services[number], self.gateways[at]
            invoice = self.provider.owe(service)
            self.provider.hold(service, "throttle")
            payers.append(Payer(service, invoice, gateway, self.provider.order_charge(invoice, gateway.account_id)))
        wait_for(lambda: all(self.line(number).rate_limit != FULL for number in PAYERS))
        return payers

    def _start_run(self) -> None:
        """What it owes is done while something breaks."""
        answer = self.node.api.post("/billing-runs", json={})
        assert answer.status_code == 201, answer.text

    def _erp_says(self) -> None:
        for number in FOLLOWED:
            standing = "CM" if number in self.restricted else "A"
            self.erp.post(f"/_simulate/subscribers/cliente{number}", json={"standing": standing}).raise_for_status()

    def _await_everything(self, payers: list[Payer]) -> None:
        wait_for(self.node.answers)
        for gateway in self.gateways.values():  # as a person who reads the alarm
            gateway.simulate("resume")
        in_garden = {*DEBTORS, *self.restricted}
        free = {*PAYERS, *FOLLOWED} - self.restricted
        with self.connect() as connection:
            wait_for(lambda: self._paid(connection, payers) == len(payers), RIGHT_S, every_s=0.2)
            wait_for(lambda: all(self._is_free(one) for one in free), RIGHT_S, every_s=0.2)
            wait_for(lambda: all(self._in_garden(one) for one in in_garden), RIGHT_S, every_s=0.2)
            for query in (
                "SELECT count(*) FROM billing_run WHERE finished_at IS NULL",
                "SELECT count(*) FROM inbox_entry WHERE status IN ('received', 'waiting')",
            ):
                wait_for(lambda query=query: connection.execute(query).fetchall() == [(0,)], RIGHT_S, every_s=0.2)
            self._check_once(connection, payers, in_garden)

    def _check_once(self, connection: psycopg.Connection[Any], payers: list[Payer], in_garden: set[int]) -> None:
        for payer in payers:
            rows = connection.execute(
                "SELECT count(*), sum(amount_cents - surcharge_cents) FROM payment WHERE invoice_id = %s",
                (payer.invoice["id"],),
            ).fetchall()
            assert rows == [(1, payer.invoice["amount_cents"])]
        holds = connection.execute(
            "SELECT login, count(*) FROM hold JOIN service ON service.id = service_id WHERE lifted_at IS NULL "
            "GROUP BY login"
        ).fetchall()
        assert dict(holds) == {f"cliente{number}": 1 for number in in_garden}
        assert connection.execute("SELECT error FROM inbox_entry WHERE status = 'failed'").fetchall() == []

    def _paid(self, connection: psycopg.Connection[Any], payers: list[Payer]) -> int:
        wanted = [int(payer.invoice["id"]) for payer in payers]
        query = "SELECT count(*) FROM invoice WHERE id = ANY(%s) AND status = 'paid'"
        return int(connection.execute(query, (wanted,)).fetchall()[0][0])

    def _is_free(self, number: int) -> bool:
        line = self.line(number)
        return line.state is State.ONLINE and line.address_list == "" and line.rate_limit == FULL

    def _in_garden(self, number: int) -> bool:
        line = self.line(number)
        return line.state is State.ONLINE and line.address_list == "walled-garden"

    def _free(self, invoices: list[dict[str, Any]], name: str) -> None:
        """The debtors pay as well, by webhooks of a system of their own."""
        for invoice in invoices:
            assert self.provider.pay(invoice, f"{name}-{invoice['id']}") == 200
        wait_for(lambda: all(self._is_free(number) for number in DEBTORS), RIGHT_S, every_s=0.2)


@pytest.fixture(scope="module")
def house(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    provider = Provider(node, FOLLOWED.stop)
    disturbed = ("--speed", str(SPEED), "--repeat", "0.3", "--reorder", "0.3")
    file = tmp_path_factory.mktemp("erp") / "clientes.csv"
    with online(provider) as runner, gateways(node, *AT, options=disturbed) as running, _erp(node, file) as erp:
        body = {**ANY_TIME, "guard": {"count_floor": 10_000}}
        node.post("/billing-policies", {"name": "any time", "default_for": "person", "body": body})
        _follow(provider, erp)
        yield House(provider, runner, running, erp)


@contextmanager
def _erp(node: Node, file: Path) -> Iterator[httpx.Client]:
    file.write_text("login,name\n" + "".join(f"cliente{n},Cliente {n}\n" for n in FOLLOWED))
    port = free_port()
    command = [PROVEDOR, "simulate", "erp", "ixc", "--port", str(port), "--subscribers", str(file)]
    process = subprocess.Popen(
        [*command, "--credential", f"token={ERP_TOKEN}"], env=node.environment, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


def _follow(provider: Provider, erp: httpx.Client) -> None:
    node = provider.node
    body = {"kind": "ixc", "name": "matriz", "settings": {"base_url": str(erp.base_url)}, "every_s": 5,
            "credentials": {"token": ERP_TOKEN}}  # fmt: skip
    source = f"/follow-sources/{node.post('/follow-sources', body)['id']}"
    node.post(f"{source}/read", {})
    wait_for(lambda: node.api.get(source).json()["read_at"] is not None)
    node.api.patch(source, json={"mode": "live"}).raise_for_status()
    contracts = [provider.services[number]["contract_id"] for number in FOLLOWED]
    node.post(f"{source}/switch", {"follow": True, "dry_run": False, "contract_ids": contracts})


def postgresql_stands_still(house: House) -> None:
    with stopped(house.node.postgres_family()):
        time.sleep(AWAY_S)


def the_broker_stands_still_and_forgets(house: House) -> None:
    url = EmbeddedValkey(house.node.data / "valkey").url.replace("redis+socket://", "unix://")
    with redis.Redis.from_url(url) as broker:
        with stopped([house.node.program("valkey-server")]):
            time.sleep(AWAY_S)
        broker.flushall()


def the_gateways_apis_are_away(house: House) -> None:
    for gateway in house.gateways.values():
        gateway.simulate("away/503")
    time.sleep(AWAY_S)
    for gateway in house.gateways.values():
        gateway.simulate("away/0")


def the_erp_is_away(house: House) -> None:
    house.erp.post("/_simulate/away/503").raise_for_status()
    time.sleep(AWAY_S)
    house.erp.post("/_simulate/away/0").raise_for_status()


def the_nas_is_deaf(house: House) -> None:
    house.runner.box.paused = True
    time.sleep(AWAY_S)
    house.runner.box.paused = False


def workers_are_killed(house: House) -> None:
    for name in ("pvd-enforce", "pvd-worker", "pvd-relay", "pvd-enforce", "pvd-worker"):
        kill(house.node, name)
        time.sleep(0.7)


def the_api_is_killed(house: House) -> None:
    for _ in range(3):
        kill(house.node, "pvd-api")
        time.sleep(1.0)


FAULTS = (
    postgresql_stands_still, the_broker_stands_still_and_forgets, the_gateways_apis_are_away, the_erp_is_away,
    the_nas_is_deaf, workers_are_killed, the_api_is_killed,
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_payment_counts_once_and_every_hold_is_right(house: House, fault: Callable[[House], None]) -> None:
    with house.everything_at_once(fault.__name__):
        fault(house)
