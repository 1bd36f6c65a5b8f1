"""Access for a while although something is owed: by whom, how often, for how long, and what comes after."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billing_factories import make_invoice, run_to_end
from factories import make_contract, make_service
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import contracts, promises
from billing_hooks.models import Promise
from billing_hooks.runs import Billing
from core import invoices, payments, topics
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import Keyring
from core.models import Hold, Invoice, OutboxItem, Service

ZONE = ZoneInfo("America/Sao_Paulo")
TUESDAY_TEN = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(TUESDAY_TEN)


@pytest.fixture
def billing(clock: ManualClock) -> Billing:
    return Billing(ZONE, clock)


@pytest.fixture
def restricted(session: Session, keyring: Keyring, actor: Actor, billing: Billing) -> tuple[Service, Invoice]:
    contract = make_contract(session)
    invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
    invoices.mark_notified(session, invoice, TUESDAY_TEN - timedelta(days=20), actor, TUESDAY_TEN)
    service = make_service(session, keyring, contract=contract)
    run_to_end(session, billing)
    assert service.access is Access.WALLED_GARDEN
    return service, invoice


def work(session: Session, billing: Billing, clock: ManualClock) -> None:
    """What is owed by now: standings first, then promises that are over."""
    for topic, handle in (
        (topics.STANDING_CHANGED, billing.handle_standing_changed),
        (topics.PROMISE_OVER, billing.handle_promise_over),
    ):
        owed = session.scalars(select(OutboxItem).where(OutboxItem.topic == topic.name)).all()
        for item in owed:
            if topic is topics.STANDING_CHANGED or item.due_at <= clock():
                handle(session, item.payload)
                session.delete(item)
        session.flush()


def test_a_trust_unlock_is_full_access_for_three_days_and_once_a_month(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, _ = restricted
    promise = promises.trust_unlock(session, service.contract_id, actor, clock(), ZONE)
    assert promise.until == TUESDAY_TEN + timedelta(days=3)
    assert promises.protocol(promise, ZONE).endswith(f"{promise.id:06d}")
    work(session, billing, clock)
    assert service.access is Access.FULL
    with pytest.raises(Conflict, match="not restricted"):
        promises.trust_unlock(session, service.contract_id, actor, clock(), ZONE)

    # Friday: it is over, and no cut begins on a Friday; on Monday the run restricts again
    clock.now = promise.until
    work(session, billing, clock)
    assert service.access is Access.FULL
    clock.now = datetime(2026, 11, 30, 13, tzinfo=UTC)
    assert [change.action for change in run_to_end(session, billing)] == ["place"]
    with pytest.raises(Conflict, match="1 times within 30 days"):
        promises.trust_unlock(session, service.contract_id, actor, clock(), ZONE)


def test_a_payment_window_is_minutes_of_access_after_which_the_restriction_goes_on_at_any_hour(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, invoice = restricted
    clock.now = datetime(2026, 11, 28, 23, 30, tzinfo=ZONE).astimezone(UTC)  # a Saturday night
    window = promises.open_payment_window(session, invoice.id, actor, clock(), ZONE)
    work(session, billing, clock)
    assert service.access is Access.FULL
    clock.now = window.until
    work(session, billing, clock)
    assert service.access is Access.WALLED_GARDEN
    promises.open_payment_window(session, invoice.id, actor, clock(), ZONE)
    with pytest.raises(Conflict, match="2 times a day"):
        promises.open_payment_window(session, invoice.id, actor, clock(), ZONE)


def test_who_pays_inside_the_window_stays_free(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, invoice = restricted
    window = promises.open_payment_window(session, invoice.id, actor, clock(), ZONE)
    work(session, billing, clock)
    payments.record_payment(
        session, invoice.id, amount_cents=invoice.amount_cents, paid_at=clock(), method="pix", actor=actor, now=clock()
    )
    clock.now = window.until
    work(session, billing, clock)
    assert service.access is Access.FULL
    with pytest.raises(Conflict, match="is paid"):
        promises.open_payment_window(session, invoice.id, actor, clock(), ZONE)


def test_an_operators_promise_lifts_at_once_and_can_be_withdrawn(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, _ = restricted
    promise = promises.give_promise(session, service.contract_id, TUESDAY_TEN + timedelta(days=5), actor, clock())
    work(session, billing, clock)
    assert service.access is Access.FULL
    assert [change.action for change in run_to_end(session, billing)] == []
    promises.withdraw(session, promise.id, actor, clock())
    clock.advance(timedelta(days=4))  # the withdrawal is owed by the database's clock
    clock.now = datetime(2026, 12, 1, 13, tzinfo=UTC)
    work(session, billing, clock)
    assert service.access is Access.WALLED_GARDEN
    for until in (clock(), clock() + timedelta(days=61)):
        with pytest.raises(InvalidInput):
            promises.give_promise(session, service.contract_id, until, actor, clock())
    with pytest.raises(NotFound):
        promises.withdraw(session, 10**9, actor, clock())


def test_a_hold_of_another_reason_stays_through_a_trust_unlock(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, _ = restricted
    session.add(
        Hold(service_id=service.id, reason=HoldReason.ABUSE, effect=HoldEffect.BLOCK, placed_by="x", placed_at=clock())
    )
    session.flush()
    promises.trust_unlock(session, service.contract_id, actor, clock(), ZONE)
    work(session, billing, clock)
    assert service.access is Access.BLOCKED
    assert len(session.scalars(select(Promise)).all()) == 1


def test_an_exemption_lifts_and_keeps_and_its_reason_is_on_record(
    session: Session, actor: Actor, clock: ManualClock, billing: Billing, restricted: tuple[Service, Invoice]
) -> None:
    service, _ = restricted
    contracts.update_terms(session, service.contract_id, {"exemption": "hospital"}, actor, clock().date())
    work(session, billing, clock)
    assert service.access is Access.FULL
    (spared,) = billing.plan(session)
    assert (spared.action, "isento" in spared.reason_pt) == ("spare", True)
    contracts.update_terms(session, service.contract_id, {"exemption": None}, actor, clock().date())
    assert [change.action for change in run_to_end(session, billing)] == ["place"]
    with pytest.raises(InvalidInput, match="no exemption"):
        contracts.update_terms(
            session, service.contract_id, {"exemption_review_on": date(2027, 1, 1)}, actor, clock().date()
        )
