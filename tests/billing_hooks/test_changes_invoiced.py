"""Plan changes and pauses on invoices of our own: known before or after the invoice was made, it comes out the same."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from billing_factories import issue_due
from factories import make_contract, make_plan, make_service
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import contracts, pauses, plan_change_preview, plan_changes
from billing_hooks.invoicing.period import Span
from billing_hooks.issuing.issue import Issuing
from billing_hooks.issuing.kept import lines_of
from billing_hooks.models import BilledPeriod
from billing_hooks.plan_changes import Wish
from core import parties
from core.audit import Actor
from core.clock import ManualClock
from core.keyring import Keyring
from core.models import ContractItem, Invoice, Service

ZONE = ZoneInfo("America/Sao_Paulo")
ACTOR = Actor("test:person")


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=ZONE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at(date(2026, 11, 1)))


@pytest.fixture
def issuing(clock: ManualClock) -> Issuing:
    return Issuing(ZONE, clock)


@pytest.fixture
def service(session: Session, keyring: Keyring) -> Service:
    """Due on the 10th in advance, R$ 90,00 a month, invoiced by us from 10 November 2026 on."""
    contract = make_contract(session, started_on=date(2026, 1, 10))
    service = make_service(session, keyring, contract=contract, plan=make_plan(session, name="Fibra 300"))
    session.add(ContractItem(contract_id=contract.id, service_id=service.id, price_cents=9000))
    session.flush()
    contracts.update_terms(session, contract.id, {"invoiced_since": date(2026, 11, 10)}, ACTOR, date(2026, 11, 1))
    return service


def run_on(session: Session, issuing: Issuing, clock: ManualClock, day: date) -> None:
    """What the clock owes on that day, and what the workers do."""
    clock.now = at(day)
    issue_due(session, issuing)


def amounts(session: Session, service: Service) -> list[int]:
    of_contract = Invoice.contract_id == service.contract_id
    return list(session.scalars(select(Invoice.amount_cents).where(of_contract).order_by(Invoice.id)))


def change(session: Session, keyring: Keyring, service: Service, clock: ManualClock, on: date) -> None:
    plan = make_plan(session, name="Fibra 500", down_kbps=500_000)
    plan_changes.ask(session, keyring, service.id, Wish(plan.id, on, 12_000), ACTOR, clock(), ZONE)


def test_a_change_that_is_known_before_is_on_the_invoice_with_both_plans(
    session: Session, keyring: Keyring, issuing: Issuing, clock: ManualClock, service: Service
) -> None:
    clock.now = at(date(2026, 10, 20))
    change(session, keyring, service, clock, date(2026, 11, 25))
    run_on(session, issuing, clock, date(2026, 11, 1))
    assert amounts(session, service) == [4500 + 6000]
    row = session.scalars(select(BilledPeriod).where(BilledPeriod.contract_id == service.contract_id)).one()
    assert [line.words.pt for line in lines_of(row)] == [
        "Fibra 300, 10/11/2026 a 24/11/2026 (15 de 30 dias)", "Fibra 500, 25/11/2026 a 09/12/2026 (15 de 30 dias)",
    ]  # fmt: skip
    clock.now = at(date(2026, 11, 25))
    assert plan_changes.apply_due(session, keyring, clock(), ZONE) == 1
    for month, day in ((11, 30), (12, 31)):
        run_on(session, issuing, clock, date(2026, month, day))
    assert amounts(session, service) == [10_500, 12_000, 12_000]


def test_a_change_of_now_in_a_period_that_was_paid_in_advance_comes_with_the_next_invoice_as_previewed(
    session: Session, keyring: Keyring, issuing: Issuing, clock: ManualClock, service: Service
) -> None:
    run_on(session, issuing, clock, date(2026, 11, 1))
    clock.now = at(date(2026, 11, 25))
    plan = make_plan(session, name="Fibra 500", down_kbps=500_000, price_cents=12_000)
    seen = plan_change_preview.preview(session, service.id, Wish(plan.id), ACTOR, clock(), ZONE)
    assert [(one.invoiced, one.difference_cents) for one in seen.periods] == [(True, 1500), (False, 3000)]
    plan_changes.ask(session, keyring, service.id, Wish(plan.id), ACTOR, clock(), ZONE)
    for day in (date(2026, 11, 30), date(2026, 12, 31)):
        run_on(session, issuing, clock, day)
    assert amounts(session, service) == [9000, 12_000 + 1500, 12_000]


def test_a_price_that_is_edited_after_a_change_corrects_no_period_from_before(
    session: Session, keyring: Keyring, issuing: Issuing, clock: ManualClock, service: Service
) -> None:
    """The item of then is gone, and what was changed of it is known all the same."""
    run_on(session, issuing, clock, date(2026, 11, 1))
    clock.now = at(date(2026, 11, 25))
    change(session, keyring, service, clock, date(2026, 11, 25))
    run_on(session, issuing, clock, date(2026, 11, 30))
    contract = parties.get_contract(session, service.contract_id)
    parties.update_contract(session, contract, {}, [{"service_id": service.id, "price_cents": 11_000}], ACTOR)
    run_on(session, issuing, clock, date(2026, 12, 31))
    assert amounts(session, service) == [9000, 13_500, 11_000]


@pytest.mark.parametrize("asked_on", [date(2026, 10, 25), date(2026, 11, 12)])
def test_a_pause_is_not_charged_whether_it_is_asked_for_before_the_invoice_or_after(
    session: Session, issuing: Issuing, clock: ManualClock, service: Service, asked_on: date
) -> None:
    def ask() -> None:
        clock.now = at(asked_on)
        span = Span(date(2026, 11, 25), date(2026, 12, 25))
        pauses.ask(session, service.id, span, ACTOR, clock(), ZONE)

    if asked_on < date(2026, 11, 1):
        ask()
    run_on(session, issuing, clock, date(2026, 11, 1))
    if asked_on > date(2026, 11, 1):
        invoice = session.scalars(select(Invoice).where(Invoice.contract_id == service.contract_id)).one()
        assert invoice.amount_cents == 9000
        invoice.due_date = date(2026, 11, 20)  # it is to be paid still, and not overdue
        ask()
    run_on(session, issuing, clock, date(2026, 11, 30))
    # 15 of 30 days are paused, then 15 of 31
    assert sum(amounts(session, service)) == 4500 + 9000 * 16 // 31


def test_whose_pause_runs_is_charged_for_the_days_after_it_when_he_is_invoiced_in_advance(
    session: Session, issuing: Issuing, clock: ManualClock, service: Service
) -> None:
    pauses.ask(session, service.id, Span(date(2026, 11, 1), date(2026, 12, 1)), ACTOR, clock(), ZONE)
    run_on(session, issuing, clock, date(2026, 11, 2))
    assert amounts(session, service) == [9000 * 9 // 30]
