"""Invoices of our own: made once a contract and period, right in the end whatever was known when they were made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import issue_due
from factories import make_contract, make_plan, make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locks import wait_until_blocked
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import contracts
from billing_hooks.invoicing.facts import Facts, Item, Reason, Uncharged, days_of
from billing_hooks.invoicing.lines import draft
from billing_hooks.invoicing.period import Span, Timing
from billing_hooks.invoicing.words import Words, name
from billing_hooks.issuing import adjustments, issue, terms
from billing_hooks.issuing.issue import Issuing
from billing_hooks.issuing.kept import lines_of, period_of
from billing_hooks.models import Adjustment, AdjustmentKind, BilledPeriod, Charge, ContractBilling, GatewayAccount
from core import holds, parties, payments, services
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import Contract, ContractItem, CustomerKind, Event, Invoice, Service
from provedor.demo import made_up_cpf

ZONE = ZoneInfo("America/Sao_Paulo")
ACTOR = Actor("test:person")
PERSONS = {"name": "standard", "default_for": CustomerKind.PERSON}
EXTRA, DISCOUNT, CREDIT = AdjustmentKind.EXTRA, AdjustmentKind.DISCOUNT, AdjustmentKind.CREDIT


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZONE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at(date(2026, 11, 1)))


@pytest.fixture
def issuing(clock: ManualClock) -> Issuing:
    return Issuing(ZONE, clock)


@pytest.fixture
def contract(session: Session, keyring: Keyring) -> Contract:
    """Due on the 10th, R$ 90,00 a month, invoiced by us from 10 November 2026 on."""
    return make_invoiced(session, keyring)


def make_invoiced(session: Session, keyring: Keyring, price_cents: int = 9000, **values: Any) -> Contract:
    contract = make_contract(session, **{"due_day": 10, "started_on": date(2026, 1, 10), **values})
    service = make_service(session, keyring, contract=contract, plan=make_plan(session, price_cents=price_cents))
    session.add(ContractItem(contract_id=contract.id, service_id=service.id, price_cents=price_cents))
    session.flush()
    since = {"invoiced_since": date(2026, 11, 10)}
    contracts.update_terms(session, contract.id, since, ACTOR, date(2026, 11, 1))
    return contract


def service_of(session: Session, contract: Contract) -> Service:
    return session.scalars(select(Service).where(Service.contract_id == contract.id)).one()


def made(session: Session, contract: Contract) -> list[Invoice]:
    return list(session.scalars(select(Invoice).where(Invoice.contract_id == contract.id).order_by(Invoice.id)))


def periods(session: Session, contract: Contract) -> list[BilledPeriod]:
    of_contract = BilledPeriod.contract_id == contract.id
    return list(session.scalars(select(BilledPeriod).where(of_contract).order_by(BilledPeriod.id)))


def suspend(session: Session, contract: Contract, first: date, last: date | None) -> None:
    """From noon of the first day to noon of the last."""
    hold = holds.place_hold(
        session, service_of(session, contract).id, reason=HoldReason.BILLING, effect=HoldEffect.BLOCK, actor=ACTOR,
        now=at(first),
    )  # fmt: skip
    if last is not None:
        holds.lift_hold(session, hold.id, actor=ACTOR, now=at(last))


def words_of(row: BilledPeriod) -> list[tuple[str, int]]:
    return [(line.words.pt, line.amount_cents) for line in lines_of(row)]


def test_an_invoice_is_made_ten_days_before_its_period_begins_and_once(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    clock.now = at(date(2026, 10, 30))
    issue_due(session, issuing)
    assert made(session, contract) == []
    clock.now = at(date(2026, 10, 31))
    issue_due(session, issuing)
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    assert (invoice.due_date, invoice.amount_cents) == (date(2026, 11, 10), 9000)
    assert (invoice.fine_bp, invoice.interest_bp_month) == (200, 100)
    (row,) = periods(session, contract)
    assert (row.start, row.end, row.invoice_id) == (date(2026, 11, 10), date(2026, 12, 10), invoice.id)
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert [one.due_date for one in made(session, contract)] == [date(2026, 11, 10), date(2026, 12, 10)]


def test_in_arrears_a_period_is_due_when_it_is_over(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    own = terms.create_terms(session, {"name": "pós-pago", "timing": Timing.IN_ARREARS, "lead_days": 7}, ACTOR)
    contracts.update_terms(session, contract.id, {"invoicing_terms_id": own.id}, ACTOR, issuing.today())
    clock.now = at(date(2026, 12, 2))
    issue_due(session, issuing)
    assert made(session, contract) == []
    clock.now = at(date(2026, 12, 3))
    issue_due(session, issuing)
    assert [one.due_date for one in made(session, contract)] == [date(2026, 12, 10)]
    assert periods(session, contract)[0].start == date(2026, 11, 10)


def test_who_is_invoiced_from_the_middle_of_a_cycle_pays_its_part_and_has_his_days_to_pay(
    session: Session, issuing: Issuing, clock: ManualClock, keyring: Keyring
) -> None:
    contract = make_invoiced(session, keyring, started_on=date(2026, 11, 25), due_day=10)
    clock.now = at(date(2026, 11, 25))
    issue_due(session, issuing)
    first = made(session, contract)[0]
    assert (first.due_date, first.amount_cents) == (date(2026, 11, 30), 4500)  # 15 of 30 days
    assert words_of(periods(session, contract)[0])[0][0].endswith("25/11/2026 a 09/12/2026 (15 de 30 dias)")


def test_a_day_on_which_the_service_was_suspended_is_not_charged_although_it_was_invoiced_before(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    suspend(session, contract, date(2026, 11, 12), date(2026, 11, 14))  # three days touched
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    second = made(session, contract)[1]
    assert second.amount_cents == 9000 - 900
    assert words_of(periods(session, contract)[1])[-1] == (
        "Crédito: Acerto do período 10/11/2026 a 09/12/2026", -900,
    )  # fmt: skip
    clock.now = at(date(2026, 12, 31))
    issue_due(session, issuing)
    assert made(session, contract)[2].amount_cents == 9000  # made good once


def test_while_the_service_is_suspended_nothing_is_charged_and_who_returns_pays_from_then_on(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    suspend(session, contract, date(2026, 11, 1), None)
    issue_due(session, issuing)
    assert made(session, contract) == []
    assert periods(session, contract)[0].total_cents == 0
    hold = holds.live_holds(session, service_of(session, contract).id)[0]
    holds.lift_hold(session, hold.id, actor=ACTOR, now=at(date(2026, 11, 29)))
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    assert invoice.amount_cents == 9000 + 3000  # ten of the thirty days: from 30 November on


def test_a_throttled_service_is_charged(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    service_id = service_of(session, contract).id
    holds.place_hold(
        session, service_id, reason=HoldReason.BILLING, effect=HoldEffect.THROTTLE, actor=ACTOR, now=clock()
    )
    issue_due(session, issuing)
    assert made(session, contract)[0].amount_cents == 9000


def test_an_item_of_no_service_is_charged_while_one_of_the_services_is(
    session: Session, issuing: Issuing, keyring: Keyring, contract: Contract
) -> None:
    second = make_service(session, keyring, contract=contract)
    session.add(ContractItem(contract_id=contract.id, service_id=second.id, price_cents=3000))
    session.add(ContractItem(contract_id=contract.id, description="IP fixo", price_cents=1000))
    session.flush()
    first = min(session.scalars(select(Service.id).where(Service.contract_id == contract.id)))
    for service_id, day in ((first, date(2026, 11, 5)), (second.id, date(2026, 11, 25))):
        holds.place_hold(
            session, service_id, reason=HoldReason.REQUEST, effect=HoldEffect.BLOCK, actor=ACTOR, now=at(day)
        )
    assert issuing.preview(session, contract.id).draft.total_cents == (3000 + 1000) * 15 // 30


def test_an_extra_is_charged_once_and_one_that_came_too_late_with_the_next(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    give(session, contract, EXTRA, "Visita técnica", amount_cents=5000)
    issue_due(session, issuing)
    give(session, contract, EXTRA, "Roteador", amount_cents=2500, valid_from=date(2026, 11, 20))
    give(session, contract, EXTRA, "Instalação", amount_cents=100, valid_from=date(2027, 3, 1))
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert [one.amount_cents for one in made(session, contract)] == [14000, 11500]


def test_a_discount_is_taken_while_it_is_valid(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    give(session, contract, DISCOUNT, "Boas-vindas", percent_bp=5000, valid_until=date(2026, 12, 9))
    give(session, contract, DISCOUNT, "Fidelidade", amount_cents=1000)
    issue_due(session, issuing)
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert [one.amount_cents for one in made(session, contract)] == [3500, 8000]


def test_a_credit_is_used_up_by_one_invoice_after_the_other(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    row = give(session, contract, CREDIT, "Queda de 3 dias", amount_cents=10_000)
    issue_due(session, issuing)
    assert made(session, contract) == []
    assert row.used_cents == 9000
    with pytest.raises(Conflict):
        adjustments.withdraw(session, row.id, ACTOR, clock())
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert made(session, contract)[0].amount_cents == 8000
    clock.now = at(date(2026, 12, 31))
    issue_due(session, issuing)
    assert made(session, contract)[1].amount_cents == 9000


def test_what_is_withdrawn_in_time_is_not_charged(session: Session, issuing: Issuing, contract: Contract) -> None:
    row = give(session, contract, EXTRA, "Engano", amount_cents=5000)
    adjustments.withdraw(session, row.id, ACTOR, issuing.clock())
    issue_due(session, issuing)
    assert made(session, contract)[0].amount_cents == 9000


def test_a_cancelled_invoice_gives_back_what_it_used_up_and_its_days_are_invoiced_anew_only_when_asked(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    extra = give(session, contract, EXTRA, "Visita", amount_cents=500)
    credit = give(session, contract, CREDIT, "Crédito", amount_cents=2000)
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    issue.cancel(session, invoice, ACTOR, clock())
    issue.cancel(session, invoice, ACTOR, clock())
    assert (extra.billed_period_id, credit.used_cents) == (None, 0)
    issue_due(session, issuing)
    assert len(made(session, contract)) == 1
    (row,) = periods(session, contract)
    anew = issuing.reissue(session, row.id, ACTOR)
    assert (anew.start, anew.total_cents) == (row.start, 7500)
    with pytest.raises(Conflict, match="anew"):
        issuing.reissue(session, row.id, ACTOR)
    with pytest.raises(Conflict, match="cancel its invoice first"):
        issuing.reissue(session, anew.id, ACTOR)


def test_a_paid_invoice_cannot_be_cancelled_and_its_period_stays(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    payments.record_payment(
        session, invoice.id, amount_cents=9000, paid_at=clock(), method="pix", actor=ACTOR, now=clock()
    )
    with pytest.raises(Conflict):
        issue.cancel(session, invoice, ACTOR, clock())
    assert periods(session, contract)[0].cancelled_at is None


def test_who_ends_after_paying_in_advance_is_owed_the_rest(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    clock.now = at(date(2026, 11, 19))
    end(session, contract, clock())
    issue_due(session, issuing)
    issue_due(session, issuing)
    left = session.scalars(select(Event).where(Event.type == "contract.credit_left")).one()
    assert left.payload["amount_cents"] == 9000 * 20 // 30  # the day of the end was service
    assert len(made(session, contract)) == 1
    assert session.get_one(ContractBilling, contract.id).settled_at is not None


def test_who_ends_and_owes_an_extra_has_a_last_invoice_for_it(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    give(session, contract, EXTRA, "Roteador não devolvido", amount_cents=20_000)
    clock.now = at(date(2026, 11, 19))
    end(session, contract, clock())
    issue_due(session, issuing)
    assert [one.amount_cents for one in made(session, contract)] == [9000, 20_000 - 6000]
    assert issuing.due_contracts(session, date(2027, 3, 1)) == []


def test_a_pending_service_costs_nothing_until_it_is_made_active(
    session: Session, issuing: Issuing, keyring: Keyring, clock: ManualClock
) -> None:
    contract = make_contract(session, started_on=date(2026, 11, 10))
    plan = make_plan(session, price_cents=3000)
    values = {
        "contract_id": contract.id, "plan_id": plan.id, "kind": "pppoe", "login": "nova", "password": "segredo",
        "status": "pending",
    }  # fmt: skip
    service = services.create_service(session, keyring, values, ACTOR)
    contracts.update_terms(session, contract.id, {"invoiced_since": date(2026, 11, 10)}, ACTOR, date(2026, 11, 1))
    assert issuing.preview(session, contract.id).draft.total_cents == 0
    services.update_service(session, keyring, service, {"status": "active", "price_from": date(2026, 11, 20)}, ACTOR)
    assert issuing.preview(session, contract.id).draft.total_cents == 2000


def test_a_price_that_is_edited_holds_for_the_next_invoice_and_changes_no_earlier_one(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    suspend(session, contract, date(2026, 11, 12), date(2026, 11, 14))
    item = {"service_id": service_of(session, contract).id, "price_cents": 12_000}
    parties.update_contract(session, parties.get_contract(session, contract.id), {}, [item], ACTOR)
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert made(session, contract)[1].amount_cents == 12_000 - 900  # the days of then at the price of then


def test_the_due_day_changes_by_a_bridge_to_the_new_one(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    parties.update_contract(session, parties.get_contract(session, contract.id), {"due_day": 20}, None, ACTOR)
    clock.now = at(date(2026, 12, 12))
    issue_due(session, issuing)
    rows = periods(session, contract)
    assert [(one.start, one.end) for one in rows] == [
        (date(2026, 11, 10), date(2026, 12, 10)), (date(2026, 12, 10), date(2026, 12, 20)),
        (date(2026, 12, 20), date(2027, 1, 20)),
    ]  # fmt: skip
    assert rows[1].total_cents == 3000


def test_a_contract_that_cannot_be_invoiced_says_so_once_and_keeps_no_other_waiting(
    session: Session, issuing: Issuing, keyring: Keyring, contract: Contract
) -> None:
    own = terms.create_terms(
        session, {"name": "empresas", "default_for": CustomerKind.BUSINESS, "fine_bp": 1000}, ACTOR
    )
    bad = make_invoiced(session, keyring)
    session.get_one(ContractBilling, bad.id).invoicing_terms_id = own.id
    other = make_invoiced(session, keyring)
    for _ in range(2):
        issue_due(session, issuing)
    assert len(made(session, other)) == len(made(session, contract)) == 1
    assert made(session, bad) == []
    told = session.scalars(select(Event).where(Event.type == "invoice.not_made")).all()
    assert [one.subject for one in told] == [f"contract:{bad.id}"]
    assert "fine_bp of a consumer" in (session.get_one(ContractBilling, bad.id).invoicing_error or "")
    session.get_one(ContractBilling, bad.id).invoicing_terms_id = None
    issue_due(session, issuing)
    assert session.get_one(ContractBilling, bad.id).invoicing_error is None


def test_an_invoice_is_charged_at_the_account_of_its_terms_and_one_that_cannot_be_is_owed_all_the_same(
    session: Session, issuing: Issuing, keyring: Keyring, contract: Contract
) -> None:
    account = GatewayAccount(gateway="asaas", name="a", secret_encrypted=b"x", credentials_encrypted=b"y")
    session.add(account)
    session.flush()
    own = terms.create_terms(session, {**PERSONS, "account_id": account.id}, ACTOR)
    session.flush()
    documented = make_invoiced(session, keyring)
    parties.update_customer(
        session, parties.get_customer(session, documented.payer_id), {"document": "529.982.247-25"}, None, ACTOR
    )
    issue_due(session, issuing)
    charge = session.scalars(select(Charge)).one()
    assert (charge.invoice_id, charge.account_id, charge.amount_cents) == (
        made(session, documented)[0].id, own.account_id, 9000,
    )  # fmt: skip
    failed = session.scalars(select(Event).where(Event.type == "invoice.charge_failed")).one()
    assert failed.subject == f"invoice:{made(session, contract)[0].id}"
    assert "has no document" in failed.payload["detail"]
    assert "não tem documento" in failed.payload["detail_pt"]


def test_terms_with_a_discount_put_it_on_the_invoice(session: Session, issuing: Issuing, contract: Contract) -> None:
    terms.create_terms(session, {**PERSONS, "early_discount_bp": 555, "early_discount_days": 5}, ACTOR)
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    assert (invoice.early_discount_cents, invoice.early_discount_until) == (499, invoice.due_date - timedelta(days=5))


def test_an_invoice_that_is_too_small_for_its_gateway_says_so_and_is_payable_by_a_static_code(
    session: Session, issuing: Issuing, keyring: Keyring
) -> None:
    account = GatewayAccount(gateway="asaas", name="a", secret_encrypted=b"x", credentials_encrypted=b"y")
    session.add(account)
    session.flush()
    pix = {"pix_key": "financeiro@provedor.example", "pix_name": "Provedor", "pix_city": "São Paulo"}
    terms.create_terms(session, {**PERSONS, **pix, "account_id": account.id}, ACTOR)
    contracts_ = {price: make_invoiced(session, keyring, price) for price in (499, 500)}
    for number, contract in enumerate(contracts_.values(), 1):
        payer = parties.get_customer(session, contract.payer_id)
        parties.update_customer(session, payer, {"document": made_up_cpf(number)}, None, ACTOR)
    issue_due(session, issuing)
    (small,), (enough,) = (made(session, contract) for contract in contracts_.values())
    charge = session.scalars(select(Charge)).one()
    assert (charge.invoice_id, enough.pix_code) == (enough.id, None)
    assert "54044.99" in (small.pix_code or "")
    failed = session.scalars(select(Event).where(Event.type == "invoice.charge_failed")).one()
    assert (failed.subject, failed.payload) == (f"invoice:{small.id}", {
        "detail": "R$ 4,99 is too little for a charge: at least R$ 5,00 at this gateway",
        "detail_pt": "R$ 4,99 é pouco para uma cobrança: pelo menos R$ 5,00 neste gateway",
    })  # fmt: skip


def test_terms_with_a_pix_key_put_a_static_code_on_the_invoice(
    session: Session, issuing: Issuing, contract: Contract
) -> None:
    pix = {"pix_key": "financeiro@provedor.example", "pix_name": "Provedor", "pix_city": "São Paulo"}
    terms.create_terms(session, PERSONS | pix, ACTOR)
    issue_due(session, issuing)
    (invoice,) = made(session, contract)
    assert "540590.00" in (invoice.pix_code or "")
    assert f"FATURA{invoice.id}" in (invoice.pix_code or "")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"lead_days": 4}, "lead_days"),
        ({"early_discount_bp": 10_000}, "early_discount_bp"),
        ({"early_discount_bp": 500, "early_discount_days": 11}, "early_discount_days"),
        ({"fine_bp": 201, "default_for": CustomerKind.PERSON}, "fine_bp"),
        ({"interest_bp_month": 101, "default_for": CustomerKind.PERSON}, "interest_bp_month"),
        ({"account_id": 99}, "account_id"),
        ({"pix_key": "x"}, "pix_name"),
        ({"pix_key": "x", "pix_name": "a", "pix_city": "b"}, "pix_key"),
    ],
)
def test_terms_that_cannot_be_name_their_field(session: Session, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        terms.create_terms(session, {"name": "x", **values}, ACTOR)
    assert refused.value.field == field


def test_nobody_is_invoiced_for_long_ago_or_without_a_price(session: Session, contract: Contract) -> None:
    today = date(2026, 11, 24)
    with pytest.raises(InvalidInput, match="45 days back"):
        contracts.update_terms(session, contract.id, {"invoiced_since": date(2026, 10, 9)}, ACTOR, today)
    with pytest.raises(InvalidInput, match="no prices"):
        contracts.update_terms(session, make_contract(session).id, {"invoiced_since": today}, ACTOR, today)


def test_somebody_else_makes_the_invoices_until_and_after(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    contracts.update_terms(session, contract.id, {"invoiced_since": None}, ACTOR, issuing.today())
    clock.now = at(date(2026, 12, 1))
    issue_due(session, issuing)
    assert made(session, contract) == []
    with pytest.raises(Conflict, match="invoiced_since"):
        issuing.preview(session, contract.id)
    contracts.update_terms(session, contract.id, {"invoiced_since": date(2026, 12, 10)}, ACTOR, issuing.today())
    issue_due(session, issuing)
    assert [one.due_date for one in made(session, contract)] == [date(2026, 12, 10)]


def test_the_dry_run_says_what_the_run_does_and_changes_nothing(
    session: Session, issuing: Issuing, clock: ManualClock, contract: Contract
) -> None:
    issue_due(session, issuing)
    suspend(session, contract, date(2026, 11, 12), date(2026, 11, 14))
    before = session.scalar(select(func.count()).select_from(Adjustment))
    (planned,) = issuing.plan(session, date(2026, 11, 30))
    assert (planned.due_date, planned.draft.total_cents) == (date(2026, 12, 10), 8100)
    assert session.scalar(select(func.count()).select_from(Adjustment)) == before
    clock.now = at(date(2026, 11, 30))
    issue_due(session, issuing)
    assert made(session, contract)[1].amount_cents == planned.draft.total_cents


def test_two_workers_and_one_that_dies_make_each_invoice_once(
    database: Database, keyring: Keyring, issuing: Issuing
) -> None:
    """One holds the contract and dies; two more come for it at once."""
    with database.transaction() as session:
        contract = make_invoiced(session, keyring)
    payload = {"contract_ids": [contract.id]}
    dying = Session(database.engine)
    issuing.handle_due(dying, payload)
    with ThreadPoolExecutor(2) as workers:
        both = [workers.submit(_work_once, database, issuing, payload) for _ in range(2)]
        wait_until_blocked(dying)
        dying.rollback()
        dying.close()
        for one in both:
            one.result(30)
    with database.transaction() as session:
        assert len(made(session, contract)) == len(periods(session, contract)) == 1


def _work_once(database: Database, issuing: Issuing, payload: dict[str, Any]) -> None:
    with database.transaction() as session:
        issuing.handle_due(session, payload)


#: When whoever is suspended still comes back.
BACK = date(2027, 4, 20)
days = st.integers(0, 150).map(lambda offset: date(2026, 11, 10) + timedelta(days=offset))


@given(
    stops=st.lists(st.tuples(days, st.integers(0, 40)), max_size=5),
    looks=st.lists(days, min_size=1, max_size=8),
    extras=st.lists(st.tuples(days, st.integers(1, 9999)), max_size=4),
    credits_=st.lists(st.tuples(days, st.integers(1, 15_000)), max_size=3),
    arrears=st.booleans(),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whenever_it_is_looked_at_and_whatever_was_known_then_each_centavo_is_charged_once(
    session: Session, keyring: Keyring, stops: list[tuple[date, int]], looks: list[date],
    extras: list[tuple[date, int]], credits_: list[tuple[date, int]], arrears: bool,
) -> None:  # fmt: skip
    """A long time later, all that was invoiced is what the days were worth, with what was given."""
    story = [(day, "stop", length) for day, length in stops] + [(day, "look", 0) for day in looks]
    story += [(day, "extra", cents) for day, cents in extras] + [(day, "credit", cents) for day, cents in credits_]
    with session.begin_nested() as savepoint:
        worth_cents, invoiced_cents, unused_cents = _live(session, keyring, sorted(story), arrears=arrears)
        savepoint.rollback()
    given_cents = sum(cents for _, cents in extras) - sum(cents for _, cents in credits_)
    assert invoiced_cents - unused_cents == worth_cents + given_cents


def _live(
    session: Session, keyring: Keyring, story: list[tuple[date, str, int]], *, arrears: bool
) -> tuple[int, int, int]:
    """What the days were worth in the end, what was invoiced, and what is left of credits."""
    clock = ManualClock(at(date(2026, 11, 1)))
    issuing = Issuing(ZONE, clock)
    if arrears:
        terms.create_terms(session, {**PERSONS, "timing": Timing.IN_ARREARS}, ACTOR)
    contract = make_invoiced(session, keyring)
    spans = []
    for day, what, number in story:
        clock.now = max(at(day), clock.now)
        if what == "stop":
            last = day + timedelta(days=number) if number else None
            suspend(session, contract, day, last)
            spans.append(days_of(at(day), at(last or BACK), ZONE))
        elif what == "look":
            issue_due(session, issuing)
        else:
            give(session, contract, EXTRA if what == "extra" else CREDIT, "x", amount_cents=number)
    clock.now = at(BACK)
    for hold in holds.live_holds(session, service_of(session, contract).id):
        holds.lift_hold(session, hold.id, actor=ACTOR, now=clock())
    clock.now = at(date(2027, 9, 1))
    issue_due(session, issuing)
    rows = periods(session, contract)
    assert [one.start for one in rows[1:]] == [one.end for one in rows[:-1]]
    worth = Facts(
        items=(Item("1", name("x"), 9000, Span(date.min)),),
        uncharged=tuple(Uncharged(span, Reason.SUSPENDED) for span in spans),
    )
    worth_cents = sum(draft(period_of(row), worth).charged_cents for row in rows)
    given = [one for one in adjustments.list_adjustments(session, contract.id) if one.kind is CREDIT]
    unused_cents = sum((one.amount_cents or 0) - one.used_cents for one in given)
    return worth_cents, sum(one.amount_cents for one in made(session, contract)), unused_cents


def give(session: Session, contract: Contract, kind: AdjustmentKind, text: str, **values: Any) -> Adjustment:
    return adjustments.give(session, contract.id, kind, Words(text, text), ACTOR, **values)


def end(session: Session, contract: Contract, now: datetime) -> None:
    services.cancel_service(session, service_of(session, contract), ACTOR, now)
    parties.cancel_contract(session, contract, ACTOR, now)
