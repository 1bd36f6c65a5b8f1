"""A contract as the engine sees it: everything its verdict depends on, read for many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from billing_hooks.days import Place
from billing_hooks.follow.models import CutCalendar, FollowedContract, FollowSource
from billing_hooks.models import ContractBilling, DebtMessage, Promise
from billing_hooks.policies import Policies
from billing_hooks.policy import Policy
from billing_hooks.standing import Debtor, Followed, OpenInvoice
from core import incidents
from core.access import HoldEffect, HoldReason
from core.incidents import Outage
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.party import Contract, Customer
from core.models.service import Hold, Service, ServiceKind, ServiceStatus

# Built once: a run asks these a hundred times, and every payment asks them of one contract.
_IDS: Final = func.any(bindparam("ids", type_=ARRAY(BigInteger())))
_HOLDER, _PAYER = aliased(Customer), aliased(Customer)
_NOW: Final = bindparam("now", type_=DateTime(timezone=True))
_PROMISED: Final = (
    select(func.max(Promise.until))
    .where(Promise.contract_id == Contract.id, Promise.until > _NOW, Promise.withdrawn_at.is_(None))
    .scalar_subquery()
)
_AT_ONCE: Final = or_(FollowedContract.by_hand, FollowSource.calendar == CutCalendar.ERP)
_CONTRACTS: Final = (
    select(
        Contract.id, _HOLDER.name, _PAYER.kind, ContractBilling.policy_id, ContractBilling.exemption,
        ContractBilling.restricted_since, ContractBilling.termination_proposed_at, _PROMISED, FollowSource.name,
        FollowedContract.effect, FollowedContract.reason, _AT_ONCE,
    )
    .join(_HOLDER, _HOLDER.id == Contract.customer_id)
    .join(_PAYER, _PAYER.id == Contract.payer_id)
    .outerjoin(ContractBilling, ContractBilling.contract_id == Contract.id)
    .outerjoin(FollowedContract, FollowedContract.contract_id == Contract.id)
    .outerjoin(FollowSource, FollowSource.id == FollowedContract.source_id)
    .where(Contract.id == _IDS)
    .order_by(Contract.id)
)  # fmt: skip
_PAID: Final = (
    select(func.sum(Payment.amount_cents - Payment.surcharge_cents + Payment.discount_cents))
    .where(Payment.invoice_id == Invoice.id, Payment.reversed_at.is_(None))
    .scalar_subquery()
)
_TOLD: Final = select(func.array_agg(DebtMessage.step)).where(DebtMessage.invoice_id == Invoice.id).scalar_subquery()
_INVOICES: Final = (
    select(
        Invoice.contract_id, Invoice.id, Invoice.due_date, Invoice.amount_cents - func.coalesce(_PAID, 0),
        Invoice.notified_at, Invoice.contested, _TOLD,
    )
    .where(Invoice.contract_id == _IDS, Invoice.status == InvoiceStatus.OPEN)
    .order_by(Invoice.id)
)  # fmt: skip
_SERVICES: Final = (
    select(
        Service.contract_id, Service.id, Service.kind, Service.login, Service.address["state"].astext,
        Service.address["ibge_code"].astext,
    )
    .where(Service.contract_id == _IDS, Service.status != ServiceStatus.CANCELLED)
    .order_by(Service.id)
)  # fmt: skip
_HOLDS: Final = (
    select(Service.contract_id, Hold.id, Hold.service_id, Hold.effect, Hold.reason)
    .join(Service, Service.id == Hold.service_id)
    .where(
        Service.contract_id == _IDS, Hold.lifted_at.is_(None),
        Hold.reason.in_([HoldReason.BILLING, HoldReason.REQUEST]),
    )
    .order_by(Hold.id)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LiveHold:
    """A billing hold that was not lifted."""

    hold_id: int
    service_id: int
    effect: HoldEffect


@dataclass(frozen=True, slots=True)
class Case:
    """`suspendable`: the services that may be restricted; a dedicated link is cut by a person only.

    `logins`: of all its services that are not cancelled.
    """

    contract_id: int
    customer: str
    policy: Policy
    debtor: Debtor
    holds: Sequence[LiveHold] = ()
    suspendable: frozenset[int] = frozenset()
    places: frozenset[Place] = frozenset()
    #: A person was asked to end it, for the restriction that it has.
    termination_proposed: bool = False
    logins: tuple[str, ...] = ()


@dataclass(slots=True)
class _Parts:
    """What is gathered of one contract."""

    invoices: list[OpenInvoice] = field(default_factory=list)
    holds: list[LiveHold] = field(default_factory=list)
    suspendable: set[int] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    logins: list[str] = field(default_factory=list)
    paused: bool = False


def read_cases(session: Session, contract_ids: Collection[int], policies: Policies, now: datetime) -> list[Case]:
    """In the order of their ids, in a handful of statements. Of a contract that owes nothing and holds nothing, too."""
    parts: dict[int, _Parts] = defaultdict(_Parts)
    _read_invoices(session, contract_ids, parts)
    _read_services(session, contract_ids, parts)
    _read_holds(session, contract_ids, parts)
    touched = incidents.contracts_inside(session, contract_ids, now)
    rows = session.execute(_CONTRACTS, {"ids": list(contract_ids), "now": now}).all()
    return [
        _case(
            contract_id, name, policies.of(policy_id, kind), parts[contract_id], exemption, since, proposed, until,
            touched.get(contract_id), Followed(source, *word) if source is not None else None,
        )
        for contract_id, name, kind, policy_id, exemption, since, proposed, until, source, *word in rows
    ]  # fmt: skip


def facts_of(case: Case) -> dict[str, Any]:
    """What its verdict depended on, as JSON values, to be kept with a decision."""
    debtor = case.debtor
    return {
        "customer": case.customer,
        "logins": list(case.logins),
        "invoices": [
            {
                "invoice_id": one.invoice_id,
                "due_date": one.due_date.isoformat(),
                "owed_cents": one.owed_cents,
                "notified_at": _text(one.notified_at),
                "contested": one.contested,
                "told": sorted(one.told),
            }
            for one in debtor.invoices
        ],
        "restricted_since": _text(debtor.restricted_since),
        "promise_until": _text(debtor.promise_until),
        "exempt": debtor.exempt,
        "paused": debtor.paused,
        "incident": debtor.incident,
        "followed": debtor.followed.source if debtor.followed is not None else None,
        "holds": [{"service_id": hold.service_id, "effect": hold.effect.value} for hold in case.holds],
        "places": [{"state": place.state, "ibge_code": place.ibge_code} for place in sorted(case.places, key=repr)],
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _case(
    contract_id: int, name: str, policy: Policy, parts: _Parts, exemption: str | None, since: datetime | None,
    proposed_at: datetime | None, promise_until: datetime | None, outage: Outage | None, followed: Followed | None,
) -> Case:  # fmt: skip
    debtor = Debtor(
        parts.invoices, restricted_since=since, promise_until=promise_until, exempt=exemption is not None,
        paused=parts.paused, incident=f"{outage.incident_id} ({outage.title})" if outage is not None else None,
        followed=followed,
    )  # fmt: skip
    return Case(
        contract_id, name, policy, debtor, parts.holds, frozenset(parts.suspendable), frozenset(parts.places),
        termination_proposed=proposed_at is not None, logins=tuple(parts.logins),
    )  # fmt: skip


def _read_invoices(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    rows = session.execute(_INVOICES, {"ids": list(contract_ids)})
    for contract_id, invoice_id, due_date, owed_cents, notified_at, contested, steps in rows:
        parts[contract_id].invoices.append(
            OpenInvoice(invoice_id, due_date, int(owed_cents), notified_at, contested, frozenset(steps or ()))
        )


def _read_services(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    rows = session.execute(_SERVICES, {"ids": list(contract_ids)})
    for contract_id, service_id, kind, login, state, ibge_code in rows:
        if login is not None:
            parts[contract_id].logins.append(login)
        if kind is not ServiceKind.DEDICATED:
            parts[contract_id].suspendable.add(service_id)
            parts[contract_id].places.add(Place(state, ibge_code))


def _read_holds(session: Session, contract_ids: Collection[int], parts: dict[int, _Parts]) -> None:
    """Billing's own, and the customer's request: a contract all of whose services are paused owes no restriction."""
    rows = session.execute(_HOLDS, {"ids": list(contract_ids)})
    paused: dict[int, set[int]] = defaultdict(set)
    for contract_id, hold_id, service_id, effect, reason in rows:
        if reason is HoldReason.BILLING:
            parts[contract_id].holds.append(LiveHold(hold_id, service_id, effect))
        else:
            paused[contract_id].add(service_id)
    for contract_id, service_ids in paused.items():
        part = parts[contract_id]
        part.paused = bool(part.suspendable) and part.suspendable <= service_ids
