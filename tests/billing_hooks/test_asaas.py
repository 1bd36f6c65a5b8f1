"""Asaas, the adapter and the simulator with each other, from the webhook to the invoice."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import Provider, make_provider
from starlette.testclient import TestClient

from billing_hooks.gateways import asaas
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    ChargeOrder,
    Delivery,
    Irrelevant,
    Payer,
    PaymentReceived,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.gateways.reading import cents
from billing_hooks.simulators import asaas as simulator
from billing_hooks.simulators.hooks import HookQueue
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring

TOKEN = "a-token-of-more-than-32-characters"
KEY = "$aact_hmlg_0123456789"
ADAPTER = asaas.Asaas()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYER = Payer("Maria Souza", "52998224725")


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.Asaas:
    return simulator.Asaas(KEY, TOKEN, HookQueue(simulator.POLICY, Random(1)), clock)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Asaas) -> Provider:
    return make_provider(
        database, keyring, clock, "asaas", TOKEN, simulator.app_of(gateway), gateway.queue,
        base_url="http://gateway.test/v3", credentials={"api_key": KEY},
    )  # fmt: skip


def api_of(gateway: simulator.Asaas, key: str = KEY) -> asaas.AsaasApi:
    client = TestClient(simulator.app_of(gateway), "http://gateway.test/v3")
    api = ADAPTER.connect(Access({}, {"api_key": key}), Http(client))
    assert api is not None
    return api


def order(invoice_id: int, amount_cents: int = 9990) -> ChargeOrder:
    return ChargeOrder(
        f"invoice-{invoice_id}", invoice_id, amount_cents, date(2026, 12, 10), "Fibra 300", PAYER, 200, 100
    )


def charge_for(provider: Provider, gateway: simulator.Asaas, amount_cents: int = 9990) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(gateway).create(order(invoice_id, amount_cents)).charge_id


@pytest.mark.parametrize("secret", ["", "x" * 31, "x" * 256, "ção" * 20, "x" * 40 + "\n"])
def test_a_token_that_asaas_would_not_take_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"


def test_only_the_token_is_authentic() -> None:
    body = json.dumps({"id": "evt_1&2", "event": "PAYMENT_RECEIVED", "payment": {"id": "pay_1"}}).encode()
    for headers in ({}, {"asaas-access-token": TOKEN + "x"}, {"asaas-access-token": ""}):
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(TOKEN, Delivery(headers, body), NOW)
    (message,) = ADAPTER.authenticate(TOKEN, Delivery({"asaas-access-token": TOKEN}, body), NOW)
    assert message.event_id == "evt_1&2"
    assert ADAPTER.read(message.body) == AskBack("pay_1", pays=True)


def test_events_that_mean_nothing_here_or_are_unknown_are_answered_200(provider: Provider) -> None:
    """15 failures would stop the queue for all events."""
    for event in ("PAYMENT_CREATED", "PAYMENT_FROM_THE_FUTURE", "TRANSFER_DONE", "SUBSCRIPTION_CREATED"):
        body = json.dumps({"id": f"evt_{event}", "event": event, "payment": {"id": "pay_9", "new": [1]}}).encode()
        answer = provider.receiver.post("/hooks/asaas", content=body, headers={"asaas-access-token": TOKEN})
        assert answer.status_code == 200
        assert isinstance(ADAPTER.read(body), Irrelevant | AskBack)


@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5)).map(
    lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_reads_as_a_notice_or_is_malformed(body: bytes) -> None:
    try:
        assert isinstance(ADAPTER.read(body), AskBack | Irrelevant)
    except WebhookMalformed:
        return


def test_a_pix_pays_the_invoice_once_however_often_it_is_told(provider: Provider, gateway: simulator.Asaas) -> None:
    gateway.queue.faults.repeat = 1.0
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    assert provider.deliver() == 4  # created and received, each twice
    assert provider.status(invoice_id) == "paid"
    (payment,) = provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method, payment.external_id) == (9990, "pix", charge_id)
    assert payment.settled_at is not None
    assert payment.net_cents == 9990 - 199


def test_a_boleto_restores_when_confirmed_and_is_money_when_received(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, "BOLETO")
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    assert provider.payments(invoice_id)[0].settled_at is None
    clock.advance(timedelta(days=1))
    gateway.settle(charge_id)
    provider.deliver()
    (payment,) = provider.payments(invoice_id)
    assert payment.settled_at is not None
    assert payment.settled_at.date() == date(2026, 11, 25)


def test_events_in_the_wrong_order_end_in_the_same_state(provider: Provider, gateway: simulator.Asaas) -> None:
    gateway.queue.faults.reorder = 1.0
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, "BOLETO")
    gateway.settle(charge_id)
    gateway.refund(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "refunded"
    assert {status for status, _ in provider.inbox()} == {"done"}


def test_a_partial_refund_leaves_the_invoice_paid_and_the_rest_of_it_does_not(
    provider: Provider, gateway: simulator.Asaas
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    gateway.refund(charge_id, Decimal("10.00"))
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    assert provider.payments(invoice_id)[0].refunded_cents == 1000
    gateway.refund(charge_id, Decimal("89.90"))
    provider.deliver()
    assert provider.status(invoice_id) == "refunded"


def test_a_chargeback_makes_the_invoice_owed_again_until_it_is_won(
    provider: Provider, gateway: simulator.Asaas
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, "CREDIT_CARD")
    provider.deliver()
    gateway.chargeback(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    gateway.win_chargeback(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_cash_that_was_undone_is_owed_again(provider: Provider, gateway: simulator.Asaas) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.receive_in_cash(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    gateway.undo_cash(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"


def test_late_with_interest_pays_and_too_little_does_not(provider: Provider, gateway: simulator.Asaas) -> None:
    late, late_charge = charge_for(provider, gateway)
    gateway.payments[late_charge].interest_value = Decimal("2.10")
    gateway.pay(late_charge, amount=Decimal("102.00"))
    short, short_charge = charge_for(provider, gateway)
    gateway.pay(short_charge, amount=Decimal("50.00"))
    much, much_charge = charge_for(provider, gateway)
    gateway.pay(much_charge, amount=Decimal("120.00"))
    provider.deliver()
    assert [provider.status(one) for one in (late, short, much)] == ["paid", "open", "paid"]
    assert [provider.payments(one)[0].surcharge_cents for one in (late, short, much)] == [210, 0, 0]


def test_while_the_api_is_away_the_payment_waits_and_is_applied_when_it_is_back(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.away = 503
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    assert {status for status, _ in provider.inbox()} == {"done", "received"}
    gateway.away = None
    clock.advance(timedelta(seconds=31))
    provider.work()
    assert provider.status(invoice_id) == "paid"


def test_an_api_that_does_not_know_of_the_payment_yet_is_asked_again_and_then_a_person(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    status, gateway.payments[charge_id].status = gateway.payments[charge_id].status, "PENDING"
    provider.deliver()
    clock.advance(timedelta(seconds=3))
    gateway.payments[charge_id].status = status
    provider.work()
    assert provider.status(invoice_id) == "paid"

    other, other_charge = charge_for(provider, gateway)
    gateway.pay(other_charge)
    gateway.payments[other_charge].status = "PENDING"
    for _ in range(12):
        provider.deliver()
        clock.advance(timedelta(seconds=3))
    assert provider.inbox()[-1] == ("failed", f"the gateway does not know of a payment of {other_charge}")
    assert provider.status(other) == "open"


def test_a_charge_that_names_no_invoice_of_ours_is_left_to_a_person(
    provider: Provider, gateway: simulator.Asaas
) -> None:
    customer = gateway.add_customer({"name": "x", "cpfCnpj": "1"})["id"]
    charge = gateway.add_payment(
        {"customer": customer, "value": 10, "dueDate": "2026-12-01", "externalReference": str(provider.invoice())}
    )
    gateway.pay(charge.id)
    provider.deliver()
    assert provider.inbox()[-1] == ("failed", f"there is no invoice of charge {charge.id}")


def test_15_failures_stop_the_queue_and_what_waited_comes_when_it_is_resumed(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock, database: Database
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.auth_token = "another token of 32 characters and more"
    gateway.pay(charge_id)
    began = clock()
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        provider.deliver()
    assert timedelta(hours=10) < clock() - began < timedelta(hours=12)
    assert [queue.interrupted for queue in api_of(gateway).queues()] == [True]
    assert provider.status(invoice_id) == "open"


def test_the_same_order_twice_is_one_charge_and_a_cancelled_one_is_closed(gateway: simulator.Asaas) -> None:
    api = api_of(gateway)
    charge = api.create(order(1))
    assert api.create(order(1)) == charge
    assert charge.pix_code
    assert charge.boleto_line
    assert charge.url
    api.cancel(charge.charge_id)
    api.cancel("pay_unknown")
    assert gateway.payments[charge.charge_id].deleted
    assert len(gateway.customers) == 1


def test_reconciliation_finds_what_no_webhook_told(gateway: simulator.Asaas) -> None:
    gateway.queue.faults.lose = 1.0
    api = api_of(gateway)
    charges = [api.create(order(number)).charge_id for number in range(1, 251)]
    for charge in charges[:230]:
        gateway.pay(charge)
    facts = list(api.since(NOW - timedelta(hours=1)))
    assert {fact.invoice_id for fact in facts if isinstance(fact, PaymentReceived)} == set(range(1, 231))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, GatewayDenied), (403, GatewayDenied), (404, GatewayRefused), (429, GatewayAway), (502, GatewayAway)],
)
def test_failures_of_the_api_say_whose_they_are_and_no_secret(status: int, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="não", headers={"retry-after": "7"}))
    api = ADAPTER.connect(Access({}, {"api_key": KEY}), Http(httpx.Client(transport=transport, base_url="http://g/v3")))
    with pytest.raises(error) as failed:
        api.fetch("pay_1")
    assert KEY not in str(failed.value)


def test_what_the_real_one_refuses_is_refused(gateway: simulator.Asaas) -> None:
    client = TestClient(simulator.app_of(gateway), "http://gateway.test")
    assert client.get("/v3/payments", headers={"access_token": "wrong"}).status_code == 401
    headers = {"access_token": KEY}
    customer = client.post("/v3/customers", headers=headers, json={"name": "a", "cpfCnpj": "1"}).json()["id"]
    wrong: list[dict[str, Any]] = [
        {"value": 1, "dueDate": "2026-12-01"}, {"customer": customer, "value": 0, "dueDate": "2026-12-01"},
        {"customer": customer, "value": 1, "dueDate": "2026-11-01"}, {"customer": customer, "value": 1},
    ]  # fmt: skip
    answers = [client.post("/v3/payments", headers=headers, json=body) for body in wrong]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert all(answer.json()["errors"][0]["code"] for answer in answers)
    assert client.get("/v3/payments/pay_x", headers=headers).status_code == 404


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from([Decimal("1e30"), Decimal("-1e400")]))
def test_any_amount_is_centavos_or_malformed(amount: Decimal) -> None:
    try:
        assert cents(amount, "value") == amount * 100
    except WebhookMalformed:
        return
