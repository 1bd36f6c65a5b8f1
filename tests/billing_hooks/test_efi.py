"""Efí Cobranças, the adapter and the simulator with each other, from the notification to the invoice."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import Provider, events, make_provider, no_holiday, tell
from sqlalchemy import select
from starlette.testclient import TestClient

from billing_hooks import charges, inbox
from billing_hooks.gateways import efi
from billing_hooks.gateways.base import (
    GATHERED,
    NODES_APART,
    Access,
    AskBack,
    ChargeClosed,
    ChargeOrder,
    Delivery,
    Payer,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
    gathered,
)
from billing_hooks.gateways.http import GatewayDenied, GatewayRefused, Http
from billing_hooks.models import GatewayAccount
from billing_hooks.simulators import Options
from billing_hooks.simulators import efi as simulator
from billing_hooks.simulators.hooks import HookQueue
from core.audit import Actor
from core.clock import Clock, ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models import Customer

SECRET = "a_token-of-more-than-32-characters"
CREDENTIALS = {"client_id": "Client_Id_1", "client_secret": "Client_Secret_1"}
NOTIFY_URL = "http://testserver/hooks/efi"
HOOK = f"{NOTIFY_URL}?token={SECRET}"
TOKEN = "09027955-5e06-4ff0-a9c7-46b47b8f1b27"
ADAPTER = efi.Efi()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYER = Payer("Maria Souza", "529.982.247-25", "maria@example.com", "+55 31 99999-8888")
LATE = timedelta(days=21)


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.Efi:
    return simulator.Efi(
        CREDENTIALS["client_id"], CREDENTIALS["client_secret"], HookQueue(simulator.POLICY, Random(1)), clock
    )


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Efi) -> Provider:
    return make_provider(
        database, keyring, clock, "efi", SECRET, simulator.app_of(gateway), gateway.queue,
        base_url="https://gateway.test/v1", credentials=CREDENTIALS,
    )  # fmt: skip


def api_of(gateway: simulator.Efi, credentials: dict[str, str] = CREDENTIALS, clock: Clock | None = None) -> efi.EfiApi:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test/v1")
    return efi.Efi(clock or gateway.clock).connect(Access({}, credentials, SECRET), Http(client))


def answering(*answers: httpx.Response) -> efi.EfiApi:
    """An API that says these things, one after the other."""
    left = list(answers)
    client = httpx.Client(transport=httpx.MockTransport(lambda _: left.pop(0)), base_url="http://g/v1")
    return efi.Efi(lambda: NOW).connect(Access({}, CREDENTIALS), Http(client))


def order(invoice_id: int, amount_cents: int = 9990, notify_url: str = NOTIFY_URL, payer: Payer = PAYER) -> ChargeOrder:
    return ChargeOrder(
        f"invoice-{invoice_id}", invoice_id, amount_cents, date(2026, 12, 10), "Fibra 300", payer, 200, 100, notify_url
    )


def charge_for(provider: Provider, gateway: simulator.Efi, amount_cents: int = 9990) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(gateway).create(order(invoice_id, amount_cents)).charge_id


def post(provider: Provider, token: str, secret: str = SECRET) -> int:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return provider.receiver.post(
        f"/hooks/efi?token={secret}", content=f"notification={token}", headers=headers
    ).status_code


@pytest.mark.parametrize("secret", ["", "x" * 31, "x" * 129, "ç" * 40, "x" * 40 + "\n", "x" * 40 + "&", "a b" * 20])
def test_a_secret_that_is_short_or_cannot_stand_in_a_url_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"
    ADAPTER.check_secret(SECRET)


def test_only_the_token_in_the_url_is_authentic() -> None:
    body = f"notification={TOKEN}".encode()
    for query in ("", "token=", f"token={SECRET}x", f"other={SECRET}", f"token=x&token={SECRET}", "token=%FF", "%"):
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, Delivery({}, body, query), NOW)
    (message,) = ADAPTER.authenticate(SECRET, Delivery({}, body, f"a=1&token={SECRET}"), NOW)
    assert message.event_id.startswith(f"{TOKEN}@")
    assert ADAPTER.read(message.body) == AskBack(TOKEN)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda token: f"notification={token}".encode()))
def test_any_octets_read_as_a_notice_or_are_malformed(body: bytes) -> None:
    try:
        assert isinstance(ADAPTER.read(body), AskBack)
    except WebhookMalformed:
        return


@given(st.text(max_size=60), st.binary(max_size=60))
def test_any_request_is_an_event_or_is_refused(query: str, body: bytes) -> None:
    try:
        assert ADAPTER.authenticate(SECRET, Delivery({}, body, query), NOW)
    except (WebhookNotAuthentic, WebhookMalformed):
        return


def test_a_notification_that_would_leave_its_path_is_malformed() -> None:
    for token in ("../charge/1", "a%2Fb", "", "a" * 65, "a?b", "%00"):
        with pytest.raises(WebhookMalformed) as malformed:
            ADAPTER.read(f"notification={token}".encode())
        assert malformed.value.field == "notification"


_moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(_moments, st.floats(0, 30))
def test_a_repetition_is_asked_about_after_all_that_its_span_told(first: datetime, seconds: float) -> None:
    """So no news falls between: told before the last question about its span, it is in the answer."""
    later = first + timedelta(seconds=seconds)
    event, repetition = gathered(TOKEN, b"", first), gathered(TOKEN, b"", later)
    assert event.again is not None
    assert repetition.again is not None
    if event.event_id == repetition.event_id:
        assert repetition.again == event.again
        assert later + NODES_APART < event.again.not_before <= first + GATHERED + NODES_APART
    else:
        assert later + NODES_APART >= event.again.not_before


def test_a_repetition_after_the_first_was_answered_is_asked_about_at_once(
    provider: Provider, gateway: simulator.Efi, clock: ManualClock
) -> None:
    """A charge that is paid some seconds after it was made, as out of the walled garden."""
    invoice_id, charge_id = charge_for(provider, gateway)
    provider.deliver()
    clock.advance(inbox.ASKED_AGAIN_AFTER)
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_a_repetition_with_news_within_the_same_moment_is_not_lost(
    provider: Provider, gateway: simulator.Efi, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    provider.deliver()
    assert provider.inbox()[0] == ("done", None)  # asked at once: nothing is paid
    gateway.pay(charge_id)
    provider.deliver()
    assert provider.status(invoice_id) == "open"
    clock.advance(GATHERED + NODES_APART)
    provider.work()
    assert provider.status(invoice_id) == "paid"
    assert provider.inbox() == [("done", None)] * 2


def test_a_flood_of_repetitions_is_an_entry_each_ten_seconds_and_each_is_looked_at(
    provider: Provider, gateway: simulator.Efi, clock: ManualClock
) -> None:
    _, charge_id = charge_for(provider, gateway)
    token = gateway.charges[int(charge_id)].token
    for _ in range(3):
        assert {post(provider, token) for _ in range(20)} == {200}
        clock.advance(GATHERED)
    assert len(provider.inbox()) == 4
    clock.advance(NODES_APART)
    provider.work()
    assert provider.inbox() == [("done", None)] * 4


def test_what_precedes_the_money_or_is_none_pays_nothing(provider: Provider, gateway: simulator.Efi) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.move(charge_id, "unpaid", "Cobrança não paga", "waiting")
    gateway.move(charge_id, "identified", "Pagamento identificado", "unpaid")
    tell(provider)
    assert provider.status(invoice_id) == "open"
    assert provider.payments(invoice_id) == []
    gateway.pay(charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "paid"


def refund(gateway: simulator.Efi, charge_id: str) -> None:
    gateway.move(charge_id, "refunded", "Pagamento devolvido", "paid", "contested")


def contest(gateway: simulator.Efi, charge_id: str) -> None:
    gateway.move(charge_id, "contested", "Pagamento em contestação", "paid")


@pytest.mark.parametrize("told_between", [True, False])
def test_paid_then_refunded_ends_refunded_whether_or_not_we_asked_in_between(
    provider: Provider, gateway: simulator.Efi, told_between: bool
) -> None:
    gateway.queue.faults.reorder = 1.0
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    if told_between:
        tell(provider)
        assert provider.status(invoice_id) == "paid"
    refund(gateway, charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "refunded"
    assert {status for status, _ in provider.inbox()} == {"done"}


@pytest.mark.parametrize("told_between", [True, False])
def test_a_refund_that_ends_a_dispute_is_none_of_ours_whether_or_not_we_asked_in_between(
    provider: Provider, gateway: simulator.Efi, told_between: bool
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id)
    contest(gateway, charge_id)
    if told_between:
        tell(provider)
    refund(gateway, charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "open"


def test_what_was_marked_as_paid_by_hand_is_a_manual_payment_of_the_charges_total(
    provider: Provider, gateway: simulator.Efi
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.settle(charge_id)
    tell(provider)
    assert provider.status(invoice_id) == "paid"
    (payment,) = provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method) == (9990, "manual")


def test_what_was_marked_as_paid_and_is_paid_at_the_bank_all_the_same_was_paid_twice(
    provider: Provider, gateway: simulator.Efi, database: Database
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.settle(charge_id)
    gateway.pay(charge_id, 10_000)
    tell(provider)
    assert [one.amount_cents for one in provider.payments(invoice_id)] == [9990, 10_000]
    assert len(events(database, "invoice.overpaid")) == 1


def test_late_with_fine_pays_too_little_does_not_and_too_much_is_told(
    provider: Provider, gateway: simulator.Efi, clock: ManualClock, database: Database
) -> None:
    """2 % once and 0.033 % a day, five days late, of 99.90: 2.00 and 0.17."""
    made = [charge_for(provider, gateway) for _ in range(4)]
    clock.advance(LATE)
    for (_, charge_id), value in zip(made, (10_207, 9_990, 5_000, 12_000), strict=True):
        gateway.pay(charge_id, value, date(2026, 12, 15))
    tell(provider)
    assert [provider.status(invoice_id) for invoice_id, _ in made] == ["paid", "paid", "open", "paid"]
    parts = [(one.surcharge_cents, one.discount_cents) for invoice, _ in made for one in provider.payments(invoice)]
    assert parts == [(217, 0), (0, 0), (0, 0), (217, 0)]
    assert [one.subject for one in events(database, "invoice.overpaid")] == [f"invoice:{made[3][0]}"]
    assert [one.subject for one in events(database, "invoice.paid_in_part")] == [f"invoice:{made[2][0]}"]


def test_what_is_paid_above_the_total_in_time_is_no_fine(provider: Provider, gateway: simulator.Efi) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    gateway.pay(charge_id, 10_100)
    tell(provider)
    assert provider.payments(invoice_id)[0].surcharge_cents == 0


def test_a_discount_counts_where_it_was_promised_until_that_day(provider: Provider, gateway: simulator.Efi) -> None:
    kept, late, greedy = (charge_for(provider, gateway) for _ in range(3))
    for (_, charge_id), paid_on, value in (
        (kept, date(2026, 11, 20), 9491),
        (late, date(2026, 11, 21), 9491),
        (greedy, date(2026, 11, 20), 9000),
    ):
        promised = {"type": "percentage", "value": 500, "until_date": "2026-11-20"}
        gateway.charges[int(charge_id)].billet["conditional_discount"] = promised
        gateway.pay(charge_id, value, paid_on)
    tell(provider)
    assert [provider.status(invoice_id) for invoice_id, _ in (kept, late, greedy)] == ["paid", "open", "open"]
    assert provider.payments(kept[0])[0].discount_cents == 499


def test_a_cancelled_or_expired_charge_is_closed_and_one_that_is_paid_all_the_same_counts(
    provider: Provider, gateway: simulator.Efi, database: Database
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    _, expired = charge_for(provider, gateway)
    gateway.cancel(charge_id)
    gateway.move(expired, "expired", "Cobrança expirada", "waiting")
    tell(provider)
    assert {event.payload["charge"] for event in events(database, "charge.closed")} == {charge_id, expired}
    gateway.pay(charge_id)  # it was printed before
    tell(provider)
    assert provider.status(invoice_id) == "paid"


def test_a_charge_of_nobodys_and_a_token_of_nobodys_are_left_to_a_person(
    provider: Provider, gateway: simulator.Efi
) -> None:
    invoice_id = provider.invoice()
    body: dict[str, Any] = {
        "items": [{"name": "x", "value": 1000, "amount": 1}],
        "metadata": {"custom_id": str(invoice_id), "notification_url": HOOK},
        "payment": {"banking_billet": {"customer": {"name": "x", "cpf": "1" * 11}, "expire_at": "2026-12-01"}},
    }
    charge = gateway.add_charge(body)
    gateway.pay(str(charge.id))
    tell(provider)
    assert set(provider.inbox()) == {("failed", f"there is no invoice of charge {charge.id}")}
    assert provider.status(invoice_id) == "open"
    post(provider, TOKEN)
    tell(provider)
    status, error = provider.inbox()[-1]
    assert status == "failed"
    assert "status 404" in str(error)


def test_a_forged_notification_is_refused_and_leaves_nothing(provider: Provider, gateway: simulator.Efi) -> None:
    _, charge_id = charge_for(provider, gateway)
    token = gateway.charges[int(charge_id)].token
    assert post(provider, token, "b" * 40) == 401
    assert post(provider, "not a token") == 422
    assert provider.inbox() == []


def test_the_history_of_the_documents_is_read_and_a_carnets_own_lines_are_passed_over() -> None:
    history = {"code": 200, "data": [
        {"created_at": "2022-04-03 07:33:30", "custom_id": "provedor-7", "id": 3,
         "identifiers": {"carnet_id": 9, "charge_id": 24342333}, "received_by_bank_at": "2022-04-02",
         "status": {"current": "paid", "previous": "unpaid"}, "type": "carnet_charge", "value": 6990},
        {"created_at": "2022-02-20 09:12:23", "custom_id": None, "id": 1, "identifiers": {"carnet_id": 9},
         "status": {"current": "up_to_date", "previous": None}, "type": "carnet"},
        {"created_at": "2022-02-20 09:12:23", "custom_id": None, "id": 2, "identifiers": {"charge_id": "24342333"},
         "status": {"current": "waiting", "previous": "new"}, "type": "carnet_charge"},
    ]}  # fmt: skip
    details = {"code": 200, "data": {"charge_id": 24342333, "total": 6990, "status": "paid", "custom_id": "provedor-7",
               "payment": {"method": "carnet"}, "history": []}}  # fmt: skip
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    (fact,) = answering(token, httpx.Response(200, json=history), httpx.Response(200, json=details)).fetch(TOKEN)
    assert fact == PaymentReceived(
        7, "24342333", "24342333", 6990, datetime(2022, 4, 2, 15, tzinfo=UTC), "carnet", "BRL",
        settled_at=datetime(2022, 4, 3, 10, 33, 30, tzinfo=UTC),
    )  # fmt: skip


def test_the_order_of_a_history_is_that_of_its_ids_not_of_its_lines(gateway: simulator.Efi) -> None:
    api = api_of(gateway)
    charge = gateway.charges[int(api.create(order(1)).charge_id)]
    gateway.pay(str(charge.id))
    refund(gateway, str(charge.id))
    charge.changes.reverse()
    assert api.fetch(charge.token)[1:] == [PaymentReversed(str(charge.id), refund=True)]


def test_a_list_that_knows_no_filter_leads_to_nobody_elses_charge() -> None:
    """`custom_id` and `page` are in no document."""
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    others = [{"id": number, "total": 9990, "status": "waiting", "custom_id": f"provedor-{number}"}
              for number in range(100, 200)]  # fmt: skip
    listed = httpx.Response(200, json={"data": others})
    made = httpx.Response(200, json={"data": {"charge_id": 7, "barcode": "1", "pix": {"qrcode": "2"}, "link": "3"}})
    charge = answering(token, listed, listed, made).create(order(1))
    assert (charge.charge_id, charge.boleto_line, charge.pix_code, charge.url) == ("7", "1", "2", "3")


def test_a_token_for_the_api_is_used_until_shortly_before_it_ends(gateway: simulator.Efi, clock: ManualClock) -> None:
    api = api_of(gateway)
    charge_id = api.create(order(1)).charge_id
    token = gateway.charges[int(charge_id)].token
    api.fetch(token)
    assert len(gateway.tokens) == 1
    clock.advance(timedelta(seconds=571))
    api.fetch(token)
    assert len(gateway.tokens) == 2


def test_a_token_that_ended_early_is_renewed_once_and_refused_credentials_are_not_tried_again(
    gateway: simulator.Efi,
) -> None:
    api = api_of(gateway)
    charge_id = api.create(order(1)).charge_id
    gateway.tokens = dict.fromkeys(gateway.tokens, NOW)
    api.cancel(charge_id)
    assert len(gateway.tokens) == 2

    tokens = [httpx.Response(200, json={"access_token": name, "expires_in": 600}) for name in "ab"]
    with pytest.raises(GatewayDenied):
        answering(tokens[0], httpx.Response(401), tokens[1], httpx.Response(401)).fetch(TOKEN)
    with pytest.raises(GatewayDenied) as denied:
        answering(httpx.Response(401)).fetch(TOKEN)
    assert CREDENTIALS["client_secret"] not in str(denied.value)


def test_the_same_order_twice_is_one_charge_and_a_cancelled_one_is_made_anew(gateway: simulator.Efi) -> None:
    api = api_of(gateway)
    charge = api.create(order(1))
    assert api.create(order(1)) == charge
    assert charge.pix_code
    assert charge.boleto_line
    assert charge.url
    others = [api.create(order(11)), api.create(order(1, 5000))]
    api.cancel(charge.charge_id)
    anew = api.create(order(1))
    assert len({one.charge_id for one in (charge, *others, anew)}) == 4 == len(gateway.charges)


def test_a_charge_that_is_closed_or_unknown_stays_so_when_cancelled_and_other_refusals_are_told(
    gateway: simulator.Efi,
) -> None:
    api = api_of(gateway)
    charge_id = api.create(order(1)).charge_id
    for closed in (charge_id, charge_id, "987654"):
        api.cancel(closed)
    assert gateway.charges[int(charge_id)].status == "canceled"
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    answering(token, httpx.Response(404)).cancel("1")
    with pytest.raises(GatewayRefused):
        answering(token, httpx.Response(400, json={"code": 3500034, "error": "validation_error"})).cancel(charge_id)


def test_an_order_is_written_as_efi_wants_it(gateway: simulator.Efi) -> None:
    address = {"street": "Rua A", "number": "9", "district": "Centro", "postal_code": "35400-000"}
    company = Payer("Padaria Ltda", "99.794.567/0001-44", None, "3133334444", city="Ouro Preto", state="MG", **address)
    api = api_of(gateway)
    person, firm = (api.create(order(number, payer=payer)) for number, payer in ((1, PAYER), (2, company)))
    customers = [gateway.charges[int(one.charge_id)].billet["customer"] for one in (person, firm)]
    assert customers[0] == {
        "name": "Maria Souza", "cpf": "52998224725", "email": "maria@example.com", "phone_number": "31999998888",
    }  # fmt: skip
    assert customers[1]["juridical_person"] == {"corporate_name": "Padaria Ltda", "cnpj": "99794567000144"}
    assert customers[1]["address"]["zipcode"] == "35400000"
    charge = gateway.charges[int(person.charge_id)]
    assert charge.billet["configurations"] == {"fine": 200, "interest": 33}
    assert (charge.custom_id, charge.notification_url) == ("provedor-1", HOOK)
    with pytest.raises(GatewayRefused, match="notification_url"):
        api.create(order(3, notify_url="https://provedor.example/" + "a" * 255))


@pytest.mark.parametrize("before", [0, 150, 260])
def test_a_refusal_that_repeats_our_url_shows_no_secret(before: int) -> None:
    said = {"error": "a" * before, "error_description": f"A URL {HOOK} é inválida."}
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    nothing = httpx.Response(200, json={"data": []})
    with pytest.raises(GatewayRefused) as refused:
        answering(token, nothing, httpx.Response(400, json=said)).create(order(1))
    assert SECRET[:4] not in str(refused.value)
    assert "status 400" in str(refused.value)


def test_a_charge_that_is_ordered_is_told_our_url_with_its_token_and_pays_its_invoice(
    provider: Provider, gateway: simulator.Efi
) -> None:
    invoice_id = provider.invoice()
    with provider.database.transaction() as session:
        for customer in session.scalars(select(Customer)):
            customer.document = "52998224725"
        account_id = session.scalars(select(GatewayAccount.id)).one()
        charges.order_charge(
            session,
            invoice_id,
            account_id,
            Actor("test"),
            date(2026, 11, 24),
            no_holiday,
            due_date=date(2026, 12, 10),
        )
    provider.work()
    (charge,) = gateway.charges.values()
    assert charge.notification_url == f"https://provedor.test/hooks/efi?token={SECRET}"
    gateway.pay(str(charge.id))
    tell(provider)
    assert provider.status(invoice_id) == "paid"


def test_a_charge_that_was_read_is_not_read_again_until_it_changes(gateway: simulator.Efi, clock: ManualClock) -> None:
    asked: list[str] = []
    client = TestClient(simulator.app_of(gateway), "https://gateway.test/v1")
    client.event_hooks = {"request": [lambda request: asked.append(request.url.path)]}
    api = efi.Efi(clock).connect(Access({}, CREDENTIALS, SECRET), Http(client))
    charge_id = api.create(order(1)).charge_id
    gateway.pay(charge_id)
    first = list(api.since(clock()))
    assert list(api.since(clock())) == first
    assert asked.count(f"/v1/charge/{charge_id}") == 1
    refund(gateway, charge_id)
    assert len(list(api.since(clock()))) == 2
    assert asked.count(f"/v1/charge/{charge_id}") == 2


def test_reconciliation_finds_what_no_webhook_told(gateway: simulator.Efi, clock: ManualClock) -> None:
    gateway.queue.faults.lose = 1.0
    api = api_of(gateway)
    made = [api.create(order(number)).charge_id for number in range(1, 251)]
    clock.advance(LATE)
    for charge_id in made[:230]:
        gateway.pay(charge_id, 10_100)
    refund(gateway, made[0])
    contest(gateway, made[1])
    facts = list(api.since(clock() - timedelta(hours=1)))
    received = [fact for fact in facts if isinstance(fact, PaymentReceived)]
    assert {fact.invoice_id for fact in received} == set(range(1, 231))
    assert {(fact.amount_cents, fact.surcharge_cents) for fact in received} == {(10_100, 110)}
    reversed_ = [fact for fact in facts if isinstance(fact, PaymentReversed)]
    assert reversed_ == [PaymentReversed(made[0], refund=True), PaymentReversed(made[1])]
    clock.advance(timedelta(days=2))
    assert list(api.since(clock())) == []


def test_what_reconciliation_tells_is_the_same_payment_as_the_notification_tells(gateway: simulator.Efi) -> None:
    api = api_of(gateway)
    charge_id = api.create(order(1)).charge_id
    gateway.pay(charge_id)
    assert list(api.since(NOW)) == api.fetch(gateway.charges[int(charge_id)].token)


def test_a_list_is_read_whatever_it_leaves_out() -> None:
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    listed = httpx.Response(200, json={"code": 200, "data": [
        {"id": 1, "total": 500, "status": "refunded", "custom_id": None},
        {"id": 2, "total": 500, "status": "settled", "payment": {}},
        {"id": 3, "total": 500, "status": "canceled"}, {"id": 4, "total": 500, "status": "unpaid"},
    ]})  # fmt: skip
    details = [
        httpx.Response(200, json={"data": {"charge_id": number, "total": 500, "status": status,
                                           "history": [{"message": "", "created_at": "2026-11-24 09:00:00"}]}})
        for number, status in ((1, "refunded"), (2, "settled"))
    ]  # fmt: skip
    facts = list(answering(token, listed, *details).since(NOW))
    assert facts == [
        PaymentReversed("1", refund=True),
        PaymentReceived(None, "2", "2-manual", 500, datetime(2026, 11, 24, 15, tzinfo=UTC), "manual", "BRL",
                        settled_at=NOW),
        ChargeClosed("3"),
    ]  # fmt: skip


@given(st.sampled_from(["notification", "charges"]), st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=6), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["data", "id", "status", "current", "identifiers", "charge_id", "created_at", "value"]), inner,
        max_size=6), max_leaves=12).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_of_the_api_is_facts_or_malformed(asked: str, octets: bytes) -> None:
    token = httpx.Response(200, json={"access_token": "t", "expires_in": 600})
    api = answering(token, httpx.Response(200, content=octets))
    try:
        assert isinstance(api.fetch(TOKEN) if asked == "notification" else list(api.since(NOW)), list)
    except (WebhookMalformed, IndexError):  # IndexError: it went on to ask for details
        return


def test_a_notification_counts_as_received_when_its_token_is_asked_for_not_when_its_url_says_200(
    gateway: simulator.Efi, clock: ManualClock
) -> None:
    api = api_of(gateway)
    charge = gateway.charges[int(api.create(order(1)).charge_id)]
    for status in (200, 500):
        while (sending := gateway.queue.due(clock())) is not None:
            gateway.queue.answered(sending, status, clock())
        at = gateway.queue.next_at()
        assert at is not None
        assert at > clock()
        clock.advance(at - clock())
    api.fetch(charge.token)
    assert gateway.queue.next_at() is None


def test_the_url_is_disabled_after_three_days_and_what_waited_comes_when_it_is_enabled(
    provider: Provider, gateway: simulator.Efi, clock: ManualClock
) -> None:
    invoice_id, charge_id = charge_for(provider, gateway)
    tell(provider)
    wrong, gateway.charges[int(charge_id)].notification_url = HOOK, HOOK + "x"
    gateway.pay(charge_id)
    began = clock()
    while (at := gateway.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        provider.deliver()
    assert timedelta(days=2) < clock() - began <= timedelta(days=3, hours=1)
    assert gateway.queue.interrupted
    assert provider.status(invoice_id) == "open"
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    headers = {"authorization": f"Bearer {gateway.authorize()['access_token']}"}
    client.put(f"/v1/charge/{charge_id}/metadata", headers=headers, json={"notification_url": wrong})
    assert client.post("/_simulate/resume").json()["interrupted"] is False
    gateway.move(charge_id, "refunded", "Pagamento devolvido", "paid")
    tell(provider)
    assert provider.status(invoice_id) == "refunded"


def test_what_the_real_one_refuses_is_refused(gateway: simulator.Efi) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    assert client.get("/v1/charge/1", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.post("/v1/authorize", auth=("a", "b"), json={}).status_code == 401
    basic = (CREDENTIALS["client_id"], CREDENTIALS["client_secret"])
    assert client.post("/v1/authorize", auth=basic, json={}).status_code == 400
    token = client.post("/v1/authorize", auth=basic, json={"grant_type": "client_credentials"}).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}

    def ordered(**changed: Any) -> httpx.Response:
        customer = {"name": "Maria Souza", "cpf": "52998224725"} | changed.pop("customer", {})
        billet = {"customer": customer, "expire_at": "2026-12-10"} | changed.pop("billet", {})
        body = {"items": [{"name": "a", "value": 1000, "amount": 1}], "payment": {"banking_billet": billet}} | changed
        return client.post("/v1/charge/one-step", headers=headers, json=body)

    charge_id = ordered().json()["data"]["charge_id"]
    wrong: list[dict[str, Any]] = [
        {"items": []}, {"items": [{"name": "", "value": 1000}]}, {"items": [{"name": "a", "value": 0}]},
        {"items": [{"name": "a", "value": 10.5}]}, {"items": [{"name": "a", "value": 499}]}, {"payment": {}},
        {"customer": {"cpf": "1"}}, {"customer": {"name": ""}}, {"customer": {"phone_number": "1"}},
        {"customer": {"juridical_person": {"cnpj": "1"}}}, {"billet": {"expire_at": "2026-11-23"}},
        {"billet": {"expire_at": "10/12/2026"}}, {"billet": {"configurations": {"fine": 1001}}},
        {"billet": {"configurations": {"interest": 331}}}, {"billet": {"message": "a\n" * 5}},
        {"metadata": {"notification_url": "ftp://x"}}, {"metadata": {"custom_id": "a" * 256}},
    ]  # fmt: skip
    answers = [ordered(**changed) for changed in wrong]
    assert [answer.status_code for answer in answers] == [400] * len(wrong)
    assert all({"code", "error", "error_description"} == answer.json().keys() for answer in answers)
    for query in ("", "?charge_type=banking_billet", "?charge_type=billet&begin_date=2026-11-24&end_date=2026-11-01"):
        assert client.get(f"/v1/charges{query}", headers=headers).status_code == 400
    assert client.get("/v1/charge/77", headers=headers).status_code == 404
    assert client.put(f"/v1/charge/{charge_id}/settle", headers=headers).json() == {"code": 200}
    for act, code in (("cancel", 3500043), ("settle", 3500038)):
        answer = client.put(f"/v1/charge/{charge_id}/{act}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_everything_that_can_be_done_to_a_charge_is_done_by_its_path(gateway: simulator.Efi) -> None:
    client = TestClient(simulator.app_of(gateway), "https://gateway.test")
    lives = [
        ("identify", "pay", "contest", "win", "refund"), ("unpaid", "settle"), ("cancel",), ("expire",),
    ]  # fmt: skip
    ends = []
    for number, acts in enumerate(lives):
        charge_id = api_of(gateway).create(order(number + 1)).charge_id
        answers = [client.post(f"/_simulate/charges/{charge_id}/{act}", json={}) for act in acts]
        assert [answer.status_code for answer in answers] == [200] * len(acts)
        ends.append(answers[-1].json()["status"])
    assert ends == ["refunded", "settled", "canceled", "expired"]
    assert client.post("/_simulate/charges/1/burn", json={}).status_code == 404


def test_at_a_desk_notifications_go_to_its_own_url(clock: ManualClock) -> None:
    options = Options("", {"client_id": "a"}, clock, Random(1), NOTIFY_URL)
    simulation = simulator.simulation(options)
    shown = simulation.credentials
    assert (simulation.hook_url, shown["client_id"]) == (f"{NOTIFY_URL}?token={shown['secret']}", "a")
    ADAPTER.check_secret(shown["secret"])
    client = TestClient(simulation.app, f"https://gateway.test{simulation.base_path}")
    efi.Efi(clock).connect(Access({}, shown, "other"), Http(client)).create(order(1))
    sending = simulation.queue.due(clock())
    assert sending is not None
    assert sending.event.url == simulation.hook_url
