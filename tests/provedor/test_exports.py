"""A FreeRADIUS database kept true: rows of ours written, followed and removed, and nobody else's touched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from factories import make_nas, make_plan, make_service
from freeradius_tables import OldDatabase
from sqlalchemy import func, select, update

from aaa.pools import pools, taking
from aaa.pools.models import AddressLease, LeaseState
from core import changes, holds, network, services
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.database import Database, libpq_url
from core.keyring import Keyring
from core.models.network import Nas, Vendor
from core.models.network import Session as LiveSession
from core.models.service import Hold, Plan, Service
from core.models.system import ChangeKind
from provedor.export_dialects import GROUP
from provedor.exports import BLOCKED, FreeradiusExport, changes_lost
from provedor.imports.freeradius import FreeradiusImport, Options

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PERSON = Actor("person")


@pytest.fixture
def old(database_url: str) -> Iterator[OldDatabase]:
    database = OldDatabase(libpq_url(database_url))
    database.user("neighbour", ("Cleartext-Password", ":=", "theirs"))
    database.group("home", ("Mikrotik-Rate-Limit", ":=", "1M/1M"))
    yield database
    database.close()


@pytest.fixture
def export(database: Database, keyring: Keyring, old: OldDatabase) -> Iterator[FreeradiusExport]:
    with database.transaction() as session:
        make_nas(session, keyring, name="bras", address="192.0.2.1")
        plan = make_plan(session, name="Fibra")
        make_service(session, keyring, login="ana", plan=plan)
        make_service(session, keyring, login="bia", plan=plan)
        make_service(session, keyring, login="caio", plan=plan, ipv4_address="203.0.113.9",
                     ipv4_routes=["198.51.100.0/29", "198.51.100.8/29"])  # fmt: skip
    with psycopg.connect(old.url, autocommit=True) as connection:
        yield FreeradiusExport(database, keyring, connection)


def rows(old: OldDatabase, login: str) -> tuple[list[Any], list[Any], list[str]]:
    def read(query: str) -> list[Any]:
        return old.connection.execute(query, (login,)).fetchall()

    return (
        read("SELECT attribute, op, value FROM radcheck WHERE username = %s ORDER BY id"),
        read("SELECT attribute, op, value FROM radreply WHERE username = %s ORDER BY id"),
        [group for (group,) in read("SELECT groupname FROM radusergroup WHERE username = %s")],
    )


def group_replies(old: OldDatabase, group: str) -> set[tuple[str, str, str]]:
    query = "SELECT attribute, op, value FROM radgroupreply WHERE groupname = %s"
    return set(old.connection.execute(query, (group,)).fetchall())


def hold(database: Database, login: str, effect: HoldEffect) -> int:
    with database.transaction() as session:
        service = services.find_by_login(session, login)
        assert service is not None
        return holds.place_hold(
            session, service.id, reason=HoldReason.ADMIN, effect=effect, actor=PERSON, now=NOW
        ).id  # fmt: skip


def test_logins_share_a_group_by_policy_and_keep_what_is_their_own(export: FreeradiusExport, old: OldDatabase) -> None:
    old.user("bia", ("Crypt-Password", ":=", "what was there"))
    export.write_all()
    checks, replies, (group,) = rows(old, "ana")
    assert [check[0] for check in checks] == ["Cleartext-Password"]
    assert replies == []
    assert ("Mikrotik-Rate-Limit", ":=", "50000k/200000k") in group_replies(old, group)
    assert ("Framed-Pool", ":=", "residential") in group_replies(old, group)
    assert rows(old, "bia")[2] == [group]
    assert [check[0] for check in rows(old, "bia")[0]] == ["Cleartext-Password"]
    _, own, _ = rows(old, "caio")
    assert ("Framed-IP-Address", ":=", "203.0.113.9") in own
    assert [op for name, op, _ in own if name == "Framed-Route"] == [":=", "+="]
    assert old.connection.execute("SELECT nasname, shortname FROM nas").fetchall() == [("192.0.2.1", "bras")]


def test_a_second_run_finds_nothing_to_do_and_nobody_elses_rows_are_touched(
    export: FreeradiusExport, old: OldDatabase
) -> None:
    before = rows(old, "neighbour"), group_replies(old, "home")
    export.write_all()
    assert +export.write_all() == {}
    assert (rows(old, "neighbour"), group_replies(old, "home")) == before


def test_every_hold_goes_over_and_comes_back(export: FreeradiusExport, old: OldDatabase, database: Database) -> None:
    export.write_all()
    revision = export.newest_revision()
    full = rows(old, "ana")[2]
    held = {login: hold(database, login, effect) for login, effect in
            (("ana", HoldEffect.BLOCK), ("bia", HoldEffect.WALLED_GARDEN), ("caio", HoldEffect.THROTTLE))}  # fmt: skip
    revision, done = export.follow(revision)
    assert (revision, done["logins"]) == (export.newest_revision(), 3)
    checks, _, groups = rows(old, "ana")
    assert ("Auth-Type", ":=", "Reject") in checks
    assert groups == [BLOCKED]
    garden = group_replies(old, rows(old, "bia")[2][0])
    assert ("Mikrotik-Address-List", ":=", "walled-garden") in garden
    assert ("Mikrotik-Rate-Limit", ":=", "512k/1000k") in group_replies(old, rows(old, "caio")[2][0])
    with database.transaction() as session:
        for hold_id in held.values():
            holds.lift_hold(session, hold_id, actor=PERSON, now=NOW)
    export.follow(revision)
    assert rows(old, "ana")[2] == full
    assert [check[0] for check in rows(old, "ana")[0]] == ["Cleartext-Password"]


def test_a_cancelled_service_leaves_and_a_login_of_anothers_stays(
    export: FreeradiusExport, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    export.write_all()
    revision = export.newest_revision()
    with database.transaction() as session:
        for login in ("ana", "bia"):
            service = services.find_by_login(session, login)
            assert service is not None
            services.cancel_service(session, service, PERSON, NOW)
    old.connection.execute("DELETE FROM radusergroup WHERE username = 'bia'")  # somebody made it his own
    _, done = export.follow(revision)
    assert done["logins removed"] == 1
    assert rows(old, "ana") == ([], [], [])
    assert rows(old, "bia")[0] != []
    assert export.follow(export.newest_revision()) == (export.newest_revision(), {})


@pytest.mark.parametrize("followed", [True, False])
def test_a_renamed_login_leaves_nothing_behind(
    export: FreeradiusExport, old: OldDatabase, database: Database, keyring: Keyring, followed: bool
) -> None:
    export.write_all()
    revision = export.newest_revision()
    with database.transaction() as session:
        service = services.find_by_login(session, "ana")
        assert service is not None
        services.update_service(session, keyring, service, {"login": "ana2"}, PERSON)
    if not followed:
        export.logins.clear()  # as after a restart
    done = export.follow(revision)[1] if followed else export.write_all()
    assert (done["logins"], done["logins removed"]) == (1, 1)
    assert rows(old, "ana") == ([], [], [])
    assert rows(old, "ana2")[0] != []


def test_what_was_exported_is_not_imported_again(
    export: FreeradiusExport, old: OldDatabase, database: Database, database_url: str, keyring: Keyring
) -> None:
    """Else a hold that billing placed here would come back as a person's, and outlast the payment."""
    old.user("dora")
    hold(database, "ana", HoldEffect.BLOCK)
    export.write_all()
    outcome = FreeradiusImport(database, libpq_url(database_url), keyring, PERSON, NOW).run(
        old.url, Options(), dry_run=False
    )
    assert +outcome.counts["login"] == {"created": 2, "exported from here": 3}  # and the neighbour
    assert set(outcome.counts["plan"]) == {"created"}
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Hold)) == 1
        assert set(session.scalars(select(Plan.name))) == {"Fibra", "home"}


def test_a_lock_stays_there_while_it_is_one_here(
    export: FreeradiusExport, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    old.user("ana", ("Cleartext-Password", ":=", "x"), ("Calling-Station-Id", "==", "aa-bb-cc-00-00-01"))
    with database.transaction() as session:
        ana = services.find_by_login(session, "ana")
        assert ana is not None
        services.update_service(session, keyring, ana, {"mac_lock": ["AA:BB:CC:00:00:01"]}, PERSON)
    export.write_all()
    assert ("Calling-Station-Id", "==", "aa-bb-cc-00-00-01") in rows(old, "ana")[0]
    assert +export.write_all() == {}
    revision = export.newest_revision()
    with database.transaction() as session:
        services.update_service(session, keyring, session.get_one(Service, ana.id), {"mac_lock": []}, PERSON)
    export.follow(revision)
    assert [check[0] for check in rows(old, "ana")[0]] == ["Cleartext-Password"]


def test_unused_groups_of_ours_go(export: FreeradiusExport, old: OldDatabase) -> None:
    old.group(f"{GROUP}0123456789abcdef", ("Framed-Pool", ":=", "gone"))
    export.write_all()
    assert group_replies(old, f"{GROUP}0123456789abcdef") == set()


def groups_in_order(old: OldDatabase, login: str) -> list[str]:
    query = "SELECT groupname FROM radusergroup WHERE username = %s ORDER BY priority"
    return [group for (group,) in old.connection.execute(query, (login,))]


def asked_by(old: OldDatabase, group: str) -> list[Any]:
    query = "SELECT attribute, op, value FROM radgroupcheck WHERE groupname = %s"
    return old.connection.execute(query, (group,)).fetchall()


def test_another_vendors_attributes_are_a_persons_choice_for_who_is_no_nas_of_ours(
    export: FreeradiusExport, old: OldDatabase
) -> None:
    export.vendor = Vendor.GENERIC
    export.write_all()
    of_bras, of_others = groups_in_order(old, "ana")
    assert asked_by(old, of_bras) == [("Packet-Src-IP-Address", "==", "192.0.2.1")]
    assert asked_by(old, of_others) == []
    assert {name for name, _, _ in group_replies(old, of_others)} >= {"WISPr-Bandwidth-Max-Down"}
    assert {name for name, _, _ in group_replies(old, of_bras)} >= {"Mikrotik-Rate-Limit"}


def test_each_nas_is_answered_with_the_names_that_it_has(
    export: FreeradiusExport, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    """The longest prefix comes first, and a NAS that is as most are inside a network that is not."""
    casa = {"pools": {"residential": "casa"}}
    with database.transaction() as session:
        for number in (2, 4, 5):
            make_nas(session, keyring, name=f"bras-{number}", address=f"192.0.2.{number}")
        make_nas(session, keyring, name="olts", address="10.4.0.0/14", names=casa)
        make_nas(session, keyring, name="bras-3", address="192.0.2.3", names=casa)
        make_nas(session, keyring, name="inside", address="10.5.0.1")
    export.write_all()
    *some, everybody = groups_in_order(old, "ana")
    assert [asked_by(old, group) for group in some] == [
        [("Packet-Src-IP-Address", "==", "192.0.2.3")],
        [("Packet-Src-IP-Address", "==", "10.5.0.1")],
        [("Packet-Src-IP-Address", ">=", "10.4.0.0"), ("Packet-Src-IP-Address", "<=", "10.7.255.255")],
    ]
    pools_there = [value for group in (*some, everybody) for name, _, value in group_replies(old, group)
                   if name == "Framed-Pool"]  # fmt: skip
    assert pools_there == ["casa", "residential", "casa", "residential"]
    assert +export.write_all() == {}
    revision = export.newest_revision()
    with database.transaction() as session:
        for nas in session.scalars(select(Nas).where(Nas.names != {})):
            network.update_nas(session, keyring, nas, {"names": {}}, PERSON)
    export.follow(revision)
    assert groups_in_order(old, "ana") == [everybody]
    assert asked_by(old, some[0]) == []


def test_who_has_a_lease_gets_the_same_address_there(
    export: FreeradiusExport, old: OldDatabase, database: Database
) -> None:
    with database.transaction() as session:
        pools.create_pool(session, {"name": "residential", "kind": "ipv4", "ranges": ["100.64.0.0/24"]}, PERSON)
        ana = services.find_by_login(session, "ana")
        assert ana is not None
        ana_id = ana.id
    export.write_all()
    group = groups_in_order(old, "ana")
    assert "Framed-Pool" not in {name for name, _, _ in group_replies(old, group[0])}
    assert rows(old, "ana")[1] == []
    with database.transaction() as session:
        address = taking.take(session, "residential", [ana_id], NOW)[ana_id]
    revision, _ = export.follow(export.newest_revision() - 1)
    assert ("Framed-IP-Address", ":=", address) in rows(old, "ana")[1]
    assert groups_in_order(old, "ana") == group  # shared with all others still
    with database.transaction() as session:
        session.execute(update(AddressLease).values(state=LeaseState.FREE, service_id=None))
        changes.note(session, ChangeKind.LEASE, session.scalars(select(AddressLease.id)).one())
    export.follow(revision)
    assert rows(old, "ana")[1] == []


def test_a_lease_that_only_some_nases_give_stands_in_groups_of_the_logins_own(
    export: FreeradiusExport, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_nas(session, keyring, name="bras-2", address="192.0.2.2", names={"pools": {"residential": "casa"}})
        pools.create_pool(session, {"name": "casa", "kind": "ipv4", "ranges": ["100.64.0.0/24"]}, PERSON)
        ana = services.find_by_login(session, "ana")
        assert ana is not None
        address = taking.take(session, "casa", [ana.id], NOW)[ana.id]
    export.write_all()
    there, elsewhere = groups_in_order(old, "ana")
    assert ("Framed-IP-Address", ":=", address) in group_replies(old, there)
    assert ("Framed-Pool", ":=", "residential") in group_replies(old, elsewhere)
    assert rows(old, "ana")[1] == []
    assert set(groups_in_order(old, "bia")).isdisjoint({there, elsewhere})


def test_what_ended_here_is_closed_there_and_nothing_else(
    export: FreeradiusExport, old: OldDatabase, database: Database
) -> None:
    began, ended = NOW - timedelta(hours=2), NOW - timedelta(hours=1)

    def open_there(user: str, number: str, started_at: datetime = began) -> None:
        old.insert("radacct", acctsessionid=number, acctuniqueid=f"{user}{number}", username=user,
                   nasipaddress="192.0.2.1", acctstarttime=started_at, acctsessiontime=60)  # fmt: skip

    with database.transaction() as session:
        ids = {service.login: service.id for service in session.scalars(select(Service))}
        for login, number, stopped_at in (("ana", "1", ended), ("bia", "2", None)):
            session.add(
                LiveSession(nas_id=1, box="bras", acct_session_id=number, service_id=ids[login], login=login,
                            started_at=began, updated_at=ended, stopped_at=stopped_at, nas_address="192.0.2.1",
                            stop_kind="stop" if stopped_at else None, input_octets=7, session_seconds=3600)
            )  # fmt: skip
    open_there("Ana ", "1")
    open_there("ana", "1", NOW)  # another session by the same number
    open_there("bia", "2")
    open_there("neighbour", "1")
    assert export.write_all()["sessions closed"] == 1
    query = (
        "SELECT username, acctstoptime, acctsessiontime, acctinputoctets FROM radacct WHERE acctstoptime IS NOT NULL"
    )
    assert old.connection.execute(query).fetchall() == [("Ana ", ended, 3600, 7)]
    assert export.close_ended() == {"sessions closed": 0}


def test_a_feed_that_has_forgotten_is_noticed(export: FreeradiusExport, database: Database) -> None:
    newest = export.newest_revision()
    assert not changes_lost(database, newest)
    old_revision = newest - 2
    with database.transaction() as session:
        session.connection().exec_driver_sql(f"DELETE FROM change WHERE revision < {newest}")
    assert changes_lost(database, old_revision)
