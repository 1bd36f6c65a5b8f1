"""Invoices and payments, as far as standing needs them.

An invoice is paid while its payments that were not reversed reach its amount; every change that can alter a contract's
standing owes STANDING_CHANGED in the same transaction. A repeated notice of a payment is the same payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.edits import flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.party import Contract


def create_invoice(session: Session, values: Mapping[str, Any], actor: Actor) -> Invoice:
    plain = {key: value for key, value in values.items() if value is not None}
    if session.get(Contract, plain["contract_id"]) is None:
        raise InvalidInput(f"there is no contract {plain['contract_id']}", field="contract_id")
    invoice = Invoice(**plain)
    session.add(invoice)
    flush_unique(session, {"external": "external"})
    audit.record(session, actor, "create", "invoice", invoice.id, {"amount_cents": invoice.amount_cents})
    events.record(session, "invoice.created", "invoice", invoice.id, contract_id=invoice.contract_id)
    _standing_changed(session, invoice)
    return invoice


def get_invoice(session: Session, invoice_id: int, *, lock: bool = False) -> Invoice:
    query = select(Invoice).where(Invoice.id == invoice_id)
    if lock:  # what was read before the lock may be old by now
        query = query.with_for_update().execution_options(populate_existing=True)
    invoice = session.scalar(query)
    if invoice is None:
        raise NotFound("invoice", invoice_id)
    return invoice


def find_by_external(session: Session, gateway: str, external_id: str) -> Invoice | None:
    return session.scalar(
        select(Invoice).where(Invoice.external_gateway == gateway, Invoice.external_id == external_id)
    )


def record_payment(
    session: Session,
    invoice_id: int,
    *,
    amount_cents: int,
    paid_at: datetime,
    method: str,
    actor: Actor,
    gateway: str | None = None,
    external_id: str | None = None,
) -> Payment:
    """Money that came in. Raises Conflict where the same external payment came with another amount or invoice."""
    invoice = get_invoice(session, invoice_id, lock=True)
    values = {
        "invoice_id": invoice_id,
        "amount_cents": amount_cents,
        "currency": invoice.currency,
        "method": method,
        "paid_at": paid_at,
        "gateway": gateway,
        "external_id": external_id,
    }
    payment_id = session.scalar(insert(Payment).values(values).on_conflict_do_nothing().returning(Payment.id))
    if payment_id is None:
        return _known_payment(session, gateway, external_id, invoice_id, amount_cents)
    payment = session.get_one(Payment, payment_id)
    audit.record(
        session, actor, "record", "payment", payment.id, {"invoice_id": invoice_id, "amount_cents": amount_cents}
    )
    events.record(session, "payment.recorded", "invoice", invoice_id, payment_id=payment.id, amount_cents=amount_cents)
    _settle(session, invoice, paid_at)
    return payment


def reverse_payment(session: Session, payment_id: int, *, now: datetime, actor: Actor) -> Payment:
    """A refund or chargeback: the invoice may be owed again."""
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFound("payment", payment_id)
    invoice = get_invoice(session, payment.invoice_id, lock=True)
    session.refresh(payment)
    if payment.reversed_at is None:
        payment.reversed_at = now
        audit.record(session, actor, "reverse", "payment", payment.id, {"invoice_id": invoice.id})
        events.record(session, "payment.reversed", "invoice", invoice.id, payment_id=payment.id)
        _settle(session, invoice, now)
    return payment


def cancel_invoice(session: Session, invoice: Invoice, actor: Actor) -> Invoice:
    if invoice.status is InvoiceStatus.PAID:
        raise Conflict(f"invoice {invoice.id} is paid; reverse its payment first")
    if invoice.status is not InvoiceStatus.CANCELLED:
        invoice.status = InvoiceStatus.CANCELLED
        session.flush()
        audit.record(session, actor, "cancel", "invoice", invoice.id, {})
        events.record(session, "invoice.cancelled", "invoice", invoice.id)
        _standing_changed(session, invoice)
    return invoice


def mark_notified(session: Session, invoice: Invoice, at: datetime, actor: Actor) -> Invoice:
    """The notice of debt reached the payer; the first time counts (Anatel 765/2023 art. 70)."""
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
        _standing_changed(session, invoice)
    return invoice


def _known_payment(
    session: Session, gateway: str | None, external_id: str | None, invoice_id: int, amount_cents: int
) -> Payment:
    payment = session.scalars(
        select(Payment).where(Payment.gateway == gateway, Payment.external_id == external_id)
    ).one()
    if (payment.invoice_id, payment.amount_cents) != (invoice_id, amount_cents):
        raise Conflict(
            f"payment {external_id} of {gateway} is known with another amount or invoice", field="external_id"
        )
    return payment


def _settle(session: Session, invoice: Invoice, at: datetime) -> None:
    """Paid or open again, by the sum. A cancelled invoice stays cancelled, or a reversal would make it owed."""
    session.flush()
    total = session.scalar(
        select(func.coalesce(func.sum(Payment.amount_cents), 0)).where(
            Payment.invoice_id == invoice.id, Payment.reversed_at.is_(None)
        )
    )
    paid = (total or 0) >= invoice.amount_cents
    if paid and invoice.status is InvoiceStatus.CANCELLED:
        events.record(session, "invoice.paid_though_cancelled", "invoice", invoice.id, contract_id=invoice.contract_id)
    elif paid and invoice.status is not InvoiceStatus.PAID:
        invoice.status, invoice.paid_at = InvoiceStatus.PAID, at
        events.record(session, "invoice.paid", "invoice", invoice.id, contract_id=invoice.contract_id)
    elif not paid and invoice.status is InvoiceStatus.PAID:
        invoice.status, invoice.paid_at = InvoiceStatus.OPEN, None
        events.record(session, "invoice.reopened", "invoice", invoice.id, contract_id=invoice.contract_id)
    session.flush()
    _standing_changed(session, invoice)


def _standing_changed(session: Session, invoice: Invoice) -> None:
    outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": invoice.contract_id})
