"""Payments, and what an invoice is by their sum.

An invoice is paid while its payments that were not reversed reach its amount; every change that can alter a contract's
standing owes STANDING_CHANGED in the same transaction. A repeated notice of a payment is the same payment.

What is taken back is a reversal (chargeback, bounced boleto: the invoice is owed again, and needs a new notice before
anybody is suspended for it) or a refund (we gave the money back: it is not owed again).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from core import audit, events
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.invoices import External, check_happened, get_invoice, owe_closing, owe_standing
from core.models.billing import Invoice, InvoiceStatus, Payment

_INVOICES = cast("Table", Invoice.__table__)
_PAYMENTS = cast("Table", Payment.__table__)
#: What of a payment counts towards its invoice.
_PAYS = Payment.amount_cents - Payment.surcharge_cents + Payment.discount_cents
_ENDED = {InvoiceStatus.CANCELLED: "cancelled", InvoiceStatus.REFUNDED: "refunded"}


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a payment: what of it is fine and interest, what was let off, and when how much of it was ours."""

    surcharge_cents: int = 0
    discount_cents: int = 0
    settled_at: datetime | None = None
    net_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money for an invoice in its currency, told by another system under an id that no payment has."""

    invoice_id: int
    amount_cents: int
    paid_at: datetime
    method: str
    external: External
    terms: Terms = Terms()


class Recorded(NamedTuple):
    """Payments by the id of who told of them, the contracts whose standing may have changed, and the invoices that need
    no payment any more."""

    payment_ids: Mapping[str, int]
    contract_ids: Collection[int]
    closed_ids: Collection[int]


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
        check_happened(paid_at, now, "paid_at")
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


def record_payments(session: Session, receipts: Sequence[Receipt], actor: Actor) -> Recorded:
    """`record_payment` for many that are news, in a few statements. The caller has locked their invoices.

    What follows is the caller's to owe: he may know for which contracts STANDING_CHANGED changes nothing, and which
    invoices have no charge that INVOICE_CLOSED would close.
    """
    if not receipts:
        return Recorded({}, (), ())
    wanted = select(Invoice).where(Invoice.id.in_({one.invoice_id for one in receipts}))
    locked = {invoice.id: invoice for invoice in session.scalars(wanted)}
    payment_ids = _insert_payments(session, receipts, locked)
    totals = _counting(session, locked)
    audit.record_many(session, actor, "record", "payment", [
        (payment_ids[one.external.id], {"invoice_id": one.invoice_id, "amount_cents": one.amount_cents})
        for one in receipts
    ])  # fmt: skip
    told = [
        ("payment.recorded", "invoice", one.invoice_id,
         {"payment_id": payment_ids[one.external.id], "amount_cents": one.amount_cents})
        for one in receipts
    ]  # fmt: skip
    closed_at = {one.invoice_id: one.paid_at for one in receipts}
    paid: list[int] = []
    for invoice in locked.values():
        outcome = _outcome(invoice, totals[invoice.id])
        told += [(f"invoice.{what}", "invoice", invoice.id, {"contract_id": invoice.contract_id, **more})
                 for what, more in outcome.told]  # fmt: skip
        if outcome.status is not invoice.status:
            paid.append(invoice.id)
    recorded = Recorded(payment_ids, {invoice.contract_id for invoice in locked.values()}, paid)
    _mark_paid(session, {invoice_id: closed_at[invoice_id] for invoice_id in paid})
    events.record_many(session, told)
    return recorded


def settle_payments(session: Session, settled: Mapping[int, tuple[datetime, int | None]]) -> None:
    """When the money of these payments was there, and how much of it; of those of which that was not known."""
    unknown = select(Payment.id, Payment.invoice_id).where(Payment.id.in_(settled), Payment.settled_at.is_(None))
    rows = session.execute(unknown.with_for_update()).all()
    if not rows:
        return
    session.execute(
        update(_PAYMENTS).where(_PAYMENTS.c.id == bindparam("payment_id")).values(
            settled_at=bindparam("at"), net_cents=bindparam("net")
        ),
        [{"payment_id": id_, "at": settled[id_][0], "net": settled[id_][1]} for id_, _ in rows],
    )  # fmt: skip
    _expire(session, Payment, [id_ for id_, _ in rows])
    events.record_many(session, [("payment.settled", "invoice", to, {"payment_id": id_}) for id_, to in rows])


def tell_again(session: Session, told: Mapping[int, tuple[External, Terms]], actor: Actor) -> None:
    """Somebody else told of the money of these payments, by their ids: each stays one payment, and both are named.

    The id of an account of ours (`account_id` above 0) is the payment's own, because refunds and disputes come under
    it. What only one of them knows, of fine and interest or the settlement, is taken from who knows it. The caller has
    locked their invoices.
    """
    payments = session.scalars(select(Payment).where(Payment.id.in_(told)).order_by(Payment.id)).all()
    divided = [payment for payment in payments if _tell_again(payment, *told[payment.id])]
    session.flush()
    named = {id_: {"gateway": external.gateway, "id": external.id} for id_, (external, _) in told.items()}
    audit.record_many(session, actor, "tell again", "payment", list(named.items()))
    events.record_many(session, [
        ("payment.told_again", "invoice", one.invoice_id, {"payment_id": one.id, **named[one.id]}) for one in payments
    ])  # fmt: skip
    for payment in divided:
        _settle(session, get_invoice(session, payment.invoice_id), payment.paid_at)


def _tell_again(payment: Payment, external: External, terms: Terms) -> bool:
    """Whether it changes how much of the payment counts."""
    if external.account_id > 0 and (payment.account_id or 0) <= 0:
        payment.also_gateway, payment.also_id = payment.gateway, payment.external_id
        payment.gateway, payment.account_id, payment.external_id = external.gateway, external.account_id, external.id
    else:
        payment.also_gateway, payment.also_id = external.gateway, external.id
    if payment.settled_at is None:
        payment.settled_at, payment.net_cents = terms.settled_at, terms.net_cents
    payment.doubt = payment.doubt_pt = None
    divided = not payment.surcharge_cents and not payment.discount_cents
    if divided:
        payment.surcharge_cents, payment.discount_cents = terms.surcharge_cents, terms.discount_cents
    return divided and bool(terms.surcharge_cents or terms.discount_cents)


def doubt_payment(session: Session, payment: Payment, doubt: str, doubt_pt: str) -> None:
    """It may be the money of another payment: a person looks."""
    payment.doubt, payment.doubt_pt = doubt, doubt_pt
    session.flush()
    events.record(
        session, "payment.doubted", "invoice", payment.invoice_id, payment_id=payment.id, doubt=doubt, doubt_pt=doubt_pt
    )


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


class _Outcome(NamedTuple):
    """What an invoice is by the sum of its payments, and what is told of it."""

    status: InvoiceStatus
    told: list[tuple[str, dict[str, int]]]


def _outcome(invoice: Invoice, total_cents: int, *, refund: bool = False) -> _Outcome:
    """Paid, open again or refunded, by the sum. A cancelled or refunded invoice stays so, or it would be owed again."""
    surplus, status = total_cents - invoice.amount_cents, invoice.status
    told: list[tuple[str, dict[str, int]]] = []
    if status in _ENDED:
        if total_cents:  # somebody has to give it back or put it to another use
            told.append((f"paid_though_{_ENDED[status]}", {}))
        return _Outcome(status, told)
    if surplus >= 0 and status is InvoiceStatus.OPEN:
        status = InvoiceStatus.PAID
        told.append(("paid", {}))
    elif surplus < 0 and status is InvoiceStatus.PAID:
        status = InvoiceStatus.REFUNDED if refund else InvoiceStatus.OPEN
        told.append(("refunded" if refund else "reopened", {}))
    if surplus > 0 and status is InvoiceStatus.PAID:
        told.append(("overpaid", {"surplus_cents": surplus}))
    elif total_cents and surplus < 0 and status is InvoiceStatus.OPEN:
        told.append(("paid_in_part", {"missing_cents": -surplus}))
    return _Outcome(status, told)


def _settle(session: Session, invoice: Invoice, at: datetime, *, refund: bool = False) -> None:
    session.flush()
    outcome = _outcome(invoice, _counting_cents(session, invoice), refund=refund)
    changed, invoice.status = outcome.status is not invoice.status, outcome.status
    if changed:
        invoice.paid_at = at if outcome.status is InvoiceStatus.PAID else None
    if changed and outcome.status is InvoiceStatus.OPEN:
        invoice.notified_at = None  # the notice was of a debt that was settled; this one is to be told anew
    for what, more in outcome.told:
        events.record(session, f"invoice.{what}", "invoice", invoice.id, contract_id=invoice.contract_id, **more)
    session.flush()
    owe_standing(session, invoice)
    if changed and outcome.status is InvoiceStatus.PAID:
        owe_closing(session, invoice)


def _insert_payments(session: Session, receipts: Sequence[Receipt], locked: Mapping[int, Invoice]) -> dict[str, int]:
    values = [
        {
            "invoice_id": one.invoice_id, "amount_cents": one.amount_cents, "method": one.method,
            "currency": locked[one.invoice_id].currency, "paid_at": one.paid_at, "gateway": one.external.gateway,
            "account_id": one.external.account_id, "external_id": one.external.id,
            "surcharge_cents": one.terms.surcharge_cents, "discount_cents": one.terms.discount_cents,
            "settled_at": one.terms.settled_at, "net_cents": one.terms.net_cents,
        }
        for one in receipts
    ]  # fmt: skip
    session.execute(insert(_PAYMENTS).inline(), values)
    account_ids, external_ids = ({one.external.account_id for one in receipts}, {one.external.id for one in receipts})
    made = select(Payment.external_id, Payment.id).where(
        Payment.account_id.in_(account_ids), Payment.external_id.in_(external_ids)
    )
    return {external_id or "": payment_id for external_id, payment_id in session.execute(made)}


def _mark_paid(session: Session, paid_at: Mapping[int, datetime]) -> None:
    if not paid_at:
        return
    values = {"status": InvoiceStatus.PAID, "paid_at": bindparam("at"), "version": _INVOICES.c.version + 1,
              "updated_at": func.now()}  # fmt: skip
    one = update(_INVOICES).where(_INVOICES.c.id == bindparam("invoice_id")).values(values)
    session.execute(one, [{"invoice_id": id_, "at": at} for id_, at in paid_at.items()])
    _expire(session, Invoice, paid_at)


def _expire(session: Session, kind: type[Invoice | Payment], ids: Collection[int]) -> None:
    """What a statement changed behind the back of the objects."""
    for id_ in ids:
        known = session.identity_map.get(identity_key(kind, id_))
        if known is not None:
            session.expire(known)


def _counting(session: Session, invoice_ids: Collection[int]) -> dict[int, int]:
    """What counts towards each of these invoices."""
    counting = (Payment.invoice_id.in_(invoice_ids), Payment.reversed_at.is_(None))
    sums = select(Payment.invoice_id, func.sum(_PAYS)).where(*counting).group_by(Payment.invoice_id)
    found = {invoice_id: int(total) for invoice_id, total in session.execute(sums)}
    return {invoice_id: found.get(invoice_id, 0) for invoice_id in invoice_ids}


def _counting_cents(session: Session, invoice: Invoice) -> int:
    return _counting(session, [invoice.id])[invoice.id]
