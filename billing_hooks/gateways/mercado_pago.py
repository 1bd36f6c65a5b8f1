"""Mercado Pago: Pix and boleto payments; signed webhooks (mercadopago.com.br/developers, library `mercadopago` 3.6).

A notification is thin: `?data.id=<payment>&type=payment` and a body that repeats it. `x-signature: ts=<when>,v1=<hex>`
is HMAC-SHA256 over `id:<data.id>;request-id:<x-request-id>;ts:<ts>;` (what is absent is left out), so it covers the
payment's number and not the body: only that number is believed, and the API is asked what is true of it. Notifications
of in-store QR codes and those of the old style (IPN, `?topic=payment&id=…`) are not signed, and are refused.

Each change has a notification of its own, whose number and action stay the same when it is sent again.

A payment is one try to pay: a Pix or boleto is pending until it is approved, or cancelled when it is good no longer. It
may be charged back, and be reimbursed when that was won. Values are reais with decimals. Mercado Pago knows no fine and
no interest. Not verified against the vendor: how long an idempotency key is remembered (an order is looked for by our
reference as well), and where a boleto's line stands.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

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
    Payer,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    WebhookNotAuthentic,
    invoice_of_reference,
    our_reference,
)
from billing_hooks.gateways.checks import check_base_url, check_choice, check_form, check_plain_secret
from billing_hooks.gateways.http import GatewayAway, GatewayRefused, Http
from billing_hooks.gateways.reading import BRASILIA, Id, cents, decode, moment
from billing_hooks.gateways.writing import present

SIGNATURE_HEADER: Final = "x-signature"
REQUEST_ID_HEADER: Final = "x-request-id"
SECRET_LENGTH_MIN: Final = 32
#: Mercado Pago's last try comes 96 hours after its first, and it is not written whether each is signed anew: the first
#: signature has to be good for the last. Who repeats one in that time can do no more than have the API asked again.
TOLERANCE: Final = timedelta(hours=97)
#: Moments from here on are milliseconds: the vendor writes both. As seconds it would be the year 5138.
_MILLISECONDS_FROM: Final = 10**11
_WRITTEN_MOMENT: Final = re.compile("[0-9]{1,15}")
_QUERY_FIELDS_MAX: Final = 20
PAGE: Final = 100
_METHODS: Final = {"pix": "pix", "boleto": "bolbradesco"}
#: UNVERIFIED: a boleto's is what /v1/payment_methods says in public code (`min_allowed_amount`).
CHARGE_CENTS_MIN: Final = {"pix": 1, "boleto": 400}
_CHARGEBACK: Final = "chargeback:"

_OPEN: Final = frozenset({"pending", "in_process", "authorized"})
_CLOSED: Final = frozenset({"rejected", "cancelled"})

_Name = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[^\x00]*\Z")]
#: It becomes part of a path.
_Number = Annotated[int, msgspec.Meta(ge=0)] | Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]{1,100}\Z")]


class _Subject(msgspec.Struct):
    id: _Number | None = None


class _Notification(msgspec.Struct):
    id: int | _Name
    type: str
    action: _Name = ""
    user_id: int | str | None = None
    data: _Subject | None = None


class _Details(msgspec.Struct):
    net_received_amount: Decimal | None = None
    overpaid_amount: Decimal | None = None
    external_resource_url: str | None = None
    digitable_line: str | None = None


class _Fee(msgspec.Struct):
    amount: Decimal
    fee_payer: str = "collector"


class _TransactionData(msgspec.Struct):
    qr_code: str | None = None
    ticket_url: str | None = None


class _Interaction(msgspec.Struct):
    transaction_data: _TransactionData | None = None


class _Payment(msgspec.Struct):
    id: _Number
    status: str
    transaction_amount: Decimal
    status_detail: str | None = None
    transaction_amount_refunded: Decimal | None = None
    currency_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")] = "BRL"
    payment_method_id: Id = "unknown"
    date_approved: datetime | None = None
    money_release_date: datetime | None = None
    external_reference: str | None = None
    transaction_details: _Details | None = None
    fee_details: list[_Fee] | None = None
    point_of_interaction: _Interaction | None = None
    metadata: dict[str, Any] | None = None


class _Paging(msgspec.Struct):
    total: int = 0


class _Page(msgspec.Struct):
    results: list[_Payment]
    paging: _Paging


class _ChargebackCase(msgspec.Struct):
    payments: list[_Number]


class MercadoPago:
    #: `user_id`: our account's number; with it no other's notifications are taken. `payment_method`: pix or boleto.
    settings: Mapping[str, str] = {
        "base_url": "https://api.mercadopago.com", "payment_method": "pix", "user_id": "",
    }  # fmt: skip
    credentials: Sequence[str] = ("access_token",)
    takes_discount = False

    def check_secret(self, secret: str) -> None:
        check_plain_secret(secret, "the application's secret signature", SECRET_LENGTH_MIN)

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)
        check_choice(settings, "payment_method", tuple(_METHODS))
        check_form(settings, "user_id", "[0-9]{0,20}", "the account's number, digits only, or nothing")

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:
        return CHARGE_CENTS_MIN[settings["payment_method"]]

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        signed_id = _verify(secret, delivery, now)
        notification = decode(delivery.body, _Notification)
        told_id = notification.data and notification.data.id
        if notification.type == "payment" and str(told_id).lower() != signed_id.lower():
            raise WebhookNotAuthentic
        wanted = delivery.settings.get("user_id", "")
        if wanted and str(notification.user_id) != wanted:
            raise WebhookNotAuthentic
        return [Message(f"{notification.id}:{notification.action}", delivery.body)]

    def read(self, body: bytes) -> Notice:
        """What changed is not said, so an API that knows of no money is believed."""
        notification = decode(body, _Notification)
        kind = {"payment": "", "chargebacks": _CHARGEBACK, "topic_chargebacks_wh": _CHARGEBACK}.get(notification.type)
        if kind is None:
            return Irrelevant(notification.type)
        if notification.data is None or notification.data.id is None:
            raise WebhookMalformed("a notification of a payment names none", field="data.id")
        return AskBack(f"{kind}{notification.data.id}")

    def connect(self, access: Access, http: Http) -> MercadoPagoApi:
        return MercadoPagoApi(http, access.credentials["access_token"], {**self.settings, **access.settings})


class MercadoPagoApi:
    def __init__(self, http: Http, access_token: str, settings: Mapping[str, str]) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {access_token}"}
        self._method = settings["payment_method"]

    def fetch(self, reference: str) -> list[Fact]:
        """Of a payment, or of those that a chargeback is about."""
        if not reference.startswith(_CHARGEBACK):
            return facts_of(self._payment(reference))
        case = decode(self._call("GET", f"/v1/chargebacks/{reference.removeprefix(_CHARGEBACK)}"), _ChargebackCase)
        return [fact for payment_id in case.payments for fact in facts_of(self._payment(payment_id))]

    def since(self, moment: datetime) -> Iterator[Fact]:
        """By their last change, the latest first: one that changes meanwhile moves up, so that none is passed over."""
        began = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        params = {"range": "date_last_updated", "begin_date": began, "end_date": "NOW", "sort": "date_last_updated"}
        for payment in self._search({**params, "criteria": "desc"}):
            yield from facts_of(payment)

    def create(self, order: ChargeOrder) -> Charge:
        """A payment that is good until the end of the due date; Mercado Pago takes no day that is past.

        The same order finds its payment by the key in its metadata, and at once by the idempotency key; one that was
        cancelled or expired is followed by a new one. Raises GatewayRefused also where it is rejected on the spot.
        """
        payment = self._known(order) or self._make(order)
        if payment.status == "rejected":
            raise GatewayRefused(f"payment {payment.id} is rejected: {payment.status_detail}", status_code=201)
        details = payment.transaction_details or _Details()
        shown = (payment.point_of_interaction or _Interaction()).transaction_data or _TransactionData()
        url = shown.ticket_url or details.external_resource_url
        return Charge(str(payment.id), pix_code=shown.qr_code, boleto_line=details.digitable_line, url=url)

    def cancel(self, charge_id: str) -> None:
        """Raises GatewayRefused for one that cannot be cancelled and may still be paid."""
        try:
            self._call("PUT", f"/v1/payments/{charge_id}", json={"status": "cancelled"})
        except GatewayRefused as refused:
            if refused.status_code != 404 and self._payment(charge_id).status in _OPEN:
                raise

    def queue_alarm(self) -> None:
        """Mercado Pago does not tell."""

    def _payment(self, payment_id: int | str) -> _Payment:
        return decode(self._call("GET", f"/v1/payments/{payment_id}"), _Payment)

    def _search(self, wanted: Mapping[str, str]) -> Iterator[_Payment]:
        offset = 0
        while True:
            params: dict[str, str | int] = {**wanted, "limit": PAGE, "offset": offset}
            page = decode(self._call("GET", "/v1/payments/search", params=params), _Page)
            yield from page.results
            offset += len(page.results)
            if not page.results or offset >= page.paging.total:
                return

    def _known(self, order: ChargeOrder) -> _Payment | None:
        found = self._search({"external_reference": our_reference(order.invoice_id)})
        ours = (one for one in found if (one.metadata or {}).get("order") == order.key and one.status not in _CLOSED)
        return next((one for one in ours if cents(one.transaction_amount, "amount") == order.amount_cents), None)

    def _make(self, order: ChargeOrder) -> _Payment:
        payment = self._make_once(order, order.key)
        while payment.status == "cancelled":
            payment = self._make_once(order, f"{order.key}-{payment.id}")
        return payment

    def _make_once(self, order: ChargeOrder, key: str) -> _Payment:
        """A key that was used may be answered with what was true then, so what is true now is asked for."""
        wanted = {
            "transaction_amount": order.amount_cents / 100, "payment_method_id": _METHODS[self._method],
            "description": order.description, "external_reference": our_reference(order.invoice_id),
            "metadata": {"order": order.key}, "payer": _payer(order.payer),
            "date_of_expiration": datetime.combine(order.due_date, time(23, 59, 59), BRASILIA).isoformat(
                timespec="milliseconds"
            ),
        }  # fmt: skip
        if order.notify_url:
            wanted["notification_url"] = order.notify_url
        headers = {"X-Idempotency-Key": key}
        return self._payment(decode(self._call("POST", "/v1/payments", json=wanted, headers=headers), _Payment).id)

    def _call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> bytes:  # noqa: ANN401
        try:
            return self._http.call(method, path, headers={**self._headers, **(headers or {})}, **more)
        except GatewayRefused as refused:
            if refused.status_code == 423:  # somebody else is changing it
                raise GatewayAway(f"{method} of {path}: status 423") from None
            raise


def sign(secret: str, data_id: str, request_id: str, ts: str) -> str:
    """In hex, of the manifest; what is empty is left out."""
    pairs = (("id", data_id), ("request-id", request_id), ("ts", ts))
    manifest = "".join(f"{name}:{value};" for name, value in pairs if value)
    return hmac.new(secret.encode(), manifest.encode(), sha256).hexdigest()


def facts_of(payment: _Payment) -> list[Fact]:
    """What is true of a payment as the API shows it."""
    payment_id = str(payment.id)
    if payment.status in _CLOSED:
        return [ChargeClosed(payment_id)]
    complained_of = payment.status == "in_mediation" and payment.date_approved is not None  # and held, but not taken
    if payment.status == "approved" or complained_of:
        return [_received(payment), *_given_back(payment)]
    if payment.status == "refunded":
        return [_received(payment), PaymentReversed(payment_id, refund=True)]
    if payment.status == "charged_back":
        won = payment.status_detail == "reimbursed"
        return [_received(payment), ReversalUndone(payment_id) if won else PaymentReversed(payment_id)]
    return []  # pending, in process, or authorized and not captured


def _received(payment: _Payment) -> PaymentReceived:
    """When and how much of it will be ours is known at once, so `settled_at` may still be to come."""
    if payment.date_approved is None:
        raise WebhookMalformed("a payment that was made has no moment", field="date_approved")
    amount_cents, release = cents(payment.transaction_amount, "transaction_amount"), payment.money_release_date
    details = payment.transaction_details or _Details()
    overpaid_cents = cents(details.overpaid_amount, "overpaid_amount") if details.overpaid_amount else 0
    return PaymentReceived(
        invoice_id=invoice_of_reference(payment.external_reference),
        charge_id=str(payment.id),
        payment_id=str(payment.id),
        amount_cents=amount_cents + overpaid_cents,
        paid_at=moment(payment.date_approved, "date_approved"),
        method="boleto" if payment.payment_method_id == _METHODS["boleto"] else payment.payment_method_id,
        currency=payment.currency_id,
        settled_at=moment(release, "money_release_date") if release else None,
        net_cents=_net_cents(payment, details, amount_cents),
    )


def _net_cents(payment: _Payment, details: _Details, amount_cents: int) -> int | None:
    """What it says, else what is left of it after our part of its fees."""
    if details.net_received_amount:
        return cents(details.net_received_amount, "net_received_amount")
    ours = [fee.amount for fee in payment.fee_details or () if fee.fee_payer == "collector" and fee.amount]
    left_cents = amount_cents - sum(cents(amount, "fee_details.amount") for amount in ours)
    return left_cents if ours and left_cents > 0 else None


def _given_back(payment: _Payment) -> list[Fact]:
    """Parts of it."""
    parts = payment.transaction_amount_refunded
    if not parts:
        return []
    return [PaymentReversed(str(payment.id), refund=True, amount_cents=cents(parts, "transaction_amount_refunded"))]


def _payer(payer: Payer) -> dict[str, Any]:
    first_name, _, last_name = payer.name.partition(" ")
    address = {
        "zip_code": payer.postal_code, "street_name": payer.street, "street_number": payer.number,
        "neighborhood": payer.district, "city": payer.city, "federal_unit": payer.state,
    }  # fmt: skip
    known = {
        "first_name": first_name, "last_name": last_name, "email": payer.email,
        "identification": {"type": "CPF" if len(payer.document) == 11 else "CNPJ", "number": payer.document},
        "address": present(address),
    }  # fmt: skip
    return present(known)


def _verify(secret: str, delivery: Delivery, now: datetime) -> str:
    """The payment's number, which is all that is signed. It is taken as it stands in the query, as the vendor's library
    has it, or in lower case, as the vendor's documents have it."""
    ts, received = _signature(delivery.headers.get(SIGNATURE_HEADER, ""))
    request_id, data_id = delivery.headers.get(REQUEST_ID_HEADER, "").strip(), _data_id(delivery.query)
    written = {sign(secret, one, request_id, ts) for one in (data_id, data_id.lower())}
    if not any(hmac.compare_digest(one.encode(), received.encode()) for one in written):
        raise WebhookNotAuthentic
    seconds = int(ts) / 1000 if int(ts) >= _MILLISECONDS_FROM else int(ts)
    if abs(now.timestamp() - seconds) > TOLERANCE.total_seconds():
        raise WebhookNotAuthentic
    return data_id


def _signature(header: str) -> tuple[str, str]:
    """(ts, v1)"""
    parts = [part.partition("=") for part in header.split(",")]
    named = {name.strip().lower(): value.strip() for name, _, value in parts if value.strip()}
    ts, received = named.get("ts", ""), named.get("v1", "")
    if not header.isascii() or not _WRITTEN_MOMENT.fullmatch(ts) or not received:
        raise WebhookNotAuthentic
    return ts, received


def _data_id(query: str) -> str:
    try:
        fields = parse_qsl(query, max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        raise WebhookNotAuthentic from None
    named = [value.strip() for name, value in fields if name == "data.id"]
    if len(named) > 1:
        raise WebhookNotAuthentic
    return named[0] if named else ""
