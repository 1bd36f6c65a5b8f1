"""Mercado Pago: its signature against the vendor's library, and the adapter and the simulator with each other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mercadopago.webhook import InvalidWebhookSignatureError, WebhookSignatureValidator
from simulated_gateway import Provider, make_provider
from starlette.testclient import TestClient

from billing_hooks.gateways import mercado_pago
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    ChargeClosed,
    ChargeOrder,
    Delivery,
    Fact,
    Irrelevant,
    Payer,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    WebhookNotAuthentic,
    our_reference,
)
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.simulators import mercado_pago as simulator
from billing_hooks.simulators.hooks import HookQueue
from billing_hooks.simulators.simulation import Options
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
OTHER_SECRET = "f" * 64
TOKEN = "APP_USR-0123456789"
ADAPTER = mercado_pago.MercadoPago()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYER = Payer(
    "Maria de Souza", "52998224725", email="maria@example.com", street="Rua das Flores", number="10",
    district="Centro", postal_code="88000000", city="Florianópolis", state="SC",
)  # fmt: skip


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.MercadoPago:
    queue = HookQueue(simulator.POLICY, Random(1))
    return simulator.MercadoPago(TOKEN, SECRET, queue, clock, "http://testserver/hooks/mercadopago")


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.MercadoPago) -> Provider:
    return provider_of(database, keyring, clock, gateway)


def provider_of(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.MercadoPago, token: str = TOKEN,
    **settings: str,
) -> Provider:  # fmt: skip
    return make_provider(
        database, keyring, clock, "mercadopago", SECRET, simulator.app_of(gateway), gateway.queue, settings=settings,
        credentials={"access_token": token},
    )  # fmt: skip


def api_of(gateway: simulator.MercadoPago, **settings: str) -> mercado_pago.MercadoPagoApi:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    return ADAPTER.connect(Access(settings, {"access_token": TOKEN}), Http(client))


def connect(transport: httpx.MockTransport) -> mercado_pago.MercadoPagoApi:
    client = httpx.Client(transport=transport, base_url="http://g")
    return ADAPTER.connect(Access({}, {"access_token": TOKEN}), Http(client))


def order(invoice_id: int, amount_cents: int = 9990, *, key: str = "") -> ChargeOrder:
    key = key or f"invoice-{invoice_id}"
    return ChargeOrder(key, invoice_id, amount_cents, date(2026, 12, 10), "Fibra 300", PAYER)


def charge_for(
    provider: Provider, gateway: simulator.MercadoPago, amount_cents: int = 9990, **settings: str
) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(gateway, **settings).create(order(invoice_id, amount_cents)).charge_id


def notification(payment_id: object = "999", **fields: object) -> bytes:
    body = {"id": 12345, "type": "payment", "action": "payment.updated", "user_id": 44444, "data": {"id": payment_id}}
    return json.dumps(body | fields).encode()


def delivery(ts: str, v1: str, request_id: str = "r", query: str = "data.id=999&type=payment", **more: Any) -> Delivery:
    headers = {"x-signature": f"ts={ts},v1={v1}", "x-request-id": request_id}
    return Delivery(headers, more.pop("body", notification()), query, settings=more)


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def signed(at: datetime = NOW, secret: str = SECRET, data_id: str = "999", **more: Any) -> Delivery:
    return delivery(seconds(at), mercado_pago.sign(secret, data_id, "r", seconds(at)), **more)


def is_authentic(given_to_us: Delivery, now: datetime = NOW, secret: str = SECRET) -> bool:
    try:
        ADAPTER.authenticate(secret, given_to_us, now)
    except WebhookNotAuthentic:
        return False
    except WebhookMalformed:
        return True
    return True


def theirs_accepts(
    header: str, request_id: str, data_id: str, secret: str, *, tolerance_s: int | None = None, now: datetime = NOW
) -> bool:
    try:
        WebhookSignatureValidator.validate(
            header, request_id, data_id, secret, tolerance_seconds=tolerance_s, now=lambda: now.timestamp() * 1000
        )
    except (InvalidWebhookSignatureError, TypeError, ValueError):  # a hash or a moment that is not ASCII
        return False
    return True


ids = st.text("0123456789", min_size=1, max_size=15)
request_ids = st.text("0123456789abcdef-", max_size=36)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@given(data_id=ids | st.just(""), request_id=request_ids, at=moments, in_ms=st.booleans(), secret=secrets)
def test_what_the_simulator_signs_the_vendors_library_accepts_and_so_do_we(
    data_id: str, request_id: str, at: datetime, in_ms: bool, secret: str
) -> None:
    ts = str(int(at.timestamp() * (1000 if in_ms else 1)))
    v1 = mercado_pago.sign(secret, data_id, request_id, ts)
    assert theirs_accepts(f"ts={ts},v1={v1}", request_id, data_id, secret)
    body = notification(data_id or None)
    given_to_us = delivery(ts, v1, request_id, f"data.id={data_id}&type=payment", body=body)
    assert is_authentic(given_to_us, at, secret) == bool(data_id)


spoiled = st.sampled_from(
    ["ts=", "ts=1", "ts=x", "ts=²", "v1=", "v1=00", "v2=00", "v1", "ts", "", "=", "v1=é", " V1 = 00 "]
)


@given(data_id=ids, other_id=ids, request_id=request_ids, items=st.lists(spoiled, max_size=4), turn=st.integers(0, 5))
def test_no_header_is_authentic_that_the_vendors_library_refuses(
    data_id: str, other_id: str, request_id: str, items: list[str], turn: int
) -> None:
    ts = seconds(NOW)
    mixed = [*items, f"ts={ts}", f"v1={mercado_pago.sign(SECRET, data_id, request_id, ts)}"]
    header = ",".join(mixed[turn % len(mixed) :] + mixed[: turn % len(mixed)])
    for named in (data_id, other_id):
        headers = {"x-signature": header, "x-request-id": request_id}
        if is_authentic(Delivery(headers, notification(named), f"data.id={named}&type=payment")):
            assert theirs_accepts(header, request_id, named, SECRET)


@given(age_s=st.integers(-400_000, 400_000))
@example(349_200)
@example(349_201)
@example(-349_201)
def test_old_ones_and_ones_from_the_future_are_refused_as_the_vendors_library_would(age_s: int) -> None:
    at = NOW - timedelta(seconds=age_s)
    tolerance_s = int(mercado_pago.TOLERANCE.total_seconds())
    header = signed(at).headers["x-signature"]
    assert is_authentic(signed(at)) == theirs_accepts(header, "r", "999", SECRET, tolerance_s=tolerance_s)


@given(age_s=st.integers(-400_000, 400_000))
def test_a_moment_in_milliseconds_is_as_old(age_s: int) -> None:
    ts = f"{int(NOW.timestamp()) - age_s}000"
    assert is_authentic(delivery(ts, mercado_pago.sign(SECRET, "999", "r", ts))) == (abs(age_s) <= 349_200)


def test_an_id_with_letters_may_be_signed_as_it_is_or_in_lower_case() -> None:
    """The library takes it as it is, the documents say lower case; of a payment it is a number."""
    body = notification("ORD01KPV", type="order")
    for data_id in ("ORD01KPV", "ord01kpv"):
        assert is_authentic(signed(data_id=data_id, query="data.id=ORD01KPV&type=order", body=body))
    assert not is_authentic(signed(data_id="ORD01KPV", query="data.id=ord01kpv&type=order", body=body))


def test_the_payment_that_the_body_names_is_the_one_that_was_signed() -> None:
    assert is_authentic(signed(body=notification(999)))
    assert not is_authentic(signed(body=notification("998")))
    assert not is_authentic(signed(body=notification(data=None)))
    assert not is_authentic(signed(query="data.id=999&data.id=998&type=payment"))
    assert not is_authentic(signed(query="&".join(["data.id=999"] + ["a=1"] * 30)))


def test_in_store_and_old_style_notifications_are_not_signed_and_refused(provider: Provider) -> None:
    for query in ("data.id=999&type=payment", "topic=payment&id=999", ""):
        answer = provider.receiver.post(f"/hooks/mercadopago?{query}", content=notification())
        assert answer.status_code == 401
    assert provider.inbox() == []


def test_another_users_notifications_are_not_for_us() -> None:
    assert is_authentic(signed())
    assert is_authentic(signed(user_id="44444"))
    assert not is_authentic(signed(user_id="55555"))
    assert not is_authentic(signed(user_id="44444", body=notification(user_id=None)))


def test_another_users_notification_is_refused_at_the_door(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.MercadoPago
) -> None:
    provider = provider_of(database, keyring, clock, gateway, user_id="44444")
    invoice_id, charge_id = charge_for(provider, gateway)
    provider.deliver()
    gateway.user_id = 55555
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    assert gateway.queue.sendings[-1].answers == [401]


@given(body=st.binary(max_size=200), header=st.text(max_size=60), query=st.text(max_size=60))
def test_no_octets_and_headers_but_signed_ones_are_authentic(body: bytes, header: str, query: str) -> None:
    assert not is_authentic(Delivery({"x-signature": header, "x-request-id": "r"}, body, query))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["1", "../x", "NaN", "sNaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("id"), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(["payment", "topic_chargebacks_wh", "order"])


@given(
    body=st.binary(max_size=100)
    | st.builds(lambda kind, change: json.dumps({"id": 1, "type": kind} | change).encode(), kinds,
                st.dictionaries(st.sampled_from(["id", "action", "data", "user_id"]), json_values))
)  # fmt: skip
def test_any_body_reads_as_a_notice_or_is_malformed(body: bytes) -> None:
    try:
        notice = ADAPTER.read(body)
    except WebhookMalformed:
        return
    assert isinstance(notice, AskBack | Irrelevant)
    assert not isinstance(notice, AskBack) or not set(notice.reference) & set("/?#.\0")


def test_types_that_mean_nothing_here_are_tolerated() -> None:
    assert ADAPTER.read(notification(type="mp-connect", new=[1])) == Irrelevant("mp-connect")
    assert ADAPTER.read(notification()) == AskBack("999")
    assert ADAPTER.read(notification(5, type="topic_chargebacks_wh")) == AskBack("chargeback:5")


def test_a_notification_that_is_sent_again_is_the_same_and_a_further_change_is_another() -> None:
    def event_id(body: bytes) -> str:
        return ADAPTER.authenticate(SECRET, signed(body=body), NOW)[0].event_id

    assert event_id(notification()) == event_id(notification(date_created="later"))
    others = {event_id(notification(id=12346)), event_id(notification(action="payment.created"))}
    assert event_id(notification()) not in others
    assert len(others) == 2


def test_a_url_may_have_a_query_of_its_own(provider: Provider, gateway: simulator.MercadoPago) -> None:
    """`source_news=webhooks` is how the vendor is told to send no notifications of the old style."""
    gateway.hook_url += "?source_news=webhooks"
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_a_payments_own_url_comes_before_the_applications(provider: Provider, gateway: simulator.MercadoPago) -> None:
    ours, gateway.hook_url = gateway.hook_url, "http://testserver/hooks/nowhere"
    invoice_id = provider.invoice()
    charge = api_of(gateway).create(replace(order(invoice_id), notify_url=ours))
    gateway.pay(charge.charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_a_boleto_is_money_when_it_is_released(provider: Provider, gateway: simulator.MercadoPago) -> None:
    gateway.ts_in_ms = True
    invoice_id, charge_id = charge_for(provider, gateway, payment_method="boleto")
    gateway.pay(charge_id)
    provider.deliver()
    (payment,) = provider.payments(invoice_id)
    assert (payment.method, payment.settled_at) == ("boleto", gateway.clock() + timedelta(days=2))


@pytest.mark.parametrize(("outcome", "status"), [("reimbursed", "paid"), ("settled", "open")])
def test_a_chargeback_makes_the_invoice_owed_again_until_it_is_won(
    provider: Provider, gateway: simulator.MercadoPago, outcome: str, status: str
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    provider.deliver()
    gateway.charge_back(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    gateway.close_chargeback(charge_id, outcome)
    provider.deliver()
    assert provider.status(invoice_id) == status
    assert {state for state, _ in provider.inbox()} == {"done"}


def test_the_chargebacks_own_notification_is_enough(provider: Provider, gateway: simulator.MercadoPago) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    gateway.charge_back(charge_id)
    for told in gateway.queue.sendings[:-1]:
        told.done = True
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    assert len(provider.payments(invoice_id)) == 1


def test_too_little_does_not_pay_and_too_much_does(provider: Provider, gateway: simulator.MercadoPago) -> None:
    """A Pix or boleto is paid whole; less comes of a payment that somebody made for less, with our reference."""
    short = provider.invoice(9990)
    payment = gateway.add_payment(
        {
            "transaction_amount": 50, "payment_method_id": "pix", "payer": {"email": "m@example.com"},
            "external_reference": our_reference(short),
        }
    )  # fmt: skip
    gateway.pay(str(payment.id))
    much, much_charge = charge_for(provider, gateway, payment_method="boleto")
    gateway.pay(much_charge, Decimal("120.00"))
    provider.deliver()
    assert [provider.status(one) for one in (short, much)] == ["open", "paid"]
    assert [provider.payments(one)[0].amount_cents for one in (short, much)] == [5000, 12000]


def test_forged_and_stale_notifications_are_refused_and_stored_nowhere(provider: Provider, clock: ManualClock) -> None:
    at = clock()
    for given_to_us in (signed(at, OTHER_SECRET), signed(at - timedelta(hours=98)), signed(at, data_id="998")):
        answer = provider.receiver.post(
            f"/hooks/mercadopago?{given_to_us.query}", content=given_to_us.body, headers=dict(given_to_us.headers)
        )
        assert answer.status_code == 401
        assert SECRET not in answer.text
    assert provider.inbox() == []


def test_what_is_not_answered_comes_again_for_four_days(
    provider: Provider, gateway: simulator.MercadoPago, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    provider.deliver()
    gateway.secret, began = OTHER_SECRET, clock()
    gateway.pay(charge_id)
    tried: list[timedelta] = []
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        tried.append(clock() - began)
        if len(tried) == 6:
            gateway.secret = SECRET
        provider.deliver()
    assert tried == [timedelta(hours=hours) for hours in (0, 0.25, 0.5, 6, 48, 96)]
    assert provider.status(invoice_id) == "paid"


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_same_order_twice_is_one_charge_and_a_cancelled_one_is_followed_by_another(
    gateway: simulator.MercadoPago, forgotten: bool
) -> None:
    """Also when the idempotency keys are forgotten."""
    api = api_of(gateway)
    charge = api.create(order(1))
    if forgotten:
        gateway.kept.clear()
    assert api.create(order(1)) == charge
    assert charge.pix_code
    assert charge.url
    api.cancel(charge.charge_id)
    api.cancel(charge.charge_id)
    api.cancel("123")
    assert api.fetch(charge.charge_id) == [ChargeClosed(charge.charge_id)]
    anew = api.create(order(1))
    assert anew.charge_id != charge.charge_id
    assert api.create(order(1)) == anew
    assert api.create(order(1, key="another")).charge_id not in {charge.charge_id, anew.charge_id}


def test_an_order_is_never_a_charge_of_another_amount(gateway: simulator.MercadoPago) -> None:
    """As when two installations share an account, and so their keys."""
    api = api_of(gateway)
    charge = api.create(order(1))
    gateway.kept.clear()
    assert api.create(order(1, 5000)).charge_id != charge.charge_id


def test_an_order_whose_search_knows_nothing_yet_is_one_charge_by_its_key(gateway: simulator.MercadoPago) -> None:
    api = api_of(gateway)
    charge = api.create(order(1))
    gateway.payments[charge.charge_id].metadata = {}
    assert api.create(order(1)) == charge


def test_a_boleto_has_its_line_and_its_page(gateway: simulator.MercadoPago) -> None:
    charge = api_of(gateway, payment_method="boleto").create(order(1))
    assert charge.boleto_line
    assert charge.url
    assert charge.pix_code is None


def test_what_is_ordered_is_what_was_meant() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            asked.append(json.loads(request.content) | {"key": request.headers["x-idempotency-key"]})
        if "search" in request.url.path:
            return httpx.Response(200, json={"results": [], "paging": {"total": 0}})
        return httpx.Response(201, json={"id": 1, "status": "pending", "transaction_amount": 99.9})

    wanted = ChargeOrder(
        "k", 7, 9990, date(2026, 12, 10), "Fibra", PAYER, notify_url="https://isp.example/hooks/mercadopago"
    )
    assert connect(httpx.MockTransport(answer)).create(wanted).charge_id == "1"
    (body,) = asked
    assert body["transaction_amount"] == 99.9
    assert body["date_of_expiration"] == "2026-12-10T23:59:59.000-03:00"
    assert body["notification_url"] == "https://isp.example/hooks/mercadopago"
    assert body["payer"]["identification"] == {"type": "CPF", "number": "52998224725"}
    assert (body["external_reference"], body["key"]) == ("provedor-7", "k")


def test_a_charge_that_is_closed_stays_as_it_is_when_it_is_cancelled(gateway: simulator.MercadoPago) -> None:
    api = api_of(gateway)
    paid, expired, rejected = (api.create(order(number)).charge_id for number in range(3))
    gateway.pay(paid)
    gateway.expire(expired)
    gateway.reject(rejected)
    for charge_id in (paid, expired, rejected):
        api.cancel(charge_id)
    assert gateway.payments[paid].status == "approved"
    assert [api.fetch(one) for one in (expired, rejected)] == [[ChargeClosed(expired)], [ChargeClosed(rejected)]]


def test_a_charge_that_may_still_be_paid_is_not_taken_for_cancelled() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(400, json={"message": "not now"})
        return httpx.Response(200, json={"id": 1, "status": "in_process", "transaction_amount": 1})

    with pytest.raises(GatewayRefused, match="not now"):
        connect(httpx.MockTransport(answer)).cancel("1")


def test_a_payment_that_is_rejected_on_the_spot_is_no_charge() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "search" in request.url.path:
            return httpx.Response(200, json={"results": [], "paging": {"total": 0}})
        rejected = {"id": 1, "status": "rejected", "transaction_amount": 1, "status_detail": "rejected_by_bank"}
        return httpx.Response(201, json=rejected)

    with pytest.raises(GatewayRefused, match="rejected_by_bank"):
        connect(httpx.MockTransport(answer)).create(order(1))


def test_reconciliation_finds_what_no_webhook_told(gateway: simulator.MercadoPago, clock: ManualClock) -> None:
    """Also an old charge that was paid since, and none that changed before."""
    gateway.queue.faults.lose = 1.0
    api = api_of(gateway)
    charges = [api.create(order(number)).charge_id for number in range(1, 261)]
    gateway.pay(charges[259])
    clock.advance(timedelta(days=5))
    began = clock()
    for charge in charges[:230]:
        gateway.pay(charge)
    gateway.cancel(charges[240])
    facts = list(api.since(began))
    received = {fact.invoice_id for fact in facts if isinstance(fact, PaymentReceived)}
    assert received == set(range(1, 231))
    assert ChargeClosed(charges[240]) in facts


PAYMENT = {
    "id": 999, "status": "approved", "transaction_amount": 99.9, "date_approved": "2026-11-24T08:00:00.000-04:00",
    "external_reference": "provedor-7", "payment_method_id": "pix",
}  # fmt: skip


def facts(**change: object) -> list[Fact]:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=PAYMENT | change))
    return connect(transport).fetch("999")


@pytest.mark.parametrize(
    ("status", "detail", "more"),
    [
        ("approved", "accredited", []),
        ("in_mediation", "pending", []),
        ("refunded", "refunded", [PaymentReversed("999", refund=True)]),
        ("charged_back", "in_process", [PaymentReversed("999")]),
        ("charged_back", "settled", [PaymentReversed("999")]),
        ("charged_back", "reimbursed", [ReversalUndone("999")]),
    ],
)
def test_money_that_came_is_told_with_what_became_of_it(status: str, detail: str, more: list[Fact]) -> None:
    received, *others = facts(status=status, status_detail=detail)
    assert isinstance(received, PaymentReceived)
    assert (received.invoice_id, received.amount_cents, received.paid_at) == (7, 9990, NOW)
    assert others == more


@pytest.mark.parametrize("status", ["pending", "in_process", "authorized", "in_mediation", "new"])
def test_money_that_did_not_come_is_no_fact(status: str) -> None:
    assert facts(status=status, date_approved=None) == []


def test_an_approved_payment_without_a_moment_is_malformed_and_not_passed_over() -> None:
    with pytest.raises(WebhookMalformed) as malformed:
        facts(date_approved=None)
    assert malformed.value.field == "date_approved"


@pytest.mark.parametrize(
    ("told", "net_cents"),
    [
        ({"transaction_details": {"net_received_amount": 98.91}}, 9891),
        ({"fee_details": [{"amount": 0.99}, {"amount": 5, "fee_payer": "payer"}]}, 9891),
        ({"transaction_details": {"net_received_amount": 0}, "fee_details": [{"amount": 1}]}, 9890),
        ({"fee_details": [{"amount": 100}]}, None),
        ({}, None),
    ],
)
def test_what_is_ours_of_it_is_said_or_is_what_the_fees_leave(told: dict[str, Any], net_cents: int | None) -> None:
    (received,) = facts(**told)
    assert isinstance(received, PaymentReceived)
    assert received.net_cents == net_cents


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, GatewayRefused), (401, GatewayDenied), (403, GatewayDenied), (404, GatewayRefused), (423, GatewayAway),
        (429, GatewayAway), (502, GatewayAway),
    ],
)  # fmt: skip
def test_failures_of_the_api_say_whose_they_are_and_no_secret(status: int, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="não"))
    with pytest.raises(error) as failed:
        connect(transport).fetch("1")
    assert TOKEN not in str(failed.value)


amounts = st.sampled_from(["NaN", "sNaN", "Infinity", "-1", "0", "1e400", 1e300, 0.001]) | st.decimals().map(str)
fields = {
    "transaction_amount": amounts, "transaction_amount_refunded": amounts, "date_approved": st.text(max_size=30),
    "money_release_date": st.text(max_size=30), "fee_details": st.lists(st.fixed_dictionaries({"amount": amounts})),
    "transaction_details": st.fixed_dictionaries({"net_received_amount": amounts, "overpaid_amount": amounts}),
}  # fmt: skip


@given(change=st.fixed_dictionaries({}, optional=fields) | st.dictionaries(st.sampled_from([*PAYMENT]), json_values))
def test_any_answer_of_the_api_is_facts_or_malformed(change: dict[str, Any]) -> None:
    try:
        told = facts(**change)
    except WebhookMalformed:
        return
    for fact in told:
        if isinstance(fact, PaymentReceived):
            assert 0 < fact.amount_cents < 1 << 54
            assert fact.net_cents is None or 0 < fact.net_cents < 1 << 53


@given(body=st.binary(max_size=100))
def test_any_octets_of_the_api_are_facts_or_malformed(body: bytes) -> None:
    api = connect(httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
    for reference in ("1", "chargeback:1"):
        with pytest.raises(WebhookMalformed):
            api.fetch(reference)


def test_what_is_simulated_has_the_secrets_that_are_given_or_good_ones(clock: ManualClock) -> None:
    given_to_it = simulator.simulation(Options(SECRET, {"access_token": TOKEN}, clock, Random(1), "http://h/"))
    assert given_to_it.credentials == {"secret": SECRET, "access_token": TOKEN}
    made_up = simulator.simulation(Options("", {}, clock, Random(1), "http://h/"))
    ADAPTER.check_secret(made_up.credentials["secret"])
    headers = {"authorization": f"Bearer {made_up.credentials['access_token']}"}
    assert TestClient(made_up.app).get("/v1/payments/search", headers=headers).status_code == 200


def test_what_the_real_one_refuses_is_refused(gateway: simulator.MercadoPago) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    assert client.get("/v1/payments/1", headers={"authorization": "Bearer wrong"}).status_code == 401
    client.headers["authorization"] = f"Bearer {TOKEN}"
    good: dict[str, Any] = {"transaction_amount": 10, "payment_method_id": "pix", "payer": {"email": "m@example.com"}}
    assert client.post("/v1/payments", json=good).json()["cause"][0]["code"] == 4292
    client.headers["x-idempotency-key"] = "k"
    changes: list[dict[str, Any]] = [
        {"transaction_amount": 0}, {"transaction_amount": 0.001}, {"payment_method_id": "cash"}, {"payer": {}},
        {"payment_method_id": "bolbradesco"}, {"date_of_expiration": "2026-11-01T00:00:00.000-03:00"},
        {"date_of_expiration": "tomorrow"}, {"date_of_expiration": "2027-11-01T00:00:00.000-03:00"},
    ]  # fmt: skip
    for change in changes:
        answer = client.post("/v1/payments", json=good | change)
        assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (400, 400, "bad_request")
    first, again = (client.post("/v1/payments", json=good) for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    assert client.post("/v1/payments", json=good | {"transaction_amount": 11}).status_code == 409
    assert client.get("/v1/payments/1").json()["cause"][0]["code"] == 2000
    assert client.post(f"/v1/payments/{first.json()['id']}/refunds", json={}).json()["cause"][0]["code"] == 2063
    assert client.get("/v1/payments/search?limit=1000").status_code == 400
    assert client.get("/v1/chargebacks/1").status_code == 404


def test_a_person_plays_the_payers_their_banks_and_our_staff(gateway: simulator.MercadoPago) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    api = api_of(gateway)

    def act(charge_id: str, what: str, **body: object) -> tuple[int, object]:
        answer = client.post(f"/_simulate/charges/{charge_id}/{what}", json=body)
        return answer.status_code, answer.json().get("status_detail")

    first, second, third, fourth = (api.create(order(number)).charge_id for number in range(4))
    assert act(first, "pay") == (200, "accredited")
    assert act(first, "pay")[0] == 400
    assert act(first, "refund", value=10) == (200, "partially_refunded")
    assert act(first, "refund", value=1000)[0] == 400
    assert act(first, "refund") == (200, "refunded")
    assert act(second, "pay", value=120)[0] == act(second, "chargeback")[0] == 200
    assert act(second, "lose-chargeback") == (200, "settled")
    assert act(second, "win-chargeback") == (200, "reimbursed")
    assert act(third, "reject") == (200, "rejected_by_bank")
    assert act(fourth, "expire") == (200, "expired")
    assert act(fourth, "cancel")[0] == 400
    assert act(fourth, "dance")[0] == 404
