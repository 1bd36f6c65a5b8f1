"""What a change of plan would mean in money, before anybody decides on it: the periods that it touches, both ways.

The change is entered as it would be, read with all else that the contract is charged for, and taken back: what is shown
is what invoices will say, and what would be refused is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import islice
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import pauses, plan_changes
from billing_hooks.invoicing import words
from billing_hooks.invoicing.facts import Facts, Item
from billing_hooks.invoicing.lines import Draft, draft
from billing_hooks.invoicing.period import Span, Terms, periods
from billing_hooks.invoicing.words import Words
from billing_hooks.plan_changes import Wish
from core import services
from core.audit import Actor
from core.models.party import Contract, ContractItem
from core.models.service import Plan, Service

#: The period in which the day lies, and the first that has the new price from its start.
_PERIODS: Final = 2
_PERIOD_DAYS_MAX: Final = 31


@dataclass(frozen=True, slots=True)
class PeriodPreview:
    """One invoice without the change and with it."""

    before: Draft
    after: Draft

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
    before = facts_of(session, contract)
    entering = session.begin_nested()
    try:
        change = plan_changes.enter(session, service_id, wish, actor, now.astimezone(zone).date())
        after = facts_of(session, contract)
        terms = Terms(contract.started_on, contract.due_day)
        day = max(change.on, contract.started_on)
        begun = periods(terms, day + timedelta(days=_PERIOD_DAYS_MAX + 1))
        touched = islice((period for period in begun if period.end > day), _PERIODS)
        return Preview(
            change.on, change.old_plan_id, change.new_plan_id, change.old_cents, change.new_cents,
            tuple(PeriodPreview(draft(period, before), draft(period, after)) for period in touched),
        )  # fmt: skip
    finally:
        entering.rollback()


def facts_of(session: Session, contract: Contract) -> Facts:
    """What the contract is charged for by its items, their changes and the pauses of its services."""
    changes = plan_changes.price_changes(session, [contract.id]).get(contract.id, [])
    paused = pauses.paused_days(session, [contract.id]).get(contract.id, [])
    first_cents = {change.item_id: change.old_cents for change in reversed(changes)}
    first_names = plan_changes.first_names(session, [contract.id])
    rows = session.execute(
        select(ContractItem, Plan.name)
        .outerjoin(Service, Service.id == ContractItem.service_id)
        .outerjoin(Plan, Plan.id == Service.plan_id)
        .where(ContractItem.contract_id == contract.id)
    )
    items = [
        _item(item, contract, first_cents, first_names.get(str(item.id), words.name(plan_name or "")))
        for item, plan_name in rows
        if item.valid_until is None or item.valid_until >= contract.started_on
    ]
    ids = {item.id for item in items}
    return Facts(
        tuple(items),
        tuple(change for change in changes if change.item_id in ids),
        uncharged=tuple(one for one in paused if one.item_id in ids),
    )


def _item(row: ContractItem, contract: Contract, first_cents: dict[str, int], plan_name: Words) -> Item:
    id_ = str(row.id)
    description = plan_name if row.description is None else words.name(row.description)
    first_day = max(row.valid_from or contract.started_on, contract.started_on)
    valid = Span.through(first_day, row.valid_until)
    return Item(id_, description, first_cents.get(id_, row.price_cents), valid, row.service_id is not None)
