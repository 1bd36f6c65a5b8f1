"""Whole histories into PostgreSQL: boxes behind one NAS entry, restarts, loss, repetition, any order and batches.

The model says what must be known in the end of what got through, from the records alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from accounting_packets import BASE, NAS_ID, SECRET, Connection, heard, make_partitions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaa.accounting import BOX_STATUSES, AccountingRecord, Status, read_record
from aaa.authenticator import sign_request
from aaa.counters import count
from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.session_store import store_batch
from aaa.sessions import point_of
from core.database import libpq_url

#: Whose line is behind each box.
SERVICES = {"north": 1, "south": 2}


@st.composite
def histories(draw: st.DrawFn) -> list[AccountingRecord]:
    """The lives of some sessions on two boxes that use the same session ids and restart now and then."""
    records = []
    for box in ("north", "south"):
        for at in draw(st.lists(st.integers(0, 900), max_size=2, unique=True)):
            records.append(heard(box, draw(st.sampled_from(sorted(BOX_STATUSES))), at))
        for session in ("81000001", "81000002", "81000003")[: draw(st.integers(0, 3))]:
            begin, interims = draw(st.integers(0, 500)), draw(st.integers(0, 4))
            # Without Gigawords it goes round, and its counters may begin anew or come as zeros at the end.
            gigawords, a_minute = draw(st.booleans()), draw(st.sampled_from([70_000_000, 700_000_000, 3_000_000_000]))
            began_anew = draw(st.integers(0, 6))
            records.append(heard(box, Status.START, begin, session, service_id=SERVICES[box]))
            ends = [Status.STOP] if draw(st.booleans()) else []
            for minute, status in enumerate([Status.INTERIM] * interims + ends, 1):
                counted = minute - began_anew if 0 < began_anew < minute else minute
                octets = 0 if status == Status.STOP and draw(st.booleans()) else counted * a_minute
                records.append(
                    heard(box, status, begin + minute * 60, session, seconds=minute * 60, octets=octets,
                          gigawords=gigawords, packets=counted * a_minute // 1000, service_id=SERVICES[box])
                )  # fmt: skip
    kept = draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return [one for one, keep in zip(records, kept, strict=True) if keep]


def expected(records: list[AccountingRecord]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(box, session) -> (started, updated, how it ended, seconds, octets, interims)."""
    restarts: dict[str, float] = {}
    for one in records:
        if one.status in BOX_STATUSES:
            restarts[one.box] = max(one.event_at, restarts.get(one.box, 0))
    known: dict[tuple[str, str], tuple[Any, ...]] = {}
    for key in {(one.box, one.acct_session_id) for one in records if one.status not in BOX_STATUSES}:
        own = [one for one in records if (one.box, one.acct_session_id) == key and one.status not in BOX_STATUSES]
        started = min(one.event_at - one.session_seconds for one in own)
        updated = max(one.event_at for one in own)
        end = None
        if any(one.status == Status.STOP for one in own):
            end = "stop"
        elif updated <= restarts.get(key[0], 0) and started < restarts.get(key[0], 0):
            end = "nas_reboot"
        known[key] = (
            started, updated, end, max(one.session_seconds for one in own),
            count(point_of(one) for one in own).input_octets,
            len({one.event_at for one in own if one.status == Status.INTERIM}),
        )  # fmt: skip
    return known


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        make_partitions(connection)
        yield connection


def stored(connection: Connection) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT box, acct_session_id, extract(epoch FROM started_at)::float8, extract(epoch FROM updated_at)::float8, "
        "stop_kind, session_seconds, input_octets, interims FROM session"
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def used(connection: Connection) -> dict[int, tuple[Any, ...]]:
    """By service: what its days say in all."""
    rows = connection.execute(
        "SELECT service_id, sum(up_octets)::bigint, sum(seconds)::bigint FROM service_usage GROUP BY 1"
    )
    return {row[0]: row[1:] for row in rows}


def moved(connection: Connection) -> dict[int, tuple[Any, ...]]:
    """By service: what its sessions say in all."""
    rows = connection.execute(
        "SELECT service_id, sum(input_octets)::bigint, sum(session_seconds)::bigint FROM session "
        "GROUP BY 1 HAVING sum(input_octets) + sum(session_seconds) > 0"
    )
    return {row[0]: row[1:] for row in rows}


@given(histories(), st.randoms(use_true_random=False), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_loss_repetition_and_batches_end_in_what_the_records_say(
    connection: Connection, records: list[AccountingRecord], chance: random.Random, data: st.DataObject
) -> None:
    connection.execute("TRUNCATE session, accounting_record, spool_position, box_restart, outbox, service_usage")
    arriving = records + [one for one in records if chance.random() < 0.4]
    chance.shuffle(arriving)
    before: dict[tuple[str, str], tuple[Any, ...]] = {}
    most: dict[tuple[str, str], int] = {}
    position = 0
    while position < len(arriving):
        size = data.draw(st.integers(1, 12))
        store_batch(connection, arriving[position : position + size], ("node", "spool", 1, position))
        position += size
        now = stored(connection)
        assert used(connection) == moved(connection), "every octet belongs to a day, once"
        for key, row in before.items():  # counters never go backwards, whatever is heard
            assert all(new >= old for new, old in zip(now[key][3:], row[3:], strict=True))
        before = now
        for key, row in expected(arriving[:position]).items():
            most[key] = max(most.get(key, 0), row[4])
            assert now[key][4] == most[key], "counted from what arrived, and never back"
    wanted = {key: (*row[:4], most[key], row[5]) for key, row in expected(records).items()}
    assert stored(connection) == wanted
    count = connection.execute("SELECT count(*) FROM accounting_record").fetchone()
    assert count == (len({one.dedupe_key for one in records}),)


def test_a_late_record_that_comes_with_a_stop_of_zeros_is_not_taken_for_the_next(connection: Connection) -> None:
    """Both in one batch, which is later than what is stored; its counters are not."""

    def interim(minute: int) -> AccountingRecord:
        octets, packets = minute * 3_000_000_000, minute * 3_000_000
        return heard("b", Status.INTERIM, minute * 60, "1", seconds=minute * 60, octets=octets, packets=packets,
                     gigawords=False)  # fmt: skip

    for position, minute in enumerate((3, 1)):
        store_batch(connection, [interim(minute)], ("n", "s", 1, position))
    stop = heard("b", Status.STOP, 240, "1", seconds=240, packets=12_000_000)
    store_batch(connection, [interim(2), stop], ("n", "s", 1, 2))
    assert stored(connection)["b", "1"][2:5] == ("stop", 240, 9_000_000_000)


def test_boxes_of_one_nas_entry_that_use_the_same_session_id_have_sessions_of_their_own(
    connection: Connection,
) -> None:
    store_batch(connection, [heard(box, Status.START, 0, "1") for box in ("north", "south")], ("n", "s", 1, 0))
    store_batch(connection, [heard("north", Status.OFF, 60)], ("n", "s", 1, 1))
    assert {key: row[2] for key, row in stored(connection).items()} == {
        ("north", "1"): "nas_reboot", ("south", "1"): None,
    }  # fmt: skip


def test_counters_beyond_32_bits_are_kept_and_a_stop_without_any_takes_nothing_back(connection: Connection) -> None:
    octets = (7 << 32) + 5
    store_batch(connection, [heard("b", Status.INTERIM, 600, "1", seconds=600, octets=octets)], ("n", "s", 1, 0))
    body = (
        text_attribute(Kind.NAS_IDENTIFIER, "b") + integer_attribute(Kind.ACCT_STATUS_TYPE, Status.STOP)
        + text_attribute(Kind.ACCT_SESSION_ID, "1") + integer_attribute(Kind.EVENT_TIMESTAMP, BASE + 660)
    )  # fmt: skip
    bare = sign_request(4, 1, body, SECRET, message_authenticator=False)
    store_batch(connection, [read_record((BASE + 661) * 10**9, NAS_ID, "192.0.2.1", bare)], ("n", "s", 1, 1))
    started, updated, end, seconds, counted, _ = stored(connection)["b", "1"]
    assert (started, updated, end, seconds, counted) == (BASE, BASE + 660, "stop", 600, octets)
