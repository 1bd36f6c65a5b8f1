"""Asaas: boleto, Pix and card charges; webhooks with a shared token (docs.asaas.com, "Webhooks" and "Cobranças").

The header `asaas-access-token` holds the token that was set with the webhook: it authenticates a sender, not what he
says, so the API is asked about every payment. Only status 200 counts as success, also for events that mean nothing to
us: after 15 failures the queue of the webhook stops for all of them.

Pix goes from PENDING to RECEIVED; boleto and card to CONFIRMED (paid) and days later to RECEIVED (the money is there).
Values are reais with decimals, days have no hour, and moments no zone (Brasília's).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

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
from billing_hooks.gateways.checks import check_base_url, check_plain_secret
from billing_hooks.gateways.http import GatewayRefused, Http
from billing_hooks.gateways.reading import BRASILIA, Id, cents, day, decode, surcharge_and_discount
from billing_hooks.gateways.writing import present
from billing_hooks.invoicing.words import Words

TOKEN_HEADER: Final = "asaas-access-token"  # noqa: S105
TOKEN_LENGTH_MIN: Final = 32
#: Asaas asks for a User-Agent that names the application.
USER_AGENT: Final = "Provedor"
PAGE: Final = 100
#: However it is paid (UNVERIFIED: what users report that it answers).
CHARGE_CENTS_MIN: Final = 500
_PAYS: Final = frozenset({"PAYMENT_CONFIRMED", "PAYMENT_RECEIVED", "PAYMENT_RECEIVED_IN_CASH"})
#: The states of money that came, and of these the ones in which it is there.
_PAID: Final = frozenset({"CONFIRMED", "RECEIVED", "RECEIVED_IN_CASH", "DUNNING_RECEIVED"})
_SETTLED: Final = frozenset({"RECEIVED", "RECEIVED_IN_CASH", "DUNNING_RECEIVED"})
_OPEN: Final = frozenset({"PENDING", "OVERDUE"})
_REFUNDED: Final = frozenset({"REFUNDED"})
#: The card's holder took it back, or tries to.
_DISPUTED: Final = frozenset({"CHARGEBACK_REQUESTED", "CHARGEBACK_DISPUTE"})
_DISPUTE_WON: Final = frozenset({"AWAITING_CHARGEBACK_REVERSAL"})


class _Subject(msgspec.Struct):
    id: Id


class _Event(msgspec.Struct):
    id: Id
    event: str
    payment: _Subject | None = None


class _Refund(msgspec.Struct):
    value: Decimal
    status: str


class _Discount(msgspec.Struct):
    value: Decimal = Decimal(0)
    type: str = "FIXED"


class _Payment(msgspec.Struct, rename="camel"):
    id: Id
    status: str
    value: Decimal
    billing_type: str = "UNDEFINED"
    net_value: Decimal | None = None
    #: What was asked for, where something else was paid; fine and interest are `interest_value` of what was.
    original_value: Decimal | None = None
    interest_value: Decimal | None = None
    discount: _Discount | None = None
    payment_date: date | None = None
    client_payment_date: date | None = None
    confirmed_date: date | None = None
    credit_date: date | None = None
    external_reference: str | None = None
    invoice_url: str | None = None
    deleted: bool = False
    refunds: list[_Refund] | None = None

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN and not self.deleted


class _Page(msgspec.Struct, rename="camel"):
    data: list[_Payment]
    has_more: bool = False


class _PixCode(msgspec.Struct):
    payload: str | None = None


class _BoletoLine(msgspec.Struct, rename="camel"):
    identification_field: str | None = None


class _Customers(msgspec.Struct):
    data: list[_Subject]


class Queue(msgspec.Struct, rename="camel"):
    """A webhook as Asaas keeps it: `interrupted` means that its events wait and none is sent."""

    id: str
    url: str = ""
    interrupted: bool = False
    penalized_requests_count: int = 0


class _Queues(msgspec.Struct):
    data: list[Queue]


class Asaas:
    settings: Mapping[str, str] = {"base_url": "https://api.asaas.com/v3"}
    credentials: Sequence[str] = ("api_key",)
    takes_discount = True

    def check_secret(self, secret: str) -> None:
        check_plain_secret(secret, "the webhook's token", TOKEN_LENGTH_MIN)

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:  # noqa: ARG002
        return CHARGE_CENTS_MIN

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:  # noqa: ARG002
        token = delivery.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(token.encode(), secret.encode()):
            raise WebhookNotAuthentic
        event = decode(delivery.body, _Event)
        return [Message(event.id, delivery.body)]

    def read(self, body: bytes) -> Notice:
        event = decode(body, _Event)
        if not event.event.startswith("PAYMENT_") or event.event in {"PAYMENT_CREATED", "PAYMENT_UPDATED"}:
            return Irrelevant(event.event)
        if event.payment is None:
            raise WebhookMalformed("an event of a payment names none", field="payment")
        undone = PaymentReversed(event.payment.id) if event.event == "PAYMENT_RECEIVED_IN_CASH_UNDONE" else None
        return AskBack(event.payment.id, pays=event.event in _PAYS, otherwise=undone)

    def connect(self, access: Access, http: Http) -> AsaasApi:
        return AsaasApi(http, access.credentials["api_key"])


class AsaasApi:
    def __init__(self, http: Http, api_key: str) -> None:
        self._http = http
        self._headers = {"access_token": api_key, "User-Agent": USER_AGENT}

    def fetch(self, reference: str) -> list[Fact]:
        return facts_of(self._payment(reference))

    def since(self, moment: datetime) -> Iterator[Fact]:
        """By the day on which they were paid; a day more, because days have no hours."""
        first = (moment.astimezone(BRASILIA) - timedelta(days=1)).date().isoformat()
        offset = 0
        while True:
            params = {"paymentDate[ge]": first, "limit": PAGE, "offset": offset}
            page = decode(self._call("GET", "/payments", params=params), _Page)
            for payment in page.data:
                yield from facts_of(payment)
            offset += PAGE
            if not page.has_more:
                return

    def create(self, order: ChargeOrder) -> Charge:
        """Asaas knows no idempotency keys: a charge with our reference and amount that is open there is this one."""
        payment = self._open_charge(order) or self._order(order)
        return Charge(
            payment.id,
            pix_code=decode(self._call("GET", f"/payments/{payment.id}/pixQrCode"), _PixCode).payload,
            boleto_line=self._boleto_line(payment.id),
            url=payment.invoice_url,
        )

    def cancel(self, charge_id: str) -> None:
        """A refusal is one where the charge is open all the same: one that was paid or deleted is refused as well."""
        try:
            self._call("DELETE", f"/payments/{charge_id}")
        except GatewayRefused as refused:
            if refused.status_code != 404 and self._payment(charge_id).is_open:
                raise

    def queue_alarm(self) -> Words | None:
        stopped = [queue.url for queue in self.queues() if queue.interrupted]
        if not stopped:
            return None
        urls = ", ".join(stopped)
        return Words(
            pt=f"o Asaas parou de enviar eventos para {urls}; reative a fila lá",
            en=f"Asaas has stopped sending events to {urls}; resume it there",
        )

    def queues(self) -> list[Queue]:
        return decode(self._call("GET", "/webhooks"), _Queues).data

    def resume(self, queue: Queue) -> None:
        self._call("PUT", f"/webhooks/{queue.id}", json={"interrupted": False})

    def _payment(self, charge_id: str) -> _Payment:
        return decode(self._call("GET", f"/payments/{charge_id}"), _Payment)

    def _open_charge(self, order: ChargeOrder) -> _Payment | None:
        params = {"externalReference": our_reference(order.invoice_id), "limit": PAGE}
        page = decode(self._call("GET", "/payments", params=params), _Page)
        same = (one for one in page.data if one.is_open and cents(one.value, "value") == order.amount_cents)
        return next(same, None)

    def _order(self, order: ChargeOrder) -> _Payment:
        wanted = {
            "customer": self._customer(order), "billingType": "UNDEFINED", "value": order.amount_cents / 100,
            "dueDate": order.due_date.isoformat(), "description": order.description,
            "externalReference": our_reference(order.invoice_id),
            "fine": {"value": order.fine_bp / 100, "type": "PERCENTAGE"},
            "interest": {"value": order.interest_bp_month / 100}, **_early(order),
        }  # fmt: skip
        return decode(self._call("POST", "/payments", json=wanted), _Payment)

    def _customer(self, order: ChargeOrder) -> str:
        payer = order.payer
        found = decode(self._call("GET", "/customers", params={"cpfCnpj": payer.document}), _Customers).data
        if found:
            return found[0].id
        wanted = {
            "name": payer.name, "cpfCnpj": payer.document, "email": payer.email, "mobilePhone": payer.phone,
            "postalCode": payer.postal_code, "address": payer.street, "addressNumber": payer.number,
            "province": payer.district, "notificationDisabled": True,
        }  # fmt: skip
        return decode(self._call("POST", "/customers", json=present(wanted)), _Subject).id

    def _boleto_line(self, charge_id: str) -> str | None:
        """None where this charge has no boleto."""
        try:
            body = self._call("GET", f"/payments/{charge_id}/identificationField")
        except GatewayRefused:
            return None
        return decode(body, _BoletoLine).identification_field

    def _call(self, method: str, path: str, **more: Any) -> bytes:  # noqa: ANN401
        return self._http.call(method, path, headers=self._headers, **more)


def _early(order: ChargeOrder) -> dict[str, Any]:
    """`dueDateLimitDays`: how many days before the due date is the last on which it is given."""
    if order.discount_until is None:
        return {}
    days = (order.due_date - order.discount_until).days
    return {"discount": {"value": order.discount_cents / 100, "type": "FIXED", "dueDateLimitDays": days}}


def facts_of(payment: _Payment) -> list[Fact]:
    """What is true of a payment as the API shows it."""
    if payment.deleted:
        return [ChargeClosed(payment.id)]
    if payment.status in _OPEN:
        return []
    if payment.status in _PAID:
        return [_received(payment), *_given_back(payment)]
    if payment.status in _REFUNDED:
        return [_received(payment), PaymentReversed(payment.id, refund=True)]
    if payment.status in _DISPUTED:
        return [_received(payment), PaymentReversed(payment.id)]
    if payment.status in _DISPUTE_WON:
        return [_received(payment), ReversalUndone(payment.id)]
    return []


def _received(payment: _Payment) -> PaymentReceived:
    paid_on = payment.client_payment_date or payment.payment_date or payment.confirmed_date
    if paid_on is None:
        raise WebhookMalformed("a payment that was made has no day", field="paymentDate")
    settled_on = (payment.credit_date or payment.payment_date) if payment.status in _SETTLED else None
    amount_cents = cents(payment.value, "value")
    surcharge_cents, discount_cents = _parts(payment, amount_cents)
    return PaymentReceived(
        invoice_id=invoice_of_reference(payment.external_reference),
        charge_id=payment.id,
        payment_id=payment.id,
        amount_cents=amount_cents,
        paid_at=day(paid_on, "paymentDate"),
        method=payment.billing_type.lower(),
        currency="BRL",
        surcharge_cents=surcharge_cents,
        discount_cents=discount_cents,
        settled_at=day(settled_on, "creditDate") if settled_on else None,
        net_cents=cents(payment.net_value, "netValue") if payment.net_value else None,
    )


def _parts(payment: _Payment, amount_cents: int) -> tuple[int, int]:
    nominal_cents = cents(payment.original_value, "originalValue") if payment.original_value else amount_cents
    late_cents = int((payment.interest_value or Decimal(0)) * 100)
    promised = payment.discount or _Discount()
    promised_cents = int(promised.value * (nominal_cents if promised.type == "PERCENTAGE" else 10_000) / 100)
    return surcharge_and_discount(amount_cents, nominal_cents, late_cents, promised_cents)


def _given_back(payment: _Payment) -> list[Fact]:
    """Parts of it."""
    parts = sum((one.value for one in payment.refunds or () if one.status == "DONE"), Decimal(0))
    return [PaymentReversed(payment.id, refund=True, amount_cents=cents(parts, "refunds"))] if parts else []
