"""`import routeros`: who is online at a simulated router becomes known here, once and with his address."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from factories import make_nas, make_plan, make_service
from routeros_boxes import PASSWORD, USER, Box, box, session
from sqlalchemy import select

from aaa.accounting import read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, attribute, integer_attribute, text_attribute
from aaa.pools import pools
from aaa.pools.models import AddressLease, PoolKind
from aaa.pools.taking import take
from aaa.session_store import ensure_partitions, store_batch
from core.audit import Actor
from core.database import Database, libpq_url
from core.errors import InvalidInput, NotFound
from core.keyring import ROUTEROS_PASSWORD, Keyring
from core.models.network import Nas, Session, StopKind
from core.routeros import check_routeros
from provedor.imports.routeros import RouterOsImport
from provisioning.routeros.errors import LoginRefused, Unreachable
from provisioning.simulators.routeros import Listing


@dataclasses.dataclass
class Setting:
    database: Database
    keyring: Keyring
    libpq_url: str

    def nas(self, found: Box, password: str = PASSWORD, **given: Any) -> Nas:
        values = {
            "name": "bras", "routeros": check_routeros({"user": USER, "port": found.server.port, "tls": False}),
            "routeros_password_encrypted": self.keyring.seal(password, ROUTEROS_PASSWORD),
        }  # fmt: skip
        with self.database.transaction() as one:
            return make_nas(one, self.keyring, **values | given)

    def services(self, *logins: str) -> dict[str, int]:
        with self.database.transaction() as one:
            plan = make_plan(one, address_pool="homes")
            return {login: make_service(one, self.keyring, plan=plan, login=login).id for login in logins}

    def bring(self, *, dry_run: bool = False, address: str | None = None) -> tuple[dict[str, Any], list[str]]:
        importer = RouterOsImport(self.database, self.libpq_url, self.keyring, datetime.now(UTC))
        outcome = importer.run("bras", address, dry_run=dry_run)
        counts = {kind: {name: n for name, n in found.items() if n} for kind, found in outcome.counts.items()}
        return counts, [f"{one.level} {one.key}: {one.reason}" for one in outcome.findings]

    def sessions(self) -> list[Session]:
        with self.database.transaction() as one:
            return list(one.scalars(select(Session).order_by(Session.acct_session_id)))


@pytest.fixture
def setting(database: Database, keyring: Keyring, database_url: str) -> Setting:
    return Setting(database, keyring, libpq_url(database_url))


def test_who_is_online_becomes_known_once(setting: Setting) -> None:
    services = setting.services("ana", "eva")
    with box(session(1, "ana", started_at=time.time() - 7200), session(2, "eva"), session(3, "who")) as found:
        setting.nas(found)
        assert setting.bring(dry_run=True)[0]["session"] == {"seeded": 3}
        assert setting.sessions() == []
        counts, told = setting.bring()
        assert counts["session"] == {"seeded": 3}
        assert told == ["note who: is no service here: its session is seen, and belongs to nobody"]
        ana, eva, who = setting.sessions()
        assert (ana.login, ana.box, ana.acct_session_id, ana.service_id) == (
            "ana",
            "bras-1",
            "81c00001",
            services["ana"],
        )
        assert (ana.calling_station_id, ana.framed_ipv4, ana.accept_id) == ("02:00:00:00:00:01", "100.64.0.1", "")
        assert abs(ana.session_seconds - 7200) < 5
        assert abs(datetime.now(UTC) - ana.started_at - timedelta(hours=2)) < timedelta(seconds=5)
        assert (eva.service_id, who.service_id) == (services["eva"], None)
        assert setting.bring()[0]["session"] == {"known": 3}
        assert len(setting.sessions()) == 3


def test_what_accounting_says_of_a_seeded_session_joins_it(setting: Setting) -> None:
    services = setting.services("ana")
    with box(session(1, "ana")) as found:
        nas = setting.nas(found)
        setting.bring()
    now = int(time.time())
    body = (
        text_attribute(Kind.USER_NAME, "ana")
        + text_attribute(Kind.NAS_IDENTIFIER, "bras-1")
        + attribute(Kind.NAS_IP_ADDRESS, b"\x0a\0\0\x07")  # which is not where its API is
        + integer_attribute(Kind.ACCT_STATUS_TYPE, 2)
        + text_attribute(Kind.ACCT_SESSION_ID, "81c00001")
        + integer_attribute(Kind.EVENT_TIMESTAMP, now)
        + integer_attribute(Kind.ACCT_SESSION_TIME, 100)
        + integer_attribute(Kind.ACCT_INPUT_OCTETS, 1000)
    )
    packet = sign_request(4, 1, body, SharedSecret(b"x"), message_authenticator=False)
    record = read_record(now * 10**9, nas.id, "127.0.0.1", packet)
    with psycopg.connect(setting.libpq_url, autocommit=True) as connection:
        ensure_partitions(connection, [datetime.now(UTC).date()])
        store_batch(connection, [record], ("node", "acct-0", 1, 1))
    (ana,) = setting.sessions()
    assert (ana.stop_kind, ana.service_id, ana.input_octets) == (StopKind.STOP, services["ana"], 1000)


def test_what_ended_here_is_left_and_what_is_not_at_the_router_is_told(setting: Setting) -> None:
    setting.services("ana", "eva")
    with box(session(1, "ana"), session(2, "eva")) as found:
        setting.nas(found)
        setting.bring()
        with setting.database.transaction() as one:
            ana = one.scalars(select(Session).where(Session.login == "ana")).one()
            ana.stopped_at, ana.stop_kind = datetime.now(UTC), StopKind.STALE
        found.online.end(found.online.read()[1])
        counts, _ = setting.bring()
        assert counts["session"] == {"ended here and left": 1, "live here and not at the router": 1}
        assert [one.stop_kind for one in setting.sessions()] == [StopKind.STALE, None]


def test_addresses_out_of_our_pools_become_leases(setting: Setting) -> None:
    services = setting.services("ana", "eva", "rui")
    with setting.database.transaction() as one:
        pools.create_pool(one, {"name": "homes", "kind": PoolKind.IPV4, "ranges": ["100.64.0.0/28"]}, Actor("test"))
        assert take(one, "homes", [services["rui"]], datetime.now(UTC)) == {services["rui"]: "100.64.0.1"}
    shown = session(1, "ana"), session(2, "eva"), session(3, "who"), session(4, "rui", address="192.0.2.4")
    with box(*shown) as found:
        setting.nas(found)
        assert "lease" not in setting.bring(dry_run=True)[0]
        with setting.database.transaction() as one:
            assert len(one.scalars(select(AddressLease)).all()) == 1
        counts, told = setting.bring()
        assert counts["lease"] == {"adopted": 1}
        assert "note ana: has 100.64.0.1 of the pool homes in its session, and that is leased to rui" in told
        assert "note who: is no service here: its session is seen, and belongs to nobody" in told
        assert "lease" not in setting.bring()[0]
        with setting.database.transaction() as one:
            assert take(one, "homes", [services["eva"]], datetime.now(UTC)) == {services["eva"]: "100.64.0.2"}


def test_logins_are_spelled_by_the_rules_of_the_nas(setting: Setting) -> None:
    services = setting.services("ana")
    with box(session(1, "Ana@isp")) as found:
        setting.nas(found, login_rules={"strip_realm": True, "lowercase": True})
        setting.bring()
        (ana,) = setting.sessions()
        assert (ana.login, ana.service_id) == ("Ana@isp", services["ana"])


def test_what_a_router_cannot_tell_is_left_out_and_said(setting: Setting) -> None:
    hotspot = Listing(lambda: [{".id": "*1", "user": "hs", "radius": "true"}, {".id": "*2", "user": "local"}])
    lease = Listing(lambda: [{".id": f"*{n}", "status": "bound", "radius": "true"} for n in (1, 2)])
    others = {"/ip/hotspot/active": hotspot, "/ip/dhcp-server/lease": lease}
    with box(session(1, "secret", radius=False), session(2, "odd", session_id="wxyz"), others=others) as found:
        setting.nas(found)
        counts, told = setting.bring()
        assert counts["session"] == {}
        assert told == [
            "left_out secret: was let in by the router's own secrets: RADIUS does not account for it",
            "left_out odd: shows no session id or no uptime",
            "note 1 hotspot users: show no session id: their next Interim-Update tells us of them",
            "note 2 DHCP leases by RADIUS: show no session id: their next Interim-Update tells us of them",
        ]


def test_a_box_of_a_network_is_named_by_its_address(setting: Setting) -> None:
    setting.services("ana")
    with box(session(1, "ana")) as found:
        setting.nas(found, address="127.0.0.0/30")
        with pytest.raises(InvalidInput, match="say which"):
            setting.bring()
        with pytest.raises(InvalidInput, match="is not in"):
            setting.bring(address="192.0.2.1")
        assert setting.bring(address="127.0.0.1")[0]["session"] == {"seeded": 1}
        assert [(one.box, one.nas_address) for one in setting.sessions()] == [("bras-1", "127.0.0.1")]


def test_a_router_that_cannot_be_read_says_why_and_nothing_is_kept(setting: Setting) -> None:
    with pytest.raises(NotFound):
        setting.bring()
    with box(session(1, "ana")) as found:
        setting.nas(found, password="wrong")
        with pytest.raises(LoginRefused, match="invalid user name or password"):
            setting.bring()
    with pytest.raises(Unreachable, match="Connection refused"):
        setting.bring()
    assert setting.sessions() == []


def test_without_access_there_is_nothing_to_read(setting: Setting) -> None:
    with setting.database.transaction() as one:
        make_nas(one, setting.keyring, name="bras")
    with pytest.raises(InvalidInput, match="has no access to an API"):
        setting.bring()
