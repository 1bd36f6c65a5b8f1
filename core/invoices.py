"""Invoices, as far as standing needs them: made, told of, contested, cancelled. What pays them is `core.payments`.

Every change that can alter a contract's standing owes STANDING_CHANGED in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contract

#: How far another system's clock may be ahead of ours before its "now" is the future.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class External:
    """Another system's id of a payment or charge: `account_id` is the gateway account whose ids these are."""

    gateway: str
    account_id: int
    id: str


def create_invoice(session: Session, values: Mapping[str, Any], actor: Actor, now: datetime) -> Invoice:
    plain = {key: value for key, value in values.items() if value is not None}
    if session.get(Contract, plain["contract_id"]) is None:
        raise InvalidInput(f"there is no contract {plain['contract_id']}", field="contract_id")
    if "notified_at" in plain:
        check_happened(plain["notified_at"], now, "notified_at")
    invoice = Invoice(**plain)
    session.add(invoice)
    flush_unique(session, {"external": "external"})
    audit.record(session, actor, "create", "invoice", invoice.id, {"amount_cents": invoice.amount_cents})
    events.record(session, "invoice.created", "invoice", invoice.id, contract_id=invoice.contract_id)
    owe_standing(session, invoice)
    return invoice


def get_invoice(session: Session, invoice_id: int, *, lock: bool = False) -> Invoice:
    query = select(Invoice).where(Invoice.id == invoice_id)
    if lock:  # what was read before the lock may be old by now
        query = query.with_for_update().execution_options(populate_existing=True)
    invoice = session.scalar(query)
    if invoice is None:
        raise NotFound("invoice", invoice_id)
    return invoice


def find_by_external(session: Session, charge: External) -> Invoice | None:
    """The account's own invoice of this charge, else one that names the gateway and no account."""
    return session.scalar(
        select(Invoice)
        .where(
            Invoice.external_gateway == charge.gateway,
            Invoice.external_id == charge.id,
            or_(Invoice.external_account_id == charge.account_id, Invoice.external_account_id.is_(None)),
        )
        .order_by(Invoice.external_account_id.nulls_last())
        .limit(1)
    )


def lock_invoices(session: Session, invoice_ids: Collection[int]) -> list[Invoice]:
    """Those that there are, in the order of their ids: whoever locks several locks them in this order."""
    query = select(Invoice).where(Invoice.id.in_(invoice_ids)).order_by(Invoice.id)
    return list(session.scalars(query.with_for_update().execution_options(populate_existing=True)))


def update_invoice(session: Session, invoice: Invoice, values: Mapping[str, Any], actor: Actor) -> Invoice:
    """How it is paid and what it says: nothing that standing depends on."""
    changed = apply_changes(invoice, values)
    flush_unique(session, {"external": "external"})
    if changed:
        audit.record(session, actor, "update", "invoice", invoice.id, changed)
        events.record(session, "invoice.changed", "invoice", invoice.id)
    return invoice


def cancel_invoice(session: Session, invoice: Invoice, actor: Actor) -> Invoice:
    if invoice.status is InvoiceStatus.PAID:
        raise Conflict(f"invoice {invoice.id} is paid; reverse its payment first", field="status")
    if invoice.status is InvoiceStatus.REFUNDED:
        raise Conflict(f"invoice {invoice.id} is refunded, which is as final as cancelled", field="status")
    if invoice.status is not InvoiceStatus.CANCELLED:
        invoice.status = InvoiceStatus.CANCELLED
        session.flush()
        audit.record(session, actor, "cancel", "invoice", invoice.id, {})
        events.record(session, "invoice.cancelled", "invoice", invoice.id)
        owe_standing(session, invoice)
        owe_closing(session, invoice)
    return invoice


def mark_notified(session: Session, invoice: Invoice, at: datetime, actor: Actor, now: datetime) -> Invoice:
    """The notice of debt reached the payer; the first time counts (Anatel 765/2023 art. 70).

    Raises InvalidInput for a notice that is still to come. One from before the due date is kept as it is; `standing`
    counts its days from the due date, because nothing was owed before.
    """
    check_happened(at, now, "notified_at")
    if invoice.notified_at is None:
        invoice.notified_at = at
        session.flush()
        audit.record(session, actor, "notify", "invoice", invoice.id, {"notified_at": at.isoformat()})
        events.record(session, "invoice.notified", "invoice", invoice.id)
    return invoice


def set_contested(session: Session, invoice: Invoice, contested: bool, actor: Actor) -> Invoice:
    """While a contestation is open, nobody is suspended for this invoice."""
    if invoice.contested != contested:
        invoice.contested = contested
        session.flush()
        audit.record(session, actor, "contest", "invoice", invoice.id, {"contested": contested})
        events.record(session, "invoice.contested", "invoice", invoice.id, contested=contested)
        owe_standing(session, invoice)
    return invoice


def check_happened(at: datetime, now: datetime, field: str) -> None:
    if at > now + CLOCK_SKEW:
        raise InvalidInput("lies in the future", field=field)


def owe_closing(session: Session, invoice: Invoice) -> None:
    """Whoever holds another charge for it is not to pay that as well. Owed after the standing: the line comes first."""
    outbox.enqueue(session, topics.INVOICE_CLOSED, {"invoice_id": invoice.id})


def owe_standing(session: Session, invoice: Invoice) -> None:
    outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": invoice.contract_id})
