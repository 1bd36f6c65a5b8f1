"""A simulated system that sends Standard Webhooks: an ERP or a portal of the provider's own, say.

The specification has no API: `/_simulate` is all that there is, and what is paid is an invoice of ours by its id. Each
try is signed anew and bears the same id. The pauses between tries are the specification's example; a receiver that
answers 410 wants no more, and gets none until somebody resumes.

    POST /_simulate/charges/{invoice_id}/pay                     {"amount_cents", "payment_id", "charge_id", "method"}
    POST /_simulate/charges/{payment_id}/{reverse|refund}
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request

from billing_hooks.gateways.standard import SECRET_PREFIX, StandardWebhooks, sign
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, simulated_routes
from core.clock import Clock

_MINUTE_S, _HOUR_S = 60, 3600
#: Standard Webhooks 1.0, "Deliverability and reliability".
POLICY: Final = Policy(
    pauses_s=(
        0, 5, 5 * _MINUTE_S, 30 * _MINUTE_S, 2 * _HOUR_S, 5 * _HOUR_S, 10 * _HOUR_S, 14 * _HOUR_S, 20 * _HOUR_S,
        24 * _HOUR_S,
    ),
    success=lambda status: 200 <= status < 300,
    timeout_s=15.0,
    stops_on=frozenset({410}),
)  # fmt: skip
#: For who sends by hand, and waits for the end of it.
BY_HAND: Final = replace(POLICY, pauses_s=(0, 0.5, 1, 2, 4))


@dataclass(slots=True)
class Standard:
    """The whole of it. Raises InvalidInput for a secret that could sign nothing."""

    secret: str
    queue: HookQueue
    clock: Clock
    away: int | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        StandardWebhooks().check_secret(self.secret)

    def pay(
        self, invoice_id: str | None, amount_cents: int, payment_id: str = "", *, charge_id: str | None = None,
        method: str = "pix",
    ) -> str:  # fmt: skip
        """Returns the payment's id."""
        payment_id = payment_id or f"pay-{invoice_id}-{next(self._numbers)}-{int(self.clock().timestamp())}"
        named = {"invoice_id": invoice_id} if charge_id is None else {"charge_id": charge_id}
        self.tell(
            f"msg_{payment_id}", "payment.received", **named, payment_id=payment_id, amount_cents=amount_cents,
            paid_at=self.clock().isoformat(), method=method,
        )  # fmt: skip
        return payment_id

    def reverse(self, payment_id: str) -> str:
        """A chargeback."""
        self.tell(f"msg_{payment_id}_reversed", "payment.reversed", payment_id=payment_id)
        return payment_id

    def refund(self, payment_id: str) -> str:
        self.tell(f"msg_{payment_id}_refunded", "payment.refunded", payment_id=payment_id)
        return payment_id

    def tell(self, event_id: str, type_: str, **data: object) -> None:
        """The id is the same whenever this is told again."""
        now = self.clock()
        body = json.dumps({"type": type_, "timestamp": now.isoformat(), "data": data}).encode()
        plain = {"content-type": "application/json"}
        self.queue.put(Event(event_id, lambda at: (plain | sign(self.secret, event_id, body, at), body)), now)


def simulation(options: Options) -> Simulation:
    secret = options.secret or SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    queue = HookQueue(POLICY, options.random)
    gateway = Standard(secret, queue, options.clock)
    return Simulation(app_of(gateway), queue, options.hook_url, credentials={"secret": secret})


def app_of(gateway: Standard) -> Starlette:
    return Starlette(routes=simulated_routes(gateway, partial(_act, gateway)))


def _act(gateway: Standard, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    subject, payment_id = request.path_params["id"], str(body.get("payment_id", ""))
    acts: dict[str, Callable[[], str]] = {
        "pay": lambda: gateway.pay(
            subject, _cents(body), payment_id, charge_id=body.get("charge_id"), method=str(body.get("method", "pix"))
        ),
        "reverse": lambda: gateway.reverse(subject),
        "refund": lambda: gateway.refund(subject),
    }
    if request.path_params["what"] not in acts:
        raise Refused(404, {"detail": f"one of {', '.join(acts)}"})
    return {"payment_id": acts[request.path_params["what"]]()}


def _cents(body: dict[str, Any]) -> int:
    amount = body.get("amount_cents")
    if type(amount) is not int or amount <= 0:
        raise Refused(400, {"detail": "amount_cents is a whole number of centavos"})
    return amount
