"""What Efí Cobranças shows: a notification's history and a charge's details, and what is true of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final

import msgspec

from billing_hooks.gateways.base import (
    Fact,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    invoice_of_reference,
)
from billing_hooks.gateways.reading import BRASILIA, CENTS_MAX, day, local, surcharge_and_discount

PAID: Final = frozenset({"paid", "settled"})
TAKEN_BACK: Final = frozenset({"refunded", "contested"})
CLOSED: Final = frozenset({"canceled", "expired"})

Id = int | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}$")]
Cents = Annotated[int, msgspec.Meta(gt=0, lt=CENTS_MAX)]
_Rate = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class _Identifiers(msgspec.Struct):
    charge_id: Id | None = None


class _Status(msgspec.Struct):
    current: str


class Change(msgspec.Struct):
    """One line of a notification's history. `value` stands where money was confirmed."""

    id: int
    status: _Status
    identifiers: _Identifiers
    created_at: datetime
    custom_id: str | None = None
    value: Cents | None = None
    received_by_bank_at: date | None = None


class _Configurations(msgspec.Struct):
    """`fine` in hundredths, `interest` in thousandths of a percent a day."""

    fine: _Rate = 0
    interest: _Rate = 0
    interest_type: str = "daily"


class _Discount(msgspec.Struct):
    """`value` in cents, or in hundredths of a percent."""

    type: str
    value: Cents
    until_date: date


class _Pix(msgspec.Struct):
    qrcode: str | None = None


class Billet(msgspec.Struct):
    """As it is ordered, and in a charge's details."""

    barcode: str | None = None
    link: str | None = None
    pix: _Pix | None = None
    expire_at: date | None = None
    configurations: _Configurations | None = None
    conditional_discount: _Discount | None = None


class _PaymentMethod(msgspec.Struct):
    method: str = "banking_billet"
    banking_billet: Billet | None = None


class _Line(msgspec.Struct):
    """What happened to a charge, in the words for people."""

    created_at: datetime


class Details(msgspec.Struct):
    """A charge by its id. Money's day stands in its history only."""

    charge_id: Id
    total: Cents
    status: str
    custom_id: str | None = None
    paid_value: Cents | None = None
    payment: _PaymentMethod = msgspec.field(default_factory=_PaymentMethod)
    history: list[_Line] = []


def facts_of(details: Details, paid_value: int | None) -> list[Fact]:
    """What is true of a charge by its status alone, where no notification's history is at hand: the day of a payment is
    that of the last that happened to the charge."""
    charge_id, value = str(details.charge_id), paid_value or details.paid_value
    back = _reversal(charge_id, details.status)
    if details.status == "settled":
        value = details.total
    if value is None:  # given back, and how much it was is not told any more
        return [back] if back else []
    if not details.history:
        raise WebhookMalformed("a payment that was made has no day", field="history")
    at = local(details.history[-1].created_at, "history.created_at")
    received = _received(details, value, at.astimezone(BRASILIA).date(), at, by_hand=details.status == "settled")
    return [received, back] if back else [received]


def facts_of_history(details: Details, history: Sequence[Change]) -> list[Fact]:
    """Each of a charge's payments, and what became of it last.

    A charge is paid once, so its id is the payment's. One that somebody marked as paid and that the bank was paid all
    the same was paid twice: the mark is a payment of its own. Of what takes the money back, the first counts until it
    is paid again: so it does not matter whether we asked in between, and a refund that ends a dispute is none that we
    made.
    """
    facts: dict[str, list[Fact]] = {}
    payment_id = back = ""
    for change in history:
        status = change.status.current
        if status in PAID:
            payment_id = _payment_id(details, by_hand=status == "settled")
            received = facts[payment_id][0] if payment_id in facts else _confirmed(details, change)
            facts[payment_id] = [received, ReversalUndone(payment_id)] if back else [received]
            back = ""
        elif status in TAKEN_BACK and payment_id and not back:
            back = status
            facts[payment_id] = [facts[payment_id][0], PaymentReversed(payment_id, refund=status == "refunded")]
    return [fact for told in facts.values() for fact in told]


def _confirmed(details: Details, change: Change) -> PaymentReceived:
    at = local(change.created_at, "created_at")
    paid_on = change.received_by_bank_at or at.astimezone(BRASILIA).date()
    by_hand = change.status.current == "settled"
    value = details.total if by_hand else change.value
    if value is None:
        raise WebhookMalformed("a payment that was made has no value", field="value")
    return _received(details, value, paid_on, at, by_hand=by_hand)


def _received(details: Details, value: int, paid_on: date, settled_at: datetime, *, by_hand: bool) -> PaymentReceived:
    surcharge_cents, discount_cents = _parts(details, value, paid_on)
    return PaymentReceived(
        invoice_id=invoice_of_reference(details.custom_id),
        charge_id=str(details.charge_id),
        payment_id=_payment_id(details, by_hand=by_hand),
        amount_cents=value,
        paid_at=day(paid_on, "received_by_bank_at"),
        method="manual" if by_hand else _method(details.payment.method),
        currency="BRL",
        surcharge_cents=surcharge_cents,
        discount_cents=discount_cents,
        settled_at=settled_at,
    )


def _parts(details: Details, value: int, paid_on: date) -> tuple[int, int]:
    billet = details.payment.banking_billet or Billet()
    late_cents, promised_cents = (of(billet, details.total, paid_on) for of in (_late_cents, _promised_cents))
    return surcharge_and_discount(value, details.total, late_cents, promised_cents)


def _late_cents(billet: Billet, total: int, paid_on: date) -> int:
    """Fine and interest of that day, each rounded up: how Efí rounds is not written."""
    terms = billet.configurations or _Configurations()
    days = (paid_on - billet.expire_at).days if billet.expire_at else 0
    if days <= 0:
        return 0
    interest_of = 100_000 if terms.interest_type == "daily" else 30 * 10_000
    return -(-total * terms.fine // 10_000) + -(-total * terms.interest * days // interest_of)


def _promised_cents(billet: Billet, total: int, paid_on: date) -> int:
    promised = billet.conditional_discount
    if promised is None or paid_on > promised.until_date:
        return 0
    return promised.value if promised.type == "currency" else total * promised.value // 10_000


def _reversal(charge_id: str, status: str) -> PaymentReversed | None:
    return PaymentReversed(charge_id, refund=status == "refunded") if status in TAKEN_BACK else None


def _payment_id(details: Details, *, by_hand: bool) -> str:
    return f"{details.charge_id}-manual" if by_hand else str(details.charge_id)


def _method(method: str) -> str:
    return "boleto" if method == "banking_billet" else method
