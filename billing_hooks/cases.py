"""A contract as the engine sees it: everything its verdict depends on, read for many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from billing_hooks.days import Place
from billing_hooks.follow.models import CutCalendar, FollowedContract, FollowSource
from billing_hooks.models import ContractBilling, DebtMessage, Promise
from billing_hooks.policies import Policies
from billing_hooks.policy import Policy
from billing_hooks.standing import Debtor, Followed, OpenInvoice
from core.access import HoldEffect, HoldReason
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.party import Contract, Customer
from core.models.service import Hold, Service, ServiceKind, ServiceStatus


@dataclass(frozen=True, slots=True)
class LiveHold:
    """A billing hold that was not lifted."""

    hold_id: int
    service_id: int
    effect: HoldEffect


@dataclass(frozen=True, slots=True)
class Case:
    """`suspendable`: the services that may be restricted; a dedicated link is cut by a person only."""

    contract_id: int
    customer: str
    policy: Policy
    debtor: Debtor
    holds: Sequence[LiveHold] = ()
    suspendable: frozenset[int] = frozenset()
    places: frozenset[Place] = frozenset()
    #: A person was asked to end it, for the restriction that it has.
    termination_proposed: bool = False


@dataclass(slots=True)
class _Parts:
    """What is gathered of one contract."""

    invoices: list[OpenInvoice] = field(default_factory=list)
    holds: list[LiveHold] = field(default_factory=list)
    suspendable: set[int] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    paused: bool = False


def read_cases(session: Session, contract_ids: Collection[int], policies: Policies, now: datetime) -> list[Case]:
    """In the order of their ids, in a handful of statements. Of a contract that owes nothing and holds nothing, too."""
    parts: dict[int, _Parts] = defaultdict(_Parts)
    _read_invoices(session, contract_ids, parts)
    _read_services(session, contract_ids, parts)
    _read_holds(session, contract_ids, parts)
    holder, payer = aliased(Customer), aliased(Customer)
    promised = (
        select(func.max(Promise.until))
        .where(Promise.contract_id == Contract.id, Promise.until > now, Promise.withdrawn_at.is_(None))
        .scalar_subquery()
    )
    at_once = or_(FollowedContract.by_hand, FollowSource.calendar == CutCalendar.ERP)
    rows = session.execute(
        select(
            Contract.id, holder.name, payer.kind, ContractBilling.policy_id, ContractBilling.exemption,
            ContractBilling.restricted_since, ContractBilling.termination_proposed_at, promised, FollowSource.name,
            FollowedContract.effect, FollowedContract.reason, at_once,
        )
        .join(holder, holder.id == Contract.customer_id)
        .join(payer, payer.id == Contract.payer_id)
        .outerjoin(ContractBilling, ContractBilling.contract_id == Contract.id)
        .outerjoin(FollowedContract, FollowedContract.contract_id == Contract.id)
        .outerjoin(FollowSource, FollowSource.id == FollowedContract.source_id)
        .where(Contract.id.in_(contract_ids))
        .order_by(Contract.id)
    ).all()  # fmt: skip
    return [
        _case(
            contract_id, name, policies.of(policy_id, kind), parts[contract_id], exemption, since, proposed, until,
            Followed(source, *word) if source is not None else None,
        )
        for contract_id, name, kind, policy_id, exemption, since, proposed, until, source, *word in rows
    ]  # fmt: skip


def _case(
    contract_id: int, name: str, policy: Policy, parts: _Parts, exemption: str | None, since: datetime | None,
    proposed_at: datetime | None, promise_until: datetime | None, followed: Followed | None,
) -> Case:  # fmt: skip
    debtor = Debtor(
        parts.invoices, restricted_since=since, promise_until=promise_until, exempt=exemption is not None,
        paused=parts.paused, followed=followed,
    )  # fmt: skip
    return Case(
        contract_id, name, policy, debtor, parts.holds, frozenset(parts.suspendable), frozenset(parts.places),
        termination_proposed=proposed_at is not None,
    )  # fmt: skip


def _read_invoices(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    paid = (
        select(func.sum(Payment.amount_cents - Payment.surcharge_cents + Payment.discount_cents))
        .where(Payment.invoice_id == Invoice.id, Payment.reversed_at.is_(None))
        .scalar_subquery()
    )
    told = select(func.array_agg(DebtMessage.step)).where(DebtMessage.invoice_id == Invoice.id).scalar_subquery()
    rows = session.execute(
        select(
            Invoice.contract_id, Invoice.id, Invoice.due_date, Invoice.amount_cents - func.coalesce(paid, 0),
            Invoice.notified_at, Invoice.contested, told,
        )
        .where(Invoice.contract_id.in_(contract_ids), Invoice.status == InvoiceStatus.OPEN)
        .order_by(Invoice.id)
    )  # fmt: skip
    for contract_id, invoice_id, due_date, owed_cents, notified_at, contested, steps in rows:
        parts[contract_id].invoices.append(
            OpenInvoice(invoice_id, due_date, int(owed_cents), notified_at, contested, frozenset(steps or ()))
        )


def _read_services(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    rows = session.execute(
        select(
            Service.contract_id, Service.id, Service.kind, Service.address["state"].astext,
            Service.address["ibge_code"].astext,
        ).where(Service.contract_id.in_(contract_ids), Service.status != ServiceStatus.CANCELLED)
    )  # fmt: skip
    for contract_id, service_id, kind, state, ibge_code in rows:
        if kind is not ServiceKind.DEDICATED:
            parts[contract_id].suspendable.add(service_id)
            parts[contract_id].places.add(Place(state, ibge_code))


def _read_holds(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    """Billing's own, and the customer's request: a contract all of whose services are paused owes no restriction."""
    rows = session.execute(
        select(Service.contract_id, Hold.id, Hold.service_id, Hold.effect, Hold.reason)
        .join(Service, Service.id == Hold.service_id)
        .where(
            Service.contract_id.in_(contract_ids), Hold.lifted_at.is_(None),
            Hold.reason.in_([HoldReason.BILLING, HoldReason.REQUEST]),
        )
        .order_by(Hold.id)
    )  # fmt: skip
    paused: dict[int, set[int]] = defaultdict(set)
    for contract_id, hold_id, service_id, effect, reason in rows:
        if reason is HoldReason.BILLING:
            parts[contract_id].holds.append(LiveHold(hold_id, service_id, effect))
        else:
            paused[contract_id].add(service_id)
    for contract_id, service_ids in paused.items():
        part = parts[contract_id]
        part.paused = bool(part.suspendable) and part.suspendable <= service_ids
