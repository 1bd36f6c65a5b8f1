"""Iugu: invoices that are paid by Pix or boleto (dev.iugu.com, "Gatilhos" and "Faturas").

A trigger's call is a form with Rails's keys (`event=…&data[id]=…&data[status]=…`), and its header `Authorization` holds
the value that was registered with the trigger: as it is, or as Basic in base64 (the documents do not say; both are
taken). The call has no id. Event, invoice and status are not one either: an invoice can be `partially_paid` twice and
given back in part twice, with the same octets. So calls are `gathered` by these three: the first of a span is asked
about at once, and what is told again within it once more when the span is over.

Nothing of the call is believed: GET /invoices/{id} says what is true. Amounts are integer cents, moments have a zone.
An invoice shows the sum of what was paid and no parts, so its payment grows. `taxes_paid_cents` are Iugu's own fees
(public code that uses it, and a pending invoice that has some already): what is left of the payment is ours.

UNVERIFIED against the vendor: the status `partially_refunded` and the field `refunded_cents` (public code);
`fines_on_occurrence_day_cents` as what was asked for on the day of payment; `financial_return_dates` as the days on
which the money is there, each `pending` until then; `query` as a filter that finds `external_reference`; that a
discount for who pays early may be of an amount (`value_cents`), until the due date itself (`days` 0); that a
repeated `Idempotency-Key` is answered 409 and forgotten after a day (public code); the bounds of a trigger's
`authorization`. The documents give no schedule of repetitions.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from billing_hooks.gateways.base import (
    Access,
    AskBack,
    Charge,
    ChargeClosed,
    ChargeOrder,
    Delivery,
    Fact,
    Irrelevant,
    Message,
    Payer,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    WebhookNotAuthentic,
    gathered,
    invoice_of_reference,
    our_reference,
)
from billing_hooks.gateways.checks import check_base_url, check_plain_secret
from billing_hooks.gateways.http import GatewayRefused, Http
from billing_hooks.gateways.reading import BRASILIA, CENTS_MAX, Id, day, decode, form, local, surcharge_and_discount
from billing_hooks.gateways.writing import phone_digits, present

SECRET_LENGTH_MIN: Final = 32
PAGE: Final = 100
#: UNVERIFIED: public code.
CHARGE_CENTS_MIN: Final = 100
#: An event, an id or a status, as they become an event's id.
_WORD: Final = re.compile(r"[\x21-\x7e]{0,64}")
#: An invoice's id becomes part of a path.
_INVOICE: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PAID: Final = frozenset({"paid", "partially_paid", "externally_paid", "partially_refunded"})
#: Behind an invoice's id: an event said that its money is there.
RELEASED: Final = "released"
#: Events of an invoice that change nothing here.
_NO_NEWS: Final = frozenset(
    {"created", "due", "payment_failed", "dunning_action", "bank_slip_status", "installment_released"}
)
_OPEN: Final = frozenset({"pending", "draft", "in_analysis", "authorized"})
_DISPUTED: Final = frozenset({"in_protest", "chargeback"})
_CLOSED: Final = frozenset({"canceled", "expired"})
_METHODS: Final = {"iugu_pix": "pix", "iugu_bank_slip": "boleto", "iugu_credit_card": "credit_card"}

_Cents = Annotated[int, msgspec.Meta(ge=0, lt=CENTS_MAX)]


class _Discount(msgspec.Struct):
    """For who pays so many days before the due date."""

    days: Annotated[int, msgspec.Meta(ge=0, le=3650)]
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    value_cents: _Cents | None = None


class _Return(msgspec.Struct):
    return_date: date
    status: str


class _BankSlip(msgspec.Struct):
    digitable_line: str | None = None


class _Pix(msgspec.Struct):
    qrcode_text: str | None = None


class _Invoice(msgspec.Struct):
    id: Id
    status: str
    total_cents: _Cents
    due_date: date | None = None
    currency: str | None = None
    paid_cents: _Cents | None = None
    total_paid_cents: _Cents | None = None
    taxes_paid_cents: _Cents | None = None
    refunded_cents: _Cents | None = None
    fines_on_occurrence_day_cents: _Cents | None = None
    early_payment_discounts: list[_Discount] | None = None
    financial_return_dates: list[_Return] | None = None
    paid_at: datetime | None = None
    updated_at: datetime | None = None
    protested_at: str | None = None
    payment_method: str | None = None
    external_reference: str | None = None
    order_id: str | None = None
    secure_url: str | None = None
    pix: _Pix | None = None
    bank_slip: _BankSlip | None = None


class _Page(msgspec.Struct):
    items: list[_Invoice]


class Iugu:
    settings: Mapping[str, str] = {"base_url": "https://api.iugu.com/v1"}
    credentials: Sequence[str] = ("api_token",)
    takes_discount = True

    def check_secret(self, secret: str) -> None:
        check_plain_secret(secret, "the trigger's authorization", SECRET_LENGTH_MIN)

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:  # noqa: ARG002
        return CHARGE_CENTS_MIN

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        given = delivery.headers.get("authorization", "").encode()
        ways = (secret, f"Basic {_base64(secret)}", f"Basic {_base64(secret + ':')}")
        if not any([hmac.compare_digest(given, way.encode()) for way in ways]):  # noqa: C419  (all are compared)
            raise WebhookNotAuthentic
        return [gathered(" ".join(_said(delivery.body)), delivery.body, now)]

    def read(self, body: bytes) -> AskBack | Irrelevant:
        event, invoice_id, status = _said(body)
        about, _, what = event.partition(".")
        if about != "invoice" or what in _NO_NEWS:
            return Irrelevant(event)
        if not _INVOICE.fullmatch(invoice_id):
            raise WebhookMalformed("an event of an invoice names none", field="data[id]")
        if what == "released":
            return AskBack(f"{invoice_id} {RELEASED}", pays=True)
        return AskBack(invoice_id, pays=what == "status_changed" and status in _PAID)

    def connect(self, access: Access, http: Http) -> IuguApi:
        return IuguApi(http, access.credentials["api_token"])


class IuguApi:
    """Test and live are told apart by the token; it is the user of Basic, without a password."""

    def __init__(self, http: Http, api_token: str) -> None:
        self._http = http
        self._basic = (api_token, "")

    def fetch(self, reference: str) -> list[Fact]:
        invoice_id, _, said = reference.partition(" ")
        return facts_of(self._invoice(invoice_id), released=said == RELEASED)

    def since(self, moment: datetime) -> Iterator[Fact]:
        """By the moment of payment. What was given back of money that is older than that, only webhooks tell."""
        first = moment.astimezone(BRASILIA).isoformat(timespec="seconds")
        for invoice in self._listed({"paid_at_from": first}):
            yield from facts_of(invoice)

    def queue_alarm(self) -> None:
        """Iugu's triggers have no queue that stops; what they gave up is told nowhere."""

    def create(self, order: ChargeOrder) -> Charge:
        """An invoice with our reference and amount that is open there is this one; the order's key keeps two orders
        at once from being two.

        `notify_url` is not used: triggers belong to the account, and only their calls bear our `authorization`.
        """
        return _charge(self._open_invoice(order) or self._order(order))

    def cancel(self, charge_id: str) -> None:
        """A refusal is one where the invoice is open all the same."""
        try:
            self._call("PUT", f"/invoices/{charge_id}/cancel")
        except GatewayRefused as refused:
            if refused.status_code != 404 and self._invoice(charge_id).status in _OPEN:
                raise

    def _invoice(self, invoice_id: str) -> _Invoice:
        return decode(self._call("GET", f"/invoices/{invoice_id}"), _Invoice)

    def _order(self, order: ChargeOrder) -> _Invoice:
        headers = {"Idempotency-Key": order.key}
        try:
            return decode(self._call("POST", "/invoices", headers=headers, json=_wanted(order)), _Invoice)
        except GatewayRefused as refused:
            made = self._open_invoice(order) if refused.status_code == 409 else None
            if made is None:
                raise
            return made

    def _open_invoice(self, order: ChargeOrder) -> _Invoice | None:
        reference = our_reference(order.invoice_id)
        for one in self._listed({"query": reference, "status_filter": "pending"}):
            if _reference(one) == reference and one.status in _OPEN and one.total_cents == order.amount_cents:
                return one
        return None

    def _listed(self, params: Mapping[str, str]) -> Iterator[_Invoice]:
        start = 0
        while True:
            asked = {**params, "limit": PAGE, "start": start}
            items = decode(self._call("GET", "/invoices", params=asked), _Page).items
            yield from items
            start += PAGE
            if len(items) < PAGE:
                return

    def _call(self, method: str, path: str, **more: Any) -> bytes:  # noqa: ANN401
        return self._http.call(method, path, basic=self._basic, **more)


def facts_of(invoice: _Invoice, *, released: bool = False) -> list[Fact]:
    """What is true of an invoice as the API shows it. A dispute that was won leaves its day behind; of what was taken
    back whole, the amount may not be shown any more."""
    if invoice.status in _CLOSED:
        return [ChargeClosed(invoice.id)]
    if invoice.status in _PAID:
        won: list[Fact] = [ReversalUndone(invoice.id)] if invoice.protested_at else []
        return [_received(invoice, released=released), *won, *_given_back(invoice)]
    if invoice.status == "refunded" or invoice.status in _DISPUTED:
        received: list[Fact] = [_received(invoice, released=released)] if _paid_cents(invoice) else []
        return [*received, PaymentReversed(invoice.id, refund=invoice.status == "refunded")]
    return []


def _received(invoice: _Invoice, *, released: bool) -> PaymentReceived:
    paid_at = invoice.paid_at or invoice.updated_at
    if paid_at is None:
        raise WebhookMalformed("a payment that was made has no moment", field="paid_at")
    at = local(paid_at, "paid_at")
    by_hand = invoice.status == "externally_paid"
    paid_cents = _paid_cents(invoice)
    if not paid_cents:
        raise WebhookMalformed("a payment that was made has no amount", field="paid_cents")
    surcharge_cents, discount_cents = _parts(invoice, paid_cents, at.astimezone(BRASILIA).date())
    return PaymentReceived(
        invoice_id=invoice_of_reference(_reference(invoice)),
        charge_id=invoice.id,
        payment_id=invoice.id,
        amount_cents=paid_cents,
        paid_at=at,
        method="manual" if by_hand else _method(invoice.payment_method),
        currency=invoice.currency,
        surcharge_cents=surcharge_cents,
        discount_cents=discount_cents,
        settled_at=at if by_hand else _settled_at(invoice, released=released),
        net_cents=None if by_hand else _net_cents(invoice, paid_cents),
        so_far=True,
    )


def _paid_cents(invoice: _Invoice) -> int:
    """Of what was paid elsewhere, Iugu knows that it was the total."""
    paid_cents = invoice.paid_cents or invoice.total_paid_cents or 0
    return invoice.total_cents if invoice.status == "externally_paid" and not paid_cents else paid_cents


def _parts(invoice: _Invoice, paid_cents: int, paid_on: date) -> tuple[int, int]:
    late_cents = invoice.fines_on_occurrence_day_cents or 0
    return surcharge_and_discount(paid_cents, invoice.total_cents, late_cents, _promised_cents(invoice, paid_on))


def _promised_cents(invoice: _Invoice, paid_on: date) -> int:
    if invoice.due_date is None or invoice.status == "partially_paid":
        return 0
    early_days = (invoice.due_date - paid_on).days
    kept = [one for one in invoice.early_payment_discounts or () if one.days <= early_days]
    return max((one.value_cents or invoice.total_cents * (one.percent or 0) // 100 for one in kept), default=0)


def _settled_at(invoice: _Invoice, *, released: bool) -> datetime | None:
    """When the last of it was there: by its days, else at the invoice's last change where an event said so."""
    returns = invoice.financial_return_dates or []
    if returns and all(one.status != "pending" for one in returns):
        return day(max(one.return_date for one in returns), "financial_return_dates")
    return local(invoice.updated_at, "updated_at") if released and invoice.updated_at else None


def _net_cents(invoice: _Invoice, paid_cents: int) -> int | None:
    if invoice.taxes_paid_cents is None or invoice.taxes_paid_cents >= paid_cents:
        return None
    return paid_cents - invoice.taxes_paid_cents


def _given_back(invoice: _Invoice) -> list[Fact]:
    """Parts of it."""
    parts = invoice.refunded_cents
    return [PaymentReversed(invoice.id, refund=True, amount_cents=parts)] if parts else []


def _said(body: bytes) -> tuple[str, str, str]:
    """(event, id, status) of a call. Raises WebhookMalformed."""
    said = form(body)
    words = said.get("event", ""), said.get("data[id]", ""), said.get("data[status]", "")
    for name, word in zip(("event", "data[id]", "data[status]"), words, strict=True):
        if not _WORD.fullmatch(word) or (name == "event" and not word):
            raise WebhookMalformed(f"{name} is missing or is no word", field=name)
    return words


def _reference(invoice: _Invoice) -> str | None:
    return invoice.external_reference or invoice.order_id


def _method(method: str | None) -> str:
    return _METHODS.get(method or "", method or "unknown")


def _charge(invoice: _Invoice) -> Charge:
    pix_code = invoice.pix.qrcode_text if invoice.pix else None
    return Charge(invoice.id, pix_code, invoice.bank_slip.digitable_line if invoice.bank_slip else None,
                  invoice.secure_url)  # fmt: skip


def _wanted(order: ChargeOrder) -> dict[str, Any]:
    """Iugu's own e-mails are off: the notices are ours."""
    return {
        "email": order.payer.email, "due_date": order.due_date.isoformat(), "payable_with": ["pix", "bank_slip"],
        "items": [{"description": order.description, "quantity": 1, "price_cents": order.amount_cents}],
        "payer": _payer(order.payer), "external_reference": our_reference(order.invoice_id),
        "ignore_due_email": True, "ignore_canceled_email": True, **_late(order),
        **_early(order),
    }  # fmt: skip


def _late(order: ChargeOrder) -> dict[str, Any]:
    """The fine is a whole percentage or an amount; interest is a percentage a day, and goes with a fine only."""
    if not order.fine_bp and not order.interest_bp_month:
        return {}
    whole, rest = divmod(order.fine_bp, 100)
    fine = {"late_payment_fine_cents": order.amount_cents * order.fine_bp // 10_000} if rest else {
        "late_payment_fine": whole
    }  # fmt: skip
    daily = round(Decimal(order.interest_bp_month) / 3000, 3)
    interest = {"per_day_interest": True, "per_day_interest_value": float(daily)} if daily else {}
    return {"fines": True, **fine, **interest}


def _early(order: ChargeOrder) -> dict[str, Any]:
    if order.discount_until is None:
        return {}
    days = (order.due_date - order.discount_until).days
    discounts = [{"days": days, "value_cents": order.discount_cents}]
    return {"early_payment_discount": True, "early_payment_discounts": discounts}


def _payer(payer: Payer) -> dict[str, Any]:
    phone = phone_digits(payer.phone)
    address = {
        "zip_code": payer.postal_code, "street": payer.street, "number": payer.number, "district": payer.district,
        "city": payer.city, "state": payer.state,
    }  # fmt: skip
    known = {
        "cpf_cnpj": payer.document, "name": payer.name, "email": payer.email, "phone_prefix": phone[:2],
        "phone": phone[2:], "address": present(address),
    }  # fmt: skip
    return present(known)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
