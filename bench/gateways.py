"""Paid to wire through each gateway's simulator: charges ordered there over REST, paid there, told by its webhooks.

Each simulator is a process of its own (`provedor simulate gateway NAME`). The clock starts when its customer pays, and
is read at the BRAS as in `paid`: in between lie the gateway's own work, its webhook, and where that says too little the
question that we ask its API. Standard Webhooks have no gateway, and are sent from here.
"""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench import seed
from bench.node import PROGRAM, Node
from bench.paid import (
    ACK_MS_MAX,
    ONLINE,
    PATIENCE_S,
    SETUP_S,
    Bras,
    Payment,
    await_true,
    out_of_step,
    pay_steadily,
    restrict,
    simulated_bras,
)
from bench.report import Line, percentile, percentiles
from billing_hooks.gateways.base import GATHERED, NODES_APART
from billing_hooks.simulators import SIMULATORS
from billing_hooks.simulators.made_up import make_up

STANDARD = "standard"
#: Those that have an API to order at.
ORDERED_AT = tuple(name for name in SIMULATORS if name != STANDARD)
NAMES = (*ORDERED_AT, STANDARD)
EACH = 100
PER_S = 10.0
#: Nobody pays sooner after a charge was made. What is told of one within such a time may be gathered, and it is told of
#: when it is made as well (see `billing_hooks.gateways.base.gathered`).
CHARGE_AGE_S = (GATHERED + NODES_APART).total_seconds()
#: Who pays first after the node's start, the first payer of the quiet measurement, and those who have to dial again.
FIRST_OF_ALL = range(980, 1000)
FIRST = 1000
REDIALS = range(1900, 1940)
REDIAL_S = (5.0, 90.0)


@dataclass
class Simulator:
    """One at work, and our account there."""

    name: str
    account_id: str
    port: int


@dataclass
class ChargePayment:
    """A charge that its customer pays at the gateway; `sent` is when he does."""

    login: str
    charge_id: str
    port: int
    sent: float = field(default=0.0)

    def send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.connect()
        self.sent = time.monotonic()
        connection.request("POST", f"/_simulate/charges/{self.charge_id}/pay", b"{}")
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the simulator would not be paid: {answer.status} {told[:200]!r}")


def measure_gateways(node: Node) -> Iterator[Line]:
    with simulated_bras(ONLINE, REDIAL_S) as bras, node.connect() as connection, simulators(node) as running:
        await_true(lambda: bras.online >= ONLINE)
        await_true(lambda: out_of_step(connection, range(ONLINE)) == 0)
        payers = Payers(node, bras, connection, running)
        payments = payers.prepare(NAMES[0], FIRST_OF_ALL, "throttle")
        pay_steadily(payments, PER_S)
        yield payers.line(f"{NAMES[0]}: the same, the first after a start", payments, barred=False)
        for place, name in enumerate(NAMES):
            payments = payers.prepare(name, range(FIRST + place * EACH, FIRST + (place + 1) * EACH), "throttle")
            pay_steadily(payments, PER_S)
            yield payers.line(f"{name}: paid to its ACK by CoA, {PER_S:.0f}/s", payments)
        yield from _redials(payers)


def _redials(payers: Payers) -> Iterator[Line]:
    """Out of the walled garden a MikroTik's subscriber dials again; his CPE takes its time for that."""
    payments = payers.prepare("asaas", REDIALS, "walled_garden")
    pay_steadily(payments, PER_S)
    yield payers.line(f"asaas: paid to its ACK by Disconnect, {PER_S:.0f}/s", payments)
    await_true(lambda: len(payers.online_again(payments)) == len(payments), REDIAL_S[1] + PATIENCE_S, strict=False)
    back_ms = payers.online_again(payments)
    yield Line(
        f"asaas: paid to online again, CPEs dial after {REDIAL_S[0]:.0f} to {REDIAL_S[1]:.0f} s",
        f"{percentiles(back_ms)}, {len(back_ms)} of {len(payments)}", "", f"p99 {percentile(back_ms, 0.99):.0f} ms",
        "(shown)", None,
    )  # fmt: skip


class Payers:
    """Subscribers who owe, are restricted, and have a charge at a gateway."""

    def __init__(
        self, node: Node, bras: Bras, connection: psycopg.Connection[Any], running: Sequence[Simulator]
    ) -> None:
        self._node, self._bras, self._connection = node, bras, connection
        self._simulators = {one.name: one for one in running}

    def prepare(self, name: str, numbers: range, effect: str) -> list[ChargePayment | Payment]:
        seed.make_payable(self._connection, numbers)
        owed = restrict(self._node, self._connection, numbers, effect)
        if name == STANDARD:
            return [Payment(login, invoice) for login, (invoice, _) in owed.items()]
        simulator = self._simulators[name]
        logins = {invoice: login for login, (invoice, _) in owed.items()}
        charges = self._charges(simulator.account_id, list(logins))
        time.sleep(CHARGE_AGE_S)
        return [ChargePayment(logins[invoice], charge_id, simulator.port) for invoice, charge_id in charges.items()]

    def line(self, what: str, payments: Sequence[ChargePayment | Payment], *, barred: bool = True) -> Line:
        """Once all are on the wire, or patience has ended."""
        await_true(lambda: len(self._acks_ms(payments)) == len(payments), PATIENCE_S, strict=False)
        acks_ms = self._acks_ms(payments)
        missing, p99 = len(payments) - len(acks_ms), percentile(acks_ms, 0.99)
        kept = not missing and p99 < ACK_MS_MAX
        return Line(
            what, f"{percentiles(acks_ms)}, {len(payments)} payments" + (f", {missing} missing" if missing else ""), "",
            f"p99 {p99:.0f} ms", f"p99 < {ACK_MS_MAX}" if barred else "(shown)", kept if barred else None,
        )  # fmt: skip

    def online_again(self, payments: Sequence[ChargePayment | Payment]) -> list[float]:
        """Milliseconds from each payment until the subscriber was online by a new login."""
        found = [self._bras.first(one.login, "online", one.sent) for one in payments]
        return [1000 * (event["online"] - one.sent) for event, one in zip(found, payments, strict=True) if event]

    def _acks_ms(self, payments: Sequence[ChargePayment | Payment]) -> list[float]:
        found = [self._bras.cycle(one.login, one.sent, redial=False) for one in payments]
        return [one.ack_ms for one in found if one is not None]

    def _charges(self, account_id: str, invoices: list[str]) -> dict[str, str]:
        """Ordered over REST; {invoice: the gateway's id}."""
        body = {"account_id": account_id, "due_date": str(datetime.now(UTC).date() + timedelta(days=3))}
        with self._node.api() as api, ThreadPoolExecutor(4) as threads:
            for answer in threads.map(lambda one: api.post(f"/invoices/{one}/charges", json=body), invoices):
                answer.raise_for_status()
        wanted = [int(one) for one in invoices]

        def made() -> dict[str, str]:
            rows = self._connection.execute(
                "SELECT invoice_id, charge_id FROM charge WHERE invoice_id = ANY(%s) AND status = 'open'", (wanted,)
            )
            return {str(invoice): charge_id for invoice, charge_id in rows}

        await_true(lambda: len(made()) == len(wanted), SETUP_S)
        return made()


@contextmanager
def simulators(node: Node) -> Iterator[list[Simulator]]:
    """Each with an account of ours there."""
    with ExitStack() as stack, node.api() as api:
        yield [_start(name, node, api, stack) for name in ORDERED_AT]


def _start(name: str, node: Node, api: Any, stack: ExitStack) -> Simulator:  # noqa: ANN401
    account = make_up(name, datetime.now(UTC))
    command = [PROGRAM, "simulate", "gateway", name, "--hook", f"{node.url}/hooks/{name}", *account.options()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    assert process.stdout is not None
    base_url = process.stdout.readline().split(" on ")[1].split(",")[0]
    stack.enter_context(_drained(process))
    port = urlsplit(base_url).port or 0
    body = {"gateway": name, "name": f"{name} {port}", "secret": account.secret,
            "credentials": account.credentials, "settings": {**account.settings, "base_url": base_url}}  # fmt: skip
    answer = api.post("/gateway-accounts", json=body)
    answer.raise_for_status()
    return Simulator(name, answer.json()["id"], port)


@contextmanager
def _drained(process: subprocess.Popen[str]) -> Iterator[None]:
    """It tells of every webhook, and nobody reads that here."""
    assert process.stdout is not None
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        drain.wait(20)
