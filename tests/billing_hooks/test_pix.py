"""Pix by the central bank's contract: adapter and simulator with each other, from the webhook to the invoice."""

from __future__ import annotations

import json
import ssl
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from certificates import certify
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import Provider, make_provider, no_holiday
from sqlalchemy import select
from starlette.testclient import TestClient

from billing_hooks import accounts, charges
from billing_hooks.errands import make_client
from billing_hooks.gateways import mutual_tls, pix, pix_shown
from billing_hooks.gateways.base import (
    Access,
    AskBack,
    ChargeOrder,
    Delivery,
    Fact,
    Irrelevant,
    Payer,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.gateways.oauth import Token
from billing_hooks.gateways.reading import decode
from billing_hooks.models import Charge, ChargeStatus, GatewayAccount, InboxEntry
from billing_hooks.simulators import Options
from billing_hooks.simulators import pix as simulator
from billing_hooks.simulators.hooks import HookQueue
from billing_hooks.simulators.serving import Sender, Tls, serving
from core.audit import Actor
from core.clock import ManualClock, utc_now
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models import Customer, Event, Invoice

SECRET = "a-secret_of.more~than-32-characters"
CLIENT_ID, CLIENT_SECRET = "Client_Id_0123", "Client_Secret_4567"
KEY = "5f84a4c5-c5cb-4599-9f13-7eb4d419dacc"
OTHER_KEY = "+5581987654321"
E2E = "E00416968202611241200s08793XPJ11"
ADAPTER = pix.Pix()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYER = Payer(
    "Maria Souza", "52998224725", street="Alameda Souza", number="80", district="Braz", postal_code="70011-750",
    city="Recife", state="PE",
)  # fmt: skip
#: As Efí calls the URL that was registered with it, and as another bank does.
EFI_PATH, PLAIN_PATH = f"?hmac={SECRET}&ignorar=/pix", f"/pix?hmac={SECRET}"
SETTINGS = {**ADAPTER.settings, "pix_key": KEY, "base_url": "https://bank.test"}


AUTHORITY = certify("bank")
OURS = certify("provedor", AUTHORITY)
CREDENTIALS = {
    "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "certificate": OURS.pem, "private_key": OURS.key_pem(),
}  # fmt: skip


@pytest.fixture
def bank(clock: ManualClock) -> simulator.Bank:
    queue = HookQueue(simulator.POLICY, Random(1))
    return simulator.Bank(CLIENT_ID, CLIENT_SECRET, frozenset({KEY, OTHER_KEY}), queue, clock)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, bank: simulator.Bank) -> Provider:
    return provider_at(database, keyring, clock, bank, EFI_PATH)


def provider_at(database: Database, keyring: Keyring, clock: ManualClock, bank: simulator.Bank, path: str) -> Provider:
    return make_provider(
        database, keyring, clock, "pix", SECRET, simulator.app_of(bank), bank.queue, base_url="https://bank.test",
        path=path, settings={"pix_key": KEY}, credentials=CREDENTIALS,
    )  # fmt: skip


def api_of(bank: simulator.Bank, **changed: str) -> pix.PixApi:
    """Settings or credentials may be others; its clock is the bank's."""
    settings = SETTINGS | {name: value for name, value in changed.items() if name in SETTINGS}
    credentials = CREDENTIALS | {name: value for name, value in changed.items() if name in CREDENTIALS}
    client = TestClient(simulator.app_of(bank), settings["base_url"])
    return pix.PixApi(Access(settings, credentials, SECRET), Http(client), bank.clock)


def order(invoice_id: int, amount_cents: int = 9990, **values: Any) -> ChargeOrder:
    made = ChargeOrder(
        f"invoice-{invoice_id}", invoice_id, amount_cents, date(2026, 12, 10), "Fibra 300", PAYER, 200, 100
    )
    return replace(made, **values)


def charge_for(provider: Provider, bank: simulator.Bank, amount_cents: int = 9990) -> tuple[int, str]:
    """(invoice, charge)"""
    invoice_id = provider.invoice(amount_cents)
    return invoice_id, api_of(bank).create(order(invoice_id, amount_cents)).charge_id


def notified(*items: object) -> bytes:
    return json.dumps({"pix": list(items)}).encode()


def events_of(provider: Provider, invoice_id: int) -> list[str]:
    with provider.database.transaction() as session:
        told = select(Event.type).where(Event.subject == f"invoice:{invoice_id}")
        return list(session.scalars(told.order_by(Event.id)))


# ---------------------------------------------------------------------------------------------------- the webhook


@pytest.mark.parametrize("secret", ["", "x" * 31, "x" * 201, "ção" * 20, "x" * 40 + "\n", "x" * 40 + "/", "a b" * 20])
def test_a_secret_that_is_short_or_needs_an_escape_in_a_url_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTER.check_secret(secret)
    assert refused.value.field == "secret"
    ADAPTER.check_secret(SECRET)


def test_only_the_token_in_the_url_is_authentic_wherever_the_bank_writes_its_pix() -> None:
    body = notified({"endToEndId": E2E, "valor": "99.90", "horario": "2026-11-24T12:00:00.000Z"})
    for query in (
        "", "ignorar=/pix", "hmac=", "hmac=/pix", f"hmac={SECRET}x", f"hmac={SECRET[:-1]}", f"HMAC={SECRET}",
        f"hmac={SECRET}&hmac=x", "hmac=%ff%00",
    ):  # fmt: skip
        with pytest.raises(WebhookNotAuthentic):
            ADAPTER.authenticate(SECRET, Delivery({}, body, query), NOW)
    for query in (f"hmac={SECRET}", f"hmac={SECRET}&ignorar=/pix", f"hmac={SECRET}/pix", f"ignorar=&hmac={SECRET}"):
        (message,) = ADAPTER.authenticate(SECRET, Delivery({}, body, query), NOW)
        assert message.event_id == E2E
        assert ADAPTER.read(message.body) == AskBack(E2E, pays=True)


@pytest.mark.parametrize("path", [EFI_PATH, PLAIN_PATH, f"?hmac={SECRET}"])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"evento": "teste_webhook", "data_criacao": "2026-11-24"}', b'{"pix": []}', b'{"pix": null}']
)
def test_the_test_by_which_a_webhook_is_registered_succeeds_and_stores_nothing(
    provider: Provider, path: str, body: bytes
) -> None:
    assert provider.receiver.post(f"/hooks/pix{path}", content=body).status_code == 200
    assert provider.inbox() == []


def test_each_pix_of_a_delivery_is_a_message_of_the_senders_own_octets() -> None:
    first = b'{ "valor" : "1.00",\n "endToEndId":"E1", "infoPagador": "a\\u00e7\xc3\xa3o", "new": [1, {}] }'
    second = b'{"endToEndId":"E2","valor":"2.00"}'
    body = b'{"pix" : [ ' + first + b" , " + second + b' ], "more": 1}'
    messages = ADAPTER.authenticate(SECRET, Delivery({}, body, f"hmac={SECRET}"), NOW)
    assert [message[:2] for message in messages] == [("E1", first), ("E2", second)]


def test_a_pix_is_another_event_with_each_devolucao_in_each_of_its_states() -> None:
    def event_id(devolucoes: object) -> str:
        body = notified({"endToEndId": "E1", "valor": "9.00", "devolucoes": devolucoes})
        (message,) = ADAPTER.authenticate(SECRET, Delivery({}, body, f"hmac={SECRET}"), NOW)
        assert ADAPTER.read(message.body) == AskBack("E1", pays=True)
        return message.event_id

    first, second = {"id": "d1", "status": "DEVOLVIDO"}, {"id": "d2", "status": "NAO_REALIZADO"}
    assert event_id(first) == event_id([first]) == "E1:d1=DEVOLVIDO"  # BCB's example has an object, its schema an array
    assert event_id([first, second]) == event_id([second, first]) == "E1:d1=DEVOLVIDO:d2=NAO_REALIZADO"
    assert event_id([first | {"status": "EM_PROCESSAMENTO"}]) != event_id([first])
    many = [{"id": f"{number:035}", "status": "DEVOLVIDO"} for number in range(9)]
    assert event_id(many) != event_id(many[:-1])
    assert len(event_id(many)) <= 255


def test_a_pix_that_we_sent_is_irrelevant() -> None:
    sent = {
        "endToEndId": "E09089356202103040302f25a7868", "chave": KEY, "tipo": "SOLICITACAO", "status": "NAO_REALIZADO",
        "valor": "0.01", "horario": None, "gnExtras": {"idEnvio": "123ABC", "erro": {"codigo": "AC03"}},
    }  # fmt: skip
    assert isinstance(ADAPTER.read(json.dumps(sent).encode()), Irrelevant)


def test_one_pix_that_cannot_be_read_is_left_to_a_person_and_holds_up_no_other(
    provider: Provider, bank: simulator.Bank
) -> None:
    invoice_id, txid = charge_for(provider, bank)
    bank.queue.faults.lose = 1.0
    good = bank.pay(txid).shown()
    body = notified({"valor": "99.90"}, good, {"endToEndId": "../../x", "valor": "1.00"}, 7)
    for _ in range(2):
        assert provider.receiver.post(f"/hooks/pix{EFI_PATH}", content=body).status_code == 200
        provider.work()
    assert provider.status(invoice_id) == "paid"
    assert sorted(status for status, _ in provider.inbox()) == ["done", "failed", "failed", "failed"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6), lambda of: st.lists(of, max_size=3), max_leaves=4
)
names = st.sampled_from(
    ["endToEndId", "txid", "valor", "horario", "status", "devolucoes", "gnExtras", "componentesValor", "pix"]
)
likely = st.sampled_from(
    ["E1", "1.00", "0.00", "9999999999.99", "2026-11-24T12:00:00Z", "0001-01-01T00:00:00Z", "2026-11-24T12:00:00",
     {"id": "a", "status": "DEVOLVIDO", "valor": "1.00"}, [{"id": "a", "status": "DEVOLVIDO", "valor": "9.00"}],
     {"original": {"valor": "1.00"}, "desconto": {"valor": "0.50"}}, {"idEnvio": "a", "tarifa": "5.00"}]
)  # fmt: skip
objects = st.dictionaries(names, likely | json_values).map(lambda value: json.dumps(value).encode())


@given(st.binary(max_size=200) | objects)
def test_any_body_reads_as_a_notice_or_is_malformed(body: bytes) -> None:
    try:
        assert isinstance(ADAPTER.read(body), AskBack | Irrelevant)
    except WebhookMalformed:
        return


@given(st.binary(max_size=200) | objects | st.lists(objects).map(lambda all_: b'{"pix":[' + b",".join(all_) + b"]}"))
def test_any_delivery_is_messages_that_can_be_stored_or_is_malformed(body: bytes) -> None:
    try:
        messages = ADAPTER.authenticate(SECRET, Delivery({}, body, f"hmac={SECRET}"), NOW)
    except WebhookMalformed:
        return
    assert all(0 < len(one.event_id) <= 255 and "\0" not in one.event_id for one in messages)
    assert all(one.body in body for one in messages)


@given(st.binary(max_size=200) | objects)
def test_any_answer_of_the_api_is_facts_that_can_be_recorded_or_is_malformed(body: bytes) -> None:
    try:
        facts = pix_shown.facts_of(decode(body, pix_shown.Pix))
    except WebhookMalformed:
        return
    for fact in facts:
        if isinstance(fact, PaymentReceived):
            assert 0 <= fact.surcharge_cents <= fact.amount_cents
            assert fact.amount_cents > 0
            assert fact.discount_cents >= 0


# ------------------------------------------------------------------------------------------- money from end to end


@pytest.mark.parametrize("path", [EFI_PATH, PLAIN_PATH])
def test_a_pix_pays_the_invoice_once_however_often_it_is_told(
    database: Database, keyring: Keyring, clock: ManualClock, bank: simulator.Bank, path: str
) -> None:
    provider = provider_at(database, keyring, clock, bank, path)
    bank.queue.faults.repeat = 1.0
    invoice_id, txid = charge_for(provider, bank)
    end_to_end_id = bank.pay(txid).end_to_end_id
    assert provider.deliver() == 2
    assert provider.status(invoice_id) == "paid"
    (payment,) = provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method, payment.external_id) == (9990, "pix", end_to_end_id)
    assert payment.settled_at == payment.paid_at == NOW
    assert provider.inbox() == [("done", None)]


def test_several_pix_of_a_key_come_in_one_delivery_and_each_pays_its_own(
    provider: Provider, bank: simulator.Bank
) -> None:
    bank.together = 3
    charges = [charge_for(provider, bank) for _ in range(4)]
    for _, txid in charges:
        bank.pay(txid)
    assert provider.deliver() == 1
    assert [provider.status(invoice_id) for invoice_id, _ in charges] == ["paid", "paid", "paid", "open"]
    bank.tell(KEY)
    assert provider.deliver() == 1
    assert provider.status(charges[3][0]) == "paid"


def test_a_part_that_is_given_back_leaves_the_invoice_paid_and_the_rest_of_it_does_not(
    provider: Provider, bank: simulator.Bank
) -> None:
    invoice_id, txid = charge_for(provider, bank)
    end_to_end_id = bank.pay(txid).end_to_end_id
    bank.refund(end_to_end_id, "part", Decimal("10.00"))
    provider.deliver()
    assert provider.payments(invoice_id)[0].refunded_cents == 0  # in process, and not told
    bank.end_refund(end_to_end_id, "part", settled=True)
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    assert provider.payments(invoice_id)[0].refunded_cents == 1000
    bank.refund(end_to_end_id, "rest", Decimal("89.90"))
    bank.end_refund(end_to_end_id, "rest", settled=True)
    provider.deliver()
    assert provider.status(invoice_id) == "refunded"


def test_a_refund_that_could_not_be_made_changes_nothing(provider: Provider, bank: simulator.Bank) -> None:
    invoice_id, txid = charge_for(provider, bank)
    end_to_end_id = bank.pay(txid).end_to_end_id
    bank.refund(end_to_end_id, "d1", Decimal("99.90"))
    bank.end_refund(end_to_end_id, "d1", settled=False)
    assert provider.deliver() == 2
    assert provider.status(invoice_id) == "paid"
    assert provider.payments(invoice_id)[0].refunded_cents == 0


@pytest.mark.parametrize(("kind", "status"), [("ORIGINAL", "refunded"), ("MED_FRAUDE", "open")])
def test_what_we_gave_back_is_not_owed_again_and_what_the_scheme_took_is(
    provider: Provider, bank: simulator.Bank, kind: str, status: str
) -> None:
    invoice_id, txid = charge_for(provider, bank)
    end_to_end_id = bank.pay(txid).end_to_end_id
    bank.refund(end_to_end_id, "d1", Decimal("99.90"), kind)
    bank.end_refund(end_to_end_id, "d1", settled=True)
    provider.deliver()
    assert provider.status(invoice_id) == status


def received(**fields: Any) -> PaymentReceived:
    shown = {"endToEndId": E2E, "valor": "100.00", "horario": "2026-11-24T09:00:00.000-03:00"} | fields
    (fact,) = pix_shown.facts_of(decode(json.dumps(shown).encode(), pix_shown.Pix))
    assert isinstance(fact, PaymentReceived)
    return fact


def parts(**values: str) -> dict[str, Any]:
    return {name: {"valor": value} for name, value in values.items()}


def test_the_parts_of_an_amount_say_what_of_it_pays_the_invoice() -> None:
    late = received(valor="105.00", componentesValor=parts(original="100.00", multa="3.00", juros="2.00"))
    assert (late.amount_cents, late.surcharge_cents, late.discount_cents) == (10500, 500, 0)
    early = received(valor="85.00", componentesValor=parts(original="100.00", abatimento="5.00", desconto="10.00"))
    assert (early.amount_cents, early.surcharge_cents, early.discount_cents) == (8500, 0, 1500)
    change = received(valor="100.00", componentesValor=parts(original="80.00", troco="20.00"))
    assert (change.amount_cents, change.surcharge_cents) == (8000, 0)
    assert late.paid_at == late.settled_at == NOW
    assert received(gnExtras={"tarifa": "1.19"}).net_cents == 10000 - 119
    assert received(txid="").charge_id is None


def test_parts_that_do_not_add_up_count_for_nothing() -> None:
    wrong = received(valor="100.00", componentesValor=parts(original="100.00", multa="3.00"))
    more_off_than_on = received(valor="2.00", componentesValor=parts(original="1.00", multa="5.00", desconto="4.00"))
    for fact in (wrong, more_off_than_on):
        assert (fact.surcharge_cents, fact.discount_cents) == (0, 0)


def test_cash_for_the_payer_is_no_payment() -> None:
    shown = {"endToEndId": E2E, "valor": "100.00", "horario": "2026-11-24T12:00:00Z"}
    withdrawn = shown | {"componentesValor": parts(original="0.00", saque="100.00")}
    assert pix_shown.facts_of(decode(json.dumps(withdrawn).encode(), pix_shown.Pix)) == []


@pytest.mark.parametrize("many", [False, True])
def test_devolucoes_are_summed_be_they_an_array_or_one_object(many: bool) -> None:
    one = {"id": "a", "status": "DEVOLVIDO", "valor": "40.00", "natureza": None}
    shown = {
        "endToEndId": E2E, "valor": "100.00", "horario": "2026-11-24T12:00:00Z",
        "devolucoes": [one, one | {"id": "b"}, one | {"id": "c", "status": "EM_PROCESSAMENTO"}] if many else one,
    }  # fmt: skip
    facts = pix_shown.facts_of(decode(json.dumps(shown).encode(), pix_shown.Pix))
    assert facts[1:] == [PaymentReversed(E2E, refund=True, amount_cents=8000 if many else 4000)]


def order_charge(provider: Provider, invoice_id: int) -> int:
    """As a person does; its row."""
    with provider.database.transaction() as session:
        for customer in session.scalars(select(Customer)):
            customer.document = "52998224725"
        session.flush()
        account_id, due = session.scalars(select(GatewayAccount.id)).one(), date(2026, 12, 10)
        return charges.order_charge(
            session, invoice_id, account_id, Actor("test"), NOW.date(), no_holiday, due_date=due
        ).id


def charge_of(provider: Provider, row: int) -> Charge:
    with provider.database.transaction() as session:
        return session.get_one(Charge, row)


def test_a_charge_that_was_ordered_stands_on_the_invoice_and_is_removed_when_nobody_is_to_pay(
    provider: Provider, bank: simulator.Bank
) -> None:
    invoice_id = provider.invoice()
    first, second = order_charge(provider, invoice_id), order_charge(provider, invoice_id)
    provider.work()
    txids = [charge_of(provider, row).charge_id or "" for row in (first, second)]
    assert set(txids) == set(bank.charges)
    with provider.database.transaction() as session:
        invoice = session.get_one(Invoice, invoice_id)
        assert invoice.external_id == txids[1]
        assert txids[1] in (invoice.pix_code or "")
    bank.pay(txids[0])
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    assert [bank.charges[txid].status for txid in txids] == ["CONCLUIDA", "REMOVIDA_PELO_USUARIO_RECEBEDOR"]
    assert [charge_of(provider, row).status for row in (first, second)] == [ChargeStatus.CLOSED] * 2


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_a_pix_without_a_charge_is_left_to_a_person(provider: Provider, bank: simulator.Bank) -> None:
    plain = bank.pay_key(KEY, Decimal("99.90"))
    static = bank.pay_key(KEY, Decimal("99.90"), "MENSALIDADE")
    provider.deliver()
    assert provider.inbox() == [
        ("failed", f"payment {plain.end_to_end_id} came without a charge: record it for the invoice that it is for"),
        ("failed", f"there is no invoice of charge {static.txid}"),
    ]


def test_a_txid_like_ours_of_an_invoice_that_we_do_not_have_is_left_to_a_person(
    provider: Provider, bank: simulator.Bank
) -> None:
    bank.pay(api_of(bank).create(order(987_654)).charge_id)
    provider.deliver()
    assert provider.inbox() == [("failed", "there is no invoice 987654")]


def test_a_forged_webhook_is_refused_and_pays_nothing(provider: Provider, bank: simulator.Bank) -> None:
    invoice_id, txid = charge_for(provider, bank)
    bank.queue.faults.lose = 1.0
    body = notified(bank.pay(txid).shown())
    for path in ("", "/pix", "?hmac=forged-secret-of-more-than-32-characters&ignorar=/pix"):
        assert provider.receiver.post(f"/hooks/pix{path}", content=body).status_code == 401
    assert provider.inbox() == []
    assert provider.status(invoice_id) == "open"


@pytest.mark.parametrize("homologation", [False, True])
def test_who_knows_the_secret_cannot_invent_money(
    provider: Provider, bank: simulator.Bank, clock: ManualClock, homologation: bool
) -> None:
    bank.homologation = homologation
    invoice_id, txid = charge_for(provider, bank)
    invented = {"endToEndId": E2E, "txid": txid, "valor": "99.90", "horario": "2026-11-24T12:00:00Z"}
    provider.receiver.post(f"/hooks/pix{EFI_PATH}", content=notified(invented))
    for _ in range(12):
        provider.work()
        clock.advance(timedelta(seconds=3))
    assert provider.inbox() == [("failed", f"the gateway does not know of a payment of {E2E}")]
    assert provider.status(invoice_id) == "open"


def test_a_token_that_expired_in_the_middle_is_renewed_and_nothing_waits(
    provider: Provider, bank: simulator.Bank, clock: ManualClock
) -> None:
    first, first_charge = charge_for(provider, bank)
    second, second_charge = charge_for(provider, bank)
    bank.pay(first_charge)
    provider.deliver()
    clock.advance(timedelta(seconds=simulator.TOKEN_LIFE_S + 1))  # the adapter's own clock has not moved
    bank.pay(second_charge)
    provider.deliver()
    assert [provider.status(first), provider.status(second)] == ["paid", "paid"]


def test_a_webhook_is_tried_nine_times_each_for_itself(
    provider: Provider, bank: simulator.Bank, clock: ManualClock
) -> None:
    invoice_id, txid = charge_for(provider, bank)
    provider.sender.url = "http://testserver/hooks/pix?hmac=another-secret-of-more-than-32-characters"
    bank.pay(txid)
    began, tries = clock(), 0
    while (at := bank.queue.next_at()) is not None:
        clock.advance(max(at - clock(), timedelta()))
        tries += provider.deliver()
    assert (tries, clock() - began) == (9, timedelta(minutes=5 + 5 + 5 + 10 + 20 + 40 + 80 + 160))
    assert provider.status(invoice_id) == "open"
    _, other_charge = charge_for(provider, bank)
    bank.pay(other_charge)
    assert provider.deliver() == 1


# -------------------------------------------------------------------------------------------------- the API's side


def test_reconciliation_finds_what_no_webhook_told(bank: simulator.Bank, clock: ManualClock) -> None:
    bank.queue.faults.lose = 1.0
    api = api_of(bank)
    charges = [api.create(order(number)).charge_id for number in range(1, 251)]
    old = bank.pay(charges[0]).end_to_end_id
    clock.advance(timedelta(days=1))
    for charge in charges[1:230]:
        bank.pay(charge)
    bank.pay_key(KEY, Decimal("5.00"))
    bank.refund(old, "d1", Decimal("99.90"))
    bank.end_refund(old, "d1", settled=True)
    facts = list(api.since(clock() - timedelta(hours=1)))
    paid = [fact.invoice_id for fact in facts if isinstance(fact, PaymentReceived)]
    assert sorted(paid, key=lambda number: number or 0) == [None, *range(1, 231)]
    assert PaymentReversed(old, refund=True) in facts


def test_reconciliation_asks_in_periods_that_the_bank_answers_for(bank: simulator.Bank, clock: ManualClock) -> None:
    asked: list[tuple[str, str]] = []
    app = simulator.app_of(bank)

    class Watching(TestClient):
        def request(self, method: str, url: Any, **more: Any) -> httpx.Response:  # type: ignore[override]
            if url == "/v2/pix":
                asked.append((more["params"]["inicio"], more["params"]["fim"]))
            return super().request(method, url, **more)

    settings = SETTINGS | {"period_days": "5"}
    api = pix.PixApi(Access(settings, CREDENTIALS), Http(Watching(app, "https://bank.test")), clock)
    assert list(api.since(NOW - timedelta(days=12))) == []
    assert asked[:3] == [
        ("2026-11-12T12:00:00.000Z", "2026-11-17T12:00:00.000Z"),
        ("2026-11-17T12:00:00.000Z", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T12:00:00.000Z", "2026-11-24T12:00:00.000Z"),
    ]
    assert len(asked) == 3 + 90 // 5


@pytest.mark.parametrize("homologation", [False, True])
def test_the_same_order_twice_is_one_charge(bank: simulator.Bank, homologation: bool) -> None:
    bank.homologation = homologation
    api = api_of(bank)
    charge = api.create(order(1))
    assert charge.pix_code is not None
    assert charge.charge_id in charge.pix_code
    assert api.create(order(1)) == charge
    assert list(bank.charges) == [charge.charge_id]
    bank.pay(charge.charge_id)
    assert api.create(order(1)) == charge
    with pytest.raises(GatewayRefused):
        api.create(order(1, 5000))
    assert api.create(order(1, key="another")).charge_id != charge.charge_id


def test_an_order_becomes_the_charge_of_the_contract(bank: simulator.Bank) -> None:
    txid = api_of(bank, payable_after_due_days="60").create(order(1, 123_405)).charge_id
    assert bank.charges[txid].wanted == {
        "calendario": {"dataDeVencimento": "2026-12-10", "validadeAposVencimento": 60},
        "devedor": {
            "cpf": "52998224725", "nome": "Maria Souza", "logradouro": "Alameda Souza, 80, Braz", "cidade": "Recife",
            "uf": "PE", "cep": "70011750",
        },
        "valor": {
            "original": "1234.05", "multa": {"modalidade": 2, "valorPerc": "2.00"},
            "juros": {"modalidade": 3, "valorPerc": "1.00"},
        },
        "chave": KEY, "solicitacaoPagador": "Fibra 300",
    }  # fmt: skip


@pytest.mark.parametrize("document", ["12345678000195", "12ABC34501DE35"])
def test_a_company_is_charged_by_its_cnpj_with_letters_or_without(bank: simulator.Bank, document: str) -> None:
    txid = api_of(bank).create(order(1, payer=Payer("Empresa SA", document), fine_bp=0, interest_bp_month=0)).charge_id
    assert bank.charges[txid].wanted["devedor"] == {"cnpj": document, "nome": "Empresa SA"}
    assert bank.charges[txid].wanted["valor"] == {"original": "99.90"}


def test_what_is_longer_than_the_contract_allows_is_cut(bank: simulator.Bank) -> None:
    long = order(1, description="x" * 200, payer=replace(PAYER, name="y" * 300, street="z" * 300))
    wanted = bank.charges[api_of(bank).create(long).charge_id].wanted
    assert len(wanted["solicitacaoPagador"]) == 140
    assert len(wanted["devedor"]["nome"]) == len(wanted["devedor"]["logradouro"]) == 200


def test_what_the_bank_refuses_is_refused_and_no_charge(bank: simulator.Bank) -> None:
    for wrong in (
        order(1, due_date=date(2026, 11, 1)),
        order(1, payer=Payer("Maria", "123")),
        order(1, payer=Payer("", "52998224725")),
    ):
        with pytest.raises(GatewayRefused) as refused:
            api_of(bank).create(wrong)
        assert refused.value.status_code == 400
        assert "cobv" in refused.value.detail
    with pytest.raises(InvalidInput) as missing:
        api_of(bank, pix_key="").create(order(1))
    assert missing.value.field == "settings.pix_key"
    assert bank.charges == {}


def test_a_cancelled_charge_is_removed_and_one_that_is_closed_or_unknown_stays_so(bank: simulator.Bank) -> None:
    api = api_of(bank)
    removed, paid = (api.create(order(number)).charge_id for number in (1, 2))
    bank.pay(paid)
    for _ in range(2):
        api.cancel(removed)
        api.cancel(paid)
        api.cancel("7978c0c97ea847e78e8849634473c1f1")
    assert bank.charges[removed].status == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    assert bank.charges[paid].status == "CONCLUIDA"
    with pytest.raises(GatewayRefused):  # its txid is used up
        api.create(order(1))


def test_a_charge_that_is_open_and_cannot_be_cancelled_is_no_success() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        if request.method == "PATCH":
            return httpx.Response(400, json={"title": "Cobrança inválida."})
        return httpx.Response(200, json={"status": "ATIVA", "valor": {"original": "1.00"}})

    with pytest.raises(GatewayRefused):
        mocked(answer).cancel("7978c0c97ea847e78e8849634473c1f1")


def test_a_webhook_is_registered_for_our_key_and_answers_the_banks_test(
    provider: Provider, bank: simulator.Bank
) -> None:
    """Efí's way from end to end: it calls the URL, and skips mutual TLS towards us where it is told to."""
    url = "https://provedor.test/hooks/pix"
    bank.homologation = True
    bank.probe = lambda called, body: (
        provider.receiver.post(called.removeprefix("https://provedor.test"), json=body).status_code
    )
    api_of(bank).register(url)
    assert bank.webhooks[KEY]["webhookUrl"] == f"{url}?hmac={SECRET}&ignorar="
    with pytest.raises(GatewayRefused, match="TLS mútuo"):
        api_of(bank, skip_mtls_checking="false").register(url)
    with pytest.raises(GatewayRefused, match="TLS mútuo"):
        api_of(bank, webhook_ca=AUTHORITY.pem).register(url)
    api_of(bank, pix_key=OTHER_KEY).register(url)
    assert set(bank.webhooks) == {KEY, OTHER_KEY}


def test_a_refusal_to_register_does_not_repeat_our_secret(bank: simulator.Bank) -> None:
    bank.probe = lambda *_: 404
    with pytest.raises(GatewayRefused) as refused:
        api_of(bank).register("https://provedor.test/hooks/pix")
    assert refused.value.status_code == 400
    assert "A URL https://provedor.test/hooks/pix?" in refused.value.detail
    assert SECRET[:8] not in refused.value.detail


def test_efis_homologation_pays_what_is_small_at_once_and_tells_it(provider: Provider, bank: simulator.Bank) -> None:
    bank.homologation = True
    small, _ = charge_for(provider, bank, 1000)
    large, _ = charge_for(provider, bank, 1001)
    provider.deliver()
    assert [provider.status(small), provider.status(large)] == ["paid", "open"]


# ------------------------------------------------------------------------------------------------------- the token


def mocked(answer: Any, clock: Any = utc_now) -> pix.PixApi:
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="https://bank.test")
    return pix.PixApi(Access(SETTINGS, CREDENTIALS), Http(client), clock)


def test_a_token_is_kept_until_shortly_before_it_expires(bank: simulator.Bank, clock: ManualClock) -> None:
    api = api_of(bank)
    for _ in range(3):
        api.fetch(E2E)
    assert len(bank.tokens) == 1
    clock.advance(timedelta(seconds=simulator.TOKEN_LIFE_S - 31))
    api.fetch(E2E)
    assert len(bank.tokens) == 1
    clock.advance(timedelta(seconds=1))
    api.fetch(E2E)
    assert len(bank.tokens) == 2


def test_a_token_that_is_refused_is_renewed_once_and_then_the_account_is_denied() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": f"token-{len(paths)}"})
        return httpx.Response(401)

    with pytest.raises(GatewayDenied):
        mocked(answer).fetch(E2E)
    assert paths == ["/oauth/token", f"/v2/pix/{E2E}", "/oauth/token", f"/v2/pix/{E2E}"]


def test_a_wrong_client_is_denied_and_no_secret_is_told(bank: simulator.Bank) -> None:
    with pytest.raises(GatewayDenied) as denied:
        api_of(bank, client_secret="another").fetch(E2E)
    assert "another" not in str(denied.value)
    assert bank.tokens == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": "invalid_client"}), GatewayDenied),
        (httpx.Response(401), GatewayDenied),
        (httpx.Response(503), GatewayAway),
        (httpx.Response(200, text="<html>manutenção</html>"), GatewayAway),
        (httpx.Response(200, json={"expires_in": 3600}), GatewayAway),
    ],
)
def test_no_token_says_whose_fault_it_is_and_no_secret(answer: httpx.Response, error: type[Exception]) -> None:
    with pytest.raises(error) as failed:
        mocked(lambda _: answer).fetch(E2E)
    assert CLIENT_SECRET not in str(failed.value)


def test_a_scope_is_asked_for_where_the_bank_wants_one() -> None:
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 60})

    http = Http(httpx.Client(transport=httpx.MockTransport(answer), base_url="https://bank.test"))
    assert Token(http, "/token", ("a", "b"), utc_now, scope="pix.read cobv.write").current() == "t"
    assert bodies == [b"grant_type=client_credentials&scope=pix.read+cobv.write"]


def test_many_threads_share_one_token() -> None:
    granted: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        granted.append(1)
        return httpx.Response(200, json={"access_token": f"token-{len(granted)}", "expires_in": 3600})

    http = Http(httpx.Client(transport=httpx.MockTransport(answer), base_url="https://bank.test"))
    token = Token(http, "/oauth/token", ("a", "b"), utc_now)
    with ThreadPoolExecutor(8) as threads:
        assert {future.result() for future in [threads.submit(token.current) for _ in range(32)]} == {"token-1"}
        renewed = [threads.submit(token.instead_of, "token-1") for _ in range(32)]
        assert {future.result() for future in renewed} == {"token-2"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, GatewayDenied), (422, GatewayRefused), (429, GatewayAway), (500, GatewayAway), (504, GatewayAway)],
)
def test_failures_of_the_api_say_whose_they_are_and_no_secret(status: int, error: type[Exception]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "bearer-secret", "expires_in": 3600})
        return httpx.Response(status, text="não")

    with pytest.raises(error) as failed:
        mocked(answer).fetch(E2E)
    assert not any(secret in str(failed.value) for secret in (CLIENT_SECRET, "bearer-secret"))


# -------------------------------------------------------------------------------------------------------- the txid

order_keys = st.text(min_size=1, max_size=40)
invoice_ids = st.integers(1, (1 << 63) - 1)


@given(order_keys, invoice_ids)
def test_a_txid_is_of_the_contract_and_says_its_invoice(key: str, invoice_id: int) -> None:
    txid = pix_shown.txid_of(order(invoice_id, key=key))
    assert simulator._TXID.fullmatch(txid)
    assert pix_shown.invoice_of_txid(txid) == invoice_id
    assert pix_shown.txid_of(order(invoice_id, key=key)) == txid


@given(order_keys, order_keys, invoice_ids, invoice_ids)
def test_another_order_is_another_txid(key: str, other_key: str, invoice_id: int, other_id: int) -> None:
    one, other = order(invoice_id, key=key), order(other_id, key=other_key)
    assert (pix_shown.txid_of(one) == pix_shown.txid_of(other)) == ((invoice_id, key) == (other_id, other_key))


@given(invoice_ids, st.integers(0, 34), st.sampled_from("0123456789abcdefXYZ"))
def test_a_txid_that_is_not_quite_ours_is_not_ours(invoice_id: int, place: int, character: str) -> None:
    txid = pix_shown.txid_of(order(invoice_id))
    changed = txid[:place] + character + txid[place + 1 :]
    assert pix_shown.invoice_of_txid(changed) == (invoice_id if changed == txid else None)


@given(st.from_regex(r"\A[a-zA-Z0-9]{1,35}\Z") | st.text() | st.none())
def test_anybody_elses_txid_names_no_invoice(txid: str | None) -> None:
    assert pix_shown.invoice_of_txid(txid) is None


def test_a_number_that_no_invoice_has_is_none() -> None:
    assert pix_shown.invoice_of_txid(pix_shown.txid_of(order(1 << 63))) is None


# ------------------------------------------------------------------------------------------------- the simulator


def test_what_the_real_one_refuses_is_refused(bank: simulator.Bank) -> None:
    client = TestClient(simulator.app_of(bank), "https://bank.test")
    grant = {"grant_type": "client_credentials"}
    assert client.post("/oauth/token", data=grant, auth=("x", "y")).status_code == 401
    assert client.post("/oauth/token", data=grant).status_code == 401
    assert client.post("/oauth/token", data={"grant_type": "x"}, auth=(CLIENT_ID, CLIENT_SECRET)).status_code == 400
    granted = [
        client.post("/oauth/token", auth=(CLIENT_ID, CLIENT_SECRET), **body).json()["access_token"]
        for body in ({"data": grant}, {"json": grant})
    ]
    for bearer in ("", "Bearer", "Bearer x", f"Basic {granted[0]}"):
        assert client.get(f"/v2/pix/{E2E}", headers={"authorization": bearer}).status_code == 401
    client.headers["authorization"] = f"Bearer {granted[1]}"

    txid = "7978c0c97ea847e78e8849634473c1f1"
    good: dict[str, Any] = {
        "calendario": {"dataDeVencimento": "2026-12-10"}, "devedor": {"cpf": "12345678909", "nome": "Francisco"},
        "valor": {"original": "123.45"}, "chave": KEY,
    }  # fmt: skip
    wrong: list[dict[str, Any]] = [
        {}, {"chave": "somebody-elses"}, {"valor": {"original": "123.4"}}, {"valor": {"original": "0.00"}},
        {"valor": {"original": 5}}, {"calendario": {"dataDeVencimento": "2026-11-01"}},
        {"calendario": {"dataDeVencimento": "2026-12-10", "validadeAposVencimento": -1}},
        {"devedor": {"cpf": "1", "nome": "F"}}, {"devedor": {"cpf": "12345678909"}}, {"solicitacaoPagador": "x" * 141},
        {"devedor": {"cpf": "12345678909", "cnpj": "12345678000195", "nome": "F"}},
        {"valor": {"original": "1.00", "multa": {"modalidade": 3, "valorPerc": "1.00"}}},
    ]  # fmt: skip
    answers = [client.put(f"/v2/cobv/{txid}", json=good | changed if changed else {}) for changed in wrong]
    answers.append(client.put("/v2/cobv/short", json=good))
    assert client.put(f"/v2/cobv/{txid}", json=good).status_code == 201
    answers.append(client.put(f"/v2/cobv/{txid}", json=good))
    answers.append(client.patch(f"/v2/cobv/{txid}", json={"status": "ATIVA"}))
    end_to_end_id = bank.pay(txid).end_to_end_id
    answers.append(client.patch(f"/v2/cobv/{txid}", json={"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}))
    assert client.put(f"/v2/pix/{end_to_end_id}/devolucao/d1", json={"valor": "100.00"}).status_code == 201
    for id_, value in (("d1", "1.00"), ("d2", "23.46"), ("d-3", "1.00"), ("d4", "0.00")):
        answers.append(client.put(f"/v2/pix/{end_to_end_id}/devolucao/{id_}", json={"valor": value}))
    for query in ("", "?inicio=x&fim=y", "?inicio=2026-11-24T00:00:00Z&fim=2026-11-23T00:00:00Z"):
        answers.append(client.get(f"/v2/pix{query}"))
    answers.append(client.put("/v2/webhook/somebody-elses", json={"webhookUrl": "https://a.test"}))
    answers.append(client.put(f"/v2/webhook/{KEY}", json={"webhookUrl": "http://a.test"}))
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    unknown = [
        client.get("/v2/cobv/7978c0c97ea847e78e8849634473c1f2"), client.get(f"/v2/pix/{E2E}"),
        client.get(f"/v2/pix/{end_to_end_id}/devolucao/d9"), client.get(f"/v2/webhook/{KEY}"),
    ]  # fmt: skip
    assert [answer.status_code for answer in unknown] == [404] * 4
    for answer in answers + unknown:
        shown = answer.json()
        assert shown["type"].startswith("https://pix.bcb.gov.br/api/v2/error/")
        assert shown["status"] == answer.status_code
        assert shown["title"]
        assert shown["detail"]


def test_a_person_pays_and_gives_back_by_simulate(provider: Provider, bank: simulator.Bank) -> None:
    invoice_id, txid = charge_for(provider, bank)
    client = TestClient(simulator.app_of(bank), "https://bank.test/_simulate/charges")
    end_to_end_id = client.post(f"/{txid}/pay").json()["endToEndId"]
    client.post(f"/{end_to_end_id}/refund", json={"id": "d1"})
    assert client.post(f"/{end_to_end_id}/settle", json={"id": "d1"}).json()["status"] == "DEVOLVIDO"
    assert client.post(f"/{KEY}/pay-key", json={"valor": "7.00"}).json()["valor"] == "7.00"
    assert client.post(f"/{KEY}/tell").status_code == 200
    assert client.post(f"/{KEY}/together", json={"pix": 2}).status_code == 200
    assert bank.together == 2
    assert client.post(f"/{txid}/pay").status_code == 400
    assert client.post(f"/{txid}/dance").status_code == 404
    provider.deliver()
    assert provider.status(invoice_id) == "refunded"


def test_who_starts_it_is_told_all_that_an_account_needs(
    database: Database, keyring: Keyring, clock: ManualClock
) -> None:
    simulation = simulator.simulation(Options("", {"client_id": "mine"}, clock, Random(1), "http://node/hooks/pix"))
    shown = dict(simulation.credentials)
    secret, settings = shown.pop("secret"), {"pix_key": shown.pop("settings.pix_key")}
    assert simulation.hook_url == f"http://node/hooks/pix/pix?hmac={secret}"
    assert shown["client_id"] == "mine"
    with database.transaction() as session:
        accounts.create_account(
            session, keyring, "pix", "trial", secret, Actor("test"), settings=settings, credentials=shown
        )
    access = Access({**ADAPTER.settings, **settings}, shown)
    assert pix.PixApi(access, Http(TestClient(simulation.app, "https://bank.test"))).create(order(1)).pix_code


def test_a_charge_can_be_paid_for_so_many_days_after_it_is_due(bank: simulator.Bank, clock: ManualClock) -> None:
    charge, other = (api_of(bank).create(order(number)).charge_id for number in (1, 2))
    clock.advance(timedelta(days=16 + 30))
    bank.pay(charge)
    clock.advance(timedelta(days=1))
    with pytest.raises(simulator.Refused):
        bank.pay(other)


# ------------------------------------------------------------------------------------------------ the certificate


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"certificate": "no PEM"}, "credentials.certificate"),
        ({"certificate": OURS.key_pem()}, "credentials.certificate"),
        ({"certificate": AUTHORITY.pem}, "credentials.certificate"),  # another key's
        ({"private_key": "no PEM"}, "credentials.private_key"),
        ({"private_key": OURS.pem}, "credentials.private_key"),
        ({"private_key": OURS.key_pem(b"passphrase")}, "credentials.private_key"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused_when_the_account_is_saved(
    database: Database, keyring: Keyring, changed: dict[str, str], field: str
) -> None:
    with database.transaction() as session:
        account = accounts.create_account(
            session, keyring, "pix", "bank", SECRET, Actor("test"), credentials=CREDENTIALS
        )
        with pytest.raises(InvalidInput) as refused:
            accounts.create_account(
                session, keyring, "pix", "other", SECRET, Actor("test"), credentials=CREDENTIALS | changed
            )
        assert refused.value.field == field
        assert "PRIVATE KEY" not in refused.value.detail
        with pytest.raises(InvalidInput) as refused:
            accounts.update_account(
                session, keyring, account, {"credentials": CREDENTIALS | changed}, Actor("test"), NOW
            )
        assert refused.value.field == field


def test_the_certificates_file_is_ours_alone_and_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    class Watched(ssl.SSLContext):
        def load_cert_chain(self, certfile: Any, *more: Any) -> None:  # type: ignore[override]
            modes.append(stat.S_IMODE(Path(certfile).stat().st_mode))
            super().load_cert_chain(certfile, *more)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mutual_tls._load(Watched(ssl.PROTOCOL_TLS_CLIENT), OURS.pem, OURS.key_pem())
    assert modes == [0o600]
    with pytest.raises(InvalidInput):
        mutual_tls._load(Watched(ssl.PROTOCOL_TLS_CLIENT), AUTHORITY.pem, OURS.key_pem())
    assert list(tmp_path.iterdir()) == []


def test_a_bank_that_has_no_webhook_of_ours_is_an_alarm(bank: simulator.Bank) -> None:
    """It gives an event up after its last try and tells nobody; of Pix that it tells nobody, we would know nothing."""
    assert api_of(bank, pix_key="").queue_alarm() is None
    alarm = api_of(bank).queue_alarm()
    assert alarm is not None
    assert (KEY in alarm.en, KEY in alarm.pt) == (True, True)
    api_of(bank).register("https://provedor.test/hooks/pix")
    assert api_of(bank).queue_alarm() is None
    bank.register(KEY, "https://somebody.else/pix", skips_mtls=True)
    assert api_of(bank).queue_alarm() == alarm


@pytest.mark.parametrize("chain", [(), (OURS.der, certify("another").der)])
def test_with_authorities_only_who_was_verified_by_one_of_them_is_authentic(chain: tuple[bytes, ...]) -> None:
    body = notified({"endToEndId": E2E, "valor": "99.90", "horario": "2026-11-24T12:00:00.000Z"})
    settings = {"webhook_ca": certify("bank of another").pem + AUTHORITY.pem}
    delivery = Delivery({}, body, f"hmac={SECRET}", settings, chain)
    with pytest.raises(WebhookNotAuthentic):
        ADAPTER.authenticate(SECRET, delivery, NOW)
    assert ADAPTER.authenticate(SECRET, replace(delivery, client_chain=(OURS.der, AUTHORITY.der)), NOW)
    with pytest.raises(WebhookNotAuthentic):
        wrong = replace(delivery, query="hmac=x", client_chain=(OURS.der, AUTHORITY.der))
        ADAPTER.authenticate(SECRET, wrong, NOW)


@pytest.fixture
def served(bank: simulator.Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The bank's base URL, over TLS on loopback; who has no certificate of its authority is not let in."""
    server = certify("127.0.0.1", AUTHORITY)
    files = {"server.pem": server.pem, "server.key": server.key_pem(), "ca.pem": AUTHORITY.pem}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))  # whom our client trusts
    sender = Sender(bank.queue, "http://127.0.0.1:1", httpx.Client(), bank.clock, lambda *_: None)
    tls = Tls(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")
    with serving(simulator.app_of(bank), sender, "127.0.0.1", 0, tls) as port:
        yield f"https://127.0.0.1:{port}"
    sender.client.close()


def test_over_tls_who_shows_no_certificate_is_not_let_in_and_we_are(bank: simulator.Bank, served: str) -> None:
    settings = SETTINGS | {"base_url": served}
    stranger = certify("stranger")
    for shown in ({}, {"certificate": stranger.pem, "private_key": stranger.key_pem()}):
        names = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | shown
        http = Http(make_client(Access(settings, names)))
        with pytest.raises(GatewayAway):
            pix.PixApi(Access(settings, names), http).fetch(E2E)
        http.close()
    assert bank.tokens == {}

    http = Http(make_client(Access(settings, CREDENTIALS)))
    api = pix.PixApi(Access(settings, CREDENTIALS), http)
    txid = api.create(order(7)).charge_id
    facts: list[Fact] = api.fetch(bank.pay(txid).end_to_end_id)
    http.close()
    assert [fact.invoice_id for fact in facts if isinstance(fact, PaymentReceived)] == [7]


def test_the_inbox_keeps_each_pix_as_it_came(provider: Provider, bank: simulator.Bank) -> None:
    bank.together = 2
    for _ in range(2):
        bank.pay(charge_for(provider, bank)[1])
    provider.deliver()
    with provider.database.transaction() as session:
        entries = session.scalars(select(InboxEntry).order_by(InboxEntry.id)).all()
        kept = [(one.event_id, msgspec.json.decode(one.body)["endToEndId"]) for one in entries]
    assert kept == [(one, one) for one in bank.pix]
