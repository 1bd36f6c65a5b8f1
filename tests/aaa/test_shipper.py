"""The shipper: from spools on disk into PostgreSQL, each record once, whatever breaks in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from aaa.accounting import Status
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.shipper import BURST_PER_S, BURST_RECORDS, FRESH_S, RESTED, Share, Shipper
from aaa.spool import SpoolWriter, list_segments, segment_path
from core.clock import Clock, ManualClock, utc_now
from core.database import libpq_url

RECEIVED_S = 1_795_000_000
SECRET = SharedSecret(b"x")
ALL = Share(0, 1)


def accounting_packet(session: str, status: int = Status.START, at: int = 0) -> bytes:
    body = (
        text_attribute(Kind.USER_NAME, "ana")
        + text_attribute(Kind.NAS_IDENTIFIER, "bras")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + text_attribute(Kind.ACCT_SESSION_ID, session)
        + integer_attribute(Kind.EVENT_TIMESTAMP, RECEIVED_S + at)
        + integer_attribute(Kind.ACCT_SESSION_TIME, at)
    )
    return sign_request(4, 1, body, SECRET, message_authenticator=False)


def spool_one(writer: SpoolWriter, session: str, status: int = Status.START, at: int = 0) -> None:
    writer.append((RECEIVED_S + at) * 10**9, 1, "192.0.2.1", accounting_packet(session, status, at))
    writer.flush()


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Callable[..., Any]:
    """A shipper on `tmp_path`, stopped at the end of the block."""

    @contextmanager
    def run(share: Share = ALL, clock: Clock = utc_now) -> Iterator[None]:
        ready = threading.Event()
        shipper = Shipper(
            node="node", directory=tmp_path, share=share, reports_socket=tmp_path / "attempts.sock",
            database_url=libpq_url(database_url), on_ready=ready.set, zone=ZoneInfo("America/Sao_Paulo"), clock=clock,
        )  # fmt: skip
        thread = threading.Thread(target=shipper.run)
        thread.start()
        assert ready.wait(10)
        try:
            yield
        finally:
            shipper.stop()
            thread.join(10)
            assert not thread.is_alive()

    return run


def wait_for(connection: psycopg.Connection[Any], query: str, wanted: Any) -> None:
    """Until the query's first row is `wanted`; fails after some ten seconds."""
    found = None
    for _ in range(500):
        found = connection.execute(query).fetchone()  # type: ignore[arg-type]
        if found == wanted:
            return
        connection.execute("SELECT pg_sleep(0.02)")
    raise AssertionError(f"{query}: {found} instead of {wanted}")


def sessions(connection: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in connection.execute("SELECT acct_session_id FROM session ORDER BY 1")]


def test_every_spool_is_shipped_and_full_segments_are_deleted(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    for name in ("acct-0", "acct-1"):
        writer = SpoolWriter(tmp_path / name, segment_octets_max=300)
        for number in range(10):
            spool_one(writer, f"{name}/{number}")
    assert len(list_segments(tmp_path / "acct-0")) > 1
    with running():
        wait_for(connection, "SELECT count(*) FROM accounting_record", (20,))
        wait_for(connection, "SELECT count(DISTINCT acct_session_id) FROM session", (20,))
        for name in ("acct-0", "acct-1"):
            last = list_segments(tmp_path / name)[-1]
            wait_for(connection, f"SELECT segment FROM spool_position WHERE spool = '{name}'", (last,))
    assert len(list_segments(tmp_path / "acct-0")) == 1


def test_two_shippers_share_the_spools_between_them(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    for name in ("acct-0", "acct-1", "acct-2"):
        spool_one(SpoolWriter(tmp_path / name), name)
    with running(Share(1, 2)):
        wait_for(connection, "SELECT count(*) FROM session", (1,))
        assert sessions(connection) == ["acct-1"]
    with running(Share(0, 2)):
        wait_for(connection, "SELECT count(*) FROM session", (3,))


def test_a_shipper_that_begins_anew_goes_on_where_the_database_stands(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    writer = SpoolWriter(tmp_path / "acct-0")
    spool_one(writer, "one")
    with running():
        wait_for(connection, "SELECT count(*) FROM session", (1,))
    connection.execute("TRUNCATE accounting_record, session")  # so that a record shipped twice would be seen
    spool_one(writer, "two")
    with running():
        wait_for(connection, "SELECT count(*) FROM session", (1,))
    assert sessions(connection) == ["two"]


def test_what_was_stored_but_not_noted_is_stored_once(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    writer = SpoolWriter(tmp_path / "acct-0")
    spool_one(writer, "one")
    spool_one(writer, "one", Status.INTERIM, 60)
    with running():
        wait_for(connection, "SELECT count(*) FROM accounting_record", (2,))
    connection.execute("DELETE FROM spool_position")  # as if another node had shipped the same
    spool_one(writer, "one", Status.INTERIM, 120)
    with running():
        wait_for(connection, "SELECT count(*) FROM accounting_record", (3,))
        wait_for(connection, "SELECT interims FROM session", (2,))


def test_a_lost_connection_costs_nothing(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    writer = SpoolWriter(tmp_path / "acct-0")
    spool_one(writer, "one")
    with running():
        wait_for(connection, "SELECT count(*) FROM session", (1,))
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'provedor-shipper' AND datname = current_database()"
        )
        spool_one(writer, "two")
        wait_for(connection, "SELECT count(*) FROM session", (2,))


def test_the_database_knows_until_when_each_spool_is_shipped(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    for name in ("acct-0", "acct-1"):
        spool_one(SpoolWriter(tmp_path / name), name)
    insert = "INSERT INTO spool_position VALUES (%s, 'acct-9', 1, 0, now())"
    for node in ("node", "another"):
        connection.execute(insert, (node,))
    of_node = (
        "SELECT array_agg(extract(epoch FROM shipped_until)::int ORDER BY spool) FROM spool_position WHERE node = "
    )
    with running(clock=ManualClock(datetime.fromtimestamp(RECEIVED_S + 500, UTC))):
        wait_for(connection, of_node + "'node'", ([RECEIVED_S + 500, RECEIVED_S + 500, None],))
        spool_one(SpoolWriter(tmp_path / "acct-0"), "late", at=600)
        wait_for(connection, of_node + "'node'", ([RECEIVED_S + 600, RECEIVED_S + 500, None],))
    kept = connection.execute("SELECT shipped_until FROM spool_position WHERE node = 'another'").fetchone()
    assert kept != (None,), "only its own node knows that a spool is lost"


def test_damage_in_a_spool_costs_the_damaged_record_only(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    directory = tmp_path / "acct-0"
    writer = SpoolWriter(directory)
    for name in ("one", "two", "three"):
        spool_one(writer, name)
    number = list_segments(directory)[0]
    path = segment_path(directory, number)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    SpoolWriter(directory)
    (segment_path(directory, number + 1)).touch()  # its writer has gone on to the next segment
    with running():
        wait_for(connection, "SELECT count(*) FROM session", (2,))
    assert sessions(connection) == ["one", "three"]
    assert path.with_suffix(".damaged").exists()


def test_a_record_that_the_database_refuses_is_put_aside_alone(
    tmp_path: Path, connection: psycopg.Connection[Any], running: Callable[..., Any]
) -> None:
    connection.execute("ALTER TABLE session ADD CONSTRAINT refused CHECK (acct_session_id <> 'bad')")
    writer = SpoolWriter(tmp_path / "acct-0")
    for name in ("one", "bad", "two", "three"):
        spool_one(writer, name)
    with running():
        wait_for(connection, "SELECT count(*) FROM session", (3,))
    assert sessions(connection) == ["one", "three", "two"]
    (line,) = (tmp_path / "refused.hex").read_text().splitlines()
    assert b"bad".hex() in line


@pytest.mark.parametrize(
    ("per_s", "age_s", "rests"), [(BURST_PER_S * 2, 0, True), (BURST_PER_S * 2, FRESH_S, False), (10_000, 0, False)]
)
def test_in_a_burst_the_shipper_rests_while_records_are_fresh(
    tmp_path: Path, running: Callable[..., Any], connection: psycopg.Connection[Any], per_s: int, age_s: float,
    rests: bool,
) -> None:  # fmt: skip
    writer = SpoolWriter(tmp_path / "acct-0")
    packet = accounting_packet("burst")
    for number in range(BURST_RECORDS):  # each from a NAS of its own
        writer.append(RECEIVED_S * 10**9 + number * 10**9 // per_s, number, "192.0.2.1", packet)
    writer.flush()
    rested_s = RESTED._value.get()
    last = RECEIVED_S + BURST_RECORDS / per_s
    with running(clock=ManualClock(datetime.fromtimestamp(last + age_s, UTC))):
        wait_for(connection, "SELECT count(*) FROM accounting_record", (BURST_RECORDS,))
    assert (RESTED._value.get() > rested_s) is rests
