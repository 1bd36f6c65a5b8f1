"""Import from a FreeRADIUS database: what lands, what is told, and what a second run follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freeradius_tables import OldDatabase
from sqlalchemy import func, select

from aaa.models import AccountingRow
from aaa.pools import pools, taking
from core import holds, plans, services
from core.audit import Actor
from core.database import Database, libpq_url
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring
from core.models.network import Nas, Session
from core.models.party import Contract, Customer
from core.models.service import Plan, Service
from core.models.system import Change
from provedor.imports.accounts import Finding, Level
from provedor.imports.follow import Outcome
from provedor.imports.freeradius import FreeradiusImport, Options
from provedor.imports.old_tables import OldDatabaseAway

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def old(database_url: str) -> Iterator[OldDatabase]:
    database = OldDatabase(libpq_url(database_url))
    database.group("home", ("Mikrotik-Rate-Limit", ":=", "50M/200M"), ("Framed-Pool", ":=", "residential"),
                   ("Acct-Interim-Interval", ":=", "300"), ("Service-Type", "=", "Framed-User"))  # fmt: skip
    database.insert("nas", nasname="192.0.2.1", shortname="bras-1", type="other", secret="of the bras")
    yield database
    database.close()


@pytest.fixture
def run(database: Database, database_url: str, keyring: Keyring, old: OldDatabase) -> Any:
    importer = FreeradiusImport(database, libpq_url(database_url), keyring, Actor("test"), NOW)

    def go(*, dry_run: bool = False, **options: Any) -> Outcome:
        return importer.run(old.url, Options(**options), dry_run=dry_run)

    return go


def rejected(outcome: Outcome) -> dict[str, str]:
    return {one.key: one.reason for one in outcome.findings if one.level is Level.REJECTED}


def told(outcome: Outcome, level: Level) -> list[tuple[str, str]]:
    return [(one.key, one.reason) for one in outcome.findings if one.level is level]


def service(database: Database, login: str) -> Service:
    with database.transaction() as session:
        found = services.find_by_login(session, login)
        assert found is not None
        return found


def test_users_groups_and_nases_land_and_a_second_run_finds_nothing_to_do(
    run: Any, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    old.user("ana")
    old.user("bia")
    old.reply("bia", "Framed-IP-Address", "203.0.113.9")
    old.reply("bia", "Framed-Route", "198.51.100.0/29 0.0.0.0 1")
    old.reply("bia", "Delegated-IPv6-Prefix", "2001:db8:7::/48")
    outcome = run()
    assert outcome.findings == []
    assert outcome.counts["login"]["created"] == 2
    ana, bia = service(database, "ana"), service(database, "bia")
    assert keyring.open(ana.password_encrypted or b"", SERVICE_PASSWORD) == b"pw-ana"
    assert (bia.ipv4_address, bia.ipv4_routes) == ("203.0.113.9", ["198.51.100.0/29"])
    assert bia.delegated_ipv6_prefix == "2001:db8:7::/48"
    with database.transaction() as session:
        plan = session.scalars(select(Plan)).one()
        assert (plan.name, plan.down_kbps, plan.up_kbps, plan.address_pool) == ("home", 200_000, 50_000, "residential")
        nas = session.scalars(select(Nas)).one()
        assert (nas.name, nas.address, nas.vendor, nas.mode) == ("bras-1", "192.0.2.1", "mikrotik", "serve")
        assert keyring.open(nas.secret_encrypted, NAS_SECRET) == b"of the bras"
        assert session.scalar(select(func.count()).select_from(Contract)) == 2
        changes = session.scalar(select(func.count()).select_from(Change))
        assert changes == 3
    again = run()
    assert {kind: dict(+counts) for kind, counts in again.counts.items()} == {
        "nas": {"unchanged": 1}, "plan": {"unchanged": 1}, "login": {"unchanged": 2}, "session": {},
    }  # fmt: skip
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == changes


def test_a_login_that_was_locked_to_a_device_or_a_line_is_so_here(
    run: Any, old: OldDatabase, database: Database
) -> None:
    old.user("ana")
    old.user("bia")
    old.insert("radcheck", username="ana", attribute="Calling-Station-Id", op="==", value="aa-bb-cc-00-00-01")
    old.insert("radcheck", username="ana", attribute="NAS-Port-Id", op="==", value="Ether1")
    old.insert("radcheck", username="bia", attribute="Calling-Station-Id", op=":=", value="aa-bb-cc-00-00-02")
    old.insert("radcheck", username="bia", attribute="NAS-IP-Address", op="==", value="192.0.2.1")
    assert told(run(), Level.LEFT_OUT) == [
        ("bia", "Calling-Station-Id: this check is not kept"), ("bia", "NAS-IP-Address: this check is not kept"),
    ]  # fmt: skip
    ana, bia = service(database, "ana"), service(database, "bia")
    assert (ana.mac_lock, ana.circuit_lock) == (["AA:BB:CC:00:00:01"], ["ether1"])
    assert (bia.mac_lock, bia.circuit_lock) == (None, None)
    old.connection.execute("UPDATE old.radcheck SET value = 'AA:BB:CC:00:00:03' WHERE attribute = 'Calling-Station-Id'")
    run()
    assert service(database, "ana").mac_lock == ["AA:BB:CC:00:00:03"]


def test_a_dry_run_says_the_same_and_keeps_nothing(run: Any, old: OldDatabase, database: Database) -> None:
    for number in range(3):
        old.user(f"user{number}")
    old.user("nobody", ("Auth-Type", ":=", "Accept"))
    dry, wet = run(dry_run=True), None
    with database.transaction() as session:
        for table in (Service, Plan, Nas, Customer, Change):
            assert session.scalar(select(func.count()).select_from(table)) == 0
    wet = run()
    assert (dry.counts, dry.findings) == (wet.counts, wet.findings)


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ([("Auth-Type", ":=", "Accept")], "accepted with any password"),
        ([("Crypt-Password", ":=", "$1$x")], "only a hash"),
        ([("NT-Password", ":=", "8846f7eaee8fb117ad06bdd830b7586c")], "only a hash"),
        ([("Password-With-Header", ":=", "{SSHA}xyz")], "only a hash"),
        ([("Simultaneous-Use", ":=", "1")], "has no password"),
        ([("Cleartext-Password", ":=", "a"), ("Cleartext-Password", ":=", "b")], "several passwords"),
        ([("Cleartext-Password", ":=", "x" * 129)], "at most 128"),
    ],
)
def test_what_cannot_be_carried_is_rejected_whole_with_its_fix(
    run: Any, old: OldDatabase, database: Database, checks: Any, reason: str
) -> None:
    old.user("ana")
    old.user("odd", *checks)
    outcome = run()
    assert reason in rejected(outcome)["odd"]
    assert all(one.fix for one in outcome.findings)
    assert outcome.counts["login"] == {"created": 1, "rejected": 1}


def test_spellings_that_collide_are_listed_and_none_is_imported(run: Any, old: OldDatabase) -> None:
    old.user("ana", ("Cleartext-Password", ":=", "1"))
    old.user("ana ", ("Cleartext-Password", ":=", "2"))
    old.user("bia")
    old.user("bia ")
    old.user("Caio")
    old.user("caio", ("Cleartext-Password", ":=", "2"))
    kept = run()
    assert set(rejected(kept)) == {"ana", "ana "}
    assert ("bia", "2 spellings of one account") in told(kept, Level.NOTE)
    assert kept.counts["login"]["created"] == 3
    lowered = run(lowercase=True, dry_run=True)
    assert {"Caio", "caio"} <= set(rejected(lowered))


def test_what_a_deleted_spelling_left_behind_stands_in_nobodys_way(run: Any, old: OldDatabase) -> None:
    old.user("ana")
    old.insert("radusergroup", username="ana ", groupname="home", priority=1)
    assert rejected(run()) == {}
    assert rejected(run(lowercase=True)) == {}


def test_addresses_of_seeded_sessions_out_of_pools_of_ours_are_leased_to_them(
    run: Any, old: OldDatabase, database: Database
) -> None:
    for login in ("ana", "bia"):
        old.user(login)
    run()
    with database.transaction() as session:
        pools.create_pool(session, {"name": "residential", "kind": "ipv4", "ranges": ["100.64.0.0/24"]}, Actor("test"))
        assert (
            taking.take(session, "residential", [service(database, "bia").id], NOW)[service(database, "bia").id]
            == "100.64.0.1"
        )
    for number, login in enumerate(("ana", "bia"), 9):
        old.insert("radacct", acctsessionid=f"s{number}", acctuniqueid=login, username=login, nasipaddress="192.0.2.1",
                   acctstarttime=NOW, acctupdatetime=NOW, framedipaddress=f"100.64.0.{number}")  # fmt: skip
    outcome = run()
    assert outcome.counts["lease"] == {"adopted": 1}
    assert told(outcome, Level.NOTE) == [
        ("bia", "has 100.64.0.10 of the pool residential in its session, and 100.64.0.1 is leased to it")
    ]
    with database.transaction() as session:
        assert (
            taking.take(session, "residential", [service(database, "ana").id], NOW)[service(database, "ana").id]
            == "100.64.0.9"
        )


def test_an_import_by_other_rules_renames_what_an_earlier_one_made(
    run: Any, old: OldDatabase, database: Database
) -> None:
    old.user("Ana")
    old.reply("Ana", "Framed-IP-Address", "203.0.113.9")
    old.user("Bia@isp", ("Cleartext-Password", ":=", "x"))
    run()
    before = {login: service(database, login).id for login in ("Ana", "Bia@isp")}
    outcome = run(lowercase=True, strip_realm=True)
    assert outcome.counts["login"] == {"unchanged": 2, "rejected": 0}
    assert told(outcome, Level.NOTE) == [("ana", "was 'Ana' here"), ("bia", "was 'Bia@isp' here")]
    assert [service(database, login).id for login in ("ana", "bia")] == list(before.values())
    assert run(lowercase=True, strip_realm=True).findings == []


def test_a_database_that_ignores_case_gives_lower_case_logins_and_nases_that_lower_them(
    run: Any, old: OldDatabase, database: Database
) -> None:
    old.connection.execute("CREATE DOMAIN citext AS text")  # the embedded PostgreSQL has not the extension itself
    old.connection.execute("ALTER TABLE radcheck ALTER username TYPE citext")
    old.user("Ana", ("Cleartext-Password", ":=", "x"), groups=())
    old.insert("radusergroup", username="ANA", groupname="home", priority=1)
    assert rejected(run()) == {}
    assert service(database, "ana")
    with database.transaction() as session:
        rules = session.scalars(select(Nas)).one().login_rules
    assert rules == {"trim": True, "lowercase": True, "strip_realm": False}


def test_who_the_old_server_refuses_is_imported_with_a_hold_that_follows_it(
    run: Any, old: OldDatabase, database: Database
) -> None:
    old.user("ana", ("Cleartext-Password", ":=", "x"), ("Auth-Type", ":=", "Reject"))
    old.user("bia", groups=("disabled", "home"))
    old.insert("radgroupcheck", groupname="disabled", attribute="Auth-Type", op=":=", value="Reject")
    old.user("caio", ("Cleartext-Password", ":=", "x"), ("Expiration", ":=", "01 Jan 2026"))
    old.user("davi")
    assert rejected(run()) == {}
    assert [service(database, login).access for login in ("ana", "bia", "caio", "davi")] == ["blocked"] * 3 + ["full"]
    old.connection.execute("DELETE FROM radcheck WHERE username = 'ana' AND attribute = 'Auth-Type'")
    old.insert("radcheck", username="davi", attribute="Auth-Type", op=":=", value="Reject")
    run()
    assert [service(database, login).access for login in ("ana", "bia", "davi")] == ["full", "blocked", "blocked"]
    with database.transaction() as session:
        (hold,) = holds.live_holds(session, service(database, "bia").id)
        holds.lift_hold(session, hold.id, actor=Actor("person"), now=NOW)
    run()
    assert service(database, "bia").access == "full"  # a person's word stands while the old server says nothing new


def test_what_changed_there_is_followed_and_what_a_person_changed_here_stays(
    run: Any, old: OldDatabase, database: Database, keyring: Keyring
) -> None:
    for login in ("ana", "bia", "caio"):
        old.user(login)
    run()
    with database.transaction() as session:
        changed = service(database, "bia")
        services.update_service(session, keyring, session.merge(changed), {"password": "here"}, Actor("person"))
        services.cancel_service(session, session.merge(service(database, "caio")), Actor("person"), NOW)
    old.connection.execute("UPDATE radcheck SET value = value || '-new'")
    old.connection.execute("UPDATE radgroupreply SET value = '60M/300M' WHERE attribute = 'Mikrotik-Rate-Limit'")
    outcome = run()
    assert outcome.counts["login"] == {"updated": 1, "unchanged": 1, "gone": 1, "rejected": 0}
    assert told(outcome, Level.NOTE) == [("bia", "password was changed in the old database and here: ours is kept")]
    for login, password in (("ana", b"pw-ana-new"), ("bia", b"here")):
        assert keyring.open(service(database, login).password_encrypted or b"", SERVICE_PASSWORD) == password
    with database.transaction() as session:
        assert session.scalars(select(Plan)).one().down_kbps == 300_000
        assert run().counts["login"]["unchanged"] == 2


def test_a_plan_that_a_person_changed_stays(run: Any, old: OldDatabase, database: Database) -> None:
    old.user("ana")
    run()
    with database.transaction() as session:
        plan = session.scalars(select(Plan)).one()
        plans.update_plan(session, plan, {"down_kbps": 250_000, "price_cents": 9990}, Actor("person"))
    old.group("home", ("Session-Timeout", ":=", "86400"))
    run()
    with database.transaction() as session:
        plan = session.scalars(select(Plan)).one()
        assert (plan.down_kbps, plan.session_seconds, plan.price_cents) == (250_000, 86_400, 9990)


def test_replies_of_ones_own_make_a_plan_beside_the_groups(run: Any, old: OldDatabase, database: Database) -> None:
    for login in ("ana", "bia", "caio"):
        old.user(login)
    old.reply("bia", "WISPr-Bandwidth-Max-Down", "1")  # RouterOS lets Mikrotik-Rate-Limit precede
    old.connection.execute("UPDATE radgroupreply SET op = '=' WHERE attribute = 'Mikrotik-Rate-Limit'")
    old.reply("caio", "Mikrotik-Rate-Limit", "10M/20M")
    run()
    with database.transaction() as session:
        names = dict(session.execute(select(Service.login, Plan.name).join(Plan)).all())
    assert names == {"ana": "home", "bia": "home", "caio": "home 20M/10M"}


def test_a_login_may_have_as_many_sessions_as_the_old_server_lets_it_have(
    run: Any, old: OldDatabase, database: Database
) -> None:
    old.group("one", ("Mikrotik-Rate-Limit", ":=", "1M/1M"))
    old.insert("radgroupcheck", groupname="one", attribute="Simultaneous-Use", op=":=", value="1")
    old.user("ana")
    old.user("bia", groups=("one",))
    old.user("caio", ("Cleartext-Password", ":=", "x"), ("Simultaneous-Use", ":=", "3"), groups=("one",))
    assert run().findings == []
    with database.transaction() as session:
        limits = dict(session.execute(select(Service.login, Plan.session_limit).join(Plan)).all())
    assert limits == {"ana": None, "bia": 1, "caio": 3}


def test_a_group_without_a_rate_needs_a_persons_word(run: Any, old: OldDatabase) -> None:
    old.group("profile", ("Mikrotik-Group", ":=", "plano10"), ("Mikrotik-Mark-Id", ":=", "gold"))
    old.user("ana", groups=("profile",))
    outcome = run()
    assert "no rate is known of profile" in rejected(outcome)["ana"]
    said = run(rates={"profile": (10_000, 5_000)})
    assert said.counts["login"]["created"] == 1
    assert told(said, Level.LEFT_OUT) == [("ana", "Mikrotik-Mark-Id: has no counterpart here yet")]


def test_only_the_groups_that_freeradius_asks_count(run: Any, old: OldDatabase, database: Database) -> None:
    old.group("fiber", ("Fall-Through", "=", "Yes"), ("Framed-Pool", "=", "fiber"))
    old.user("ana", groups=("fiber", "home"))
    old.user("bia", groups=("home", "fiber"))
    run()
    with database.transaction() as session:
        rows = dict(session.execute(select(Service.login, Plan.name).join(Plan)).all())
    assert rows == {"ana": "fiber + home", "bia": "home"}


def test_two_logins_with_one_address_are_both_told(run: Any, old: OldDatabase) -> None:
    for login in ("ana", "bia"):
        old.user(login)
        old.reply(login, "Framed-IP-Address", "203.0.113.9")
    assert set(rejected(run())) == {"ana", "bia"}


def test_open_sessions_are_seeded_and_closed_ones_are_not(run: Any, old: OldDatabase, database: Database) -> None:
    old.user("ana")
    for number, (address, stop) in enumerate([("192.0.2.1", None), ("192.0.2.1", NOW), ("198.51.100.1", None)]):
        old.insert(
            "radacct", acctsessionid=f"s{number}", acctuniqueid=str(number), username="ana", nasipaddress=address,
            acctstarttime=NOW - timedelta(hours=2), acctupdatetime=NOW, acctstoptime=stop, acctinterval=300,
            acctsessiontime=7200, acctinputoctets=5_000_000_000, acctoutputoctets=7, framedipaddress="100.64.0.9",
            delegatedipv6prefix="2001:db8::/56", callingstationid="02:00:00:00:00:01",
        )  # fmt: skip
    outcome = run()
    assert outcome.counts["session"] == {"seeded": 1, "known": 0}
    assert told(outcome, Level.LEFT_OUT) == [("198.51.100.1", "its sessions are left out: it is no NAS here")]
    with database.transaction() as session:
        live = session.scalars(select(Session)).one()
        assert (live.box, live.acct_session_id, live.login, live.framed_ipv4) == (
            "192.0.2.1",
            "s0",
            "ana",
            "100.64.0.9",
        )
        assert (live.input_octets, live.interims, live.delegated_ipv6_prefix) == (5_000_000_000, 24, "2001:db8::/56")
        assert live.service_id == service(database, "ana").id
        assert session.scalar(select(func.count()).select_from(AccountingRow)) == 0
    assert run().counts["session"] == {"seeded": 0, "known": 1}


def test_daloradius_names_the_customers(run: Any, old: OldDatabase, database: Database) -> None:
    old.connection.execute(
        "CREATE TABLE userinfo (id serial, username text, firstname text, lastname text, email text, mobilephone text)"
    )
    old.user("ana")
    old.insert("userinfo", username="ana", firstname="Ana", lastname="Lima", email="a@x.br", mobilephone="+5511999")
    run()
    with database.transaction() as session:
        assert session.scalars(select(Customer.name)).one() == "Ana Lima"


def test_an_old_database_that_is_away_or_none_is_said_without_its_password(run: Any, old: OldDatabase) -> None:
    old.connection.execute("DROP TABLE radreply")
    with pytest.raises(OldDatabaseAway, match="no table radreply"):
        run()
    old.url = "postgresql://radius:very-secret@127.0.0.1:1/radius"
    with pytest.raises(OldDatabaseAway) as away:
        run()
    assert "very-secret" not in away.value.detail


def test_no_finding_and_no_stored_value_shows_a_password(run: Any, old: OldDatabase, database: Database) -> None:
    old.user("odd", ("Cleartext-Password", ":=", "very-secret-1"), ("Cleartext-Password", ":=", "very-secret-2"))
    old.user("ana", ("Cleartext-Password", ":=", "very-secret-3"))
    outcome = run()
    assert isinstance(outcome.findings[0], Finding)
    assert "very-secret" not in repr(outcome)
    kept = old.connection.execute("SELECT values_encrypted FROM public.imported_row").fetchall()
    assert kept
    assert not any(b"very-secret" in bytes(values) for (values,) in kept)
