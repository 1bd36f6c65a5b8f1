"""What the invoices of a contract are made from, read for many at once: its dates, its terms and its facts.

Of a service that was suspended for a debt, or paused by the customer, those days are not charged; with a gentler
restriction (throttled) it is still a service, and is. An item of no service is charged as long as one of the contract's
services is: what is owed whether anything works or not (an instalment of a router) is an extra each month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from billing_hooks import pauses, plan_changes
from billing_hooks.invoicing import words
from billing_hooks.invoicing.facts import Credit, Discount, Extra, Facts, Item, PriceChange, Reason, Uncharged, days_of
from billing_hooks.invoicing.period import Period, Span, Terms, due_on, periods
from billing_hooks.invoicing.words import Words
from billing_hooks.issuing import adjustments
from billing_hooks.issuing.terms import TermsBook
from billing_hooks.models import Adjustment, AdjustmentKind, BilledPeriod, ContractBilling, InvoicingTerms, Pause
from core.access import HoldEffect, HoldReason
from core.models.party import Contract, ContractItem, Customer, CustomerKind
from core.models.service import Hold, Plan, Service, ServiceStatus

_REASONS: Final = {
    HoldReason.BILLING: Reason.SUSPENDED,
    HoldReason.REQUEST: Reason.PAUSED_BY_CUSTOMER,
}
_STOPPING: Final = (HoldEffect.WALLED_GARDEN, HoldEffect.BLOCK)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stops:
    """When a contract's services were not charged, and why; `ended`: the last day of those that were cancelled."""

    by_service: Mapping[int, Sequence[tuple[Span, Reason]]] = field(default_factory=dict)
    everywhere: Sequence[tuple[Span, Reason]] = ()
    ended: Mapping[int, date] = field(default_factory=dict)

    def of(self, item_id: str, service_id: int | None) -> Iterator[Uncharged]:
        """Of an item of this service; None: of none."""
        stops = self.everywhere if service_id is None else self.by_service.get(service_id, ())
        for days, reason in stops:
            yield Uncharged(days, reason, item_id)

    def after_end(self, item_id: str, service_id: int | None, contract_ended_on: date | None) -> Iterator[Uncharged]:
        """The days on which the item is no more, for a period that was invoiced before that was known."""
        ends = [self.ended.get(service_id) if service_id is not None else None, contract_ended_on]
        last = min((end for end in ends if end is not None), default=None)
        if last is not None:
            yield Uncharged(Span(last + _DAY), Reason.NOT_BILLABLE, item_id)


@dataclass(frozen=True, slots=True)
class Account:
    """A contract as invoicing sees it. `services`: whose price an item is, None: that of no service."""

    contract_id: int
    customer: str
    payer_kind: CustomerKind
    terms: InvoicingTerms
    due_day: int
    #: Where the period begins that was not invoiced yet.
    begins_on: date
    ended_on: date | None
    #: It ended, and what was left of it has been invoiced.
    settled: bool = False
    facts: Facts = field(default_factory=Facts)
    #: Also of items that it has no more, which earlier periods were charged for.
    changes: Sequence[PriceChange] = ()
    services: Mapping[str, int | None] = field(default_factory=dict)
    stops: Stops = field(default_factory=Stops)

    def next_period(self) -> Period | None:
        """The one that is to be invoiced next; None after the end."""
        if self.ended_on is not None and self.begins_on > self.ended_on:
            return None
        terms = Terms(self.begins_on, self.due_day, self.terms.timing, self.ended_on)
        return next(periods(terms, self.begins_on + _DAY))

    def due_date(self, period: Period) -> date:
        return due_on(period, self.terms.timing)

    def issues_on(self, period: Period) -> date:
        return self.due_date(period) - timedelta(days=self.terms.lead_days)


@dataclass(slots=True)
class _Parts:
    """What is gathered of one contract."""

    items: list[Item] = field(default_factory=list)
    services: dict[str, int | None] = field(default_factory=dict)
    in_use: set[int] = field(default_factory=set)
    ended: dict[int, date] = field(default_factory=dict)
    stopped: dict[int, list[tuple[Span, Reason]]] = field(default_factory=lambda: defaultdict(list))
    changes: list[PriceChange] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    discounts: list[Discount] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)

    def stops(self) -> Stops:
        everywhere = _common([self.stopped[service_id] for service_id in sorted(self.in_use)])
        return Stops(self.stopped, everywhere, self.ended)

    def end_items(self, last: date) -> None:
        whole = Span(date.min, last + _DAY)
        self.items = [replace(one, valid=both) for one in self.items if (both := _overlap(one.valid, whole))]

    def facts(self, stops: Stops) -> Facts:
        uncharged = tuple(one for item in self.items for one in stops.of(item.id, self.services[item.id]))
        changes = tuple(one for one in self.changes if one.item_id in {item.id for item in self.items})
        return Facts(
            tuple(self.items), changes, tuple(self.extras), tuple(self.discounts), tuple(self.credits),
            uncharged,
        )  # fmt: skip


def read_accounts(
    session: Session, contract_ids: Collection[int], book: TermsBook, zone: tzinfo
) -> list[Account]:  # fmt: skip
    """Those of them that we invoice, in the order of their ids."""
    parts = _read_parts(session, contract_ids, zone)
    wanted = Contract.id.in_(contract_ids)
    return [_filled(account, parts[account.contract_id]) for account in scan_accounts(session, book, zone, wanted)]


def read_facts(session: Session, contract_id: int, zone: tzinfo) -> Facts:
    """Of a contract that may be invoiced by somebody else."""
    parts = _read_parts(session, [contract_id], zone)[contract_id]
    return parts.facts(parts.stops())


def scan_accounts(
    session: Session, book: TermsBook, zone: tzinfo, wanted: ColumnElement[bool]
) -> Iterator[Account]:  # fmt: skip
    """Without facts: enough to know what is due when."""
    holder, payer = aliased(Customer), aliased(Customer)
    billed_until = (
        select(func.max(BilledPeriod.end)).where(BilledPeriod.contract_id == Contract.id).scalar_subquery()
    )  # fmt: skip
    rows = session.execute(
        select(
            Contract.id, holder.name, payer.kind, Contract.due_day, Contract.cancelled_at,
            func.greatest(Contract.started_on, ContractBilling.invoiced_since, billed_until),
            ContractBilling.invoicing_terms_id, ContractBilling.settled_at,
        )
        .join(holder, holder.id == Contract.customer_id)
        .join(payer, payer.id == Contract.payer_id)
        .join(ContractBilling, ContractBilling.contract_id == Contract.id)
        .where(ContractBilling.invoiced_since.is_not(None), wanted)
        .order_by(Contract.id)
    )  # fmt: skip
    for contract_id, name, kind, due_day, cancelled_at, begins_on, terms_id, settled_at in rows.all():
        yield Account(
            contract_id, name, kind, book.of(terms_id, kind), due_day, begins_on,
            _local(cancelled_at, zone) if cancelled_at else None, settled=settled_at is not None,
        )  # fmt: skip


def _filled(account: Account, parts: _Parts) -> Account:
    stops = parts.stops()
    if account.ended_on is not None:
        parts.end_items(account.ended_on)
    return replace(
        account, facts=parts.facts(stops), changes=parts.changes, services=parts.services, stops=stops
    )  # fmt: skip


def _read_parts(session: Session, contract_ids: Collection[int], zone: tzinfo) -> dict[int, _Parts]:
    parts: dict[int, _Parts] = defaultdict(_Parts)
    _read_items(session, contract_ids, parts, zone)
    _read_changes(session, contract_ids, parts)
    _read_stops(session, contract_ids, parts, zone)
    _read_adjustments(session, contract_ids, parts)
    return parts


def _read_items(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts], zone: tzinfo) -> None:
    rows = session.execute(
        select(ContractItem, Service.id, Service.status, Service.cancelled_at, Plan.name)
        .outerjoin(Service, Service.id == ContractItem.service_id)
        .outerjoin(Plan, Plan.id == Service.plan_id)
        .where(ContractItem.contract_id.in_(contract_ids))
        .order_by(ContractItem.id)
    )
    for row, service_id, status, cancelled_at, plan_name in rows:
        if status is ServiceStatus.PENDING:
            continue
        part, last = parts[row.contract_id], row.valid_until
        if status is ServiceStatus.CANCELLED and cancelled_at is not None:
            part.ended[service_id] = _local(cancelled_at, zone)
            last = min(last or date.max, part.ended[service_id])
        item = _item(row, last, plan_name)
        if item is not None:
            part.items.append(item)
            part.services[item.id] = service_id


def _item(row: ContractItem, last: date | None, plan_name: str | None) -> Item | None:
    """None where no day is left of it."""
    first = row.valid_from or date.min
    if last is not None and last < first:
        return None
    description = words.name(row.description or plan_name or "")
    return Item(str(row.id), description, row.price_cents, Span.through(first, last))


def _read_changes(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    """An item is what it was before its first change; the changes make of it what it is now."""
    before = plan_changes.before_changes(session, contract_ids)
    for contract_id, changes in plan_changes.price_changes(session, contract_ids).items():
        part = parts[contract_id]
        part.changes += changes
        part.items = [_as_before(item, *before[item.id]) if item.id in before else item for item in part.items]


def _as_before(item: Item, price_cents: int, description: Words) -> Item:
    return replace(item, price_cents=price_cents, description=description)


def _read_stops(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts], zone: tzinfo) -> None:
    in_use = select(Service.contract_id, Service.id).where(
        Service.contract_id.in_(contract_ids), Service.status == ServiceStatus.ACTIVE
    )
    for contract_id, service_id in session.execute(in_use):
        parts[contract_id].in_use.add(service_id)
    for contract_id, paused in pauses.paused_days(session, contract_ids).items():
        for service_id, days in paused:
            parts[contract_id].stopped[service_id].append((days, Reason.PAUSED_BY_CUSTOMER))
    of_pause = exists().where(Pause.hold_id == Hold.id)  # which is known from its first day to its last
    rows = session.execute(
        select(Service.contract_id, Hold.service_id, Hold.reason, Hold.placed_at, Hold.lifted_at)
        .join(Service, Service.id == Hold.service_id)
        .where(
            Service.contract_id.in_(contract_ids), Hold.reason.in_(_REASONS), Hold.effect.in_(_STOPPING),
            ~of_pause,
        )
        .order_by(Hold.id)
    )  # fmt: skip
    for contract_id, service_id, reason, placed_at, lifted_at in rows:
        if lifted_at is None or lifted_at > placed_at:
            span = days_of(placed_at, lifted_at, zone)
            parts[contract_id].stopped[service_id].append((span, _REASONS[reason]))


def _read_adjustments(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    """What no invoice has used up yet."""
    rows = session.scalars(
        select(Adjustment)
        .where(
            Adjustment.contract_id.in_(contract_ids), Adjustment.withdrawn_at.is_(None),
            Adjustment.billed_period_id.is_(None),
        )
        .order_by(Adjustment.id)
    )  # fmt: skip
    for row in rows:
        part = parts[row.contract_id]
        if row.kind is AdjustmentKind.EXTRA:
            part.extras.append(adjustments.extra_of(row))
        elif row.kind is AdjustmentKind.DISCOUNT:
            part.discounts.append(adjustments.discount_of(row))
        elif row.used_cents < (row.amount_cents or 0):
            part.credits.append(adjustments.credit_of(row))


def _common(stops: list[list[tuple[Span, Reason]]]) -> list[tuple[Span, Reason]]:
    """The days on which every service was stopped."""
    if not stops:
        return []
    common = stops[0]
    for other in stops[1:]:
        common = [
            (both, reason) for one, reason in common for another, _ in other if (both := _overlap(one, another))
        ]  # fmt: skip
    return common


def _overlap(one: Span, other: Span) -> Span | None:
    start = max(one.start, other.start)
    ends = [end for end in (one.end, other.end) if end is not None]
    end = min(ends, default=None)
    return Span(start, end) if end is None or start < end else None


def _local(at: datetime, zone: tzinfo) -> date:
    return at.astimezone(zone).date()
