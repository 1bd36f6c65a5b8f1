"""Charges of ours and what no webhook told, at a simulated gateway."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from random import Random

import pytest
from billing_factories import make_invoice, run_to_end
from factories import make_contract, make_service
from simulated_gateway import Provider, make_provider, no_holiday
from sqlalchemy import select

from billing_hooks import charges, reconciliation
from billing_hooks.models import Charge, ChargeStatus, GatewayAccount, InboxEntry
from billing_hooks.runs import Billing, RunUnsafe
from billing_hooks.simulators import asaas as simulator
from billing_hooks.simulators.hooks import HookQueue
from billing_hooks.simulators.serving import at_once
from core import invoices, payments
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import Customer, Event, Invoice

TOKEN = "a-token-of-more-than-32-characters"
KEY = "$aact_hmlg_0123456789"
ACTOR = Actor("test:person")
TODAY = date(2026, 11, 24)


@pytest.fixture
def gateway(clock: ManualClock) -> simulator.Asaas:
    return simulator.Asaas(KEY, TOKEN, HookQueue(simulator.POLICY, Random(1)), clock)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock, gateway: simulator.Asaas) -> Provider:
    return make_provider(
        database, keyring, clock, "asaas", TOKEN, simulator.app_of(gateway), gateway.queue,
        base_url="https://gateway.test/v3", credentials={"api_key": KEY},
    )  # fmt: skip


def order(provider: Provider, invoice_id: int, due_date: date | None = date(2026, 12, 10)) -> int:
    with provider.database.transaction() as session:
        for customer in session.scalars(select(Customer)):
            customer.document = customer.document or f"{customer.id:011d}"
        session.flush()
        account_id = session.scalars(select(GatewayAccount.id)).one()
        return charges.order_charge(session, invoice_id, account_id, ACTOR, TODAY, no_holiday, due_date=due_date).id


def charge(provider: Provider, row_id: int) -> Charge:
    with provider.database.transaction() as session:
        return session.get_one(Charge, row_id)


def invoice(provider: Provider, invoice_id: int) -> Invoice:
    with provider.database.transaction() as session:
        return session.get_one(Invoice, invoice_id)


def events(provider: Provider, prefix: str) -> list[str]:
    with provider.database.transaction() as session:
        return [one for one in session.scalars(select(Event.type).order_by(Event.id)) if one.startswith(prefix)]


def read_the_api(provider: Provider) -> None:
    with provider.database.transaction() as session:
        reconciliation.owe_due(session, provider.clock(), UTC)
    provider.work()


def test_an_ordered_charge_is_made_and_stands_on_the_invoice(provider: Provider, gateway: simulator.Asaas) -> None:
    invoice_id = provider.invoice()
    row = order(provider, invoice_id)
    provider.work()
    made, found = charge(provider, row), invoice(provider, invoice_id)
    assert (made.status, made.charge_id) == (ChargeStatus.OPEN, found.external_id)
    assert None not in {found.pix_code, found.boleto_line, found.url}
    gateway.pay(made.charge_id or "")
    provider.deliver()
    assert provider.status(invoice_id) == "paid"


def test_while_the_gateway_is_away_the_order_waits_and_is_one_charge(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    gateway.away = 503
    row = order(provider, provider.invoice())
    provider.work()
    assert charge(provider, row).status is ChargeStatus.ORDERED
    gateway.away = None
    clock.advance(timedelta(seconds=31))
    provider.work()
    assert charge(provider, row).status is ChargeStatus.OPEN
    assert len(gateway.payments) == 1


def test_an_invoice_paid_otherwise_closes_its_charges_at_the_gateway(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    invoice_id = provider.invoice()
    row = order(provider, invoice_id)
    provider.work()
    with provider.database.transaction() as session:
        payments.record_payment(
            session, invoice_id, amount_cents=9990, paid_at=clock(), method="cash", actor=ACTOR, now=clock()
        )
    provider.work()
    assert charge(provider, row).status is ChargeStatus.CLOSED
    assert gateway.payments[charge(provider, row).charge_id or ""].deleted


def test_a_payment_of_an_older_charge_of_the_invoice_is_its_payment(
    provider: Provider, gateway: simulator.Asaas
) -> None:
    invoice_id = provider.invoice()
    first = order(provider, invoice_id)
    provider.work()
    gateway.overdue(charge(provider, first).charge_id or "")
    gateway.payments[charge(provider, first).charge_id or ""].external_reference = None
    second = order(provider, invoice_id, date(2026, 12, 20))
    provider.work()
    assert charge(provider, second).charge_id != charge(provider, first).charge_id
    gateway.pay(charge(provider, first).charge_id or "")
    provider.deliver()
    assert provider.status(invoice_id) == "paid"
    assert charge(provider, second).status is ChargeStatus.CLOSED


def test_what_the_gateway_refuses_is_left_to_a_person(provider: Provider, gateway: simulator.Asaas) -> None:
    gateway.clock = ManualClock(gateway.clock() + timedelta(days=400))  # its today is behind the due date
    row = order(provider, provider.invoice())
    provider.work()
    refused = charge(provider, row)
    assert refused.status is ChargeStatus.REFUSED
    assert "vencimento" in (refused.error or "")
    assert events(provider, "charge.") == ["charge.refused"]


def test_an_order_that_cannot_be_is_refused_with_its_field(provider: Provider, clock: ManualClock) -> None:
    with provider.database.transaction() as session:
        account_id = session.scalars(select(GatewayAccount.id)).one()
        invoice_id = provider.invoice()
        with pytest.raises(InvalidInput) as late:
            charges.order_charge(session, invoice_id, account_id, ACTOR, TODAY, no_holiday)
        with pytest.raises(InvalidInput) as nobody:
            charges.order_charge(session, invoice_id, account_id, ACTOR, TODAY, no_holiday, due_date=TODAY)
    assert (late.value.field, nobody.value.field) == ("due_date", "customer.document")
    row = order(provider, invoice_id)
    with provider.database.transaction() as session:
        invoices.cancel_invoice(session, invoices.get_invoice(session, invoice_id), ACTOR)
    with pytest.raises(Conflict):
        order(provider, invoice_id)
    provider.work()
    assert charge(provider, row).status is ChargeStatus.CLOSED


def test_no_webhook_is_called_lost_while_one_waits_to_be_read(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock
) -> None:
    lost, waiting = (order(provider, provider.invoice()) for _ in range(2))
    provider.work()
    read_the_api(provider)
    gateway.queue.faults.lose = 1.0
    gateway.pay(charge(provider, lost).charge_id or "")
    gateway.queue.faults.lose = 0.0
    gateway.pay(charge(provider, waiting).charge_id or "")
    clock.advance(reconciliation.EVERY)
    read_the_api(provider)  # both are found
    at_once(gateway.queue, provider.sender.send_due, clock)  # it came, and no worker has looked at it yet
    account_id = account_of(provider)
    with provider.database.transaction() as session:
        assert reconciliation.lost_webhooks(session, account_id, clock() + reconciliation.EVERY) == 0
    provider.work()
    with provider.database.transaction() as session:
        assert reconciliation.lost_webhooks(session, account_id, clock() + reconciliation.EVERY) == 1
        assert reconciliation.lost_webhooks(session, account_id, clock() + timedelta(hours=2)) == 0
    assert events(provider, "gateway_account.")[-1:] == ["gateway_account.created"]


def account_of(provider: Provider) -> int:
    with provider.database.transaction() as session:
        return session.scalars(select(GatewayAccount.id)).one()


def test_what_webhooks_told_already_is_no_news(provider: Provider, gateway: simulator.Asaas) -> None:
    invoice_id = provider.invoice()
    row = order(provider, invoice_id)
    provider.work()
    gateway.pay(charge(provider, row).charge_id or "")
    provider.deliver()
    read_the_api(provider)
    with provider.database.transaction() as session:
        assert not any(session.scalars(select(InboxEntry.found)))
        assert reconciliation.alarms(session) == []


def test_a_stopped_queue_and_an_api_that_is_silent_raise_an_alarm_and_stop_a_run(
    provider: Provider, gateway: simulator.Asaas, clock: ManualClock, keyring: Keyring
) -> None:
    with provider.database.transaction() as session:
        contract = make_contract(session)
        make_service(session, keyring, contract=contract)
        make_invoice(session, contract, due_date=date(2026, 10, 20), notified_at=clock() - timedelta(days=20))
    billing = Billing(UTC, clock)
    gateway.queue.interrupted = True
    read_the_api(provider)
    with provider.database.transaction() as session, pytest.raises(RunUnsafe, match="stopped sending"):
        billing.run(session)
    gateway.queue.interrupted = False
    clock.advance(reconciliation.EVERY)
    read_the_api(provider)
    gateway.away = 500
    clock.advance(reconciliation.SILENT_AFTER)
    read_the_api(provider)
    with provider.database.transaction() as session, pytest.raises(RunUnsafe, match="could not be read"):
        billing.run(session)
    with provider.database.transaction() as session:
        assert run_to_end(session, billing, force=True)
