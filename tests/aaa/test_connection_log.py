"""The connection log as accounting writes it: any order, loss and repetition, and who is found to have held what."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import psycopg
import pytest
from factories import make_service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaa.accept_class import class_attribute
from aaa.accounting import AccountingRecord, Status, read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.connection_log import store
from aaa.connection_log.find import PREPARE, USES, Answer, How, Note, Question, find_holders
from aaa.packet import Kind, attribute, integer_attribute, text_attribute, vendor_attribute
from aaa.pools import pools
from aaa.pools.taking import take
from aaa.session_store import ensure_partitions, store_batch
from aaa.staleness import STALE_UNVERIFIED_S, close_stale
from aaa.vendors.base import prefix_value
from core.audit import Actor
from core.database import Database, libpq_url
from core.keyring import Keyring

BASE = 1_795_000_000
SECRET = SharedSecret(b"x")
Connection = psycopg.Connection[Any]


def told(
    status: int, at: int, session: str = "1", *, ipv4: str = "", delegated: str = "",
    ports: tuple[str, int, int] = ("", 0, 0), nokia: str = "", login: str = "ana", seconds: int | None = None,
    ours: bytes = b"",
) -> AccountingRecord:  # fmt: skip
    """A record of the box "bras", `at` seconds after BASE, of a session that began at BASE."""
    body = (
        text_attribute(Kind.NAS_IDENTIFIER, "bras")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + integer_attribute(Kind.EVENT_TIMESTAMP, BASE + at)
        + integer_attribute(Kind.ACCT_SESSION_TIME, at if seconds is None else seconds)
    )
    if status < Status.ON:
        body += text_attribute(Kind.USER_NAME, login) + text_attribute(Kind.ACCT_SESSION_ID, session) + ours
    if ipv4:
        body += attribute(Kind.FRAMED_IP_ADDRESS, ip_address(ipv4).packed)
    if delegated:
        body += attribute(Kind.DELEGATED_IPV6_PREFIX, prefix_value(delegated))
    if ports[0]:
        body += vendor_attribute(2011, 161, ip_address(ports[0]).packed)
        body += vendor_attribute(2011, 162, ports[1].to_bytes(4, "big"))
        body += vendor_attribute(2011, 163, ports[2].to_bytes(4, "big"))
    if nokia:
        body += vendor_attribute(6527, 121, nokia.encode())
    packet = sign_request(4, 1, body, SECRET, message_authenticator=False)
    return read_record((BASE + at + 1) * 10**9, 1, "192.0.2.1", packet)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        today = datetime.fromtimestamp(BASE, UTC).date()
        ensure_partitions(connection, [today + timedelta(days=days) for days in (-1, 0, 1, 2)])
        yield connection


def keep(connection: Connection, *records: AccountingRecord) -> None:
    store_batch(connection, records, ("node", "spool", 1, 0))


def uses(connection: Connection) -> set[tuple[Any, ...]]:
    """(session, kind, address, from, until, how it ended), in seconds after BASE."""
    rows = connection.execute(
        "SELECT acct_session_id, kind, host(address), extract(epoch FROM started_at)::int8 - %(base)s, "
        "extract(epoch FROM ended_at)::int8 - %(base)s, end_kind FROM address_use",
        {"base": BASE},
    )
    return set(rows)


def ask(database: Database, address: str, at: int, port: int | None = None, until: int | None = None) -> Answer:
    first = datetime.fromtimestamp(BASE + at, UTC)
    last = datetime.fromtimestamp(BASE + (at if until is None else until), UTC)
    with database.transaction() as session:
        return find_holders(session, Question(ip_address(address), port, first, last))


@st.composite
def lives(draw: st.DrawFn) -> list[AccountingRecord]:
    """Two sessions whose addresses change now and then; each event at a moment of its own."""
    records = []
    for session in ("1", "2"):
        moments = draw(st.lists(st.integers(1, 500), min_size=0, max_size=6, unique=True))
        stop = max(moments, default=0) + 1 if draw(st.booleans()) else None
        for at in [0, *sorted(moments), *([stop] if stop else [])]:
            status = Status.START if at == 0 else Status.STOP if at == stop else Status.INTERIM
            address = f"10.0.{session}.{draw(st.integers(1, 3))}"
            records.append(told(status, at, session, ipv4=address))
    kept = draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return [one for one, keep in zip(records, kept, strict=True) if keep]


def expected(records: list[AccountingRecord]) -> set[tuple[Any, ...]]:
    """The same from the records alone."""
    found = set()
    for session in {one.acct_session_id for one in records}:
        own = sorted((one for one in records if one.acct_session_id == session), key=lambda one: one.event_at)
        stop = next((int(one.event_at) - BASE for one in own if one.status == Status.STOP), None)
        moments: dict[str, list[int]] = {}
        for one in own:
            moments.setdefault(str(one.framed_ipv4), []).append(int(one.event_at) - BASE)
        for address, at in moments.items():
            begins = 0 if at[0] == int(own[0].event_at) - BASE else at[0]
            later = [other[0] for other in moments.values() if other[0] > at[-1]]
            left = address != own[-1].framed_ipv4
            ends, kind = (min(later, default=at[-1]), "changed") if left else (stop, "stop" if stop else None)
            found.add((session, "ipv4", address, begins, ends, kind))
    return found


@given(lives(), st.randoms(use_true_random=False), st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_loss_repetition_and_batches_end_in_what_the_records_say(
    connection: Connection, records: list[AccountingRecord], chance: random.Random, data: st.DataObject
) -> None:
    connection.execute("TRUNCATE session, accounting_record, spool_position, box_restart, outbox, address_use")
    arriving = records + [one for one in records if chance.random() < 0.4]
    chance.shuffle(arriving)
    while arriving:
        size = data.draw(st.integers(1, 8))
        keep(connection, *arriving[:size])
        arriving = arriving[size:]
    assert uses(connection) == expected(records)


def test_an_address_that_comes_back_is_right_in_every_order_and_batch(connection: Connection) -> None:
    records = [
        told(Status.START, 0, ipv4="10.0.1.3"), told(Status.INTERIM, 4, ipv4="10.0.1.2"),
        told(Status.INTERIM, 380, ipv4="10.0.1.3"),
    ]  # fmt: skip
    for order in itertools.permutations(records):
        for cuts in ((3,), (1, 2), (2, 1), (1, 1, 1)):
            connection.execute("TRUNCATE session, accounting_record, spool_position, box_restart, outbox, address_use")
            waiting = list(order)
            for size in cuts:
                keep(connection, *waiting[:size])
                waiting = waiting[size:]
            assert uses(connection) == {
                ("1", "ipv4", "10.0.1.3", 0, None, None), ("1", "ipv4", "10.0.1.2", 4, 4, "changed"),
            }  # fmt: skip


def test_a_delegated_prefix_told_in_an_interim_counts_from_the_sessions_start(
    connection: Connection, database: Database
) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"))
    keep(connection, told(Status.INTERIM, 300, ipv4="100.64.0.5", delegated="2001:db8:5::/56"))
    keep(connection, told(Status.STOP, 600, ipv4="100.64.0.5", delegated="2001:db8:5::/56"))
    assert ("1", "delegated", "2001:db8:5::", 0, 600, "stop") in uses(connection)
    found = ask(database, "2001:db8:5:0:1::77", 200).candidates
    assert [(one.login, one.how, one.address) for one in found] == [("ana", How.SESSION, "2001:db8:5::/56")]
    assert ask(database, "2001:db8:5:100::1", 200).candidates == []


@pytest.fixture
def routed(database: Database, keyring: Keyring) -> bytes:
    """The Class of a service with a routed network, a delegated prefix, and a lease of a prefix out of a pool."""
    with database.transaction() as session:
        service = make_service(
            session, keyring, login="ana", ipv4_routes=["198.51.100.0/29"], delegated_ipv6_prefix="2001:db8:5::/56"
        )
        pools.create_pool(session, {"name": "six", "kind": "ipv6", "ranges": ["2001:db8:6::/48"]}, Actor("test"))
        take(session, "six", [service.id], datetime.now(UTC))
        return class_attribute(service.id, bytes(8), bytes.fromhex(service.policy_fingerprint))


def test_what_we_gave_is_found_where_the_nas_never_tells_it(
    connection: Connection, database: Database, routed: bytes
) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5", ours=routed))
    keep(connection, told(Status.INTERIM, 300, ipv4="100.64.0.5", delegated="2001:db8:5::/56", ours=routed))
    keep(connection, told(Status.STOP, 600, ipv4="100.64.0.6", ours=routed))
    for address, network in (("198.51.100.3", "198.51.100.0/29"), ("2001:db8:6::9", "2001:db8:6::/64")):
        (one,) = ask(database, address, 200).candidates
        assert (one.login, one.address, one.end_kind, Note.NOT_TOLD in one.notes) == ("ana", network, "stop", True)
    (one,) = ask(database, "2001:db8:5:0:1::77", 200).candidates  # the NAS told it as well
    assert Note.NOT_TOLD not in one.notes
    assert ask(database, "198.51.100.8", 200).candidates == []
    assert ask(database, "198.51.100.3", 1500).candidates == []


@pytest.mark.parametrize("before", ["stop", "nas_reboot", "stale", "superseded"])
def test_the_answer_says_how_the_end_is_known(connection: Connection, database: Database, before: str) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"))
    if before == "stop":
        keep(connection, told(Status.STOP, 60, ipv4="100.64.0.5"))
    elif before == "nas_reboot":
        keep(connection, told(Status.ON, 60))
    elif before == "stale":
        now = datetime.fromtimestamp(BASE + STALE_UNVERIFIED_S + 10, UTC)
        with database.transaction() as session:
            close_stale(session, now=now)
    else:
        connection.execute("UPDATE session SET stopped_at = started_at + interval '9 s', stop_kind = 'superseded'")
    candidate = ask(database, "100.64.0.5", 5).candidates[0]
    assert candidate.end_kind == before
    assert (Note.STALE_END in candidate.notes) == (before != "stop")
    assert candidate.ended_at is not None


def test_an_open_session_is_found_and_said_to_be_open(connection: Connection, database: Database) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"), told(Status.INTERIM, 300, ipv4="100.64.0.5"))
    candidate = ask(database, "100.64.0.5", 4000).candidates[0]
    assert (candidate.ended_at, candidate.heard_at) == (None, datetime.fromtimestamp(BASE + 300, UTC))
    assert Note.STILL_OPEN in candidate.notes


def test_a_session_that_was_closed_and_speaks_again_is_open_again(connection: Connection) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"))
    connection.execute("UPDATE session SET stopped_at = started_at + interval '9 s', stop_kind = 'stale'")
    keep(connection, told(Status.INTERIM, 300, ipv4="100.64.0.5"))
    assert uses(connection) == {("1", "ipv4", "100.64.0.5", 0, None, None)}


def test_a_holding_outside_the_moment_by_less_than_the_clocks_may_differ_is_a_candidate_by_its_edge(
    connection: Connection, database: Database
) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"), told(Status.STOP, 1000, ipv4="100.64.0.5"))
    keep(connection, told(Status.START, 1100, "2", ipv4="100.64.0.5", login="bia", seconds=0))
    answer = ask(database, "100.64.0.5", 1150)
    assert [(one.login, Note.EDGE in one.notes) for one in answer.candidates] == [("ana", True), ("bia", False)]
    assert Note.SEVERAL in answer.notes
    assert [one.login for one in ask(database, "100.64.0.5", 1500).candidates] == ["bia"]


@pytest.mark.parametrize("vendor", ["huawei", "nokia"])
def test_ports_that_accounting_told_answer_for_a_shared_address(
    connection: Connection, database: Database, vendor: str
) -> None:
    def ports(first: int, last: int) -> dict[str, Any]:
        if vendor == "huawei":
            return {"ports": ("203.0.113.7", first, last)}
        return {"nokia": f"203.0.113.7 {first}..{last} router base"}

    keep(connection, told(Status.START, 0, ipv4="100.64.0.5", **ports(1024, 2047)))
    keep(connection, told(Status.INTERIM, 100, ipv4="100.64.0.5", **ports(1024, 2047)))
    keep(connection, told(Status.START, 0, "2", ipv4="100.64.0.6", login="bia", **ports(2048, 3071)))
    keep(connection, told(Status.STOP, 500, ipv4="100.64.0.5", **ports(1024, 2047)))
    answer = ask(database, "203.0.113.7", 250, port=1500)
    (found,) = answer.candidates
    assert (found.login, found.how, found.inside, found.port_first, found.port_last, found.end_kind) == (
        "ana", How.PORT_BLOCK, "100.64.0.5", 1024, 2047, "stop",
    )  # fmt: skip
    assert ask(database, "203.0.113.7", 2000, port=1500).candidates == []
    without_port = ask(database, "203.0.113.7", 250)
    assert {one.login for one in without_port.candidates} == {"ana", "bia"}
    assert {Note.PORT_MISSING, Note.SEVERAL} <= without_port.notes


def test_a_quiet_month_is_dropped_whole_and_what_still_counts_of_it_stays(
    connection: Connection, database: Database
) -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    with database.transaction() as session:
        store.keep_partitions(session, now=datetime(2025, 10, 1, tzinfo=UTC), months=13)
    for number, ended in (("1", "'2025-10-09'"), ("2", "NULL"), ("3", "'2026-11-01'")):
        connection.execute(
            "INSERT INTO address_use (started_at, session_id, kind, address, ended_at, told_first_at, told_last_at, "
            f"login, nas_id, box, acct_session_id) VALUES ('2025-10-05', {number}, 'ipv4', '10.0.0.{number}', {ended}, "
            "'2025-10-05', '2025-10-05', 'x', 1, 'b', 's')"
        )
    with database.transaction() as session:
        assert store.keep_partitions(session, now=now, months=13) == ["address_use_202509", "port_block_202509"]
        assert len(session.connection().exec_driver_sql("SELECT 1 FROM address_use").all()) == 3
        dropped = store.keep_partitions(session, now=now + timedelta(days=10), months=13)
    assert dropped == ["address_use_202510", "port_block_202510"]
    rows = connection.execute("SELECT host(address), tableoid::regclass::text FROM address_use ORDER BY 1").fetchall()
    assert rows == [("10.0.0.2", "address_use_other"), ("10.0.0.3", "address_use_other")]


def test_rows_of_a_month_without_a_partition_move_into_it_when_it_is_made(
    connection: Connection, database: Database
) -> None:
    keep(connection, told(Status.START, 0, ipv4="100.64.0.5"))
    now = datetime.fromtimestamp(BASE, UTC)
    with database.transaction() as session:
        store.keep_partitions(session, now=now, months=13)
        store.keep_partitions(session, now=now, months=13)
    rows = connection.execute("SELECT tableoid::regclass::text FROM address_use").fetchall()
    assert rows == [(f"address_use_{now:%Y%m}",)]
    keep(connection, told(Status.STOP, 60, ipv4="100.64.0.5"))
    assert uses(connection) == {("1", "ipv4", "100.64.0.5", 0, 60, "stop")}


def test_a_lookup_prunes_months_and_reads_an_index(connection: Connection, database: Database) -> None:
    with database.transaction() as session:
        for month in (2, 5, 8, 11):
            store.keep_partitions(session, now=datetime(2026, month, 1, tzinfo=UTC), months=99)
    connection.execute(
        "INSERT INTO address_use (started_at, session_id, kind, address, ended_at, told_first_at, told_last_at, login, "
        "nas_id, box, acct_session_id) SELECT t, n, 'ipv4', '10.0.0.0'::inet + n % 5000, t + interval '1 h', t, t, "
        "'x', 1, 'b', 's' FROM generate_series(1, 100000) n, "
        "LATERAL (SELECT timestamptz '2026-01-01' + n * interval '5 min') AS made (t)"
    )
    connection.execute("VACUUM ANALYZE address_use")
    query = USES.replace(":addresses", "ARRAY['10.0.0.9/32']").replace(":most", "1001")
    query = query.replace(":earliest", "'2026-03-04'").replace(":latest", "'2026-03-05'")
    with connection.transaction():
        connection.execute(PREPARE.replace("force_generic_plan", "auto"))
        hits = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}")).partition("CTE hits")[2]
    plan = hits.partition("Nested Loop")[0]
    assert "Seq Scan on address_use_2026" not in plan
    assert "Index Only Scan using address_use_202603" in plan
    assert "202604" not in plan
    assert "COALESCE(ended_at" in plan.partition("Index Cond")[2].partition("Filter")[0]
