"""Who waits for a NAS's pace comes again when its turn comes, and not sooner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from provisioning.pace import TURN_MAX, Line

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_turns_come_one_after_another_at_the_pace() -> None:
    line = Line()
    waits = [line.wait(1, 120, NOW).total_seconds() for _ in range(4)]
    assert waits == [0.5, 1.0, 1.5, 2.0]
    assert line.wait(2, 120, NOW).total_seconds() == 0.5  # another NAS


def test_who_comes_while_somebody_waits_is_told_so() -> None:
    line = Line()
    assert not line.is_long(1, NOW)
    line.wait(1, 60, NOW)
    assert line.is_long(1, NOW)
    assert not line.is_long(2, NOW)
    assert not line.is_long(1, NOW + timedelta(seconds=1))


def test_a_line_that_is_over_begins_anew() -> None:
    line = Line()
    line.wait(1, 60, NOW)
    assert line.wait(1, 60, NOW + timedelta(hours=1)).total_seconds() == 1.0


def test_nobody_waits_for_hours_by_a_pace_that_may_be_another_by_then() -> None:
    line = Line()
    waits = [line.wait(1, 60, NOW) for _ in range(5000)]
    assert waits[-1] == TURN_MAX


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 30)), max_size=300), st.integers(1, 6000))
def test_no_more_come_within_a_minute_than_the_pace_lets_go(arrivals: list[tuple[int, float]], pace: int) -> None:
    """But for those at the far end of a line that is cut off."""
    line, now = Line(), NOW
    turns: dict[int, list[datetime]] = {}
    for nas_id, passed_s in arrivals:
        now += timedelta(seconds=passed_s)
        wait = line.wait(nas_id, pace, now)
        if wait < TURN_MAX:
            turns.setdefault(nas_id, []).append(now + wait)
    for of_nas in turns.values():
        for place, turn in enumerate(of_nas):
            within = [one for one in of_nas[place:] if one - turn < timedelta(minutes=1)]
            assert len(within) <= pace + 1
