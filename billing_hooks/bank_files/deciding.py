"""What a person says of a line: which invoice it pays, that it is a payment told again, or that it is none of ours."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import PAYS, Kind
from billing_hooks.bank_files.facts import known_invoices
from billing_hooks.bank_files.matching import parts_in
from billing_hooks.bank_files.working import as_read, external_of, lock_accounts, settle_title, terms_of
from billing_hooks.gateways.reading import day
from billing_hooks.models import BankFileLine, BankLineStatus
from core import audit, events, invoices, payments
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.billing import Invoice, Payment

REASON_LENGTH_MAX: Final = 500
_CLOSED: Final = frozenset({BankLineStatus.RECORDED, BankLineStatus.DISMISSED})


def get_line(session: Session, line_id: int) -> BankFileLine:
    line = session.get(BankFileLine, line_id)
    if line is None:
        raise NotFound("bank file line", line_id)
    return line


def match_line(session: Session, line_id: int, invoice_id: int, actor: Actor, *, now: datetime) -> BankFileLine:
    """A person says which invoice a waiting line pays, or of which invoice it takes the payment back.

    Raises NotFound, InvalidInput for a line that is no payment, Conflict for one that is decided already.
    """
    line = _open_line(session, line_id)
    if line.kind in PAYS:
        _record(session, line, invoice_id, actor, now)
    elif line.kind is Kind.REVERSED:
        payment = _payment_to_reverse(session, line, invoice_id)
        payments.reverse_payment(session, payment.id, now=now, actor=actor)
        line.invoice_id, line.payment_id, line.status = invoice_id, payment.id, BankLineStatus.RECORDED
    else:
        raise InvalidInput(f"line {line_id} is of kind {line.kind} and pays nothing", field="line_id")
    _decided(session, line, actor, now)
    return line


def same_payment(session: Session, line_id: int, payment_id: int, actor: Actor, *, now: datetime) -> BankFileLine:
    """A person says that a line tells of a payment that somebody else told: one payment, and both named.

    Also of a line whose payment was recorded as another one; that is taken back. Raises NotFound, InvalidInput for
    another amount, Conflict for a line or a payment that this cannot be.
    """
    line = _locked(session, line_id)
    if line.kind not in PAYS:
        raise InvalidInput(f"line {line_id} is of kind {line.kind} and pays nothing", field="line_id")
    payment = payments.get_payment(session, payment_id)
    if line.status is BankLineStatus.DISMISSED or line.payment_id == payment_id:
        raise Conflict(f"line {line_id} is {line.status} already", field="status")
    if payment.reversed_at is not None or payment.also_id is not None:
        raise Conflict(f"payment {payment_id} was taken back, or was told by two already", field="payment_id")
    if payment.amount_cents != line.paid_cents:
        raise InvalidInput(f"payment {payment_id} is of another amount than line {line_id}", field="payment_id")
    invoices.lock_invoices(session, {payment.invoice_id, line.invoice_id or payment.invoice_id})
    if line.payment_id is not None:
        payments.reverse_payment(session, line.payment_id, now=now, actor=actor)
    payments.tell_again(session, {payment_id: (external_of(line), terms_of(line))}, actor)
    line.invoice_id, line.payment_id, line.status = payment.invoice_id, payment_id, BankLineStatus.RECORDED
    _decided(session, line, actor, now)
    return line


def dismiss_line(session: Session, line_id: int, reason: str, actor: Actor, *, now: datetime) -> BankFileLine:
    """A person says that a waiting line is no business of ours, and why. Raises NotFound, InvalidInput, Conflict."""
    said = reason.strip()
    if not said or len(said) > REASON_LENGTH_MAX or "\x00" in said:
        raise InvalidInput(f"say why, in {REASON_LENGTH_MAX} characters at most", field="reason")
    line = _open_line(session, line_id)
    line.status, line.reason, line.reason_pt = BankLineStatus.DISMISSED, said, said
    line.decided_by, line.decided_at = actor.name, now
    session.flush()
    audit.record(session, actor, "dismiss", "bank_file_line", line.id, {"reason": said})
    events.record(session, "bank_line.dismissed", "bank_file_line", line.id, reason=said)
    return line


def _record(session: Session, line: BankFileLine, invoice_id: int, actor: Actor, now: datetime) -> None:
    if line.occurred_on is None or line.paid_cents <= 0:
        raise InvalidInput(f"line {line.id} says no amount or no day", field="line_id")
    invoices.get_invoice(session, invoice_id, lock=True)
    (known,) = known_invoices(session, Invoice.id == invoice_id)
    parts = parts_in(as_read(line), known)
    payment = payments.record_payment(
        session, invoice_id, amount_cents=line.paid_cents, paid_at=day(line.occurred_on, "occurred_on"),
        method=line.method, actor=actor, now=now, currency="BRL", external=external_of(line),
        terms=terms_of(line, late_cents=parts.late_cents, discount_cents=parts.discount_cents),
    )  # fmt: skip
    line.invoice_id, line.payment_id, line.status = invoice_id, payment.id, BankLineStatus.RECORDED


def _payment_to_reverse(session: Session, line: BankFileLine, invoice_id: int) -> Payment:
    """The last payment of the invoice that is not taken back, of this amount."""
    invoices.get_invoice(session, invoice_id, lock=True)
    of_invoice = (Payment.invoice_id == invoice_id, Payment.reversed_at.is_(None))
    amount = (Payment.amount_cents == abs(line.paid_cents),) if line.paid_cents else ()
    query = select(Payment).where(*of_invoice, *amount).order_by(Payment.paid_at.desc(), Payment.id.desc())
    payment = session.scalar(query.limit(1))
    if payment is None:
        raise Conflict(f"invoice {invoice_id} has no payment of this amount to take back", field="invoice_id")
    return payment


def _decided(session: Session, line: BankFileLine, actor: Actor, now: datetime) -> None:
    line.decided_by, line.decided_at = actor.name, now
    line.reason = line.reason_pt = None
    session.flush()
    settle_title(session, line, actor, now)
    changes = {"invoice_id": line.invoice_id, "payment_id": line.payment_id}
    audit.record(session, actor, "match", "bank_file_line", line.id, changes)
    events.record(session, "bank_line.matched", "bank_file_line", line.id, **changes)


def _open_line(session: Session, line_id: int) -> BankFileLine:
    line = _locked(session, line_id)
    if line.status in _CLOSED:
        raise Conflict(f"line {line_id} is {line.status} already", field="status")
    if line.status is BankLineStatus.TOLD:
        raise InvalidInput(f"line {line_id} is of kind {line.kind} and waits for nobody", field="line_id")
    return line


def _locked(session: Session, line_id: int) -> BankFileLine:
    """Two persons do not decide it at once, and nobody decides what has its turn still to come."""
    line = get_line(session, line_id)
    lock_accounts(session, [line])
    session.refresh(line, with_for_update=True)
    if line.status is BankLineStatus.READ:
        raise Conflict(f"line {line_id} was read only now; its turn comes in a moment", field="status")
    return line
