"""Another plan now or on a day: what it does, what stands against it, and what invoices are told of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from factories import make_contract, make_plan, make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import plan_change_preview, plan_changes
from billing_hooks.invoicing.lines import draft
from billing_hooks.invoicing.period import Terms, periods
from billing_hooks.issuing.gathering import read_facts
from billing_hooks.models import PlanChange
from billing_hooks.plan_changes import Wish
from core import parties, services, topics
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput, NotFound, ProvedorError
from core.keyring import Keyring
from core.models import AuditEntry, Contract, ContractItem, Event, OutboxItem, Plan, Service

ZONE = ZoneInfo("America/Sao_Paulo")
#: A Tuesday, ten o'clock there.
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)


@dataclass
class Line:
    """A service with its price, and two plans that it may have instead."""

    session: Session
    keyring: Keyring
    clock: ManualClock
    service: Service
    faster: Plan
    fastest: Plan

    def ask(self, plan: Plan, on: date | None = None, price_cents: int | None = None) -> PlanChange:
        wish = Wish(plan.id, on, price_cents)
        return plan_changes.ask(self.session, self.keyring, self.service.id, wish, ACTOR, self.clock(), ZONE)

    def withdraw(self, change: PlanChange) -> PlanChange:
        return plan_changes.withdraw(self.session, change.id, ACTOR, self.clock())

    def midnight_of(self, day: date) -> int:
        """The clock stands at the day's beginning there; how many changes are done."""
        self.clock.now = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
        return self.due()

    def due(self) -> int:
        return plan_changes.apply_due(self.session, self.keyring, self.clock(), ZONE)

    def price(self) -> int:
        query = select(ContractItem.price_cents).where(ContractItem.service_id == self.service.id)
        return self.session.scalars(query).one()

    def told(self, type_: str) -> int:
        """How often."""
        about = (Event.type == type_, Event.subject == f"service:{self.service.id}")
        return self.session.scalar(select(func.count()).where(*about)) or 0

    def changes(self) -> list[tuple[date, int, int]]:
        found = plan_changes.price_changes(self.session, [self.service.contract_id])
        return [(one.on, one.old_cents, one.new_cents) for one in found.get(self.service.contract_id, [])]


ACTOR = Actor("test:person")


def make_line(session: Session, keyring: Keyring, clock: ManualClock, price_cents: int | None = 9990) -> Line:
    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    if price_cents is not None:
        session.add(ContractItem(contract_id=contract.id, service_id=service.id, price_cents=price_cents))
    faster = make_plan(session, down_kbps=500_000, price_cents=14990)
    return Line(session, keyring, clock, service, faster, make_plan(session, down_kbps=900_000, price_cents=19990))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def line(session: Session, keyring: Keyring, clock: ManualClock) -> Line:
    return make_line(session, keyring, clock)


def test_a_change_of_now_is_done_with_its_price_in_the_same_transaction(session: Session, line: Line) -> None:
    before, version = line.service.policy_fingerprint, session.get_one(Contract, line.service.contract_id).version
    change = line.ask(line.faster)
    assert (change.on, change.applied_at, change.asked_by) == (TODAY, NOW, "test:person")
    assert (line.service.plan_id, line.price()) == (line.faster.id, 14990)
    assert line.service.policy_fingerprint != before
    owed = session.scalars(select(OutboxItem.payload).where(OutboxItem.topic == topics.SERVICE_OUT_OF_STEP.name)).all()
    assert {"service_id": line.service.id} in owed
    assert session.get_one(Contract, line.service.contract_id).version == version + 1
    assert line.changes() == [(TODAY, 9990, 14990)]
    assert line.due() == 0


def test_a_change_of_a_day_is_done_when_that_day_begins_there_and_once(line: Line) -> None:
    line.ask(line.faster, date(2026, 12, 1), 12990)
    assert line.changes() == [(date(2026, 12, 1), 9990, 12990)]
    line.clock.now = datetime(2026, 12, 1, 2, 59, 59, tzinfo=UTC)  # a second to midnight in São Paulo
    assert line.due() == 0
    assert (line.service.plan_id == line.faster.id, line.price()) == (False, 9990)
    assert [line.midnight_of(date(2026, 12, 1)), line.due()] == [1, 0]
    assert (line.service.plan_id, line.price()) == (line.faster.id, 12990)
    assert (line.told("plan_change.asked"), line.told("plan_change.applied")) == (1, 1)
    assert line.changes() == [(date(2026, 12, 1), 9990, 12990)]


def test_one_that_was_rolled_back_is_done_again_and_workers_that_were_away_do_all_in_order(line: Line) -> None:
    line.ask(line.faster, TODAY + DAY)
    line.ask(line.fastest, TODAY + 3 * DAY)
    dying = line.session.begin_nested()
    assert line.midnight_of(TODAY + 5 * DAY) == 2
    dying.rollback()
    assert line.price() == 9990
    assert line.due() == 2
    assert (line.service.plan_id, line.price()) == (line.fastest.id, 19990)
    assert line.told("plan_change.applied") == 2


def test_the_past_and_what_is_no_change_and_unknown_plans_are_refused(line: Line) -> None:
    with pytest.raises(InvalidInput, match="from today on") as past:
        line.ask(line.faster, TODAY - DAY)
    assert past.value.field == "on"
    plan = line.session.get_one(Plan, line.service.plan_id)
    with pytest.raises(InvalidInput, match="already"):
        line.ask(plan, price_cents=9990)
    with pytest.raises(InvalidInput, match="there is no plan"):
        plan_changes.ask(line.session, line.keyring, line.service.id, Wish(10**9), ACTOR, NOW, ZONE)
    with pytest.raises(NotFound):
        plan_changes.ask(line.session, line.keyring, 10**9, Wish(plan.id), ACTOR, NOW, ZONE)
    with pytest.raises(InvalidInput, match="at most") as dear:
        line.ask(line.faster, price_cents=10**12)
    assert dear.value.field == "price_cents"
    assert line.changes() == []


def test_the_same_plan_at_another_price_is_a_change(line: Line) -> None:
    plan = line.session.get_one(Plan, line.service.plan_id)
    line.ask(plan, TODAY + DAY, 8000)
    assert line.midnight_of(TODAY + DAY) == 1
    assert (line.service.plan_id, line.price()) == (plan.id, 8000)


def test_two_changes_of_a_service_on_a_day_are_refused_until_one_is_withdrawn(line: Line) -> None:
    first = line.ask(line.faster, TODAY + DAY)
    with pytest.raises(Conflict, match="withdraw it first"):
        line.ask(line.fastest, TODAY + DAY)
    line.withdraw(first)
    assert line.ask(line.fastest, TODAY + DAY).old_cents == 9990
    line.ask(line.faster)
    with pytest.raises(Conflict, match="from the next day on"):
        line.ask(line.fastest)


def test_changes_that_wait_follow_each_other_whatever_is_put_between_or_taken_out(line: Line) -> None:
    last = line.ask(line.fastest, TODAY + 10 * DAY)
    middle = line.ask(line.faster, TODAY + 5 * DAY)
    assert (last.old_plan_id, last.old_cents) == (line.faster.id, 14990)
    assert line.changes() == [(TODAY + 5 * DAY, 9990, 14990), (TODAY + 10 * DAY, 14990, 19990)]
    line.withdraw(middle)
    assert (last.old_plan_id, last.old_cents) == (line.service.plan_id, 9990)
    line.ask(line.faster)
    assert line.midnight_of(TODAY + 10 * DAY) == 1
    assert line.changes() == [(TODAY, 9990, 14990), (TODAY + 10 * DAY, 14990, 19990)]
    assert line.price() == 19990


def test_what_is_withdrawn_never_comes_and_what_is_done_is_not_withdrawn(line: Line) -> None:
    change = line.withdraw(line.ask(line.faster, TODAY + DAY))
    assert line.withdraw(change).withdrawn_at == NOW
    assert line.midnight_of(TODAY + DAY) == 0
    assert (line.price(), line.changes(), line.told("plan_change.withdrawn")) == (9990, [], 1)
    done = line.ask(line.faster)
    with pytest.raises(Conflict, match="is done"):
        line.withdraw(done)
    with pytest.raises(NotFound):
        plan_changes.withdraw(line.session, 10**9, ACTOR, NOW)


def test_one_whose_service_has_another_plan_by_then_waits_for_a_person(line: Line) -> None:
    change = line.ask(line.faster, TODAY + DAY)
    after = line.ask(line.fastest, TODAY + 2 * DAY)
    by_hand = make_plan(line.session)
    services.update_service(line.session, line.keyring, line.service, {"plan_id": by_hand.id}, ACTOR)
    assert [line.midnight_of(TODAY + DAY), line.due()] == [0, 0]
    assert change.error is not None
    assert (str(by_hand.id) in change.error, line.told("plan_change.failed")) == (True, 1)
    assert (line.service.plan_id, line.price()) == (by_hand.id, 9990)
    assert line.changes() == [(TODAY + 2 * DAY, 9990, 19990)]
    # the next one was asked for on top of the old plan: it waits, too
    assert line.midnight_of(TODAY + 2 * DAY) == 0
    assert after.error is not None
    for one in (change, after):
        line.withdraw(one)
    line.ask(line.faster)
    assert (line.service.plan_id, line.price()) == (line.faster.id, 14990)


def test_one_whose_price_or_service_is_gone_waits_and_keeps_no_other_waiting(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    repriced, ended, good = (make_line(session, keyring, clock) for _ in range(3))
    changes = [one.ask(one.faster, TODAY + DAY) for one in (repriced, ended, good)]
    contract = parties.get_contract(session, repriced.service.contract_id)
    parties.update_contract(session, contract, {}, [{"service_id": repriced.service.id, "price_cents": 7000}], ACTOR)
    services.cancel_service(session, ended.service, ACTOR, NOW)
    assert good.midnight_of(TODAY + DAY) == 1
    assert [bool(change.error) for change in changes] == [True, True, False]
    assert (repriced.price(), repriced.changes()) == (7000, [])
    assert good.price() == 14990
    with pytest.raises(Conflict, match="cancelled"):
        ended.ask(ended.faster)


def test_a_service_that_costs_nothing_gets_a_price(session: Session, keyring: Keyring, clock: ManualClock) -> None:
    line = make_line(session, keyring, clock, price_cents=None)
    later = line.ask(line.fastest, TODAY + 10 * DAY)
    line.ask(line.faster, TODAY + 5 * DAY)
    assert later.old_cents == 14990
    assert line.changes() == [(TODAY + 5 * DAY, 0, 14990), (TODAY + 10 * DAY, 14990, 19990)]
    assert line.midnight_of(TODAY + 5 * DAY) == 1
    assert line.price() == 14990


def test_of_several_prices_the_one_without_a_description_is_the_plans(session: Session, line: Line) -> None:
    own = {"contract_id": line.service.contract_id, "service_id": line.service.id}
    router = ContractItem(**own, description="Router", price_cents=1000)
    session.add(router)
    session.flush()
    line.ask(line.faster)
    prices = session.scalars(select(ContractItem.price_cents).where(ContractItem.service_id == line.service.id))
    assert sorted(prices) == [1000, 14990]
    session.add(ContractItem(**own, price_cents=2000, valid_from=date(2027, 1, 1)))
    session.flush()
    with pytest.raises(Conflict, match="several prices"):
        line.ask(line.fastest, TODAY + DAY)


def test_changes_from_before_the_price_is_charged_are_one_on_its_first_day(session: Session, line: Line) -> None:
    item = session.scalars(select(ContractItem).where(ContractItem.service_id == line.service.id)).one()
    line.ask(line.faster)
    line.ask(line.fastest, TODAY + DAY)
    line.ask(line.faster, TODAY + 20 * DAY)
    item.valid_from = TODAY + 5 * DAY
    session.flush()
    assert line.changes() == [(TODAY + 5 * DAY, 9990, 19990), (TODAY + 20 * DAY, 19990, 14990)]
    contract = session.get_one(Contract, line.service.contract_id)
    facts = read_facts(session, contract.id, ZONE)
    period = next(one for one in periods(Terms(contract.started_on, 10), date(2026, 12, 1)) if one.end > TODAY)
    assert draft(period, facts).charged_cents == 19990 * 11 // 30


def test_workers_that_apply_at_once_do_it_once(database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        line = make_line(session, keyring, ManualClock(NOW))
        line.ask(line.faster, TODAY + DAY)
        service_id = line.service.id
    start, done = threading.Barrier(3), []

    def work() -> None:
        start.wait(timeout=10)
        with database.transaction() as session:
            done.append(plan_changes.apply_due(session, keyring, NOW + DAY, ZONE))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(done) == [0, 0, 1]
    with database.transaction() as session:
        assert session.scalar(select(func.count()).where(Event.type == "plan_change.applied")) == 1
        assert session.get_one(Service, service_id).plan_id != 1


def test_a_preview_says_both_prices_and_both_periods_and_keeps_nothing(session: Session, line: Line) -> None:
    def rows() -> list[int | None]:
        return [session.scalar(select(func.count()).select_from(table)) for table in (PlanChange, Event, AuditEntry)]

    before = rows()
    wish = Wish(line.faster.id, date(2026, 11, 25))
    seen = plan_change_preview.preview(session, line.service.id, wish, ACTOR, NOW, ZONE)
    assert (seen.on, seen.old_cents, seen.new_cents) == (date(2026, 11, 25), 9990, 14990)
    first, second = seen.periods
    # 10 November to 9 December has 30 days; from the 25th on there are 15
    assert (first.before.charged_cents, first.after.charged_cents) == (9990, (9990 + 14990) // 2)
    assert first.difference_cents == 2500
    assert [one.days for one in first.after.lines] == [15, 15]
    assert (second.before.charged_cents, second.after.charged_cents) == (9990, 14990)
    assert (rows(), line.price(), line.changes()) == (before, 9990, [])
    with pytest.raises(InvalidInput, match="from today on"):
        plan_change_preview.preview(session, line.service.id, Wish(line.faster.id, TODAY - DAY), ACTOR, NOW, ZONE)


def test_a_preview_is_what_the_invoice_says_when_it_is_done(session: Session, line: Line) -> None:
    line.ask(line.fastest, TODAY + 12 * DAY)
    seen = plan_change_preview.preview(session, line.service.id, Wish(line.faster.id), ACTOR, NOW, ZONE)
    line.ask(line.faster)
    line.midnight_of(TODAY + 12 * DAY)
    contract = session.get_one(Contract, line.service.contract_id)
    facts = read_facts(session, contract.id, ZONE)
    assert [draft(one.after.period, facts) for one in seen.periods] == [one.after for one in seen.periods]


def test_a_preview_of_a_contract_that_begins_later_starts_with_its_first_period(
    session: Session, keyring: Keyring, clock: ManualClock
) -> None:
    line = make_line(session, keyring, clock)
    session.get_one(Contract, line.service.contract_id).started_on = date(2027, 1, 20)
    session.flush()
    seen = plan_change_preview.preview(session, line.service.id, Wish(line.faster.id), ACTOR, NOW, ZONE)
    assert [one.after.period.start for one in seen.periods] == [date(2027, 1, 20), date(2027, 2, 10)]
    assert [one.difference_cents for one in seen.periods][1] == 5000


@dataclass
class Model:
    """What is expected: the plan and price on every day, from what was asked for and not withdrawn."""

    base: tuple[int, int]
    asked: dict[date, tuple[int, int]] = field(default_factory=dict)

    def on(self, day: date) -> tuple[int, int]:
        past = [one for one in self.asked if one <= day]
        return self.asked[max(past)] if past else self.base


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 12), st.integers(0, 2), st.sampled_from([None, 0, 5000, 9990])),
        st.tuples(st.just("withdraw"), st.integers(0, 12)),
        st.tuples(st.just("pass"), st.integers(1, 4)),
        st.tuples(st.just("due")),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, free=st.booleans())
def test_whatever_is_asked_withdrawn_and_waited_for_each_day_has_the_plan_and_price_that_were_asked_for(
    session: Session, keyring: Keyring, steps: Sequence[tuple[str, int]], free: bool
) -> None:
    example = session.begin_nested()
    line = make_line(session, keyring, ManualClock(NOW), None if free else 9990)
    first = session.get_one(Plan, line.service.plan_id)
    model = Model((first.id, 0 if free else 9990))
    kept: dict[date, PlanChange] = {}
    for name, *values in steps:
        today = line.clock().astimezone(ZONE).date()
        if name == "ask":
            ahead, which, price = values
            plan, on = (first, line.faster, line.fastest)[which], today + ahead * DAY
            wanted = (plan.id, plan.price_cents if price is None else price)
            line.due()
            refused = on in model.asked or model.on(on) == wanted
            try:
                kept[on] = line.ask(plan, on, price)
                assert not refused
                model.asked[on] = wanted
            except ProvedorError:
                assert refused
        elif name == "withdraw" and (change := kept.get(today + values[0] * DAY)) is not None:
            if change.applied_at is None and change.withdrawn_at is None:
                line.withdraw(change)
                del model.asked[change.on]
        elif name == "pass":
            line.clock.advance(values[0] * DAY)
        elif name == "due":
            line.due()
        _assert_as_modelled(session, line, model)
    line.due()
    assert (line.service.plan_id, _present_price(line)) == model.on(line.clock().astimezone(ZONE).date())
    assert not any(change.error for change in kept.values())
    example.rollback()


def _present_price(line: Line) -> int:
    query = select(ContractItem.price_cents).where(ContractItem.service_id == line.service.id)
    return line.session.scalar(query) or 0


def _assert_as_modelled(session: Session, line: Line, model: Model) -> None:
    contract = session.get_one(Contract, line.service.contract_id)
    facts = read_facts(session, contract.id, ZONE)
    for period in periods(Terms(contract.started_on, 10), TODAY + 90 * DAY):
        days = [period.start + number * DAY for number in range(period.days)]
        expected = sum(model.on(day)[1] for day in days) // period.cycle_days
        assert draft(period, facts).charged_cents == expected
