"""One line counts once, whatever its NAS makes of it; and a plan's limit ends the older sessions, never the new one."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from accounting_packets import Connection, heard, make_partitions
from factories import make_plan, make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaa.accounting import CLOCK_SKEW_MAX_S, AccountingRecord, Status
from aaa.packet import Kind, text_attribute, vendor_attribute
from aaa.session_store import store_batch
from core.database import Database, libpq_url
from core.keyring import Keyring

START, INTERIM, STOP = Status.START, Status.INTERIM, Status.STOP


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        make_partitions(connection)
        yield connection


@pytest.fixture
def service_id(database: Database, keyring: Keyring) -> int:
    with database.transaction() as session:
        return make_service(session, keyring, plan=make_plan(session, session_limit=1)).id


def store(connection: Connection, *records: AccountingRecord) -> None:
    store_batch(connection, records, ("n", "s", 1, 0))


def kinds(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT acct_session_id, kind FROM session").fetchall())


def ended(connection: Connection) -> list[str]:
    """Whose end is owed, in order."""
    rows = connection.execute(
        "SELECT s.acct_session_id FROM outbox o JOIN session s ON s.id = (o.payload->>'session_id')::bigint "
        "WHERE o.topic = 'provisioning.session_disconnect' ORDER BY o.id"
    )
    return [row[0] for row in rows]


def start(session: str, at: int, service_id: int, *, box: str = "north", status: int = START) -> AccountingRecord:
    return heard(box, status, at, session, service_id=service_id, accept=session.encode().ljust(8))


def tied(session: str, line: str, at: int, status: int = START) -> AccountingRecord:
    multi = text_attribute(Kind.ACCT_MULTI_SESSION_ID, line)
    return heard("sr", status, at, session, seconds=300 if status != START else 0, octets=1000, more=multi)


@given(
    st.permutations(
        [
            tied("host", "queue", 0),
            tied("queue", "queue", 2),
            tied("host6", "queue", 1),
            tied("host", "queue", 300, INTERIM),
        ]
    ),
    st.integers(1, 4),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nokia_host_and_queue_accounting_of_one_line_is_one_line(
    connection: Connection, records: list[AccountingRecord], size: int
) -> None:
    connection.execute("TRUNCATE session, accounting_record, spool_position, box, outbox")
    for begin in range(0, len(records), size):
        store(connection, *records[begin : begin + size])
    assert kinds(connection) == {"host": "view", "host6": "view", "queue": "line"}


def test_without_the_session_that_ties_them_the_first_that_is_open_is_the_line(connection: Connection) -> None:
    store(connection, tied("v4", "queue", 0), tied("v6", "queue", 5))
    assert kinds(connection) == {"v4": "line", "v6": "view"}
    store(connection, tied("v4", "queue", 300, STOP))
    assert kinds(connection) == {"v4": "view", "v6": "line"}


def test_lines_that_nothing_ties_are_lines_of_their_own(connection: Connection) -> None:
    store(connection, tied("a", "one", 0), tied("b", "two", 0), heard("sr", START, 0, "c"))
    assert kinds(connection) == {"a": "line", "b": "line", "c": "line"}


def test_a_juniper_service_is_no_second_session_of_its_subscriber(connection: Connection, service_id: int) -> None:
    service = vendor_attribute(4874, 83, b"svc-inet(50m,10m)")
    parent = heard("mx", START, 0, "8", service_id=service_id)
    own = heard("mx", START, 1, "8:21", service_id=service_id, more=service)
    store(connection, own)
    store(connection, parent)
    store(connection, heard("mx", INTERIM, 300, "8:21", seconds=299, octets=7, service_id=service_id, more=service))
    assert kinds(connection) == {"8": "line", "8:21": "service"}
    assert connection.execute("SELECT multi_session_id FROM session WHERE kind = 'service'").fetchall() == [("8",)]
    assert ended(connection) == []


def test_a_new_session_ends_the_older_one_on_another_nas_whose_stop_was_lost(
    connection: Connection, service_id: int
) -> None:
    store(connection, start("old", 0, service_id))
    assert ended(connection) == []
    store(connection, start("new", 500, service_id, box="south"))
    assert ended(connection) == ["old"]


def test_the_oldest_above_the_limit_end_first(connection: Connection, database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        service_id = make_service(session, keyring, plan=make_plan(session, session_limit=2)).id
    for name, at in (("b", 500), ("a", 0), ("c", 1000)):
        store(connection, start(name, at, service_id, status=INTERIM))
    assert ended(connection) == [], "only a Start ends what is older"
    store(connection, start("d", 1500, service_id))
    assert ended(connection) == ["a", "b"]


def test_a_plan_without_a_limit_ends_nothing(connection: Connection, database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        service_id = make_service(session, keyring, plan=make_plan(session, session_limit=None)).id
    store(connection, start("a", 0, service_id), start("b", 500, service_id))
    assert ended(connection) == []


def test_a_session_that_another_server_let_in_is_not_ended(connection: Connection, service_id: int) -> None:
    """It has no Class of ours; an older one that has is still one too many."""
    store(connection, start("theirs", 0, service_id))
    connection.execute("UPDATE session SET class_fingerprint = NULL, accept_id = ''")
    store(connection, start("ours", 200, service_id))
    assert ended(connection) == []
    store(connection, start("new", 500, service_id, box="south"))
    assert ended(connection) == ["ours"]


def test_a_session_that_ended_takes_no_place(connection: Connection, service_id: int) -> None:
    store(connection, start("old", 0, service_id), start("old", 100, service_id, status=STOP))
    store(connection, start("new", 500, service_id))
    assert ended(connection) == []


def test_two_boxes_whose_clocks_differ_never_cost_the_new_session_its_place(
    connection: Connection, service_id: int
) -> None:
    store(connection, start("old", CLOCK_SKEW_MAX_S - 50, service_id, box="ahead"))
    store(connection, start("new", 10, service_id, box="behind"))
    assert ended(connection) == ["old"]


def test_a_start_that_comes_an_hour_late_ends_nobody_who_came_since(connection: Connection, service_id: int) -> None:
    store(connection, start("now", 3600, service_id))
    store(connection, start("late", 0, service_id))
    assert ended(connection) == ["late"]


def test_two_starts_of_one_session_with_changed_attributes_are_one(connection: Connection, service_id: int) -> None:
    first = start("s", 0, service_id)
    again = start("s", 3, service_id)._replace(framed_ipv4="100.64.0.9", calling_station_id="02:00:00:00:00:02")
    store(connection, first)
    store(connection, again)
    assert connection.execute("SELECT framed_ipv4, stopped_at FROM session").fetchall() == [("100.64.0.9", None)]
    assert ended(connection) == []


def test_without_class_a_start_after_the_end_is_another_session_of_that_id(connection: Connection) -> None:
    store(connection, heard("north", START, 0, "1"), heard("north", STOP, 600, "1", seconds=600, octets=5))
    store(connection, heard("north", START, 900, "1"))
    store(connection, heard("north", INTERIM, 1200, "1", seconds=300, octets=7))
    rows = connection.execute("SELECT stop_kind, input_octets, session_seconds FROM session ORDER BY id").fetchall()
    assert rows == [("stop", 5, 600), (None, 7, 300)]


def test_a_session_id_that_is_used_again_after_a_reboot_is_another_session(
    connection: Connection, service_id: int
) -> None:
    store(connection, heard("north", START, 0, "81000001", service_id=service_id, accept=b"first..."))
    store(connection, heard("north", Status.ON, 600))
    store(connection, heard("north", START, 700, "81000001", service_id=service_id, accept=b"second.."))
    rows = connection.execute("SELECT stop_kind FROM session ORDER BY id").fetchall()
    assert rows == [("nas_reboot",), (None,)]
    assert ended(connection) == []
