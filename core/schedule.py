"""Plans that are faster at some hours: windows of the week, in the provider's own time. Pure.

    [{"days": ["mon", …], "from": "00:00", "until": "06:00", "down_kbps": …, "up_kbps": …}]

A window that ends before it begins goes on after midnight, and its days are those on which it begins. Of several that
are open the first counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from core.errors import InvalidInput

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def check_windows(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """In canonical form; raises InvalidInput naming `time_windows`."""
    checked = []
    for window in windows:
        days = sorted(set(window["days"]), key=DAYS.index)
        begins, ends = _time(window["from"]), _time(window["until"])
        if begins == ends:
            raise InvalidInput("a window that begins when it ends has no hours", field="time_windows")
        checked.append({**window, "days": days, "from": f"{begins:%H:%M}", "until": f"{ends:%H:%M}"})
    return checked


def open_window(windows: Sequence[Mapping[str, Any]], local_now: datetime) -> int | None:
    """Which of them is open now."""
    for number, window in enumerate(windows):
        if _is_open(window, local_now):
            return number
    return None


def next_open(windows: Sequence[Mapping[str, Any]], local_now: datetime) -> datetime:
    """Now where one is open, else when the first opens. There is at least one."""
    if open_window(windows, local_now) is not None:
        return local_now
    days = (local_now.date() + timedelta(days=later) for later in range(len(DAYS) + 1))
    begins = (
        datetime.combine(day, _time(window["from"]), local_now.tzinfo)
        for day in days for window in windows
        if DAYS[day.weekday()] in window["days"]
    )  # fmt: skip
    return min(one for one in begins if one > local_now)


def _is_open(window: Mapping[str, Any], local_now: datetime) -> bool:
    begins, ends, now = _time(window["from"]), _time(window["until"]), local_now.time()
    today = DAYS[local_now.weekday()] in window["days"]
    if begins < ends:
        return today and begins <= now < ends
    yesterday = DAYS[(local_now - timedelta(days=1)).weekday()] in window["days"]
    return (today and now >= begins) or (yesterday and now < ends)


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text}: not a time of day such as 06:00", field="time_windows") from None
