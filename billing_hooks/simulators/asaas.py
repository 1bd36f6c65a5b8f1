"""A simulated Asaas: customers, charges and webhooks over its API v3, and its events (docs.asaas.com).

It refuses what the real one refuses: a missing or wrong `access_token` (401), no User-Agent (403), an unknown customer,
a value below R$ 5,00, a due date in the past (400, `{"errors": [{"code", "description"}]}`), an unknown charge (404). A
webhook is tried 15 times over some eleven hours; then its queue is interrupted until somebody resumes it.

    GET/POST /v3/customers                      POST /v3/payments          GET /v3/payments?…    GET /v3/payments/{id}
    GET /v3/payments/{id}/pixQrCode, /identificationField                  DELETE /v3/payments/{id}
    POST /v3/payments/{id}/receiveInCash, /undoReceivedInCash, /refund     GET /v3/webhooks, PUT /v3/webhooks/{id}
    POST /_simulate/charges/{id}/{pay|settle|overdue|refund|chargeback|win-chargeback}
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.simulators.codes import boleto_line, pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

_HOUR_S: Final = 3600
#: docs.asaas.com, "Fila pausada": 15 tries, then the queue of this webhook stops.
POLICY: Final = Policy(
    pauses_s=(0, 30, 60, 210, 300, 900, 1500, *(_HOUR_S,) * 7, 3 * _HOUR_S),
    success=lambda status: status == 200,
    timeout_s=10.0,
    sequential=True,
    pauses_queue=True,
)
VALUE_MIN: Final = 5
FEE: Final = {"PIX": Decimal("1.99"), "BOLETO": Decimal("1.99")}
_PAYABLE: Final = frozenset({"PENDING", "OVERDUE"})


def refusal(status: int, code: str, description: str) -> Refused:
    return Refused(status, {"errors": [{"code": code, "description": description}]})


@dataclass(slots=True)
class Payment:
    id: str
    customer: str
    value: Decimal
    due_date: date
    external_reference: str | None
    description: str | None
    billing_type: str = "UNDEFINED"
    status: str = "PENDING"
    original_value: Decimal | None = None
    interest_value: Decimal | None = None
    paid_on: date | None = None
    settled_on: date | None = None
    deleted: bool = False
    discount: Mapping[str, Any] = field(default_factory=lambda: {"value": 0, "dueDateLimitDays": 0, "type": "FIXED"})
    refunds: list[tuple[Decimal, str]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {
            "object": "payment", "id": self.id, "customer": self.customer, "value": float(self.value),
            "netValue": float(self.value - FEE.get(self.billing_type, Decimal(0))),
            "originalValue": _float(self.original_value), "interestValue": _float(self.interest_value),
            "billingType": self.billing_type, "status": self.status, "dueDate": self.due_date.isoformat(),
            "originalDueDate": self.due_date.isoformat(), "externalReference": self.external_reference,
            "description": self.description, "paymentDate": _iso(self.settled_on),
            "clientPaymentDate": _iso(self.paid_on), "confirmedDate": _iso(self.paid_on),
            "creditDate": _iso(self.settled_on), "invoiceUrl": f"https://sandbox.asaas.com/i/{self.id[4:]}",
            "discount": self.discount, "deleted": self.deleted,
            "refunds": [{"value": float(value), "status": status} for value, status in self.refunds] or None,
        }  # fmt: skip

    def asked_on(self, day: date) -> Decimal:
        """Less its discount for who pays early; fine and interest are not reckoned."""
        early = (self.due_date - day).days >= self.discount["dueDateLimitDays"]
        return self.value - Decimal(str(self.discount["value"])) if early else self.value


@dataclass(slots=True)
class Asaas:
    """The whole of it. `auth_token` comes with each webhook; who calls the API shows `api_key`."""

    api_key: str
    auth_token: str
    queue: HookQueue
    clock: Clock
    hook_url: str = ""
    away: int | None = None
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def today(self) -> date:
        return self.clock().astimezone(BRASILIA).date()

    def add_customer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if not body.get("name") or not body.get("cpfCnpj"):
            raise refusal(400, "invalid_object", "O campo name e o campo cpfCnpj devem ser informados.")
        customer = {**body, "object": "customer", "id": f"cus_{next(self._numbers):012d}"}
        self.customers[customer["id"]] = customer
        return customer

    def add_payment(self, body: Mapping[str, Any]) -> Payment:
        if body.get("customer") not in self.customers:
            raise refusal(400, "invalid_customer", "Customer inválido ou não informado.")
        value, due_date = _money(body.get("value"), "value"), _date(body.get("dueDate"))
        discount = _discount(body)
        if value - Decimal(str(discount["value"])) < VALUE_MIN:
            raise refusal(400, "invalid_value", f"O valor da cobrança não pode ser menor que R$ {VALUE_MIN},00.")
        if due_date < self.today():
            raise refusal(400, "invalid_dueDate", "Não é permitido data de vencimento inferior a hoje.")
        payment = Payment(
            f"pay_{next(self._numbers):016d}", body["customer"], value, due_date, body.get("externalReference"),
            body.get("description"), body.get("billingType", "UNDEFINED"), discount=discount,
        )  # fmt: skip
        self.payments[payment.id] = payment
        self.tell("PAYMENT_CREATED", payment)
        return payment

    def find(self, payment_id: str) -> Payment:
        if payment_id not in self.payments:
            raise refusal(404, "not_found", "Cobrança não encontrada.")
        return self.payments[payment_id]

    def delete(self, payment_id: str) -> Payment:
        payment = self._payable(payment_id)
        payment.deleted = True
        self.tell("PAYMENT_DELETED", payment)
        return payment

    def pay(self, payment_id: str, method: str = "PIX", amount: Decimal | None = None) -> Payment:
        """A Pix is there at once; a boleto or card is confirmed, and settled later."""
        payment = self._payable(payment_id)
        paid = payment.asked_on(self.today()) if amount is None else amount
        if paid != payment.value:
            payment.original_value, payment.value = payment.value, paid
        payment.billing_type, payment.paid_on = method, self.today()
        payment.status = "CONFIRMED"
        if method == "PIX":
            return self.settle(payment_id)
        self.tell("PAYMENT_CONFIRMED", payment)
        return payment

    def settle(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, {"CONFIRMED"})
        payment.status, payment.settled_on = "RECEIVED", self.today()
        self.tell("PAYMENT_RECEIVED", payment)
        return payment

    def receive_in_cash(self, payment_id: str, value: Decimal | None = None) -> Payment:
        payment = self._payable(payment_id)
        payment.status, payment.paid_on, payment.settled_on = "RECEIVED_IN_CASH", self.today(), self.today()
        payment.value = value or payment.value
        self.tell("PAYMENT_RECEIVED", payment)
        return payment

    def undo_cash(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, {"RECEIVED_IN_CASH"})
        payment.status, payment.paid_on, payment.settled_on = self._unpaid_status(payment), None, None
        self.tell("PAYMENT_RECEIVED_IN_CASH_UNDONE", payment)
        return payment

    def overdue(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, {"PENDING"})
        payment.status = "OVERDUE"
        self.tell("PAYMENT_OVERDUE", payment)
        return payment

    def refund(self, payment_id: str, value: Decimal | None = None) -> Payment:
        payment = self._in(payment_id, {"CONFIRMED", "RECEIVED"})
        given_back = sum((part for part, _ in payment.refunds), Decimal(0)) + (value or payment.value)
        if given_back > payment.value:
            raise refusal(400, "invalid_action", "O valor do estorno é maior que o valor da cobrança.")
        payment.refunds.append((value or payment.value, "DONE"))
        whole = given_back == payment.value
        payment.status = "REFUNDED" if whole else payment.status
        self.tell("PAYMENT_REFUNDED" if whole else "PAYMENT_PARTIALLY_REFUNDED", payment)
        return payment

    def chargeback(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, {"CONFIRMED", "RECEIVED"})
        payment.status = "CHARGEBACK_REQUESTED"
        self.tell("PAYMENT_CHARGEBACK_REQUESTED", payment)
        return payment

    def win_chargeback(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, {"CHARGEBACK_REQUESTED"})
        payment.status = "AWAITING_CHARGEBACK_REVERSAL"
        self.tell("PAYMENT_AWAITING_CHARGEBACK_REVERSAL", payment)
        return payment

    def tell(self, name: str, payment: Payment) -> None:
        """The payment as it is now; its id is the same whenever this event is told again."""
        now = self.clock()
        event_id = f"evt_{payment.id[4:]}&{next(self._numbers)}"
        body = {
            "id": event_id, "event": name, "dateCreated": f"{now.astimezone(BRASILIA):%Y-%m-%d %H:%M:%S}",
            "payment": payment.shown(),
        }  # fmt: skip
        octets = json.dumps(body).encode()
        headers = {"content-type": "application/json", "asaas-access-token": self.auth_token, "user-agent": "Java"}
        self.queue.put(Event(event_id, lambda _: (headers, octets)), now)

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = [payment for payment in self.payments.values() if _matches(payment, query)]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 10)), 100)
        page = wanted[offset : offset + limit]
        return {
            "object": "list", "hasMore": offset + limit < len(wanted), "totalCount": len(wanted), "limit": limit,
            "offset": offset, "data": [payment.shown() for payment in page],
        }  # fmt: skip

    def webhook(self) -> dict[str, Any]:
        failed = sum(len(one.answers) for one in self.queue.sendings if not one.done)
        return {
            "id": "hook-1", "url": self.hook_url, "enabled": True, "interrupted": self.queue.interrupted,
            "sendType": "SEQUENTIALLY", "hasAuthToken": True, "penalizedRequestsCount": failed,
        }  # fmt: skip

    def _payable(self, payment_id: str) -> Payment:
        payment = self._in(payment_id, _PAYABLE)
        if payment.deleted:
            raise refusal(400, "invalid_action", "A cobrança foi removida.")
        return payment

    def _in(self, payment_id: str, statuses: frozenset[str] | set[str]) -> Payment:
        payment = self.find(payment_id)
        if payment.status not in statuses:
            raise refusal(400, "invalid_action", f"A cobrança está {payment.status}.")
        return payment

    def _unpaid_status(self, payment: Payment) -> str:
        return "OVERDUE" if payment.due_date < self.today() else "PENDING"


def simulation(options: Options) -> Simulation:
    secret, api_key = options.secret or options.credential("secret"), options.credential("api_key")
    queue = HookQueue(POLICY, options.random)
    gateway = Asaas(api_key, secret, queue, options.clock, options.hook_url)
    shown = {"secret": secret, "api_key": api_key}
    return Simulation(app_of(gateway), queue, options.hook_url, "/v3", shown)


def app_of(gateway: Asaas) -> Starlette:
    """Its API under /v3, and under /_simulate what its customers and its staff would do."""

    def path(path: str, answer: Callable[[Asaas, Request, Any], Any], *methods: str) -> Route:
        handler = api(gateway, lambda request: _admit(gateway, request), partial(answer, gateway))
        return Route(f"/v3/{path}", handler, methods=list(methods))

    return Starlette(
        routes=[
            path("customers", _customers, "GET", "POST"),
            path("payments", _payments, "GET", "POST"),
            path("payments/{id}", _payment, "GET", "DELETE"),
            path("payments/{id}/{part}", _part, "GET", "POST"),
            path("webhooks", _webhooks, "GET"),
            path("webhooks/{id}", _webhook, "PUT"),
            *simulated_routes(gateway, partial(_act, gateway)),
        ]
    )


def _admit(gateway: Asaas, request: Request) -> None:
    if request.headers.get("access_token") != gateway.api_key:
        raise refusal(401, "invalid_access_token", "A chave de API fornecida é inválida")
    if not request.headers.get("user-agent"):
        raise refusal(403, "user_agent_not_informed", "É obrigatório informar o header User-Agent.")


def _customers(gateway: Asaas, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    if request.method == "POST":
        return gateway.add_customer(body)
    document = request.query_params.get("cpfCnpj")
    found = [one for one in gateway.customers.values() if document in {None, one["cpfCnpj"]}]
    return {"object": "list", "hasMore": False, "totalCount": len(found), "limit": 100, "offset": 0, "data": found}


def _payments(gateway: Asaas, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    return gateway.add_payment(body).shown() if request.method == "POST" else gateway.listed(request.query_params)


def _payment(gateway: Asaas, request: Request, _: dict[str, Any]) -> Any:  # noqa: ANN401
    if request.method == "DELETE":
        return {"deleted": True, "id": gateway.delete(request.path_params["id"]).id}
    return gateway.find(request.path_params["id"]).shown()


def _part(gateway: Asaas, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    payment = gateway.find(request.path_params["id"])
    value = _money(body["value"], "value") if "value" in body else None
    match request.method, request.path_params["part"]:
        case "GET", "pixQrCode":
            return {
                "encodedImage": "",
                "payload": pix_code(f"pix.asaas.com/qr/cobv/{payment.id}"),
                "expirationDate": None,
            }
        case "GET", "identificationField":
            line = boleto_line("461", payment.id[4:], int(payment.value * 100), payment.due_date)
            return {"identificationField": line, "nossoNumero": payment.id[-8:]}
        case "POST", "receiveInCash":
            return gateway.receive_in_cash(payment.id, value).shown()
        case "POST", "undoReceivedInCash":
            return gateway.undo_cash(payment.id).shown()
        case "POST", "refund":
            return gateway.refund(payment.id, value).shown()
    raise refusal(404, "not_found", "Não encontrado.")


def _webhooks(gateway: Asaas, _: Request, __: dict[str, Any]) -> Any:  # noqa: ANN401
    return {"object": "list", "hasMore": False, "totalCount": 1, "limit": 10, "offset": 0, "data": [gateway.webhook()]}


def _webhook(gateway: Asaas, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    if request.path_params["id"] != "hook-1":
        raise refusal(404, "not_found", "Webhook não encontrado.")
    if body.get("interrupted") is False:
        gateway.queue.resume(gateway.clock())
    return gateway.webhook()


def _act(gateway: Asaas, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    payment_id = request.path_params["id"]
    value = _money(body["value"], "value") if "value" in body else None
    acts: dict[str, Callable[[], Payment]] = {
        "pay": lambda: gateway.pay(payment_id, body.get("method", "PIX"), value),
        "settle": lambda: gateway.settle(payment_id),
        "overdue": lambda: gateway.overdue(payment_id),
        "refund": lambda: gateway.refund(payment_id, value),
        "chargeback": lambda: gateway.chargeback(payment_id),
        "win-chargeback": lambda: gateway.win_chargeback(payment_id),
    }
    if request.path_params["what"] not in acts:
        raise refusal(404, "not_found", f"one of {', '.join(acts)}")
    return acts[request.path_params["what"]]().shown()


def _matches(payment: Payment, query: Mapping[str, str]) -> bool:
    for name, value in query.items():
        if name == "externalReference" and payment.external_reference != value:
            return False
        if name == "status" and payment.status != value:
            return False
        if name == "paymentDate[ge]" and (payment.paid_on is None or payment.paid_on.isoformat() < value):
            return False
    return True


def _discount(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("discount") or {}
    days, type_ = given.get("dueDateLimitDays", 0), given.get("type", "FIXED")
    if type(days) is not int or days < 0 or type_ != "FIXED":
        raise refusal(400, "invalid_discount", "O desconto informado é inválido.")
    return {"value": given.get("value", 0), "dueDateLimitDays": days, "type": type_}


def _money(value: object, field_name: str) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or amount != round(amount, 2):
        raise refusal(400, f"invalid_{field_name}", f"O campo {field_name} deve ser informado e maior que zero.")
    return amount


def _date(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise refusal(400, "invalid_dueDate", "A data de vencimento deve ser informada.") from None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _float(value: Decimal | None) -> float | None:
    return float(value) if value is not None else None
