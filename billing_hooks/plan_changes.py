"""Another plan for a service, now or on a day to come, with the price that its contract has from then on.

    ask       what is to be, checked and kept; a change of today is done in the same transaction
    apply_due on the others' day, soon after it begins in the provider's calendar

A change names the plan and price that it leaves. Those of a service that wait for their day follow each other: one that
is put between two, or taken out, is what the next one leaves or no longer leaves. One whose service, plan or price is
no longer as it was when its day comes does nothing. It tells so, and waits for a person to withdraw it: nobody knows
whether the customer still wants what he asked for.

The price is the new plan's of today unless another was agreed on, and stays agreed on whatever becomes of the plan's.
It is that of the service's item in its contract. Who changes anything here holds the contract's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from billing_hooks.invoicing import words
from billing_hooks.invoicing.facts import CENTS_MAX, PriceChange
from billing_hooks.invoicing.words import Words
from billing_hooks.models import PlanChange
from billing_hooks.suspension import ACTOR, lock_contract
from core import audit, events, parties, services
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound, ProvedorError
from core.keyring import Keyring
from core.models.party import Contract, ContractItem
from core.models.service import Plan, Service, ServiceStatus

#: Done in one transaction by the clock: a payment for one of their contracts waits for it.
DUE_MAX: Final = 25


@dataclass(frozen=True, slots=True)
class Wish:
    """`on` None: today. `price_cents` None: the plan's price."""

    plan_id: int
    on: date | None = None
    price_cents: int | None = None
    note: str | None = None


def ask(
    session: Session, keyring: Keyring, service_id: int, wish: Wish, actor: Actor, now: datetime, zone: tzinfo
) -> PlanChange:
    """Raises NotFound, InvalidInput naming the field, or Conflict."""
    today = now.astimezone(zone).date()
    change = enter(session, service_id, wish, actor, today)
    if change.on == today:
        _apply(session, keyring, change, actor, now)
    return change


def enter(session: Session, service_id: int, wish: Wish, actor: Actor, today: date) -> PlanChange:
    """Keep what is to be, and do nothing of it yet. Raises as `ask` does."""
    service = _locked_service(session, service_id)
    on, plan = wish.on or today, session.get(Plan, wish.plan_id)
    if on < today:
        raise InvalidInput(f"a plan changes from today on, {today}: what was cannot be changed", field="on")
    if plan is None:
        raise InvalidInput(f"there is no plan {wish.plan_id}", field="plan_id")
    new_cents = plan.price_cents if wish.price_cents is None else wish.price_cents
    if new_cents > CENTS_MAX:
        raise InvalidInput(f"a price is at most {CENTS_MAX} centavos", field="price_cents")
    planned = _planned_of(session, service_id, on)
    item = _item(session, service, on, today, actor)
    before = next((one for one in reversed(planned) if one.on < on and one.item_id == item.id), None)
    change = PlanChange(
        contract_id=service.contract_id, service_id=service_id, item_id=item.id, on=on,
        old_plan_id=before.new_plan_id if before else service.plan_id, new_plan_id=plan.id,
        old_cents=before.new_cents if before else item.price_cents, new_cents=new_cents,
        asked_by=actor.name, note=wish.note,
    )  # fmt: skip
    if _leaves(change) == _leads_to(change):
        raise InvalidInput("it has this plan at this price already", field="plan_id")
    after = next((one for one in planned if one.on > on), None)
    if after is not None and _leaves(after) == _leaves(change):
        after.old_plan_id, after.old_cents = _leads_to(change)
    session.add(change)
    session.flush()
    audit.record(session, actor, "ask", "plan_change", change.id, {
        "service_id": service_id, "on": on.isoformat(), "plan_id": plan.id, "price_cents": new_cents,
    })  # fmt: skip
    _tell(session, change, "asked", on=on.isoformat(), plan_id=plan.id, price_cents=new_cents)
    return change


def withdraw(session: Session, change_id: int, actor: Actor, now: datetime) -> PlanChange:
    """It will not be; one that is withdrawn already stays so. Raises NotFound, or Conflict for one that is done."""
    contract_id = session.scalar(select(PlanChange.contract_id).where(PlanChange.id == change_id))
    if contract_id is None:
        raise NotFound("plan change", change_id)
    lock_contract(session, contract_id)
    change = session.get_one(PlanChange, change_id, populate_existing=True)
    if change.applied_at is not None:
        raise Conflict(f"plan change {change_id} is done; ask for another to undo it")
    if change.withdrawn_at is None:
        _step_aside(session, change)
        change.withdrawn_at = now
        session.flush()
        audit.record(session, actor, "withdraw", "plan_change", change.id, {"service_id": change.service_id})
        _tell(session, change, "withdrawn")
    return change


def apply_due(session: Session, keyring: Keyring, now: datetime, zone: tzinfo, limit: int = DUE_MAX) -> int:
    """Those whose day has come, in its order; returns how many are done. Run by the clock every few seconds."""
    due = select(PlanChange.id, PlanChange.contract_id).where(planned(), PlanChange.on <= now.astimezone(zone).date())
    rows = session.execute(due.order_by(PlanChange.contract_id, PlanChange.on, PlanChange.id).limit(limit)).all()
    return sum(_apply_one(session, keyring, *row, now) for row in rows)


def planned() -> ColumnElement[bool]:
    """A change that waits for its day, as a condition."""
    return and_(PlanChange.applied_at.is_(None), PlanChange.withdrawn_at.is_(None), PlanChange.error.is_(None))


def failed() -> ColumnElement[bool]:
    """A change that waits for a person, as a condition."""
    return and_(PlanChange.withdrawn_at.is_(None), PlanChange.error.is_not(None))


def price_changes(session: Session, contract_ids: Collection[int]) -> dict[int, list[PriceChange]]:
    """By contract, of the items that it has: what was changed and what will be; of those that it had, what was.

    An item is as `before_changes` says until its first one. Changes from before the item's first day are one, on that
    day. Those that are withdrawn, or wait for a person, change nothing.
    """
    found: dict[int, list[PriceChange]] = defaultdict(list)
    for contract_id, first_day, changes in _histories(session, contract_ids):
        early = [one for one in changes if one.on <= first_day]
        if early:
            found[contract_id].append(_price_change(early[0], early[-1], first_day))
        found[contract_id] += [_price_change(one, one, one.on) for one in changes[len(early) :]]
    return dict(found)


def before_changes(session: Session, contract_ids: Collection[int]) -> dict[str, tuple[int, Words]]:
    """By item: its price in centavos and its name before its first change."""
    firsts = [changes[0] for _, _, changes in _histories(session, contract_ids)]
    return {str(one.item_id): (one.old_cents, words.name(one.old_name)) for one in firsts}


@dataclass(frozen=True, slots=True)
class _Told:
    """A change, with what the item is called before it and after."""

    item_id: int
    on: date
    old_cents: int
    new_cents: int
    old_name: str
    new_name: str


def _histories(session: Session, contract_ids: Collection[int]) -> Iterator[tuple[int, date, list[_Told]]]:
    """Item by item: (its contract, the first day on which it is charged, its changes in order)."""
    old, new = aliased(Plan), aliased(Plan)
    first_day = func.greatest(ContractItem.valid_from, Contract.started_on)  # NULL counts for nothing
    rows = session.execute(
        select(
            PlanChange.contract_id, first_day, PlanChange.item_id, PlanChange.on, PlanChange.old_cents,
            PlanChange.new_cents, func.coalesce(ContractItem.description, old.name), new.name,
        )
        .outerjoin(ContractItem, ContractItem.id == PlanChange.item_id)
        .join(Contract, Contract.id == PlanChange.contract_id)
        .join(old, old.id == PlanChange.old_plan_id)
        .join(new, new.id == PlanChange.new_plan_id)
        .where(
            PlanChange.contract_id.in_(contract_ids), PlanChange.withdrawn_at.is_(None), PlanChange.error.is_(None),
            or_(ContractItem.id.is_not(None), PlanChange.applied_at.is_not(None)),
        )
        .order_by(PlanChange.contract_id, PlanChange.item_id, PlanChange.on)
    )  # fmt: skip
    for (contract_id, _, begins), changes in groupby(rows, key=lambda row: (row[0], row[2], row[1])):
        yield contract_id, begins, [_Told(*row[2:]) for row in changes]


def _price_change(first: _Told, last: _Told, on: date) -> PriceChange:
    return PriceChange(str(last.item_id), on, first.old_cents, last.new_cents, words.name(last.new_name))


def _apply_one(session: Session, keyring: Keyring, change_id: int, contract_id: int, now: datetime) -> bool:
    """Whatever became of it while it was waited for; one that cannot be done keeps no other waiting."""
    lock_contract(session, contract_id)
    change = session.get_one(PlanChange, change_id, populate_existing=True)
    if change.applied_at or change.withdrawn_at or change.error:
        return False
    try:
        with session.begin_nested():
            _apply(session, keyring, change, ACTOR, now)
    except ProvedorError as refused:
        _step_aside(session, change)
        change.error = refused.detail
        session.flush()
        _tell(session, change, "failed", detail=refused.detail)
        return False
    return True


def _apply(session: Session, keyring: Keyring, change: PlanChange, actor: Actor, now: datetime) -> None:
    """Raises Conflict where what it leaves is no longer so."""
    service = _locked_service(session, change.service_id)
    item = session.get(ContractItem, change.item_id, populate_existing=True)
    if service.plan_id != change.old_plan_id:
        raise Conflict(f"service {service.id} has plan {service.plan_id} now, not {change.old_plan_id}")
    if item is None or item.price_cents != change.old_cents:
        raise Conflict(f"the price of service {service.id} in its contract is no longer {change.old_cents} centavos")
    services.update_service(session, keyring, service, {"plan_id": change.new_plan_id}, actor)
    parties.reprice_item(session, item, change.new_cents, actor)
    change.applied_at = now
    session.flush()
    _tell(session, change, "applied", plan_id=change.new_plan_id, price_cents=change.new_cents)


def _locked_service(session: Session, service_id: int) -> Service:
    """With its contract, one that has not ended. Raises NotFound or Conflict."""
    lock_contract(session, services.get_service(session, service_id).contract_id)
    query = select(Service).where(Service.id == service_id).with_for_update(key_share=True)
    service = session.scalars(query.execution_options(populate_existing=True)).one()
    if service.status is ServiceStatus.CANCELLED:
        raise Conflict(f"service {service_id} is cancelled")
    return service


def _planned_of(session: Session, service_id: int, on: date) -> Sequence[PlanChange]:
    """Its changes that wait for their day, in order. Raises Conflict where there is one on this day."""
    query = select(PlanChange).where(PlanChange.service_id == service_id, PlanChange.withdrawn_at.is_(None))
    changes = session.scalars(query.order_by(PlanChange.on).execution_options(populate_existing=True)).all()
    same_day = next((one for one in changes if one.on == on), None)
    if same_day is not None and same_day.applied_at is not None:
        raise Conflict(f"plan change {same_day.id} was done on {on}; another can be from the next day on", field="on")
    if same_day is not None:
        raise Conflict(f"plan change {same_day.id} is for {on}, too; withdraw it first", field="on")
    return [one for one in changes if one.applied_at is None and one.error is None]


def _item(session: Session, service: Service, on: date, today: date, actor: Actor) -> ContractItem:
    """The one whose price is the plan's: without a description, or the only one of the service.

    A service that costs nothing gets one, of nothing. Raises Conflict where several may be meant.
    """
    query = select(ContractItem).where(
        ContractItem.service_id == service.id, ContractItem.contract_id == service.contract_id
    )
    items = session.scalars(query.order_by(ContractItem.id).execution_options(populate_existing=True)).all()
    plain = [item for item in items if item.description is None] or items
    charged = [item for item in plain if item.valid_until is None or item.valid_until >= on]
    if len(charged) > 1:
        raise Conflict(f"service {service.id} has several prices on {on} or later; leave one without a description")
    if charged:
        return charged[0]
    values = {"service_id": service.id, "price_cents": 0, "valid_from": today}
    return parties.add_item(session, service.contract_id, values, actor)


def _step_aside(session: Session, change: PlanChange) -> None:
    """What follows it leaves what it would have left."""
    query = select(PlanChange).where(planned(), PlanChange.service_id == change.service_id, PlanChange.on > change.on)
    after = session.scalars(query.order_by(PlanChange.on).limit(1)).first()
    if change.error is None and after is not None and _leaves(after) == _leads_to(change):
        after.old_plan_id, after.old_cents = _leaves(change)


def _leaves(change: PlanChange) -> tuple[int, int]:
    return change.old_plan_id, change.old_cents


def _leads_to(change: PlanChange) -> tuple[int, int]:
    return change.new_plan_id, change.new_cents


def _tell(session: Session, change: PlanChange, what: str, **more: Any) -> None:  # noqa: ANN401
    events.record(session, f"plan_change.{what}", "service", change.service_id, change_id=change.id, **more)
