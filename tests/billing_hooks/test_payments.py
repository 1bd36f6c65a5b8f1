"""Payments: to the cent in any order, and what they do to holds."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import guard_runs, interpret, run_to_end
from factories import make_contract, make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.models import InboxEntry, InboxStatus
from billing_hooks.runs import Billing, RunUnsafe
from core import holds, invoices, payments
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.invoices import External
from core.keyring import Keyring
from core.models.billing import InvoiceStatus, Payment
from core.models.service import ServiceKind

ZONE = ZoneInfo("America/Sao_Paulo")
#: A Tuesday, ten in the morning in São Paulo.
CLOCK = ManualClock(datetime(2026, 11, 24, 13, 0, tzinfo=UTC))


def make_debtor(session: Session, keyring: Keyring, actor: Actor, **service: Any) -> tuple[Any, Any]:
    contract = make_contract(session)
    values = {"contract_id": contract.id, "due_date": date(2026, 10, 20), "amount_cents": 10_000}
    invoice = invoices.create_invoice(session, values, actor, CLOCK())
    invoices.mark_notified(session, invoice, CLOCK() - timedelta(days=20), actor, CLOCK())
    return make_service(session, keyring, contract=contract, **service), invoice


@pytest.fixture
def suspension() -> Billing:
    return Billing(ZONE, CLOCK)


def pay(session: Session, invoice: Any, cents: int, actor: Actor, external_id: str) -> Payment:
    return payments.record_payment(
        session, invoice.id, amount_cents=cents, paid_at=CLOCK(), method="pix", actor=actor, now=CLOCK(),
        external=External("g", 1, external_id),
    )  # fmt: skip


def test_a_run_holds_who_owes_and_a_payment_gives_back_at_once(
    session: Session, keyring: Keyring, actor: Actor, suspension: Billing
) -> None:
    service, invoice = make_debtor(session, keyring, actor)
    plan = run_to_end(session, suspension)
    assert [(change.action, change.service_ids) for change in plan] == [("place", (service.id,))]
    assert service.access is Access.WALLED_GARDEN
    assert run_to_end(session, suspension) == []  # run again: nothing twice

    pay(session, invoice, 10_000, actor, "p1")
    assert suspension.apply_standing(session, invoice.contract_id) == 1
    assert service.access is Access.FULL


def test_another_reasons_hold_and_a_dedicated_link_are_left_alone(
    session: Session, keyring: Keyring, actor: Actor, suspension: Billing
) -> None:
    service, invoice = make_debtor(session, keyring, actor)
    dedicated, _ = make_debtor(session, keyring, actor, kind=ServiceKind.DEDICATED)
    abuse = holds.place_hold(
        session, service.id, reason=HoldReason.ABUSE, effect=HoldEffect.THROTTLE, actor=actor, now=CLOCK()
    )
    run_to_end(session, suspension)
    assert dedicated.access is Access.FULL
    pay(session, invoice, 10_000, actor, "p1")
    suspension.apply_standing(session, invoice.contract_id)
    assert [hold.id for hold in holds.live_holds(session, service.id)] == [abuse.id]


def test_a_run_that_would_restrict_too_many_stops(session: Session, keyring: Keyring, actor: Actor) -> None:
    careful = Billing(ZONE, CLOCK)
    guard_runs(session, count_floor=1)
    debtors = [make_debtor(session, keyring, actor)[0] for _ in range(3)]
    with pytest.raises(RunUnsafe, match="3 of"):
        careful.run(session)
    assert all(service.access is Access.FULL for service in debtors)
    assert len(run_to_end(session, careful, force=True)) == 3


def test_a_cut_does_not_begin_at_night_and_the_dry_run_says_who_waits(
    session: Session, keyring: Keyring, actor: Actor
) -> None:
    service, _ = make_debtor(session, keyring, actor)
    night = Billing(ZONE, ManualClock(datetime(2026, 11, 25, 3, 0, tzinfo=UTC)))
    assert [(change.action, change.service_ids) for change in night.plan(session)] == [("wait", (service.id,))]
    assert night.run(session) == (None, [])
    assert night.plan(session)[0].reason_pt.endswith("cortes começam das 8 h - 18 h")


@given(st.lists(st.integers(1, 12_000), min_size=1, max_size=6), st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_invoice_is_paid_by_the_sum_in_any_order_and_repetition(
    session: Session, actor: Actor, amounts: list[int], chance: random.Random
) -> None:
    contract = make_contract(session)
    values = {"contract_id": contract.id, "due_date": date(2026, 10, 20), "amount_cents": 10_000}
    invoice = invoices.create_invoice(session, values, actor, CLOCK())
    notices = [(f"{invoice.id}-{n}", cents) for n, cents in enumerate(amounts)] * 2
    chance.shuffle(notices)
    for external_id, cents in notices:
        pay(session, invoice, cents, actor, external_id)
    assert (invoice.status is InvoiceStatus.PAID) == (sum(amounts) >= 10_000)
    for payment in session.scalars(select(Payment).where(Payment.invoice_id == invoice.id)).all():
        payments.reverse_payment(session, payment.id, now=CLOCK(), actor=actor)
    assert invoice.status is InvoiceStatus.OPEN


def store(session: Session, event: dict[str, Any]) -> InboxEntry:
    entry = InboxEntry(account_id=1, gateway="standard", event_id=str(id(event)), body=json.dumps(event).encode())
    session.add(entry)
    session.flush()
    return entry


def test_an_event_is_applied_once_however_often_it_is_interpreted(session: Session, actor: Actor) -> None:
    contract = make_contract(session)
    values = {"contract_id": contract.id, "due_date": date(2026, 10, 20), "amount_cents": 500}
    invoice = invoices.create_invoice(session, values, actor, CLOCK())
    data = {"invoice_id": str(invoice.id), "payment_id": "x1", "amount_cents": 500, "paid_at": "2026-11-24T10:00:00Z"}
    entry = store(session, {"type": "payment.received", "data": data})
    for _ in range(3):
        interpret(session, entry.id, CLOCK)
    assert entry.status is InboxStatus.DONE
    assert invoice.status is InvoiceStatus.PAID
    assert len(session.scalars(select(Payment).where(Payment.invoice_id == invoice.id)).all()) == 1


@pytest.mark.parametrize(
    ("event", "status", "words"),
    [
        ({"type": "charge.viewed", "data": {}}, InboxStatus.DONE, None),
        ({"type": "payment.received", "data": {"payment_id": "p"}}, InboxStatus.FAILED, "amount_cents"),
        (
            {"type": "payment.received", "data": {"invoice_id": "999999", "payment_id": "p", "amount_cents": 1,
             "paid_at": "2026-11-24T10:00:00Z"}},
            InboxStatus.FAILED,
            "999999",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_kept_for_a_person(
    session: Session, event: dict[str, Any], status: InboxStatus, words: str | None
) -> None:
    entry = store(session, event)
    interpret(session, entry.id, CLOCK)
    assert entry.status is status
    assert (entry.error is None) if words is None else (words in (entry.error or ""))
