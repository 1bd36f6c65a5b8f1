"""The CoA client against real sockets; time is told to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from aaa.authenticator import SharedSecret
from aaa.coa import CoaClient, Outcome, OutcomeKind, Target
from aaa.coa.client import IN_FLIGHT_MAX, PATIENCE_S, REPLAY_WINDOW_S, WAIT_S
from aaa.md5 import md5
from aaa.packet import Code, Kind, Packet, header, integer_attribute, parse, text_attribute

SECRET = SharedSecret(b"testing123")
KEYS = text_attribute(Kind.ACCT_SESSION_ID, "81a00001")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Nas:
    """A port that keeps what it hears and answers when told to."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.target = Target("127.0.0.1", self.socket.getsockname()[1], SECRET)
        self.heard: list[tuple[bytes, tuple[str, int]]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self.heard.append(self.socket.recvfrom(4096))

    def await_heard(self, count: int) -> None:
        await_true(lambda: len(self.heard) >= count)

    def answer(self, place: int, *, refuse: int | None = None, secret: bytes = b"testing123") -> None:
        octets, source = self.heard[place]
        request = parse(octets)
        attributes = b"" if refuse is None else integer_attribute(Kind.ERROR_CAUSE, refuse)
        code = request.code + (1 if refuse is None else 2)
        head = header(code, request.identifier, len(attributes))
        digest = md5(head + request.authenticator + attributes + secret).digest()
        self.socket.sendto(head + digest + attributes, source)


class Told:
    """Outcomes as they come."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def kinds(self) -> list[OutcomeKind]:
        return [outcome.kind for outcome in self.outcomes]


def await_true(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def coa(clock: Clock) -> Iterator[CoaClient]:
    client = CoaClient(monotonic=clock, now=lambda: 1_800_000_000.0)
    yield client
    client.close()


@pytest.fixture
def nas() -> Iterator[Nas]:
    one = Nas()
    yield one
    one.socket.close()


def test_an_ack_and_a_nak_with_its_cause(coa: CoaClient, nas: Nas) -> None:
    told = Told()
    coa.change(nas.target, KEYS, integer_attribute(Kind.SESSION_TIMEOUT, 60), told)
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(2)
    change, disconnect = (parse(octets) for octets, _ in nas.heard)
    assert (change.code, disconnect.code) == (Code.COA_REQUEST, Code.DISCONNECT_REQUEST)
    assert change.integer(Kind.EVENT_TIMESTAMP) == 1_800_000_000
    assert change.first(Kind.MESSAGE_AUTHENTICATOR) is not None
    assert disconnect.integer(Kind.SESSION_TIMEOUT) is None
    nas.answer(0)
    nas.answer(1, refuse=503)
    await_true(lambda: len(told.outcomes) == 2)
    assert {(one.kind, one.error_cause) for one in told.outcomes} == {(OutcomeKind.ACK, None), (OutcomeKind.NAK, 503)}


def test_an_unanswered_request_is_repeated_unchanged_and_then_given_up(coa: CoaClient, nas: Nas, clock: Clock) -> None:
    """RFC 5176 2.3: Identifier, authenticator and source port stay, so that the NAS knows it again."""
    told = Told()
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(1)
    clock.now_s += 1.0
    nas.await_heard(2)
    clock.now_s += 2.0
    nas.await_heard(3)
    assert len(set(nas.heard)) == 1
    assert told.outcomes == []
    clock.now_s += 2.0
    await_true(lambda: told.kinds == [OutcomeKind.TIMEOUT])
    assert told.outcomes[0].duration_s == PATIENCE_S
    nas.answer(0)  # too late: it answers nothing
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(4)
    nas.answer(3)
    await_true(lambda: told.kinds == [OutcomeKind.TIMEOUT, OutcomeKind.ACK])


def test_a_forged_answer_is_no_answer(coa: CoaClient, nas: Nas) -> None:
    told = Told()
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(1)
    nas.answer(0, secret=b"guessed")
    nas.answer(0)
    await_true(lambda: bool(told.outcomes))
    assert told.kinds == [OutcomeKind.ACK]


def test_a_nas_gets_no_more_than_it_may_have_to_answer_and_the_rest_in_order(coa: CoaClient, nas: Nas) -> None:
    told = Told()
    for number in range(IN_FLIGHT_MAX + 2):
        coa.disconnect(nas.target, text_attribute(Kind.ACCT_SESSION_ID, str(number)), told)
    nas.await_heard(IN_FLIGHT_MAX)
    nas.answer(0)
    nas.await_heard(IN_FLIGHT_MAX + 1)
    assert _session_ids(nas) == [str(number) for number in range(IN_FLIGHT_MAX + 1)]
    nas.answer(1)
    nas.await_heard(IN_FLIGHT_MAX + 2)


def test_what_waited_for_its_turn_too_long_is_held_back_and_never_sent(coa: CoaClient, nas: Nas, clock: Clock) -> None:
    """The NAS answers nothing: its requests time out when those behind them have waited long enough."""
    asked, waited = Told(), Told()
    for _ in range(IN_FLIGHT_MAX):
        coa.disconnect(nas.target, KEYS, asked)
    for _ in range(10):
        coa.disconnect(nas.target, KEYS, waited)
    nas.await_heard(IN_FLIGHT_MAX)
    clock.now_s += WAIT_S - 0.5
    nas.await_heard(3 * IN_FLIGHT_MAX)
    assert asked.outcomes == waited.outcomes == []
    clock.now_s += 0.5
    await_true(lambda: len(asked.outcomes) == IN_FLIGHT_MAX)
    assert set(asked.kinds) == {OutcomeKind.TIMEOUT}
    assert waited.kinds == [OutcomeKind.HELD_BACK] * 10
    assert len(set(nas.heard)) == IN_FLIGHT_MAX


def test_a_silent_nas_delays_no_other(coa: CoaClient, nas: Nas) -> None:
    silent, told, never = Nas(), Told(), Told()
    for _ in range(3 * IN_FLIGHT_MAX):
        coa.disconnect(silent.target, KEYS, never)
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(1)
    nas.answer(0)
    await_true(lambda: told.kinds == [OutcomeKind.ACK])
    assert never.outcomes == []
    silent.socket.close()


def test_an_identifier_rests_for_the_replay_window(coa: CoaClient, nas: Nas, clock: Clock) -> None:
    told = Told()
    for number in range(257):
        coa.disconnect(nas.target, KEYS, told)
        nas.await_heard(number + 1)
        nas.answer(number)
        await_true(lambda count=number + 1: len(told.outcomes) == count)
    used = [(source, octets[1]) for octets, source in nas.heard]
    assert len(set(used)) == 257
    clock.now_s += REPLAY_WINDOW_S
    coa.disconnect(nas.target, KEYS, told)
    nas.await_heard(258)
    assert (nas.heard[-1][1], nas.heard[-1][0][1]) == used[0]


def _session_ids(nas: Nas) -> list[str | None]:
    requests: list[Packet] = [parse(octets) for octets, _ in nas.heard]
    return [request.text(Kind.ACCT_SESSION_ID) for request in requests]
