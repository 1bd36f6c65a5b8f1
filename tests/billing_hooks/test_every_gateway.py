"""What holds of every gateway: its adapter and its simulator with each other, from the webhook to the invoice.

What is a gateway's own stands in its own file. A story is told of those gateways whose drivers have what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import pytest
from gateway_drivers import BASE_URL, DRIVERS, DUE, Driver, having
from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import events, no_holiday
from sqlalchemy import select
from starlette.testclient import TestClient

from billing_hooks import accounts, charges, reconciliation
from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import (
    Delivery,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused
from billing_hooks.invoicing import br_code
from billing_hooks.invoicing.boleto_line import read_line
from billing_hooks.invoicing.words import Words
from billing_hooks.models import Charge, ChargeStatus, GatewayAccount, InboxEntry
from billing_hooks.simulators.web import Refused
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models import Customer, Invoice
from core.models.party import Contact, ContactRole

ACTOR = Actor("test:person")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AWAY = timedelta(seconds=31)
DENIED = timedelta(minutes=6)
_Test = TypeVar("_Test", bound=Callable[..., None])


@pytest.fixture(autouse=True)
def adapters(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that read up to their own now have the gateway's."""
    for name in ("efi", "pix"):
        monkeypatch.setitem(ADAPTERS, name, type(ADAPTERS[name])(clock))  # type: ignore[call-arg]


@pytest.fixture
def alone(request: pytest.FixtureRequest, clock: ManualClock) -> Driver:
    """A gateway without us."""
    made: Driver = request.param(clock)
    return made


@pytest.fixture
def driver(request: pytest.FixtureRequest, database: Database, keyring: Keyring, clock: ManualClock) -> Driver:
    made: Driver = request.param(clock)
    made.serve(database, keyring)
    return made


def each(drivers: list[type[Driver]], name: str = "driver", *, indirect: bool = True) -> Callable[[_Test], _Test]:
    return pytest.mark.parametrize(name, drivers, indirect=indirect and [name], ids=[one.gateway for one in drivers])


EVERY = list(DRIVERS)
WITH_API = [one for one in DRIVERS if one.credentials]


def statuses(driver: Driver) -> set[str]:
    return {status for status, _ in driver.provider.inbox()}


def told(driver: Driver, type_: str) -> list[str]:
    """Of which invoices."""
    return [one.subject for one in events(driver.provider.database, type_)]


def read_the_api(driver: Driver) -> list[Words]:
    """As the schedule does; returns the alarms."""
    with driver.provider.database.transaction() as session:
        reconciliation.owe_due(session, driver.clock(), UTC)
    driver.provider.work()
    with driver.provider.database.transaction() as session:
        return reconciliation.alarms(session)


# -------------------------------------------------------------------------------------------------- what comes in


@each(EVERY)
def test_a_payment_pays_the_invoice_once_however_often_it_is_told(driver: Driver) -> None:
    driver.queue.faults.repeat = 1.0
    invoice_id, charge_id = driver.charge()
    payment_id = driver.pay(charge_id)
    assert driver.tell() == 2 * driver.events_of_a_payment
    assert driver.provider.status(invoice_id) == "paid"
    (payment,) = driver.provider.payments(invoice_id)
    assert (payment.amount_cents, payment.method, payment.external_id) == (9990, driver.method, payment_id)
    assert payment.paid_at.date() == driver.clock().date()
    assert statuses(driver) == {"done"}


@each(EVERY)
def test_what_it_counts_as_success_is_answered_exactly_also_to_what_nobody_knows(driver: Driver) -> None:
    _, charge_id = driver.charge()
    driver.pay(charge_id)
    driver.tell()
    assert {status for one in driver.queue.sendings for status in one.answers} == {200}
    assert driver.unheard_of(charge_id) == 200
    driver.tell()
    assert "failed" not in statuses(driver)


@each(EVERY)
def test_what_is_forged_is_refused_and_stored_nowhere(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    driver.tell()
    before = driver.provider.inbox()
    driver.sign_as_other()
    driver.pay(charge_id)
    driver.provider.deliver()
    assert driver.queue.sendings[-1].answers == [401]
    assert driver.provider.inbox() == before
    assert driver.provider.status(invoice_id) == "open"


@each(EVERY)
def test_an_event_is_the_accounts_whose_secret_it_bears(driver: Driver, keyring: Keyring) -> None:
    with driver.provider.database.transaction() as session:
        access = driver.access()
        other = accounts.create_account(
            session, keyring, driver.gateway, "other", driver.other_secret, ACTOR,
            settings=access.settings if driver.credentials else {}, credentials=driver.credentials,
        ).id  # fmt: skip
    _, charge_id = driver.charge()
    driver.tell()
    driver.sign_as_other()
    driver.pay(charge_id)
    driver.tell()
    with driver.provider.database.transaction() as session:
        assert session.scalars(select(InboxEntry.account_id).order_by(InboxEntry.id.desc())).first() == other


@each([one for one in DRIVERS if one.signature_age is not None])
def test_what_was_signed_too_long_ago_is_refused(driver: Driver) -> None:
    assert driver.signature_age is not None
    _, charge_id = driver.charge()
    driver.pay(charge_id)
    event = driver.queue.sendings[-1].event
    for age, status in ((timedelta(seconds=1), 401), (timedelta(), 200)):
        headers, body = event.request(driver.clock() - driver.signature_age - age)
        url = event.url or driver.provider.sender.url
        assert driver.provider.receiver.post(url, content=body, headers=dict(headers)).status_code == status


@each(EVERY)
def test_events_in_the_wrong_order_end_in_the_same_state(driver: Driver) -> None:
    driver.queue.faults.reorder = 1.0
    invoice_id, charge_id = driver.charge()
    driver.refund(driver.pay(charge_id))
    driver.tell()
    assert driver.provider.status(invoice_id) == "refunded"
    assert len(driver.provider.payments(invoice_id)) == 1
    assert statuses(driver) == {"done"}


@each([one for one in having("pay_amount") if one.takes_less])
def test_too_little_leaves_the_invoice_open_and_is_told(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    driver.pay_amount(charge_id, 5000)
    driver.tell()
    assert driver.provider.status(invoice_id) == "open"
    assert [one.amount_cents for one in driver.provider.payments(invoice_id)] == [5000]
    assert told(driver, "invoice.paid_in_part") == [f"invoice:{invoice_id}"]


@each(having("pay_amount"))
def test_too_much_pays_and_is_told(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    driver.pay_amount(charge_id, 12_000)
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    (payment,) = driver.provider.payments(invoice_id)
    assert (payment.amount_cents, payment.surcharge_cents) == (12_000, 0)
    assert told(driver, "invoice.overpaid") == [f"invoice:{invoice_id}"]


@each(EVERY)
def test_an_invoice_that_is_paid_twice_has_two_payments_and_that_is_told(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    driver.pay(charge_id)
    driver.pay(driver.charge_again(invoice_id))
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    assert [one.amount_cents for one in driver.provider.payments(invoice_id)] == [9990, 9990]
    assert told(driver, "invoice.overpaid") == [f"invoice:{invoice_id}"]


@each(having("pay_late"))
def test_late_with_fine_and_interest_pays_exactly(driver: Driver, clock: ManualClock) -> None:
    invoice_id, charge_id = driver.charge()
    clock.advance(DUE + timedelta(days=5) - clock().date())
    surcharge_cents = driver.pay_late(charge_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    (payment,) = driver.provider.payments(invoice_id)
    assert (payment.amount_cents, payment.surcharge_cents) == (9990 + surcharge_cents, surcharge_cents)
    assert told(driver, "invoice.overpaid") == []


@each(having("refund"))
def test_what_is_given_back_whole_is_not_owed_again(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    payment_id = driver.pay(charge_id)
    driver.tell()
    driver.refund(payment_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "refunded"


@each(having("refund_part"))
def test_a_part_that_is_given_back_leaves_the_invoice_paid_and_the_rest_of_it_does_not(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    payment_id = driver.pay_for_dispute(charge_id)
    driver.refund_part(payment_id, 1000)
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    assert driver.provider.payments(invoice_id)[0].refunded_cents == 1000
    driver.refund_part(payment_id, 8990)
    driver.tell()
    assert driver.provider.status(invoice_id) == "refunded"


@each(having("take_back"))
def test_what_is_taken_back_is_owed_again(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    payment_id = driver.pay_for_dispute(charge_id)
    driver.tell()
    driver.take_back(payment_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "open"
    assert len(driver.provider.payments(invoice_id)) == 1


@each(having("win"))
def test_what_was_taken_back_and_is_won_pays_again(driver: Driver) -> None:
    invoice_id, charge_id = driver.charge()
    payment_id = driver.pay_for_dispute(charge_id)
    driver.take_back(payment_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "open"
    driver.win(payment_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    assert len(driver.provider.payments(invoice_id)) == 1


@each(EVERY)
def test_a_charge_of_nobodys_is_left_to_a_person_whatever_number_it_names(driver: Driver) -> None:
    charge_id = driver.charge_of_nobodys()
    driver.pay(charge_id)
    driver.tell()
    status, error = driver.provider.inbox()[-1]
    assert status == "failed"
    assert error in {f"there is no invoice of charge {charge_id}", f"there is no invoice {charge_id}"}


# -------------------------------------------------------------------------------------------- the API, asked back


@each(WITH_API)
def test_a_charge_that_somebody_else_made_pays_the_invoice_that_names_it(driver: Driver) -> None:
    charge_id, invoice_id = driver.charge_of_nobodys(), driver.provider.invoice(1000)
    driver.provider.name_charge(invoice_id, driver.gateway, charge_id)
    driver.pay(charge_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"


@each(WITH_API)
def test_while_the_api_is_away_the_payment_waits_and_is_applied_when_it_is_back(
    driver: Driver, clock: ManualClock
) -> None:
    invoice_id, charge_id = driver.charge()
    driver.simulator.away = 503
    driver.pay(charge_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "open"
    assert "received" in statuses(driver)
    driver.simulator.away = None
    clock.advance(AWAY)
    driver.provider.work()
    assert driver.provider.status(invoice_id) == "paid"
    assert statuses(driver) == {"done"}


@each(WITH_API)
def test_while_our_credentials_are_refused_the_payment_waits_for_a_person_to_put_them_right(
    driver: Driver, clock: ManualClock
) -> None:
    invoice_id, charge_id = driver.charge()
    good = getattr(driver.simulator, driver.bearer_at)
    setattr(driver.simulator, driver.bearer_at, "another one")
    driver.pay(charge_id)
    driver.tell()
    assert driver.provider.status(invoice_id) == "open"
    setattr(driver.simulator, driver.bearer_at, good)
    clock.advance(DENIED)
    driver.provider.work()
    assert driver.provider.status(invoice_id) == "paid"


@each(WITH_API, "driven", indirect=False)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, GatewayDenied), (403, GatewayDenied), (404, GatewayRefused), (422, GatewayRefused), (429, GatewayAway),
        (502, GatewayAway),
    ],
)  # fmt: skip
def test_failures_of_the_api_say_whose_they_are_and_no_secret(
    driven: type[Driver], status: int, error: type[Exception]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/authorize", "/oauth/token")):
            return httpx.Response(200, json={"access_token": "bearer-secret", "expires_in": 600})
        return httpx.Response(status, text="não")

    api = driven.api_at(httpx.Client(transport=httpx.MockTransport(answer), base_url="https://gateway.test"))
    with pytest.raises(error) as failed:
        list(api.since(NOW))
    shown = str(failed.value)
    assert not [one for one in (*driven.credentials.values(), driven.secret, "bearer-secret") if one in shown]


@each(WITH_API, "alone")
def test_reconciliation_reads_every_page_and_finds_what_no_webhook_told(alone: Driver, clock: ManualClock) -> None:
    alone.queue.faults.lose = 1.0
    api = alone.api()
    made = [api.create(alone.order(number)).charge_id for number in range(1, 109)]
    clock.advance(timedelta(minutes=10))
    paid = [alone.pay(charge_id) for charge_id in made[:104]]
    alone.refund(paid[0])
    facts = list(api.since(clock() - timedelta(minutes=5)))
    assert {one.invoice_id for one in facts if isinstance(one, PaymentReceived)} == set(range(1, 105))
    assert [one for one in facts if isinstance(one, PaymentReversed)] == [PaymentReversed(paid[0], refund=True)]


@each(WITH_API)
def test_a_lost_webhook_is_found_and_marked_and_is_an_alarm_when_none_comes_late(
    driver: Driver, clock: ManualClock
) -> None:
    invoice_id, charge_id = driver.charge()
    driver.tell()
    assert read_the_api(driver) == []
    driver.queue.faults.lose = 1.0
    driver.pay(charge_id)
    clock.advance(reconciliation.EVERY)
    assert read_the_api(driver) == []  # it may be on its way
    assert driver.provider.status(invoice_id) == "paid"
    with driver.provider.database.transaction() as session:
        assert session.scalars(select(InboxEntry.found).order_by(InboxEntry.id)).all()[-1] is True
    clock.advance(reconciliation.EVERY)
    assert read_the_api(driver) == [
        Words(
            "simulated: pagamentos que vieram sem que nenhum webhook avisasse: 1",
            "simulated: 1 payments came that no webhook told of",
        )
    ]
    for _ in range(2):
        clock.advance(reconciliation.EVERY)
        read_the_api(driver)
    assert read_the_api(driver) == []
    assert len(driver.provider.payments(invoice_id)) == 1


@each(WITH_API)
def test_a_webhook_that_is_late_is_no_lost_one(driver: Driver, clock: ManualClock) -> None:
    invoice_id, charge_id = driver.charge()
    driver.tell()
    assert read_the_api(driver) == []
    driver.pay(charge_id)
    clock.advance(reconciliation.EVERY)
    assert read_the_api(driver) == []
    assert driver.provider.status(invoice_id) == "paid"
    driver.tell()
    clock.advance(reconciliation.EVERY)
    assert read_the_api(driver) == []
    with driver.provider.database.transaction() as session:
        assert session.scalars(select(InboxEntry.told_at).where(InboxEntry.found)).one() is not None
    assert len(driver.provider.payments(invoice_id)) == 1


@each([one for one in WITH_API if one.tells_of_its_queue])
def test_a_queue_that_the_gateway_has_stopped_is_an_alarm_until_somebody_resumes_it(
    driver: Driver, clock: ManualClock
) -> None:
    assert read_the_api(driver) == []
    assert driver.client().post(f"{BASE_URL}/_simulate/interrupt").status_code == 200
    clock.advance(reconciliation.EVERY)
    (alarm,) = read_the_api(driver)
    assert f"/hooks/{driver.gateway}" in alarm.en
    assert f"/hooks/{driver.gateway}" in alarm.pt
    assert alarm.pt != alarm.en
    assert driver.client().post(f"{BASE_URL}/_simulate/resume").status_code == 200
    clock.advance(reconciliation.EVERY)
    assert read_the_api(driver) == []


# ------------------------------------------------------------------------------------------------ charges of ours


@each(WITH_API)
def test_less_than_the_gateway_charges_is_refused_there_and_that_is_not(driver: Driver) -> None:
    adapter = ADAPTERS[driver.gateway]
    least_cents = adapter.charge_cents_min({**adapter.settings, **driver.settings})
    assert driver.api().create(driver.order(1, least_cents)).charge_id
    with pytest.raises(GatewayRefused):
        driver.api().create(driver.order(2, least_cents - 1))


@each(WITH_API)
def test_a_charge_that_is_ordered_here_can_be_paid_and_is_closed_then(driver: Driver) -> None:
    invoice_id = driver.provider.invoice()
    with driver.provider.database.transaction() as session:
        for customer in session.scalars(select(Customer)):
            customer.document = "52998224725"
            session.add(Contact(customer_id=customer.id, name="Maria", role=ContactRole.MAIN, email="m@example.com"))
        account = session.scalars(select(GatewayAccount)).one()
        if driver.gateway == "stripe":  # its boleto wants an address, which a factory's service does not have
            account.settings = account.settings | {"payment_method": "pix"}
        session.flush()
        row = charges.order_charge(
            session, invoice_id, account.id, ACTOR, driver.clock().date(), no_holiday, due_date=DUE
        ).id
    driver.provider.work()
    with driver.provider.database.transaction() as session:
        made, invoice = session.get_one(Charge, row), session.get_one(Invoice, invoice_id)
        assert (made.status, made.charge_id) == (ChargeStatus.OPEN, invoice.external_id)
        assert invoice.pix_code or invoice.boleto_line
    driver.pay(made.charge_id or "")
    driver.tell()
    assert driver.provider.status(invoice_id) == "paid"
    with driver.provider.database.transaction() as session:
        made = session.get_one(Charge, row)
        assert (made.status, made.error) == (ChargeStatus.CLOSED, None)


@each([one for one in WITH_API if ADAPTERS[one.gateway].takes_discount])
@pytest.mark.parametrize(("days_late", "paid_cents"), [(0, 9490), (1, 9990)])
def test_who_pays_by_the_discounts_day_pays_the_invoice_exactly_and_afterwards_the_whole(
    driver: Driver, clock: ManualClock, days_late: int, paid_cents: int
) -> None:
    invoice_id, until = driver.provider.invoice(due_date=DUE), DUE - timedelta(days=3)
    with driver.provider.database.transaction() as session:
        for customer in session.scalars(select(Customer)):
            customer.document = "52998224725"
            session.add(Contact(customer_id=customer.id, name="Maria", role=ContactRole.MAIN, email="m@example.com"))
        invoice = session.get_one(Invoice, invoice_id)
        invoice.early_discount_cents, invoice.early_discount_until = 500, until
        account_id = session.scalars(select(GatewayAccount.id)).one()
        session.flush()
        row = charges.order_charge(session, invoice_id, account_id, ACTOR, clock().date(), no_holiday).id
    driver.provider.work()
    with driver.provider.database.transaction() as session:
        charge_id = session.get_one(Charge, row).charge_id or ""
    driver.tell()
    clock.advance(timedelta(days=(until - clock().date()).days + days_late))
    driver.pay(charge_id)
    driver.tell()
    (payment,) = driver.provider.payments(invoice_id)
    assert (payment.amount_cents, payment.discount_cents, payment.surcharge_cents) == (paid_cents, 9990 - paid_cents, 0)
    assert driver.provider.status(invoice_id) == "paid"
    assert events(driver.provider.database, "invoice.overpaid") == []
    with driver.provider.database.transaction() as session:
        made = session.get_one(Charge, row)
        assert (made.status, made.error) == (ChargeStatus.CLOSED, None)


@each(WITH_API, "alone")
def test_the_codes_of_a_charge_are_those_of_its_amount_and_due_date(alone: Driver) -> None:
    """The invoice's PDF draws them, and refuses what would ask for something else."""
    charge = alone.api().create(alone.order(1, 123_405))
    assert (charge.pix_code is not None) == alone.has_pix_code
    assert (charge.boleto_line is not None) == alone.has_boleto_line
    if charge.pix_code is not None:
        assert isinstance(br_code.parse(charge.pix_code), br_code.DynamicCode)
    if charge.boleto_line is not None:
        boleto = read_line(charge.boleto_line, DUE)
        assert (boleto.amount_cents, boleto.due_date) == (123_405, DUE)


@each(WITH_API, "alone")
def test_an_order_whose_answer_was_lost_is_one_charge_and_again_one_after_days(
    alone: Driver, clock: ManualClock
) -> None:
    client, lost = alone.client(), list[str]()

    class Losing(TestClient):
        def request(self, method: str, url: Any, **more: Any) -> httpx.Response:
            answer: httpx.Response = super().request(method, url, **more)
            makes = method in {"POST", "PUT"} and not str(url).endswith(("token", "/authorize", "/customers"))
            if makes and not lost:
                lost.append(str(url))
                raise httpx.ReadError("the connection broke")
            return answer

    with pytest.raises(GatewayAway):
        alone.api_at(Losing(client.app, str(client.base_url))).create(alone.order(1))
    api = alone.api()
    charge = api.create(alone.order(1))
    clock.advance(timedelta(days=2))
    assert api.create(alone.order(1)) == charge
    assert alone.charges() == 1
    assert api.create(alone.order(2)).charge_id != charge.charge_id


@each(WITH_API, "alone")
def test_a_charge_that_is_cancelled_is_closed_and_one_that_is_paid_or_unknown_stays_so(alone: Driver) -> None:
    api = alone.api()
    cancelled, paid = (api.create(alone.order(number)).charge_id for number in (1, 2))
    alone.pay(paid)
    for charge_id in (cancelled, cancelled, paid, "7978c0c97ea847e78e8849634473c1f9"):
        api.cancel(charge_id)
    if alone.gateway != "efi":  # who printed its boleto before can pay it all the same
        with pytest.raises(Refused):
            alone.pay(cancelled)


# ------------------------------------------------------------------------------------------- what is pure, and entry


@pytest.mark.parametrize("gateway", sorted(ADAPTERS))
@given(octets=st.binary(max_size=200), header=st.text(max_size=40), query=st.text(max_size=40))
def test_any_octets_are_read_or_malformed_and_none_but_signed_ones_authentic(
    gateway: str, octets: bytes, header: str, query: str
) -> None:
    adapter, driver = ADAPTERS[gateway], next(one for one in DRIVERS if one.gateway == gateway)
    with suppress(WebhookMalformed):
        assert adapter.read(octets)
    names = (
        "asaas-access-token", "authorization", "x-signature", "x-request-id", "stripe-signature", "webhook-id",
        "webhook-timestamp", "webhook-signature",
    )  # fmt: skip
    with pytest.raises(WebhookNotAuthentic):
        adapter.authenticate(driver.secret, Delivery(dict.fromkeys(names, header), octets, query), NOW)


@pytest.mark.parametrize("gateway", sorted(ADAPTERS))
@pytest.mark.parametrize("secret", ["", "short", "ção" * 20, "x" * 600, "x" * 40 + "\n", " " + "x" * 40])
def test_a_secret_that_could_verify_nothing_is_refused(gateway: str, secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTERS[gateway].check_secret(secret)
    assert refused.value.field == "secret"


@each(EVERY, "driven", indirect=False)
def test_good_secrets_and_all_defaults_are_taken(driven: type[Driver]) -> None:
    for secret in (driven.secret, driven.other_secret):
        ADAPTERS[driven.gateway].check_secret(secret)
    ADAPTERS[driven.gateway].check_settings(ADAPTERS[driven.gateway].settings)
