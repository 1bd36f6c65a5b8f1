"""Standard Webhooks: what its signature accepts, and what any octets behind it turn into."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from billing_factories import OTHER_SECRET, SECRET, event, signed
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.testclient import TestClient

from billing_hooks.gateways.base import (
    Delivery,
    Irrelevant,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.standard import StandardWebhooks, sign
from billing_hooks.simulators import Options, standard
from billing_hooks.simulators.hooks import HookQueue, Policy
from core.clock import ManualClock
from core.errors import InvalidInput

ADAPTER = StandardWebhooks()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYMENT = {"invoice_id": "7", "payment_id": "p", "amount_cents": 9990, "paid_at": "2026-11-24T09:00:00-03:00"}


def test_the_known_vector_of_standard_webhooks_comes_out() -> None:
    """The key, message and signature that the published libraries test themselves against."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    ADAPTER.check_secret(secret)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_"), "whsec_!!!", SECRET + "A" * 80]
)
def test_a_secret_that_verifies_nothing_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"
    assert "c2hvcnQ" not in refused.value.detail


def test_one_good_signature_among_others_is_enough() -> None:
    """A sender that rotates its key signs with both (spec: space separated list)."""
    headers = dict(signed(event("x"), event_id="msg", at=NOW))
    headers["webhook-signature"] = "v1,AAAA v1a,BBBB " + headers["webhook-signature"]
    assert ADAPTER.authenticate(SECRET, Delivery(headers, event("x")), NOW)[0].event_id == "msg"


def test_a_changed_octet_a_stale_or_future_time_and_another_key_are_not_authentic() -> None:
    body = event("payment.received", **PAYMENT)
    cases = [
        (signed(body, at=NOW), body.replace(b"9990", b"9991")),
        (signed(body, at=NOW - timedelta(minutes=6)), body),
        (signed(body, at=NOW + timedelta(minutes=6)), body),
        (signed(body, secret=OTHER_SECRET, at=NOW), body),
        ({}, body),
    ]
    for headers, octets in cases:
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, Delivery(headers, octets), NOW)


@given(age_s=st.integers(-100_000, 100_000).filter(lambda age: abs(abs(age) - 300) > 30), other=st.booleans())
def test_what_the_library_verifies_is_authentic_and_nothing_else(age_s: int, other: bool) -> None:
    """Its clock is the wall's, so the moments are near to it, and not on the edge."""
    now = datetime.now(UTC)
    body, secret = event("x"), OTHER_SECRET if other else SECRET
    headers = sign(secret, "msg_1", body, now - timedelta(seconds=age_s))
    try:
        Webhook(SECRET).verify(body, headers, json_parse=False)
        theirs = True
    except WebhookVerificationError:
        theirs = False
    assert theirs == (abs(age_s) < 300 and not other)
    if theirs:
        assert ADAPTER.authenticate(SECRET, Delivery(headers, body), now)
    else:
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, Delivery(headers, body), now)


def test_authentic_and_meaningless_bodies_are_malformed() -> None:
    for body in (b"", b"{}", b"[]", b"null", b'{"type": 3}', b"[" * 200_000):
        with pytest.raises(WebhookMalformed):
            ADAPTER.authenticate(SECRET, Delivery(signed(body, at=NOW), body), NOW)


def test_an_event_id_that_no_index_takes_is_malformed() -> None:
    for event_id in ("m" * 256, "m\0"):
        with pytest.raises(WebhookMalformed) as refused:
            ADAPTER.authenticate(SECRET, Delivery(signed(event("x"), event_id=event_id, at=NOW), event("x")), NOW)
        assert refused.value.field == "webhook-id"


@given(body=st.binary(max_size=200), headers=st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=40)))  # fmt: skip
def test_no_octets_and_headers_but_signed_ones_are_authentic(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookNotAuthentic):
        ADAPTER.authenticate(SECRET, Delivery(headers, body), NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["payment.received", "invoice.paid", "payment.reversed", "other"])
fields = st.sampled_from([*PAYMENT, "charge_id", "method"])


@given(kind=kinds, change=st.dictionaries(fields, json_values, max_size=4) | json_values)
def test_any_event_reads_as_a_notice_or_is_malformed(kind: str, change: Any) -> None:
    data = PAYMENT | change if isinstance(change, dict) else change
    try:
        notice = ADAPTER.read(json.dumps({"type": kind, "data": data}).encode())
    except WebhookMalformed:
        return
    assert isinstance(notice, PaymentReceived | PaymentReversed | Irrelevant)
    if isinstance(notice, PaymentReceived):
        assert notice.amount_cents > 0
        assert notice.paid_at.tzinfo is not None
        assert "\0" not in notice.payment_id + notice.method + (notice.charge_id or "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_cents": 0}, "data.amount_cents"),
        ({"amount_cents": -1}, "data.amount_cents"),
        ({"amount_cents": 99.9}, "data"),
        ({"amount_cents": "9990"}, "data"),
        ({"amount_cents": True}, "data"),
        ({"paid_at": "2026-11-24T09:00:00"}, "data.paid_at"),
        ({"paid_at": "0001-01-01T00:00:00+23:59"}, "data.paid_at"),
        ({"paid_at": "yesterday"}, "data"),
        ({"payment_id": ""}, "data"),
        ({"payment_id": "a\0b"}, "data"),
        ({"payment_id": "p" * 256}, "data"),
        ({"method": "\0"}, "data"),
        ({"invoice_id": None}, "data.invoice_id"),
        ({"invoice_id": "٣"}, "data.invoice_id"),
        ({"invoice_id": "-1"}, "data.invoice_id"),
        ({"invoice_id": "9" * 19}, "data.invoice_id"),
    ],
)
def test_a_value_that_cannot_be_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(WebhookMalformed) as refused:
        ADAPTER.read(event("payment.received", **PAYMENT | change))
    assert refused.value.field == field
    assert refused.value.detail.startswith("data")


def test_unknown_fields_and_unknown_types_are_tolerated() -> None:
    assert isinstance(ADAPTER.read(event("invoice.paid", **PAYMENT, fee_cents=199)), PaymentReceived)
    assert ADAPTER.read(event("customer.moved", anything=[1])) == Irrelevant("customer.moved")


# ------------------------------------------------------------------------------------------------- the simulator


def gateway_of(*statuses: int, policy: Policy = standard.POLICY) -> tuple[standard.Standard, list[timedelta]]:
    """What it sent one payment at, and how long after the first try each came; 200 when the statuses are used up."""
    clock, left, tried = ManualClock(NOW), list(statuses), list[timedelta]()
    gateway = standard.Standard(SECRET, HookQueue(policy, Random(1)), clock)
    gateway.pay("7", 9990, "p")
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        sending = gateway.queue.due(clock())
        assert sending is not None
        headers, body = sending.event.request(clock())
        (message,) = ADAPTER.authenticate(SECRET, Delivery(headers, body), clock())  # each try is signed anew
        assert message.event_id == "msg_p"
        assert ADAPTER.read(message.body) == PaymentReceived(7, None, "p", 9990, NOW, "pix")
        tried.append(clock() - NOW)
        gateway.queue.answered(sending, left.pop(0) if left else 200, clock())
    return gateway, tried


def test_it_tries_for_three_days_with_the_same_id_and_gives_up() -> None:
    gateway, tried = gateway_of(*[0, 503, 404] * 9)
    assert tried[:4] == [timedelta(seconds=seconds) for seconds in (0, 5, 305, 2105)]
    assert len(tried) == 10
    assert timedelta(days=3) < tried[-1] < timedelta(days=4)
    assert not gateway.queue.interrupted


def test_a_receiver_that_wants_no_more_gets_none_until_somebody_resumes() -> None:
    gateway, tried = gateway_of(500, 410)
    assert len(tried) == 2
    assert gateway.queue.interrupted
    gateway.queue.resume(gateway.clock())
    assert gateway.queue.due(gateway.clock()) is not None


def test_who_sends_by_hand_waits_some_seconds_at_most() -> None:
    _, tried = gateway_of(*[500] * 9, policy=standard.BY_HAND)
    assert [one.total_seconds() for one in tried] == [0, 0.5, 1.5, 3.5, 7.5]


def test_a_person_pays_reverses_and_refunds_by_simulate() -> None:
    simulation = standard.simulation(Options("", {}, ManualClock(NOW), Random(1), "http://h/hooks/standard"))
    ADAPTER.check_secret(simulation.credentials["secret"])
    client = TestClient(simulation.app, "http://gateway.test/_simulate/charges")
    payment_id = client.post("/7/pay", json={"amount_cents": 9990}).json()["payment_id"]
    assert client.post("/7/pay", json={"amount_cents": 1, "payment_id": "mine"}).json() == {"payment_id": "mine"}
    for what in ("reverse", "refund"):
        assert client.post(f"/{payment_id}/{what}").status_code == 200
    for wrong in ({}, {"amount_cents": 0}, {"amount_cents": "1"}):
        assert client.post("/7/pay", json=wrong).status_code == 400
    assert client.post("/7/dance").status_code == 404
    said = [ADAPTER.read(sending.event.request(NOW)[1]) for sending in simulation.queue.sendings]
    assert said[2:] == [PaymentReversed(payment_id), PaymentReversed(payment_id, refund=True)]
    with pytest.raises(InvalidInput):
        standard.simulation(Options("nonsense", {}, ManualClock(NOW), Random(1), "http://h/"))
