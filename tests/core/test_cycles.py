"""Billing cycles and hours of the week."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cycles import cycle_of
from core.errors import InvalidInput
from core.schedule import DAYS, check_windows, next_open, open_window

days = st.dates(date(2024, 1, 1), date(2032, 12, 31))


@given(st.integers(1, 31), days)
def test_every_day_lies_in_exactly_one_cycle_of_about_a_month(due_day: int, today: date) -> None:
    cycle = cycle_of(due_day, today)
    assert cycle.start <= today < cycle.end
    assert 28 <= (cycle.end - cycle.start).days <= 31
    assert cycle_of(due_day, cycle.start) == cycle
    assert cycle_of(due_day, cycle.end).start == cycle.end


@pytest.mark.parametrize(
    ("due_day", "today", "start", "end"),
    [
        (10, date(2026, 11, 9), date(2026, 10, 10), date(2026, 11, 10)),
        (10, date(2026, 11, 10), date(2026, 11, 10), date(2026, 12, 10)),
        (31, date(2026, 2, 28), date(2026, 2, 28), date(2026, 3, 31)),
        (31, date(2026, 2, 27), date(2026, 1, 31), date(2026, 2, 28)),
        (1, date(2026, 12, 31), date(2026, 12, 1), date(2027, 1, 1)),
    ],
)
def test_a_cycle_begins_on_the_due_day(due_day: int, today: date, start: date, end: date) -> None:
    assert cycle_of(due_day, today) == (start, end)


def window(begins: str, until: str, *on: str) -> dict[str, Any]:
    return {"days": list(on or DAYS), "from": begins, "until": until, "down_kbps": 1000, "up_kbps": 1000}


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-27T21:59", False),  # a Friday
        ("2026-11-27T22:00", True),
        ("2026-11-28T05:59", True),  # Saturday morning: the window began on Friday
        ("2026-11-28T06:00", False),
        ("2026-11-28T23:00", False),  # on Saturday none begins
        ("2026-11-27T03:00", False),  # nor did one on Thursday
    ],
)
def test_a_window_goes_on_after_midnight(at: str, is_open: bool) -> None:
    assert (open_window([window("22:00", "06:00", "fri")], datetime.fromisoformat(at)) == 0) == is_open


def test_the_first_of_several_open_windows_counts() -> None:
    windows = [window("08:00", "09:00"), window("00:00", "12:00")]
    at = datetime.fromisoformat("2026-11-27T08:30")
    assert (open_window(windows, at), open_window(windows, at + timedelta(hours=1))) == (0, 1)
    assert open_window(windows, at + timedelta(hours=5)) is None


@given(st.times(), st.times(), st.sets(st.sampled_from(DAYS), min_size=1), st.datetimes(datetime(2026, 1, 1)))
def test_a_window_and_the_rest_of_the_day_share_every_moment(begins: Any, until: Any, on: set[str], at: Any) -> None:
    first, second = f"{begins:%H:%M}", f"{until:%H:%M}"
    if first == second:
        return
    one, rest = window(first, second), window(second, first)
    assert (open_window([one], at) is None) != (open_window([rest], at) is None)
    assert open_window([window(first, second, *on)], at) is None or open_window([one], at) == 0


WINDOWS = st.builds(
    lambda begins, length, on: window(f"{begins // 60:02}:{begins % 60:02}",
                                      f"{(begins + length) % 1440 // 60:02}:{(begins + length) % 60:02}", *on),
    st.integers(0, 1439), st.integers(1, 1439), st.sets(st.sampled_from(DAYS), min_size=1),
)  # fmt: skip


@given(st.lists(WINDOWS, min_size=1, max_size=3), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_the_next_window_is_open_and_none_is_before(windows: list[dict[str, Any]], at: datetime) -> None:
    opens = next_open(windows, at)
    assert open_window(windows, opens) is not None
    assert at <= opens <= at + timedelta(days=7)
    for part in range(20):
        between = at + (opens - at) * part / 20
        assert between == opens or open_window(windows, between) is None


def test_windows_are_kept_in_one_form() -> None:
    assert check_windows([window("00:00", "06:00", "tue", "mon", "mon")])[0]["days"] == ["mon", "tue"]
    with pytest.raises(InvalidInput, match="has no hours"):
        check_windows([window("06:00", "06:00")])
