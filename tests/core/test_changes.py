"""The revision feed: commit order equals revision order, and a rollback leaves nothing that a follower waits for."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text

from core import changes
from core.database import Database
from core.models.system import Change, ChangeKind


def revisions(database: Database, after: int) -> list[tuple[int, int]]:
    with database.transaction() as session:
        query = select(Change.revision, Change.ref_id).where(Change.revision > after).order_by(Change.revision)
        return [(row.revision, row.ref_id) for row in session.execute(query)]


def test_who_has_seen_a_revision_has_missed_nothing_below_it(database: Database) -> None:
    """Each looks at the feed right after each commit of twelve writers that commit as they please."""
    writers, each = 12, 8
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(each):
            with database.transaction() as session:
                changes.note(session, ChangeKind.SERVICE, writer * each + number)
                session.execute(text("SELECT 1"))

    def follow() -> None:
        while True:
            last = done.is_set()
            seen.extend(revisions(database, seen[-1][0] if seen else 0))
            if last:
                return

    follower = threading.Thread(target=follow)
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    done.set()
    follower.join(timeout=60)
    assert sorted(ref_id for _, ref_id in seen) == list(range(writers * each))
    assert seen == revisions(database, 0)


def test_a_rollback_leaves_no_gap_that_hangs(database: Database) -> None:
    class Abandoned(Exception):
        pass

    with pytest.raises(Abandoned), database.transaction() as session:
        changes.note(session, ChangeKind.SERVICE, 1)
        changes.seal(session)
        raise Abandoned
    with database.transaction() as session:
        changes.note(session, ChangeKind.NAS, 2)
    assert [ref_id for _, ref_id in revisions(database, 0)] == [2]


def test_what_is_noted_twice_is_told_once_and_in_the_order_noted(database: Database) -> None:
    with database.transaction() as session:
        for ref_id in (3, 1, 3, 2):
            changes.note(session, ChangeKind.SERVICE, ref_id)
    assert [ref_id for _, ref_id in revisions(database, 0)] == [3, 1, 2]


def test_a_savepoint_keeps_nobody_waiting(database: Database) -> None:
    """What is noted inside of it is told by the transaction's own end, and only then is the lock taken."""
    with database.transaction() as session:
        with session.begin_nested():
            changes.note(session, ChangeKind.SERVICE, 1)
        with database.transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '1s'"))
            changes.note(other, ChangeKind.SERVICE, 2)
    assert [ref_id for _, ref_id in revisions(database, 0)] == [2, 1]


def test_old_entries_go_and_the_newest_stays(database: Database) -> None:
    for ref_id in (1, 2):
        with database.transaction() as session:
            changes.note(session, ChangeKind.SERVICE, ref_id)
    with database.transaction() as session:
        session.execute(text("UPDATE change SET at = now() - interval '3 days'"))
        assert changes.forget_before(session) == 1
    assert [ref_id for _, ref_id in revisions(database, 0)] == [2]
