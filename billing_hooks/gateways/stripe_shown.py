"""What Stripe's API shows: the objects, as far as we read them, and what is true of them. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from billing_hooks.gateways.base import Fact, PaymentReceived, PaymentReversed, ReversalUndone, WebhookMalformed
from billing_hooks.gateways.reading import Id, moment, whole_cents
from billing_hooks.gateways.stripe_money import hundredths

#: The bank took the money, for now or for good. The `warning_…` are inquiries, which take nothing.
_DISPUTED: Final = frozenset({"needs_response", "under_review", "lost"})
_REFUND_FAILED: Final = frozenset({"failed", "canceled"})

#: It becomes part of a path.
StripeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,255}\Z")]


class InvoicePaymentOf(msgspec.Struct):
    payment_intent: StripeId | None = None


class Balance(msgspec.Struct):
    net: int
    currency: str
    created: int
    available_on: int


class Refund(msgspec.Struct):
    status: str | None = None


class Refunds(msgspec.Struct):
    data: list[Refund] = []


class Method(msgspec.Struct):
    type: Id


class Charge(msgspec.Struct):
    id: StripeId
    currency: str
    created: int
    status: str = "succeeded"
    captured: bool = True
    amount_captured: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    disputed: bool = False
    payment_intent: StripeId | None = None
    payment_method_details: Method | None = None
    balance_transaction: Balance | None = None
    refunds: Refunds | None = None
    metadata: dict[str, str] = {}


class Boleto(msgspec.Struct):
    number: str | None = None
    hosted_voucher_url: str | None = None


class Pix(msgspec.Struct):
    data: str | None = None
    hosted_instructions_url: str | None = None


class NextAction(msgspec.Struct):
    boleto_display_details: Boleto | None = None
    pix_display_qr_code: Pix | None = None


class Intent(msgspec.Struct):
    id: StripeId
    status: str
    currency: str
    created: int
    amount: int = 0
    amount_received: int = 0
    payment_method_types: list[str] = []
    latest_charge: Charge | None = None
    next_action: NextAction | None = None
    last_payment_error: Any = None
    metadata: dict[str, str] = {}


class Invoice(msgspec.Struct):
    id: StripeId
    metadata: dict[str, str] | None = None


class InvoicePayment(msgspec.Struct):
    payment: InvoicePaymentOf
    invoice: Invoice


def expired(intent: Intent) -> bool:
    """Its boleto or Pix was not paid in time. A card that was refused may be followed by another."""
    failed = intent.status == "requires_payment_method" and intent.last_payment_error is not None
    return failed and "card" not in intent.payment_method_types


def _refund_came_back(charge: Charge) -> bool:
    refunds = charge.refunds.data if charge.refunds else []
    return not charge.amount_refunded and any(one.status in _REFUND_FAILED for one in refunds)


def received(charge: Charge, payment_id: str, amount: int, invoice_id: int | None, charge_id: str) -> PaymentReceived:
    """When and how much of it will be ours is known at once, so `settled_at` may still be to come."""
    balance, currency = charge.balance_transaction, charge.currency.upper()
    net = hundredths(balance.net, currency) if balance and balance.currency.upper() == currency else 0
    return PaymentReceived(
        invoice_id=invoice_id,
        charge_id=charge_id,
        payment_id=payment_id,
        amount_cents=whole_cents(hundredths(amount, currency), "amount_received"),
        paid_at=moment_of(balance.created if balance else charge.created, "created"),
        method=charge.payment_method_details.type if charge.payment_method_details else "unknown",
        currency=currency,
        settled_at=moment_of(balance.available_on, "available_on") if balance else None,
        net_cents=whole_cents(net, "net") if net > 0 else None,
    )


def moment_of(seconds: int, field: str) -> datetime:
    try:
        return moment(datetime.fromtimestamp(seconds, UTC), field)
    except (ValueError, OverflowError, OSError):
        raise WebhookMalformed(f"{field} lies in no year of ours", field=field) from None


def taken_back(charge: Charge, payment_id: str, disputes: AbstractSet[str]) -> list[Fact]:
    """By the states of its disputes. One takes the payment as a whole, whatever part of it: a bank says its amount in
    its own currency."""
    if charge.refunded:
        return [PaymentReversed(payment_id, refund=True)]
    facts: list[Fact] = []
    if disputes & _DISPUTED:
        facts.append(PaymentReversed(payment_id))
    elif "won" in disputes or _refund_came_back(charge):
        facts.append(ReversalUndone(payment_id))
    if charge.amount_refunded:
        part = whole_cents(hundredths(charge.amount_refunded, charge.currency), "amount_refunded")
        facts.append(PaymentReversed(payment_id, refund=True, amount_cents=part))
    return facts
