"""Sessions from accounting: order, loss and repetition do not change the outcome, in Python and in SQL."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaa.accounting import AccountingRecord, Status, read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.session_store import ensure_partitions, store_batch
from aaa.sessions import fold, merge, state_of
from core.database import libpq_url

BASE = 1_795_000_000
SECRET = SharedSecret(b"x")


def make(session: str, status: int, at: int, seconds: int = 0, octets: int = 0, **more: Any) -> AccountingRecord:
    body = (
        text_attribute(Kind.USER_NAME, "ana")
        + text_attribute(Kind.NAS_IDENTIFIER, more.get("box", "bras"))
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + text_attribute(Kind.ACCT_SESSION_ID, session)
        + integer_attribute(Kind.EVENT_TIMESTAMP, BASE + at)
        + integer_attribute(Kind.ACCT_SESSION_TIME, seconds)
        + integer_attribute(Kind.ACCT_INPUT_OCTETS, octets & 0xFFFFFFFF)
        + integer_attribute(Kind.ACCT_INPUT_GIGAWORDS, octets >> 32)
    )
    packet = sign_request(4, 1, body, SECRET, message_authenticator=False)
    return read_record((BASE + at + 1) * 10**9, 1, "192.0.2.1", packet)


@st.composite
def histories(draw: st.DrawFn) -> list[AccountingRecord]:
    """A life of one to three sessions, of which some packets are lost."""
    records = []
    for number in range(draw(st.integers(1, 3))):
        name, begin = f"s{number}", draw(st.integers(0, 500))
        lives = draw(st.integers(1, 6))
        records.append(make(name, Status.START, begin))
        for turn in range(1, lives):
            records.append(make(name, Status.INTERIM, begin + turn * 60, turn * 60, turn * 3_000_000_000))
        if draw(st.booleans()):
            records.append(make(name, Status.STOP, begin + lives * 60, lives * 60, lives * 3_000_000_000))
    kept = draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return [one for one, keep in zip(records, kept, strict=True) if keep] or records[:1]


@given(histories(), st.randoms())
def test_any_order_gives_the_same_sessions(records: list[AccountingRecord], chance: random.Random) -> None:
    shuffled = records[:]
    chance.shuffle(shuffled)
    assert fold(shuffled) == fold(records)


@given(histories())
def test_merging_a_state_with_itself_changes_no_counter(records: list[AccountingRecord]) -> None:
    for state in fold(records):
        assert merge(state, state)._replace(interims=state.interims) == state


@given(histories(), st.integers(0, 20))
def test_merging_is_associative(records: list[AccountingRecord], cut: int) -> None:
    same = [state_of(one) for one in records if one.acct_session_id == records[0].acct_session_id]
    left = same[0]
    for other in same[1:]:
        left = merge(left, other)
    right = same[-1]
    for other in reversed(same[:-1]):
        right = merge(other, right)
    assert left == right


@pytest.fixture
def connection(database_url: str) -> Any:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        today = datetime.fromtimestamp(BASE, UTC).date()
        ensure_partitions(connection, [today + timedelta(days=days) for days in (-1, 0, 1)])
        yield connection


def stored(connection: Any) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT acct_session_id, started_at, updated_at, stopped_at, stop_kind, session_seconds, input_octets, "
        "interims FROM session"
    )
    return {row[0]: row[1:] for row in rows}


@given(histories(), st.randoms(), st.integers(1, 4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_joins_as_the_pure_merge_does(
    connection: Any, records: list[AccountingRecord], chance: random.Random, size: int
) -> None:
    connection.execute("TRUNCATE session, accounting_record, spool_position")
    arriving = records + chance.sample(records, chance.randint(0, len(records)))  # with repetitions
    chance.shuffle(arriving)
    for start in range(0, len(arriving), size):
        store_batch(connection, arriving[start : start + size], ("node", "spool", 1, start))
    wanted = {
        state.key[2]: (
            datetime.fromtimestamp(state.started_at, UTC),
            datetime.fromtimestamp(state.updated_at, UTC),
            datetime.fromtimestamp(state.stopped_at, UTC) if state.stopped_at else None,
            "stop" if state.stopped_at else None,
            state.session_seconds,
            state.counted.input_octets,
            state.interims,
        )
        for state in fold(records)
    }
    assert stored(connection) == wanted
    count = connection.execute("SELECT count(*) FROM accounting_record").fetchone()[0]
    assert count == len({one.dedupe_key for one in records})


def test_a_late_interim_never_reopens_what_the_nas_stopped(connection: Any) -> None:
    stop = make("s", Status.STOP, 600, 600, 9000)
    late = make("s", Status.INTERIM, 300, 300, 4000)
    for one in (stop, late):
        store_batch(connection, [one], ("node", "spool", 1, 0))
    assert stored(connection)["s"][3] == "stop"
    assert stored(connection)["s"][5] == 9000


def test_accounting_on_closes_the_boxs_sessions_and_a_later_interim_reopens(connection: Any) -> None:
    store_batch(connection, [make("s", Status.START, 0), make("t", Status.START, 0, box="other")], ("n", "s", 1, 0))
    store_batch(connection, [make("0", Status.ON, 100)], ("n", "s", 1, 1))
    assert stored(connection)["s"][3] == "nas_reboot"
    assert stored(connection)["t"][3] is None
    store_batch(connection, [make("s", Status.INTERIM, 160, 160)], ("n", "s", 1, 2))
    assert stored(connection)["s"][3] is None


def test_a_start_from_before_a_restart_that_is_known_already_is_closed(connection: Any) -> None:
    store_batch(connection, [make("0", Status.ON, 100)], ("n", "s", 1, 0))
    store_batch(connection, [make("s", Status.START, 50), make("t", Status.START, 150)], ("n", "s", 1, 1))
    assert stored(connection)["s"][3] == "nas_reboot"
    assert stored(connection)["t"][3] is None


def test_an_interim_of_a_session_never_heard_of_makes_it_beside_those_that_are_known(connection: Any) -> None:
    store_batch(connection, [make("s", Status.START, 0)], ("n", "s", 1, 0))
    batch = [make("s", Status.INTERIM, 60, 60, 10), make("t", Status.INTERIM, 60, 30, 20)]
    store_batch(connection, batch, ("n", "s", 1, 1))
    assert {name: row[5] for name, row in stored(connection).items()} == {"s": 10, "t": 20}
    assert stored(connection)["t"][0] == datetime.fromtimestamp(BASE + 30, UTC)


def test_a_start_supersedes_the_same_clients_older_session_on_a_mikrotik(connection: Any) -> None:
    nas_id = connection.execute(
        "INSERT INTO nas (name, vendor, address, secret_encrypted) "
        "VALUES ('m', 'mikrotik', '192.0.2.1', '') RETURNING id"
    ).fetchone()[0]

    def ours(session: str, at: int, *, mac: str = "02:00:00:00:00:01", **more: Any) -> AccountingRecord:
        return make(session, Status.START, at)._replace(
            nas_id=nas_id, service_id=7, calling_station_id=mac, accept_id=session * 8, framed_ipv4="100.64.0.1", **more
        )

    old = [ours("a", 0), ours("b", 0, mac="02:00:00:00:00:02"), ours("c", 0, box="other"), ours("d", 200)]
    store_batch(connection, old, ("n", "s", 1, 0))
    store_batch(connection, [ours("e", 100)], ("n", "s", 1, 1))
    ends = {name: row[3] for name, row in stored(connection).items()}
    assert ends == {"a": "superseded", "b": None, "c": None, "d": None, "e": None}
    logged = connection.execute(
        "SELECT acct_session_id, ended_at, end_kind FROM address_use WHERE ended_at IS NOT NULL"
    )
    assert logged.fetchall() == [("a", datetime.fromtimestamp(BASE + 200, UTC), "superseded")]


def test_a_storm_of_starts_reads_each_sessions_predecessors_and_not_the_whole_nas(connection: Any) -> None:
    """After a power cut everybody dials again at once; what this costs must grow with their number, not its square."""
    nas_id = connection.execute(
        "INSERT INTO nas (name, vendor, address, secret_encrypted) "
        "VALUES ('m', 'mikrotik', '192.0.2.1', '') RETURNING id"
    ).fetchone()[0]

    def storm(login: int, services: int) -> int:
        """Everybody logs in; returns how many sessions were looked at."""
        starts = [
            make(f"{login}-{number}", Status.START, login * 100)._replace(
                nas_id=nas_id, service_id=number + 1, calling_station_id="02:00:00:00:00:01", accept_id="a" * 16
            )
            for number in range(services)
        ]
        with connection.transaction():
            store_batch(connection, starts, ("n", "s", 1, login))
            return connection.execute(  # type: ignore[no-any-return]
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'session'"
            ).fetchone()[0]

    for login in range(8):  # a plan that is kept now is one for a table of a few rows
        storm(login, 2)
    assert [storm(login, 1000) < 20_000 for login in (8, 9, 10)] == [True] * 3
    assert sum(row[3] == "superseded" for row in stored(connection).values()) == 1000 * 2 + 2 * 8


def test_a_retransmit_across_midnight_is_one_record(connection: Any) -> None:
    one = make("s", Status.START, 0)
    midnight = (int(one.received_at) // 86400 + 1) * 86400
    before, after = one._replace(received_at=midnight - 5.0), one._replace(received_at=midnight + 5.0)
    store_batch(connection, [before], ("n", "s", 1, 0))
    store_batch(connection, [after], ("n", "s", 1, 1))
    assert connection.execute("SELECT count(*) FROM accounting_record").fetchone()[0] == 1


@given(st.binary(max_size=60))
def test_hostile_text_survives_copy(connection: Any, value: bytes) -> None:
    body = (
        integer_attribute(Kind.ACCT_STATUS_TYPE, 1)
        + text_attribute(Kind.ACCT_SESSION_ID, "x")
        + bytes((Kind.USER_NAME, len(value) + 2)) + value
        + bytes((Kind.CALLING_STATION_ID, len(value) + 2)) + value
        + integer_attribute(Kind.ACCT_INPUT_GIGAWORDS, 0xFFFFFFFF)
    )  # fmt: skip
    packet = sign_request(4, 1, body, SECRET, message_authenticator=False)
    record = read_record(BASE * 10**9, 1, "192.0.2.1", packet)
    store_batch(connection, [record], ("n", "s", 1, 0))
    found = connection.execute(
        "SELECT login FROM accounting_record WHERE dedupe_key = %s", (record.dedupe_key,)
    ).fetchone()
    assert found is not None


test_hostile_text_survives_copy = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)(test_hostile_text_survives_copy)
