"""A simulated Iugu: invoices over its API v1, and the calls of its triggers (dev.iugu.com).

It refuses what the real one refuses, with `{"errors": …}`: a wrong token (401), an invoice that there is not (404), one
with something missing (422, by field), the same `Idempotency-Key` within a day (409), cancelling what is not open, and
giving back a boleto or a part of a Pix, which Iugu does for cards only (422).

A trigger's call that gets no 200 is repeated: the documents give no schedule, so ours is ten times within two days.

    POST /v1/invoices    GET /v1/invoices?…    GET /v1/invoices/{id}
    PUT /v1/invoices/{id}/{cancel|externally_pay}    POST /v1/invoices/{id}/refund
    POST /_simulate/charges/{id}/{pay|release|refund|protest|win|chargeback|expire|cancel}
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.simulators.codes import boleto_line, pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
POLICY: Final = Policy(
    pauses_s=(
        0, _MINUTE_S, 5 * _MINUTE_S, 15 * _MINUTE_S, 30 * _MINUTE_S, _HOUR_S, 3 * _HOUR_S, 6 * _HOUR_S, 12 * _HOUR_S,
        24 * _HOUR_S,
    ),
    success=lambda status: status == 200,
    timeout_s=10.0,
)  # fmt: skip
KEY_FORGOTTEN_AFTER: Final = timedelta(days=1)
VALUE_MIN: Final = 100
FEE_CENTS: Final = {"iugu_pix": 99, "iugu_bank_slip": 229, "iugu_credit_card": 251}
_METHODS: Final = {"pix": "iugu_pix", "bank_slip": "iugu_bank_slip", "credit_card": "iugu_credit_card"}
_PAYABLE: Final = frozenset({"pending", "partially_paid", "expired"})
_HELD: Final = frozenset({"paid", "partially_paid", "partially_refunded"})


def refusal(status: int, errors: object) -> Refused:
    return Refused(status, {"errors": errors})


def blank(name: str) -> Refused:
    return refusal(422, {name: ["não pode ficar em branco"]})


@dataclass(slots=True)
class Invoice:
    id: str
    wanted: Mapping[str, Any]
    total_cents: int
    due_date: date
    made_at: datetime
    updated_at: datetime
    status: str = "pending"
    paid_cents: int = 0
    refunded_cents: int = 0
    late_cents: int = 0
    method: str | None = None
    paid_at: datetime | None = None
    protested_at: datetime | None = None
    #: The day on which the money is there, and whether it is.
    return_date: date | None = None
    released: bool = False

    def shown(self) -> dict[str, Any]:
        line = boleto_line("401", int(self.id[:16], 16), self.total_cents, self.due_date)
        secure_url = f"https://faturas.iugu.com/{self.id.lower()}"
        return {
            "id": self.id, "due_date": self.due_date.isoformat(), "currency": "BRL", "email": self.wanted["email"],
            "items_total_cents": self.total_cents, "status": self.status, "total_cents": self.total_cents,
            "total_paid_cents": self.paid_cents, "paid_cents": self.paid_cents or None,
            "taxes_paid_cents": FEE_CENTS.get(self.method or "") if self.paid_cents else None,
            "refunded_cents": self.refunded_cents, "discount_cents": None, "commission_cents": None,
            "fines_on_occurrence_day_cents": self.late_cents or None, "paid_at": _iso(self.paid_at),
            "early_payment_discounts": self.wanted.get("early_payment_discounts", []),
            "financial_return_dates": self._returns(), "payment_method": self.method,
            "created_at_iso": _iso(self.made_at), "updated_at": _iso(self.updated_at),
            "protested_at": _iso(self.protested_at), "order_id": self.wanted.get("order_id"),
            "external_reference": self.wanted.get("external_reference"), "secure_url": secure_url,
            "pix": {"qrcode": f"{secure_url}/qr", "qrcode_text": pix_code(f"qr.iugu.com/public/v2/cobv/{self.id}")},
            "bank_slip": {"digitable_line": line, "barcode": f"{secure_url}/barcode"},
        }  # fmt: skip

    def said(self) -> dict[str, str]:
        """What a trigger says of it: all values are text."""
        values = {
            "id": self.id, "status": self.status, "account_id": "70CA234077134ED0BF2E0E46B0EDC36F",
            "payment_method": self.method, "paid_at": _iso(self.paid_at), "paid_cents": self.paid_cents or None,
            "order_id": self.wanted.get("order_id"), "external_reference": self.wanted.get("external_reference"),
        }  # fmt: skip
        return {f"data[{name}]": str(value) for name, value in values.items() if value is not None}

    def late_on(self, day: date) -> int:
        """Fine and interest."""
        days = (day - self.due_date).days
        if days <= 0 or not self.wanted.get("fines"):
            return 0
        percent = Decimal(str(self.wanted.get("late_payment_fine", 0)))
        fine = self.wanted.get("late_payment_fine_cents", int(self.total_cents * percent / 100))
        daily = Decimal(str(self.wanted.get("per_day_interest_value", 0)))
        return int(fine) + int(self.total_cents * daily * days / 100)

    def asked_on(self, day: date) -> int:
        """What pays it whole: the total, less than that for who pays early."""
        early_days = (self.due_date - day).days
        kept = [one for one in self.wanted.get("early_payment_discounts", []) if one["days"] <= early_days]
        let_off = (one.get("value_cents") or self.total_cents * one.get("percent", 0) // 100 for one in kept)
        return self.total_cents - max(let_off, default=0)

    def _returns(self) -> list[dict[str, Any]] | None:
        if self.return_date is None:
            return None
        status = "done" if self.released else "pending"
        return [{"installment": 1, "return_date": self.return_date.isoformat(), "status": status}]


@dataclass(slots=True)
class Iugu:
    """The whole of it. Each trigger's call bears `authorization`; who calls the API shows `api_token`."""

    api_token: str
    authorization: str
    queue: HookQueue
    clock: Clock
    away: int | None = None
    invoices: dict[str, Invoice] = field(default_factory=dict)
    #: When each idempotency key was used.
    keys: dict[str, datetime] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def today(self) -> date:
        return self.clock().astimezone(BRASILIA).date()

    def add(self, body: Mapping[str, Any], key: str | None = None) -> Invoice:
        total_cents, due_date = _checked(body, self.today())
        self._use(key)
        now = self.clock()
        number = hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:32].upper()
        invoice = self.invoices[number] = Invoice(number, body, total_cents, due_date, now, now)
        self.tell("invoice.created", invoice)
        self.tell("invoice.status_changed", invoice)
        return invoice

    def find(self, invoice_id: str) -> Invoice:
        if invoice_id not in self.invoices:
            raise refusal(404, "Invoice Not Found")
        return self.invoices[invoice_id]

    def cancel(self, invoice_id: str) -> Invoice:
        return self._move(self._in(invoice_id, {"pending", "expired"}), "canceled")

    def expire(self, invoice_id: str) -> Invoice:
        return self._move(self._in(invoice_id, {"pending"}), "expired")

    def externally_pay(self, invoice_id: str) -> Invoice:
        return self._move(self._in(invoice_id, {"pending"}), "externally_paid")

    def pay(self, invoice_id: str, value: int | None = None, method: str = "pix") -> Invoice:
        """Less than what is asked for pays it in part; the rest may follow."""
        invoice, now = self._in(invoice_id, _PAYABLE), self.clock()
        invoice.late_cents = invoice.late_on(self.today())
        asked_cents = invoice.asked_on(self.today()) + invoice.late_cents
        invoice.paid_cents += asked_cents if value is None else value
        invoice.paid_at, invoice.method = now, _METHODS[method]
        invoice.return_date = self.today() + timedelta(days=1)
        whole = invoice.paid_cents >= invoice.asked_on(self.today())
        return self._move(invoice, "paid" if whole else "partially_paid")

    def release(self, invoice_id: str) -> Invoice:
        """The money is there."""
        invoice = self._in(invoice_id, _HELD)
        invoice.released, invoice.return_date, invoice.updated_at = True, self.today(), self.clock()
        self.tell("invoice.released", invoice)
        return invoice

    def refund(self, invoice_id: str, value: int | None = None) -> Invoice:
        invoice = self._in(invoice_id, _HELD)
        left = invoice.paid_cents - invoice.refunded_cents
        if invoice.method == "iugu_bank_slip":
            raise refusal(422, {"base": ["fatura paga com boleto não pode ser reembolsada"]})
        if value is not None and (invoice.method != "iugu_credit_card" or not 0 < value <= left):
            raise refusal(422, {"partial_value_refund_cents": ["não é permitido para esta fatura"]})
        invoice.refunded_cents += left if value is None else value
        whole = invoice.refunded_cents == invoice.paid_cents
        self._move(invoice, "refunded" if whole else "partially_refunded")
        self.tell("invoice.refund", invoice)
        return invoice

    def protest(self, invoice_id: str) -> Invoice:
        """The card's holder does not recognise it."""
        invoice = self._in(invoice_id, {"paid"})
        invoice.protested_at = self.clock()
        return self._move(invoice, "in_protest")

    def win(self, invoice_id: str) -> Invoice:
        return self._move(self._in(invoice_id, {"in_protest"}), "paid")

    def chargeback(self, invoice_id: str) -> Invoice:
        return self._move(self._in(invoice_id, {"paid", "in_protest"}), "chargeback")

    def tell(self, name: str, invoice: Invoice) -> None:
        """The invoice as it is now. A call has no id of its own; ours is for who looks at the deliveries."""
        body = urlencode({"event": name, **invoice.said()}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": self.authorization}
        self.queue.put(Event(f"{name} {invoice.id} {invoice.status}", lambda _: (headers, body)), self.clock())

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        found = [one for one in self.invoices.values() if _matches(one, query)]
        start, limit = int(query.get("start", 0)), min(int(query.get("limit", 100)), 100)
        return {
            "facets": {}, "totalItems": len(found), "items": [one.shown() for one in found[start : start + limit]],
        }  # fmt: skip

    def _use(self, key: str | None) -> None:
        if key is None:
            return
        used_at = self.keys.get(key)
        if used_at is not None and self.clock() < used_at + KEY_FORGOTTEN_AFTER:
            raise refusal(409, "Idempotency-Key já utilizada")
        self.keys[key] = self.clock()

    def _move(self, invoice: Invoice, status: str) -> Invoice:
        invoice.status, invoice.updated_at = status, self.clock()
        self.tell("invoice.status_changed", invoice)
        return invoice

    def _in(self, invoice_id: str, statuses: frozenset[str] | set[str]) -> Invoice:
        invoice = self.find(invoice_id)
        if invoice.status not in statuses:
            raise refusal(422, {"base": [f"a fatura está {invoice.status}"]})
        return invoice


def simulation(options: Options) -> Simulation:
    secret, api_token = options.secret or options.credential("secret"), options.credential("api_token")
    queue = HookQueue(POLICY, options.random)
    gateway = Iugu(api_token, secret, queue, options.clock)
    shown = {"secret": secret, "api_token": api_token}
    return Simulation(app_of(gateway), queue, options.hook_url, "/v1", shown)


def app_of(gateway: Iugu) -> Starlette:
    """Its API under /v1, and under /_simulate what its customers and its staff would do."""

    def path(path: str, answer: Callable[[Iugu, Request, Any], Any], *methods: str) -> Route:
        handler = api(gateway, lambda request: _admit(gateway, request), partial(answer, gateway))
        return Route(f"/v1/{path}", handler, methods=list(methods))

    return Starlette(
        routes=[
            path("invoices", _invoices, "GET", "POST"),
            path("invoices/{id}", lambda gateway, request, _: gateway.find(request.path_params["id"]).shown(), "GET"),
            path("invoices/{id}/{what}", _update, "PUT", "POST"),
            *simulated_routes(gateway, partial(_act, gateway)),
        ]
    )


def _admit(gateway: Iugu, request: Request) -> None:
    wanted = f"Basic {base64.b64encode(f'{gateway.api_token}:'.encode()).decode()}"
    if request.headers.get("authorization") != wanted:
        raise refusal(401, "Unauthorized")


def _invoices(gateway: Iugu, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    if request.method == "POST":
        return gateway.add(body, request.headers.get("idempotency-key")).shown()
    return gateway.listed(request.query_params)


def _update(gateway: Iugu, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    invoice_id = request.path_params["id"]
    match request.method, request.path_params["what"]:
        case "PUT", "cancel":
            return gateway.cancel(invoice_id).shown()
        case "PUT", "externally_pay":
            return gateway.externally_pay(invoice_id).shown()
        case "POST", "refund":
            return gateway.refund(invoice_id, body.get("partial_value_refund_cents")).shown()
    raise refusal(404, "Not Found")


def _act(gateway: Iugu, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    """`pay` with a value below the total pays in part."""
    invoice_id = request.path_params["id"]
    acts: dict[str, Callable[[], Invoice]] = {
        "pay": lambda: gateway.pay(invoice_id, body.get("value"), body.get("method", "pix")),
        "release": lambda: gateway.release(invoice_id),
        "refund": lambda: gateway.refund(invoice_id, body.get("value")),
        "protest": lambda: gateway.protest(invoice_id),
        "win": lambda: gateway.win(invoice_id),
        "chargeback": lambda: gateway.chargeback(invoice_id),
        "expire": lambda: gateway.expire(invoice_id),
        "cancel": lambda: gateway.cancel(invoice_id),
    }
    if request.path_params["what"] not in acts:
        raise refusal(404, f"one of {', '.join(acts)}")
    return acts[request.path_params["what"]]().shown()


def _checked(body: Mapping[str, Any], today: date) -> tuple[int, date]:
    """(total, due date)"""
    if not body.get("email"):
        raise blank("email")
    payer = body.get("payer") or {}
    for name in ("name", "cpf_cnpj"):
        if not payer.get(name):
            raise blank(f"payer.{name}")
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise blank("items")
    if not all(isinstance(one, dict) and one.get("description") for one in items):
        raise blank("items.description")
    cents = [one.get("price_cents") for one in items]
    if not all(type(one) is int for one in cents) or sum(cents) < VALUE_MIN:
        raise refusal(422, {"total": [f"deve ser maior ou igual a {VALUE_MIN} centavos"]})
    due_date = _date(body.get("due_date"))
    if due_date < today:
        raise refusal(422, {"due_date": ["não pode ser no passado"]})
    if body.get("per_day_interest") and not body.get("fines"):
        raise refusal(422, {"per_day_interest": ["só pode ser usado com fines"]})
    return sum(one["price_cents"] * one.get("quantity", 1) for one in items), due_date


def _matches(invoice: Invoice, query: Mapping[str, str]) -> bool:
    if query.get("status_filter", invoice.status) != invoice.status:
        return False
    if "query" in query and query["query"] not in f"{invoice.wanted.get('external_reference')} {invoice.id}":
        return False
    if "paid_at_from" in query:
        return invoice.paid_at is not None and invoice.paid_at >= datetime.fromisoformat(query["paid_at_from"])
    return True


def _date(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise refusal(422, {"due_date": ["não é uma data válida"]}) from None


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(BRASILIA).isoformat(timespec="seconds") if at else None
