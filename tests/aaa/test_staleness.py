"""Silence means what that NAS means by it, and nothing while our own house or the whole box was away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from accounting_packets import Connection, heard, make_partitions, moment
from factories import make_nas, make_plan, make_service

from aaa import session_store
from aaa.accounting import AccountingRecord, Status
from aaa.session_store import store_batch
from aaa.staleness import NODE_GONE_S, STALE_FLOOR_S, STALE_INTERVALS, STALE_UNVERIFIED_S, VERIFY_AFTER_S, close_stale
from core.database import Database, libpq_url
from core.keyring import Keyring

HOUR = 3600


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        make_partitions(connection, range(-1, 12))
        yield connection


@pytest.fixture
def nas_id(database: Database, keyring: Keyring) -> int:
    with database.transaction() as session:
        return make_nas(session, keyring).id


@pytest.fixture
def close_at(database: Database) -> Callable[[float], int]:
    """How many are closed at a time."""

    def close(at: float) -> int:
        with database.transaction() as session:
            return close_stale(session, now=moment(at))

    return close


def live(connection: Connection) -> dict[str, str | None]:
    """How each session ended, by its id."""
    return dict(connection.execute("SELECT acct_session_id, stop_kind FROM session").fetchall())


def owed(connection: Connection) -> int:
    rows = connection.execute("SELECT count(*) FROM outbox WHERE topic = 'aaa.session_verify'").fetchone()
    return int(rows[0]) if rows else 0


class Box:
    """Sessions of one box, each telling of itself every so often."""

    def __init__(self, connection: Connection, nas_id: int, name: str = "b", spool: str = "acct-0") -> None:
        self._connection = connection
        self._nas_id = nas_id
        self._name = name
        self._spool = spool

    def start(self, session: str, at: int, service_id: int = 0) -> None:
        self._store(heard(self._name, Status.START, at, session, service_id=service_id, nas_id=self._nas_id))

    def interim(self, session: str, at: int, seconds: int, service_id: int = 0) -> None:
        self._store(
            heard(self._name, Status.INTERIM, at, session, seconds=seconds, octets=seconds, service_id=service_id,
                  nas_id=self._nas_id)
        )  # fmt: skip

    def say(self, at: int) -> None:
        """A word of somebody else behind it."""
        self.start(f"other at {at}", at)

    def _store(self, record: AccountingRecord) -> None:
        store_batch(self._connection, [record], ("node", self._spool, 1, 0))


@pytest.mark.parametrize(
    ("plan_interim_s", "real_interim_s", "patience_s"),
    [
        pytest.param(300, 300, STALE_INTERVALS * 300, id="as the plan says"),
        pytest.param(60, 60, STALE_FLOOR_S, id="never sooner than the floor"),
        pytest.param(300, 1800, STALE_INTERVALS * 1800, id="the NAS has an interval of its own, which is longer"),
        pytest.param(1800, 300, STALE_INTERVALS * 1800, id="shorter: it might go back to the plan's"),
    ],
)
def test_a_session_is_stale_when_it_is_silent_for_longer_than_its_nas_ever_is(
    connection: Connection, database: Database, keyring: Keyring, nas_id: int, close_at: Callable[[float], int],
    plan_interim_s: int, real_interim_s: int, patience_s: int,
) -> None:  # fmt: skip
    with database.transaction() as session:
        plan = make_plan(session, interim_seconds=plan_interim_s)
        service_id = make_service(session, keyring, plan=plan).id
    box = Box(connection, nas_id)
    box.start("1", 0, service_id)
    for number in range(1, 5):
        box.interim("1", number * real_interim_s, number * real_interim_s, service_id)
    last = 4 * real_interim_s
    box.say(last + patience_s)
    assert close_at(last + patience_s + 999) == 0
    box.say(last + patience_s + 1)
    assert close_at(last + patience_s + 999) == 1
    assert live(connection)["1"] == "stale"
    assert close_at(last + patience_s + 999) == 0
    late = last + patience_s + 60
    box.interim("1", late, late, service_id)
    assert live(connection)["1"] is None, "it lives"


def test_a_session_that_sent_no_interim_yet_is_judged_by_its_box(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    box = Box(connection, nas_id)
    box.start("young", 0)
    for number in range(1, 4):
        box.interim("old", number * 300, number * 300)
    assert close_at(901) == 0
    box.interim("old", 1200, 1200)
    assert close_at(1201) == 1
    assert live(connection) == {"young": "stale", "old": None}


def test_a_box_that_is_silent_altogether_makes_no_session_stale(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    box, neighbour = Box(connection, nas_id), Box(connection, nas_id, "another")
    for number in (1, 2, 3):
        box.interim("1", number * 60, number * 60)
    for hours in range(1, 50):
        neighbour.say(hours * HOUR)
    assert close_at(50 * HOUR) == 0


def test_an_hour_in_which_our_database_was_away_makes_no_session_stale(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    one, two = Box(connection, nas_id), Box(connection, nas_id, spool="acct-1")
    for number in (1, 2, 3):
        one.interim("in spool 0", number * 300, number * 300)
        two.interim("in spool 1", number * 300, number * 300)
    # The database is back, and spool 0 was shipped sooner than spool 1, where the same hour lies.
    for at in range(1200, 900 + HOUR, 300):
        one.interim("in spool 0", at, at)
        assert close_at(900 + HOUR) == 0
    for at in range(1200, 900 + HOUR, 300):
        two.interim("in spool 1", at, at)
        assert close_at(900 + HOUR) == 0


def test_an_empty_spool_does_not_hold_time_up(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    idle, busy = Box(connection, nas_id, "idle", "acct-1"), Box(connection, nas_id)
    idle.say(0)
    for number in (1, 2, 3):
        busy.interim("gone", number * 300, number * 300)
    busy.say(6000)
    assert close_at(6001) == 0, "what spool 1 holds is not known"
    session_store.note_empty(connection, "node", {"acct-1": moment(5999).timestamp()})
    assert close_at(6001) == 1


def test_a_spool_that_was_lost_and_a_node_that_is_gone_hold_nothing_up_for_ever(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    Box(connection, nas_id, "elsewhere", "acct-1").say(0)
    busy = Box(connection, nas_id)
    for number in (1, 2, 3):
        busy.interim("gone", number * 300, number * 300)
    busy.say(3000)
    assert close_at(3001) == 0
    session_store.forget_lost_spools(connection, "node", ["acct-0"])
    assert close_at(3001) == 1
    connection.execute("INSERT INTO spool_position VALUES ('dead', 'acct-0', 1, 0, %s)", (moment(0),))
    for number in (11, 12, 13):
        busy.interim("gone too", number * 300, number * 300 - 3000)
    connection.execute("UPDATE spool_position SET shipped_until = %s WHERE node = 'dead'", (moment(2000),))
    busy.say(2000 + NODE_GONE_S - 2)
    assert close_at(9000) == 0, "the other node may hold its word"
    busy.say(2000 + NODE_GONE_S)
    close_at(9000)
    assert live(connection)["gone too"] == "stale", "the other node is gone for good"


def test_without_interims_the_nas_is_asked_and_only_long_silence_ends_the_session(
    connection: Connection, database: Database, nas_id: int, close_at: Callable[[float], int]
) -> None:
    box = Box(connection, nas_id)
    box.start("1", 0)
    box.start("keeps on dialling", VERIFY_AFTER_S)
    assert (close_at(VERIFY_AFTER_S), owed(connection)) == (0, 0)
    box.say(VERIFY_AFTER_S + 1)
    assert (close_at(VERIFY_AFTER_S + 2), owed(connection)) == (0, 1)
    assert (close_at(VERIFY_AFTER_S + 2), owed(connection)) == (0, 1), "it is owed already"
    connection.execute("TRUNCATE outbox")
    connection.execute("UPDATE session SET verified_at = %s WHERE acct_session_id = '1'", (moment(VERIFY_AFTER_S),))
    box.say(2 * VERIFY_AFTER_S)
    close_at(2 * VERIFY_AFTER_S)
    rows = connection.execute(
        "SELECT s.acct_session_id FROM outbox JOIN session s ON s.id = (payload->>'session_id')::int"
    )
    assert "1" not in [row[0] for row in rows], "its NAS said a day ago that it lives"
    connection.execute("UPDATE session SET verified_at = NULL")
    box.say(STALE_UNVERIFIED_S + 1)
    close_at(STALE_UNVERIFIED_S + 1)
    assert live(connection)["1"] == "stale"


def test_the_sessions_of_a_nas_that_was_taken_away_end_by_our_own_clock(
    connection: Connection, nas_id: int, close_at: Callable[[float], int]
) -> None:
    box = Box(connection, nas_id)
    for number in (1, 2, 3):
        box.interim("1", number * 300, number * 300)
    assert close_at(10 * HOUR) == 0
    connection.execute("DELETE FROM nas")
    assert close_at(10 * HOUR) == 1
