"""Stripe: boleto, Pix and card charges as PaymentIntents; signed webhooks (docs.stripe.com).

`Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]` is HMAC-SHA256 over `{t}.{body}` with the endpoint's secret as it is
written. Events come more than once and in no order, and each shows the moment of its own, so none is believed for what
it says: the API is asked. What is true is the PaymentIntent with its latest charge; one payment is one intent, however
many events, charges and refunds tell of it. A charge that was made without an intent is a payment of its own, and an
invoice of Stripe Billing is the charge that its intents pay.

A boleto or Pix is good until the order's due date: Stripe knows no fine and no interest, and nobody pays a boleto of
its late. A card is paid on a page that uses the intent's client secret; nothing is shown for it here.

Amounts are in the currency's smallest unit, ours in hundredths of it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
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
    Notice,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    WebhookNotAuthentic,
    invoice_of_reference,
    our_reference,
)
from billing_hooks.gateways.http import GatewayAway, GatewayRefused, Http
from billing_hooks.gateways.reading import BRASILIA, Id, decode, moment, whole_cents
from core.errors import InvalidInput

SIGNATURE_HEADER: Final = "stripe-signature"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105
SECRET_LENGTH_MIN: Final = 32
#: As Stripe's libraries have it: older ones are refused and newer ones are not. Only Stripe can sign a moment to come,
#: so it says that our clock is behind, which must not lose a payment; a repetition is known by its event's id.
TOLERANCE: Final = timedelta(seconds=300)
#: The version that stripe-python 16.1 is made for.
API_VERSION: Final = "2026-10-28.endive"
PAGE: Final = 100
_WRITTEN_SECONDS: Final = re.compile("0|[1-9][0-9]{0,11}")

#: docs.stripe.com/currencies, "Zero-decimal currencies" and "Three-decimal currencies". UGX stands in the first list,
#: and by the page's special cases it is written with two decimals all the same, like ISK.
_WHOLE: Final = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip
_THOUSANDTHS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

#: Methods whose code is made by confirming the intent here, and how long it can be good at most.
_BOLETO_DAYS_MAX: Final = 60
_PIX_S_MIN, _PIX_S_MAX = 60, 14 * 24 * 3600
_METHODS: Final = ("boleto", "pix", "card")

_PAYS: Final = frozenset(
    {
        "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed",
        "checkout.session.async_payment_succeeded", "invoice.paid", "invoice_payment.paid",
    }
)  # fmt: skip
#: What changes a payment, or ends an intent. Stripe takes twenty types in one question.
_TELLING: Final = _PAYS | {
    "charge.updated", "charge.refunded", "charge.refund.updated", "refund.failed", "charge.dispute.created",
    "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn", "payment_intent.payment_failed", "payment_intent.canceled",
}  # fmt: skip
#: Of intents that nobody can pay any more.
_ENDED: Final = frozenset({"canceled", "succeeded"})
#: The bank took the money, for now or for good. The `warning_…` are inquiries, which take nothing.
_DISPUTED: Final = frozenset({"needs_response", "under_review", "lost"})
_REFUND_FAILED: Final = frozenset({"failed", "canceled"})
_EXPANDED: Final = {"expand[0]": "latest_charge.balance_transaction", "expand[1]": "latest_charge.refunds"}

#: It becomes part of a path.
_StripeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,255}\Z")]


class _InvoicePaymentOf(msgspec.Struct):
    payment_intent: _StripeId | None = None


class _Subject(msgspec.Struct):
    """What an event is about: only what it is called and whether money came."""

    object: str
    id: _StripeId | None = None
    payment_intent: _StripeId | None = None
    charge: _StripeId | None = None
    payment: _InvoicePaymentOf | None = None
    captured: bool = True
    payment_status: str = "paid"
    amount_paid: int | None = None


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: Id
    type: str
    livemode: bool = False
    #: The connected account whose event it is.
    account: str | None = None
    data: _Data | None = None


class _ListedEvent(msgspec.Struct):
    id: _StripeId
    type: str
    data: _Data


class _Events(msgspec.Struct):
    data: list[_ListedEvent]
    has_more: bool = False


class _Balance(msgspec.Struct):
    net: int
    currency: str
    created: int
    available_on: int


class _Refund(msgspec.Struct):
    status: str | None = None


class _Refunds(msgspec.Struct):
    data: list[_Refund] = []


class _Method(msgspec.Struct):
    type: Id


class _Charge(msgspec.Struct):
    id: _StripeId
    currency: str
    created: int
    status: str = "succeeded"
    captured: bool = True
    amount_captured: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    disputed: bool = False
    payment_intent: _StripeId | None = None
    payment_method_details: _Method | None = None
    balance_transaction: _Balance | None = None
    refunds: _Refunds | None = None
    metadata: dict[str, str] = {}


class _Boleto(msgspec.Struct):
    number: str | None = None
    hosted_voucher_url: str | None = None


class _Pix(msgspec.Struct):
    data: str | None = None
    hosted_instructions_url: str | None = None


class _NextAction(msgspec.Struct):
    boleto_display_details: _Boleto | None = None
    pix_display_qr_code: _Pix | None = None


class _Intent(msgspec.Struct):
    id: _StripeId
    status: str
    currency: str
    created: int
    amount: int = 0
    amount_received: int = 0
    payment_method_types: list[str] = []
    latest_charge: _Charge | None = None
    next_action: _NextAction | None = None
    last_payment_error: Any = None
    metadata: dict[str, str] = {}


class _Found(msgspec.Struct):
    id: _StripeId


class _Search(msgspec.Struct):
    data: list[_Found]


class _Dispute(msgspec.Struct):
    status: str


class _Disputes(msgspec.Struct):
    data: list[_Dispute]


class _StripeInvoice(msgspec.Struct):
    id: _StripeId
    metadata: dict[str, str] | None = None


class _InvoicePayment(msgspec.Struct):
    payment: _InvoicePaymentOf
    invoice: _StripeInvoice


class _InvoicePayments(msgspec.Struct):
    data: list[_InvoicePayment]


class Stripe:
    #: `livemode`: "true" or "false" takes only such events; "" any. `account`: a connected account's id; then only its
    #: events are ours, and the API is asked on its behalf. `payment_method`: boleto, pix or card.
    settings: Mapping[str, str] = {
        "base_url": "https://api.stripe.com", "api_version": API_VERSION, "currency": "brl",
        "payment_method": "boleto", "livemode": "", "account": "",
    }  # fmt: skip
    credentials: Sequence[str] = ("api_key",)

    def check_secret(self, secret: str) -> None:
        if not secret.startswith(SECRET_PREFIX) or not SECRET_LENGTH_MIN <= len(secret) <= 255 or not _plain(secret):
            raise InvalidInput(
                f"the endpoint's secret is {SECRET_PREFIX} and {SECRET_LENGTH_MIN} plain characters or more in all",
                field="secret",
            )

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        _verify(secret, delivery, now)
        event = decode(delivery.body, _Event)
        wanted_mode, wanted_account = (delivery.settings.get(name, "") for name in ("livemode", "account"))
        other_mode = wanted_mode and wanted_mode.lower() != str(event.livemode).lower()
        if other_mode or (wanted_account and wanted_account != event.account):
            raise WebhookNotAuthentic
        return [Message(event.id, delivery.body)]

    def read(self, body: bytes) -> Notice:
        event = decode(body, _Event)
        if event.type not in _TELLING:
            return Irrelevant(event.type)
        if event.data is None:
            raise WebhookMalformed("an event of a payment is about none", field="data.object")
        about = decode(bytes(event.data.object), _Subject)
        reference = _reference(about)
        return Irrelevant(event.type) if reference is None else AskBack(reference, pays=_pays(event.type, about))

    def connect(self, access: Access, http: Http) -> StripeApi:
        return StripeApi(http, access.credentials["api_key"], {**self.settings, **access.settings})


class StripeApi:
    def __init__(self, http: Http, api_key: str, settings: Mapping[str, str]) -> None:
        self._http = http
        self._currency, self._method = settings["currency"].lower(), settings["payment_method"]
        self._headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": settings["api_version"]}
        if settings["account"]:
            self._headers["Stripe-Account"] = settings["account"]

    def fetch(self, reference: str) -> list[Fact]:
        """Of an intent, of a charge that has none, or of what paid an invoice of Stripe Billing."""
        if reference.startswith("in_"):
            paying = (one.payment.payment_intent for one in self._invoice_payments({"invoice": reference}))
            return [fact for intent_id in paying if intent_id is not None for fact in self.fetch(intent_id)]
        if reference.startswith("pi_"):
            return self._facts(self._intent(reference))
        expanded = {"expand[0]": "balance_transaction", "expand[1]": "refunds"}
        charge = decode(self._call("GET", f"/v1/charges/{reference}", params=expanded), _Charge)
        return self.fetch(charge.payment_intent) if charge.payment_intent else self._charge_facts(charge)

    def since(self, moment: datetime) -> Iterator[Fact]:
        """By Stripe's own list of events, which goes back thirty days; each payment is asked about once."""
        told: dict[str, None] = {}
        params: dict[str, str | int] = {"created[gte]": int(moment.timestamp()), "limit": PAGE}
        params |= {f"types[{number}]": type_ for number, type_ in enumerate(sorted(_TELLING))}
        more = True
        while more:
            page = decode(self._call("GET", "/v1/events", params=params), _Events)
            for event in page.data:
                reference = _reference(decode(bytes(event.data.object), _Subject))
                if reference is not None:
                    told[reference] = None
                params["starting_after"] = event.id
            more = page.has_more and bool(page.data)
        for reference in told:
            yield from self.fetch(reference)

    def create(self, order: ChargeOrder) -> Charge:
        """One intent for an order's key, made and then confirmed; one that expired is confirmed again.

        Stripe remembers a key for a day at least, and what it searches is a minute old at most: between them the same
        order finds its intent. A key whose intent was cancelled makes a new one.
        """
        if self._method not in _METHODS:
            raise InvalidInput(f"is one of {', '.join(_METHODS)}", field="settings.payment_method")
        intent = self._known(order) or self._make(order)
        if intent.status == "requires_payment_method" and self._method != "card":
            intent = self._confirm(intent, order)
        action = intent.next_action or _NextAction()
        boleto, pix = action.boleto_display_details or _Boleto(), action.pix_display_qr_code or _Pix()
        url = boleto.hosted_voucher_url or pix.hosted_instructions_url
        return Charge(intent.id, pix_code=pix.data, boleto_line=boleto.number, url=url)

    def cancel(self, charge_id: str) -> None:
        """Raises GatewayRefused for one that a bank is at work on."""
        try:
            self._call("POST", f"/v1/payment_intents/{charge_id}/cancel")
        except GatewayRefused as refused:
            if refused.status_code != 404 and self._intent(charge_id).status not in _ENDED:
                raise

    def queue_alarm(self) -> None:
        """Stripe tells which endpoints it has disabled, but not which of them is ours."""

    def _facts(self, intent: _Intent) -> list[Fact]:
        if intent.status == "canceled" or _expired(intent):
            return [ChargeClosed(intent.id)]
        if intent.status != "succeeded" or intent.latest_charge is None:
            return []
        charge, (invoice_id, charge_id) = intent.latest_charge, self._whose(intent)
        received = _received(charge, intent.id, intent.amount_received, invoice_id, charge_id)
        return [received, *self._taken_back(charge, intent.id)]

    def _charge_facts(self, charge: _Charge) -> list[Fact]:
        if charge.status != "succeeded" or not charge.captured:
            return []
        invoice_id = invoice_of_reference(charge.metadata.get("invoice"))
        received = _received(charge, charge.id, charge.amount_captured, invoice_id, charge.id)
        return [received, *self._taken_back(charge, charge.id)]

    def _whose(self, intent: _Intent) -> tuple[int | None, str]:
        """(our invoice, the charge): what the intent says, else what the Stripe invoice says that it pays."""
        invoice_id = invoice_of_reference(intent.metadata.get("invoice"))
        if invoice_id is not None:
            return invoice_id, intent.id
        wanted = {"payment[type]": "payment_intent", "payment[payment_intent]": intent.id}
        billed = [one.invoice for one in self._invoice_payments(wanted)]
        if not billed:
            return None, intent.id
        return invoice_of_reference((billed[0].metadata or {}).get("invoice")), billed[0].id

    def _taken_back(self, charge: _Charge, payment_id: str) -> list[Fact]:
        """A dispute takes the payment as a whole, whatever part of it: a bank says its amount in its own currency."""
        if charge.refunded:
            return [PaymentReversed(payment_id, refund=True)]
        facts: list[Fact] = []
        disputes = self._disputes(charge.id) if charge.disputed else set()
        if disputes & _DISPUTED:
            facts.append(PaymentReversed(payment_id))
        elif "won" in disputes or _refund_came_back(charge):
            facts.append(ReversalUndone(payment_id))
        if charge.amount_refunded:
            part = whole_cents(_hundredths(charge.amount_refunded, charge.currency), "amount_refunded")
            facts.append(PaymentReversed(payment_id, refund=True, amount_cents=part))
        return facts

    def _disputes(self, charge_id: str) -> set[str]:
        """Their states."""
        params: dict[str, str | int] = {"charge": charge_id, "limit": PAGE}
        return {one.status for one in decode(self._call("GET", "/v1/disputes", params=params), _Disputes).data}

    def _invoice_payments(self, wanted: Mapping[str, str]) -> list[_InvoicePayment]:
        params = {**wanted, "expand[0]": "data.invoice"}
        return decode(self._call("GET", "/v1/invoice_payments", params=params), _InvoicePayments).data

    def _intent(self, intent_id: str) -> _Intent:
        return decode(self._call("GET", f"/v1/payment_intents/{intent_id}", params=_EXPANDED), _Intent)

    def _known(self, order: ChargeOrder) -> _Intent | None:
        quoted = order.key.replace("\\", "\\\\").replace("'", "\\'")
        params = {"query": f"metadata['order']:'{quoted}'"}
        found = decode(self._call("GET", "/v1/payment_intents/search", params=params), _Search).data
        present = (self._intent(one.id) for one in found)
        ours = (one for one in present if one.metadata.get("invoice") == our_reference(order.invoice_id))
        amount = _smallest_units(order.amount_cents, self._currency)
        return next((one for one in ours if one.status != "canceled" and one.amount == amount), None)

    def _make(self, order: ChargeOrder) -> _Intent:
        form = {
            "amount": str(_smallest_units(order.amount_cents, self._currency)), "currency": self._currency,
            "payment_method_types[0]": self._method, "description": order.description,
            "metadata[invoice]": our_reference(order.invoice_id), "metadata[order]": order.key,
        }  # fmt: skip
        intent = self._make_once(form, order.key)
        while intent.status == "canceled":
            intent = self._make_once(form, intent.id)
        return intent

    def _make_once(self, form: Mapping[str, str], key: str) -> _Intent:
        """A key that was used is answered with what was true then, so what is true now is asked for."""
        made = decode(self._call("POST", "/v1/payment_intents", form=form, headers={"Idempotency-Key": key}), _Found)
        return self._intent(made.id)

    def _confirm(self, intent: _Intent, order: ChargeOrder) -> _Intent:
        payer = order.payer
        details = {
            "name": payer.name, "email": payer.email, "phone": payer.phone,
            "address][line1": f"{payer.street} {payer.number}".strip(), "address][line2": payer.district,
            "address][city": payer.city, "address][state": payer.state, "address][postal_code": payer.postal_code,
            "address][country": "BR" if self._currency == "brl" else None,
        }  # fmt: skip
        form = {f"payment_method_data[billing_details][{name}]": value for name, value in details.items() if value}
        form["payment_method_data[type]"] = self._method
        if self._method == "boleto":
            form["payment_method_data[boleto][tax_id]"] = payer.document
        form |= _validity(self._method, intent, order.due_date) | _EXPANDED
        return decode(self._call("POST", f"/v1/payment_intents/{intent.id}/confirm", form=form), _Intent)

    def _call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> bytes:  # noqa: ANN401
        try:
            return self._http.call(method, path, headers={**self._headers, **(headers or {})}, **more)
        except GatewayRefused as refused:
            if refused.status_code == 409:  # the same key, or the same object, is being worked on
                raise GatewayAway(f"{method} of {path}: status 409") from None
            raise


def sign(secret: str, body: bytes, at: datetime) -> str:
    """The header's value."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_signature(secret, str(seconds), body)}"


def _signature(secret: str, seconds: str, body: bytes) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, sha256).hexdigest()


def _verify(secret: str, delivery: Delivery, now: datetime) -> None:
    """One good v1 among several is enough: while a secret is changed both sign. Other schemes mean nothing."""
    header = delivery.headers.get(SIGNATURE_HEADER, "")
    items = [item.partition("=") for item in header.split(",")]
    seconds = next((value for name, _, value in items if name == "t"), "")
    if not header.isascii() or not all(equals for _, equals, _ in items) or not _WRITTEN_SECONDS.fullmatch(seconds):
        raise WebhookNotAuthentic
    wanted = _signature(secret, seconds, delivery.body).encode()
    if not any(hmac.compare_digest(wanted, value.encode()) for name, _, value in items if name == "v1"):
        raise WebhookNotAuthentic
    if int(seconds) < now.timestamp() - TOLERANCE.total_seconds():
        raise WebhookNotAuthentic


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _reference(about: _Subject) -> str | None:
    """The intent where one is named: all that tell of a payment then ask for the same."""
    named = about.payment_intent or (about.payment and about.payment.payment_intent) or about.charge
    if named or about.object not in {"payment_intent", "charge", "invoice"}:
        return named  # a session that pays a subscription names none, its invoice tells
    if about.id is None:
        raise WebhookMalformed("an object has no id", field="data.object.id")
    return about.id


def _pays(type_: str, about: _Subject) -> bool:
    """A card that is only authorized, a session to be paid later and an invoice of nothing bring no money."""
    return type_ in _PAYS and about.captured and about.payment_status == "paid" and about.amount_paid != 0


def _expired(intent: _Intent) -> bool:
    """Its boleto or Pix was not paid in time. A card that was refused may be followed by another."""
    failed = intent.status == "requires_payment_method" and intent.last_payment_error is not None
    return failed and "card" not in intent.payment_method_types


def _refund_came_back(charge: _Charge) -> bool:
    refunds = charge.refunds.data if charge.refunds else []
    return not charge.amount_refunded and any(one.status in _REFUND_FAILED for one in refunds)


def _received(charge: _Charge, payment_id: str, amount: int, invoice_id: int | None, charge_id: str) -> PaymentReceived:
    """When and how much of it will be ours is known at once, so `settled_at` may still be to come."""
    balance, currency = charge.balance_transaction, charge.currency.upper()
    net = _hundredths(balance.net, currency) if balance and balance.currency.upper() == currency else 0
    return PaymentReceived(
        invoice_id=invoice_id,
        charge_id=charge_id,
        payment_id=payment_id,
        amount_cents=whole_cents(_hundredths(amount, currency), "amount_received"),
        paid_at=_moment(balance.created if balance else charge.created, "created"),
        method=charge.payment_method_details.type if charge.payment_method_details else "unknown",
        currency=currency,
        settled_at=_moment(balance.available_on, "available_on") if balance else None,
        net_cents=whole_cents(net, "net") if net > 0 else None,
    )


def _moment(seconds: int, field: str) -> datetime:
    try:
        return moment(datetime.fromtimestamp(seconds, UTC), field)
    except (ValueError, OverflowError, OSError):
        raise WebhookMalformed(f"{field} lies in no year of ours", field=field) from None


def _hundredths(amount: int, currency: str) -> int:
    """Of Stripe's smallest units. It charges thousandths in tens only, so nothing is lost but of its fee."""
    code = currency.upper()
    return amount * 100 if code in _WHOLE else amount // 10 if code in _THOUSANDTHS else amount


def _smallest_units(amount_cents: int, currency: str) -> int:
    code = currency.upper()
    if code in _WHOLE and amount_cents % 100:
        raise InvalidInput(f"{code} has no hundredths", field="amount_cents")
    return amount_cents // 100 if code in _WHOLE else amount_cents * 10 if code in _THOUSANDTHS else amount_cents


def _validity(method: str, intent: _Intent, due_date: date) -> dict[str, str]:
    """Until the end of the due date, counted from when the intent was made, by Stripe's clock; for a date that was
    past even then what Stripe gives by itself (a boleto three days, a Pix some hours)."""
    made = _moment(intent.created, "created").astimezone(BRASILIA)
    days = (due_date - made.date()).days
    seconds = int((datetime.combine(due_date, time.max, BRASILIA) - made).total_seconds())
    if method == "boleto" and days >= 0:
        return {"payment_method_options[boleto][expires_after_days]": str(min(days, _BOLETO_DAYS_MAX))}
    if method == "pix" and seconds >= _PIX_S_MIN:
        return {"payment_method_options[pix][expires_after_seconds]": str(min(seconds, _PIX_S_MAX))}
    return {}
