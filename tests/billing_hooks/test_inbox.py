"""The inbox: stored once whoever repeats, and the same state whatever order events come in."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime

import pytest
from billing_factories import (
    OTHER_SECRET,
    SECRET,
    event,
    interpret,
    make_invoice,
    payment_event,
    reversal_event,
    signed,
)
from factories import make_contract
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import accounts, inbox
from billing_hooks.gateways.base import Delivery, WebhookNotAuthentic
from billing_hooks.models import InboxEntry, InboxStatus
from core import topics
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import Event, InvoiceStatus, OutboxItem, Payment

ACTOR = Actor("test:person")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def delivery(body: bytes, at: datetime = NOW, **how: str | None) -> Delivery:
    return Delivery(signed(body, at=at, **how), body)


def receive(session: Session, keyring: Keyring, body: bytes, *, event_id: str | None = None) -> int:
    return inbox.receive(session, keyring, "standard", delivery(body, event_id=event_id), NOW)


def work_off(session: Session, clock: ManualClock) -> None:
    """What the worker does: every owed interpretation, oldest first, until none is owed."""
    owed = select(OutboxItem).where(OutboxItem.topic == topics.INBOX_STORED.name).order_by(OutboxItem.id)
    while item := session.scalars(owed.limit(1)).first():
        interpret(session, item.payload["inbox_id"], clock)
        session.delete(item)
        session.flush()


@pytest.fixture
def account(session: Session, keyring: Keyring) -> None:
    accounts.create_account(session, keyring, "standard", "erp", SECRET, ACTOR)


@pytest.mark.usefixtures("account")
def test_a_repeated_event_is_stored_once_and_owed_once(session: Session, keyring: Keyring) -> None:
    body = event("x")
    assert [receive(session, keyring, body, event_id="m1") for _ in range(3)] == [True, False, False]
    assert session.scalars(select(OutboxItem.topic)).all() == [topics.INBOX_STORED.name]


@pytest.mark.usefixtures("account")
def test_what_is_not_authentic_leaves_nothing_but_a_count(session: Session, keyring: Keyring) -> None:
    refused = inbox.RECEIVED.labels("standard", "WebhookNotAuthentic")
    before = refused._value.get()
    with pytest.raises(WebhookNotAuthentic):
        inbox.receive(session, keyring, "standard", delivery(event("x"), secret=OTHER_SECRET), NOW)
    assert refused._value.get() == before + 1
    assert session.scalars(select(InboxEntry)).all() == []


def test_during_a_rotation_both_secrets_are_good_and_a_disabled_account_has_none(
    session: Session, keyring: Keyring
) -> None:
    account = accounts.create_account(session, keyring, "standard", "erp", OTHER_SECRET, ACTOR)
    accounts.update_account(session, keyring, account, {"secret": SECRET}, ACTOR, NOW)
    for secret in (SECRET, OTHER_SECRET):
        inbox.receive(session, keyring, "standard", delivery(event("x"), secret=secret), NOW)
    over = NOW + accounts.ROTATION
    with pytest.raises(WebhookNotAuthentic):
        inbox.receive(session, keyring, "standard", delivery(event("x"), over, secret=OTHER_SECRET), over)

    accounts.update_account(session, keyring, account, {"previous_valid_until": None}, ACTOR, NOW)
    with pytest.raises(WebhookNotAuthentic):
        inbox.receive(session, keyring, "standard", delivery(event("x"), secret=OTHER_SECRET), NOW)
    assert receive(session, keyring, event("x"))

    accounts.update_account(session, keyring, account, {"enabled": False}, ACTOR, NOW)
    with pytest.raises(WebhookNotAuthentic):
        receive(session, keyring, event("x"))


def test_each_account_counts_its_events_apart(session: Session, keyring: Keyring) -> None:
    """Two systems of the provider may number their messages alike."""
    for name, secret in (("erp", SECRET), ("portal", OTHER_SECRET)):
        accounts.create_account(session, keyring, "standard", name, secret, ACTOR)
        assert inbox.receive(
            session,
            keyring,
            "standard",
            delivery(event("x"), event_id="1", secret=secret),
            NOW,
        )
    assert session.scalar(select(func.count()).select_from(InboxEntry)) == 2


@pytest.mark.usefixtures("account")
def test_accounts_with_a_known_name_unknown_gateway_or_useless_secret_are_refused(
    session: Session, keyring: Keyring
) -> None:
    with pytest.raises(Conflict):
        accounts.create_account(session, keyring, "standard", "erp", SECRET, ACTOR)
    for gateway, secret, field in (("nobody", SECRET, "gateway"), ("standard", "whsec_", "secret")):
        with pytest.raises(InvalidInput) as refused:
            accounts.create_account(session, keyring, gateway, "new", secret, ACTOR)
        assert refused.value.field == field


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_state_reached_is_the_same_for_any_order_of_events(
    session: Session, keyring: Keyring, clock: ManualClock, order: tuple[int, ...]
) -> None:
    """Two payments, the first one taken back, and the first one told twice: the second alone settles."""
    invoice = make_invoice(session, make_contract(session))
    bodies = [
        payment_event(invoice, "pay_1"), reversal_event("pay_1"), payment_event(invoice, "pay_2"),
        payment_event(invoice, "pay_1"),
    ]  # fmt: skip
    for number in order:
        receive(session, keyring, bodies[number])
        work_off(session, clock)

    session.expire_all()
    assert invoice.status is InvoiceStatus.PAID
    kept = session.scalars(select(Payment.external_id).where(Payment.reversed_at.is_(None))).all()
    assert kept == ["pay_2"]
    assert set(session.scalars(select(InboxEntry.status)).all()) == {InboxStatus.DONE}


@pytest.mark.usefixtures("account")
def test_a_reversal_without_its_payment_waits_and_is_told(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    receive(session, keyring, reversal_event("pay_9"))
    work_off(session, clock)
    entry = session.scalars(select(InboxEntry)).one()
    assert (entry.status, entry.awaits, entry.done_at) == (InboxStatus.WAITING, "pay_9", None)
    assert session.scalars(select(Event.type).where(Event.subject == f"inbox:{entry.id}")).all() == ["webhook.waiting"]


@pytest.mark.usefixtures("account")
def test_the_same_payment_with_another_amount_is_for_a_person_and_changes_nothing(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    invoice = make_invoice(session, make_contract(session))
    receive(session, keyring, payment_event(invoice, amount_cents=1))
    receive(session, keyring, payment_event(invoice, amount_cents=9990))
    work_off(session, clock)
    assert invoice.status is InvoiceStatus.OPEN
    entries = session.scalars(select(InboxEntry).order_by(InboxEntry.id)).all()
    assert [entry.status for entry in entries] == [InboxStatus.DONE, InboxStatus.FAILED]
    assert "another amount" in (entries[1].error or "")
    assert "webhook.failed" in session.scalars(select(Event.type)).all()


@pytest.mark.usefixtures("account")
def test_a_payment_finds_its_invoice_by_the_gateways_charge(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    invoice = make_invoice(session, make_contract(session), external_gateway="standard", external_id="chr_5")
    receive(session, keyring, payment_event(invoice, invoice_id=None, charge_id="chr_5"))
    work_off(session, clock)
    assert invoice.status is InvoiceStatus.PAID


def test_one_event_received_by_two_nodes_at_once_is_one_entry(database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        accounts.create_account(session, keyring, "standard", "erp", SECRET, ACTOR)
    start, answers = threading.Barrier(2), list[bool]()

    def node() -> None:
        with database.transaction() as session:
            start.wait(timeout=10)
            answers.append(receive(session, keyring, event("x"), event_id="m1"))

    nodes = [threading.Thread(target=node) for _ in range(2)]
    for thread in nodes:
        thread.start()
    for thread in nodes:
        thread.join(timeout=20)

    assert sorted(answers) == [False, True]
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(InboxEntry)) == 1
        assert session.scalar(select(func.count()).select_from(OutboxItem)) == 1


def test_two_accounts_that_number_alike_pay_their_own_invoices(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    """Two systems of one kind, the same payment and charge ids: four events, two payments, nothing mistaken."""
    contract = make_contract(session)
    paid = []
    for name, secret in (("erp", SECRET), ("portal", OTHER_SECRET)):
        account = accounts.create_account(session, keyring, "standard", name, secret, ACTOR)
        external = {"external_gateway": "standard", "external_account_id": account.id, "external_id": "1"}
        paid.append(make_invoice(session, contract, **external))
    for secret in (SECRET, OTHER_SECRET) * 2:
        body = payment_event(paid[0], "1", invoice_id=None, charge_id="1")
        inbox.receive(session, keyring, "standard", delivery(body, secret=secret), NOW)
        work_off(session, clock)
    assert [invoice.status for invoice in paid] == [InvoiceStatus.PAID] * 2
    assert session.scalar(select(func.count()).select_from(Payment)) == 2

    body = reversal_event("1")  # the portal's payment, not the other's
    inbox.receive(session, keyring, "standard", delivery(body, secret=OTHER_SECRET), NOW)
    work_off(session, clock)
    assert [invoice.status for invoice in paid] == [InvoiceStatus.PAID, InvoiceStatus.OPEN]


@pytest.mark.usefixtures("account")
def test_money_given_back_is_not_owed_again(session: Session, keyring: Keyring, clock: ManualClock) -> None:
    invoice = make_invoice(session, make_contract(session))
    for body in (event("payment.refunded", payment_id="pay_1"), payment_event(invoice)):  # the refund overtook it
        receive(session, keyring, body)
        work_off(session, clock)
    assert invoice.status is InvoiceStatus.REFUNDED


@pytest.mark.usefixtures("account")
def test_a_payment_in_another_currency_is_kept_for_a_person(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    invoice = make_invoice(session, make_contract(session))
    for currency in ("USD", "dollars"):
        receive(session, keyring, payment_event(invoice, f"pay_{currency}", currency=currency))
    work_off(session, clock)
    assert invoice.status is InvoiceStatus.OPEN
    entries = session.scalars(select(InboxEntry).order_by(InboxEntry.id)).all()
    assert [entry.status for entry in entries] == [InboxStatus.FAILED] * 2
    assert "USD" in (entries[0].error or "")
    receive(session, keyring, payment_event(invoice, "pay_3", currency="BRL"))
    work_off(session, clock)
    assert invoice.status is InvoiceStatus.PAID


@pytest.mark.usefixtures("account")
def test_a_gateways_money_counts_whatever_date_it_says(session: Session, keyring: Keyring, clock: ManualClock) -> None:
    invoice = make_invoice(session, make_contract(session))
    receive(session, keyring, payment_event(invoice, paid_at="2099-12-31T23:59:59Z"))
    work_off(session, clock)
    assert invoice.status is InvoiceStatus.PAID


def test_an_invoice_names_whose_charge_it_is_where_several_could_be_meant(session: Session, keyring: Keyring) -> None:
    assert accounts.account_of_charge(session, "standard", None) is None
    first = accounts.create_account(session, keyring, "standard", "erp", SECRET, ACTOR)
    assert accounts.account_of_charge(session, "standard", None) == first.id
    second = accounts.create_account(session, keyring, "standard", "portal", OTHER_SECRET, ACTOR)
    assert accounts.account_of_charge(session, "standard", second.id) == second.id
    for gateway, account_id in (("standard", None), ("standard", second.id + 1), ("asaas", second.id)):
        with pytest.raises(InvalidInput) as refused:
            accounts.account_of_charge(session, gateway, account_id)
        assert refused.value.field == "external.account_id"
