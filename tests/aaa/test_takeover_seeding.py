"""Sessions of the old server, as ours: they stay one session each, and end as any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from factories import make_service

from aaa.accept_class import class_attribute
from aaa.accounting import AccountingRecord, Status, read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, attribute, integer_attribute, text_attribute
from aaa.session_store import ensure_partitions, store_batch
from aaa.takeover.seeding import OpenSession, seed_sessions
from core.database import Database, libpq_url
from core.keyring import Keyring

BASE = 1_795_000_000
ADDRESS = "192.0.2.1"
T0 = datetime.fromtimestamp(BASE, UTC)
Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        ensure_partitions(connection, [T0.date()])
        connection.execute(
            "INSERT INTO nas (name, address, secret_encrypted, vendor) VALUES ('bras', '192.0.2.1', '', 'mikrotik')"
        )
        yield connection


@pytest.fixture
def service_id(database: Database, keyring: Keyring) -> int:
    with database.transaction() as session:
        return make_service(session, keyring, login="ana").id


def seeded(session: str = "s1", service_id: int | None = None, **more: Any) -> OpenSession:
    values = {"nas_id": 1, "address": ADDRESS, "acct_session_id": session, "service_id": service_id, "login": "ana",
              "started_at": T0 - timedelta(hours=1), "updated_at": T0, "session_seconds": 3600, "input_octets": 10,
              "output_octets": 20, "interims": 12, "nas_port_id": None, "calling_station_id": "02:00:00:00:00:01",
              "called_station_id": None, "framed_ipv4": "100.64.0.9", "framed_ipv6_prefix": None,
              "delegated_ipv6_prefix": None}  # fmt: skip
    return OpenSession(**values | more)


def heard(status: int, at: int, session: str = "s1", *, box: str = "bras-1", ours: int = 0) -> AccountingRecord:
    body = (
        text_attribute(Kind.USER_NAME, "ana")
        + text_attribute(Kind.NAS_IDENTIFIER, box)
        + text_attribute(Kind.CALLING_STATION_ID, "02:00:00:00:00:01")
        + attribute(Kind.NAS_IP_ADDRESS, b"\xc0\0\2\1")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + text_attribute(Kind.ACCT_SESSION_ID, session)
        + integer_attribute(Kind.EVENT_TIMESTAMP, BASE + at)
        + integer_attribute(Kind.ACCT_SESSION_TIME, max(0, 3600 + at))
        + integer_attribute(Kind.ACCT_INPUT_OCTETS, 1000)
    )
    if ours:
        body += class_attribute(ours, b"12345678", bytes(8))
    packet = sign_request(4, 1, body, SharedSecret(b"x"), message_authenticator=False)
    return read_record((BASE + at) * 10**9, 1, ADDRESS, packet)


def store(connection: Connection, *records: AccountingRecord) -> None:
    store_batch(connection, records, ("node", "acct-0", 1, int(records[-1].received_at)))


def rows(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT box, acct_session_id, service_id, stop_kind, input_octets FROM session ORDER BY id"
    ).fetchall()


def test_the_first_interim_joins_the_seeded_row_under_the_boxs_own_name(
    connection: Connection, service_id: int
) -> None:
    assert seed_sessions(connection, [seeded(service_id=service_id)]) == 1
    store(connection, heard(Status.INTERIM, 60))
    assert rows(connection) == [("bras-1", "s1", service_id, None, 1000)]
    framed = connection.execute("SELECT framed_ipv4, class_fingerprint FROM session").fetchone()
    assert framed == ("100.64.0.9", None)


def test_seeding_again_adds_nothing_and_takes_nothing_back(connection: Connection) -> None:
    seed_sessions(connection, [seeded(), seeded("s2")])
    store(connection, heard(Status.INTERIM, 60), heard(Status.STOP, 61, "s2"))
    assert seed_sessions(connection, [seeded(), seeded("s2"), seeded("s3")]) == 1
    assert [row[1:4] for row in rows(connection)] == [("s1", None, None), ("s2", None, "stop"), ("s3", None, None)]


def test_what_was_heard_before_it_is_seeded_is_one_session(connection: Connection) -> None:
    store(connection, heard(Status.INTERIM, 60))
    assert seed_sessions(connection, [seeded()]) == 0
    assert len(rows(connection)) == 1


def test_an_old_session_of_the_same_id_does_not_hide_a_new_one(connection: Connection) -> None:
    store(connection, heard(Status.STOP, -5000))
    assert seed_sessions(connection, [seeded()]) == 1


def test_a_restart_of_the_box_ends_what_was_seeded(connection: Connection) -> None:
    seed_sessions(connection, [seeded(), seeded("s2")])
    store(connection, heard(Status.ON, 60, "0"))
    assert {row[3] for row in rows(connection)} == {"nas_reboot"}


def test_who_dials_anew_without_a_stop_supersedes_what_was_seeded(connection: Connection, service_id: int) -> None:
    seed_sessions(connection, [seeded(service_id=service_id)])
    store(connection, heard(Status.START, 60, "s9", ours=service_id))
    assert [(row[1], row[3]) for row in rows(connection)] == [("s1", "superseded"), ("s9", None)]


def test_a_session_without_our_class_belongs_to_the_service_its_login_names(
    connection: Connection, service_id: int
) -> None:
    connection.execute('UPDATE nas SET login_rules = \'{"lowercase": true, "strip_realm": true}\'')
    spelled = heard(Status.START, 1)._replace(login="ANA@isp")
    store(connection, spelled, heard(Status.START, 2, "s2")._replace(login="bia"))
    assert [row[2] for row in rows(connection)] == [service_id, None]
    assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
