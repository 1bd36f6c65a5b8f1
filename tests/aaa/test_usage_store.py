"""What sessions move belongs to their services' days, in the provider's calendar and in the subscriber's direction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from accounting_packets import NAS_ID, Connection, heard, make_partitions, moment
from factories import make_plan, make_service
from sqlalchemy import text

from aaa.accounting import AccountingRecord, Status
from aaa.packet import Kind, integer_attribute, vendor_attribute
from aaa.session_store import store_batch
from core.database import Database, libpq_url
from core.keyring import Keyring

HOUR = 3600
#: 2026-11-18 17:06:40 UTC is what moment(0) is; so many seconds until midnight in São Paulo (3:00 UTC).
MIDNIGHT = int((moment(0).replace(hour=3, minute=0, second=0) - moment(0)).total_seconds()) + 24 * HOUR


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        make_partitions(connection)
        connection.execute("SELECT set_config('TimeZone', 'America/Sao_Paulo', false)")
        yield connection


def store(connection: Connection, *records: AccountingRecord) -> None:
    store_batch(connection, records, ("node", "spool", 1, 0))


def usage(connection: Connection) -> list[tuple[object, ...]]:
    """(day, down, up, seconds) of service 7."""
    rows = connection.execute(
        "SELECT day, down_octets, up_octets, seconds FROM service_usage WHERE service_id = 7 ORDER BY day"
    )
    return [tuple(row) for row in rows]


def report(at: int, up: int, down: int = 0, status: int = Status.INTERIM, **more: object) -> AccountingRecord:
    extra = integer_attribute(Kind.ACCT_OUTPUT_OCTETS, down)
    values = {"seconds": at, "octets": up, "service_id": 7, "more": extra, **more}
    return heard("bras", status, at, "s", **values)  # type: ignore[arg-type]


def test_each_report_adds_to_the_day_on_which_it_comes(connection: Connection) -> None:
    before, after = MIDNIGHT - 60, MIDNIGHT + 60
    store(connection, report(before, 1000, 5000))
    store(connection, report(after, 1600, 9000))
    first: date = moment(before - 3 * HOUR).date()
    assert usage(connection) == [(first, 5000, 1000, before), (moment(after - 3 * HOUR).date(), 4000, 600, 120)]


def test_a_repeated_and_a_late_report_add_nothing(connection: Connection) -> None:
    store(connection, report(120, 1000), report(60, 500))
    store(connection, report(120, 1000), report(90, 700))
    assert [row[1:] for row in usage(connection)] == [(0, 1000, 120)]


def test_a_counter_that_went_round_is_counted_on(connection: Connection) -> None:
    store(connection, report(60, 4_000_000_000, gigawords=False))
    store(connection, report(120, 1_000_000_000, gigawords=False))
    assert [row[2] for row in usage(connection)] == [4_294_967_296 + 1_000_000_000]


def test_a_nas_that_counts_as_the_client_sees_it_is_turned_round(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO nas (id, name, address, secret_encrypted, vendor, octets_direction) OVERRIDING SYSTEM VALUE "
        "VALUES (%s, 'n', '192.0.2.1', '', 'mikrotik', 'client')",
        (NAS_ID,),
    )
    store(connection, report(60, 1000, 5000))
    assert [row[1:3] for row in usage(connection)] == [(1000, 5000)]


def test_a_service_on_a_line_is_not_counted_beside_it(connection: Connection) -> None:
    store(connection, report(60, 1000))
    of_service = vendor_attribute(4874, 83, b"internet")  # ERX-Service-Session
    store(connection, heard("bras", Status.INTERIM, 60, "s:1", seconds=60, octets=900, service_id=7, more=of_service))
    assert [row[1:] for row in usage(connection)] == [(0, 1000, 60)]


def test_the_end_of_a_prepaid_services_session_is_owed_a_count(
    connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        prepaid = make_service(session, keyring, plan=make_plan(session, name="prepaid", prepaid="volume"))
        others = make_service(session, keyring, plan=make_plan(session, name="other"))
        ids = prepaid.id, others.id
        session.execute(text("DELETE FROM outbox"))
    for number, service_id in enumerate(ids):
        store(connection, heard("bras", Status.START, 0, f"s{number}", service_id=service_id))
        store(connection, heard("bras", Status.INTERIM, 30, f"s{number}", service_id=service_id))
    due = "SELECT payload FROM outbox WHERE topic = 'core.prepaid_due'"
    assert connection.execute(due).fetchall() == []
    for number, service_id in enumerate(ids):
        store(connection, heard("bras", Status.STOP, 60, f"s{number}", service_id=service_id))
    assert connection.execute(due).fetchall() == [({"service_id": ids[0]},)]
