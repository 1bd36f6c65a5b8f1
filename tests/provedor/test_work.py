"""A worker's piece of work, what follows from it, and what becomes of it when something fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import redis
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from core import outbox, topics
from core.database import Database, libpq_url
from core.models import OutboxItem
from core.work import Handler
from provedor.celery_app import do_work
from provedor.embedded import EmbeddedValkey
from provedor.relay import TOGETHER_MAX, WAITING_MAX, Relay
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


class Broker:
    """What the relay hands to it, looked at without a worker."""

    def __init__(self, runtime: Runtime, url: str) -> None:
        self.relay = Relay(runtime, lambda: None)
        self._client = redis.Redis.from_url(url.replace("redis+socket://", "unix://"))
        self._client.flushall()

    def messages(self, queue: str) -> list[list[int]]:
        """The ids of each that waits, the oldest first."""
        waiting = [json.loads(message) for message in self._client.lrange(queue, 0, -1)]
        return [json.loads(base64.b64decode(one["body"]))[0][0] for one in reversed(waiting)]

    def take(self, queue: str, count: int) -> None:
        """As workers do."""
        self._client.rpop(queue, count)


@pytest.fixture
def broker(database_url: str, valkey: EmbeddedValkey) -> Iterator[Broker]:
    broker = Broker(Runtime(load_settings(), database_url, valkey.url), valkey.url)
    yield broker
    broker.relay.stop()


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


@pytest.mark.parametrize(("topic", "woken"), [(FIRST, 1), (ELSEWHERE, 0)])
def test_the_relay_is_woken_for_what_somebody_waits_for_and_finds_the_rest(
    database: Database, database_url: str, topic: topics.Topic, woken: int
) -> None:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as listener:
        listener.execute(f"LISTEN {outbox.CHANNEL}")
        with database.transaction() as session:
            outbox.enqueue(session, topic, {})
            outbox.enqueue_all(session, topic, [{}, {}])
        assert len(list(listener.notifies(timeout=0.2))) == woken
    assert rows(database) == [(topic.name, 0, False)] * 3


def test_what_follows_on_another_queue_is_left_to_the_relay(worker: Worker, database: Database) -> None:
    item_id = owe_first(database)
    worker.owes = [(ELSEWHERE, {"plan_id": 1, "after_service_id": 0})]
    worker.work(item_id)
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
        assert len(outbox.lease_due(session, SECOND.queue, 10)) == 2


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


def owe_many(database: Database, topic: topics.Topic, count: int) -> None:
    with database.transaction() as session:
        outbox.enqueue_all(session, topic, [{"number": number} for number in range(count)])


def test_little_work_goes_to_as_many_threads_as_there_are(broker: Broker, database: Database) -> None:
    owe_many(database, FIRST, 3)
    assert not broker.relay.publish_due(FIRST.queue)
    assert [len(ids) for ids in broker.messages(FIRST.queue)] == [1, 1, 1]


def test_much_work_is_handed_over_no_faster_than_it_is_done(broker: Broker, database: Database) -> None:
    owe_many(database, FIRST, 1000)
    for _ in range(3):
        assert broker.relay.publish_due(FIRST.queue)
    waiting = broker.messages(FIRST.queue)
    assert len(waiting) == WAITING_MAX
    ids = [item_id for together in waiting for item_id in together]
    assert ids == sorted(set(ids))
    assert len(ids) == WAITING_MAX * TOGETHER_MAX
    broker.take(FIRST.queue, 5)
    broker.relay.publish_due(FIRST.queue)
    assert len(broker.messages(FIRST.queue)) == WAITING_MAX
    with database.transaction() as session:
        free = select(func.count()).select_from(OutboxItem).where(OutboxItem.due_at <= func.now())
        assert session.scalar(free) == 1000 - (WAITING_MAX + 5) * TOGETHER_MAX


def test_a_full_queue_keeps_no_other_waiting(broker: Broker, database: Database) -> None:
    owe_many(database, ELSEWHERE, 1000)
    owe_many(database, FIRST, 1)
    assert broker.relay.publish_due(ELSEWHERE.queue)
    assert broker.relay.publish_due(ELSEWHERE.queue)
    broker.relay.publish_due(FIRST.queue)
    assert [len(ids) for ids in broker.messages(FIRST.queue)] == [1]


def test_a_broker_that_is_away_takes_nothing_and_the_work_stays_due(database: Database, database_url: str) -> None:
    owe_many(database, FIRST, 1)
    relay = Relay(Runtime(load_settings(), database_url, "redis://127.0.0.1:1/0"), lambda: None)
    relay.stop()
    assert not relay.publish_due(FIRST.queue)
    assert rows(database) == [(FIRST.name, 0, False)]


def test_no_more_is_leased_than_was_asked_for_however_postgresql_plans_it(database: Database) -> None:
    """A nested loop asks the inner query anew for each row, which skips what is locked and takes the next."""
    owe_many(database, FIRST, 100)
    with database.transaction() as session:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan", "bitmapscan"):
            session.execute(text(f"SET LOCAL enable_{way} TO off"))
        assert len(outbox.lease_due(session, FIRST.queue, 10)) == 10
