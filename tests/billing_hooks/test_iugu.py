"""Iugu, the adapter and the simulator with each other, from the trigger's call to the invoice."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import Provider, events, make_provider, tell
from starlette.testclient import TestClient

from billing_hooks import reconciliation
from billing_hooks.gateways import iugu
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    ChargeOrder,
    Delivery,
    Irrelevant,
    Payer,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import GatewayRefused, Http
from billing_hooks.simulators import Options
from billing_hooks.simulators import iugu as simulator
from billing_hooks.simulators.hooks import HookQueue
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring

SECRET = "an authorization of more than 32 characters"
TOKEN = "0123456789ABCDEF0123456789ABCDEF"
ADAPTER = iugu.Iugu()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ID = "970CB579C3964E59A323CE61AE04F7BC"
PAYER = Payer(
    "Maria Souza", "52998224725", "maria@example.com", "+55 31 99999-8888", "Rua A", "9", "Centro", "35400000"
)
LATE = timedelta(days=21)


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.Iugu:
    return simulator.Iugu(TOKEN, SECRET, HookQueue(simulator.POLICY, Random(1)), clock)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Iugu) -> Provider:
    return make_provider(
        database, keyring, clock, "iugu", SECRET, simulator.app_of(gateway), gateway.queue,
        base_url="https://gateway.test/v1", credentials={"api_token": TOKEN},
    )  # fmt: skip


def api_of(gateway: simulator.Iugu, token: str = TOKEN) -> iugu.IuguApi:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test/v1")
    return ADAPTER.connect(Access({}, {"api_token": token}), Http(client))


def answering(*answers: httpx.Response) -> iugu.IuguApi:
    """An API that says these things, one after the other."""
    left = list(answers)
    client = httpx.Client(transport=httpx.MockTransport(lambda _: left.pop(0)), base_url="http://g/v1")
    return ADAPTER.connect(Access({}, {"api_token": TOKEN}), Http(client))


def order(invoice_id: int, amount_cents: int = 9990, payer: Payer = PAYER, **more: int) -> ChargeOrder:
    late = {"fine_bp": 200, "interest_bp_month": 100} | more
    key = f"invoice-{invoice_id}-{amount_cents}"
    return ChargeOrder(key, invoice_id, amount_cents, date(2026, 12, 10), "Fibra 300", payer, **late)


def charge_for(provider: Provider, gateway: simulator.Iugu, amount_cents: int = 9990) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(gateway).create(order(invoice_id, amount_cents)).charge_id


def said(event: str, invoice_id: str = ID, status: str = "paid") -> bytes:
    return urlencode({"event": event, "data[id]": invoice_id, "data[status]": status, "data[paid_cents]": "1"}).encode()


def post(provider: Provider, body: bytes, authorization: str = SECRET) -> int:
    headers = {"content-type": "application/x-www-form-urlencoded", "authorization": authorization}
    return provider.receiver.post("/hooks/iugu", content=body, headers=headers).status_code


@pytest.mark.parametrize("secret", ["", "x" * 31, "x" * 256, "ção" * 20, "x" * 40 + "\n", " " + "x" * 40])
def test_an_authorization_that_no_header_could_bear_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"
    ADAPTER.check_secret(SECRET)


def test_only_the_authorization_is_authentic_as_it_is_or_as_basic() -> None:
    body = said("invoice.status_changed")
    basic = [f"Basic {b64encode(text.encode()).decode()}" for text in (SECRET, f"{SECRET}:", f"{SECRET}x")]
    for wrong in ("", SECRET + "x", "Basic", "Basic " + SECRET, basic[2]):
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, Delivery({"authorization": wrong}, body), NOW)
    for right in (SECRET, *basic[:2]):
        (message,) = ADAPTER.authenticate(SECRET, Delivery({"authorization": right}, body), NOW)
        assert message.event_id.startswith(f"invoice.status_changed {ID} paid@")
    with pytest.raises(WebhookNotAuthentic):
        ADAPTER.authenticate(SECRET, Delivery({}, body), NOW)


def test_a_call_says_whom_to_ask_about_and_whether_there_must_be_money() -> None:
    assert ADAPTER.read(said("invoice.status_changed")) == AskBack(ID, pays=True)
    assert ADAPTER.read(said("invoice.status_changed", status="canceled")) == AskBack(ID)
    assert ADAPTER.read(said("invoice.refund", status="refunded")) == AskBack(ID)
    assert ADAPTER.read(said("invoice.released")) == AskBack(f"{ID} released", pays=True)
    assert ADAPTER.read(said("invoice.from_the_future")) == AskBack(ID)
    for event in ("invoice.created", "invoice.due", "subscription.suspended", "customer_payment_method.new"):
        assert ADAPTER.read(said(event)) == Irrelevant(event)


def test_an_invoice_that_would_leave_its_path_is_malformed() -> None:
    for invoice_id in ("", "../accounts", "a/b", "a b", "x" * 65, "a?b", "\0"):
        with pytest.raises(WebhookMalformed) as malformed:
            ADAPTER.read(said("invoice.status_changed", invoice_id))
        assert malformed.value.field == "data[id]"


_words = st.text(max_size=12)


@given(st.binary(max_size=200) | st.builds(
    lambda event, id_, status: urlencode({"event": f"invoice.{event}", "data[id]": id_, "data[status]": status}
    ).encode(), _words, _words, _words))  # fmt: skip
def test_any_octets_read_as_a_notice_or_are_malformed(body: bytes) -> None:
    try:
        assert isinstance(ADAPTER.read(body), AskBack | Irrelevant)
        assert ADAPTER.authenticate(SECRET, Delivery({"authorization": SECRET}, body), NOW)
    except WebhookMalformed:
        return


def test_events_that_mean_nothing_here_or_are_unknown_are_answered_200(
    provider: Provider, gateway: simulator.Iugu
) -> None:
    _, charge_id = charge_for(provider, gateway)
    for event in ("invoice.created", "invoice.from_the_future", "subscription.expired", "withdraw_request.created"):
        assert post(provider, said(event, charge_id, "pending")) == 200
    tell(provider)
    assert {status for status, _ in provider.inbox()} == {"done"}


def test_a_pix_pays_the_invoice_once_however_often_it_is_told(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    gateway.queue.faults.repeat = 1.0
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    assert tell(provider) == 6  # created, pending and paid, each twice
    assert len(provider.inbox()) == 6  # and each looked at once more, because it may have been news
    clock.advance(timedelta(days=1))
    assert post(provider, said("invoice.status_changed", charge_id)) == 200
    tell(provider)
    assert provider.status(invoice_id) == "paid"
    (payment,) = provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method, payment.external_id) == (9990, "pix", charge_id)
    assert (payment.net_cents, payment.settled_at) == (9990 - 99, None)


@pytest.mark.parametrize("days_shown", [True, False])
def test_money_is_there_when_it_is_released(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock, days_shown: bool
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, method="bank_slip")
    tell(provider)
    assert provider.status(invoice_id) == "paid"
    assert provider.payments(invoice_id)[0].settled_at is None
    clock.advance(timedelta(days=1))
    gateway.release(charge_id)
    if not days_shown:
        gateway.invoices[charge_id].return_date = None
    tell(provider)
    (payment,) = provider.payments(invoice_id)
    assert payment.settled_at is not None
    assert payment.settled_at.date() == date(2026, 11, 25)
    assert (payment.net_cents, payment.method) == (9990 - 229, "boleto")


def test_an_invoice_that_is_paid_in_parts_with_the_same_words_is_paid_when_they_suffice(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock, database: Database
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    for value, paid_so_far, status in ((3000, 3000, "open"), (2000, 5000, "open"), (4990, 9990, "paid")):
        gateway.pay(charge_id, value, "bank_slip")
        tell(provider)
        assert [one.amount_cents for one in provider.payments(invoice_id)] == [paid_so_far]
        assert provider.status(invoice_id) == status
        clock.advance(timedelta(hours=1))
    assert [event.payload["amount_cents"] for event in events(database, "payment.grew")] == [2000, 4990]
    assert provider.payments(invoice_id)[0].net_cents == 9990 - 229


def test_two_parts_within_the_same_seconds_are_both_found(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, 3000)
    provider.deliver()
    clock.advance(timedelta(seconds=4))
    provider.work()
    gateway.pay(charge_id, 2000)
    provider.deliver()
    assert [one.amount_cents for one in provider.payments(invoice_id)] == [5000]
    assert provider.inbox() == [("done", None)] * 3  # created, pending, partially_paid


def test_a_part_that_is_given_back_leaves_the_invoice_paid_and_the_rest_of_it_does_not(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, method="credit_card")
    for value, in_all in ((1000, 1000), (500, 1500)):  # the same words twice
        gateway.refund(charge_id, value)
        tell(provider)
        assert provider.status(invoice_id) == "paid"
        assert provider.payments(invoice_id)[0].refunded_cents == in_all
        clock.advance(timedelta(hours=1))
    gateway.refund(charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "refunded"


def test_a_chargeback_makes_the_invoice_owed_again_and_a_protest_until_it_is_won(
    provider: Provider, gateway: simulator.Iugu
) -> None:
    lost, lost_charge = charge_for(provider, gateway)
    won, won_charge = charge_for(provider, gateway)
    for charge_id in (lost_charge, won_charge):
        gateway.pay(charge_id, method="credit_card")
        tell(provider)
        gateway.protest(charge_id)
    tell(provider)
    assert [provider.status(one) for one in (lost, won)] == ["open", "open"]
    gateway.chargeback(lost_charge)
    gateway.win(won_charge)
    tell(provider)
    assert [provider.status(one) for one in (lost, won)] == ["open", "paid"]


def test_what_was_paid_elsewhere_is_a_manual_payment_of_the_total(provider: Provider, gateway: simulator.Iugu) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.externally_pay(charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "paid"
    (payment,) = provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method, payment.net_cents) == (9990, "manual", None)


def test_late_with_fine_pays_too_little_does_not_and_too_much_is_told(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock, database: Database
) -> None:
    """2 % once and 0.033 % a day, five days late, of 99.90: 1.99 and 0.16."""
    charges = [charge_for(provider, gateway) for _ in range(4)]
    clock.advance(LATE)
    for (_, charge_id), value in zip(charges, (None, 9_990, 5_000, 12_000), strict=True):
        gateway.pay(charge_id, value)
    tell(provider)
    assert [provider.status(invoice_id) for invoice_id, _ in charges] == ["paid", "paid", "open", "paid"]
    parts = [(one.amount_cents, one.surcharge_cents) for invoice, _ in charges for one in provider.payments(invoice)]
    assert parts == [(10_205, 215), (9_990, 0), (5_000, 0), (12_000, 215)]
    assert [one.subject for one in events(database, "invoice.overpaid")] == [f"invoice:{charges[3][0]}"]
    assert [one.subject for one in events(database, "invoice.paid_in_part")] == [f"invoice:{charges[2][0]}"]


def test_who_pays_early_enough_pays_less_and_what_is_missing_beyond_that_is_missing(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    early, greedy, late = (charge_for(provider, gateway) for _ in range(3))
    for _, charge_id in (early, greedy, late):
        promised = [{"days": 15, "percent": 5}]
        gateway.invoices[charge_id].wanted = {
            **gateway.invoices[charge_id].wanted, "early_payment_discounts": promised,
        }  # fmt: skip
    gateway.pay(early[1], 9491)
    gateway.pay(greedy[1], 9490)
    clock.advance(timedelta(days=5))
    gateway.pay(late[1], 9491)
    tell(provider)
    assert [provider.status(invoice_id) for invoice_id, _ in (early, greedy, late)] == ["paid", "open", "open"]
    assert provider.payments(early[0])[0].discount_cents == 499
    shown = gateway.invoices[early[1]].shown() | {"status": "partially_paid"}
    (fact,) = answering(httpx.Response(200, json=shown)).fetch(early[1])
    assert isinstance(fact, PaymentReceived)
    assert fact.discount_cents == 0  # whatever was promised, Iugu says that something is missing


def test_a_cancelled_or_expired_charge_is_closed_and_one_that_is_paid_all_the_same_counts(
    provider: Provider, gateway: simulator.Iugu, database: Database
) -> None:
    _, cancelled = charge_for(provider, gateway)
    invoice_id, expired = charge_for(provider, gateway)
    gateway.cancel(cancelled)
    gateway.expire(expired)
    tell(provider)
    assert {event.payload["charge"] for event in events(database, "charge.closed")} == {cancelled, expired}
    gateway.pay(expired)
    tell(provider)
    assert provider.status(invoice_id) == "paid"


def test_an_api_that_does_not_know_of_the_payment_yet_is_asked_again_and_then_a_person(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    gateway.invoices[charge_id].status = "pending"
    tell(provider)
    assert provider.status(invoice_id) == "open"
    clock.advance(timedelta(seconds=3))
    gateway.invoices[charge_id].status = "paid"
    provider.work()
    assert provider.status(invoice_id) == "paid"

    other, other_charge = charge_for(provider, gateway)
    gateway.pay(other_charge)
    gateway.invoices[other_charge].status = "pending"
    tell(provider)
    for _ in range(12):
        clock.advance(timedelta(seconds=3))
        provider.work()
    assert ("failed", f"the gateway does not know of a payment of {other_charge}") in provider.inbox()
    assert provider.status(other) == "open"


def test_a_charge_of_nobodys_and_one_that_there_is_not_are_left_to_a_person(
    provider: Provider, gateway: simulator.Iugu
) -> None:
    invoice_id = provider.invoice()
    body = {
        "email": "a@example.com", "due_date": "2026-12-01", "payer": {"name": "x", "cpf_cnpj": "1"},
        "items": [{"description": "x", "quantity": 1, "price_cents": 1000}], "external_reference": str(invoice_id),
    }  # fmt: skip
    charge = gateway.add(body)
    gateway.pay(charge.id)
    tell(provider)
    assert provider.inbox()[-1] == ("failed", f"there is no invoice of charge {charge.id}")
    assert provider.status(invoice_id) == "open"
    post(provider, said("invoice.status_changed", ID))
    tell(provider)
    status, error = provider.inbox()[-1]
    assert status == "failed"
    assert "status 404" in str(error)


def test_a_forged_call_is_refused_and_leaves_nothing(provider: Provider, gateway: simulator.Iugu) -> None:
    _, charge_id = charge_for(provider, gateway)
    assert post(provider, said("invoice.status_changed", charge_id), "b" * 40) == 401
    assert post(provider, b"nothing=of&this") == 422
    assert provider.inbox() == []


def test_a_call_that_is_believed_by_nobody_pays_nothing(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    """Whoever knows the authorization can say that it was paid; the API does not."""
    invoice_id, charge_id = charge_for(provider, gateway)
    post(provider, said("invoice.status_changed", charge_id, "paid"))
    tell(provider)
    for _ in range(12):
        clock.advance(timedelta(seconds=3))
        provider.work()
    assert provider.status(invoice_id) == "open"
    assert provider.payments(invoice_id) == []


def test_a_call_that_gets_no_200_is_repeated_and_given_up_after_two_days(
    provider: Provider, gateway: simulator.Iugu, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    tell(provider)
    gateway.authorization = "another authorization, that is not known to us"
    gateway.pay(charge_id)
    began, tries = clock(), 0
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        tries += provider.deliver()
    assert tries == 10
    assert timedelta(days=1) < clock() - began <= timedelta(days=2)
    assert not gateway.queue.interrupted
    assert provider.status(invoice_id) == "open"


def test_the_same_order_twice_is_one_charge_and_a_cancelled_one_is_closed(
    gateway: simulator.Iugu, clock: ManualClock
) -> None:
    api = api_of(gateway)
    charge = api.create(order(1))
    clock.advance(timedelta(days=2))  # the key is forgotten there
    assert api.create(order(1)) == charge
    assert charge.pix_code
    assert charge.boleto_line
    assert charge.url
    api.create(order(11))
    api.create(order(1, 5000))
    assert len(gateway.invoices) == 3
    for closed in (charge.charge_id, charge.charge_id, "unknown"):
        api.cancel(closed)
    assert gateway.invoices[charge.charge_id].status == "canceled"


def test_two_orders_at_once_are_one_charge() -> None:
    """The other one is made after we looked for it; its key is used."""
    made = {
        "id": ID, "status": "pending", "total_cents": 9990, "external_reference": "provedor-1", "secure_url": "u",
    }  # fmt: skip
    nothing, conflict = httpx.Response(200, json={"items": []}), httpx.Response(409, json={"errors": "used"})
    api = answering(nothing, conflict, httpx.Response(200, json={"items": [made]}))
    assert api.create(order(1)).charge_id == ID
    with pytest.raises(GatewayRefused):
        answering(nothing, conflict, nothing).create(order(1))


def test_a_refusal_to_cancel_what_is_open_is_told(gateway: simulator.Iugu) -> None:
    shown = gateway.invoices[api_of(gateway).create(order(1)).charge_id].shown()
    with pytest.raises(GatewayRefused):
        answering(httpx.Response(422, json={"errors": "x"}), httpx.Response(200, json=shown)).cancel(ID)


def test_an_order_is_written_as_iugu_wants_it(gateway: simulator.Iugu) -> None:
    api = api_of(gateway)
    plain, odd, free = (
        dict(gateway.invoices[api.create(order(number, **late)).charge_id].wanted)
        for number, late in ((1, {}), (2, {"fine_bp": 150}), (3, {"fine_bp": 0, "interest_bp_month": 0}))
    )
    assert plain["payer"] == {
        "cpf_cnpj": "52998224725", "name": "Maria Souza", "email": "maria@example.com", "phone_prefix": "31",
        "phone": "999998888", "address": {"zip_code": "35400000", "street": "Rua A", "number": "9",
                                          "district": "Centro"},
    }  # fmt: skip
    assert (plain["payable_with"], plain["external_reference"]) == (["pix", "bank_slip"], "provedor-1")
    assert (plain["fines"], plain["late_payment_fine"], plain["per_day_interest_value"]) == (True, 2, 0.033)
    assert odd["late_payment_fine_cents"] == 149
    assert "fines" not in free
    assert gateway.keys.keys() == {"invoice-1-9990", "invoice-2-9990", "invoice-3-9990"}
    with pytest.raises(GatewayRefused, match="email"):
        api.create(order(4, payer=Payer("Maria Souza", "52998224725")))


def test_a_part_that_no_webhook_told_is_found(provider: Provider, gateway: simulator.Iugu, clock: ManualClock) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, 3000)
    tell(provider)
    gateway.queue.faults.lose = 1.0
    for value, paid_so_far in ((2000, 5000), (4990, 9990)):
        gateway.pay(charge_id, value)
        clock.advance(reconciliation.EVERY)
        with provider.database.transaction() as session:
            assert reconciliation.owe_due(session, clock(), UTC) == 1
        provider.work()
        assert [one.amount_cents for one in provider.payments(invoice_id)] == [paid_so_far]
    assert provider.status(invoice_id) == "paid"


def test_reconciliation_finds_what_no_webhook_told(gateway: simulator.Iugu, clock: ManualClock) -> None:
    gateway.queue.faults.lose = 1.0
    api = api_of(gateway)
    charges = [api.create(order(number)).charge_id for number in range(1, 251)]
    clock.advance(LATE)
    for charge_id in charges[:230]:
        gateway.pay(charge_id, method="credit_card")
    gateway.refund(charges[0])
    gateway.refund(charges[1], 100)
    gateway.chargeback(charges[2])
    facts = list(api.since(clock() - timedelta(hours=1)))
    received = [fact for fact in facts if isinstance(fact, PaymentReceived)]
    assert {fact.invoice_id for fact in received} == set(range(1, 231))
    assert [fact for fact in facts if isinstance(fact, PaymentReversed)] == [
        PaymentReversed(charges[0], refund=True),
        PaymentReversed(charges[1], refund=True, amount_cents=100),
        PaymentReversed(charges[2]),
    ]
    clock.advance(timedelta(days=2))
    assert list(api.since(clock())) == []


def test_an_invoice_as_public_code_shows_it_is_read() -> None:
    shown = {
        "id": ID, "due_date": "2022-09-24", "currency": "BRL", "discount_cents": None, "items_total_cents": 19000,
        "status": "paid", "total_cents": 19000, "total_paid_cents": 19000, "taxes_paid_cents": 687, "paid_cents": None,
        "paid_at": "2022-09-24T12:01:40-03:00", "early_payment_discount": False, "payment_method": "iugu_pix",
        "order_id": "provedor-7", "external_reference": None, "financial_return_dates": None, "unknown": [1],
    }  # fmt: skip
    at = datetime(2022, 9, 24, 15, 1, 40, tzinfo=UTC)
    assert answering(httpx.Response(200, json=shown)).fetch(ID) == [
        PaymentReceived(7, ID, ID, 19000, at, "pix", "BRL", net_cents=18313, so_far=True)
    ]


def test_what_was_taken_back_is_told_though_its_amount_is_not_shown_any_more() -> None:
    shown = {"id": ID, "status": "refunded", "total_cents": 100}
    assert answering(httpx.Response(200, json=shown)).fetch(ID) == [PaymentReversed(ID, refund=True)]
    with pytest.raises(WebhookMalformed) as malformed:
        answering(httpx.Response(200, json={**shown, "status": "paid", "updated_at": "2026-11-24T12:00:00Z"})).fetch(ID)
    assert malformed.value.field == "paid_cents"


@given(st.binary(max_size=60) | st.dictionaries(
    st.sampled_from(["id", "status", "total_cents", "paid_cents", "paid_at", "due_date", "refunded_cents"]),
    st.none() | st.integers() | st.sampled_from(["paid", "refunded", "2026-11-24", "2026-11-24T12:00:00Z", "x"]),
    max_size=7).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_of_the_api_is_facts_or_malformed(octets: bytes) -> None:
    try:
        assert isinstance(answering(httpx.Response(200, content=octets)).fetch(ID), list)
    except WebhookMalformed:
        return


def test_what_the_real_one_refuses_is_refused(gateway: simulator.Iugu) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test/v1", headers={"accept": "application/json"})
    assert client.get("/invoices", auth=("wrong", "")).status_code == 401
    client.auth = (TOKEN, "")
    sound: dict[str, Any] = {
        "email": "a@example.com", "due_date": "2026-12-10", "payer": {"name": "x", "cpf_cnpj": "1"},
        "items": [{"description": "x", "quantity": 1, "price_cents": 1000}],
    }  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {"email": ""}, {"payer": {}}, {"payer": {"name": "x"}}, {"items": []}, {"items": [{"price_cents": 100}]},
        {"items": [{"description": "x", "price_cents": 99}]}, {"items": [{"description": "x", "price_cents": 1.5}]},
        {"due_date": "2026-11-23"}, {"due_date": "10/12/2026"}, {"per_day_interest": True},
    ]  # fmt: skip
    answers = [client.post("/invoices", json=sound | changed) for changed in wrong]
    assert [answer.status_code for answer in answers] == [422] * len(wrong)
    assert all(isinstance(answer.json()["errors"], dict) for answer in answers)
    key = {"Idempotency-Key": "k"}
    invoice_id = client.post("/invoices", json=sound, headers=key).json()["id"]
    assert client.post("/invoices", json=sound, headers=key).status_code == 409
    assert client.get("/invoices/unknown").json() == {"errors": "Invoice Not Found"}
    assert client.post(f"/invoices/{invoice_id}/refund").status_code == 422  # nobody paid it
    gateway.pay(invoice_id, method="pix")
    assert client.post(f"/invoices/{invoice_id}/refund", json={"partial_value_refund_cents": 1}).status_code == 422
    assert client.put(f"/invoices/{invoice_id}/cancel").status_code == 422
    assert client.post(f"/invoices/{invoice_id}/refund").json()["status"] == "refunded"
    boleto = client.post("/invoices", json=sound).json()["id"]
    gateway.pay(boleto, method="bank_slip")
    assert client.post(f"/invoices/{boleto}/refund").status_code == 422
    assert client.put(f"/invoices/{boleto}/externally_pay").status_code == 422


def test_everything_that_can_be_done_to_an_invoice_is_done_by_its_path(gateway: simulator.Iugu) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    lives: list[list[tuple[str, dict[str, Any]]]] = [
        [("pay", {"value": 10}), ("pay", {"value": 9980, "method": "credit_card"}), ("release", {}),
         ("refund", {"value": 5}), ("refund", {})],
        [("pay", {}), ("protest", {}), ("win", {}), ("chargeback", {})], [("expire", {}), ("cancel", {})],
    ]  # fmt: skip
    ends = []
    for number, acts in enumerate(lives):
        charge_id = api_of(gateway).create(order(number + 1)).charge_id
        answers = [client.post(f"/_simulate/charges/{charge_id}/{act}", json=body) for act, body in acts]
        assert [answer.status_code for answer in answers] == [200] * len(acts)
        ends.append(answers[-1].json()["status"])
    assert ends == ["refunded", "chargeback", "canceled"]
    assert client.post("/_simulate/charges/1/burn", json={}).status_code == 404


def test_at_a_desk_its_account_is_what_the_simulation_shows(clock: ManualClock) -> None:
    simulation = simulator.simulation(Options("", {}, clock, Random(1), "http://testserver/hooks/iugu"))
    shown = simulation.credentials
    ADAPTER.check_secret(shown["secret"])
    client = TestClient(simulation.app, f"https://gateway.test{simulation.base_path}")
    ADAPTER.connect(Access({}, shown), Http(client)).create(order(1))
    sending = simulation.queue.due(clock())
    assert sending is not None
    headers, body = sending.event.request(clock())
    assert ADAPTER.authenticate(shown["secret"], Delivery(headers, body), NOW)
