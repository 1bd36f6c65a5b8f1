"""What is due for an invoice on a day: its principal, less a discount, or with fine and interest. Pure, in centavos.

    fine       once, of the principal; of a consumer at most 2% (Código de Defesa do Consumidor, Lei 8.078/1990, art.
               52 par. 1, in the words of Lei 9.298/1996)
    interest   a month's rate, a thirtieth of it for each day after the due date, of the principal alone: interest bears
               none (Decreto 22.626/1933 art. 4)

The interest of a consumer is held to 1% a month: Código Tributário Nacional art. 161 par. 1 and what contracts, banks
and courts use. Since Lei 14.905/2024 the ceiling for agreed default interest is disputed (twice a legal rate that
floats: Decreto 22.626/1933 art. 1 with Código Civil art. 406), so the rate that nobody disputes is the cap. Between
businesses both are what they agreed (Lei 14.905/2024 art. 3 I); a penalty is never more than the debt (Código Civil
art. 412).

A due date on a Saturday, Sunday or holiday may be paid on the next business day without charges (Lei 7.089/1983 art.
1). Who misses that day owes from the due date, not from the day he missed (STJ, 3ª Turma, REsp 1.954.924, 2022). The
same grace is given to a discount's last day. Which days are holidays is passed in, because municipal ones differ.

Each amount is rounded down to the centavo, by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from core.errors import InvalidInput

MONTH_DAYS: Final = 30
_WHOLE_BP: Final = 10_000
#: No calendar has as many holidays in a row.
_CLOSED_DAYS_MAX: Final = 31
_DAY: Final = timedelta(days=1)

#: Whether banks are closed on a day; weekends need not be said.
IsHoliday = Callable[[date], bool]


class PayerKind(StrEnum):
    """A business that uses the service itself may be a consumer before the law: it is one unless agreed otherwise."""

    CONSUMER = "consumer"
    BUSINESS = "business"


FINE_BP_MAX: Final = {PayerKind.CONSUMER: 200, PayerKind.BUSINESS: 10_000}
INTEREST_BP_MONTH_MAX: Final = {PayerKind.CONSUMER: 100, PayerKind.BUSINESS: 10_000}


@dataclass(frozen=True, slots=True)
class LateTerms:
    """What a contract says of paying late, and of paying early: a discount until a day."""

    fine_bp: int = 0
    interest_bp_month: int = 0
    payer: PayerKind = PayerKind.CONSUMER
    discount_cents: int = 0
    discount_until: date | None = None

    def __post_init__(self) -> None:
        _check_rate(self.fine_bp, FINE_BP_MAX[self.payer], "fine_bp", self.payer)
        _check_rate(self.interest_bp_month, INTEREST_BP_MONTH_MAX[self.payer], "interest_bp_month", self.payer)
        if self.discount_cents < 0:
            raise InvalidInput("a discount is not negative", field="discount_cents")
        if (self.discount_cents > 0) != (self.discount_until is not None):
            raise InvalidInput("a discount has both an amount and a last day", field="discount_until")


@dataclass(frozen=True, slots=True)
class Debt:
    """An invoice as far as it is owed."""

    principal_cents: int
    due_date: date
    terms: LateTerms = field(default_factory=LateTerms)

    def __post_init__(self) -> None:
        if self.principal_cents < 0:
            raise InvalidInput("a principal is not negative", field="principal_cents")
        if self.terms.discount_cents > self.principal_cents:
            raise InvalidInput("a discount is not more than the principal", field="discount_cents")
        if self.terms.discount_until is not None and self.terms.discount_until > self.due_date:
            raise InvalidInput("a discount ends on the due date, or before", field="discount_until")

    def without_discount(self) -> Debt:
        return replace(self, terms=replace(self.terms, discount_cents=0, discount_until=None))


class Parts(NamedTuple):
    """Of a payment: fine and interest, and what was let off."""

    late_cents: int = 0
    discount_cents: int = 0


@dataclass(frozen=True, slots=True)
class AmountDue:
    """The parts of what is due on a day."""

    principal_cents: int
    discount_cents: int = 0
    fine_cents: int = 0
    interest_cents: int = 0

    @property
    def total_cents(self) -> int:
        return self.principal_cents - self.discount_cents + self.fine_cents + self.interest_cents

    def parts_of(self, paid_cents: int) -> Parts:
        """Of a payment on that day: what is more than the principal, if no more than was due for being late, or less,
        if no more than the discount. Of anything else nothing is: it is the payer's, or still owed."""
        more_cents = paid_cents - self.principal_cents
        if more_cents >= 0:
            return Parts(late_cents=more_cents) if more_cents <= self.fine_cents + self.interest_cents else Parts()
        return Parts(discount_cents=-more_cents) if -more_cents <= self.discount_cents else Parts()


@dataclass(frozen=True, slots=True)
class SecondCopy:
    """A second copy ("segunda via"): the same debt for `amount`, until a new due date."""

    debt: Debt
    due_date: date
    amount: AmountDue


def payable_until(due_date: date, is_holiday: IsHoliday) -> date:
    """The last day for it without charges: the due date, or the next business day. Raises InvalidInput where a calendar
    has none."""
    for days in range(_CLOSED_DAYS_MAX):
        day = due_date + days * _DAY
        if day.weekday() < 5 and not is_holiday(day):
            return day
    raise InvalidInput(f"no business day in {_CLOSED_DAYS_MAX} days from {due_date}", field="is_holiday")


def amount_due(debt: Debt, on: date, is_holiday: IsHoliday) -> AmountDue:
    """What pays the debt on a day."""
    terms, principal_cents = debt.terms, debt.principal_cents
    if terms.discount_until is not None and on <= payable_until(terms.discount_until, is_holiday):
        return AmountDue(principal_cents, discount_cents=terms.discount_cents)
    if on <= payable_until(debt.due_date, is_holiday):
        return AmountDue(principal_cents)
    days_late = (on - debt.due_date).days
    return AmountDue(
        principal_cents,
        fine_cents=principal_cents * terms.fine_bp // _WHOLE_BP,
        interest_cents=principal_cents * terms.interest_bp_month * days_late // (_WHOLE_BP * MONTH_DAYS),
    )


def second_copy(debt: Debt, due_date: date, is_holiday: IsHoliday) -> SecondCopy:
    """The debt with what it will amount to on a new due date. A copy of a copy is made from the same debt."""
    if due_date <= debt.due_date:
        raise InvalidInput(f"a second copy is due after {debt.due_date}", field="due_date")
    return SecondCopy(debt, due_date, amount_due(debt, due_date, is_holiday))


def amount_due_on_copy(copy: SecondCopy, on: date, is_holiday: IsHoliday) -> AmountDue:
    """The copy's amount until its due date (or the business day after it); then the debt goes on as if there were none:
    no second fine, and no interest on fine or interest."""
    return copy.amount if on <= payable_until(copy.due_date, is_holiday) else amount_due(copy.debt, on, is_holiday)


def _check_rate(basis_points: int, cap: int, name: str, payer: PayerKind) -> None:
    if not 0 <= basis_points <= cap:
        raise InvalidInput(f"{name} of a {payer} is 0 to {cap} hundredths of a percent", field=name)
