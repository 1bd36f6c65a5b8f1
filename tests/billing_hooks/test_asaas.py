"""Asaas, the adapter and the simulator with each other, from the webhook to the invoice."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

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
    Payer,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import Http
from billing_hooks.gateways.reading import cents
from billing_hooks.simulators import asaas as simulator
from billing_hooks.simulators.hooks import HookQueue
from core.clock import ManualClock
from core.database import Database
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
        base_url="https://gateway.test/v3", credentials={"api_key": KEY},
    )  # fmt: skip


def api_of(gateway: simulator.Asaas, key: str = KEY) -> asaas.AsaasApi:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test/v3")
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


def test_only_the_token_is_authentic() -> None:
    body = json.dumps({"id": "evt_1&2", "event": "PAYMENT_RECEIVED", "payment": {"id": "pay_1"}}).encode()
    for headers in ({}, {"asaas-access-token": TOKEN + "x"}, {"asaas-access-token": ""}):
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(TOKEN, Delivery(headers, body), NOW)
    (message,) = ADAPTER.authenticate(TOKEN, Delivery({"asaas-access-token": TOKEN}, body), NOW)
    assert message.event_id == "evt_1&2"
    assert ADAPTER.read(message.body) == AskBack("pay_1", pays=True)


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


def test_cash_that_was_undone_is_owed_again(provider: Provider, gateway: simulator.Asaas) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.receive_in_cash(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    gateway.undo_cash(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"


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


def test_what_the_real_one_refuses_is_refused(gateway: simulator.Asaas) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
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
