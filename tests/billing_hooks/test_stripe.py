"""Stripe: its signature against the vendor's library, and the adapter and the simulator with each other."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import Provider, make_provider
from sqlalchemy import select
from starlette.testclient import TestClient
from stripe import SignatureVerificationError, WebhookSignature

from billing_hooks import accounts
from billing_hooks.gateways import stripe
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    ChargeClosed,
    ChargeOrder,
    Delivery,
    Irrelevant,
    Payer,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
    our_reference,
)
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.invoicing.words import Words
from billing_hooks.models import InboxEntry
from billing_hooks.simulators import stripe as simulator
from billing_hooks.simulators.hooks import HookQueue
from billing_hooks.simulators.simulation import Options
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring

SECRET = "whsec_0123456789abcdef0123456789abcdef"
OTHER_SECRET = "whsec_fedcba9876543210fedcba9876543210"
KEY = "sk_test_0123456789"
ADAPTER = stripe.Stripe()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYER = Payer(
    "Maria Souza", "52998224725", email="maria@example.com", street="Rua das Flores", number="10",
    postal_code="88000000", city="Florianópolis", state="SC",
)  # fmt: skip
BODY = json.dumps({"id": "evt_1", "object": "event", "type": "x", "livemode": False}).encode()


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.Stripe:
    return simulator.Stripe(KEY, SECRET, HookQueue(simulator.POLICY, Random(1)), clock)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Stripe) -> Provider:
    return provider_of(database, keyring, clock, gateway)


def provider_of(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Stripe, key: str = KEY, **settings: str
) -> Provider:
    return make_provider(
        database, keyring, clock, "stripe", SECRET, simulator.app_of(gateway), gateway.queue, settings=settings,
        credentials={"api_key": key},
    )  # fmt: skip


def api_of(gateway: simulator.Stripe, key: str = KEY, **settings: str) -> stripe.StripeApi:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    return ADAPTER.connect(Access(settings, {"api_key": key}), Http(client))


def order(invoice_id: int, amount_cents: int = 9990, due_date: date = date(2026, 12, 10)) -> ChargeOrder:
    return ChargeOrder(f"invoice-{invoice_id}", invoice_id, amount_cents, due_date, "Fibra 300", PAYER)


def charge_for(
    provider: Provider, gateway: simulator.Stripe, amount_cents: int = 9990, **settings: str
) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(gateway, **settings).create(order(invoice_id, amount_cents)).charge_id


def delivery(header: str, body: bytes = BODY, **settings: str) -> Delivery:
    return Delivery({"stripe-signature": header}, body, settings=settings)


def ours_accepts(secret: str, header: str, body: bytes, now: datetime) -> bool:
    try:
        ADAPTER.authenticate(secret, delivery(header, body), now)
    except WebhookNotAuthentic:
        return False
    except WebhookMalformed:
        return True
    return True


def theirs_accepts(secret: str, header: str, body: bytes, tolerance: int | None = None) -> bool:
    try:
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance))
    except (SignatureVerificationError, UnicodeDecodeError, TypeError):  # TypeError: a header that is not ASCII
        return False


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "sk_live_" + "x" * 40, "whsec_" + "ç" * 40, SECRET + "\n"]
)
def test_a_secret_that_is_no_endpoints_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"
    ADAPTER.check_secret(SECRET)


texts = st.text(st.characters(codec="utf-8"), max_size=60)
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))


@given(body=texts, secret=secrets, at=moments)
def test_what_the_simulator_signs_the_vendors_library_accepts(body: str, secret: str, at: datetime) -> None:
    assert theirs_accepts(secret, stripe.sign(secret, body.encode(), at), body.encode())


@given(body=texts, secret=secrets, at=moments)
def test_what_the_vendors_library_signs_is_authentic(body: str, secret: str, at: datetime) -> None:
    header = WebhookSignature.generate_signature_header(body, secret, int(at.timestamp()))
    assert ours_accepts(secret, header, body.encode(), at)


broken_items = st.sampled_from(
    ["t=", "t=1", "t=x", "v1=", "v1=00", "v0=00", "v1", "t", "", "=", " t=1", "v1=é", "t=1=2"]
)


@given(body=texts, other=texts, at=moments, items=st.lists(broken_items, max_size=4), turn=st.integers(0, 5))
def test_no_header_is_authentic_that_the_vendors_library_refuses(
    body: str, other: str, at: datetime, items: list[str], turn: int
) -> None:
    good = stripe.sign(SECRET, body.encode(), at).split(",")
    mixed = [*items, *good]
    header = ",".join(mixed[turn % len(mixed) :] + mixed[: turn % len(mixed)])
    for octets in (body.encode(), other.encode()):
        if ours_accepts(SECRET, header, octets, at):
            assert theirs_accepts(SECRET, header, octets)


@given(age_s=st.integers(-100_000, 1_000).filter(lambda age: abs(age - 300) > 30))
def test_old_ones_are_refused_as_the_vendors_library_does_and_newer_than_now_are_not(age_s: int) -> None:
    """Its clock is the wall's, so the moments are near to it, and not on the edge."""
    header = stripe.sign(SECRET, BODY, datetime.fromtimestamp(time.time() - age_s, UTC))
    accepted = ours_accepts(SECRET, header, BODY, datetime.now(UTC))
    assert accepted == theirs_accepts(SECRET, header, BODY, 300) == (age_s < 300)


def test_the_tolerance_is_five_minutes_to_the_second() -> None:
    header = stripe.sign(SECRET, BODY, NOW)
    assert ours_accepts(SECRET, header, BODY, NOW + timedelta(seconds=300))
    assert not ours_accepts(SECRET, header, BODY, NOW + timedelta(seconds=301))


def test_one_good_signature_among_several_is_enough_and_other_schemes_mean_nothing() -> None:
    """While an endpoint's secret is rolled Stripe signs with both."""
    seconds, ours = stripe.sign(SECRET, BODY, NOW).split(",")
    other = stripe.sign(OTHER_SECRET, BODY, NOW).split(",")[1]
    assert ours_accepts(SECRET, f"{seconds},{other},{ours},v0=6ffb", BODY, NOW)
    assert not ours_accepts(SECRET, f"{seconds},{other},{ours.replace('v1', 'v0')}", BODY, NOW)


@given(body=st.binary(max_size=200), header=st.text(max_size=60))
def test_no_octets_and_headers_but_signed_ones_are_authentic(body: bytes, header: str) -> None:
    assert not ours_accepts(SECRET, header, body, NOW)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["pi_1", "ch_1", "charge", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["object", "id", "payment_intent", "charge", "payment", "captured", "payment_status", "amount_paid"]
)


@given(
    type_=st.sampled_from(["charge.succeeded", "checkout.session.completed", "invoice.paid", "customer.created"]),
    about=st.dictionaries(names, json_values) | json_values,
    body=st.binary(max_size=100),
)
def test_any_body_reads_as_a_notice_or_is_malformed(type_: str, about: Any, body: bytes) -> None:
    for octets in (body, json.dumps({"id": "evt_1", "type": type_, "data": {"object": about}}).encode()):
        try:
            notice = ADAPTER.read(octets)
        except WebhookMalformed:
            continue
        assert isinstance(notice, AskBack | Irrelevant)
        assert not isinstance(notice, AskBack) or notice.reference.replace("_", "").isalnum()


CHARGE, INTENT = {"object": "charge", "id": "ch_1"}, {"object": "payment_intent", "id": "pi_1"}
DISPUTE = {"object": "dispute", "id": "dp_1", "charge": "ch_1"}
SESSION = {"object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1", "payment_status": "paid"}
INVOICE = {"object": "invoice", "id": "in_1", "amount_paid": 9990}
INVOICE_PAYMENT = {"object": "invoice_payment", "id": "inpay_1", "payment": {"payment_intent": "pi_1"}}


@pytest.mark.parametrize(
    ("type_", "about", "notice"),
    [
        ("charge.succeeded", CHARGE | {"payment_intent": "pi_1"}, AskBack("pi_1", pays=True)),
        ("charge.succeeded", CHARGE | {"payment_intent": None}, AskBack("ch_1", pays=True)),
        ("charge.succeeded", CHARGE | {"captured": False}, AskBack("ch_1")),
        ("charge.refunded", CHARGE | {"payment_intent": "pi_1"}, AskBack("pi_1")),
        ("payment_intent.succeeded", INTENT, AskBack("pi_1", pays=True)),
        ("payment_intent.payment_failed", INTENT, AskBack("pi_1")),
        ("payment_intent.canceled", INTENT, AskBack("pi_1")),
        ("charge.dispute.created", DISPUTE, AskBack("ch_1")),
        ("charge.dispute.closed", DISPUTE | {"payment_intent": "pi_1"}, AskBack("pi_1")),
        ("charge.dispute.funds_reinstated", DISPUTE | {"payment_intent": "pi_1"}, AskBack("pi_1")),
        ("checkout.session.async_payment_succeeded", SESSION, AskBack("pi_1", pays=True)),
        ("checkout.session.completed", SESSION | {"payment_status": "unpaid"}, AskBack("pi_1")),
        ("checkout.session.completed", SESSION | {"payment_intent": None}, Irrelevant("checkout.session.completed")),
        ("invoice.paid", INVOICE, AskBack("in_1", pays=True)),
        ("invoice.paid", INVOICE | {"amount_paid": 0}, AskBack("in_1")),
        ("invoice.paid", INVOICE | {"payment_intent": "pi_1"}, AskBack("pi_1", pays=True)),
        ("invoice_payment.paid", INVOICE_PAYMENT | {"amount_paid": None}, AskBack("pi_1", pays=True)),
        ("customer.created", {"object": "customer", "id": "cus_1"}, Irrelevant("customer.created")),
    ],
)
def test_events_of_one_payment_ask_for_the_same_intent(type_: str, about: dict[str, Any], notice: object) -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": type_, "data": {"object": about}, "new": 1}).encode()
    assert ADAPTER.read(body) == notice


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        (9990, "brl", 9990), (500, "jpy", 50000), (7, "clp", 700), (500, "ugx", 500), (500, "isk", 500),
        (1230, "kwd", 123),
    ],
)  # fmt: skip
def test_amounts_are_hundredths_whatever_the_currencys_smallest_unit(
    gateway: simulator.Stripe, amount: int, currency: str, cents: int
) -> None:
    api = api_of(gateway, currency=currency, payment_method="card")
    charge_id = api.create(order(1, cents)).charge_id
    assert gateway.intents[charge_id].amount == amount
    gateway.pay(charge_id)
    (received,) = api.fetch(charge_id)
    assert isinstance(received, PaymentReceived)
    assert (received.amount_cents, received.currency) == (cents, currency.upper())


def test_yen_have_no_hundredths_to_be_charged(gateway: simulator.Stripe) -> None:
    with pytest.raises(InvalidInput) as refused:
        api_of(gateway, currency="jpy", payment_method="card").create(order(1, 50001))
    assert refused.value.field == "amount_cents"


def test_a_boleto_that_the_bank_tells_of_late_pays_when_it_does(provider: Provider, gateway: simulator.Stripe) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay_late(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_a_boleto_that_was_paid_though_it_had_expired_pays(provider: Provider, gateway: simulator.Stripe) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.fail(charge_id)
    provider.deliver()
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_a_refund_that_failed_is_money_again(provider: Provider, gateway: simulator.Stripe) -> None:
    """The invoice stays refunded, which is final; the payment counts, and a person is told."""
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    gateway.refund(charge_id)
    provider.deliver()
    assert provider.payments(invoice_id)[0].reversed_at is not None
    gateway.fail_refund(charge_id)
    provider.deliver()
    assert provider.payments(invoice_id)[0].reversed_at is None


def test_a_dispute_that_was_lost_stays_owed_and_an_inquiry_takes_nothing(
    provider: Provider, gateway: simulator.Stripe
) -> None:
    lost, lost_charge = charge_for(provider, gateway, payment_method="card")
    asked, asked_charge = charge_for(provider, gateway, payment_method="card")
    for charge_id in (lost_charge, asked_charge):
        gateway.pay(charge_id)
        gateway.dispute(charge_id)
    inquired = gateway.intents[asked_charge].charge
    assert inquired is not None
    inquired.disputes[0].status = "warning_needs_response"
    gateway.close_dispute(lost_charge, "lost")
    provider.deliver()
    assert provider.status(lost) == "open"
    assert provider.status(asked) == "paid"


def test_a_won_dispute_of_a_refunded_payment_does_not_bring_it_back(
    provider: Provider, gateway: simulator.Stripe
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway, payment_method="card")
    gateway.pay(charge_id)
    gateway.dispute(charge_id)
    gateway.close_dispute(charge_id, "won")
    gateway.refund(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "refunded"
    assert api_of(gateway).fetch(charge_id)[1:] == [PaymentReversed(charge_id, refund=True)]


def test_an_invoice_of_stripe_billing_is_the_charge_that_its_intents_pay(
    provider: Provider, gateway: simulator.Stripe
) -> None:
    named = provider.invoice()
    stripe_invoice, intent = gateway.add_invoice(9990, {})
    provider.name_charge(named, "stripe", stripe_invoice)
    referred = provider.invoice()
    _, other = gateway.add_invoice(9990, {"invoice": our_reference(referred)})
    gateway.pay(intent.id)
    gateway.pay(other.id)
    provider.deliver()
    assert [provider.status(one) for one in (named, referred)] == ["paid", "paid"]
    assert [payment.external_id for payment in provider.payments(named)] == [intent.id]
    assert {status for status, _ in provider.inbox()} == {"done"}


def test_forged_and_stale_webhooks_are_refused_and_stored_nowhere(
    provider: Provider, gateway: simulator.Stripe, clock: ManualClock
) -> None:
    event = json.dumps({"id": "evt_9", "type": "charge.succeeded", "data": {"object": {"object": "charge"}}}).encode()
    old = clock() - timedelta(seconds=301)
    headers = [
        "",
        stripe.sign(OTHER_SECRET, event, clock()),
        stripe.sign(SECRET, event, old),
        stripe.sign(SECRET, b"", clock()),
    ]
    for header in headers:
        answer = provider.receiver.post("/hooks/stripe", content=event, headers={"stripe-signature": header})
        assert answer.status_code == 401
        assert SECRET not in answer.text
    assert provider.inbox() == []


@pytest.mark.parametrize(
    ("settings", "told", "authentic"),
    [
        ({}, {"livemode": False}, True),
        ({"livemode": "true"}, {"livemode": True}, True),
        ({"livemode": "true"}, {"livemode": False}, False),
        ({"livemode": "false"}, {"livemode": True}, False),
        ({"livemode": "yes"}, {"livemode": True}, False),
        ({"account": "acct_1"}, {"account": "acct_1"}, True),
        ({"account": "acct_1"}, {"account": "acct_2"}, False),
        ({"account": "acct_1"}, {}, False),
    ],
)
def test_events_of_the_other_mode_or_of_another_account_are_not_for_us(
    settings: dict[str, str], told: dict[str, Any], authentic: bool
) -> None:
    body = json.dumps({"id": "evt_1", "type": "x"} | told).encode()
    given_to_us = delivery(stripe.sign(SECRET, body, NOW), body, **settings)
    if authentic:
        assert ADAPTER.authenticate(SECRET, given_to_us, NOW)[0].event_id == "evt_1"
    else:
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, given_to_us, NOW)


def test_a_platforms_connected_account_has_its_own_events_and_its_own_payments(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Stripe
) -> None:
    gateway.account, gateway.livemode = "acct_1", True
    provider = provider_of(database, keyring, clock, gateway, account="acct_1", livemode="true")
    invoice_id, charge_id = charge_for(provider, gateway, account="acct_1")
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    stored = len(provider.inbox())
    gateway.livemode = False
    gateway.refund(charge_id)
    provider.deliver()
    assert len(provider.inbox()) == stored
    assert gateway.queue.sendings[-1].answers == [401]


def test_one_secret_for_two_connected_accounts_gives_each_its_own_events(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Stripe
) -> None:
    provider = provider_of(database, keyring, clock, gateway, account="acct_1")
    with database.transaction() as session:
        other = accounts.create_account(
            session,
            keyring,
            "stripe",
            "other",
            SECRET,
            Actor("test"),
            settings={"account": "acct_2"},
            credentials={"api_key": KEY},
        ).id
    gateway.account = "acct_2"
    gateway.add_intent({"amount": "1000", "currency": "brl"})
    provider.deliver()
    with database.transaction() as session:
        assert [entry.account_id for entry in session.scalars(select(InboxEntry))] == [other]


def test_a_webhook_is_tried_for_nearly_three_days_and_signed_anew_each_time(
    provider: Provider, gateway: simulator.Stripe, clock: ManualClock
) -> None:
    gateway.secret = OTHER_SECRET
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    began = clock()
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        if clock() - began > timedelta(days=2):
            gateway.secret = SECRET
        provider.deliver()
    assert timedelta(days=2) < clock() - began < timedelta(days=3)
    assert provider.status(invoice_id) == "paid"


@pytest.mark.parametrize("waited", [timedelta(), timedelta(minutes=2), timedelta(days=2)])
def test_the_same_order_twice_is_one_charge_however_late(
    gateway: simulator.Stripe, clock: ManualClock, waited: timedelta
) -> None:
    """By the idempotency key, by both, by the search."""
    api = api_of(gateway)
    charge = api.create(order(1))
    clock.advance(waited)
    assert api.create(order(1)) == charge
    assert charge.boleto_line
    assert charge.url
    assert len(gateway.intents) == 1
    assert api.create(order(2)).charge_id != charge.charge_id


@pytest.mark.parametrize("waited", [timedelta(), timedelta(minutes=2), timedelta(days=2)])
def test_an_order_whose_charge_was_cancelled_is_a_new_one_and_again_only_one(
    gateway: simulator.Stripe, clock: ManualClock, waited: timedelta
) -> None:
    api = api_of(gateway)
    dead = api.create(order(1)).charge_id
    api.cancel(dead)
    api.cancel(dead)
    api.cancel("pi_unknown")
    clock.advance(waited)
    anew = api.create(order(1))
    assert anew.charge_id != dead
    assert anew.boleto_line
    assert api.create(order(1)) == anew
    assert api.fetch(dead) == [ChargeClosed(dead)]


def test_a_paid_charge_stays_paid_and_one_that_a_bank_works_on_is_not_taken_for_cancelled(
    gateway: simulator.Stripe,
) -> None:
    api = api_of(gateway)
    charge_id = api.create(order(1)).charge_id
    gateway.pay_late(charge_id)
    with pytest.raises(GatewayRefused):
        api.cancel(charge_id)
    gateway.pay(charge_id)
    api.cancel(charge_id)
    assert gateway.intents[charge_id].status == "succeeded"


@pytest.mark.parametrize("other", [order(2), order(1, 5000)])
def test_an_order_is_never_the_charge_of_another_invoice_or_amount(
    gateway: simulator.Stripe, clock: ManualClock, other: ChargeOrder
) -> None:
    """As when two installations share an account, and so their keys: at once it is refused, and later it is another."""
    api = api_of(gateway)
    charge = api.create(order(1))
    same_key = replace(other, key=order(1).key)
    with pytest.raises(GatewayRefused, match="idempotency_error"):
        api.create(same_key)
    clock.advance(timedelta(days=2))
    assert api.create(same_key).charge_id != charge.charge_id


def test_a_boleto_that_expired_is_closed_until_it_is_ordered_again(
    gateway: simulator.Stripe, clock: ManualClock
) -> None:
    api = api_of(gateway)
    charge = api.create(order(1))
    gateway.fail(charge.charge_id)
    assert api.fetch(charge.charge_id) == [ChargeClosed(charge.charge_id)]
    clock.advance(timedelta(days=20))
    assert api.create(order(1)) == charge
    assert api.fetch(charge.charge_id) == []


def test_a_card_that_was_refused_leaves_the_charge_open(gateway: simulator.Stripe) -> None:
    api = api_of(gateway, payment_method="card")
    charge = api.create(order(1))
    assert (charge.boleto_line, charge.pix_code) == (None, None)
    gateway.fail(charge.charge_id)
    assert api.fetch(charge.charge_id) == []


def test_a_pix_has_its_code_and_is_good_for_two_weeks_at_most(gateway: simulator.Stripe) -> None:
    api = api_of(gateway, payment_method="pix")
    for number, due in enumerate((date(2026, 11, 24), date(2026, 12, 30), date(2026, 11, 1))):
        charge = api.create(order(number, due_date=due))
        assert charge.pix_code
        assert charge.url


def test_a_boleto_for_a_day_that_is_past_or_far_away_is_made_all_the_same(gateway: simulator.Stripe) -> None:
    for number, due in enumerate((date(2026, 11, 1), date(2027, 11, 1))):
        assert api_of(gateway).create(order(number, due_date=due)).boleto_line


def test_a_payer_without_an_address_gets_no_boleto_and_stripes_reason_is_told(gateway: simulator.Stripe) -> None:
    poor = ChargeOrder("invoice-1", 1, 9990, date(2026, 12, 10), "Fibra", Payer("Maria", "52998224725"))
    with pytest.raises(GatewayRefused, match=r"billing_details\]\[email"):
        api_of(gateway).create(poor)


def test_a_charge_without_an_intent_is_a_payment_of_its_own() -> None:
    at = int(NOW.timestamp())
    charge = {
        "id": "ch_1", "currency": "jpy", "created": at, "status": "succeeded", "captured": True,
        "amount_captured": 500, "amount_refunded": 100, "refunded": False, "disputed": False, "payment_intent": None,
        "payment_method_details": {"type": "card"}, "metadata": {"invoice": "provedor-7"}, "refunds": {"data": []},
        "balance_transaction": {"net": 3, "currency": "usd", "created": at, "available_on": at},
    }  # fmt: skip
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=charge))
    received, given_back = connect(transport).fetch("ch_1")
    assert isinstance(received, PaymentReceived)
    assert (received.payment_id, received.invoice_id, received.amount_cents) == ("ch_1", 7, 50000)
    assert (received.currency, received.net_cents, received.settled_at) == ("JPY", None, NOW)
    assert given_back == PaymentReversed("ch_1", refund=True, amount_cents=10000)


def connect(transport: httpx.MockTransport, **settings: str) -> stripe.StripeApi:
    return ADAPTER.connect(
        Access(settings, {"api_key": KEY}), Http(httpx.Client(transport=transport, base_url="http://g"))
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, GatewayRefused), (401, GatewayDenied), (403, GatewayDenied), (404, GatewayRefused), (409, GatewayAway),
        (429, GatewayAway), (502, GatewayAway),
    ],
)  # fmt: skip
def test_failures_of_the_api_say_whose_they_are_and_no_secret(status: int, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text="não"))
    with pytest.raises(error) as failed:
        connect(transport).fetch("pi_1")
    assert KEY not in str(failed.value)


def test_the_api_is_asked_in_the_version_and_for_the_account_that_is_set() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404)

    for settings in ({}, {"api_version": "2020-08-27", "account": "acct_1"}):
        with pytest.raises(GatewayRefused):
            connect(httpx.MockTransport(answer), **settings).fetch("pi_1")
    shown = [(one.headers["stripe-version"], one.headers.get("stripe-account")) for one in asked]
    assert shown == [(stripe.API_VERSION, None), ("2020-08-27", "acct_1")]
    assert asked[0].headers["authorization"] == f"Bearer {KEY}"


@given(
    body=st.binary(max_size=100)
    | st.dictionaries(st.text(max_size=8), json_values).map(lambda v: json.dumps(v).encode())
)
def test_any_answer_of_the_api_is_facts_or_malformed(body: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    for reference in ("pi_1", "ch_1", "in_1"):
        try:
            assert isinstance(connect(transport).fetch(reference), list)
        except WebhookMalformed:
            continue


@given(
    status=st.sampled_from(["succeeded", "canceled", "processing"]), amount=st.integers(-(2**65), 2**65),
    created=st.integers(-(2**65), 2**65), net=st.integers(-(2**65), 2**65),
    currency=st.sampled_from(["brl", "jpy", "kwd"]),
)  # fmt: skip
def test_any_numbers_of_the_api_are_facts_or_malformed(
    status: str, amount: int, created: int, net: int, currency: str
) -> None:
    balance = {"net": net, "currency": currency, "created": created, "available_on": created}
    charge = {"id": "ch_1", "currency": currency, "created": created, "balance_transaction": balance}
    intent = {
        "id": "pi_1", "status": status, "currency": currency, "created": created, "amount_received": amount,
        "latest_charge": charge, "metadata": {"invoice": "provedor-1"},
    }  # fmt: skip
    try:
        facts = connect(httpx.MockTransport(lambda _: httpx.Response(200, json=intent))).fetch("pi_1")
    except WebhookMalformed:
        return
    if status != "succeeded":
        assert facts == ([ChargeClosed("pi_1")] if status == "canceled" else [])
        return
    (received,) = facts
    assert isinstance(received, PaymentReceived)
    assert 0 < received.amount_cents < 1 << 53
    assert received.net_cents is None or 0 < received.net_cents < 1 << 53


def test_what_is_simulated_has_the_secrets_that_are_given_or_good_ones(clock: ManualClock) -> None:
    given_to_it = simulator.simulation(Options(SECRET, {"api_key": KEY}, clock, Random(1), "http://h/"))
    assert given_to_it.credentials == {"secret": SECRET, "api_key": KEY}
    made_up = simulator.simulation(Options("", {}, clock, Random(1), "http://h/"))
    ADAPTER.check_secret(made_up.credentials["secret"])
    headers = {"authorization": f"Bearer {made_up.credentials['api_key']}"}
    assert TestClient(made_up.app).get("/v1/events", headers=headers).status_code == 200


def test_what_the_real_one_refuses_is_refused(gateway: simulator.Stripe) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    assert client.get("/v1/payment_intents/pi_1").status_code == 401
    assert client.get("/v1/payment_intents/pi_1", headers={"authorization": "Bearer sk_wrong"}).status_code == 401
    assert client.get("/v1/payment_intents/pi_1", auth=(KEY, "")).status_code == 404
    client.headers["authorization"] = f"Bearer {KEY}"
    good = {"amount": "1000", "currency": "brl", "payment_method_types[0]": "boleto"}
    wrong: list[tuple[dict[str, str], str]] = [
        ({"amount": "0"}, "amount"), ({"amount": "9.90"}, "amount"), ({"currency": "xx"}, "currency"),
        ({"currency": "usd"}, "currency"), ({"payment_method_types[0]": "cheque"}, "payment_method_types"),
        ({"ammount": "1"}, "ammount"),
    ]  # fmt: skip
    for form, param in wrong:
        answer = client.post("/v1/payment_intents", data=good | form)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    key = {"idempotency-key": "k"}
    first, again = (client.post("/v1/payment_intents", data=good, headers=key) for _ in range(2))
    assert first.json() == again.json()
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    other = client.post("/v1/payment_intents", data=good | {"amount": "2000"}, headers=key)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_person_plays_the_payers_their_banks_and_our_staff(gateway: simulator.Stripe) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    charge_id = api_of(gateway).create(order(1)).charge_id

    def act(what: str, **body: int) -> tuple[int, object]:
        answer = client.post(f"/_simulate/charges/{charge_id}/{what}", json=body)
        return answer.status_code, answer.json().get("status")

    assert act("pay-late") == (200, "processing")
    assert act("fail") == (200, "requires_payment_method")
    assert act("pay") == (200, "succeeded")
    assert act("pay")[0] == 400
    assert act("dispute") == act("win-dispute") == (200, "succeeded")
    assert act("lose-dispute")[0] == 400
    assert act("dispute") == act("lose-dispute") == (200, "succeeded")
    assert act("refund", amount=100)[0] == act("refund")[0] == act("fail-refund")[0] == 200
    assert act("dance")[0] == 404


@pytest.mark.parametrize(
    ("answer", "alarm"),
    [
        (httpx.Response(403), None),  # a restricted key need not know of them
        (httpx.Response(200, json={"data": [{"url": "https://else.where/stripe", "status": "disabled"}]}), None),
        (httpx.Response(200, json={"data": [{"url": "https://a.test/hooks/stripe", "status": "enabled"}]}), None),
        (
            httpx.Response(200, json={"data": [{"url": "https://a.test/hooks/stripe", "status": "disabled"}]}),
            Words(
                "o Stripe desativou o endpoint https://a.test/hooks/stripe; ative-o lá",
                "Stripe has disabled the endpoint https://a.test/hooks/stripe; enable it there",
            ),
        ),
    ],
)
def test_an_endpoint_of_ours_that_is_disabled_is_an_alarm(answer: httpx.Response, alarm: Words | None) -> None:
    assert connect(httpx.MockTransport(lambda _: answer)).queue_alarm() == alarm
