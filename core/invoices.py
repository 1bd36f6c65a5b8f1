"""Invoices and payments, as far as standing needs them.

An invoice is paid while its payments that were not reversed reach its amount; every change that can alter a contract's
standing owes STANDING_CHANGED in the same transaction. A repeated notice of a payment is the same payment.

What is taken back is a reversal (chargeback, bounced boleto: the invoice is owed again, and needs a new notice before
anybody is suspended for it) or a refund (we gave the money back: it is not owed again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.party import Contract

#: How far another system's clock may be ahead of ours before its "now" is the future.
CLOCK_SKEW = timedelta(minutes=5)
_ENDED = {InvoiceStatus.CANCELLED: "cancelled", InvoiceStatus.REFUNDED: "refunded"}


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a payment: what of it is fine and interest, what was let off, and when how much of it was ours."""

    surcharge_cents: int = 0
    discount_cents: int = 0
    settled_at: datetime | None = None
    net_cents: int | None = None


@dataclass(frozen=True, slots=True)
class External:
    """Another system's id of a payment: `account_id` is the gateway account whose ids these are."""

    gateway: str
    account_id: int
    id: str


def create_invoice(session: Session, values: Mapping[str, Any], actor: Actor, now: datetime) -> Invoice:
    plain = {key: value for key, value in values.items() if value is not None}
    if session.get(Contract, plain["contract_id"]) is None:
        raise InvalidInput(f"there is no contract {plain['contract_id']}", field="contract_id")
    if "notified_at" in plain:
        _check_happened(plain["notified_at"], now, "notified_at")
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


def get_payment(session: Session, payment_id: int) -> Payment:
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFound("payment", payment_id)
    return payment


def find_payment(session: Session, account_id: int, external_id: str) -> Payment | None:
    return session.scalar(select(Payment).where(Payment.account_id == account_id, Payment.external_id == external_id))


def record_payment(
    session: Session,
    invoice_id: int,
    *,
    amount_cents: int,
    paid_at: datetime,
    method: str,
    actor: Actor,
    now: datetime,
    currency: str | None = None,
    external: External | None = None,
    terms: Terms = Terms(),
    so_far: bool = False,
) -> Payment:
    """Money that came in. Told again it is the same payment, whose settlement may be news.

    `so_far`: the amount is the sum of what came, as gateways have it that show no parts; more makes the payment grow,
    and a sum from before changes nothing.

    Raises Conflict where the same external payment came with another amount or invoice, or in another currency than
    the invoice's; InvalidInput where somebody enters one that is still to come.
    """
    invoice = get_invoice(session, invoice_id, lock=True)
    if currency is not None and currency != invoice.currency:
        raise Conflict(f"invoice {invoice_id} is in {invoice.currency}, the payment in {currency}", field="currency")
    if external is None:  # a person's typing error; a gateway's money is in, whatever date it says
        _check_happened(paid_at, now, "paid_at")
    values = {
        "invoice_id": invoice_id,
        "amount_cents": amount_cents,
        "currency": invoice.currency,
        "method": method,
        "paid_at": paid_at,
        "gateway": external.gateway if external else None,
        "account_id": external.account_id if external else None,
        "external_id": external.id if external else None,
        **asdict(terms),
    }
    payment_id = session.scalar(insert(Payment).values(values).on_conflict_do_nothing().returning(Payment.id))
    if payment_id is None:
        payment = _known_payment(session, external, invoice_id, None if so_far else amount_cents, terms)
        if amount_cents > payment.amount_cents:
            _grow(session, payment, invoice, amount_cents, terms, actor)
            _settle(session, invoice, paid_at)
        return payment
    payment = session.get_one(Payment, payment_id)
    audit.record(
        session, actor, "record", "payment", payment.id, {"invoice_id": invoice_id, "amount_cents": amount_cents}
    )
    events.record(session, "payment.recorded", "invoice", invoice_id, payment_id=payment.id, amount_cents=amount_cents)
    _settle(session, invoice, paid_at)
    return payment


def reverse_payment(session: Session, payment_id: int, *, now: datetime, actor: Actor, refund: bool = False) -> Payment:
    """The money is gone again: the invoice may be owed again, or is refunded where we gave it back ourselves."""
    payment, invoice = _locked(session, payment_id)
    if payment.reversed_at is None:
        payment.reversed_at = now
        action, told = ("refund", "payment.refunded") if refund else ("reverse", "payment.reversed")
        audit.record(session, actor, action, "payment", payment.id, {"invoice_id": invoice.id})
        events.record(session, told, "invoice", invoice.id, payment_id=payment.id)
        _settle(session, invoice, now, refund=refund)
    return payment


def refund_part(session: Session, payment_id: int, refunded_cents: int, *, now: datetime, actor: Actor) -> Payment:
    """We gave back so much of it in all; the invoice stays paid until everything was given back."""
    payment, invoice = _locked(session, payment_id)
    if refunded_cents >= payment.amount_cents:
        return reverse_payment(session, payment_id, now=now, actor=actor, refund=True)
    if refunded_cents > payment.refunded_cents:
        payment.refunded_cents = refunded_cents
        audit.record(session, actor, "refund", "payment", payment.id, {"refunded_cents": refunded_cents})
        events.record(
            session, "payment.refunded_in_part", "invoice", invoice.id,
            payment_id=payment.id, refunded_cents=refunded_cents,
        )  # fmt: skip
        session.flush()
    return payment


def undo_reversal(session: Session, payment_id: int, *, now: datetime, actor: Actor) -> Payment:
    """The money came back: a dispute was won."""
    payment, invoice = _locked(session, payment_id)
    if payment.reversed_at is not None:
        payment.reversed_at = None
        audit.record(session, actor, "undo reversal", "payment", payment.id, {"invoice_id": invoice.id})
        events.record(session, "payment.restored", "invoice", invoice.id, payment_id=payment.id)
        _settle(session, invoice, now)
    return payment


def missing_cents(session: Session, invoice: Invoice) -> int:
    """What is still owed of it; nothing where more came."""
    return max(invoice.amount_cents - _counting_cents(session, invoice), 0)


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
        _standing_changed(session, invoice)
        _closed(session, invoice)
    return invoice


def mark_notified(session: Session, invoice: Invoice, at: datetime, actor: Actor, now: datetime) -> Invoice:
    """The notice of debt reached the payer; the first time counts (Anatel 765/2023 art. 70).

    Raises InvalidInput for a notice that is still to come. One from before the due date is kept as it is; `standing`
    counts its days from the due date, because nothing was owed before.
    """
    _check_happened(at, now, "notified_at")
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


def _check_happened(at: datetime, now: datetime, field: str) -> None:
    if at > now + CLOCK_SKEW:
        raise InvalidInput("lies in the future", field=field)


def _locked(session: Session, payment_id: int) -> tuple[Payment, Invoice]:
    """Who changes a payment holds its invoice."""
    payment = get_payment(session, payment_id)
    invoice = get_invoice(session, payment.invoice_id, lock=True)
    session.refresh(payment)
    return payment, invoice


def _known_payment(
    session: Session, external: External | None, invoice_id: int, amount_cents: int | None, terms: Terms
) -> Payment:
    """`amount_cents` None: whatever it is."""
    assert external is not None  # noqa: S101  (a payment without an external id meets no other)
    payment = find_payment(session, external.account_id, external.id)
    assert payment is not None  # noqa: S101  (payments are never deleted)
    if payment.invoice_id != invoice_id or amount_cents not in {None, payment.amount_cents}:
        raise Conflict(
            f"payment {external.id} of {external.gateway} is known with another amount or invoice", field="external_id"
        )
    if payment.settled_at is None and terms.settled_at is not None:
        payment.settled_at, payment.net_cents = terms.settled_at, terms.net_cents
        session.flush()
        events.record(session, "payment.settled", "invoice", invoice_id, payment_id=payment.id)
    return payment


def _grow(
    session: Session, payment: Payment, invoice: Invoice, amount_cents: int, terms: Terms, actor: Actor
) -> None:  # fmt: skip
    more_cents, payment.amount_cents = amount_cents - payment.amount_cents, amount_cents
    for name, value in asdict(terms).items():
        setattr(payment, name, value)
    audit.record(session, actor, "record more", "payment", payment.id, {"amount_cents": amount_cents})
    events.record(session, "payment.grew", "invoice", invoice.id, payment_id=payment.id, amount_cents=more_cents)


def _settle(session: Session, invoice: Invoice, at: datetime, *, refund: bool = False) -> None:
    """Paid, open again or refunded, by the sum. A cancelled or refunded invoice stays so, or it would be owed again."""
    session.flush()
    total, was_open = _counting_cents(session, invoice), invoice.status is InvoiceStatus.OPEN
    surplus = total - invoice.amount_cents
    if invoice.status in _ENDED:
        if total:  # somebody has to give it back or put it to another use
            _tell(session, invoice, f"paid_though_{_ENDED[invoice.status]}")
    elif surplus >= 0 and was_open:
        invoice.status, invoice.paid_at = InvoiceStatus.PAID, at
        _tell(session, invoice, "paid")
    elif surplus < 0 and invoice.status is InvoiceStatus.PAID:
        _unsettle(session, invoice, refund=refund)
    if surplus > 0 and invoice.status is InvoiceStatus.PAID:
        _tell(session, invoice, "overpaid", surplus_cents=surplus)
    elif total and surplus < 0 and invoice.status is InvoiceStatus.OPEN:
        _tell(session, invoice, "paid_in_part", missing_cents=-surplus)
    session.flush()
    _standing_changed(session, invoice)
    if was_open and invoice.status is InvoiceStatus.PAID:
        _closed(session, invoice)


def _counting_cents(session: Session, invoice: Invoice) -> int:
    counting = (Payment.invoice_id == invoice.id, Payment.reversed_at.is_(None))
    pays = Payment.amount_cents - Payment.surcharge_cents + Payment.discount_cents
    return int(session.scalar(select(func.sum(pays)).where(*counting)) or 0)


def _unsettle(session: Session, invoice: Invoice, *, refund: bool) -> None:
    invoice.status, invoice.paid_at = (InvoiceStatus.REFUNDED if refund else InvoiceStatus.OPEN), None
    if not refund:
        invoice.notified_at = None  # the notice was of a debt that was settled; this one is to be told anew
    _tell(session, invoice, "refunded" if refund else "reopened")


def _tell(session: Session, invoice: Invoice, what: str, **more: Any) -> None:  # noqa: ANN401
    events.record(session, f"invoice.{what}", "invoice", invoice.id, contract_id=invoice.contract_id, **more)


def _closed(session: Session, invoice: Invoice) -> None:
    """Whoever holds another charge for it is not to pay that as well. Owed after the standing: the line comes first."""
    outbox.enqueue(session, topics.INVOICE_CLOSED, {"invoice_id": invoice.id})


def _standing_changed(session: Session, invoice: Invoice) -> None:
    outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": invoice.contract_id})
