"""Invoices: paid while unreversed payments reach the amount, whatever came when and how often."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from billing_factories import make_invoice
from factories import make_contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import invoices, payments, topics
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput, NotFound
from core.invoices import External
from core.models import AuditEntry, Event, Invoice, InvoiceStatus, OutboxItem, Payment


def pay(
    session: Session, invoice: Invoice, clock: ManualClock, amount_cents: int, name: str = "p1", *, so_far: bool = False
) -> Payment:
    return payments.record_payment(
        session, invoice.id, amount_cents=amount_cents, paid_at=clock(), method="pix", actor=Actor("gateway:standard"),
        now=clock(), external=External("standard", 1, name), so_far=so_far,
    )  # fmt: skip


def owed_work(session: Session) -> int:
    """Of looking at the contract's standing again."""
    owed = select(func.count()).where(OutboxItem.topic == topics.STANDING_CHANGED.name)
    return session.scalar(owed) or 0


def event_types(session: Session, invoice: Invoice) -> list[str]:
    return list(session.scalars(select(Event.type).where(Event.subject == f"invoice:{invoice.id}").order_by(Event.id)))


def test_the_payment_that_reaches_the_amount_settles(session: Session, clock: ManualClock) -> None:
    invoice = make_invoice(session, make_contract(session), amount_cents=9990)

    pay(session, invoice, clock, 5000, "first")
    assert invoice.status is InvoiceStatus.OPEN

    pay(session, invoice, clock, 4990, "rest")
    assert (invoice.status, invoice.paid_at) == (InvoiceStatus.PAID, clock())
    assert event_types(session, invoice) == [
        "invoice.created", "payment.recorded", "invoice.paid_in_part", "payment.recorded", "invoice.paid",
    ]  # fmt: skip


def test_one_centavo_short_is_not_paid(session: Session, clock: ManualClock) -> None:
    invoice = make_invoice(session, make_contract(session), amount_cents=9990)
    pay(session, invoice, clock, 9989)
    assert invoice.status is InvoiceStatus.OPEN


def test_a_repeated_payment_is_the_same_payment_and_owes_nothing_more(session: Session, clock: ManualClock) -> None:
    invoice = make_invoice(session, make_contract(session))
    first = pay(session, invoice, clock, 9990)
    owed = owed_work(session)

    assert pay(session, invoice, clock, 9990) is first
    assert owed_work(session) == owed
    assert event_types(session, invoice).count("payment.recorded") == 1


@pytest.mark.parametrize("sums", list(itertools.permutations((3000, 5000, 9990))))
def test_a_payment_that_is_told_as_a_sum_grows_to_the_largest_in_whatever_order_it_is_told(
    session: Session, clock: ManualClock, sums: tuple[int, ...]
) -> None:
    invoice = make_invoice(session, make_contract(session), amount_cents=9990)
    for amount_cents in (*sums, sums[0]):
        payment = pay(session, invoice, clock, amount_cents, so_far=True)
    assert (payment.amount_cents, invoice.status) == (9990, InvoiceStatus.PAID)
    assert event_types(session, invoice).count("payment.recorded") == 1
    assert session.scalar(select(func.count()).select_from(Payment)) == 1
    with pytest.raises(Conflict):
        pay(session, make_invoice(session, make_contract(session)), clock, 9990, so_far=True)


def test_the_same_payment_with_another_amount_or_invoice_is_a_conflict(session: Session, clock: ManualClock) -> None:
    contract = make_contract(session)
    invoice, other = make_invoice(session, contract), make_invoice(session, contract)
    pay(session, invoice, clock, 9990)
    for wrong_invoice, wrong_amount in ((invoice, 1), (other, 9990)):
        with pytest.raises(Conflict):
            pay(session, wrong_invoice, clock, wrong_amount)
    assert other.status is InvoiceStatus.OPEN


def test_a_reversal_opens_the_invoice_again_once(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    payment = pay(session, invoice, clock, 9990)
    for _ in range(2):
        payments.reverse_payment(session, payment.id, now=clock(), actor=actor)
    assert (invoice.status, invoice.paid_at) == (InvoiceStatus.OPEN, None)
    assert event_types(session, invoice)[-2:] == ["payment.reversed", "invoice.reopened"]


def test_a_cancelled_invoice_never_becomes_owed_again(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    invoices.cancel_invoice(session, invoice, actor)

    payment = pay(session, invoice, clock, 9990)
    assert event_types(session, invoice)[-1] == "invoice.paid_though_cancelled"

    payments.reverse_payment(session, payment.id, now=clock(), actor=actor)
    assert invoice.status is InvoiceStatus.CANCELLED


def test_a_paid_invoice_is_not_cancelled(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    pay(session, invoice, clock, 9990)
    with pytest.raises(Conflict):
        invoices.cancel_invoice(session, invoice, actor)


def test_the_first_notice_counts(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    first = clock()
    invoices.mark_notified(session, invoice, first, actor, clock())
    clock.advance(timedelta(days=1))
    invoices.mark_notified(session, invoice, clock(), actor, clock())
    assert invoice.notified_at == first


@pytest.mark.parametrize(
    "change",
    [
        invoices.cancel_invoice,
        lambda session, invoice, actor: invoices.set_contested(session, invoice, True, actor),
    ],
)
def test_what_can_alter_standing_is_owed_audited_and_told(
    session: Session, actor: Actor, change: Callable[..., Any]
) -> None:
    invoice = make_invoice(session, make_contract(session))
    owed, told = owed_work(session), len(event_types(session, invoice))

    change(session, invoice, actor)
    change(session, invoice, actor)  # a second time changes nothing

    standing = select(OutboxItem).where(OutboxItem.topic == "billing.standing_changed")
    newest = session.scalars(standing.order_by(OutboxItem.id.desc())).first()
    assert newest is not None
    assert newest.payload == {"contract_id": invoice.contract_id}
    assert (owed_work(session), len(event_types(session, invoice))) == (owed + 1, told + 1)
    entries = session.scalars(
        select(AuditEntry.actor)
        .where(AuditEntry.resource == "invoice", AuditEntry.resource_id == str(invoice.id))
        .order_by(AuditEntry.id)
    ).all()
    assert entries == ["test:billing", actor.name]


def test_unknown_contracts_invoices_and_payments_are_named(session: Session, clock: ManualClock, actor: Actor) -> None:
    with pytest.raises(InvalidInput) as refused:
        invoices.create_invoice(
            session, {"contract_id": 10**12, "due_date": clock().date(), "amount_cents": 1}, actor, clock()
        )
    assert refused.value.field == "contract_id"
    with pytest.raises(NotFound):
        invoices.get_invoice(session, 10**12)
    with pytest.raises(NotFound):
        payments.reverse_payment(session, 10**12, now=clock(), actor=actor)


steps = st.lists(
    st.tuples(st.sampled_from(["pay", "reverse"]), st.integers(0, 3), st.booleans()), min_size=1, max_size=12
)
AMOUNTS = (3333, 3333, 3334, 9990)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_the_sum_is_right_to_the_cent_over_any_order_and_repetition(
    session: Session, clock: ManualClock, actor: Actor, steps: list[tuple[str, int, bool]]
) -> None:
    invoice = make_invoice(session, make_contract(session), amount_cents=10_000)
    kept: dict[int, bool] = {}
    for action, number, twice in steps:
        for _ in range(1 + twice):
            if action == "pay":
                pay(session, invoice, clock, AMOUNTS[number], f"{invoice.id}-{number}")
                kept.setdefault(number, True)
            elif number in kept:
                row = session.scalars(select(Payment).where(Payment.external_id == f"{invoice.id}-{number}")).one()
                payments.reverse_payment(session, row.id, now=clock(), actor=actor)
                kept[number] = False
        expected = sum(AMOUNTS[number] for number, counts in kept.items() if counts)
        assert (invoice.status is InvoiceStatus.PAID) == (expected >= 10_000)
        assert (invoice.paid_at is not None) == (invoice.status is InvoiceStatus.PAID)


def test_an_invoice_read_before_the_lock_is_read_again(database: Database, clock: ManualClock, actor: Actor) -> None:
    """A worker holds the invoice as paid, somebody reverses, then the worker's payment arrives: it must count."""
    with database.transaction() as session:
        invoice = make_invoice(session, make_contract(session))
        reversed_ = pay(session, invoice, clock, 9990, "first").id

    with database.transaction() as late:
        stale = invoices.get_invoice(late, invoice.id)
        assert stale.status is InvoiceStatus.PAID
        with database.transaction() as other:
            payments.reverse_payment(other, reversed_, now=clock(), actor=actor)
        pay(late, stale, clock, 9990, "second")

    with database.transaction() as session:
        assert invoices.get_invoice(session, invoice.id).status is InvoiceStatus.PAID


def test_one_payment_told_to_two_workers_at_once_is_one_row(database: Database, clock: ManualClock) -> None:
    with database.transaction() as session:
        invoice = make_invoice(session, make_contract(session))
    start = threading.Barrier(2)

    def work() -> None:
        with database.transaction() as session:
            start.wait(timeout=10)
            pay(session, invoice, clock, 9990)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=20)

    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Payment)) == 1
        assert event_types(session, invoice).count("invoice.paid") == 1


def test_money_given_back_leaves_nothing_owed(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    payment = pay(session, invoice, clock, 9990)
    for _ in range(2):
        payments.reverse_payment(session, payment.id, now=clock(), actor=actor, refund=True)
    assert (invoice.status, invoice.paid_at) == (InvoiceStatus.REFUNDED, None)
    assert event_types(session, invoice)[-2:] == ["payment.refunded", "invoice.refunded"]

    pay(session, invoice, clock, 9990, "again")
    assert (invoice.status, event_types(session, invoice)[-1]) == (
        InvoiceStatus.REFUNDED, "invoice.paid_though_refunded",
    )  # fmt: skip
    with pytest.raises(Conflict):
        invoices.cancel_invoice(session, invoice, actor)


def test_a_refund_of_what_was_paid_twice_leaves_it_paid(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    pay(session, invoice, clock, 9990, "first")
    second = pay(session, invoice, clock, 9990, "second")
    assert event_types(session, invoice)[-1] == "invoice.overpaid"
    payments.reverse_payment(session, second.id, now=clock(), actor=actor, refund=True)
    assert invoice.status is InvoiceStatus.PAID


def test_a_debt_that_comes_back_needs_a_new_notice(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    invoices.mark_notified(session, invoice, clock(), actor, clock())
    payment = pay(session, invoice, clock, 9990)
    payments.reverse_payment(session, payment.id, now=clock(), actor=actor)
    assert (invoice.status, invoice.notified_at) == (InvoiceStatus.OPEN, None)
    clock.advance(timedelta(days=3))
    assert invoices.mark_notified(session, invoice, clock(), actor, clock()).notified_at == clock()


def test_a_notice_is_not_of_the_future(session: Session, clock: ManualClock, actor: Actor) -> None:
    contract = make_contract(session)
    invoice = make_invoice(session, contract)
    tomorrow = clock() + timedelta(days=1)
    with pytest.raises(InvalidInput) as refused:
        invoices.mark_notified(session, invoice, tomorrow, actor, clock())
    assert (refused.value.field, invoice.notified_at) == ("notified_at", None)
    values = {"contract_id": contract.id, "due_date": clock().date(), "amount_cents": 1, "notified_at": tomorrow}
    with pytest.raises(InvalidInput):
        invoices.create_invoice(session, values, actor, clock())


def test_money_in_another_currency_is_for_a_person(session: Session, clock: ManualClock, actor: Actor) -> None:
    invoice = make_invoice(session, make_contract(session))
    given = {"amount_cents": 9990, "paid_at": clock(), "method": "card", "actor": actor, "now": clock()}
    with pytest.raises(Conflict) as refused:
        payments.record_payment(session, invoice.id, currency="USD", **given)
    assert (refused.value.field, invoice.status) == ("currency", InvoiceStatus.OPEN)
    assert payments.record_payment(session, invoice.id, currency="BRL", **given).currency == "BRL"


def test_two_accounts_may_number_their_payments_and_charges_alike(session: Session, clock: ManualClock) -> None:
    contract = make_contract(session)
    one = make_invoice(session, contract, external_gateway="standard", external_account_id=1, external_id="1")
    two = make_invoice(session, contract, external_gateway="standard", external_account_id=2, external_id="1")
    anybodys = make_invoice(session, contract, external_gateway="standard", external_id="1")
    for account_id, invoice in ((1, one), (2, two), (3, anybodys)):
        charge = External("standard", account_id, "1")
        assert invoices.find_by_external(session, charge) is invoice
        payments.record_payment(
            session, invoice.id, amount_cents=9990, paid_at=clock(), method="pix", actor=Actor("g"), now=clock(),
            external=charge,
        )  # fmt: skip
    assert {invoice.status for invoice in (one, two, anybodys)} == {InvoiceStatus.PAID}
    with pytest.raises(Conflict):
        make_invoice(session, contract, external_gateway="standard", external_id="1")
