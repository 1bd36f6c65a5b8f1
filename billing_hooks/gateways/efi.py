"""Efí Cobranças: boletos that can be paid by Pix too ("bolix") (dev.efipay.com.br, "API Cobranças").

A notification is a form with one field, `notification=<token>`, and nobody signs it: the API is asked what the token
stands for. The account's secret is a token of our own in the query of the URL that each charge is given
(`…/hooks/efi?token=SECRET`), so that not everybody can make us ask. A charge keeps the URL that it was made with: where
the secret is changed, the one before must stay valid until the charges of its time are paid.

Efí allows 15,000 requests a day for a charge's details, 30,000 for notifications (docs, "Limites de consumo").

The notification's token is the same for the whole life of a charge, and comes again with each change and until it was
asked about (docs, "Notificações"). So it is no event's id: deliveries are `gathered`. The first of a span is asked
about at once; a repetition may carry news, and is asked about once more, when the span is over at the latest. That
holds without anything that Efí promises; what a node with a wrong clock misses all the same, Efí sends again, because
it was not asked about after it was sent.

The answer is the history of the last six months, a status each with a growing id. `identified` and `approved` precede
the money, `paid` is it; `settled` was marked as paid by hand and has no value (then it is the charge's total). Values
are integer cents; days have no hour and moments no zone (Brasília's, UNVERIFIED).

UNVERIFIED against the vendor, known from public code that uses it: the parameters `date_of`, `custom_id` and `page` of
GET /charges and the fields of its answer; interest by the month in `configurations`; `conditional_discount` in a
charge's details. Whether a bolix was paid by Pix or as a boleto is told nowhere.
"""

from __future__ import annotations

import hmac
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from billing_hooks.gateways import efi_shown as shown
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    Charge,
    ChargeClosed,
    ChargeOrder,
    Delivery,
    Fact,
    Message,
    Payer,
    WebhookMalformed,
    WebhookNotAuthentic,
    gathered,
    our_reference,
)
from billing_hooks.gateways.checks import check_base_url
from billing_hooks.gateways.http import GatewayRefused, Http
from billing_hooks.gateways.oauth import Token
from billing_hooks.gateways.reading import BRASILIA, decode, form
from billing_hooks.gateways.writing import digits, phone_digits, present
from core.clock import Clock, utc_now
from core.errors import InvalidInput

SECRET_LENGTH_MIN: Final = 32
#: The whole URL may have 255 characters.
SECRET_LENGTH_MAX: Final = 128
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]+")
#: It becomes part of a path.
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
PAGE: Final = 100
#: Of a boleto (UNVERIFIED: public code).
CHARGE_CENTS_MIN: Final = 500
#: How far back a charge is looked for before it is made: an order is not repeated after longer.
ORDERED_WITHIN: Final = timedelta(days=90)
#: Charges that are kept in mind between two readings.
READ_MAX: Final = 20_000
NAME_LENGTH_MAX: Final = 255
MESSAGE_LINES_MAX, MESSAGE_LINE_LENGTH = 4, 100
_OPEN: Final = frozenset({"new", "waiting", "unpaid", "link"})
#: Error codes of a charge that cannot be cancelled: its status is final, or there is none such.
_NOT_TO_CANCEL: Final = ("3500043", "3500010")


class _History(msgspec.Struct):
    data: list[shown.Change]


class _OneCharge(msgspec.Struct):
    data: shown.Details


class _ListedPayment(msgspec.Struct, frozen=True):
    paid_value: shown.Cents | None = None


class _Listed(msgspec.Struct, frozen=True):
    id: shown.Id
    total: int
    status: str
    custom_id: str | None = None
    payment: _ListedPayment = msgspec.field(default_factory=_ListedPayment)


class _Page(msgspec.Struct):
    data: list[_Listed]


class _Ordered(shown.Billet):
    charge_id: shown.Id | None = None


class _Made(msgspec.Struct):
    data: _Ordered


class Efi:
    settings: Mapping[str, str] = {"base_url": "https://cobrancas.api.efipay.com.br/v1"}
    credentials: Sequence[str] = ("client_id", "client_secret")
    takes_discount = True

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock

    def check_secret(self, secret: str) -> None:
        if not SECRET_LENGTH_MIN <= len(secret) <= SECRET_LENGTH_MAX or not _SECRET.fullmatch(secret):
            raise InvalidInput(
                f"the token in the URL has {SECRET_LENGTH_MIN} to {SECRET_LENGTH_MAX} letters, digits, - and _",
                field="secret",
            )

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:  # noqa: ARG002
        return CHARGE_CENTS_MIN

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        try:
            token = form(delivery.query).get("token", "")
        except WebhookMalformed:
            raise WebhookNotAuthentic from None
        if not hmac.compare_digest(token.encode(), secret.encode()):
            raise WebhookNotAuthentic
        return [gathered(self.read(delivery.body).reference, delivery.body, now)]

    def read(self, body: bytes) -> AskBack:
        token = form(body).get("notification", "")
        if not _TOKEN.fullmatch(token):
            raise WebhookMalformed("the notification is no token", field="notification")
        return AskBack(token)

    def connect(self, access: Access, http: Http) -> EfiApi:
        return EfiApi(http, access, self._clock)


class EfiApi:
    def __init__(self, http: Http, access: Access, clock: Clock) -> None:
        client = access.credentials["client_id"], access.credentials["client_secret"]
        self._token = Token(http, "/authorize", client, clock, as_json=True)
        self._hook_token = access.secret
        self._clock = clock
        #: Facts of charges that were read for reconciliation, which reads the same days many times a day.
        self._read: dict[_Listed, list[Fact]] = {}

    def fetch(self, reference: str) -> list[Fact]:
        """Of every charge that a notification's token stands for."""
        changes = decode(self._call("GET", f"/notification/{reference}"), _History).data
        charges: dict[str, list[shown.Change]] = {}
        for change in sorted(changes, key=lambda one: one.id):
            if change.identifiers.charge_id is not None:  # else it is a carnet's or a subscription's own
                charges.setdefault(str(change.identifiers.charge_id), []).append(change)
        return [fact for charge_id, history in charges.items() for fact in self._facts(charge_id, history)]

    def since(self, moment: datetime) -> Iterator[Fact]:
        """By the day of payment; a day more, because days have no hours. What was given back of money that is older
        than that, only notifications tell."""
        days = {"begin_date": self._day(moment - timedelta(days=1)), "end_date": self._day(self._clock())}
        for listed in self._listed({**days, "date_of": "payment"}):
            if listed.status in shown.CLOSED:
                yield ChargeClosed(str(listed.id))
            elif listed.status in shown.PAID | shown.TAKEN_BACK:
                yield from self._listed_facts(listed)

    def queue_alarm(self) -> None:
        """A URL that Efí disabled is told by e-mail, and nowhere else."""

    def create(self, order: ChargeOrder) -> Charge:
        """Efí knows no idempotency keys: a charge with our reference and amount that is open there is this one."""
        found = self._open_charge(order)
        if found is not None:
            return _charge(found, self._details(found).payment.banking_billet or shown.Billet())
        made = decode(self._order(_wanted(order, self._hook_token)), _Made).data
        if made.charge_id is None:
            raise WebhookMalformed("a charge was made and has no id", field="charge_id")
        return _charge(str(made.charge_id), made)

    def _order(self, wanted: Mapping[str, Any]) -> bytes:
        try:
            return self._call("POST", "/charge/one-step", json=wanted)
        except GatewayRefused as refused:  # what Efí says may repeat the URL, and our secret in it
            shown = refused.detail.partition("token")[0]
            raise GatewayRefused(shown, status_code=refused.status_code) from None

    def cancel(self, charge_id: str) -> None:
        try:
            self._call("PUT", f"/charge/{charge_id}/cancel")
        except GatewayRefused as refused:
            if refused.status_code != 404 and not any(code in refused.detail for code in _NOT_TO_CANCEL):
                raise

    def _facts(self, charge_id: str, history: Sequence[shown.Change]) -> list[Fact]:
        if any(change.status.current in shown.PAID for change in history):
            return shown.facts_of_history(self._details(charge_id), history)
        return [ChargeClosed(charge_id)] if history[-1].status.current in shown.CLOSED else []

    def _listed_facts(self, listed: _Listed) -> list[Fact]:
        """A charge whose status and value stay is not asked about again."""
        facts = self._read.get(listed)
        if facts is None:
            facts = shown.facts_of(self._details(str(listed.id)), listed.payment.paid_value)
            if len(self._read) >= READ_MAX:
                self._read.clear()
            self._read[listed] = facts
        return facts

    def _details(self, charge_id: str) -> shown.Details:
        return decode(self._call("GET", f"/charge/{charge_id}"), _OneCharge).data

    def _open_charge(self, order: ChargeOrder) -> str | None:
        reference = our_reference(order.invoice_id)
        today = self._clock()
        days = {"begin_date": self._day(today - ORDERED_WITHIN), "end_date": self._day(today)}
        for one in self._listed({**days, "custom_id": reference}):
            if one.custom_id == reference and one.status in _OPEN and one.total == order.amount_cents:
                return str(one.id)
        return None

    def _listed(self, params: Mapping[str, str]) -> Iterator[_Listed]:
        """Page by page; one that brings nothing new is the last, should pages not be known there."""
        seen: set[str] = set()
        number = 0
        while True:
            number += 1
            asked = {**params, "charge_type": "billet", "limit": PAGE, "page": number}
            page = decode(self._call("GET", "/charges", params=asked), _Page).data
            new = [one for one in page if str(one.id) not in seen]
            seen.update(str(one.id) for one in new)
            yield from new
            if len(page) < PAGE or not new:
                return

    def _day(self, at: datetime) -> str:
        return at.astimezone(BRASILIA).date().isoformat()

    def _call(self, method: str, path: str, **more: Any) -> bytes:  # noqa: ANN401
        return self._token.call(method, path, **more)


def _charge(charge_id: str, billet: shown.Billet) -> Charge:
    return Charge(charge_id, billet.pix.qrcode if billet.pix else None, billet.barcode, billet.link)


def _wanted(order: ChargeOrder, hook_token: str) -> dict[str, Any]:
    notify_url = f"{order.notify_url}?token={hook_token}" if order.notify_url else ""
    metadata = {"custom_id": our_reference(order.invoice_id), "notification_url": notify_url}
    message = textwrap.wrap(order.description, MESSAGE_LINE_LENGTH)[:MESSAGE_LINES_MAX]
    billet = {
        "customer": _customer(order.payer), "expire_at": order.due_date.isoformat(), "message": "\n".join(message),
        "configurations": present({"fine": order.fine_bp, "interest": order.interest_bp_month * 10 // 30}),
        "conditional_discount": _early(order),
    }  # fmt: skip
    return {
        "items": [{"name": order.description[:NAME_LENGTH_MAX], "value": order.amount_cents, "amount": 1}],
        "metadata": present(metadata),
        "payment": {"banking_billet": present(billet)},
    }


def _early(order: ChargeOrder) -> dict[str, Any]:
    if order.discount_until is None:
        return {}
    return {"type": "currency", "value": order.discount_cents, "until_date": order.discount_until.isoformat()}


def _customer(payer: Payer) -> dict[str, Any]:
    """A company is its `juridical_person`; an address is given whole or not at all."""
    document = re.sub(r"[^0-9A-Za-z]", "", payer.document)
    address = {
        "street": payer.street, "number": payer.number, "neighborhood": payer.district,
        "zipcode": digits(payer.postal_code), "city": payer.city, "state": payer.state,
    }  # fmt: skip
    known = {"email": payer.email, "phone_number": phone_digits(payer.phone), "address": address}
    if not all(address.values()):
        del known["address"]
    if len(document) == 11:
        return {"name": payer.name, "cpf": document, **present(known)}
    return {"juridical_person": {"corporate_name": payer.name, "cnpj": document}, **present(known)}
