"""The engine over days and under races: nobody is cut who paid, and everybody who paid is given back."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billing_factories import guard_runs, make_invoice, run_to_end
from factories import make_contract, make_service
from locks import wait_until_blocked
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from billing_hooks import tasks
from billing_hooks.models import BillingDecision, BillingRun, ContractBilling
from billing_hooks.runs import Billing
from core import holds, invoices, payments
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import Contract, Event, Hold, Invoice, Service

ZONE = ZoneInfo("America/Sao_Paulo")
TUESDAY_TEN = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(TUESDAY_TEN)


@pytest.fixture
def billing(clock: ManualClock) -> Billing:
    return Billing(ZONE, clock)


def make_debtor(session: Session, keyring: Keyring, actor: Actor) -> tuple[Service, Invoice]:
    contract = make_contract(session)
    invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
    invoices.mark_notified(session, invoice, TUESDAY_TEN - timedelta(days=20), actor, TUESDAY_TEN)
    return make_service(session, keyring, contract=contract), invoice


def pay(session: Session, invoice: Invoice, clock: ManualClock, actor: Actor) -> None:
    payments.record_payment(
        session, invoice.id, amount_cents=invoice.amount_cents, paid_at=clock(), method="pix", actor=actor, now=clock()
    )


def billing_holds(session: Session) -> int:
    return session.scalar(select(func.count()).where(Hold.reason == HoldReason.BILLING)) or 0


def test_a_month_of_one_subscriber(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    def at(day: int, hour: int, month: int = 11) -> list[str]:
        clock.now = datetime(2026, month, day, hour, tzinfo=ZONE).astimezone(UTC)
        return [change.action for change in run_to_end(session, billing)]

    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    invoice = make_invoice(session, contract, due_date=date(2026, 11, 3))

    # day 3: due today, and the reminder has three days' time
    assert at(3, 10) == ["tell"]
    # day 4: overdue: the notice is owed, once; until it reaches nothing happens
    assert at(4, 10) == ["tell"]
    assert at(4, 11) == []
    # day 5: the notice reaches the payer; its 15 full days begin tomorrow
    assert at(5, 23) == []
    invoices.mark_notified(session, invoice, clock(), actor, clock())
    # day 20: the last of the 15 days, and of those on which the last reminder may still come
    assert at(20, 10) == ["tell"]
    # days 21 and 22: a weekend; nothing begins
    assert at(21, 10) == at(22, 10) == []
    # day 23: Monday, before and after business hours
    assert at(23, 7) == at(23, 18) == []
    # day 24: Tuesday morning: restricted, and a second run does nothing more
    assert (at(24, 8), at(24, 9)) == (["place"], [])
    assert service.access is Access.WALLED_GARDEN
    # day 28: the subscriber contests on a Saturday night: given back at once
    clock.now = datetime(2026, 11, 28, 23, 30, tzinfo=ZONE).astimezone(UTC)
    invoices.set_contested(session, invoice, True, actor)
    assert billing.apply_standing(session, contract.id) == 1
    assert service.access is Access.FULL
    # day 30: rejected; restricted again by the next run
    invoices.set_contested(session, invoice, False, actor)
    assert at(30, 10) == ["place"]
    # 6 December: paid on a Sunday night
    clock.now = datetime(2026, 12, 6, 23, tzinfo=ZONE).astimezone(UTC)
    pay(session, invoice, clock, actor)
    assert billing.apply_standing(session, contract.id) == 1
    assert service.access is Access.FULL
    # 7 December: nothing happens, and two restrictions are on record with their reason
    assert at(7, 10, month=12) == []
    notes = session.scalars(select(Hold.note).order_by(Hold.id)).all()
    assert notes == [
        f"invoice {invoice.id} is {days} days overdue and its notice has run" for days in (21, 27)
    ]  # fmt: skip


def test_a_partial_payment_or_another_open_debt_gives_nothing_back(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    service, invoice = make_debtor(session, keyring, actor)
    contract = session.get_one(Contract, invoice.contract_id)
    second = make_invoice(session, contract, due_date=date(2026, 10, 25))
    invoices.mark_notified(session, second, TUESDAY_TEN - timedelta(days=20), actor, clock())
    run_to_end(session, billing)

    pay(session, invoice, clock, actor)
    assert billing.apply_standing(session, contract.id) == 0
    assert service.access is Access.WALLED_GARDEN

    pay(session, second, clock, actor)
    assert billing.apply_standing(session, contract.id) == 1


def test_only_the_services_of_the_owing_contract_are_touched(
    session: Session, keyring: Keyring, actor: Actor, billing: Billing
) -> None:
    owing, invoice = make_debtor(session, keyring, actor)
    customer_id = session.get_one(Contract, invoice.contract_id).customer_id
    neighbour = make_service(session, keyring, contract=make_contract(session, customer_id=customer_id))
    run_to_end(session, billing)
    assert (owing.access, neighbour.access) == (Access.WALLED_GARDEN, Access.FULL)


def test_a_run_is_recorded_with_who_and_why_and_a_dry_run_changes_nothing(
    session: Session, keyring: Keyring, actor: Actor, billing: Billing
) -> None:
    service, _ = make_debtor(session, keyring, actor)
    planned = billing.plan(session)
    assert (billing_holds(session), session.scalars(select(BillingRun)).all()) == (0, [])

    assert run_to_end(session, billing) == planned
    record = session.scalars(select(BillingRun)).one()
    assert (record.placed, record.lifted) == (1, 0)
    decision = session.scalars(select(BillingDecision).where(BillingDecision.run_id == record.id)).one()
    assert (decision.service_ids, decision.reason_pt) == ([service.id], planned[0].reason_pt)
    assert (decision.policy, decision.step, decision.outcome) == ("Anatel 765", "suspension", None)
    assert decision.done_at is not None


def test_a_run_lifts_what_a_lost_notice_left_behind(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    service, invoice = make_debtor(session, keyring, actor)
    run_to_end(session, billing)
    pay(session, invoice, clock, actor)
    assert [change.action for change in run_to_end(session, billing)] == ["lift"]
    assert service.access is Access.FULL


def test_the_scheduled_run_that_is_not_safe_asks_a_person(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    careful = Billing(ZONE, clock)
    guard_runs(session, count_floor=0)
    service, _ = make_debtor(session, keyring, actor)
    run = next(work for work in tasks.periodic(careful, keyring, clock) if work.name == "billing.run")
    run.run(session)
    assert service.access is Access.FULL
    assert "billing.run_stopped" in session.scalars(select(Event.type)).all()


def test_the_paid_path_is_a_handful_of_statements(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    _, invoice = make_debtor(session, keyring, actor)
    run_to_end(session, billing)
    pay(session, invoice, clock, actor)
    assert len(statements_of_standing(session, billing, invoice.contract_id)) <= 21


def test_who_pays_in_time_costs_less_still(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    _, invoice = make_debtor(session, keyring, actor)
    pay(session, invoice, clock, actor)
    assert len(statements_of_standing(session, billing, invoice.contract_id)) <= 2


def statements_of_standing(session: Session, billing: Billing, contract_id: int) -> list[str]:
    """What handling a payment's change of standing asks of the database."""
    session.expire_all()
    statements: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *given: statements.append(given[2]))
    billing.handle_standing_changed(session, {"contract_id": contract_id})
    session.flush()
    return [one for one in statements if "SAVEPOINT" not in one]


def test_holds_of_other_reasons_do_not_stop_or_follow_billings(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    service, invoice = make_debtor(session, keyring, actor)
    holds.place_hold(session, service.id, reason=HoldReason.ADMIN, effect=HoldEffect.BLOCK, actor=actor, now=clock())
    run_to_end(session, billing)
    pay(session, invoice, clock, actor)
    billing.apply_standing(session, invoice.contract_id)
    assert service.access is Access.BLOCKED


def test_who_pays_between_plan_and_apply_is_not_cut(
    database: Database, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    with database.transaction() as session:
        _, invoice = make_debtor(session, keyring, actor)

    with database.transaction() as run:
        plan = billing.plan(run)
        assert [change.action for change in plan] == ["place"]
        with database.transaction() as other:
            pay(other, invoice, clock, actor)
        assert billing._do(run, billing._engine(run), "place", plan[0].contract_id, []) is False

    with database.transaction() as session:
        assert billing_holds(session) == 0


def test_who_pays_while_a_run_is_uncommitted_is_given_back_after_it(
    database: Database, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    with database.transaction() as session:
        _, invoice = make_debtor(session, keyring, actor)
    lifted: list[int] = []

    def paid() -> None:
        with database.transaction() as session:
            pay(session, invoice, clock, actor)
        with database.transaction() as session:
            lifted.append(billing.apply_standing(session, invoice.contract_id))

    payer = threading.Thread(target=paid)
    with database.transaction() as run:
        assert len(run_to_end(run, billing)) == 1
        payer.start()
        wait_until_blocked(run)
    payer.join(timeout=20)
    assert lifted == [1]


def test_two_runs_at_once_place_one_hold(
    database: Database, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    with database.transaction() as session:
        make_debtor(session, keyring, actor)
    start = threading.Barrier(2)

    def work() -> None:
        with database.transaction() as session:
            billing.plan(session)
            start.wait(timeout=10)
            run_to_end(session, billing)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=20)
    with database.transaction() as session:
        assert billing_holds(session) == 1


def test_a_run_that_lifts_counts_the_days_of_the_next_restriction_anew(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, billing: Billing
) -> None:
    """The payment's own notice was lost: else the next debt would be stronger, or ended, at once."""
    _, invoice = make_debtor(session, keyring, actor)
    run_to_end(session, billing)
    terms = session.get_one(ContractBilling, invoice.contract_id)
    assert terms.restricted_since == clock()
    pay(session, invoice, clock, actor)
    assert [change.action for change in run_to_end(session, billing)] == ["lift"]
    session.refresh(terms)
    assert terms.restricted_since is None
