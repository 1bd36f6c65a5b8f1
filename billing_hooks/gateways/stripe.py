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
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from billing_hooks.gateways import stripe_shown as shown
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
    WebhookMalformed,
    WebhookNotAuthentic,
    invoice_of_reference,
    our_reference,
)
from billing_hooks.gateways.checks import check_base_url, check_choice, check_form, check_plain_secret
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.gateways.reading import BRASILIA, Id, decode
from billing_hooks.gateways.stripe_money import smallest_units
from billing_hooks.invoicing.words import Words

OUR_PATH: Final = "/hooks/stripe"
SIGNATURE_HEADER: Final = "stripe-signature"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105
SECRET_LENGTH_MIN: Final = 32
#: As Stripe's libraries have it: older ones are refused and newer ones are not. Only Stripe can sign a moment to come,
#: so it says that our clock is behind, which must not lose a payment; a repetition is known by its event's id.
TOLERANCE: Final = timedelta(seconds=300)
#: The version that stripe-python 16.1 is made for.
API_VERSION: Final = "2026-10-28.endive"
PAGE: Final = 100
_VERSION: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?"
_WRITTEN_SECONDS: Final = re.compile("0|[1-9][0-9]{0,11}")


#: Methods whose code is made by confirming the intent here, and how long it can be good at most.
_BOLETO_DAYS_MAX: Final = 60
_PIX_S_MIN, _PIX_S_MAX = 60, 14 * 24 * 3600
_METHODS: Final = ("boleto", "pix", "card")
#: In reais, not tried with the vendor; what it asks for in other currencies it says itself.
CHARGE_CENTS_MIN: Final = {"boleto": 500, "pix": 50, "card": 50}

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
_EXPANDED: Final = {"expand[0]": "latest_charge.balance_transaction", "expand[1]": "latest_charge.refunds"}


class _Subject(msgspec.Struct):
    """What an event is about: only what it is called and whether money came."""

    object: str
    id: shown.StripeId | None = None
    payment_intent: shown.StripeId | None = None
    charge: shown.StripeId | None = None
    payment: shown.InvoicePaymentOf | None = None
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
    id: shown.StripeId
    type: str
    data: _Data


class _Events(msgspec.Struct):
    data: list[_ListedEvent]
    has_more: bool = False


class _Found(msgspec.Struct):
    id: shown.StripeId


class _Search(msgspec.Struct):
    data: list[_Found]


class _Dispute(msgspec.Struct):
    status: str


class _Disputes(msgspec.Struct):
    data: list[_Dispute]


class _InvoicePayments(msgspec.Struct):
    data: list[shown.InvoicePayment]


class _Endpoint(msgspec.Struct):
    url: str
    status: str


class _Endpoints(msgspec.Struct):
    data: list[_Endpoint]


class Stripe:
    #: `livemode`: "true" or "false" takes only such events; "" any. `account`: a connected account's id; then only its
    #: events are ours, and the API is asked on its behalf. `payment_method`: boleto, pix or card.
    settings: Mapping[str, str] = {
        "base_url": "https://api.stripe.com", "api_version": API_VERSION, "currency": "brl",
        "payment_method": "boleto", "livemode": "", "account": "",
    }  # fmt: skip
    credentials: Sequence[str] = ("api_key",)
    takes_discount = False

    def check_secret(self, secret: str) -> None:
        check_plain_secret(secret, "the endpoint's secret", SECRET_LENGTH_MIN, prefix=SECRET_PREFIX)

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)
        check_form(settings, "api_version", _VERSION, f"a version such as {API_VERSION}")
        check_form(settings, "currency", "[A-Za-z]{3}", "a currency's three letters, such as brl")
        check_form(settings, "account", "(acct_[A-Za-z0-9]{1,250})?", "a connected account's id, acct_…, or nothing")
        check_choice(settings, "payment_method", _METHODS)
        check_choice(settings, "livemode", ("", "true", "false"))

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:
        in_reais = settings["currency"].lower() == "brl"
        return CHARGE_CENTS_MIN[settings["payment_method"]] if in_reais else 1

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        _verify(secret, delivery, now)
        event = decode(delivery.body, _Event)
        wanted_mode, wanted_account = (delivery.settings.get(name, "") for name in ("livemode", "account"))
        other_mode = wanted_mode and wanted_mode != str(event.livemode).lower()
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
        charge = decode(self._call("GET", f"/v1/charges/{reference}", params=expanded), shown.Charge)
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
        intent = self._known(order) or self._make(order)
        if intent.status == "requires_payment_method" and self._method != "card":
            intent = self._confirm(intent, order)
        action = intent.next_action or shown.NextAction()
        boleto, pix = action.boleto_display_details or shown.Boleto(), action.pix_display_qr_code or shown.Pix()
        url = boleto.hosted_voucher_url or pix.hosted_instructions_url
        return Charge(intent.id, pix_code=pix.data, boleto_line=boleto.number, url=url)

    def cancel(self, charge_id: str) -> None:
        """Raises GatewayRefused for one that a bank is at work on."""
        try:
            self._call("POST", f"/v1/payment_intents/{charge_id}/cancel")
        except GatewayRefused as refused:
            if refused.status_code != 404 and self._intent(charge_id).status not in _ENDED:
                raise

    def queue_alarm(self) -> Words | None:
        """Of the endpoints that look like ours: by their path, because Stripe does not know which is."""
        try:
            endpoints = decode(self._call("GET", "/v1/webhook_endpoints", params={"limit": PAGE}), _Endpoints).data
        except GatewayDenied:  # a restricted key need not know of them
            return None
        stopped = [one.url for one in endpoints if one.status == "disabled" and OUR_PATH in one.url]
        if not stopped:
            return None
        urls = ", ".join(stopped)
        return Words(
            pt=f"o Stripe desativou o endpoint {urls}; ative-o lá",
            en=f"Stripe has disabled the endpoint {urls}; enable it there",
        )

    def _facts(self, intent: shown.Intent) -> list[Fact]:
        if intent.status == "canceled" or shown.expired(intent):
            return [ChargeClosed(intent.id)]
        if intent.status != "succeeded" or intent.latest_charge is None:
            return []
        charge, (invoice_id, charge_id) = intent.latest_charge, self._whose(intent)
        received = shown.received(charge, intent.id, intent.amount_received, invoice_id, charge_id)
        return [received, *self._taken_back(charge, intent.id)]

    def _charge_facts(self, charge: shown.Charge) -> list[Fact]:
        if charge.status != "succeeded" or not charge.captured:
            return []
        invoice_id = invoice_of_reference(charge.metadata.get("invoice"))
        received = shown.received(charge, charge.id, charge.amount_captured, invoice_id, charge.id)
        return [received, *self._taken_back(charge, charge.id)]

    def _whose(self, intent: shown.Intent) -> tuple[int | None, str]:
        """(our invoice, the charge): what the intent says, else what the Stripe invoice says that it pays."""
        invoice_id = invoice_of_reference(intent.metadata.get("invoice"))
        if invoice_id is not None:
            return invoice_id, intent.id
        wanted = {"payment[type]": "payment_intent", "payment[payment_intent]": intent.id}
        billed = [one.invoice for one in self._invoice_payments(wanted)]
        if not billed:
            return None, intent.id
        return invoice_of_reference((billed[0].metadata or {}).get("invoice")), billed[0].id

    def _taken_back(self, charge: shown.Charge, payment_id: str) -> list[Fact]:
        return shown.taken_back(charge, payment_id, self._disputes(charge.id) if charge.disputed else set())

    def _disputes(self, charge_id: str) -> set[str]:
        """Their states."""
        params: dict[str, str | int] = {"charge": charge_id, "limit": PAGE}
        return {one.status for one in decode(self._call("GET", "/v1/disputes", params=params), _Disputes).data}

    def _invoice_payments(self, wanted: Mapping[str, str]) -> list[shown.InvoicePayment]:
        params = {**wanted, "expand[0]": "data.invoice"}
        return decode(self._call("GET", "/v1/invoice_payments", params=params), _InvoicePayments).data

    def _intent(self, intent_id: str) -> shown.Intent:
        return decode(self._call("GET", f"/v1/payment_intents/{intent_id}", params=_EXPANDED), shown.Intent)

    def _known(self, order: ChargeOrder) -> shown.Intent | None:
        quoted = order.key.replace("\\", "\\\\").replace("'", "\\'")
        params = {"query": f"metadata['order']:'{quoted}'"}
        found = decode(self._call("GET", "/v1/payment_intents/search", params=params), _Search).data
        present = (self._intent(one.id) for one in found)
        ours = (one for one in present if one.metadata.get("invoice") == our_reference(order.invoice_id))
        amount = smallest_units(order.amount_cents, self._currency)
        return next((one for one in ours if one.status != "canceled" and one.amount == amount), None)

    def _make(self, order: ChargeOrder) -> shown.Intent:
        form = {
            "amount": str(smallest_units(order.amount_cents, self._currency)), "currency": self._currency,
            "payment_method_types[0]": self._method, "description": order.description,
            "metadata[invoice]": our_reference(order.invoice_id), "metadata[order]": order.key,
        }  # fmt: skip
        intent = self._make_once(form, order.key)
        while intent.status == "canceled":
            intent = self._make_once(form, intent.id)
        return intent

    def _make_once(self, form: Mapping[str, str], key: str) -> shown.Intent:
        """A key that was used is answered with what was true then, so what is true now is asked for."""
        made = decode(self._call("POST", "/v1/payment_intents", form=form, headers={"Idempotency-Key": key}), _Found)
        return self._intent(made.id)

    def _confirm(self, intent: shown.Intent, order: ChargeOrder) -> shown.Intent:
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
        return decode(self._call("POST", f"/v1/payment_intents/{intent.id}/confirm", form=form), shown.Intent)

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


def _validity(method: str, intent: shown.Intent, due_date: date) -> dict[str, str]:
    """Until the end of the due date, counted from when the intent was made, by Stripe's clock; for a date that was
    past even then what Stripe gives by itself (a boleto three days, a Pix some hours)."""
    made = shown.moment_of(intent.created, "created").astimezone(BRASILIA)
    days = (due_date - made.date()).days
    seconds = int((datetime.combine(due_date, time.max, BRASILIA) - made).total_seconds())
    if method == "boleto" and days >= 0:
        return {"payment_method_options[boleto][expires_after_days]": str(min(days, _BOLETO_DAYS_MAX))}
    if method == "pix" and seconds >= _PIX_S_MIN:
        return {"payment_method_options[pix][expires_after_seconds]": str(min(seconds, _PIX_S_MAX))}
    return {}
