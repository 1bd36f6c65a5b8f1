"""What a change of plan would mean in money, before anybody decides on it: the periods that it touches, both ways.

The change is entered as it would be, read with all that the contract is charged for each month, and taken back: what is
shown is what invoices will say, and what would be refused is refused here. Extras and credits are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import islice
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import plan_changes
from billing_hooks.invoicing.facts import Facts
from billing_hooks.invoicing.lines import Draft, draft
from billing_hooks.invoicing.period import Period, Terms, periods
from billing_hooks.issuing import terms
from billing_hooks.issuing.gathering import read_facts, scan_accounts
from billing_hooks.issuing.kept import period_of
from billing_hooks.models import BilledPeriod
from billing_hooks.plan_changes import Wish
from core import services
from core.audit import Actor
from core.models.party import Contract

#: The period in which the day lies, and the first that has the new price from its start.
_PERIODS: Final = 2
_PERIOD_MAX: Final = timedelta(days=31)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PeriodPreview:
    """One period without the change and with it. What was invoiced already is corrected with the next invoice."""

    before: Draft
    after: Draft
    invoiced: bool

    @property
    def difference_cents(self) -> int:
        return self.after.charged_cents - self.before.charged_cents


@dataclass(frozen=True, slots=True)
class Preview:
    """As the change would be kept; prices are those of a whole cycle."""

    on: date
    old_plan_id: int
    new_plan_id: int
    old_cents: int
    new_cents: int
    periods: tuple[PeriodPreview, ...]


def preview(session: Session, service_id: int, wish: Wish, actor: Actor, now: datetime, zone: tzinfo) -> Preview:
    """Nothing is kept. Raises as `plan_changes.ask` does."""
    contract = session.get_one(Contract, services.get_service(session, service_id).contract_id)
    before = _monthly(session, contract.id, zone)
    entering = session.begin_nested()
    try:
        change = plan_changes.enter(session, service_id, wish, actor, now.astimezone(zone).date())
        after = _monthly(session, contract.id, zone)
        touched = islice(_periods(session, contract, change.on, zone), _PERIODS)
        return Preview(
            change.on, change.old_plan_id, change.new_plan_id, change.old_cents, change.new_cents,
            tuple(PeriodPreview(draft(one, before), draft(one, after), invoiced) for one, invoiced in touched),
        )  # fmt: skip
    finally:
        entering.rollback()


def _monthly(session: Session, contract_id: int, zone: tzinfo) -> Facts:
    return replace(read_facts(session, contract_id, zone), extras=(), credits=())


def _periods(session: Session, contract: Contract, on: date, zone: tzinfo) -> Iterator[tuple[Period, bool]]:
    """Those that end after the day, in order, and whether they were invoiced."""
    billed = select(BilledPeriod).where(
        BilledPeriod.contract_id == contract.id, BilledPeriod.cancelled_at.is_(None), BilledPeriod.end > on
    )
    for row in session.scalars(billed.order_by(BilledPeriod.start)):
        yield period_of(row), True
    account = next(scan_accounts(session, terms.load(session), zone, Contract.id == contract.id), None)
    start = account.begins_on if account is not None else contract.started_on
    for period in periods(Terms(start, contract.due_day), max(start, on) + _PERIOD_MAX + _DAY):
        if period.end > on:
            yield period, False
