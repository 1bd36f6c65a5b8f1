"""What every gateway's adapter answers. Pure: octets and secrets in, values or a typed error out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.errors import InvalidInput, Unauthenticated


class WebhookNotAuthentic(Unauthenticated):
    """Unsigned, forged, stale, or signed for another account. It says no more, so that nobody learns from it."""

    def __init__(self) -> None:
        super().__init__("the webhook's signature is missing, wrong or too old")


class WebhookMalformed(InvalidInput):
    """Authentic, and not what the gateway's documents say; `field` names the place."""


@dataclass(frozen=True, slots=True)
class PaymentReceived:
    """Money for an invoice, named by our id or by the id that the gateway gave its charge."""

    invoice_id: int | None
    charge_id: str | None
    payment_id: str
    amount_cents: int
    paid_at: datetime
    method: str
    #: None where the sender does not say: the invoice's.
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentReversed:
    payment_id: str
    #: We gave it back ourselves, so that the invoice is not owed again.
    refund: bool = False


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """An event that changes nothing here."""

    type: str


Notice = PaymentReceived | PaymentReversed | Irrelevant


class GatewayAdapter(Protocol):
    def check_secret(self, secret: str) -> None:
        """Refuse a secret that could verify nothing. Raises InvalidInput."""

    def authenticate(self, secret: str, headers: Mapping[str, str], body: bytes) -> str:
        """The event's id, by which a repetition is known. Raises WebhookNotAuthentic or WebhookMalformed."""

    def read(self, body: bytes) -> Notice:
        """What an authentic event says. Raises WebhookMalformed."""
