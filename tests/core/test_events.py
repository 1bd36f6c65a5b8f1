"""The feed of events: whatever order transactions commit in, a reader that goes on from where it was misses nothing."""

from __future__ import annotations

import random
import threading

from sqlalchemy import text
from sqlalchemy.orm import Session

from core import events
from core.database import Database
from core.events import START, Position


def read_on(database: Database, after: Position) -> tuple[list[int], Position]:
    """What is new after a position, and the position behind it."""
    with database.transaction() as session:
        rows = events.read_feed(session, after, 1000)
    return [row.payload["n"] for row in rows], Position(rows[-1].transaction_id, rows[-1].id) if rows else after


def record(session: Session, number: int) -> None:
    events.record(session, "test", "thing", number % 2, n=number)


def test_a_lower_id_that_commits_later_is_not_missed(database: Database) -> None:
    with database.transaction() as slow:
        record(slow, 1)
        with database.transaction() as quick:
            record(quick, 2)
        # the quick one is committed and has the higher id; the slow one may still come before it
        assert read_on(database, START) == ([], START)
    seen, position = read_on(database, START)
    assert seen == [1, 2]
    assert read_on(database, position) == ([], position)


def test_an_id_taken_before_its_transaction_has_a_number_is_not_missed(database: Database) -> None:
    """A sequence gives ids without a transaction number: the order of ids says nothing of the order of numbers."""
    with database.transaction() as session:  # nextval takes a number only when it logs, for 32 values at once
        record(session, 0)
    with database.transaction() as slow:
        taken = slow.scalar(text("SELECT nextval(pg_get_serial_sequence('event', 'id'))"))
        with database.transaction() as quick:
            record(quick, 2)
        seen, position = read_on(database, START)
        assert seen == [0, 2]
        slow.execute(
            text(
                "INSERT INTO event (id, type, subject, payload) OVERRIDING SYSTEM VALUE "
                "VALUES (:id, 'test', 'thing:1', '{\"n\": 1}')"
            ),
            {"id": taken},
        )
    assert read_on(database, position)[0] == [1]


def test_what_was_rolled_back_leaves_no_gap_that_waits(database: Database) -> None:
    with database.engine.connect() as connection:
        session = Session(connection)
        record(session, 1)
        session.rollback()
    with database.transaction() as session:
        record(session, 2)
    assert read_on(database, START)[0] == [2]


def test_a_follower_beside_many_writers_sees_each_event_once(database: Database) -> None:
    writers, each = 6, 12
    chance = random.Random(5)
    pauses = [[chance.random() / 100 for _ in range(each)] for _ in range(writers)]

    def write(writer: int) -> None:
        for number, pause in enumerate(pauses[writer]):
            with database.transaction() as session:
                record(session, writer * each + number)
                session.execute(text("SELECT pg_sleep(:pause)"), {"pause": pause})

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    position = START
    while any(thread.is_alive() for thread in threads):
        new, position = read_on(database, position)
        seen += new
    seen += read_on(database, position)[0]
    assert sorted(seen) == list(range(writers * each))
    assert len(seen) == len(set(seen))


def test_filters_leave_the_order_as_it_is(database: Database) -> None:
    for number in range(6):
        with database.transaction() as session:
            record(session, number)
    with database.transaction() as session:
        odd = events.read_feed(session, START, 2, subject="thing:1")
        assert [row.payload["n"] for row in odd] == [1, 3]
        after = Position(odd[-1].transaction_id, odd[-1].id)
        assert [row.payload["n"] for row in events.read_feed(session, after, 9, subject="thing:1")] == [5]
        assert events.read_feed(session, START, 9, type_="other") == []
