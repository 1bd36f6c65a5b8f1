"""Does a contract owe so much, for so long, that its services are to be restricted? Pure: facts in, a verdict out.

The rule, in its simplest honest form (Anatel 765/2023 art. 70 ff.): an invoice is overdue, the payer was notified of
the debt, and the full days of the notice have run. A contested invoice does not count. A restriction may begin only
on the days and hours that the policy allows; giving access back knows no hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from core.access import HoldEffect

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class SuspensionPolicy:
    """Defaults are the strict reading for Brazilian consumers: notice and 15 full days, no cut before a day off."""

    overdue_days: int = 1
    notice_days: int = 15
    effect: HoldEffect = HoldEffect.WALLED_GARDEN
    #: Monday is 0. Lei 14.015/2020 keeps cuts off Fridays, weekends and the eves of holidays.
    weekdays: frozenset[int] = frozenset({0, 1, 2, 3})
    first_hour: int = 8
    last_hour: int = 18
    #: A run that would restrict more than this share of the contracts (and more than the floor) asks a person first.
    share_max: float = 0.1
    count_floor: int = 20

    @property
    def hours(self) -> str:
        """When a restriction may begin, for people."""
        days = ", ".join(_WEEKDAYS[day] for day in sorted(self.weekdays))
        return f"{days}, {self.first_hour} to {self.last_hour} h"


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    invoice_id: int
    due_date: date
    amount_cents: int
    notified_at: datetime | None
    contested: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """`owes`: a billing hold belongs on the contract. The reason is for people, in both languages."""

    owes: bool
    invoice_id: int | None
    reason: str
    reason_pt: str


GOOD = Standing(
    owes=False, invoice_id=None, reason="nothing overdue and notified", reason_pt="nada vencido e notificado"
)


def standing(open_invoices: Iterable[OpenInvoice], policy: SuspensionPolicy, now: datetime, zone: tzinfo) -> Standing:
    """By the oldest invoice for which the whole rule is met."""
    today = now.astimezone(zone).date()
    due = [invoice for invoice in open_invoices if _counts(invoice, policy, today, zone)]
    if not due:
        return GOOD
    oldest = min(due, key=lambda invoice: (invoice.due_date, invoice.invoice_id))
    days = (today - oldest.due_date).days
    return Standing(
        owes=True,
        invoice_id=oldest.invoice_id,
        reason=f"invoice {oldest.invoice_id} is {days} days overdue and its notice has run",
        reason_pt=f"fatura {oldest.invoice_id} vencida há {days} dias, com o prazo do aviso cumprido",
    )


def may_begin(policy: SuspensionPolicy, now: datetime, zone: tzinfo) -> bool:
    """Whether a restriction may begin at this hour of this day."""
    local = now.astimezone(zone)
    return local.weekday() in policy.weekdays and policy.first_hour <= local.hour < policy.last_hour


def _counts(invoice: OpenInvoice, policy: SuspensionPolicy, today: date, zone: tzinfo) -> bool:
    if invoice.contested or invoice.notified_at is None:
        return False
    if today < invoice.due_date + timedelta(days=policy.overdue_days):
        return False
    # Full days: the day on which the notice reached does not count. A notice from before the due date told of what
    # might be owed; its days begin when something was.
    told = max(invoice.notified_at.astimezone(zone).date(), invoice.due_date)
    return today > told + timedelta(days=policy.notice_days)
