"""A simulated Mercado Pago: Pix and boleto payments, refunds, chargebacks, and signed notifications.

It refuses what the real one refuses, as `{"message", "error", "status", "cause": [{"code", "description"}]}`: another
token (401), no X-Idempotency-Key, a value of nothing, an unknown method, a payer without e-mail, a day that is past
(400), an unknown payment (404), an act that the state forbids (400, code 2063). The same key with the same body has the
first answer again, with another body it is refused (409).

A notification has 22 seconds to be answered with 200 or 201. Otherwise it comes again after 15 and 30 minutes, and then
6, 48 and 96 hours after the first: "every 15 minutes, after the third try at longer intervals", in the numbers of the
vendor's older table. Each try is signed anew, which the vendor does not say.

    POST /v1/payments, GET …/{id}, GET …/search        PUT /v1/payments/{id}        POST /v1/payments/{id}/refunds
    GET /v1/chargebacks/{id}
    POST /_simulate/charges/{id}/{pay|reject|refund|chargeback|win-chargeback|lose-chargeback|cancel|expire}

`pay` may be given more than was asked (`value`): overpaid. `refund` without a value is of the whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from billing_hooks.gateways.mercado_pago import REQUEST_ID_HEADER, SIGNATURE_HEADER, sign
from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.simulators.codes import boleto_line, pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

_MINUTE_S, _HOUR_S = 60, 3600
POLICY: Final = Policy(
    pauses_s=(0, 15 * _MINUTE_S, 15 * _MINUTE_S, 5.5 * _HOUR_S, 42 * _HOUR_S, 48 * _HOUR_S),
    success=lambda status: status in {200, 201},
    timeout_s=22.0,
)
FEE_SHARE: Final = Decimal("0.0099")
#: Days until the money is there.
_RELEASED: Final = {"pix": 0, "bolbradesco": 2}
VALUE_MIN: Final = {"pix": Decimal("0.01"), "bolbradesco": Decimal(4)}
_OPEN: Final = frozenset({"pending", "in_process"})
_LIMIT_MAX: Final = 100


def refusal(status: int, error: str, message: str, code: int | None = None) -> Refused:
    cause = [] if code is None else [{"code": code, "description": message}]
    return Refused(status, {"message": message, "error": error, "status": status, "cause": cause})


def wrong(message: str, code: int | None = None) -> Refused:
    return refusal(400, "bad_request", message, code)


@dataclass(slots=True)
class Payment:
    id: int
    amount: Decimal
    method: str
    created: datetime
    expires: datetime
    updated: datetime
    external_reference: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    notification_url: str | None = None
    status: str = "pending"
    status_detail: str = "pending_waiting_transfer"
    approved: datetime | None = None
    overpaid: Decimal = Decimal(0)
    refunds: list[Decimal] = field(default_factory=list)

    @property
    def refunded(self) -> Decimal:
        return sum(self.refunds, Decimal(0))

    def shown(self) -> dict[str, Any]:
        fee, days = fee_of(self.amount), timedelta(days=_RELEASED[self.method])
        details: dict[str, Any] = {
            "net_received_amount": float(self.amount - fee) if self.approved else 0,
            "overpaid_amount": float(self.overpaid), "total_paid_amount": float(self.amount + self.overpaid),
            "external_resource_url": None,
        }  # fmt: skip
        shown: dict[str, Any] = {}
        if self.method == "pix":
            ticket = f"https://www.mercadopago.com.br/payments/{self.id}/ticket"
            shown = {"qr_code": pix_code(f"pix-qr.mercadopago.com/instore/p/v2/{self.id}"), "ticket_url": ticket}
        else:
            details["external_resource_url"] = f"https://www.mercadopago.com.br/payments/{self.id}/ticket"
            due_date = self.expires.astimezone(BRASILIA).date()
            details["digitable_line"] = boleto_line("237", self.id, int(self.amount * 100), due_date)
        return {
            "id": self.id, "status": self.status, "status_detail": self.status_detail, "currency_id": "BRL",
            "transaction_amount": float(self.amount), "transaction_amount_refunded": float(self.refunded),
            "payment_method_id": self.method, "external_reference": self.external_reference,
            "date_created": _iso(self.created), "date_approved": _iso(self.approved),
            "date_last_updated": _iso(self.updated), "date_of_expiration": _iso(self.expires),
            "money_release_date": _iso(self.approved + days if self.approved else None), "metadata": self.metadata,
            "transaction_details": details, "point_of_interaction": {"transaction_data": shown},
            "fee_details": [{"type": "mercadopago_fee", "amount": float(fee), "fee_payer": "collector"}],
        }  # fmt: skip


@dataclass(slots=True)
class MercadoPago:
    """The whole of it. `secret` signs the notifications; who calls the API shows `access_token`."""

    access_token: str
    secret: str
    queue: HookQueue
    clock: Clock
    #: Where its notifications go, but those of payments that name a URL of their own.
    hook_url: str = ""
    user_id: int = 44444
    #: As those of in-store QR codes are.
    unsigned: bool = False
    #: What the signature's moment counts.
    ts_in_ms: bool = False
    away: int | None = None
    payments: dict[str, Payment] = field(default_factory=dict)
    #: By the chargeback's number, the payment.
    chargebacks: dict[str, Payment] = field(default_factory=dict)
    #: By idempotency key: what was asked, and the answer.
    kept: dict[str, tuple[object, Any]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1_300_000_001))

    def add_payment(self, body: Mapping[str, Any]) -> Payment:
        if body.get("payment_method_id") not in _RELEASED:
            raise wrong("payment_method_id attribute can't be null or is unknown", 4050)
        if not body.get("payer", {}).get("email"):
            raise wrong("payer.email must be a valid email", 4050)
        if body["payment_method_id"] == "bolbradesco" and not body["payer"].get("address"):
            raise wrong("payer.address is required", 4050)
        if _money(body.get("transaction_amount")) < VALUE_MIN[body["payment_method_id"]]:
            raise wrong("transaction_amount is less than the method's min_allowed_amount", 4037)
        now = self.clock()
        expires = _moment(body.get("date_of_expiration")) or now + timedelta(days=1)
        if not timedelta() < expires - now <= timedelta(days=30):
            raise wrong("date_of_expiration must be a future date of the next 30 days", 4023)
        payment = Payment(
            next(self._numbers), _money(body.get("transaction_amount")), body["payment_method_id"], now, expires, now,
            body.get("external_reference"), body.get("metadata") or {}, body.get("notification_url"),
        )  # fmt: skip
        self.payments[str(payment.id)] = payment
        self.tell("payment.created", payment)
        return payment

    def find(self, payment_id: str) -> Payment:
        if payment_id not in self.payments:
            raise refusal(404, "not_found", "Payment not found", 2000)
        return self.payments[payment_id]

    def pay(self, payment_id: str, value: Decimal | None = None) -> Payment:
        payment = self._in(payment_id, _OPEN)
        if value is not None and value < payment.amount:
            raise wrong("nobody can pay less than what is asked for")
        payment.overpaid = (value or payment.amount) - payment.amount
        payment.approved = self.clock()
        return self._become(payment, "approved", "accredited")

    def reject(self, payment_id: str) -> Payment:
        return self._become(self._in(payment_id, _OPEN), "rejected", "rejected_by_bank")

    def cancel(self, payment_id: str) -> Payment:
        return self._become(self._in(payment_id, _OPEN), "cancelled", "by_collector")

    def expire(self, payment_id: str) -> Payment:
        return self._become(self._in(payment_id, _OPEN), "cancelled", "expired")

    def refund(self, payment_id: str, value: Decimal | None = None) -> Payment:
        payment = self._in(payment_id, {"approved"})
        left = payment.amount - payment.refunded
        if (value or left) > left:
            raise wrong("The amount is greater than what is left of the payment", 4040)
        payment.refunds.append(value or left)
        whole = payment.refunded == payment.amount
        return self._become(payment, *(("refunded", "refunded") if whole else ("approved", "partially_refunded")))

    def charge_back(self, payment_id: str) -> Payment:
        payment = self._become(self._in(payment_id, {"approved"}), "charged_back", "in_process")
        chargeback_id = str(next(self._numbers))
        self.chargebacks[chargeback_id] = payment
        self._tell("topic_chargebacks_wh", "created", chargeback_id, payment)
        return payment

    def close_chargeback(self, payment_id: str, status_detail: str) -> Payment:
        """`reimbursed` where we won, `settled` where we did not."""
        return self._become(self._in(payment_id, {"charged_back"}), "charged_back", status_detail)

    def tell(self, action: str, payment: Payment) -> None:
        self._tell("payment", action, str(payment.id), payment)

    def _tell(self, type_: str, action: str, data_id: str, payment: Payment) -> None:
        now, number = self.clock(), next(self._numbers)
        body = {
            "id": number, "live_mode": True, "type": type_, "date_created": _iso(now), "user_id": self.user_id,
            "api_version": "v1", "action": action, "data": {"id": data_id},
        }  # fmt: skip
        octets = json.dumps(body).encode()
        request_id, url = str(UUID(int=number)), payment.notification_url or self.hook_url
        event = Event(
            f"{number}:{action}", lambda at: (self._headers(data_id, request_id, at), octets),
            f"{url}{'&' if '?' in url else '?'}data.id={data_id}&type={type_}",
        )  # fmt: skip
        self.queue.put(event, now)

    def _headers(self, data_id: str, request_id: str, at: datetime) -> dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "MercadoPago WebHook v1.0 payment"}
        if self.unsigned:
            return headers
        ts = str(int(at.timestamp() * (1000 if self.ts_in_ms else 1)))
        signature = sign(self.secret, data_id, request_id, ts)
        return headers | {REQUEST_ID_HEADER: request_id, SIGNATURE_HEADER: f"ts={ts},v1={signature}"}

    def searched(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("range", "date_last_updated") != "date_last_updated":
            raise wrong("range is not simulated")
        reference, since = query.get("external_reference"), _moment(query.get("begin_date"))
        found = [
            one
            for one in self.payments.values()
            if reference in {None, one.external_reference} and (since is None or one.updated >= since)
        ]
        found.sort(key=lambda one: (one.updated, one.id), reverse=query.get("criteria") == "desc")
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 30))
        if limit > _LIMIT_MAX:
            raise wrong(f"limit must be at most {_LIMIT_MAX}")
        page = [one.shown() for one in found[offset : offset + limit]]
        return {"paging": {"total": len(found), "limit": limit, "offset": offset}, "results": page}

    def _become(self, payment: Payment, status: str, status_detail: str) -> Payment:
        payment.status, payment.status_detail, payment.updated = status, status_detail, self.clock()
        self.tell("payment.updated", payment)
        return payment

    def _in(self, payment_id: str, statuses: frozenset[str] | set[str]) -> Payment:
        payment = self.find(payment_id)
        if payment.status not in statuses:
            raise wrong("The action requested is not valid for the current payment state", 2063)
        return payment


def fee_of(amount: Decimal) -> Decimal:
    return round(amount * FEE_SHARE, 2)


def simulation(options: Options) -> Simulation:
    secret, access_token = options.secret or options.credential("secret"), options.credential("access_token")
    queue = HookQueue(POLICY, options.random)
    gateway = MercadoPago(access_token, secret, queue, options.clock, options.hook_url)
    shown = {"secret": secret, "access_token": access_token}
    return Simulation(app_of(gateway), queue, options.hook_url, credentials=shown)


def app_of(gateway: MercadoPago) -> Starlette:
    """Its API under /v1, and under /_simulate what its customers and its staff would do."""

    def path(path: str, answer: Callable[[MercadoPago, Request, Any], Any], *methods: str) -> Route:
        handler = api(gateway, lambda request: _admit(gateway, request), partial(answer, gateway))
        return Route(f"/v1/{path}", handler, methods=list(methods))

    return Starlette(
        routes=[
            path("payments", _create, "POST"),
            path("payments/search", _search, "GET"),
            path("payments/{id}", _payment, "GET", "PUT"),
            path("payments/{id}/refunds", _refund, "POST"),
            path("chargebacks/{id}", _chargeback, "GET"),
            *simulated_routes(gateway, partial(_act, gateway)),
        ]
    )


def _admit(gateway: MercadoPago, request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {gateway.access_token}":
        raise refusal(401, "unauthorized", "invalid access token")


def _create(gateway: MercadoPago, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    key = request.headers.get("x-idempotency-key")
    if not key:
        raise wrong("Header X-Idempotency-Key can't be null", 4292)
    asked, said = gateway.kept.get(key, (None, None))
    if asked is None:
        said = gateway.add_payment(body).shown()
        gateway.kept[key] = body, said
    elif asked != body:
        raise refusal(409, "conflict", "The idempotency key was used with another body")
    return JSONResponse(said, 201)


def _search(gateway: MercadoPago, request: Request, _: object) -> Any:  # noqa: ANN401
    return gateway.searched(request.query_params)


def _payment(gateway: MercadoPago, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    payment_id = request.path_params["id"]
    if request.method == "GET":
        return gateway.find(payment_id).shown()
    if body != {"status": "cancelled"}:
        raise wrong("only cancelling is simulated")
    return gateway.cancel(payment_id).shown()


def _refund(gateway: MercadoPago, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    value = _money(body["amount"]) if body.get("amount") is not None else None
    payment = gateway.refund(request.path_params["id"], value)
    return JSONResponse({"payment_id": payment.id, "amount": float(payment.refunds[-1]), "status": "approved"}, 201)


def _chargeback(gateway: MercadoPago, request: Request, _: object) -> Any:  # noqa: ANN401
    payment = gateway.chargebacks.get(request.path_params["id"])
    if payment is None:
        raise refusal(404, "not_found", "Chargeback not found")
    amount = float(payment.amount)
    return {"id": request.path_params["id"], "payments": [payment.id], "currency": "BRL", "amount": amount}


def _act(gateway: MercadoPago, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    payment_id = request.path_params["id"]
    value = _money(body["value"]) if "value" in body else None
    acts: dict[str, Callable[[], Payment]] = {
        "pay": lambda: gateway.pay(payment_id, value),
        "reject": lambda: gateway.reject(payment_id),
        "refund": lambda: gateway.refund(payment_id, value),
        "chargeback": lambda: gateway.charge_back(payment_id),
        "win-chargeback": lambda: gateway.close_chargeback(payment_id, "reimbursed"),
        "lose-chargeback": lambda: gateway.close_chargeback(payment_id, "settled"),
        "cancel": lambda: gateway.cancel(payment_id),
        "expire": lambda: gateway.expire(payment_id),
    }
    if request.path_params["what"] not in acts:
        raise refusal(404, "not_found", f"one of {', '.join(acts)}")
    return acts[request.path_params["what"]]().shown()


def _money(value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or amount != round(amount, 2):
        raise wrong("transaction_amount must be positive", 4037)
    return amount


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        raise wrong("not a date: yyyy-MM-dd'T'HH:mm:ss.SSSZ", 4023) from None


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(BRASILIA).isoformat(timespec="milliseconds") if at else None
