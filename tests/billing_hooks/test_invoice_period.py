"""Billing periods: every day of a contract in one of them, in order."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.invoicing.period import (
    DueDayChange,
    Period,
    Span,
    Terms,
    Timing,
    due_on,
    period_due,
    period_of,
    periods,
)
from core.errors import InvalidInput

DAY = timedelta(days=1)
due_days = st.integers(1, 31)
dates = st.dates(date(2019, 1, 1), date(2029, 12, 31))
changes = st.lists(st.builds(DueDayChange, due_days, dates), max_size=4, unique_by=lambda change: change.since)


@st.composite
def contracts(draw: st.DrawFn) -> Terms:
    started_on = draw(dates)
    ended_on = draw(st.none() | st.integers(0, 1200).map(lambda days: started_on + days * DAY))
    return Terms(started_on, draw(due_days), draw(st.sampled_from(Timing)), ended_on, tuple(draw(changes)))


def all_of(terms: Terms, years: int = 4) -> list[Period]:
    return list(periods(terms, terms.started_on.replace(day=1) + timedelta(days=366 * years)))


@given(contracts())
def test_periods_cover_every_day_of_a_contract_exactly_once_and_in_order(terms: Terms) -> None:
    found = all_of(terms)
    assert found[0].start == terms.started_on
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(period.start < period.end for period in found)
    if terms.ended_on is not None and terms.ended_on < found[-1].end:
        assert found[-1].last == terms.ended_on
    for period in found:
        assert period.cycle.start <= period.start
        assert period.end <= period.cycle.end
        assert 28 <= period.cycle_days <= 31
        assert period.days <= period.cycle_days


@given(due_days, dates)
def test_one_period_begins_in_every_month_after_the_first(due_day: int, started_on: date) -> None:
    """Nothing is skipped or doubled, whatever February is like."""
    starts = [period.start for period in all_of(Terms(started_on, due_day))[1:]]
    months = [start.year * 12 + start.month for start in starts]
    assert months == list(range(months[0], months[0] + len(months)))
    assert all(start.day == due_day or (start + DAY).day == 1 for start in starts)


@given(contracts())
def test_only_the_first_the_last_and_one_bridge_a_change_are_parts_of_a_cycle(terms: Terms) -> None:
    parts = [period for period in all_of(terms)[1:-1] if not period.whole]
    assert len(parts) <= len(terms.changes)


@given(due_days, due_days, dates, st.integers(1, 800))
def test_a_change_of_due_day_keeps_the_running_period_and_makes_one_bridge(
    old: int, new: int, started_on: date, after: int
) -> None:
    since = started_on + after * DAY
    kept = all_of(Terms(started_on, old))
    changed = all_of(Terms(started_on, old, changes=(DueDayChange(new, since),)))
    before = [period for period in changed if period.start < since]
    assert before == kept[: len(before)]
    bridge, *rest = changed[len(before) :]
    assert bridge.days <= 31
    assert all(period.whole for period in rest)
    assert bridge.end.day == new or (bridge.end + DAY).day == 1


@given(contracts(), st.integers(-400, 1500))
def test_a_day_lies_in_one_period_or_outside_of_the_contract(terms: Terms, offset: int) -> None:
    day = terms.started_on + offset * DAY
    inside = day >= terms.started_on and (terms.ended_on is None or day <= terms.ended_on)
    found = period_of(terms, day)
    assert (found is not None) == inside
    if found is not None:
        assert found.start <= day <= found.last


@given(contracts())
def test_every_period_has_one_due_date_and_is_found_by_it(terms: Terms) -> None:
    found = all_of(terms, years=2)
    due = [due_on(period, terms.timing) for period in found]
    assert due == sorted(set(due))
    assert [period_due(terms, on) for on in due] == found


@pytest.mark.parametrize(
    ("terms", "bounds"),
    [
        # the 31st, over a leap February
        (Terms(date(2024, 1, 31), 31), "2024-01-31 2024-02-29 2024-03-31 2024-04-30"),
        # from the middle of a month, over the end of a year
        (Terms(date(2026, 12, 20), 5, ended_on=date(2027, 2, 10)), "2026-12-20 2027-01-05 2027-02-05 2027-02-11"),
        # asked for on 10 March: the period to 5 April stays, then a bridge to the 20th
        (
            Terms(date(2026, 3, 5), 5, changes=(DueDayChange(20, date(2026, 3, 10)),)),
            "2026-03-05 2026-04-05 2026-04-20 2026-05-20",
        ),
        (Terms(date(2026, 3, 5), 5, ended_on=date(2026, 3, 5)), "2026-03-05 2026-03-06"),
    ],
)
def test_periods_as_one_would_count_them(terms: Terms, bounds: str) -> None:
    spans = list(pairwise(date.fromisoformat(bound) for bound in bounds.split()))
    assert [(period.start, period.end) for period in all_of(terms)][: len(spans)] == spans


def test_in_advance_is_due_when_a_period_begins_and_in_arrears_on_the_due_date_that_ends_it() -> None:
    first, second, last = all_of(Terms(date(2026, 12, 20), 5, ended_on=date(2027, 2, 10)))
    assert [due_on(one, Timing.IN_ADVANCE) for one in (first, second, last)] == [
        date(2026, 12, 20), date(2027, 1, 5), date(2027, 2, 5),
    ]  # fmt: skip
    assert [due_on(one, Timing.IN_ARREARS) for one in (first, second, last)] == [
        date(2027, 1, 5), date(2027, 2, 5), date(2027, 3, 5),
    ]  # fmt: skip
    assert (first.days, first.cycle_days) == (16, 31)
    assert second.whole


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Terms(date(2026, 1, 1), 0), "due_day"),
        (lambda: Terms(date(2026, 1, 1), 32), "due_day"),
        (lambda: DueDayChange(0, date(2026, 1, 1)), "due_day"),
        (lambda: Terms(date(1026, 1, 1), 1), "started_on"),
        (lambda: Terms(date(2026, 1, 2), 1, ended_on=date(2026, 1, 1)), "ended_on"),
        (lambda: Terms(date(2026, 1, 2), 1, ended_on=date(9999, 1, 1)), "ended_on"),
        (lambda: list(periods(Terms(date(2026, 1, 2), 1), date.max)), "until"),
        (
            lambda: Terms(
                date(2026, 1, 2), 1, changes=(DueDayChange(1, date(2026, 1, 9)), DueDayChange(2, date(2026, 1, 9)))
            ),
            "changes",
        ),
        (lambda: Span(date(2026, 1, 2), date(2026, 1, 2)), "end"),
        (lambda: Span.through(date(2026, 1, 2), date(2026, 1, 1)), "last"),
    ],
)
def test_what_is_no_contract_is_refused_by_name(make: object, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()  # type: ignore[operator]
    assert refused.value.field == field


def test_a_span_of_people_includes_its_last_day() -> None:
    span = Span.through(date(2026, 2, 1), date(2026, 2, 28))
    assert span == Span(date(2026, 2, 1), date(2026, 3, 1))
    assert date(2026, 2, 28) in span
    assert date(2026, 3, 1) not in span
    assert date(2099, 1, 1) in Span.through(date(2026, 2, 1), None)
