"""What workers report: never all of it, never nothing of anybody, and never waiting for who takes it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.reports import (
    ATTEMPTS_BURST,
    ATTEMPTS_PER_S,
    DETAIL_CHARACTERS_MAX,
    FINDINGS_EVERY_S,
    FIRST_PAUSE_S,
    LAST_PAUSE_S,
    PACES_MAX,
    STRANGERS_MAX,
    WAITING_MAX,
    AttemptPaces,
    AttemptReport,
    FindingKind,
    FindingReport,
    Report,
    Reporter,
)


def report(login: str = "ana") -> AttemptReport:
    return AttemptReport(login, 1, "192.0.2.1", None, "wrong_password", 0.0)


@given(st.lists(st.floats(0.01, 600), max_size=60))
def test_every_attempt_of_a_login_is_in_some_report_or_waits_for_the_next(pauses: list[float]) -> None:
    paces, now, told = AttemptPaces(), 0.0, 0
    for pause in pauses:
        now += pause
        told += paces.due(b"ana", "wrong_password", 1, now, known=True)
    assert told <= len(pauses)
    assert told + paces.due(b"ana", "wrong_password", 1, now + 2 * LAST_PAUSE_S, known=True) == len(pauses) + 1


def test_a_login_that_goes_on_failing_is_reported_less_and_less() -> None:
    paces = AttemptPaces()
    told_at = [s for s in range(2000) if paces.due(b"ana", "wrong_password", 1, float(s), known=True)]
    assert told_at[:4] == [0, 5, 15, 35]
    assert max(later - earlier for earlier, later in pairwise(told_at)) == LAST_PAUSE_S
    assert paces.due(b"ana", "blocked", 1, 2000.0, known=True) == 1, "another trouble is told at once"
    assert paces.due(b"ana", "wrong_password", 1, 2000 + 3 * LAST_PAUSE_S, known=True), "and one that comes back"
    assert not paces.due(b"ana", "wrong_password", 1, 2001 + 3 * LAST_PAUSE_S, known=True)
    assert paces.due(b"ana", "wrong_password", 1, 2000 + 3 * LAST_PAUSE_S + FIRST_PAUSE_S, known=True)


def test_a_storm_of_made_up_logins_takes_neither_from_another_nas_nor_from_known_logins() -> None:
    paces = AttemptPaces()
    told = sum(bool(paces.due(b"made-up-%d" % n, "unknown_login", 1, n / 1000, known=False)) for n in range(10_000))
    assert ATTEMPTS_BURST <= told <= ATTEMPTS_BURST + 10 * ATTEMPTS_PER_S + 1
    assert paces.due(b"ana", "wrong_password", 1, 10.0, known=True) == 1
    assert paces.due(b"made-up", "unknown_login", 2, 10.0, known=False) == 1


def test_paces_do_not_grow_for_ever_and_the_latest_are_remembered() -> None:
    paces = AttemptPaces()
    for number in range(5 * PACES_MAX):
        paces.due(b"%d" % number, "unknown_login", 1, 0.0, known=False)
    assert len(paces._young) + len(paces._old) <= 2 * PACES_MAX
    assert paces.due(b"ana", "wrong_password", 2, 0.0, known=True) == 1
    for number in range(PACES_MAX - 1):
        paces.due(b"x%d" % number, "unknown_login", 1, 0.0, known=False)
    assert not paces.due(b"ana", "wrong_password", 2, 1.0, known=True)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "sink"))
        one.setblocking(False)
        yield one


def received(sink: socket.socket) -> list[AttemptReport | FindingReport]:
    found: list[AttemptReport | FindingReport] = []
    while True:
        try:
            found += msgspec.msgpack.decode(sink.recv(1 << 18), type=list[Report])
        except BlockingIOError:
            return found


def test_reports_wait_for_a_sink_that_is_away_up_to_a_number(tmp_path: Path) -> None:
    reporter = Reporter(str(tmp_path / "sink"))
    for number in range(WAITING_MAX + 5):
        reporter.attempt(report(f"user{number}"))
    reporter.send(0.0)
    assert reporter.lost == 5
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sink:
        sink.bind(str(tmp_path / "sink"))
        sink.setblocking(False)
        told: list[AttemptReport | FindingReport] = []
        while len(told) < WAITING_MAX:
            reporter.send(0.0)  # as many datagrams as the socket holds at once
            more = received(sink)
            assert more
            told += more
    assert [one.login for one in told if isinstance(one, AttemptReport)] == [f"user{n}" for n in range(WAITING_MAX)]


def test_the_largest_reports_fit_into_a_datagram(tmp_path: Path, sink: socket.socket) -> None:
    reporter = Reporter(str(tmp_path / "sink"))
    longest = "\\xff" * 253
    detail = dict.fromkeys(("came", "expected"), "ü" * DETAIL_CHARACTERS_MAX)
    for _ in range(40):
        reporter.attempt(AttemptReport(longest, 1, "192.0.2.1", longest, "locked_circuit", 0.0, detail=detail))
    reporter.send(0.0)
    assert len(received(sink)) == 40


def test_findings_are_added_up_and_told_once_in_a_while(tmp_path: Path, sink: socket.socket) -> None:
    reporter = Reporter(str(tmp_path / "sink"))
    for skew in range(10):
        reporter.finding(1, "192.0.2.1", FindingKind.CLOCK_SKEW, {"skew_s": skew})
        reporter.finding(2, "192.0.2.2", FindingKind.WRONG_SECRET, {})
    reporter.send(FINDINGS_EVERY_S)
    reporter.finding(1, "192.0.2.1", FindingKind.CLOCK_SKEW, {"skew_s": 10})
    reporter.send(FINDINGS_EVERY_S + 1)
    assert received(sink) == [
        FindingReport(1, "192.0.2.1", FindingKind.CLOCK_SKEW, 10, {"skew_s": 9}),
        FindingReport(2, "192.0.2.2", FindingKind.WRONG_SECRET, 10, {}),
    ]
    reporter.send(2 * FINDINGS_EVERY_S)
    assert received(sink) == [FindingReport(1, "192.0.2.1", FindingKind.CLOCK_SKEW, 1, {"skew_s": 10})]


def test_made_up_source_addresses_do_not_push_out_what_is_wrong_with_our_own(
    tmp_path: Path, sink: socket.socket
) -> None:
    reporter = Reporter(str(tmp_path / "sink"))
    for number in range(5000):
        reporter.finding(0, f"source-{number}", FindingKind.UNKNOWN_CLIENT, {})
    reporter.finding(1, "192.0.2.1", FindingKind.WRONG_SECRET, {})
    reporter.send(FINDINGS_EVERY_S)
    told = received(sink)
    assert len(told) == STRANGERS_MAX + 1
    assert told[-1] == FindingReport(1, "192.0.2.1", FindingKind.WRONG_SECRET, 1, {})
