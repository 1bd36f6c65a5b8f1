"""Port blocks out of syslog and files, from the socket to the answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import psycopg
import pytest
from factories import make_nas
from hypothesis import given
from hypothesis import strategies as st

from aaa.connection_log.block_files import read_blocks
from aaa.connection_log.find import Candidate, Note, Question, find_holders
from aaa.connection_log.listener import REFUSED, SyslogListener, split_frames
from aaa.connection_log.store import import_blocks, record_nat_event
from aaa.connection_log.syslog import NatEvent
from core.clock import utc_now
from core.database import Database, libpq_url
from core.errors import InvalidInput
from core.keyring import Keyring

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        yield connection


def hold(connection: Connection, address: str, login: str, first: datetime, last: datetime | None = None) -> None:
    connection.execute(
        "INSERT INTO session (nas_id, box, acct_session_id, login, started_at, updated_at, stopped_at, stop_kind, "
        "nas_address, framed_ipv4) VALUES (1, 'b', %s, %s, %s, %s, %s, %s, '192.0.2.1', %s)",
        (f"{login}{first}", login, first, last or first, last, "stop" if last else None, address),
    )


def event(minute: int, inside: str = "100.64.0.9", *, allocated: bool = True, first: int = 1024) -> NatEvent:
    return NatEvent(allocated, inside, "203.0.113.7", first, first + 127, NOW + timedelta(minutes=minute))


def who(database: Database, minute: int, port: int | None = 1100) -> list[Candidate]:
    moment = NOW + timedelta(minutes=minute)
    with database.transaction() as session:
        return find_holders(session, Question(ip_address("203.0.113.7"), port, moment, moment)).candidates


def test_a_block_answers_by_whoever_had_the_inside_address_meanwhile(
    connection: Connection, database: Database
) -> None:
    hold(connection, "100.64.0.9", "ana", NOW, NOW + timedelta(minutes=60))
    hold(connection, "100.64.0.9", "bia", NOW + timedelta(minutes=60))
    for one in (event(10), event(20), event(120, allocated=False), event(120, allocated=False)):
        record_nat_event(connection, one, "192.0.2.9")
    found = who(database, 30)
    assert [(one.login, one.started_at, one.ended_at) for one in found] == [
        ("ana", NOW + timedelta(minutes=10), NOW + timedelta(minutes=60))
    ]
    assert [one.login for one in who(database, 90)] == ["bia"]
    assert who(database, 5, port=1100) == [] or Note.EDGE in who(database, 5)[0].notes
    assert who(database, 30, port=1152) == []
    assert who(database, 130) == []


def test_a_block_given_again_ends_where_its_release_was_lost(connection: Connection, database: Database) -> None:
    hold(connection, "100.64.0.9", "ana", NOW)
    hold(connection, "100.64.0.8", "bia", NOW)
    record_nat_event(connection, event(0), "192.0.2.9")
    record_nat_event(connection, event(60, "100.64.0.8"), "192.0.2.9")
    (found,) = who(database, 30)
    assert (found.login, found.ended_at, found.end_kind) == ("ana", NOW + timedelta(minutes=60), "superseded")
    assert Note.STALE_END in found.notes
    assert [one.login for one in who(database, 90)] == ["bia"]


def test_a_release_without_its_allocation_says_that_the_start_is_unknown(
    connection: Connection, database: Database
) -> None:
    hold(connection, "100.64.0.9", "ana", NOW - timedelta(days=2))
    record_nat_event(connection, event(60, allocated=False), "192.0.2.9")
    (found,) = who(database, 30)
    assert (found.login, Note.START_UNKNOWN in found.notes) == ("ana", True)


def test_an_inside_address_of_nobody_known_is_still_an_answer(connection: Connection, database: Database) -> None:
    record_nat_event(connection, event(0), "192.0.2.9")
    (found,) = who(database, 30)
    assert (found.inside, found.login, Note.INSIDE_UNKNOWN in found.notes) == ("100.64.0.9/32", None, True)


CSV = """address,port_first,port_last,started_at,ended_at,inside_address,login
203.0.113.7,1024,1151,2026-11-20 09:00:00,2026-11-20 10:00:00,,ana
203.0.113.7,1152,1279,2026-11-20T12:00:00Z,,100.64.0.8,
"""


def test_a_file_is_imported_once(connection: Connection, database: Database) -> None:
    rows = list(read_blocks(CSV.splitlines(), "America/Sao_Paulo"))
    assert [import_blocks(connection, rows, "import:f.csv") for _ in range(2)] == [2, 0]
    assert [(one.login, one.told_by) for one in who(database, 30)] == [("ana", "import:f.csv")]
    assert [one.inside for one in who(database, 30, port=1200)] == ["100.64.0.8/32"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (CSV.replace("1151", "99999"), "line 2, address"),
        (CSV.replace(",ana", ","), "line 2, inside_address"),
        (CSV.replace("10:00:00", "08:00:00"), "line 2, ended_at"),
        (CSV.replace("login", "destination"), "line 1"),
        (CSV.replace("started_at", "start"), "line 1"),
        (CSV.replace("100.64.0.8", "::1"), "line 3, inside_address"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        list(read_blocks(text.splitlines(), "America/Sao_Paulo"))
    assert caught.value.field == field


@pytest.fixture
def listening(database_url: str) -> Iterator[Callable[[str], SyslogListener]]:
    running: list[tuple[SyslogListener, threading.Thread]] = []

    def listen(sender: str) -> SyslogListener:
        listener = SyslogListener(
            host="127.0.0.1", port=0, senders=[ip_network(sender)], database_url=libpq_url(database_url)
        )
        thread = threading.Thread(target=listener.run)
        thread.start()
        running.append((listener, thread))
        return listener

    yield listen
    for listener, thread in running:
        listener.stop()
        thread.join(10)
        assert not thread.is_alive()


def stored(connection: Connection, wanted: int) -> list[tuple[Any, ...]]:
    """The blocks once so many are there; fails after some ten seconds."""
    rows: list[tuple[Any, ...]] = []
    for _ in range(500):
        rows = connection.execute("SELECT host(inside), port_first, reporter FROM port_block ORDER BY 2").fetchall()
        if len(rows) == wanted:
            return rows
        connection.execute("SELECT pg_sleep(0.02)")
    raise AssertionError(rows)


def line(number: int) -> bytes:
    """Of now, as RFC 5424 has it."""
    ports = f"{1024 + 128 * number}-{1151 + 128 * number}"
    told = f"NAT-BLOCK alloc inside=100.64.0.{number} outside=203.0.113.7 ports={ports}"
    return f"<14>1 {utc_now():%Y-%m-%dT%H:%M:%SZ} r n - - - {told}".encode()


def test_udp_and_both_framings_of_tcp_are_received(
    connection: Connection, listening: Callable[[str], SyslogListener]
) -> None:
    port = listening("127.0.0.0/8").port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(line(1), ("127.0.0.1", port))
        datagrams.sendto(b"<14>something else", ("127.0.0.1", port))
    with socket.create_connection(("127.0.0.1", port)) as lines:
        lines.sendall(line(2) + b"\n" + line(3) + b"\n")
    with socket.create_connection(("127.0.0.1", port)) as counted:
        message = str(len(line(4))).encode() + b" " + line(4)
        counted.sendall(message[:30])
        counted.sendall(message[30:])
    rows = stored(connection, 4)
    assert [row[0] for row in rows] == [f"100.64.0.{number}" for number in (1, 2, 3, 4)]
    assert {row[2] for row in rows} == {"127.0.0.1"}


def test_nas_entries_are_believed(
    connection: Connection, listening: Callable[[str], SyslogListener], database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_nas(session, keyring, address="127.0.0.0/8")
    port = listening("192.0.2.0/24").port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(line(1), ("127.0.0.1", port))
    assert stored(connection, 1)[0][0] == "100.64.0.1"


def test_a_stranger_is_not_believed(connection: Connection, listening: Callable[[str], SyslogListener]) -> None:
    strangers, port = REFUSED.labels("sender")._value, listening("192.0.2.0/24").port
    before = strangers.get()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(line(1), ("127.0.0.1", port))
    for _ in range(500):
        if strangers.get() > before:
            break
        connection.execute("SELECT pg_sleep(0.02)")
    assert strangers.get() == before + 1
    assert stored(connection, 0) == []


@given(
    st.lists(st.binary(min_size=1, max_size=40).filter(lambda one: b"\n" not in one and one.strip()), max_size=5),
    st.booleans(),
    st.data(),
)
def test_frames_come_out_of_a_stream_however_it_is_cut(frames: list[bytes], counted: bool, data: st.DataObject) -> None:
    plain = [one for one in frames if counted or not one[:1].isdigit()]
    stream = b"".join(f"{len(one)} ".encode() + one if counted else one + b"\n" for one in plain)
    buffer, found = bytearray(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        buffer += stream[:size]
        stream = stream[size:]
        found += split_frames(buffer)
    assert (found, bytes(buffer)) == (plain, b"")
