"""What an invoice costs on a day: what is missing of it, less a discount, or with fine and interest once it is late.

The arithmetic is `billing_hooks.invoicing.late`; this is where an invoice's payments and terms come from.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from billing_hooks.invoicing.late import AmountDue, Debt, IsHoliday, LateTerms, PayerKind, amount_due
from core import payments
from core.models.billing import Invoice


def debt_of(session: Session, invoice: Invoice) -> Debt:
    """As far as it was not paid. Its rates were checked against the payer's caps when it was made. Who paid a part of
    it has no discount on the rest."""
    missing_cents = payments.missing_cents(session, invoice)
    whole = missing_cents == invoice.amount_cents
    early = (invoice.early_discount_cents, invoice.early_discount_until) if whole else (0, None)
    terms = LateTerms(invoice.fine_bp, invoice.interest_bp_month, PayerKind.BUSINESS, *early)
    return Debt(missing_cents, invoice.due_date, terms)


def owed_on(session: Session, invoice: Invoice, day: date, is_holiday: IsHoliday) -> AmountDue:
    return amount_due(debt_of(session, invoice), day, is_holiday)


def parts_in(
    session: Session, invoice: Invoice, amount_cents: int, paid_on: date, is_holiday: IsHoliday
) -> payments.Terms:
    """What of a payment is fine and interest, or was let off."""
    parts = owed_on(session, invoice, paid_on, is_holiday).parts_of(amount_cents)
    return payments.Terms(parts.late_cents, parts.discount_cents)
