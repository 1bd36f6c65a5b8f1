"""Standard Webhooks, for anyone who has no adapter of their own (spec v1; library `standardwebhooks`).

Headers `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature`: HMAC-SHA256 over `{id}.{timestamp}.{body}`,
of which one among several is enough. Timestamps off by more than five minutes are refused, as the library does; it
reads the wall clock, so only its signing is used. The payload is `{"type", "timestamp", "data"}`; we understand

    payment.received, invoice.paid  data: {invoice_id or charge_id, payment_id, amount_cents, paid_at, method, currency}
    payment.reversed                data: {payment_id}  (chargeback: the invoice is owed again)
    payment.refunded                data: {payment_id}  (we gave it back: it is not)
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from standardwebhooks import Webhook

from billing_hooks.gateways.base import (
    EVENT_ID_LENGTH_MAX,
    Access,
    Delivery,
    Irrelevant,
    Message,
    Notice,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import Http
from billing_hooks.gateways.reading import Id, decode, moment, whole_cents
from core.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105
#: The specification's bounds for the key behind the prefix.
SECRET_OCTETS_MIN, SECRET_OCTETS_MAX = 24, 64
#: Either way.
TOLERANCE: Final = timedelta(minutes=5)
_WRITTEN_SECONDS: Final = re.compile("[0-9]{1,11}")


class _Payment(msgspec.Struct):
    payment_id: Id
    amount_cents: int
    paid_at: datetime
    invoice_id: str | None = None
    charge_id: Id | None = None
    method: Id = "unknown"
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] | None = None


class _Reversal(msgspec.Struct):
    payment_id: Id


class _Event(msgspec.Struct):
    type: str
    data: Any = None


class StandardWebhooks:
    settings: Mapping[str, str] = {}
    credentials: Sequence[str] = ()
    takes_discount = False

    def check_secret(self, secret: str) -> None:
        """`whsec_` and 24 to 64 octets in base64, as the specification has it."""
        try:
            octets = len(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
        except ValueError:
            octets = 0
        if not secret.startswith(SECRET_PREFIX) or not SECRET_OCTETS_MIN <= octets <= SECRET_OCTETS_MAX:
            raise InvalidInput("the secret must be whsec_ and 24 to 64 octets in base64", field="secret")

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """There are none."""

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:  # noqa: ARG002
        return 1

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:
        event_id = delivery.headers.get("webhook-id", "")
        _verify(secret, event_id, delivery, now)
        if len(event_id) > EVENT_ID_LENGTH_MAX or "\0" in event_id:
            raise WebhookMalformed("the event id is too long or holds NUL", field="webhook-id")
        decode(delivery.body, _Event)
        return [Message(event_id, delivery.body)]

    def read(self, body: bytes) -> Notice:
        event = decode(body, _Event)
        try:
            if event.type in {"payment.received", "invoice.paid"}:
                return _payment(msgspec.convert(event.data, _Payment))
            if event.type in {"payment.reversed", "payment.refunded"}:
                reversal = msgspec.convert(event.data, _Reversal)
                return PaymentReversed(reversal.payment_id, refund=event.type == "payment.refunded")
        except msgspec.ValidationError as error:
            raise WebhookMalformed(f"data: {error}", field="data") from None
        return Irrelevant(event.type)

    def connect(self, access: Access, http: Http) -> None:
        """Whoever sends these has no API that the specification knows."""


def sign(secret: str, event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers."""
    signature = Webhook(secret).sign(event_id, at.astimezone(UTC), body.decode())
    return {
        "webhook-id": event_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
    }  # fmt: skip


def _verify(secret: str, event_id: str, delivery: Delivery, now: datetime) -> None:
    seconds = delivery.headers.get("webhook-timestamp", "")
    if not event_id or not _WRITTEN_SECONDS.fullmatch(seconds):
        raise WebhookNotAuthentic
    if abs(now.timestamp() - int(seconds)) > TOLERANCE.total_seconds():
        raise WebhookNotAuthentic
    try:
        wanted = sign(secret, event_id, delivery.body, datetime.fromtimestamp(int(seconds), UTC))["webhook-signature"]
    except UnicodeError:  # the library signs text
        raise WebhookNotAuthentic from None
    given = delivery.headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in given):
        raise WebhookNotAuthentic


def _payment(data: _Payment) -> PaymentReceived:
    paid_at, amount_cents = moment(data.paid_at, "data.paid_at"), whole_cents(data.amount_cents, "data.amount_cents")
    if data.invoice_id is None and data.charge_id is None:
        raise WebhookMalformed("data: neither invoice_id nor charge_id is given", field="data.invoice_id")
    invoice_id = None
    if data.invoice_id is not None:
        if not data.invoice_id.isascii() or not data.invoice_id.isdigit() or len(data.invoice_id) > 18:
            raise WebhookMalformed("data.invoice_id is no id of ours", field="data.invoice_id")
        invoice_id = int(data.invoice_id)
    return PaymentReceived(
        invoice_id, data.charge_id, data.payment_id, amount_cents, paid_at, data.method, data.currency
    )
