"""A simulated payment gateway: signed Standard Webhooks, delivered as real gateways do.

A delivery is repeated with the same id until a 2xx comes, with pauses that double, and then given up; each try has a
timestamp and so a signature of its own. Gateways also deliver twice what was answered, and out of order: a receiver
must bear both, so this one can be told to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
from standardwebhooks import Webhook

from billing_hooks.gateways.standard import StandardWebhooks
from core.clock import Clock
from core.errors import InvalidInput

TRIES: Final = 5
PAUSE_MIN_S: Final = 0.5
PAUSE_MAX_S: Final = 60.0
TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Event:
    """What is told; its id is the receiver's key to a repetition."""

    id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try and its answer; status 0 is none at all."""

    event_id: str
    status: int
    answer: str

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


def payment_received(invoice_id: str, payment_id: str, amount_cents: int, clock: Clock) -> Event:
    data = {"invoice_id": invoice_id, "payment_id": payment_id, "amount_cents": amount_cents,
            "paid_at": clock().isoformat(), "method": "pix"}  # fmt: skip
    return Event(f"msg_{payment_id}", "payment.received", data)


def payment_reversed(payment_id: str) -> Event:
    return Event(f"msg_{payment_id}_reversed", "payment.reversed", {"payment_id": payment_id})


class Gateway:
    """Sends to one receiver. Raises InvalidInput for a secret or URL that could never work."""

    def __init__(
        self, url: str, secret: str, *, client: httpx.Client, clock: Clock, pause: Callable[[float], None],
        tries: int = TRIES,
    ) -> None:  # fmt: skip
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url} is no http:// or https:// URL", field="--url")
        StandardWebhooks().check_secret(secret)
        self._url = url
        self._webhook = Webhook(secret)
        self._client = client
        self._clock = clock
        self._pause = pause
        self._tries = tries

    def deliver(self, event: Event, on_try: Callable[[Delivery], None]) -> bool:
        """Try until a 2xx; False when it was given up."""
        pause_s = PAUSE_MIN_S
        for left in range(self._tries - 1, -1, -1):
            delivery = self._send(event)
            on_try(delivery)
            if delivery.taken:
                return True
            if left:
                self._pause(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
        return False

    def _send(self, event: Event) -> Delivery:
        now = self._clock()
        body = json.dumps({"type": event.type, "timestamp": now.isoformat(), "data": event.data})
        headers = {
            "content-type": "application/json", "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(event.id, now, body),
        }  # fmt: skip
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Delivery(event.id, 0, f"no answer: {error}")
        return Delivery(event.id, answer.status_code, answer.text.strip()[:500])
