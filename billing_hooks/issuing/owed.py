"""What an invoice costs on a day: what is missing of it, with fine and interest once it is late.

The arithmetic is `billing_hooks.invoicing.late`; this is where an invoice's payments and terms come from.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from billing_hooks.invoicing.late import AmountDue, Debt, IsHoliday, LateTerms, PayerKind, amount_due
from core import payments
from core.models.billing import Invoice


def debt_of(session: Session, invoice: Invoice) -> Debt:
    """As far as it was not paid. Its rates were checked against the payer's caps when it was made."""
    terms = LateTerms(invoice.fine_bp, invoice.interest_bp_month, PayerKind.BUSINESS)
    return Debt(payments.missing_cents(session, invoice), invoice.due_date, terms)


def owed_on(session: Session, invoice: Invoice, day: date, is_holiday: IsHoliday) -> AmountDue:
    return amount_due(debt_of(session, invoice), day, is_holiday)


def surcharge_in(session: Session, invoice: Invoice, amount_cents: int, paid_on: date, is_holiday: IsHoliday) -> int:
    """How much of a payment is fine and interest: what is more than missing, if no more than was due by then.

    Of anything else that is too much, nothing is: it is the payer's.
    """
    owed = owed_on(session, invoice, paid_on, is_holiday)
    more_cents = amount_cents - owed.principal_cents
    return more_cents if 0 < more_cents <= owed.fine_cents + owed.interest_cents else 0
