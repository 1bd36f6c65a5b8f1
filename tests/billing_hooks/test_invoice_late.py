"""What is due on a day, and who may be charged how much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.invoicing.late import (
    AmountDue,
    Debt,
    LateTerms,
    PayerKind,
    amount_due,
    amount_due_on_copy,
    payable_until,
    second_copy,
)
from core.errors import InvalidInput

DAY = timedelta(days=1)
MONDAY = date(2026, 11, 2)  # All Souls, a bank holiday
HOLIDAYS = {MONDAY, date(2026, 12, 25), date(2027, 1, 1)}
USUAL = LateTerms(fine_bp=200, interest_bp_month=100)

dates = st.dates(date(2026, 1, 1), date(2027, 12, 31))
calendars = st.sets(dates, max_size=40).map(lambda days: days.__contains__)
Calendar = Callable[[date], bool]


def closed(day: date) -> bool:
    return day in HOLIDAYS


@st.composite
def debts(draw: st.DrawFn) -> Debt:
    principal = draw(st.integers(0, 1_000_000))
    due_date = draw(dates)
    payer = draw(st.sampled_from(PayerKind))
    business = payer is PayerKind.BUSINESS
    discount = draw(st.integers(0, principal))
    until = due_date - draw(st.integers(0, 20)) * DAY if discount else None
    fine, interest = draw(st.integers(0, 10_000 if business else 200)), draw(st.integers(0, 1000 if business else 100))
    return Debt(principal, due_date, LateTerms(fine, interest, payer, discount, until))


offsets = st.integers(-40, 400)


@given(debts(), offsets, calendars)
def test_what_is_due_is_the_sum_of_its_parts_and_never_less_than_the_principal_less_its_discount(
    debt: Debt, offset: int, is_holiday: Calendar
) -> None:
    due = amount_due(debt, debt.due_date + offset * DAY, is_holiday)
    assert due.total_cents == due.principal_cents - due.discount_cents + due.fine_cents + due.interest_cents
    assert due.principal_cents == debt.principal_cents
    assert due.total_cents >= debt.principal_cents - debt.terms.discount_cents
    assert min(due.discount_cents, due.fine_cents, due.interest_cents) >= 0


@given(debts(), offsets, st.integers(0, 60), calendars)
def test_waiting_never_makes_it_cheaper(debt: Debt, offset: int, more: int, is_holiday: Calendar) -> None:
    on = debt.due_date + offset * DAY
    assert amount_due(debt, on, is_holiday).total_cents <= amount_due(debt, on + more * DAY, is_holiday).total_cents


@given(debts(), st.integers(1, 90), offsets, st.integers(0, 60), calendars)
def test_a_second_copy_is_good_until_its_date_and_then_the_debt_goes_on(
    debt: Debt, later: int, offset: int, more: int, is_holiday: Calendar
) -> None:
    copy = second_copy(debt, debt.due_date + later * DAY, is_holiday)
    assert copy.amount == amount_due(debt, copy.due_date, is_holiday)
    on = copy.due_date + offset * DAY
    due = amount_due_on_copy(copy, on, is_holiday)
    assert due == (copy.amount if on <= payable_until(copy.due_date, is_holiday) else amount_due(debt, on, is_holiday))
    assert due.total_cents <= amount_due_on_copy(copy, on + more * DAY, is_holiday).total_cents
    assert due.fine_cents <= debt.principal_cents * debt.terms.fine_bp // 10_000


@given(debts(), offsets, calendars)
def test_a_consumer_never_owes_more_than_two_percent_and_one_a_month(
    debt: Debt, offset: int, is_holiday: Calendar
) -> None:
    on = debt.due_date + offset * DAY
    due = amount_due(debt, on, is_holiday)
    if debt.terms.payer is PayerKind.CONSUMER:
        assert due.fine_cents * 50 <= debt.principal_cents
        assert due.interest_cents * 3000 <= debt.principal_cents * max(offset, 0)


@given(dates, calendars)
def test_the_last_day_without_charges_is_the_first_business_day_from_the_due_date(
    due_date: date, is_holiday: Calendar
) -> None:
    last = payable_until(due_date, is_holiday)
    waited = [due_date + days * DAY for days in range((last - due_date).days)]
    assert all(day.weekday() >= 5 or is_holiday(day) for day in waited)
    assert last.weekday() < 5
    assert not is_holiday(last)


@given(debts(), offsets, st.integers(0, 2_000_000), calendars)
def test_what_of_a_payment_is_a_surcharge_or_let_off_was_due_or_promised(
    debt: Debt, offset: int, paid: int, is_holiday: Calendar
) -> None:
    due = amount_due(debt, debt.due_date + offset * DAY, is_holiday)
    parts = due.parts_of(paid)
    assert 0 <= parts.late_cents <= due.fine_cents + due.interest_cents
    assert 0 <= parts.discount_cents <= due.discount_cents
    assert not (parts.late_cents and parts.discount_cents)
    assert due.parts_of(due.total_cents) == (due.fine_cents + due.interest_cents, due.discount_cents)
    if any(parts):
        assert paid - parts.late_cents + parts.discount_cents == debt.principal_cents


def test_thirty_days_late_are_two_percent_and_one_percent() -> None:
    debt = Debt(10_000, date(2026, 3, 10), USUAL)
    assert amount_due(debt, date(2026, 3, 10), closed) == AmountDue(10_000)
    assert amount_due(debt, date(2026, 3, 11), closed) == AmountDue(10_000, 0, 200, 3)  # 3.33 rounded down
    assert amount_due(debt, date(2026, 4, 9), closed) == AmountDue(10_000, 0, 200, 100)


def test_a_due_date_on_a_saturday_before_a_holiday_is_paid_on_tuesday_or_late_from_saturday() -> None:
    debt = Debt(30_000, MONDAY - 2 * DAY, USUAL)
    assert payable_until(debt.due_date, closed) == MONDAY + DAY
    assert amount_due(debt, MONDAY + DAY, closed) == AmountDue(30_000)
    assert amount_due(debt, MONDAY + 2 * DAY, closed) == AmountDue(30_000, 0, 600, 40)  # four days


def test_a_discount_is_for_who_pays_by_its_day_or_the_business_day_after() -> None:
    terms = LateTerms(200, 100, discount_cents=1000, discount_until=date(2026, 11, 7))  # a Saturday
    debt = Debt(10_000, date(2026, 11, 16), terms)
    assert amount_due(debt, date(2026, 11, 9), closed) == AmountDue(10_000, 1000)
    assert amount_due(debt, date(2026, 11, 10), closed) == AmountDue(10_000)


def test_a_second_copy_has_one_fine_and_no_interest_on_interest() -> None:
    debt = Debt(10_000, date(2026, 3, 10), USUAL)
    copy = second_copy(debt, date(2026, 4, 9), closed)
    assert copy.amount.total_cents == 10_300
    assert amount_due_on_copy(copy, date(2026, 4, 1), closed).total_cents == 10_300
    assert amount_due_on_copy(copy, date(2026, 5, 9), closed) == AmountDue(10_000, 0, 200, 200)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: LateTerms(fine_bp=201), "fine_bp"),
        (lambda: LateTerms(fine_bp=-1), "fine_bp"),
        (lambda: LateTerms(fine_bp=10_001, payer=PayerKind.BUSINESS), "fine_bp"),
        (lambda: LateTerms(interest_bp_month=101), "interest_bp_month"),
        (lambda: LateTerms(discount_cents=-1), "discount_cents"),
        (lambda: LateTerms(discount_cents=1), "discount_until"),
        (lambda: LateTerms(discount_until=MONDAY), "discount_until"),
        (lambda: Debt(-1, MONDAY), "principal_cents"),
        (lambda: Debt(1, MONDAY, LateTerms(discount_cents=2, discount_until=MONDAY)), "discount_cents"),
        (lambda: Debt(9, MONDAY, LateTerms(discount_cents=2, discount_until=MONDAY + DAY)), "discount_until"),
        (lambda: second_copy(Debt(1, MONDAY), MONDAY, closed), "due_date"),
        (lambda: payable_until(MONDAY, lambda _: True), "is_holiday"),
    ],
)
def test_terms_that_the_law_or_sense_forbids_are_refused_by_name(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.field == field


def test_a_business_may_have_agreed_to_more() -> None:
    debt = Debt(10_000, date(2026, 3, 10), LateTerms(1000, 300, PayerKind.BUSINESS))
    assert amount_due(debt, date(2026, 4, 9), closed) == AmountDue(10_000, 0, 1000, 300)


def test_the_cap_says_what_it_is() -> None:
    with pytest.raises(InvalidInput, match="fine_bp of a consumer is 0 to 200 hundredths of a percent"):
        LateTerms(fine_bp=1000)
