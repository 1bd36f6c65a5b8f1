"""What goes on while something breaks, with ledgers of what the node acknowledged, and what must hold afterwards."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from small_provider import FULL, LOGINS, NAS_SECRET, THROTTLED, Provider
from whole_node import wait_for

from aaa import testclient
from aaa.authenticator import SharedSecret
from aaa.bras.subscriber import State, Subscriber
from aaa.packet import Code, Kind, parse, text_attribute

ROOT: Final = Path(__file__).parents[2]
STATUSES: Final = {1: 0, 3: 1, 2: 2}
#: Nobody accepted for this long is an outage: the tests make longer ones, and a busy machine's pauses are shorter.
GAP_S_MAX: Final = 5.0

#: How often each (Acct-Session-Id, Acct-Status-Type) was acknowledged.
Ledger = Counter[tuple[str, int]]
Connection = psycopg.Connection[Any]
Connect = Callable[[], Connection]


class Background:
    """Something that runs in a thread until `finish`, which raises what went wrong in it."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._guarded)

    def run(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def finish(self, timeout_s: float = 120.0) -> None:
        self.stopping.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"{type(self).__name__} does not come to its end"
        if self._failures:
            raise self._failures[0]

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001  (raised again by `finish`)
            self._failures.append(error)


def build_radload(directory: Path) -> Path:
    program = directory / "radload"
    subprocess.run(["cc", "-O2", "-o", str(program), str(ROOT / "bench" / "radload.c"), "-lm"], check=True)
    return program


class AccountingLoad(Background):
    """`radload` round after round: in each, a second of Starts, then Interim-Updates, then Stops, at `rate` a second.

    It retransmits until it is answered, as a NAS does that waits.
    """

    def __init__(self, radload: Path, port: int, name: str, rate: int = 2000) -> None:
        super().__init__()
        self.name = name
        self.ledger: Ledger = Counter()
        self._command = [str(radload), "-p", str(port), "-m", "acct", "-q", str(rate), "-n", str(rate * 3),
                         "-u", "1000", "-t", "1", "-r", "200", "-N", "radload"]  # fmt: skip
        self._directory = radload.parent

    def run(self) -> None:
        for number in itertools.count():
            file = self._directory / f"{self.name}-{number}.csv"
            command = [*self._command, "-R", f"{self.name}-{number}", "-L", str(file)]
            _check_round(json.loads(subprocess.run(command, check=False, capture_output=True).stdout))
            for line in file.read_text().splitlines():
                session, status = line.rsplit(",", 1)
                self.ledger[session, int(status)] += 1
            if self.stopping.is_set():
                return


def _check_round(result: dict[str, Any]) -> None:
    """Everything was answered, and by the server that knows the secret.

    The answer to a retransmit may come when its Identifier is in use again, and looks forged then.
    """
    assert result["accepted"] == result["requests"], result
    assert result["forged"] <= result["retransmits"], result


class AuthenticationLoad(Background):
    """A hundred logins a second from four source ports. What is not answered within a second is sent again."""

    INTERVAL_S: Final = 0.01
    RETRANSMIT_S: Final = 1.0
    PATIENCE_S: Final = 30.0

    def __init__(self, port: int) -> None:
        super().__init__()
        self.accepted_at: list[float] = []
        self.slowest_s = 0.0
        self.rejected = 0
        self.unanswered = 0
        self._secret = SharedSecret(NAS_SECRET.encode())
        self._server = ("127.0.0.1", port)
        #: Not connected: while nobody listens, a connected one would report each request that was refused.
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        for one in self._sockets:
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
        #: (socket's number, Identifier): request, first and last sent at.
        self._waiting: dict[tuple[int, int], tuple[testclient.Login, float, float]] = {}
        self._answered: dict[tuple[int, int], testclient.Login] = {}

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which nobody was accepted."""
        return max(after - before for before, after in itertools.pairwise(self.accepted_at))

    def run(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            self._receive()
            self._send_again()
            if self.stopping.is_set() and not self._waiting:
                break
            if not self.stopping.is_set():
                self._ask(number)
            due += self.INTERVAL_S
            time.sleep(max(0.0, due - time.monotonic()))
        for one in self._sockets:
            one.close()

    def _ask(self, number: int) -> None:
        key = (number % 4, number // 4 % 256)
        if key in self._waiting:
            return
        subscriber = number % LOGINS
        request = testclient.access_request(
            key[1], f"cliente{subscriber}", f"senha{subscriber}", "pap", text_attribute(Kind.NAS_IDENTIFIER, "probe"),
            self._secret, os.urandom,
        )  # fmt: skip
        now = time.monotonic()
        self._waiting[key] = (request, now, now)
        self._sockets[key[0]].sendto(request.octets, self._server)

    def _receive(self) -> None:
        for number, one in enumerate(self._sockets):
            for octets in _drain(one):
                reply = parse(octets)
                key = (number, reply.identifier)
                before = self._answered.get(key)
                if before is not None and testclient.reply_valid(reply, before, self._secret):
                    continue  # the answer to a retransmit as well
                request, first, _ = self._waiting.pop(key)
                assert testclient.reply_valid(reply, request, self._secret)
                self._answered[key] = request
                now = time.monotonic()
                self.slowest_s = max(self.slowest_s, now - first)
                self.accepted_at.append(now)
                self.rejected += reply.code != Code.ACCESS_ACCEPT

    def _send_again(self) -> None:
        now = time.monotonic()
        for key, (request, first, last) in list(self._waiting.items()):
            if now - first > self.PATIENCE_S:
                del self._waiting[key]
                self.unanswered += 1
            elif now - last > self.RETRANSMIT_S:
                self._waiting[key] = (request, first, now)
                self._sockets[key[0]].sendto(request.octets, self._server)


class PaymentLoad(Background):
    """A gateway's webhooks, one after another; each is repeated until it gets its 200, and every third once more."""

    INTERVAL_S: Final = 0.3
    #: Gateways wait for a few seconds and try again later.
    TIMEOUT_S: Final = 3.0

    def __init__(self, provider: Provider, name: str, invoices: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.refusals: Counter[str] = Counter()
        self._provider = provider
        self._name = name
        self._invoices = invoices

    def run(self) -> None:
        for number, invoice in enumerate(self._invoices):
            message = f"{self._name}-{number}"
            self._insist(invoice, message)
            self.acknowledged.append(message)
            if number % 3 == 0:
                self._insist(invoice, message)
            if not self.stopping.is_set():
                self.stopping.wait(self.INTERVAL_S)

    def _insist(self, invoice: dict[str, Any], message: str) -> None:
        while (answer := self._send(invoice, message)) != "200":
            self.refusals[answer] += 1
            time.sleep(0.3)

    def _send(self, invoice: dict[str, Any], message: str) -> str:
        try:
            return str(self._provider.pay(invoice, message, self.TIMEOUT_S))
        except httpx.HTTPError as error:
            return type(error).__name__


@dataclass
class Loads:
    accounting: AccountingLoad
    authentication: AuthenticationLoad
    payments: PaymentLoad
    invoices: list[dict[str, Any]]

    def describe(self) -> str:
        authentication = self.authentication
        return (
            f"{self.accounting.name}: {len(self.accounting.ledger)} records acknowledged; "
            f"{len(authentication.accepted_at)} accepts, longest gap {authentication.longest_gap_s:.2f} s, "
            f"slowest answer {authentication.slowest_s:.2f} s, {authentication.unanswered} unanswered; "
            f"{len(self.payments.acknowledged)} payments, refused before: {dict(self.payments.refusals)}"
        )


@contextmanager
def everything_at_once(provider: Provider, lines: dict[str, Subscriber], radload: Path, name: str) -> Iterator[Loads]:
    """Subscribers who owe and are throttled pay, one after another, while others log in and are accounted.

    At the end, everybody has been answered and everything that was promised is waited for and checked.
    """
    invoices = _restrict_all(provider, lines)
    node = provider.node
    loads = Loads(
        AccountingLoad(radload, node.acct_port, name), AuthenticationLoad(node.auth_port),
        PaymentLoad(provider, name, invoices), invoices,
    )  # fmt: skip
    running: list[Background] = [loads.accounting, loads.authentication, loads.payments]
    for load in running:
        load.start()
    time.sleep(1)
    try:
        yield loads
        time.sleep(1)
    finally:
        for load in running:
            load.stopping.set()
        for load in running:
            load.finish()
    print(loads.describe())  # noqa: T201  (shown with -s, and when the test fails)


def check_everything(
    provider: Provider, lines: dict[str, Subscriber], loads: Loads, connect: Connect, gap_s_max: float
) -> None:
    authentication = loads.authentication
    assert authentication.longest_gap_s < gap_s_max, loads.describe()
    assert not authentication.rejected, loads.describe()
    assert not authentication.unanswered, loads.describe()
    with connect() as connection:
        check_accounting(connection, loads.accounting.name, loads.accounting.ledger)
        _check_payments(connection, loads)
        assert connection.execute("SELECT * FROM went_backwards").fetchall() == []
    assert len(loads.payments.acknowledged) == len(loads.invoices)
    wait_for(lambda: all(one.state is State.ONLINE and one.rate_limit == FULL for one in lines.values()))
    wait_for(lambda: all(_in_step(provider, service) for service in provider.services), every_s=0.2)


class UnderLoad:
    """`with under_load("a-name"):` whatever breaks in the block, everything is checked after it."""

    def __init__(
        self, provider: Provider, lines: dict[str, Subscriber], radload: Path, database_url: Callable[[], str]
    ) -> None:
        self._provider = provider
        self._lines = lines
        self._radload = radload
        self._database_url = database_url
        with self.connect() as connection:
            _watch_counters(connection)

    def connect(self) -> Connection:
        return psycopg.connect(self._database_url(), autocommit=True)

    @contextmanager
    def __call__(self, name: str, gap_s_max: float = GAP_S_MAX) -> Iterator[Loads]:
        with everything_at_once(self._provider, self._lines, self._radload, name) as loads:
            yield loads
        check_everything(self._provider, self._lines, loads, self.connect, gap_s_max)


def _watch_counters(connection: Connection) -> None:
    """From now on the database itself notes every session counter that is taken back."""
    counters = ("session_seconds", "input_octets", "output_octets", "input_packets", "output_packets", "interims")
    worse = " OR ".join(f"NEW.{name} < OLD.{name}" for name in counters)
    connection.execute(f"""
        CREATE TABLE went_backwards (session_id bigint);
        CREATE FUNCTION note_backwards() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN INSERT INTO went_backwards VALUES (NEW.id); RETURN NULL; END';
        CREATE TRIGGER note_backwards AFTER UPDATE ON session FOR EACH ROW WHEN ({worse})
          EXECUTE FUNCTION note_backwards()""")  # fmt: skip


def check_accounting(connection: Connection, name: str, ledger: Ledger) -> None:
    """Every acknowledged record is there exactly once, and sessions stand where they stood when last acknowledged."""
    assert ledger
    wait_for(lambda: not set(ledger) - set(_stored(connection, name)), every_s=0.5)
    assert set(_stored(connection, name).values()) == {1}
    reached = {session: max(STATUSES[status] for other, status in group) for session, group in _grouped(ledger)}
    rows = connection.execute(
        "SELECT acct_session_id, input_octets, output_octets, stopped_at IS NOT NULL FROM session "
        "WHERE acct_session_id LIKE %s",
        (f"{name}-%",),
    ).fetchall()
    wrong = [row for row in rows if row[1:] != _expected(reached[row[0]])]
    assert not wrong, wrong[:5]
    assert len(rows) == len(reached)


def _grouped(ledger: Ledger) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    for session, group in itertools.groupby(sorted(ledger), key=lambda key: key[0]):
        yield session, list(group)


def _expected(phase: int) -> tuple[int, int, bool]:
    """What radload's last packet of a session said: Start, Interim-Update, Stop are phases 0, 1, 2."""
    moved = phase * 300
    return 1000 * moved, 7000 * moved + (phase << 32), phase == 2


def _stored(connection: Connection, name: str) -> dict[tuple[str, int], int]:
    rows = connection.execute(
        "SELECT acct_session_id, status, count(*) FROM accounting_record WHERE acct_session_id LIKE %s GROUP BY 1, 2",
        (f"{name}-%",),
    )
    return {(session, status): count for session, status, count in rows}


def _check_payments(connection: Connection, loads: Loads) -> None:
    """Every payment that got its 200 is applied exactly once: one row, and the invoice paid."""
    wanted = loads.payments.acknowledged

    def applied() -> dict[str, int]:
        rows = connection.execute(
            "SELECT p.external_id, count(*) FROM payment p JOIN invoice i ON i.id = p.invoice_id "
            "WHERE p.external_id = ANY(%s) AND i.status = 'paid' GROUP BY 1",
            (wanted,),
        )
        return dict(rows.fetchall())

    wait_for(lambda: len(applied()) == len(wanted), every_s=0.2)
    assert set(applied().values()) == {1}


def _restrict_all(provider: Provider, lines: dict[str, Subscriber]) -> list[dict[str, Any]]:
    """Everybody owes and is throttled on the live session; returns the invoices."""
    invoices = []
    for service in provider.services:
        invoices.append(provider.owe(service))
        provider.hold(service, "throttle")
    wait_for(lambda: all(one.rate_limit == THROTTLED for one in lines.values()))
    return invoices


def _in_step(provider: Provider, service: dict[str, Any]) -> bool:
    return [one["in_step"] for one in provider.sessions(service)] == [True]


def _drain(one: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield one.recv(4096)
        except BlockingIOError:
            return
