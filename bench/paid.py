"""Paid to wire: from the moment a gateway begins to send its webhook to the CoA or Disconnect at the BRAS.

The subscribers are online on a simulated BRAS in a process of its own, which stamps what arrives at its CoA port and
when its answer leaves. First they owe and are restricted, then each one's payment is sent, steadily or all at once.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import psycopg
from standardwebhooks import Webhook

from bench import seed
from bench.node import HTTP_PORT, Node
from bench.report import Line, percentile, percentiles

ONLINE = 5000
STEADY = range(500)
BURST = range(500, 600)
GARDEN = range(600, 700)
PER_S = 10.0
GARDEN_PER_S = 5.0
OCTET_MS_MAX = 300
ACK_MS_MAX = 500
#: After the last payment; what is not on the wire by then is counted as missing.
PATIENCE_S = 30.0
SETUP_S = 180.0

_OUT_OF_STEP = """
    SELECT count(*) FROM service v WHERE v.login = ANY(%s) AND NOT EXISTS (
      SELECT FROM session s WHERE s.service_id = v.id AND s.stopped_at IS NULL
        AND coalesce(s.applied_fingerprint, s.class_fingerprint) = v.policy_fingerprint)"""


class Cycle(NamedTuple):
    """Milliseconds from the webhook's start to the first octet at the BRAS and to its answer; where the CPE dialled
    again, its pause (its own time) and the time until it was online (ours)."""

    octet_ms: float
    ack_ms: float
    pause_ms: float | None
    login_ms: float | None


class Bras:
    """Follows what the BRAS's process tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def online(self) -> int:
        return sum(any("online" in event for event in events) for events in list(self._events.values()))

    def first(self, login: str, what: str, after: float) -> dict[str, Any] | None:
        """The first such event of this subscriber from then on."""
        return next((event for event in list(self._events[login]) if event.get(what, 0.0) >= after), None)

    def cycle(self, login: str, sent: float, *, redial: bool) -> Cycle | None:
        """What followed the payment; None while it is not complete."""
        asked = self.first(login, "asked", sent)
        if asked is None:
            return None
        octet_ms, ack_ms = 1000 * (asked["asked"] - sent), 1000 * (asked["answered"] - sent)
        if not redial:
            return Cycle(octet_ms, ack_ms, None, None)
        dialed = self.first(login, "dialed", asked["asked"])
        online = self.first(login, "online", asked["asked"])
        if dialed is None or online is None:
            return None
        pause_ms, login_ms = dialed["dialed"] - asked["answered"], online["online"] - dialed["dialed"]
        return Cycle(octet_ms, ack_ms, 1000 * pause_ms, 1000 * login_ms)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._events[event["login"]].append(event)


def measure_paid(node: Node) -> list[Line]:
    with simulated_bras(ONLINE) as bras, node.connect() as connection:
        await_true(lambda: bras.online >= ONLINE)
        await_true(lambda: out_of_step(connection, range(ONLINE)) == 0)
        run = Run(node, bras, connection)
        steady = run.cycles(STEADY, "throttle", PER_S)
        burst = run.cycles(BURST, "throttle", None)
        garden = run.cycles(GARDEN, "walled_garden", GARDEN_PER_S)
    return [
        *_lines(f"by CoA, {PER_S:.0f}/s", steady, len(STEADY), barred=True),
        *_lines(f"by CoA, {len(BURST)} at once", burst, len(BURST), barred=False),
        *_lines(f"by Disconnect, {GARDEN_PER_S:.0f}/s", garden, len(GARDEN), barred=True),
        _redial_line(garden),
    ]


class Run:
    """Restricts, pays, and waits for what follows."""

    def __init__(self, node: Node, bras: Bras, connection: psycopg.Connection[Any]) -> None:
        self._node = node
        self._bras = bras
        self._connection = connection

    def cycles(self, numbers: range, effect: str, per_s: float | None) -> list[Cycle]:
        """`per_s` None: all at once."""
        owed = restrict(self._node, self._connection, numbers, effect)
        payments = [Payment(login, invoice) for login, (invoice, _) in owed.items()]
        if per_s is None:
            pay_at_once(payments)
        else:
            pay_steadily(payments, per_s)
        redial = effect == "walled_garden"

        def complete() -> list[Cycle]:
            found = [self._bras.cycle(one.login, one.sent, redial=redial) for one in payments]
            return [one for one in found if one is not None]

        await_true(lambda: len(complete()) == len(payments), PATIENCE_S, strict=False)
        return complete()


def restrict(
    node: Node, connection: psycopg.Connection[Any], numbers: range, effect: str
) -> dict[str, tuple[str, str]]:
    """They owe, and are restricted on their live sessions; {login: (invoice, service)}."""
    owed = seed.owe(connection, list(numbers))
    with node.api() as api, ThreadPoolExecutor(4) as threads:
        body = {"reason": "billing", "effect": effect}
        for answer in threads.map(lambda one: api.post(f"/services/{one[1]}/holds", json=body), owed.values()):
            answer.raise_for_status()
    await_true(lambda: out_of_step(connection, numbers) == 0)
    return owed


class Payment:
    """A signed webhook; `sent` is when its first octet is handed to the network."""

    def __init__(self, login: str, invoice: str) -> None:
        self.login = login
        self.sent = 0.0
        now = datetime.now(UTC)
        message = f"bench-{invoice}"
        data = {"invoice_id": invoice, "payment_id": message, "amount_cents": seed.DEBT_CENTS,
                "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
        self._body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
        signature = Webhook(seed.WEBHOOK_SECRET).sign(message, now, self._body)
        self._headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp())),
                         "webhook-signature": signature}  # fmt: skip

    def send(self) -> None:
        with _connected() as connection:
            self.send_on(connection)

    def send_on(self, connection: http.client.HTTPConnection) -> None:
        self.sent = time.monotonic()
        connection.request("POST", "/hooks/standard", self._body, self._headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the webhook was answered with {answer.status}")


class Payable(Protocol):
    def send(self) -> None: ...


def pay_steadily(payments: Sequence[Payable], per_s: float) -> None:
    """Each at its time, whether the one before was answered or not."""
    started = time.monotonic()

    def pay(place: int) -> None:
        time.sleep(max(0.0, started + place / per_s - time.monotonic()))
        payments[place].send()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(pay, range(len(payments))))


def pay_at_once(payments: list[Payment]) -> None:
    start = threading.Barrier(len(payments))

    def pay(payment: Payment) -> None:
        with _connected() as connection:
            start.wait()
            payment.send_on(connection)

    with ThreadPoolExecutor(len(payments)) as threads:
        list(threads.map(pay, payments))


@contextmanager
def _connected() -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=30)
    connection.connect()
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def simulated_bras(subscribers: int, redial_s: tuple[float, float] = (1.0, 3.0)) -> Iterator[Bras]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bras", str(subscribers), *map(str, redial_s)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Bras(process)
    finally:
        process.terminate()
        process.wait(20)


def await_true(check: Callable[[], bool], timeout_s: float = SETUP_S, *, strict: bool = True) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            if strict:
                raise TimeoutError("what the measurement needs did not come about")
            return
        time.sleep(0.1)


def out_of_step(connection: psycopg.Connection[Any], numbers: range) -> int:
    return int(connection.execute(_OUT_OF_STEP, ([seed.login(one) for one in numbers],)).fetchall()[0][0])


def _lines(how: str, cycles: list[Cycle], wanted: int, *, barred: bool) -> list[Line]:
    return [
        _line(f"paid to the first octet {how}", [one.octet_ms for one in cycles], wanted, OCTET_MS_MAX, barred),
        _line(f"paid to its ACK {how}", [one.ack_ms for one in cycles], wanted, ACK_MS_MAX, barred),
    ]


def _line(what: str, times_ms: list[float], wanted: int, bar_ms: float, barred: bool) -> Line:
    missing = wanted - len(times_ms)
    ours = f"{percentiles(times_ms)}, {wanted} cycles" + (f", {missing} missing" if missing else "")
    kept = not missing and percentile(times_ms, 0.99) < bar_ms
    bar = f"p99 < {bar_ms}" if barred else "(shown)"
    return Line(what, ours, "", f"p99 {percentile(times_ms, 0.99):.0f} ms", bar, kept if barred else None)


def _redial_line(cycles: list[Cycle]) -> Line:
    pause = statistics.median(one.pause_ms for one in cycles if one.pause_ms is not None)
    login = [one.login_ms for one in cycles if one.login_ms is not None]
    return Line(
        "login after the Disconnect", percentiles(login), f"CPE's own pause: p50 {pause:.0f} ms",
        f"p99 {percentile(login, 0.99):.0f} ms", "(shown)", None,
    )  # fmt: skip
