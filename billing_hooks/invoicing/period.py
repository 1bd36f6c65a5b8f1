"""Billing periods: which days of a contract each of its invoices covers. Pure, in the provider's calendar.

A period runs from one due date to the next. A due day that a month does not have is that month's last day, so that no
month is skipped and none has two. The first period begins where the contract begins and the last ends where it ends;
both are parts of a cycle, and are charged as parts of it.

Who changes his due day keeps the period that is running, which may be paid already; then one bridge leads from its end
to the first of the new due dates, and is charged as a part of the new day's cycle. That is no rule of its own: each
period ends on the first due date after its start, of the due day that is in force at its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from core.cycles import Cycle, cycle_of
from core.errors import InvalidInput

#: Years that a contract can lie in: a typing error must not become a hundred thousand invoices.
YEAR_MIN: Final = 1990
YEAR_MAX: Final = 2200
_DAY: Final = timedelta(days=1)


class Timing(StrEnum):
    """In advance, a period is paid on its first day; in arrears, on the due date on which it ends."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Days from `start` up to, and without, `end`; None: without an end."""

    start: date
    end: date | None = None

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise InvalidInput("a span ends after the day on which it starts", field="end")

    @classmethod
    def through(cls, first: date, last: date | None) -> Span:
        """From the first day to the last, both included, as people say it."""
        if last is not None and last < first:
            raise InvalidInput("the last day lies before the first", field="last")
        return cls(first, None if last is None else last + _DAY)

    def __contains__(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day < self.end)


@dataclass(frozen=True, slots=True, order=True)
class DueDayChange:
    """Another due day for the periods that begin on `since` or later."""

    due_day: int
    since: date

    def __post_init__(self) -> None:
        _check_due_day(self.due_day)


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a contract decides on its periods. `ended_on` is its last day; changes in any order, one a day."""

    started_on: date
    due_day: int
    timing: Timing = Timing.IN_ADVANCE
    ended_on: date | None = None
    changes: tuple[DueDayChange, ...] = ()

    def __post_init__(self) -> None:
        _check_due_day(self.due_day)
        _check_year(self.started_on, "started_on")
        if self.ended_on is not None:
            _check_year(self.ended_on, "ended_on")
            if self.ended_on < self.started_on:
                raise InvalidInput("a contract ends on the day it starts, or later", field="ended_on")
        if len({change.since for change in self.changes}) < len(set(self.changes)):
            raise InvalidInput("two due days are to hold from the same day", field="changes")

    def due_day_on(self, day: date) -> int:
        """The due day in force for a period that begins then."""
        made = [change for change in self.changes if change.since <= day]
        return max(made, key=lambda change: change.since).due_day if made else self.due_day


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `start` up to, and without, `end`: all of a cycle between two due dates, or a part of it."""

    start: date
    end: date
    cycle: Cycle

    @property
    def last(self) -> date:
        return self.end - _DAY

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def cycle_days(self) -> int:
        """A day costs one of so many parts of a month's price."""
        return (self.cycle.end - self.cycle.start).days

    @property
    def whole(self) -> bool:
        return (self.start, self.end) == self.cycle


def periods(terms: Terms, until: date) -> Iterator[Period]:
    """All that begin before `until`, in order; they touch, and cover every day of the contract once."""
    _check_year(until, "until")
    after = until if terms.ended_on is None else terms.ended_on + _DAY
    start = terms.started_on
    while start < min(after, until):
        cycle = cycle_of(terms.due_day_on(start), start)
        end = cycle.end if terms.ended_on is None else min(cycle.end, after)
        yield Period(start, end, cycle)
        start = end


def period_of(terms: Terms, day: date) -> Period | None:
    """The period in which a day lies; None outside of the contract."""
    return next((period for period in periods(terms, day + _DAY) if period.start <= day < period.end), None)


def due_on(period: Period, timing: Timing) -> date:
    """When a period is to be paid.

    In arrears that is a due date also for a last period that ends before it. In advance it is the period's first day:
    for the first one, the day on which the contract starts.
    """
    return period.start if timing is Timing.IN_ADVANCE else period.cycle.end


def period_due(terms: Terms, due_date: date) -> Period | None:
    """The period that the invoice of this due date covers; None where none is due."""
    for period in periods(terms, due_date + _DAY):
        if due_on(period, terms.timing) == due_date:
            return period
    return None


def _check_due_day(due_day: int) -> None:
    if not 1 <= due_day <= 31:
        raise InvalidInput("a due day is 1 to 31", field="due_day")


def _check_year(on: date, field: str) -> None:
    if not YEAR_MIN <= on.year <= YEAR_MAX:
        raise InvalidInput(f"{field} lies in a year between {YEAR_MIN} and {YEAR_MAX}", field=field)
