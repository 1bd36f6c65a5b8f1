"""What no run does by itself: it stops, keeps its list, and goes on when a person who has looked at it says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import guard_runs, make_invoice, run_to_end
from factories import make_contract, make_service
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import alarms
from billing_hooks.decisions import NO_LONGER_RIGHT
from billing_hooks.invoicing.words import Words, columns
from billing_hooks.models import BillingDecision, BillingRun, GatewayAccount, RunState
from billing_hooks.policy import Guard
from billing_hooks.runs import Billing, RunUnsafe
from core import invoices, payments, topics
from core.access import Access
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import Keyring
from core.models import Event, Invoice, OutboxItem, Service

ZONE = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
ACTOR = Actor("operator:ana")
MakeDebtor = Callable[[], Service]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def billing(clock: ManualClock) -> Billing:
    return Billing(ZONE, clock)


@pytest.fixture
def make_debtor(session: Session, keyring: Keyring) -> MakeDebtor:
    def make() -> Service:
        contract = make_contract(session)
        invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
        invoices.mark_notified(session, invoice, NOW - timedelta(days=20), ACTOR, NOW)
        return make_service(session, keyring, contract=contract)

    return make


def pay(session: Session, service: Service) -> None:
    invoice = session.scalars(select(Invoice).where(Invoice.contract_id == service.contract_id)).one()
    payments.record_payment(
        session, invoice.id, amount_cents=invoice.amount_cents, paid_at=NOW, method="pix", actor=ACTOR, now=NOW
    )


def stop(session: Session, billing: Billing) -> int:
    with pytest.raises(RunUnsafe) as stopped:
        billing.run(session)
    return stopped.value.run_id


def work(session: Session, billing: Billing) -> None:
    """What is owed, as the workers do it."""
    for item in session.scalars(select(OutboxItem).where(OutboxItem.topic == topics.BILLING_CHUNK.name)).all():
        billing.handle_chunk(session, item.payload)
        session.delete(item)
    session.flush()


def stopped_runs(session: Session) -> list[int]:
    query = select(BillingRun.id).where(BillingRun.state == RunState.STOPPED)
    return list(session.scalars(query.order_by(BillingRun.id)))


def asked(session: Session) -> int:
    return session.scalar(select(func.count()).where(Event.type == "billing.run_stopped")) or 0


def test_a_run_that_is_stopped_keeps_its_list_and_does_nothing(
    session: Session, billing: Billing, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=1)
    debtors = [make_debtor() for _ in range(3)]
    run = session.get_one(BillingRun, stop(session, billing))
    assert (run.state, run.stopped_for, run.considered, run.placed) == (RunState.STOPPED, "share", 3, 0)
    assert "3 of 3 contracts" in (run.stopped_reason or "")
    assert "3 de 3 contratos" in (run.stopped_reason_pt or "")
    kept = session.scalars(select(BillingDecision).where(BillingDecision.run_id == run.id)).all()
    assert {(one.contract_id, one.action, one.effect) for one in kept} == {
        (one.contract_id, "place", "walled_garden") for one in debtors
    }
    work(session, billing)
    assert all(one.access is Access.FULL for one in debtors)


def test_forcing_does_what_was_looked_at_judged_again_and_nothing_else(
    session: Session, billing: Billing, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=1)
    stays, pays = make_debtor(), make_debtor()
    run_id = stop(session, billing)
    pay(session, pays)
    not_looked_at = make_debtor()

    run = billing.force(session, run_id, ACTOR)
    assert (run.state, run.forced_by) == (RunState.RUNNING, "operator:ana")
    work(session, billing)
    assert [one.access for one in (stays, pays, not_looked_at)] == [Access.WALLED_GARDEN, Access.FULL, Access.FULL]
    session.refresh(run)
    assert (run.state, run.placed, run.finished_at) == (RunState.DONE, 1, NOW)
    outcomes = select(BillingDecision.contract_id, BillingDecision.outcome).where(BillingDecision.run_id == run_id)
    assert dict(session.execute(outcomes).all()) == {  # type: ignore[arg-type]
        stays.contract_id: None, pays.contract_id: NO_LONGER_RIGHT,
    }  # fmt: skip
    with pytest.raises(Conflict, match="is done, not stopped"):
        billing.force(session, run_id, ACTOR)
    with pytest.raises(NotFound):
        billing.force(session, run_id + 1000, ACTOR)


def test_a_day_has_one_stopped_run_for_a_reason_that_stays_while_nothing_is_added(
    session: Session, billing: Billing, clock: ManualClock, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=1)
    debtors = [make_debtor() for _ in range(4)]
    first = stop(session, billing)
    clock.advance(timedelta(minutes=10))
    assert stop(session, billing) == first
    # one pays: what is left was looked at
    pay(session, debtors[0])
    clock.advance(timedelta(minutes=10))
    assert stop(session, billing) == first
    assert asked(session) == 1
    # one more: another list, in the place of the first
    make_debtor()
    clock.advance(timedelta(minutes=10))
    second = stop(session, billing)
    assert second != first
    assert (stopped_runs(session), asked(session)) == ([second], 2)
    # tomorrow is another day, and yesterday's stays on record
    clock.advance(timedelta(days=1))
    third = stop(session, billing)
    assert stopped_runs(session) == [second, third]


def test_another_reason_is_another_list(session: Session, billing: Billing, make_debtor: MakeDebtor) -> None:
    guard_runs(session, count_floor=1)
    make_debtor(), make_debtor()
    first = stop(session, billing)
    alarm(session, Words("a fila está parada", "its queue is stopped"))
    second = stop(session, billing)
    assert stopped_runs(session) == [first, second]
    assert session.get_one(BillingRun, second).stopped_for == "alarm,share"
    # who looked at the first was not told of the alarm
    with pytest.raises(Conflict, match="its queue is stopped") as refused:
        billing.force(session, first, ACTOR)
    assert refused.value.detail_pt == (
        "depois que essa lista foi feita, quem pagou pode parecer devedor: asaas: a fila está parada"
    )
    assert billing.force(session, second, ACTOR).forced_by == "operator:ana"


def alarm(session: Session, words: Words) -> None:
    said = columns("alarm", words)
    session.add(GatewayAccount(gateway="asaas", name="asaas", secret_encrypted=b"", **said))
    session.flush()


def test_what_gives_back_goes_on_in_a_run_that_is_stopped(
    session: Session, billing: Billing, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=1)
    restricted = make_debtor()
    run_to_end(session, billing)
    assert restricted.access is Access.WALLED_GARDEN
    pay(session, restricted)
    owing = [make_debtor(), make_debtor()]
    stop(session, billing)
    work(session, billing)
    assert restricted.access is Access.FULL
    assert all(one.access is Access.FULL for one in owing)


def test_a_dry_run_says_whether_a_run_would_stop(session: Session, billing: Billing, make_debtor: MakeDebtor) -> None:
    guard_runs(session, count_floor=1)
    make_debtor()
    assert billing.stops(session, billing.plan(session)) == []
    make_debtor()
    (why,) = billing.stops(session, billing.plan(session))
    assert (why.kind, stopped_runs(session)) == ("share", [])


@pytest.mark.parametrize(
    ("guard", "stops"),
    [
        ({"count_floor": 100}, None),
        ({"count_floor": 100, "count_max": 3}, None),
        # a number holds below the floor too
        ({"count_floor": 100, "count_max": 2}, "number"),
        ({"count_floor": 3, "share_max": 0.1}, None),
        ({"count_floor": 2, "share_max": 0.1}, "share"),
        ({"count_floor": 2, "share_max": 0.3}, None),
        ({"count_floor": 2, "share_max": 0.1, "count_max": 2}, "number,share"),
    ],
)
def test_a_table_of_numbers_and_shares(
    session: Session, billing: Billing, make_debtor: MakeDebtor, guard: dict[str, Any], stops: str | None
) -> None:
    guard_runs(session, **guard)
    for _ in range(3):
        make_debtor()
    for _ in range(7):  # three of ten contracts owe
        make_contract(session)
    if stops is None:
        assert len(billing.run(session).plan) == 3
    else:
        assert session.get_one(BillingRun, stop(session, billing)).stopped_for == stops


def test_many_small_runs_of_a_day_do_not_get_by_and_what_a_person_forced_does_not_count(
    session: Session, billing: Billing, clock: ManualClock, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=100, count_max=2)
    make_debtor(), make_debtor()
    assert len(run_to_end(session, billing)) == 2
    make_debtor()
    run_id = stop(session, billing)
    billing.force(session, run_id, ACTOR)
    work(session, billing)
    # the two of this morning count still, and on the next day nothing does
    make_debtor()
    stop(session, billing)
    clock.advance(timedelta(days=1))
    make_debtor()
    assert len(run_to_end(session, billing)) == 2


def test_far_more_than_on_this_day_of_earlier_months(
    session: Session, billing: Billing, make_debtor: MakeDebtor
) -> None:
    guard_runs(session, count_floor=1, share_max=1.0, times_usual=2.0)
    for _ in range(3):
        make_debtor()
    assert billing.stops(session, billing.plan(session)) == []  # nobody knows yet what is usual
    for day, placed, state in (
        (date(2026, 10, 23), 1, RunState.DONE),
        (date(2026, 8, 25), 1, RunState.DONE),
        # another day of the month, another year's end of the look back, and a run that did nothing
        (date(2026, 10, 10), 50, RunState.DONE),
        (date(2026, 6, 24), 50, RunState.DONE),
        (date(2026, 9, 24), 50, RunState.STOPPED),
    ):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=ZONE)
        session.add(BillingRun(at=at, considered=placed, placed=placed, state=state))
    session.flush()
    assert [one.kind for one in billing.stops(session, billing.plan(session))] == ["unusual"]
    session.add(BillingRun(at=datetime(2026, 9, 24, 12, tzinfo=ZONE), considered=2, placed=2, state=RunState.DONE))
    session.flush()
    assert billing.stops(session, billing.plan(session)) == []


def test_every_source_of_alarms_is_heard_and_only_where_somebody_would_be_restricted(
    session: Session, billing: Billing, clock: ManualClock, make_debtor: MakeDebtor
) -> None:
    alarm(session, Words("a API não pôde ser lida", "its API could not be read"))
    calendar = billing._engine(session).calendar
    heard = [one for source in alarms.SOURCES for one in source(session, calendar, clock())]
    assert alarms.gather(session, calendar, clock()) == heard
    assert heard == [Words("asaas: a API não pôde ser lida", "asaas: its API could not be read")]
    assert billing.run(session) == (None, [])
    make_debtor()
    stopped = session.get_one(BillingRun, stop(session, billing))
    assert stopped.stopped_for == "alarm"
    assert stopped.stopped_reason == "who paid may look like a debtor: asaas: its API could not be read"
    assert stopped.stopped_reason_pt == "quem pagou pode parecer devedor: asaas: a API não pôde ser lida"
    with pytest.raises(RunUnsafe) as unsafe:
        billing.run(session)
    assert (unsafe.value.detail_pt or "").startswith(f"{stopped.stopped_reason_pt}; olhe a lista da rodada")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"count_floor": -1}, "guard.count_floor"),
        ({"share_max": 1.1}, "guard.share_max"),
        ({"share_max": float("nan")}, "guard.share_max"),
        ({"times_usual": 0}, "guard.times_usual"),
        ({"count_max": -1}, "guard.count_max"),
    ],
)
def test_a_guard_that_guards_nothing_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Guard(**values)
    assert refused.value.field == field
