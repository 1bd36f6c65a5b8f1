"""Standard Webhooks, for anyone who has no adapter of their own (spec v1; library `standardwebhooks`).

Headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; the library verifies HMAC-SHA256 over the raw body and
refuses timestamps off by more than five minutes. The payload is `{"type", "timestamp", "data"}`; we understand

    payment.received, invoice.paid  data: {invoice_id or charge_id, payment_id, amount_cents, paid_at, method}
    payment.reversed                data: {payment_id}
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from billing_hooks.gateways.base import (
    Irrelevant,
    Notice,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)

EVENT_ID_OCTETS_MAX = 255


class _Payment(msgspec.Struct):
    payment_id: str
    amount_cents: int
    paid_at: datetime
    invoice_id: str | None = None
    charge_id: str | None = None
    method: str = "unknown"


class _Reversal(msgspec.Struct):
    payment_id: str


class _Event(msgspec.Struct):
    type: str
    data: Any = None


class StandardWebhooks:
    def authenticate(self, secret: str, headers: Mapping[str, str], body: bytes) -> str:
        wanted = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        try:
            Webhook(secret).verify(body, wanted)
        except (WebhookVerificationError, binascii.Error, UnicodeError):
            raise WebhookNotAuthentic from None
        except ValueError:
            raise WebhookMalformed("the body is not JSON", field="body") from None
        if len(wanted["webhook-id"]) > EVENT_ID_OCTETS_MAX:
            raise WebhookMalformed("the event id is too long", field="webhook-id")
        return wanted["webhook-id"]

    def read(self, body: bytes) -> Notice:
        try:
            event = msgspec.json.decode(body, type=_Event)
            if event.type in {"payment.received", "invoice.paid"}:
                return _payment(msgspec.convert(event.data, _Payment))
            if event.type == "payment.reversed":
                return PaymentReversed(msgspec.convert(event.data, _Reversal).payment_id)
        except msgspec.ValidationError as error:
            raise WebhookMalformed(str(error), field="data") from None
        except msgspec.DecodeError:
            raise WebhookMalformed("the body is not JSON", field="body") from None
        return Irrelevant(event.type)


def _payment(data: _Payment) -> PaymentReceived:
    if data.paid_at.tzinfo is None:
        raise WebhookMalformed("paid_at needs a time zone", field="data.paid_at")
    if not 0 < data.amount_cents < 1 << 53:
        raise WebhookMalformed("amount_cents must be positive", field="data.amount_cents")
    if data.invoice_id is None and data.charge_id is None:
        raise WebhookMalformed("neither invoice_id nor charge_id is given", field="data.invoice_id")
    invoice_id = None
    if data.invoice_id is not None:
        if not data.invoice_id.isascii() or not data.invoice_id.isdigit() or len(data.invoice_id) > 18:
            raise WebhookMalformed("invoice_id is no id of ours", field="data.invoice_id")
        invoice_id = int(data.invoice_id)
    return PaymentReceived(invoice_id, data.charge_id, data.payment_id, data.amount_cents, data.paid_at, data.method)
