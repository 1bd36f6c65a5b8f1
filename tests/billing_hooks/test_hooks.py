"""How a simulated gateway delivers: tries, pauses, order and giving up, by a clock that is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.simulators.hooks import Event, Faults, HookQueue, Policy

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def queue(*, sequential: bool = False, pauses_queue: bool = False, faults: Faults | None = None) -> HookQueue:
    policy = Policy(
        (0, 10, 100), lambda status: status == 200, 10.0, sequential=sequential, pauses_queue=pauses_queue
    )  # fmt: skip
    return HookQueue(policy, Random(7), faults or Faults())


def event(number: int) -> Event:
    return Event(f"evt_{number}", lambda _: ({}, b""))


def run(one: HookQueue, answers: Any, until: datetime) -> list[tuple[str, int]]:
    """(event, seconds since NOW) of every try."""
    tried, now = [], NOW
    while (at := one.next_at()) is not None and at <= until:
        now = max(now, at)
        sending = one.due(now)
        assert sending is not None
        tried.append((sending.event.id, int((now - NOW).total_seconds())))
        one.answered(sending, answers(sending), now)
    return tried


def test_a_failure_is_tried_again_after_its_pauses_and_then_given_up() -> None:
    one = queue()
    one.put(event(1), NOW)
    assert run(one, lambda _: 500, NOW + timedelta(days=1)) == [("evt_1", 0), ("evt_1", 10), ("evt_1", 110)]
    assert one.sendings[0].done


def test_one_that_fails_holds_up_those_behind_it_only_where_order_is_kept() -> None:
    def answer(sending: Any) -> int:
        return 500 if sending.event.id == "evt_1" and len(sending.answers) < 1 else 200

    for sequential, expected in (
        (True, [("evt_1", 0), ("evt_1", 10), ("evt_2", 10)]),
        (False, [("evt_1", 0), ("evt_2", 0), ("evt_1", 10)]),
    ):
        one = queue(sequential=sequential)
        one.put(event(1), NOW)
        one.put(event(2), NOW)
        assert run(one, answer, NOW + timedelta(days=1)) == expected


def test_a_queue_that_pauses_sends_nothing_until_it_is_resumed_and_loses_nothing() -> None:
    one = queue(sequential=True, pauses_queue=True)
    one.put(event(1), NOW)
    one.put(event(2), NOW)
    assert len(run(one, lambda _: 0, NOW + timedelta(days=1))) == 3
    assert one.interrupted
    assert one.due(NOW + timedelta(days=2)) is None
    one.resume(NOW + timedelta(days=2))
    tried = run(one, lambda _: 200, NOW + timedelta(days=3))
    assert [event_id for event_id, _ in tried] == ["evt_1", "evt_2"]


@given(st.integers(0, 99), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_repeated_reordered_or_late_every_event_arrives(
    seed: int, repeat: float, reorder: float, late: float
) -> None:
    one = queue(faults=Faults(repeat=repeat, reorder=reorder, late=late))
    one.random.seed(seed)
    for number in range(20):
        one.put(event(number), NOW)
    tried = run(one, lambda _: 200, NOW + timedelta(days=1))
    assert {event_id for event_id, _ in tried} == {f"evt_{number}" for number in range(20)}


def test_what_is_lost_is_never_told() -> None:
    one = queue(faults=Faults(lose=1.0))
    one.put(event(1), NOW)
    assert one.next_at() is None


def test_what_was_sent_is_done_when_its_receiver_shows_that_he_has_it() -> None:
    one = queue()
    one.put(event(1), NOW)
    one.put(event(2), NOW)
    one.taken("evt_1")  # it was not even sent
    tried = run(one, lambda _: 500, NOW)
    assert [event_id for event_id, _ in tried] == ["evt_1", "evt_2"]
    one.taken("evt_1")
    tried = run(one, lambda _: 500, NOW + timedelta(days=1))
    assert [event_id for event_id, _ in tried] == ["evt_2", "evt_2"]
