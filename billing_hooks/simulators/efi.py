"""A simulated Efí Cobranças: boletos over its API v1, and notifications (dev.efipay.com.br, "API Cobranças").

It refuses what the real one refuses, with `{"code", "error", "error_description"}`: wrong credentials and a token that
has ended (401), an order with something missing or out of bounds (400, 3500034), a charge that there is not (404,
3500010), and cancelling or marking as paid what is final (400, 3500043 and 3500038). The HTTP statuses and the names in
`error` are not in the documents and are our choice.

A notification counts as received when somebody asks for its token, whatever status its URL gave. Until then it is sent
again for three days ("throughout the day": the pauses are our choice); then the URL is disabled, until somebody enables
it (`POST /_simulate/resume`).

    POST /v1/authorize                 POST /v1/charge/one-step            GET /v1/charges?…
    GET /v1/charge/{id}                PUT /v1/charge/{id}/{cancel|settle|metadata}
    GET /v1/notification/{token}
    POST /_simulate/charges/{id}/{pay|identify|settle|refund|contest|win|cancel|expire|unpaid}
"""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.invoicing.boleto_line import written
from billing_hooks.simulators.codes import boleto_line, pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

_HOUR_S: Final = 3600
POLICY: Final = Policy(
    pauses_s=(0, 600, 1800, _HOUR_S, 3 * _HOUR_S, *(6 * _HOUR_S,) * 11),
    success=lambda _: False,
    timeout_s=10.0,
    pauses_queue=True,
)
TOKEN_ENDS_AFTER: Final = timedelta(seconds=600)
#: Bounds of an order: fine in hundredths, interest in thousandths of a percent; the value of a boleto in cents.
FINE_MAX, INTEREST_MAX, VALUE_MIN, TEXT_MAX = 1000, 330, 500, 255
_UNPAID: Final = frozenset({"waiting", "unpaid"})
_CANCELLABLE: Final = frozenset({"new", "link", "waiting", "unpaid"})
#: Who printed a boleto before it was cancelled can pay it all the same.
_PAYABLE: Final = frozenset({"waiting", "unpaid", "identified", "canceled", "settled"})
_KINDS: Final = frozenset({"billet", "card", "carnet", "subscription"})


def refusal(status: int, code: int, error: str, description: object) -> Refused:
    return Refused(status, {"code": code, "error": error, "error_description": description})


def invalid(place: str, message: str) -> Refused:
    return refusal(400, 3500034, "validation_error", {"property": place, "message": message})


@dataclass(slots=True)
class Charge:
    id: int
    token: str
    total: int
    items: list[dict[str, Any]]
    billet: dict[str, Any]
    created_at: datetime
    custom_id: str | None = None
    notification_url: str | None = None
    status: str = "new"
    paid_value: int | None = None
    paid_on: date | None = None
    #: The history of its notification, and the one in words.
    changes: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, str]] = field(default_factory=list)

    def made(self) -> dict[str, Any]:
        return {**self._payable(), "charge_id": self.id, "status": self.status, "total": self.total,
                "payment": "banking_billet"}  # fmt: skip

    def details(self) -> dict[str, Any]:
        paid = {} if self.paid_value is None else {"paid_value": self.paid_value}
        return {
            "charge_id": self.id, "total": self.total, "status": self.status, "custom_id": self.custom_id,
            "created_at": _written(self.created_at), "notification_url": self.notification_url, "items": self.items,
            "history": self.lines, "customer": self.billet["customer"], **paid,
            "payment": {
                "method": "banking_billet", "created_at": _written(self.created_at),
                "message": self.billet.get("message"),
                "banking_billet": {**self._payable(), **self._terms()},
            },
        }  # fmt: skip

    def listed(self) -> dict[str, Any]:
        """Without the day of payment: the real one mostly leaves it out."""
        paid = {} if self.paid_value is None else {"paid_value": self.paid_value}
        return {
            "id": self.id, "total": self.total, "status": self.status, "custom_id": self.custom_id,
            "created_at": _written(self.created_at), "customer": self.billet["customer"],
            "payment": {
                "payment_method": "banking_billet", **paid,
                "banking_billet": {"expire_at": f"{self.billet['expire_at']}T15:00:00.000Z"},
            },
        }  # fmt: skip

    def _payable(self) -> dict[str, Any]:
        due_date = date.fromisoformat(self.billet["expire_at"])
        link = f"https://visualizacao.gerencianet.com.br/emissao/{self.id}"
        return {
            "barcode": written(boleto_line("364", self.id, self.total, due_date)), "link": link,
            "billet_link": link, "pdf": {"charge": f"{link}.pdf"}, "expire_at": self.billet["expire_at"],
            "pix": {"qrcode": pix_code(f"qrcodespix.sejaefi.com.br/v2/{self.token}"), "qrcode_image": "data:,"},
        }  # fmt: skip

    def asked_on(self, day: date) -> int:
        """Less its discount for who pays early; fine and interest are not reckoned."""
        promised = self.billet.get("conditional_discount")
        if promised is None or day > date.fromisoformat(promised["until_date"]):
            return self.total
        is_amount = promised["type"] == "currency"
        return self.total - int(promised["value"] if is_amount else self.total * promised["value"] // 10_000)

    def _terms(self) -> dict[str, Any]:
        terms = self.billet.get("configurations", {})
        conditional = self.billet.get("conditional_discount")
        return {
            "configurations": {"interest_type": "daily", **terms},
            **({"conditional_discount": conditional} if conditional else {}),
        }


@dataclass(slots=True)
class Efi:
    """The whole of it. `tokens` are those for the API and when each ends; `hook_url` takes the place of the charges'
    own URLs, for a desk that these do not reach."""

    client_id: str
    client_secret: str
    queue: HookQueue
    clock: Clock
    hook_url: str | None = None
    away: int | None = None
    charges: dict[int, Charge] = field(default_factory=dict)
    tokens: dict[str, datetime] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def authorize(self) -> dict[str, Any]:
        token = f"bearer-{next(self._numbers)}"
        self.tokens[token] = self.clock() + TOKEN_ENDS_AFTER
        expires_in = int(TOKEN_ENDS_AFTER.total_seconds())
        return {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}

    def add_charge(self, body: Mapping[str, Any]) -> Charge:
        items, billet, metadata = _items(body), _billet(body, self.today()), body.get("metadata") or {}
        _check_metadata(metadata)
        number = next(self._numbers)
        charge = Charge(
            number, str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
            sum(item["value"] * item.get("amount", 1) for item in items), items, billet, self.clock(),
            metadata.get("custom_id"), metadata.get("notification_url"),
        )  # fmt: skip
        if charge.total < VALUE_MIN:
            raise invalid("/items", f"O valor mínimo de um boleto é {VALUE_MIN} centavos.")
        self.charges[number] = charge
        self._change(charge, "new", "Cobrança criada")
        self._change(charge, "waiting", "Pagamento via boleto aguardando confirmação")
        return charge

    def today(self) -> date:
        return self.clock().astimezone(BRASILIA).date()

    def find(self, charge_id: str) -> Charge:
        charge = self.charges.get(int(charge_id)) if charge_id.isdigit() else None
        if charge is None:
            raise refusal(404, 3500010, "property_does_not_exists", "A propriedade [charge_id] informada não existe.")
        return charge

    def cancel(self, charge_id: str) -> Charge:
        charge = self.find(charge_id)
        if charge.status not in _CANCELLABLE:
            raise refusal(
                400, 3500043, "invalid_charge_status",
                "Apenas transações com status [new],[link],[waiting] ou [unpaid] podem ser canceladas.",
            )  # fmt: skip
        return self._change(charge, "canceled", "Cobrança cancelada")

    def settle(self, charge_id: str) -> Charge:
        """By hand: no value is told of it."""
        charge = self._in(charge_id, _UNPAID)
        return self._change(charge, "settled", "Cobrança marcada como paga")

    def pay(self, charge_id: str, value: int | None = None, paid_on: date | None = None) -> Charge:
        """At the bank; `paid_on` is the day that the bank says."""
        charge = self._in(charge_id, _PAYABLE)
        charge.paid_on = paid_on or self.today()
        charge.paid_value = charge.asked_on(charge.paid_on) if value is None else value
        told = {"value": charge.paid_value, "received_by_bank_at": charge.paid_on.isoformat()}
        return self._change(charge, "paid", "Pagamento efetuado", **told)

    def win(self, charge_id: str) -> Charge:
        """A dispute ended for us."""
        charge = self._in(charge_id, {"contested"})
        return self._change(charge, "paid", "Contestação encerrada", value=charge.paid_value)

    def move(self, charge_id: str, status: str, line: str, *allowed: str) -> Charge:
        return self._change(self._in(charge_id, set(allowed)), status, line)

    def history(self, token: str) -> list[dict[str, Any]]:
        """Who asks for it has received what was sent of it."""
        charge = next((one for one in self.charges.values() if one.token == token), None)
        if charge is None:
            raise refusal(404, 3500010, "property_does_not_exists", "A propriedade [token] informada não existe.")
        self.queue.taken(token)
        return charge.changes

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = _Filter(query)
        found = [one for one in self.charges.values() if wanted.takes(one)]
        page = found[(wanted.page - 1) * wanted.limit : wanted.page * wanted.limit]
        return {
            "code": 200, "data": [one.listed() for one in page],
            "params": {
                "begin_date": f"{wanted.begin}T00:00:00.000Z", "end_date": f"{wanted.end}T00:00:00.000Z",
                "pagination": {"limit": wanted.limit, "offset": 0, "page": wanted.page},
            },
        }  # fmt: skip

    def _in(self, charge_id: str, statuses: frozenset[str] | set[str]) -> Charge:
        charge = self.find(charge_id)
        if charge.status not in statuses:
            raise refusal(
                400, 3500038, "invalid_charge_status",
                f"Apenas transações com status {', '.join(sorted(statuses))} podem ser atualizadas.",
            )  # fmt: skip
        return charge

    def _change(self, charge: Charge, status: str, line: str, **told: object) -> Charge:
        """Write it down, and tell the charge's URL that there is something to ask for."""
        now = self.clock()
        charge.changes.append({
            "id": len(charge.changes) + 1, "type": "charge", "custom_id": charge.custom_id,
            "status": {"current": status, "previous": charge.status if charge.changes else None},
            "identifiers": {"charge_id": charge.id}, "created_at": _written(now), **told,
        })  # fmt: skip
        charge.lines.append({"message": line, "created_at": _written(now)})
        charge.status = status
        url = self.hook_url or charge.notification_url
        if url:
            body = urlencode({"notification": charge.token}).encode()
            headers = {"content-type": "application/x-www-form-urlencoded"}
            self.queue.put(Event(charge.token, lambda _: (headers, body), url), now)
        return charge


class _Filter:
    """The query of GET /charges."""

    def __init__(self, query: Mapping[str, str]) -> None:
        if query.get("charge_type") not in _KINDS:
            raise invalid("/charge_type", f"As opções são: {', '.join(sorted(_KINDS))}.")
        self.kind = query["charge_type"]
        self.begin, self.end = (_date(query.get(name), f"/{name}") for name in ("begin_date", "end_date"))
        if self.end < self.begin:
            raise invalid("/end_date", "A data final é anterior à inicial.")
        self.date_of, self.custom_id = query.get("date_of", "creation"), query.get("custom_id")
        if self.date_of not in {"creation", "payment"}:
            raise invalid("/date_of", "As opções são: creation, payment.")
        self.limit, self.page = int(query.get("limit", 25)), int(query.get("page", 1))

    def takes(self, charge: Charge) -> bool:
        created_on = charge.created_at.astimezone(BRASILIA).date()
        on = created_on if self.date_of == "creation" else charge.paid_on
        if self.kind != "billet" or on is None or not self.begin <= on <= self.end:
            return False
        return self.custom_id in {None, charge.custom_id}


def simulation(options: Options) -> Simulation:
    secret = options.secret or options.credential("secret")
    client = {name: options.credential(name) for name in ("client_id", "client_secret")}
    hook_url = f"{options.hook_url}?token={secret}"
    queue = HookQueue(POLICY, options.random)
    gateway = Efi(client["client_id"], client["client_secret"], queue, options.clock, hook_url)
    return Simulation(app_of(gateway), queue, hook_url, "/v1", {"secret": secret, **client})


def app_of(gateway: Efi) -> Starlette:
    """Its API under /v1, and under /_simulate what its customers and its staff would do."""

    def path(path: str, answer: Callable[[Efi, Request, Any], Any], method: str) -> Route:
        handler = api(gateway, lambda request: _admit(gateway, request), partial(answer, gateway))
        return Route(f"/v1/{path}", handler, methods=[method])

    authorize = api(gateway, lambda request: _admit_client(gateway, request), partial(_authorize, gateway))
    return Starlette(
        routes=[
            Route("/v1/authorize", authorize, methods=["POST"]),
            path("charge/one-step", lambda gateway, _, body: _data(gateway.add_charge(body).made()), "POST"),
            path("charge/{id}", _charge, "GET"),
            path("charge/{id}/{what}", _update, "PUT"),
            path("charges", lambda gateway, request, _: gateway.listed(request.query_params), "GET"),
            path("notification/{token}", _notification, "GET"),
            *simulated_routes(gateway, partial(_act, gateway)),
        ]
    )


def _admit(gateway: Efi, request: Request) -> None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if gateway.tokens.get(token, gateway.clock()) <= gateway.clock():
        raise refusal(401, 401, "unauthorized", "O token de acesso é inválido ou expirou.")


def _admit_client(gateway: Efi, request: Request) -> None:
    given = request.headers.get("authorization", "")
    pair = f"{gateway.client_id}:{gateway.client_secret}".encode()
    if given != f"Basic {base64.b64encode(pair).decode()}":
        raise refusal(401, 401, "invalid_client", "Credenciais inválidas ou inativas.")


def _authorize(gateway: Efi, _: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    if body.get("grant_type") != "client_credentials":
        raise refusal(400, 400, "unsupported_grant_type", "O grant_type deve ser client_credentials.")
    return gateway.authorize()


def _charge(gateway: Efi, request: Request, _: dict[str, Any]) -> Any:  # noqa: ANN401
    return _data(gateway.find(request.path_params["id"]).details())


def _update(gateway: Efi, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    charge_id, what = request.path_params["id"], request.path_params["what"]
    if what == "cancel":
        gateway.cancel(charge_id)
    elif what == "settle":
        gateway.settle(charge_id)
    elif what == "metadata":
        _check_metadata(body)
        charge = gateway.find(charge_id)
        charge.custom_id = body.get("custom_id", charge.custom_id)
        charge.notification_url = body.get("notification_url", charge.notification_url)
    else:
        raise refusal(404, 404, "not_found", "Não encontrado.")
    return {"code": 200}


def _notification(gateway: Efi, request: Request, _: dict[str, Any]) -> Any:  # noqa: ANN401
    return _data(gateway.history(request.path_params["token"]))


def _act(gateway: Efi, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    charge_id = request.path_params["id"]
    paid_on = _date(body["paid_on"], "/paid_on") if "paid_on" in body else None
    acts: dict[str, Callable[[], Charge]] = {
        "pay": lambda: gateway.pay(charge_id, body.get("value"), paid_on),
        "identify": lambda: gateway.move(charge_id, "identified", "Pagamento identificado", *_UNPAID),
        "settle": lambda: gateway.settle(charge_id),
        "refund": lambda: gateway.move(charge_id, "refunded", "Pagamento devolvido", "paid", "contested"),
        "contest": lambda: gateway.move(charge_id, "contested", "Pagamento em contestação", "paid"),
        "win": lambda: gateway.win(charge_id),
        "cancel": lambda: gateway.cancel(charge_id),
        "expire": lambda: gateway.move(charge_id, "expired", "Cobrança expirada", *_UNPAID),
        "unpaid": lambda: gateway.move(charge_id, "unpaid", "Cobrança não paga", "waiting"),
    }
    if request.path_params["what"] not in acts:
        raise refusal(404, 404, "not_found", f"one of {', '.join(acts)}")
    return acts[request.path_params["what"]]().details()


def _items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise invalid("/items", "A propriedade [items] é obrigatória.")
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not 0 < len(str(item.get("name", ""))) <= TEXT_MAX:
            raise invalid(f"/items/{number}/name", f"O nome tem de 1 a {TEXT_MAX} caracteres.")
        if type(item.get("value")) is not int or item["value"] <= 0:
            raise invalid(f"/items/{number}/value", "O valor é um inteiro positivo, em centavos.")
    return items


def _billet(body: Mapping[str, Any], today: date) -> dict[str, Any]:
    billet = (body.get("payment") or {}).get("banking_billet")
    if not isinstance(billet, dict):
        raise invalid("/payment", "O tipo de pagamento informado não está disponível.")
    _check_customer(billet.get("customer") or {})
    if _date(billet.get("expire_at"), "/payment/banking_billet/expire_at") < today:
        raise invalid("/payment/banking_billet/expire_at", "A data de vencimento deve ser maior ou igual à atual.")
    terms = billet.get("configurations", {})
    for name, most in (("fine", FINE_MAX), ("interest", INTEREST_MAX)):
        if not 0 <= terms.get(name, 0) <= most:
            raise invalid(f"/payment/banking_billet/configurations/{name}", f"O valor máximo é {most}.")
    lines = str(billet.get("message", "")).split("\n")
    if len(lines) > 4 or max(map(len, lines)) > 100:
        raise invalid("/payment/banking_billet/message", "São até 4 linhas de até 100 caracteres.")
    return billet


def _check_customer(customer: Mapping[str, Any]) -> None:
    place = "/payment/banking_billet/customer"
    company = customer.get("juridical_person")
    if company is not None:
        if not company.get("corporate_name") or len(str(company.get("cnpj", ""))) != 14:
            raise invalid(f"{place}/juridical_person", "São obrigatórios corporate_name e cnpj.")
    elif not customer.get("name") or len(str(customer.get("cpf", ""))) != 11:
        raise invalid(f"{place}/cpf", "São obrigatórios name e cpf, ou juridical_person.")
    if "phone_number" in customer and len(str(customer["phone_number"])) not in {10, 11}:
        raise invalid(f"{place}/phone_number", "O telefone tem DDD e número.")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for name in ("custom_id", "notification_url"):
        if not isinstance(metadata.get(name, "x"), str) or not 0 < len(metadata.get(name, "x")) <= TEXT_MAX:
            raise invalid(f"/metadata/{name}", f"O texto tem de 1 a {TEXT_MAX} caracteres.")
    if "notification_url" in metadata and urlsplit(metadata["notification_url"]).scheme not in {"http", "https"}:
        raise invalid("/metadata/notification_url", "A URL é inválida.")


def _date(value: object, place: str) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise invalid(place, "A data tem o formato AAAA-MM-DD.") from None


def _data(data: object) -> dict[str, Any]:
    return {"code": 200, "data": data}


def _written(at: datetime) -> str:
    return f"{at.astimezone(BRASILIA):%Y-%m-%d %H:%M:%S}"
