"""A simulated Stripe: PaymentIntents with boleto, Pix and card, refunds, disputes, events and signed webhooks.

It refuses what the real one refuses, `{"error": {type, code, message, param}}`: no or a wrong key (401, Bearer or
Basic), a parameter it does not know or misses (400), an object it does not have (404), an act that the state forbids
(400 payment_intent_unexpected_state), and an idempotency key with other parameters (400 idempotency_error). The same
key with the same parameters has the first answer again for a day, with `Idempotent-Replayed: true`. Lists show the
newest first, a search what is a minute old.

A webhook is tried thirteen times over nearly three days, each pause twice the one before: Stripe says "up to three days
with an exponential back off", not how often, and not how long it waits for an answer (20 s here).

    POST /v1/payment_intents, GET …/{id}, …/search       POST /v1/payment_intents/{id}/confirm, …/cancel
    GET /v1/charges/{id}, /v1/disputes, /v1/events, /v1/invoice_payments, /v1/webhook_endpoints    POST /v1/refunds
    POST /_simulate/charges/{id}/{pay|pay-late|fail|refund|fail-refund|dispute|win-dispute|lose-dispute}

`pay` may be given an amount other than what was asked. `pay-late`: the bank has it and says so later, by `pay` or
`fail`. `fail` is a boleto or Pix that expired, or a card that was refused. `refund` without an amount is of the whole.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.gateways.stripe import SIGNATURE_HEADER, sign
from billing_hooks.simulators.codes import boleto_line, pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

POLICY: Final = Policy(
    pauses_s=(0, *(60 * 2**number for number in range(12))),
    success=lambda status: 200 <= status < 300,
    timeout_s=20.0,
)
KEY_KEPT: Final = timedelta(days=1)
SEARCH_LAG: Final = timedelta(minutes=1)
#: Days until the money is there.
_SETTLES: Final = {"boleto": 2, "pix": 1, "card": 30}
#: Of a charge in reais.
AMOUNT_MIN: Final = {"boleto": 500, "pix": 50, "card": 50}
_CREATABLE: Final = frozenset({"amount", "currency", "payment_method_types", "description", "metadata", "expand"})
_CONFIRMABLE: Final = frozenset({"payment_method_data", "payment_method_options", "expand"})
_UNPAID: Final = frozenset({"requires_payment_method", "requires_action", "processing"})


def refusal(message: str, code: str | None = None, param: str | None = None, status: int = 400) -> Refused:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": param}
    return Refused(status, {"error": {name: value for name, value in error.items() if value is not None}})


@dataclass(slots=True)
class Dispute:
    id: str
    charge: Charge
    status: str = "needs_response"

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id, "object": "dispute", "charge": self.charge.id, "payment_intent": self.charge.intent.id,
            "amount": self.charge.amount, "currency": self.charge.intent.currency, "status": self.status,
        }  # fmt: skip


@dataclass(slots=True)
class Charge:
    id: str
    intent: Intent
    amount: int
    created: datetime
    method: str
    #: (id, amount, status)
    refunds: list[tuple[str, int, str]] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    @property
    def amount_refunded(self) -> int:
        return sum(amount for _, amount, status in self.refunds if status == "succeeded")

    def shown(self, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
        shown = {
            "id": self.id, "object": "charge", "amount": self.amount, "amount_captured": self.amount,
            "amount_refunded": self.amount_refunded, "refunded": self.amount_refunded == self.amount, "paid": True,
            "captured": True, "status": "succeeded", "created": int(self.created.timestamp()),
            "currency": self.intent.currency, "disputed": bool(self.disputes), "payment_intent": self.intent.id,
            "payment_method_details": {"type": self.method, self.method: {}}, "metadata": self.intent.metadata,
            "balance_transaction": self._balance() if "balance_transaction" in expand else f"txn_{self.id[3:]}",
        }  # fmt: skip
        if "refunds" in expand:
            shown["refunds"] = listed([self._refund(*one) for one in self.refunds])
        return shown

    def _refund(self, refund_id: str, amount: int, status: str) -> dict[str, Any]:
        return {
            "id": refund_id, "object": "refund", "amount": amount, "status": status, "charge": self.id,
            "payment_intent": self.intent.id, "currency": self.intent.currency,
        }  # fmt: skip

    def last_refund(self) -> dict[str, Any]:
        return self._refund(*self.refunds[-1])

    def _balance(self) -> dict[str, Any]:
        fee = fee_of(self.amount)
        available_on = self.created + timedelta(days=_SETTLES[self.method])
        return {
            "id": f"txn_{self.id[3:]}", "object": "balance_transaction", "amount": self.amount, "fee": fee,
            "net": self.amount - fee, "currency": self.intent.currency, "created": int(self.created.timestamp()),
            "available_on": int(available_on.timestamp()), "status": "pending", "type": "charge",
        }  # fmt: skip


@dataclass(slots=True)
class Intent:
    id: str
    amount: int
    currency: str
    types: list[str]
    created: datetime
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    status: str = "requires_payment_method"
    next_action: dict[str, Any] | None = None
    last_error: dict[str, Any] | None = None
    charge: Charge | None = None
    #: The invoice of Stripe Billing that it pays.
    invoice: dict[str, Any] | None = None

    def shown(self, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
        charge, within = self.charge, _within(expand, "latest_charge")
        return {
            "id": self.id, "object": "payment_intent", "amount": self.amount, "currency": self.currency,
            "amount_received": charge.amount if charge else 0, "status": self.status, "metadata": self.metadata,
            "payment_method_types": self.types, "created": int(self.created.timestamp()),
            "description": self.description, "livemode": False, "next_action": self.next_action,
            "last_payment_error": self.last_error, "client_secret": f"{self.id}_secret_x",
            "latest_charge": charge and (charge.id if within is None else charge.shown(within)),
        }  # fmt: skip


@dataclass(slots=True)
class Stripe:
    """The whole of it. `secret` signs the webhooks; who calls the API shows `api_key`."""

    api_key: str
    secret: str
    queue: HookQueue
    clock: Clock
    livemode: bool = False
    #: Where its events go, as GET /v1/webhook_endpoints shows it.
    hook_url: str = ""
    #: A connected account's id, in all of its events.
    account: str | None = None
    away: int | None = None
    intents: dict[str, Intent] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    #: By idempotency key: when, what was asked, and the answer.
    kept: dict[str, tuple[datetime, object, Any]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):024d}"

    def add_intent(self, form: Mapping[str, str]) -> Intent:
        _check_names(form, _CREATABLE)
        if not re.fullmatch("[1-9][0-9]{0,7}", form.get("amount", "")):
            raise refusal("Invalid positive integer", "parameter_invalid_integer", "amount")
        types = [value for name, value in form.items() if name.startswith("payment_method_types[")] or ["card"]
        for type_ in types:
            if type_ not in _SETTLES:
                raise refusal(f"The payment method type {type_} is invalid.", None, "payment_method_types")
        currency = form.get("currency", "")
        if not re.fullmatch("[a-z]{3}", currency) or (currency != "brl" and types != ["card"]):
            raise refusal(f"Invalid currency: {currency}", None, "currency")
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        now, amount, intent_id = self.clock(), int(form["amount"]), self.new_id("pi")
        if currency == "brl" and amount < AMOUNT_MIN[types[0]]:
            raise refusal("Amount must be no less than the payment method's minimum", "amount_too_small", "amount")
        intent = Intent(intent_id, amount, currency, types, now, form.get("description"), metadata)
        self.intents[intent.id] = intent
        self.tell("payment_intent.created", intent.shown())
        return intent

    def add_invoice(self, amount: int, metadata: dict[str, str]) -> tuple[str, Intent]:
        """An invoice of Stripe Billing and the intent that is to pay it, which does not say what the invoice does."""
        intent = self.add_intent({"amount": str(amount), "currency": "brl"})
        invoice_id = self.new_id("in")
        intent.invoice = {"id": invoice_id, "object": "invoice", "metadata": metadata, "amount_paid": amount}
        return invoice_id, intent

    def find(self, intent_id: str) -> Intent:
        if intent_id not in self.intents:
            raise refusal(f"No such payment_intent: '{intent_id}'", "resource_missing", "intent", 404)
        return self.intents[intent_id]

    def confirm(self, intent_id: str, form: Mapping[str, str]) -> Intent:
        """A boleto or Pix gets its code; a card is paid on a page."""
        _check_names(form, _CONFIRMABLE)
        intent = self._in(intent_id, {"requires_payment_method"}, "confirm")
        method = form.get("payment_method_data[type]", "")
        if method not in intent.types or method == "card":
            raise refusal("The payment method is not one of this intent's.", None, "payment_method_data[type]")
        intent.next_action = _boleto(intent, form) if method == "boleto" else _pix(intent, form)
        intent.status, intent.last_error = "requires_action", None
        self.tell("payment_intent.requires_action", intent.shown())
        return intent

    def cancel(self, intent_id: str) -> Intent:
        intent = self._in(intent_id, _UNPAID - {"processing"}, "cancel")
        intent.status, intent.next_action = "canceled", None
        self.tell("payment_intent.canceled", intent.shown())
        return intent

    def pay(self, intent_id: str, amount: int | None = None) -> Intent:
        intent = self._in(intent_id, _UNPAID, "pay")
        intent.charge = Charge(self.new_id("ch"), intent, amount or intent.amount, self.clock(), intent.types[0])
        intent.status, intent.next_action, intent.last_error = "succeeded", None, None
        self.tell("charge.succeeded", intent.charge.shown())
        self.tell("payment_intent.succeeded", intent.shown())
        if intent.invoice is not None:
            self.tell("invoice.paid", intent.invoice)
        return intent

    def pay_late(self, intent_id: str) -> Intent:
        intent = self._in(intent_id, {"requires_action"}, "pay")
        intent.status = "processing"
        self.tell("payment_intent.processing", intent.shown())
        return intent

    def fail(self, intent_id: str) -> Intent:
        intent = self._in(intent_id, _UNPAID, "fail")
        code = "card_declined" if intent.types == ["card"] else "payment_intent_payment_attempt_expired"
        intent.status, intent.next_action = "requires_payment_method", None
        intent.last_error = {"type": "card_error" if code == "card_declined" else "invalid_request_error", "code": code}
        self.tell("payment_intent.payment_failed", intent.shown())
        return intent

    def refund(self, intent_id: str, amount: int | None = None) -> Charge:
        charge = self._charge(intent_id)
        left = charge.amount - charge.amount_refunded
        if not left:
            raise refusal(f"Charge {charge.id} has already been refunded.", "charge_already_refunded")
        if not 0 < (amount or left) <= left:
            raise refusal(f"Refund amount is greater than unrefunded amount on charge ({left})", None, "amount")
        charge.refunds.append((self.new_id("re"), amount or left, "succeeded"))
        self.tell("charge.refunded", charge.shown())
        return charge

    def fail_refund(self, intent_id: str) -> Charge:
        """The bank could not give it to the payer: it is ours again."""
        charge = self._charge(intent_id)
        refund_id, amount, _ = charge.refunds[-1]
        charge.refunds[-1] = (refund_id, amount, "failed")
        self.tell("refund.failed", charge.last_refund())
        return charge

    def dispute(self, intent_id: str) -> Charge:
        charge = self._charge(intent_id)
        charge.disputes.append(Dispute(self.new_id("dp"), charge))
        self.tell("charge.dispute.created", charge.disputes[-1].shown())
        self.tell("charge.dispute.funds_withdrawn", charge.disputes[-1].shown())
        return charge

    def close_dispute(self, intent_id: str, status: str) -> Charge:
        charge = self._charge(intent_id)
        if not charge.disputes or charge.disputes[-1].status != "needs_response":
            raise refusal(f"Charge {charge.id} has no open dispute.")
        charge.disputes[-1].status = status
        self.tell("charge.dispute.closed", charge.disputes[-1].shown())
        if status == "won":
            self.tell("charge.dispute.funds_reinstated", charge.disputes[-1].shown())
        return charge

    def tell(self, type_: str, about: dict[str, Any]) -> None:
        """The object as it is now; the id is the same whenever this event is told again."""
        now = self.clock()
        event: dict[str, Any] = {
            "id": self.new_id("evt"), "object": "event", "api_version": "2026-10-28.endive", "type": type_,
            "created": int(now.timestamp()), "livemode": self.livemode, "data": {"object": about},
        }  # fmt: skip
        if self.account is not None:
            event["account"] = self.account
        self.events.append(event)
        octets = json.dumps(event, indent=2).encode()
        self.queue.put(Event(event["id"], lambda at: (self._headers(octets, at), octets)), now)

    def _headers(self, octets: bytes, at: datetime) -> dict[str, str]:
        return {
            "content-type": "application/json; charset=utf-8", "user-agent": "Stripe/1.0",
            SIGNATURE_HEADER: sign(self.secret, octets, at),
        }  # fmt: skip

    def _charge(self, intent_id: str) -> Charge:
        charge = self.find(intent_id).charge
        if charge is None:
            raise refusal("This PaymentIntent does not have a successful charge to refund.", None, "payment_intent")
        return charge

    def _in(self, intent_id: str, statuses: frozenset[str] | set[str], verb: str) -> Intent:
        intent = self.find(intent_id)
        if intent.status not in statuses:
            message = f"You cannot {verb} this PaymentIntent because it has a status of {intent.status}."
            raise refusal(message, "payment_intent_unexpected_state")
        return intent


def fee_of(amount: int) -> int:
    """3.49 % and 39 cents."""
    return amount * 349 // 10000 + 39


def listed(found: list[dict[str, Any]], *, more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": found, "has_more": more}


def simulation(options: Options) -> Simulation:
    secret, api_key = options.secret or f"whsec_{options.credential('secret')}", options.credential("api_key")
    queue = HookQueue(POLICY, options.random)
    shown = {"secret": secret, "api_key": api_key}
    gateway = Stripe(api_key, secret, queue, options.clock, hook_url=options.hook_url)
    return Simulation(app_of(gateway), queue, options.hook_url, credentials=shown)


def app_of(gateway: Stripe) -> Starlette:
    """Its API under /v1, and under /_simulate what its customers, their banks and its staff would do."""

    def path(path: str, answer: Callable[[Stripe, Request, dict[str, str]], Any], method: str) -> Route:
        handler = api(gateway, lambda request: _admit(gateway, request), partial(_asked, gateway, answer))
        return Route(f"/v1/{path}", handler, methods=[method])

    return Starlette(
        routes=[
            path("payment_intents", _create, "POST"),
            path("payment_intents/search", _search, "GET"),
            path("payment_intents/{id}", _intent, "GET"),
            path("payment_intents/{id}/confirm", _confirm, "POST"),
            path("payment_intents/{id}/cancel", _cancel, "POST"),
            path("charges/{id}", _charge, "GET"),
            path("refunds", _refund, "POST"),
            path("disputes", _disputes, "GET"),
            path("events", _events, "GET"),
            path("invoice_payments", _invoice_payments, "GET"),
            path("webhook_endpoints", _webhook_endpoints, "GET"),
            *simulated_routes(gateway, partial(_act, gateway)),
        ]
    )


def _admit(gateway: Stripe, request: Request) -> None:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    basic = base64.b64encode(f"{gateway.api_key}:".encode()).decode()
    if not (scheme == "Bearer" and shown == gateway.api_key) and not (scheme == "Basic" and shown == basic):
        raise refusal("Invalid API Key provided", status=401)
    if gateway.account and request.headers.get("stripe-account") != gateway.account:
        raise refusal("The account does not have access to this object.", "account_invalid", status=403)


def _asked(
    gateway: Stripe, answer: Callable[[Stripe, Request, dict[str, str]], Any], request: Request, body: object
) -> object:
    """What is asked for by a key that was used is answered as it was the first time."""
    form = dict(request.query_params) | dict(parse_qsl(body) if isinstance(body, str) else [])
    key, asked = request.headers.get("idempotency-key"), (request.url.path, form)
    if key is None or request.method == "GET":
        return answer(gateway, request, form)
    at, before, said = gateway.kept.get(key, (gateway.clock(), None, None))
    if before is None or gateway.clock() - at > KEY_KEPT:
        said = answer(gateway, request, form)
        gateway.kept[key] = gateway.clock(), asked, said
        return said
    if before != asked:
        message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        raise Refused(400, {"error": {"type": "idempotency_error", "message": message}})
    return JSONResponse(said, headers={"Idempotent-Replayed": "true"})


def _create(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    return gateway.add_intent(form).shown(_expand(form))


def _search(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    wanted = re.fullmatch(r"metadata\['([^']+)'\]:'((?:[^'\\]|\\.)*)'", form.get("query", ""))
    if wanted is None:
        raise refusal("We were unable to parse your search query.", None, "query")
    name, value = wanted[1], re.sub(r"\\(.)", r"\1", wanted[2])
    known = [one for one in gateway.intents.values() if gateway.clock() - one.created >= SEARCH_LAG]
    found = [one.shown() for one in reversed(known) if one.metadata.get(name) == value]
    return {"object": "search_result", "data": found[:10], "has_more": len(found) > 10}


def _intent(gateway: Stripe, request: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    return gateway.find(request.path_params["id"]).shown(_expand(form))


def _confirm(gateway: Stripe, request: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    return gateway.confirm(request.path_params["id"], form).shown(_expand(form))


def _cancel(gateway: Stripe, request: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    return gateway.cancel(request.path_params["id"]).shown(_expand(form))


def _charge(gateway: Stripe, request: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    for charge in _charges(gateway):
        if charge.id == request.path_params["id"]:
            return charge.shown(_expand(form))
    raise refusal(f"No such charge: '{request.path_params['id']}'", "resource_missing", "id", 404)


def _refund(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    amount = int(form["amount"]) if form.get("amount", "").isdigit() else None
    return gateway.refund(form.get("payment_intent", ""), amount).last_refund()


def _disputes(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    wanted = [charge for charge in _charges(gateway) if form.get("charge") in {None, charge.id}]
    return _page([one.shown() for charge in wanted for one in charge.disputes], form)


def _events(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    types = {value for name, value in form.items() if name.startswith("types[")}
    if len(types) > 20:
        raise refusal("You may specify up to 20 types.", None, "types")
    since = int(form.get("created[gte]", 0))
    return _page(
        [one for one in gateway.events if one["created"] >= since and (not types or one["type"] in types)], form
    )


def _invoice_payments(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    expanded, found = "data.invoice" in _expand(form), []
    for intent in gateway.intents.values():
        invoice_id = intent.invoice and intent.invoice["id"]
        wanted = form.get("payment[payment_intent]") in {None, intent.id} and form.get("invoice") in {None, invoice_id}
        if invoice_id is not None and wanted:
            shown = {"type": "payment_intent", "payment_intent": intent.id}
            invoice = intent.invoice if expanded else invoice_id
            found.append(
                {"id": f"inpay_{intent.id[3:]}", "object": "invoice_payment", "payment": shown, "invoice": invoice}
            )
    return _page(found, form)


def _webhook_endpoints(gateway: Stripe, _: Request, form: dict[str, str]) -> Any:  # noqa: ANN401
    status = "disabled" if gateway.queue.interrupted else "enabled"
    endpoint = {"id": "we_1", "object": "webhook_endpoint", "url": gateway.hook_url, "status": status}
    return _page([endpoint], form)


def _act(gateway: Stripe, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    intent_id, amount = request.path_params["id"], body.get("amount")
    acts: dict[str, Callable[[], Intent | Charge]] = {
        "pay": lambda: gateway.pay(intent_id, amount),
        "pay-late": lambda: gateway.pay_late(intent_id),
        "fail": lambda: gateway.fail(intent_id),
        "refund": lambda: gateway.refund(intent_id, amount),
        "fail-refund": lambda: gateway.fail_refund(intent_id),
        "dispute": lambda: gateway.dispute(intent_id),
        "win-dispute": lambda: gateway.close_dispute(intent_id, "won"),
        "lose-dispute": lambda: gateway.close_dispute(intent_id, "lost"),
    }
    if request.path_params["what"] not in acts:
        raise refusal(f"one of {', '.join(acts)}", status=404)
    return acts[request.path_params["what"]]().shown()


def _boleto(intent: Intent, form: Mapping[str, str]) -> dict[str, Any]:
    if not form.get("payment_method_data[boleto][tax_id]"):
        raise _missing("payment_method_data[boleto][tax_id]")
    for name in (
        "name",
        "email",
        *(f"address][{part}" for part in ("line1", "city", "state", "postal_code", "country")),
    ):
        if not form.get(f"payment_method_data[billing_details][{name}]"):
            raise _missing(f"payment_method_data[billing_details][{name}]")
    days = form.get("payment_method_options[boleto][expires_after_days]", "3")
    if not days.isdigit() or int(days) > 60:
        raise refusal("This value must be between 0 and 60.", "parameter_invalid_integer", "expires_after_days")
    due_date = intent.created.astimezone(BRASILIA).date() + timedelta(days=int(days))
    number = boleto_line("237", intent.id[3:], intent.amount, due_date)
    details = {"number": number, "hosted_voucher_url": f"https://payments.stripe.com/{intent.id}"}
    return {"type": "boleto_display_details", "boleto_display_details": details}


def _pix(intent: Intent, form: Mapping[str, str]) -> dict[str, Any]:
    seconds = form.get("payment_method_options[pix][expires_after_seconds]", "86400")
    if not seconds.isdigit() or not 60 <= int(seconds) <= 1209600:
        raise refusal(
            "This value must be between 60 and 1209600.", "parameter_invalid_integer", "expires_after_seconds"
        )
    details = {
        "data": pix_code(f"pix.stripe.com/qr/v2/{intent.id}"),
        "hosted_instructions_url": f"https://payments.stripe.com/{intent.id}",
    }
    return {"type": "pix_display_qr_code", "pix_display_qr_code": details}


def _missing(param: str) -> Refused:
    return refusal(f"Missing required param: {param}.", "parameter_missing", param)


def _check_names(form: Mapping[str, str], known: frozenset[str]) -> None:
    for name in form:
        if name.partition("[")[0] not in known:
            raise refusal(f"Received unknown parameter: {name}", "parameter_unknown", name)


def _charges(gateway: Stripe) -> list[Charge]:
    return [intent.charge for intent in gateway.intents.values() if intent.charge is not None]


def _expand(form: Mapping[str, str]) -> frozenset[str]:
    return frozenset(value for name, value in form.items() if name.startswith("expand["))


def _within(expand: frozenset[str], name: str) -> frozenset[str] | None:
    """What is to be expanded inside of this; None where it is not expanded itself."""
    inside = frozenset(one.removeprefix(f"{name}.") for one in expand if one.startswith(f"{name}."))
    return inside if inside or name in expand else None


def _page(found: list[dict[str, Any]], form: Mapping[str, str]) -> dict[str, Any]:
    """The newest first, and what stands after `starting_after`."""
    newest_first, limit = found[::-1], min(int(form.get("limit", 10)), 100)
    ids = [one["id"] for one in newest_first]
    begin = ids.index(form["starting_after"]) + 1 if "starting_after" in form else 0
    return listed(newest_first[begin : begin + limit], more=begin + limit < len(ids))
