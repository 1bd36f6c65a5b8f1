"""Whoever an open incident touches is neither restricted nor told of a debt, and comes to it afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billing_factories import make_invoice, run_to_end
from factories import make_contract, make_nas, make_service
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import promises
from billing_hooks.models import ContractBilling, DebtMessage
from billing_hooks.policy import PRESETS, Policy
from billing_hooks.runs import Billing
from billing_hooks.standing import Debtor, OpenInvoice, standing
from core import incidents, invoices, payments
from core.access import Access
from core.audit import Actor
from core.clock import ManualClock
from core.incident_scope import Scope
from core.keyring import Keyring
from core.models import Incident, Invoice, Service
from core.models.network import Session as NasSession

ZONE = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
ACTOR = Actor("test:person")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def billing(clock: ManualClock) -> Billing:
    return Billing(ZONE, clock)


def make_debtor(session: Session, keyring: Keyring, *, notified: bool = True) -> tuple[Service, Invoice]:
    contract = make_contract(session)
    invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
    if notified:
        invoices.mark_notified(session, invoice, NOW - timedelta(days=20), ACTOR, NOW)
    return make_service(session, keyring, contract=contract), invoice


def break_for(session: Session, *services: Service, at: datetime = NOW, hours: float = 24) -> Incident:
    values = {"title": "Fibra rompida", "description": "x", "scope": Scope(service_ids=tuple(s.id for s in services))}
    incident = incidents.open_incident(session, values | {"expires_at": at + timedelta(hours=hours)}, ACTOR, at)
    return incidents.confirm_scope(session, incident, ACTOR, at)


def actions(session: Session, billing: Billing) -> list[str]:
    return [change.action for change in billing.plan(session)]


def test_nobody_inside_is_restricted_until_it_is_over(
    session: Session, keyring: Keyring, billing: Billing, clock: ManualClock
) -> None:
    inside, _ = make_debtor(session, keyring)
    outside, _ = make_debtor(session, keyring)
    incident = break_for(session, inside)
    run_to_end(session, billing)
    assert (inside.access, outside.access) == (Access.FULL, Access.WALLED_GARDEN)
    (waits,) = billing.plan(session)
    assert (waits.action, waits.contract_id) == ("wait", inside.contract_id)
    assert waits.reason.endswith(f"open incident {incident.id} (Fibra rompida)")
    assert waits.reason_pt.endswith(f"incidente aberto {incident.id} (Fibra rompida)")
    clock.advance(timedelta(hours=24))
    run_to_end(session, billing)
    assert inside.access is Access.WALLED_GARDEN


def test_a_contract_is_inside_with_any_of_its_services_and_by_the_nas_of_one(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    service, _ = make_debtor(session, keyring)
    nas_id = make_nas(session, keyring).id
    session.add(NasSession(
        nas_id=nas_id, box="b", acct_session_id="1", service_id=service.id, login="x", started_at=NOW,
        updated_at=NOW, nas_address="192.0.2.1", stopped_at=NOW,
    ))  # fmt: skip
    session.flush()
    scope = Scope(nas_ids=(nas_id,))
    values = {"title": "BRAS parado", "description": "x", "scope": scope, "expires_at": NOW + timedelta(days=1)}
    incident = incidents.open_incident(session, values, ACTOR, NOW)
    assert actions(session, billing) == ["place"]
    incidents.confirm_scope(session, incident, ACTOR, NOW)
    assert actions(session, billing) == ["wait"]


def test_an_incident_that_opens_after_the_run_was_planned_spares_still(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    service, _ = make_debtor(session, keyring)
    billing.run(session)
    break_for(session, service)
    run_to_end(session, billing)
    assert service.access is Access.FULL


def test_a_restriction_that_is_there_stays_and_a_payment_gives_back(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    service, invoice = make_debtor(session, keyring)
    run_to_end(session, billing)
    break_for(session, service)
    assert run_to_end(session, billing) == []
    assert service.access is Access.WALLED_GARDEN
    payments.record_payment(
        session, invoice.id, amount_cents=invoice.amount_cents, paid_at=NOW, method="pix", actor=ACTOR, now=NOW
    )
    assert billing.apply_standing(session, service.contract_id)
    assert service.access is Access.FULL


def test_what_made_way_for_a_payment_window_does_not_come_back_inside(
    session: Session, keyring: Keyring, billing: Billing, clock: ManualClock
) -> None:
    service, invoice = make_debtor(session, keyring)
    run_to_end(session, billing)
    window = promises.open_payment_window(session, invoice.id, ACTOR, NOW, ZONE)
    billing.apply_standing(session, service.contract_id)
    break_for(session, service)
    clock.now = window.until
    billing.handle_promise_over(session, {"promise_id": window.id})
    assert service.access is Access.FULL


def test_neither_reminder_nor_notice_is_told_inside_and_afterwards_the_last_of_them(
    session: Session, keyring: Keyring, billing: Billing, clock: ManualClock
) -> None:
    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    make_invoice(session, contract, due_date=date(2026, 11, 25))
    break_for(session, service, hours=72)
    (before,) = billing.plan(session)
    assert (before.action, before.step) == ("wait", "reminder before the due date")
    assert "told after the open incident" in before.reason
    assert "avisado depois do incidente" in before.reason_pt
    clock.now = NOW + timedelta(days=2)
    assert [one.step for one in billing.plan(session)] == ["notice of debt"]
    assert run_to_end(session, billing) == []
    clock.now = NOW + timedelta(days=3)
    run_to_end(session, billing)
    assert session.scalars(select(DebtMessage.step)).all() == ["notice of debt"]


def test_nobody_is_asked_to_end_a_contract_that_is_inside(
    session: Session, keyring: Keyring, billing: Billing, clock: ManualClock
) -> None:
    service, _ = make_debtor(session, keyring)
    run_to_end(session, billing)
    session.get_one(ContractBilling, service.contract_id).restricted_since = NOW - timedelta(days=70)
    session.flush()
    incident = break_for(session, service)
    assert actions(session, billing) == []
    incidents.close_incident(session, incident, ACTOR, NOW)
    assert actions(session, billing) == ["propose"]


OPEN = st.builds(
    OpenInvoice,
    invoice_id=st.integers(1, 9),
    due_date=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    owed_cents=st.integers(1, 10_000),
    notified_at=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
)


@given(
    st.lists(OPEN, max_size=4), st.sampled_from(list(PRESETS.values())),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 30), timezones=st.just(UTC)),
    st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
)  # fmt: skip
def test_inside_nothing_is_said_and_nothing_but_silence_is_different(
    owing: list[OpenInvoice], policy: Policy, now: datetime, since: datetime | None
) -> None:
    outside = standing(Debtor(owing, restricted_since=since), policy, now, ZONE)
    inside = standing(Debtor(owing, restricted_since=since, incident="1 (x)"), policy, now, ZONE)
    assert (inside.messages, inside.propose_termination) == ((), False)
    assert inside.silenced == outside.messages
    assert (inside.effect, inside.reached, inside.spared) == (outside.effect, outside.reached, outside.spared)
