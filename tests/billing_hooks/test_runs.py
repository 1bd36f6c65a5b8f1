"""A billing run in chunks: judged as a whole, done in parts, and right in the end whatever dies in between."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import guard_runs, make_invoice
from factories import make_contract, make_service
from sqlalchemy import event, select, update

from billing_hooks import runs as engine
from billing_hooks.models import BillingPolicy, BillingRun
from billing_hooks.policy import ANATEL_765, Guard, to_body
from billing_hooks.runs import Billing, RunUnsafe
from core import invoices, payments, services, topics
from core.access import HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database, psycopg_url
from core.keyring import Keyring
from core.models import Event, Hold, OutboxItem, Service

NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
ACTOR = Actor("test:person")
BILLING = Billing(ZoneInfo("America/Sao_Paulo"), ManualClock(NOW))


@pytest.fixture
def debtors(database: Database, keyring: Keyring) -> list[int]:
    """Contracts that owe, one service each: two whole chunks and a part of a third."""
    with database.transaction() as session:
        guard_runs(session, count_floor=1000)
        contracts = [make_contract(session) for _ in range(2 * engine.CHUNK + 3)]
        for contract in contracts:
            make_service(session, keyring, contract=contract)
            invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
            invoices.mark_notified(session, invoice, NOW - timedelta(days=20), ACTOR, NOW)
        return [contract.id for contract in contracts]


def owed_chunks(database: Database) -> list[int]:
    with database.transaction() as session:
        query = select(OutboxItem.id).where(OutboxItem.topic == topics.BILLING_CHUNK.name).order_by(OutboxItem.id)
        return list(session.scalars(query))


def work(database: Database, item_id: int) -> None:
    """As the worker does it: the handler in the transaction that deletes the row."""
    with database.transaction() as session:
        item = session.get_one(OutboxItem, item_id, with_for_update=True)
        BILLING.handle_chunk(session, item.payload)
        session.delete(item)


def held(database: Database) -> list[int]:
    """The contract of every live billing hold."""
    with database.transaction() as session:
        query = select(Service.contract_id).join(Hold, Hold.service_id == Service.id)
        return sorted(session.scalars(query.where(Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))))


def start_run(database: Database) -> int:
    with database.transaction() as session:
        run = BILLING.run(session)
    assert run.id is not None
    return run.id


def read_run(database: Database, run_id: int) -> BillingRun:
    with database.transaction() as session:
        return session.get_one(BillingRun, run_id)


def _work_and_die(url: str, items: list[int], holds_before_death: int) -> None:
    """A worker that is killed while it places a hold: no handler, no rollback of its own."""
    database, placed = Database(psycopg_url(url)), 0

    def count(*given: Any) -> None:
        nonlocal placed
        placed += given[2].startswith("INSERT INTO hold ")
        if placed > holds_before_death:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", count)
    for item in items:
        work(database, item)


def test_nothing_is_done_before_the_whole_plan_has_passed_the_guard(database: Database, debtors: list[int]) -> None:
    with pytest.raises(RunUnsafe, match=str(len(debtors))), database.transaction() as session:
        row = session.scalars(select(BillingPolicy)).one()
        row.body = to_body(replace(ANATEL_765, guard=Guard(count_floor=len(debtors) - 1)))
        BILLING.run(session)
    assert (owed_chunks(database), held(database)) == ([], [])


def test_a_worker_killed_in_the_middle_of_a_chunk_leaves_whole_chunks_only(
    database: Database, database_url: str, debtors: list[int]
) -> None:
    run_id, chunks = start_run(database), owed_chunks(database)
    assert len(chunks) == 3
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_work_and_die, args=(database_url, chunks, engine.CHUNK + 5))
    worker.start()
    worker.join(timeout=60)
    assert worker.exitcode == -signal.SIGKILL
    assert held(database) == debtors[: engine.CHUNK]
    assert owed_chunks(database) == chunks[1:]

    for chunk in chunks[1:]:
        work(database, chunk)
    assert held(database) == debtors
    run = read_run(database, run_id)
    assert (run.considered, run.placed, run.lifted, run.chunks_left) == (len(debtors), len(debtors), 0, 0)
    assert run.finished_at == NOW
    with database.transaction() as session:
        assert BILLING.run(session) == (None, [])


def test_a_second_run_beside_an_unfinished_one_places_nothing_twice(database: Database, debtors: list[int]) -> None:
    first = start_run(database)
    work(database, owed_chunks(database)[0])
    second = start_run(database)
    for chunk in owed_chunks(database):
        work(database, chunk)
    assert held(database) == debtors
    runs = [read_run(database, run_id) for run_id in (first, second)]
    assert sum(run.placed for run in runs) == len(debtors)
    assert all(run.finished_at for run in runs)


@pytest.mark.parametrize("change", ["paid", "service cancelled", "contested"])
def test_a_chunk_does_only_what_is_still_right(database: Database, debtors: list[int], change: str) -> None:
    run_id, spared = start_run(database), debtors[0]
    with database.transaction() as session:
        invoice = session.scalars(select(invoices.Invoice).where(invoices.Invoice.contract_id == spared)).one()
        if change == "paid":
            payments.record_payment(
                session, invoice.id, amount_cents=9990, paid_at=NOW, method="pix", actor=ACTOR, now=NOW
            )
        elif change == "contested":
            invoices.set_contested(session, invoice, True, ACTOR)
        else:
            service = session.scalars(select(Service).where(Service.contract_id == spared)).one()
            services.cancel_service(session, service, ACTOR, NOW)
    for chunk in owed_chunks(database):
        work(database, chunk)
    assert held(database) == debtors[1:]
    assert read_run(database, run_id).placed == len(debtors) - 1


def test_a_chunk_that_comes_at_night_places_nothing(database: Database, debtors: list[int]) -> None:
    start_run(database)
    BILLING.clock.advance(timedelta(hours=12))  # type: ignore[attr-defined]
    try:
        for chunk in owed_chunks(database):
            work(database, chunk)
    finally:
        BILLING.clock.now = NOW  # type: ignore[attr-defined]
    assert held(database) == []


def test_planning_for_many_costs_no_more_statements_than_for_few(
    database: Database, debtors: list[int], keyring: Keyring
) -> None:
    def statements(work: Callable[[], object]) -> int:
        seen: list[str] = []
        listen = (database.engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
        event.listen(*listen)
        work()
        event.remove(*listen)
        return len(seen)

    with database.transaction() as session:
        assert statements(lambda: BILLING.plan(session)) <= 8


def test_a_contract_that_cannot_be_done_is_told_and_keeps_nobody_waiting(
    database: Database, debtors: list[int]
) -> None:
    """A service is cancelled after its contract was judged and before it is held."""
    start_run(database)
    cancelled: list[int] = []

    def cancel_first(*given: Any) -> None:
        if cancelled or "WHERE service.id = " not in given[2]:
            return
        cancelled.append(debtors[0])
        with database.transaction() as session:
            session.execute(update(Service).where(Service.contract_id == debtors[0]).values(status="cancelled"))

    event.listen(database.engine, "before_cursor_execute", cancel_first)
    for chunk in owed_chunks(database):
        work(database, chunk)
    assert cancelled
    assert held(database) == debtors[1:]
    with database.transaction() as session:
        told = session.scalars(select(Event.subject).where(Event.type == "billing.contract_failed")).all()
    assert told == [f"contract:{debtors[0]}"]
