"""A worker's piece of work, what follows from it, and what becomes of it when something fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import outbox, topics
from core.database import Database, libpq_url
from core.models import OutboxItem
from core.work import Handler
from provedor.celery_app import do_work
from provedor.runtime import Runtime
from provedor.settings import load_settings

FIRST, SECOND, ELSEWHERE = topics.INBOX_STORED, topics.STANDING_CHANGED, topics.PLAN_CHANGED


class Worker:
    """Handlers that keep what they were given, and may owe or fail."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.owes: list[tuple[topics.Topic, dict[str, Any]]] = []
        self.fails: set[str] = set()
        self.after: Callable[[], None] | None = None

    def handler(self, topic: topics.Topic) -> Handler:
        def handle(session: Session, payload: dict[str, Any]) -> Callable[[], None] | None:
            if topic.name in self.fails:
                raise RuntimeError("it does not work today")
            self.done.append((topic.name, payload))
            if topic is FIRST:
                for owed, body in self.owes:
                    outbox.enqueue(session, owed, body)
                return self.after
            return None

        return handle

    def work(self, item_id: int) -> None:
        do_work(self.runtime, {one.name: self.handler(one) for one in (FIRST, SECOND, ELSEWHERE)}, item_id)


@pytest.fixture
def worker(database_url: str) -> Worker:
    return Worker(Runtime(load_settings(), database_url, "redis://nowhere"))


def owe_first(database: Database) -> int:
    with database.transaction() as session:
        return outbox.enqueue(session, FIRST, {"inbox_id": 1})


def rows(database: Database) -> list[tuple[str, int, bool]]:
    """(topic, attempts, leased or put off)"""
    with database.transaction() as session:
        query = select(OutboxItem.topic, OutboxItem.attempts, OutboxItem.due_at > func.now()).order_by(OutboxItem.id)
        return [(row[0], row[1], row[2]) for row in session.execute(query)]


def test_what_follows_on_the_same_queue_is_done_next_and_nobody_is_woken(
    worker: Worker, database: Database, database_url: str
) -> None:
    item_id = owe_first(database)
    worker.owes = [(SECOND, {"contract_id": 2}), (SECOND, {"contract_id": 3})]
    with psycopg.connect(libpq_url(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {outbox.CHANNEL}")
        worker.work(item_id)
        assert list(listener.notifies(timeout=0)) == []
    assert [payload for _, payload in worker.done] == [{"inbox_id": 1}, {"contract_id": 2}, {"contract_id": 3}]
    assert rows(database) == []


def test_another_queue_is_told(worker: Worker, database: Database, database_url: str) -> None:
    item_id = owe_first(database)
    worker.owes = [(ELSEWHERE, {"plan_id": 1, "after_service_id": 0})]
    with psycopg.connect(libpq_url(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {outbox.CHANNEL}")
        worker.work(item_id)
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    assert rows(database) == [(ELSEWHERE.name, 0, False)]


def test_more_than_one_worker_should_do_alone_is_left_to_all(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    worker.owes = [(SECOND, {"contract_id": number}) for number in range(outbox.KEPT_MAX + 2)]
    worker.work(item_id)
    assert len(worker.done) == 1 + outbox.KEPT_MAX
    assert rows(database) == [(SECOND.name, 0, False)] * 2


def test_work_that_fails_is_kept_for_later_and_what_it_owed_is_undone(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    worker.fails = {FIRST.name}
    worker.owes = [(SECOND, {"contract_id": 2})]
    worker.work(item_id)
    assert rows(database) == [(FIRST.name, 1, True)]


def test_a_follower_that_fails_does_not_bring_back_what_was_done(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    worker.fails = {SECOND.name}
    worker.owes = [(SECOND, {"contract_id": 2})]
    worker.work(item_id)
    assert rows(database) == [(SECOND.name, 1, True)]


def test_a_worker_that_dies_leaves_its_own_rows_to_the_relay(worker: Worker, database: Database) -> None:
    """They are leased from their birth, and a lease runs out."""
    owe_first(database)
    with database.transaction() as session:
        outbox.keep_own(session, SECOND.queue)
        outbox.enqueue(session, SECOND, {"contract_id": 2})
    assert rows(database) == [(FIRST.name, 0, False), (SECOND.name, 0, True)]
    with database.transaction() as session:
        session.execute(OutboxItem.__table__.update().values(due_at=OutboxItem.due_at - outbox.LEASE))  # type: ignore[attr-defined]
        assert len(outbox.lease_due(session, 10)) == 2


def test_what_is_to_come_after_the_commit_comes_after_it(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    seen: list[list[tuple[str, int, bool]]] = []
    worker.after = lambda: seen.append(rows(database))
    worker.work(item_id)
    assert seen == [[]]


def test_work_that_another_does_is_left_to_it(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    with database.transaction() as session:
        assert outbox.claim(session, item_id) is not None
        worker.work(item_id)
        assert worker.done == []
    assert rows(database) == []
