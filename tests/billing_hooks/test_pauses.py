"""Pauses that customers ask for: when one may be, that it begins and ends by itself, and what is not charged for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from billing_factories import make_invoice, run_to_end
from factories import make_contract, make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import pauses
from billing_hooks.invoicing.lines import draft
from billing_hooks.invoicing.period import Span, Terms, periods
from billing_hooks.issuing.gathering import read_facts
from billing_hooks.models import Pause
from billing_hooks.runs import Billing
from core import holds, invoices, services
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput, NotFound, ProvedorError
from core.keyring import Keyring
from core.models import Contract, ContractItem, Event, Hold, Service

ZONE = ZoneInfo("America/Sao_Paulo")
#: A Tuesday, ten o'clock there, when no clock of a database that runs this has got to the end of a pause yet.
NOW = datetime(2054, 11, 24, 13, 0, tzinfo=UTC)
TODAY = date(2054, 11, 24)
DAY = timedelta(days=1)
ACTOR = Actor("test:person")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def service(session: Session, keyring: Keyring) -> Service:
    return make_priced(session, keyring)


def make_priced(session: Session, keyring: Keyring) -> Service:
    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    session.add(ContractItem(contract_id=contract.id, service_id=service.id, price_cents=9000))
    session.add(ContractItem(contract_id=contract.id, description="Static address", price_cents=1000))
    session.flush()
    return service


def ask(session: Session, service: Service, start: date, days: int, clock: ManualClock) -> Pause:
    return pauses.ask(session, service.id, Span(start, start + days * DAY), ACTOR, clock(), ZONE, "away")


def keep_at(session: Session, clock: ManualClock, day: date) -> None:
    """The day begins there."""
    clock.now = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    pauses.keep(session, clock(), ZONE)


def lift_expired(session: Session, clock: ManualClock, pause: Pause) -> None:
    """As `holds.expire_holds` does, whose other clock is the database's: that one is not ours to move."""
    hold = session.get_one(Hold, pause.hold_id)
    assert hold.until is not None
    assert hold.until <= clock()
    holds.lift_hold(session, hold.id, actor=Actor("system:expiry"), now=clock() + timedelta(seconds=3))


def paused(session: Session, service: Service) -> list[Span]:
    found = pauses.paused_days(session, [service.contract_id]).get(service.contract_id, [])
    return [days for service_id, days in found if service_id == service.id]


def told(session: Session, service: Service) -> list[str]:
    about = (Event.subject == f"service:{service.id}", Event.type.startswith("pause."))
    return list(session.scalars(select(Event.type).where(*about).order_by(Event.id)))


def test_a_pause_begins_at_local_midnight_blocks_and_returns_by_itself(
    session: Session, clock: ManualClock, service: Service
) -> None:
    start = TODAY + 5 * DAY
    pause = ask(session, service, start, 30, clock)
    clock.now = datetime(2054, 11, 29, 2, 59, 59, tzinfo=UTC)  # a second to midnight in São Paulo
    pauses.keep(session, clock(), ZONE)
    assert (service.access, pause.hold_id) == (Access.FULL, None)
    keep_at(session, clock, start)
    pauses.keep(session, clock(), ZONE)  # again, and nothing more
    (hold,) = holds.live_holds(session, service.id)
    assert (hold.reason, hold.effect, hold.note) == (HoldReason.REQUEST, HoldEffect.BLOCK, "away")
    assert hold.until == datetime(2054, 12, 29, tzinfo=ZONE)
    assert (service.access, pause.hold_id) == (Access.BLOCKED, hold.id)

    keep_at(session, clock, pause.end)
    lift_expired(session, clock, pause)
    pauses.keep(session, clock(), ZONE)
    assert service.access is Access.FULL
    assert (pause.ended_at, pause.charged_from) == (hold.until, pause.end)
    assert told(session, service) == ["pause.asked", "pause.begun", "pause.ended"]
    assert paused(session, service) == [Span(start, pause.end)]


def test_a_pause_of_today_begins_at_once(session: Session, clock: ManualClock, service: Service) -> None:
    pause = ask(session, service, TODAY, 120, clock)
    assert (service.access, pause.hold_id is not None) == (Access.BLOCKED, True)


@pytest.mark.parametrize(
    ("start", "days", "field"),
    [(TODAY - DAY, 30, "start"), (TODAY, 29, "end"), (TODAY, 121, "end")],
)
def test_what_the_rule_does_not_know_is_refused(
    session: Session, clock: ManualClock, service: Service, start: date, days: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(session, service, start, days, clock)
    assert refused.value.field == field
    assert paused(session, service) == []


def test_a_second_pause_comes_twelve_months_after_the_first_though_that_ended_sooner(
    session: Session, clock: ManualClock, service: Service
) -> None:
    first = ask(session, service, TODAY, 30, clock)
    pauses.end(session, first.id, ACTOR, clock(), ZONE)
    for start in (TODAY + DAY, date(2055, 11, 23)):
        with pytest.raises(InvalidInput, match="12 months"):
            ask(session, service, start, 30, clock)
    assert ask(session, service, date(2055, 11, 24), 30, clock).hold_id is None


def test_a_withdrawn_pause_is_none_and_one_that_began_is_ended_instead(
    session: Session, clock: ManualClock, service: Service
) -> None:
    pause = ask(session, service, TODAY + DAY, 30, clock)
    with pytest.raises(Conflict, match="withdraw it instead"):
        pauses.end(session, pause.id, ACTOR, clock(), ZONE)
    pauses.withdraw(session, pause.id, ACTOR, clock())
    pauses.withdraw(session, pause.id, ACTOR, clock())
    keep_at(session, clock, TODAY + DAY)
    assert (service.access, paused(session, service)) == (Access.FULL, [])
    assert told(session, service) == ["pause.asked", "pause.withdrawn"]
    begun = ask(session, service, TODAY + DAY, 30, clock)
    with pytest.raises(Conflict, match="end it instead"):
        pauses.withdraw(session, begun.id, ACTOR, clock())
    with pytest.raises(NotFound):
        pauses.withdraw(session, 10**9, ACTOR, clock())


def test_who_is_in_arrears_pays_or_contests_before_he_pauses(
    session: Session, clock: ManualClock, service: Service
) -> None:
    contract = session.get_one(Contract, service.contract_id)
    make_invoice(session, contract, due_date=TODAY)  # due today is not overdue
    invoice = make_invoice(session, contract, due_date=TODAY - DAY)
    with pytest.raises(Conflict, match=f"invoice {invoice.id} is overdue"):
        ask(session, service, TODAY, 30, clock)
    invoices.set_contested(session, invoice, True, ACTOR)
    assert ask(session, service, TODAY, 30, clock).hold_id is not None


def test_the_customer_has_it_back_at_once_and_pays_from_the_next_day_on(
    session: Session, clock: ManualClock, service: Service
) -> None:
    pause = ask(session, service, TODAY, 60, clock)
    clock.advance(timedelta(days=10))
    pauses.end(session, pause.id, ACTOR, clock(), ZONE)
    pauses.end(session, pause.id, ACTOR, clock(), ZONE)
    assert (service.access, pause.ended_at) == (Access.FULL, clock())
    assert paused(session, service) == [Span(TODAY, TODAY + 11 * DAY)]
    assert told(session, service) == ["pause.asked", "pause.begun", "pause.ended"]


def test_a_pause_whose_hold_somebody_lifted_is_over(session: Session, clock: ManualClock, service: Service) -> None:
    pause = ask(session, service, TODAY, 60, clock)
    clock.advance(timedelta(days=3))
    assert pause.hold_id is not None
    holds.lift_hold(session, pause.hold_id, actor=ACTOR, now=clock())
    pauses.keep(session, clock(), ZONE)
    assert (pause.ended_at, pause.charged_from) == (clock(), TODAY + 4 * DAY)


def test_a_hold_of_another_reason_stays_when_the_pause_ends(
    session: Session, clock: ManualClock, service: Service
) -> None:
    pause = ask(session, service, TODAY, 30, clock)
    holds.place_hold(session, service.id, reason=HoldReason.ABUSE, effect=HoldEffect.THROTTLE, actor=ACTOR, now=clock())
    pauses.end(session, pause.id, ACTOR, clock(), ZONE)
    assert service.access is Access.THROTTLED


def test_one_that_cannot_begin_tells_so_and_keeps_no_other_waiting(
    session: Session, keyring: Keyring, clock: ManualClock, service: Service
) -> None:
    gone, good = make_priced(session, keyring), service
    ask(session, gone, TODAY + DAY, 30, clock)
    ask(session, good, TODAY + DAY, 30, clock)
    services.cancel_service(session, gone, ACTOR, clock())
    keep_at(session, clock, TODAY + DAY)
    assert (told(session, gone)[-1], paused(session, gone)) == ("pause.failed", [])
    assert good.access is Access.BLOCKED
    with pytest.raises(Conflict, match="cancelled"):
        ask(session, gone, date(2056, 1, 1), 30, clock)
    # the clock stood still for the whole of it: nobody was paused, and nothing is let off
    missed = make_priced(session, keyring)
    ask(session, missed, TODAY + 2 * DAY, 30, clock)
    keep_at(session, clock, TODAY + 40 * DAY)
    assert (told(session, missed)[-1], missed.access, paused(session, missed)) == ("pause.failed", Access.FULL, [])


def test_who_paused_is_spared_as_paused(session: Session, clock: ManualClock, service: Service) -> None:
    billing = Billing(ZONE, clock)
    ask(session, service, TODAY, 120, clock)
    invoice = make_invoice(session, session.get_one(Contract, service.contract_id), due_date=TODAY)
    clock.now = datetime(2054, 12, 15, 13, tzinfo=UTC)
    invoices.mark_notified(session, invoice, clock(), ACTOR, clock())
    clock.now = datetime(2055, 1, 12, 13, tzinfo=UTC)
    (spared,) = [change for change in billing.plan(session) if change.action != "tell"]
    assert (spared.action, "paused by the customer" in spared.reason) == ("spare", True)
    assert [change.action for change in run_to_end(session, billing)] in ([], ["tell"])


def test_paused_days_cost_nothing_from_when_they_are_asked_for(
    session: Session, clock: ManualClock, service: Service
) -> None:
    pause = ask(session, service, date(2054, 11, 30), 30, clock)
    # 10 November to 9 December: 20 of 30 days; 10 December to 9 January: 11 of 31. What is of no service goes with it.
    expected = [10_000 * 20 // 30, 10_000 * 11 // 31]
    assert charged(session, service) == expected
    keep_at(session, clock, pause.start)
    assert charged(session, service) == expected
    keep_at(session, clock, pause.end)
    lift_expired(session, clock, pause)
    pauses.keep(session, clock(), ZONE)
    assert charged(session, service) == expected


def test_who_has_his_service_back_sooner_pays_for_the_days_from_then_on(
    session: Session, clock: ManualClock, service: Service
) -> None:
    pause = ask(session, service, date(2054, 11, 30), 30, clock)
    keep_at(session, clock, date(2054, 11, 30))
    clock.now = datetime(2054, 12, 4, 13, tzinfo=UTC)
    pauses.end(session, pause.id, ACTOR, clock(), ZONE)
    assert charged(session, service) == [10_000 * 25 // 30, 10_000]


def charged(session: Session, service: Service) -> list[int]:
    """For the period from 10 November and the one from 10 December."""
    contract = session.get_one(Contract, service.contract_id)
    facts = read_facts(session, contract.id, ZONE)
    terms = Terms(contract.started_on, contract.due_day)
    found = [period for period in periods(terms, date(2054, 12, 31)) if period.start >= date(2054, 11, 10)]
    return [draft(period, facts).charged_cents for period in found]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(-2, 40), st.integers(28, 122)),
        st.tuples(st.just("end"), st.just(0), st.just(0)),
        st.tuples(st.just("withdraw"), st.just(0), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 60), st.just(0)),
        st.tuples(st.just("lift"), st.just(0), st.just(0)),
    ),
    max_size=10,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_whatever_happens_the_service_is_blocked_on_the_days_of_a_pause_and_no_others(
    session: Session, keyring: Keyring, steps: Sequence[tuple[str, int, int]]
) -> None:
    example = session.begin_nested()
    clock, service = ManualClock(NOW), make_priced(session, keyring)
    made: list[Pause] = []
    for name, ahead, days in steps:
        try:
            with session.begin_nested():
                if name == "ask":
                    made.append(ask(session, service, clock().astimezone(ZONE).date() + ahead * DAY, days, clock))
                elif name == "end" and made:
                    pauses.end(session, made[-1].id, ACTOR, clock(), ZONE)
                elif name == "withdraw" and made:
                    pauses.withdraw(session, made[-1].id, ACTOR, clock())
        except ProvedorError:
            pass
        if name == "pass":
            for _ in range(ahead):
                clock.advance(DAY)
                _tick(session, clock)
        elif name == "lift" and made and made[-1].hold_id is not None:
            holds.lift_hold(session, made[-1].hold_id, actor=ACTOR, now=clock())
        pauses.keep(session, clock(), ZONE)
        _assert_blocked_while_paused(session, service, clock)
    spans = paused(session, service)
    assert all(span.end is not None and 1 <= (span.end - span.start).days <= 120 for span in spans)
    starts = sorted(span.start for span in spans)
    assert all((later - earlier).days >= 365 for earlier, later in pairwise(starts))
    example.rollback()


def _tick(session: Session, clock: ManualClock) -> None:
    """A day has passed: what is over by our clock is lifted, then the pauses are looked at."""
    over = select(Hold).where(Hold.lifted_at.is_(None), Hold.until <= clock())
    for hold in session.scalars(over).all():
        holds.lift_hold(session, hold.id, actor=Actor("system:expiry"), now=clock())
    pauses.keep(session, clock(), ZONE)


def _assert_blocked_while_paused(session: Session, service: Service, clock: ManualClock) -> None:
    today = clock().astimezone(ZONE).date()
    live = session.scalar(
        select(func.count()).where(Pause.service_id == service.id, Pause.hold_id.is_not(None), Pause.ended_at.is_(None))
    )
    assert (service.access is Access.BLOCKED) == (live == 1)
    if live:
        assert any(today in span for span in paused(session, service))
