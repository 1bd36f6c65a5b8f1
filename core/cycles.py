"""Billing cycles of a contract: from one due day to the next, in the provider's calendar. Pure."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, tzinfo
from typing import NamedTuple


class Cycle(NamedTuple):
    """Its first day, and the first day of the next one."""

    start: date
    end: date


def cycle_of(due_day: int, today: date) -> Cycle:
    """The cycle in which `today` lies. A due day that a month does not have is that month's last."""
    this = _due(due_day, today.year, today.month)
    if today >= this:
        return Cycle(this, _due(due_day, *_month_after(today.year, today.month)))
    return Cycle(_due(due_day, *_month_before(today.year, today.month)), this)


def begins_at(day: date, zone: tzinfo) -> datetime:
    """The moment at which a day begins there."""
    return datetime.combine(day, time.min, zone)


def _due(due_day: int, year: int, month: int) -> date:
    return date(year, month, min(due_day, calendar.monthrange(year, month)[1]))


def _month_after(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


def _month_before(year: int, month: int) -> tuple[int, int]:
    return (year - 1, 12) if month == 1 else (year, month - 1)
