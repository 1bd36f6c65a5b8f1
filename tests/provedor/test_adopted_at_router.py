"""A router taken over: its secrets become ours login by login, and no subscriber notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from at_once import AtOnce, work_off
from factories import make_nas
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from routeros_boxes import PASSWORD, USER, Box, box, do, rows
from sqlalchemy import select

from core import network, services, topics
from core.audit import Actor
from core.clock import utc_now
from core.database import Database
from core.errors import Conflict
from core.keyring import ROUTEROS_PASSWORD, Keyring
from core.models.service import Plan, Service
from core.routeros import check_routeros
from provedor.imports.adoption import Adoption
from provisioning.adopt.owning import Owning
from provisioning.adopt.proposal import Choices
from provisioning.backups.keeper import Backups
from provisioning.backups.models import DeviceBackup, Why
from provisioning.jobs import intents
from provisioning.jobs.models import OwnedRow
from provisioning.local import store
from provisioning.local.keeper import Keeper
from provisioning.local.models import LocalAccess, LocalMode
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.schema import canonical
from provisioning.routeros.schema.kinds import Kind
from provisioning.simulators.routeros import Version, load
from provisioning.simulators.routeros.errors import LoginFailed, Refused

EXPORT = Path(__file__).parents[1] / "small_provider.rsc"
PERSON = Actor("test:person")
INTENT = {"profile": {"local_address": "100.64.0.1"}, "walled_garden": {"portal": "192.0.2.80"}}
_MENUS = ("/ppp/secret", "/ppp/profile", "/queue/simple", "/ip/pool", "/ip/firewall/address-list", "/system/scheduler")


class OnlyReads(RouterOs):
    """A connection on which nothing can be changed."""

    def call(self, command: str, *_: Any, **__: Any) -> list[Row]:
        raise AssertionError(f"{command} while a router is only read")


class Taken:
    """One router, and who takes it over."""

    def __init__(self, database: Database, keyring: Keyring, found: Box, **choices: Any) -> None:
        self.database, self.keyring, self.box, self.choices = database, keyring, found, Choices(**choices)
        values = {
            "name": "bras1", "address": "127.0.0.1", "disconnects_per_minute": 6000,
            "names": {"address_lists": {"walled-garden": "bloqueados"}},
            "routeros": check_routeros({"user": USER, "port": found.server.port, "tls": False}),
            "routeros_password_encrypted": keyring.seal(PASSWORD, ROUTEROS_PASSWORD),
        }  # fmt: skip
        with database.transaction() as session:
            self.nas_id = make_nas(session, keyring, **values).id
            intents.set_intent(session, network.get_nas(session, self.nas_id), INTENT, PERSON)
        self.keeper = Keeper(database, keyring, RouterOs, AtOnce(), utc_now, lambda _: True)

    def take(self) -> None:
        adoption = Adoption(self.database, self.keyring, self.nas_id, self.choices, OnlyReads)
        proposal = adoption.propose(adoption.read())
        adoption.take(proposal, PERSON, datetime.now(UTC), due_day=5, dry_run=False)

    def keep(self) -> None:
        with self.database.transaction() as session:
            store.set_local(session, network.get_nas(session, self.nas_id), LocalMode.SERVE, 30, PERSON)
        self.work()
        with self.database.transaction() as session:
            store.approve(session, store.get_local(session, self.nas_id, lock=True), PERSON)
        self.work()

    def own(self, *logins: str, differing: bool = False) -> Owning:
        adoption = Adoption(self.database, self.keyring, self.nas_id, self.choices)
        backups = Backups(self.database, self.keyring, RouterOs, AtOnce(), utc_now, lambda _: None)
        owning = adoption.own(list(logins) or None, differing=differing, actor=PERSON, backups=backups)
        self.work()
        return owning

    def look(self) -> LocalAccess:
        with self.database.transaction() as session:
            store.look_now(session, store.get_local(session, self.nas_id, lock=True))
        self.work()
        with self.database.transaction() as session:
            return store.get_local(session, self.nas_id)

    def work(self) -> None:
        changed = dict.fromkeys([topics.SERVICE_OUT_OF_STEP.name, topics.SERVICE_RESTRICTED.name])
        handlers = {
            **dict.fromkeys(changed, self.keeper.service_changed),
            topics.LOCAL_DUE.name: self.keeper.handle_due,
        }
        work_off(self.database, handlers)

    def secrets(self) -> dict[str, dict[str, str]]:
        return {row["name"]: row for row in rows(self.box.router, "/ppp/secret")}

    def online(self) -> dict[str, str]:
        return {one.login: one.address for one in self.box.online.read()}

    def rate(self, login: str) -> str:
        """What limits who is online: the first simple queue of his."""
        address = self.online()[login]
        for row in rows(self.box.router, "/queue/simple"):
            mine = row.get("name") == f"<pppoe-{login}>" or canonical(Kind.RANGES, row["target"]) == address
            if mine and row.get("disabled") != "true":
                return canonical(Kind.RATE, row["max-limit"])
        return ""

    def owned(self) -> list[tuple[str, str]]:
        """Rows that are ours by our word alone; before 7.0 profiles have no comments."""
        with self.database.transaction() as session:
            found = session.execute(select(OwnedRow.menu, OwnedRow.key).where(OwnedRow.nas_id == self.nas_id))
            return [(row.menu, row.key) for row in found if row.menu != "/ppp/profile"]


@contextmanager
def _provider(database: Database, keyring: Keyring, version: Version = Version.V7_18) -> Iterator[Taken]:
    with box(version=version) as one:
        load(one.router, EXPORT.read_text(errors="surrogateescape"), USER)
        yield Taken(database, keyring, one, blocked_plan="10M")


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def taken(request: pytest.FixtureRequest, database: Database, keyring: Keyring) -> Iterator[Taken]:
    with _provider(database, keyring, request.param) as found:
        yield found


def test_login_by_login_the_secrets_become_ours_and_nobody_notices(taken: Taken) -> None:
    before = {menu: rows(taken.box.router, menu) for menu in _MENUS}
    taken.take()
    taken.keep()
    assert {menu: rows(taken.box.router, menu) for menu in _MENUS if menu != "/ppp/profile"} == {
        menu: found for menu, found in before.items() if menu != "/ppp/profile"
    }
    sessions = {login: taken.box.subscribers.dial(login, password, "AA:BB:CC:00:11:22") for login, password in (
        ("joao", "123456"), ("maria", "yes"), ("mercado", "mercado1"), ("escola", "escola1"), ("noc", "n0c"),
        ("semvel", "sv1"))}  # fmt: skip
    rates = {login: taken.rate(login) for login in ("joao", "maria", "mercado", "noc")}
    owning = taken.own("joao")
    assert owning.services.keys() == {"joao"}
    assert taken.secrets()["joao"]["comment"].startswith("provedor:local/")
    assert taken.secrets()["joao"]["comment"].endswith(" João da Silva - CPF 529.982.247-25")
    assert not any("provedor:" in row.get("comment", "") for login, row in taken.secrets().items() if login != "joao")
    owning = taken.own()
    assert owning.services.keys() == {"maria", "mercado", "escola", "devedor", "ausente", "noc"}
    assert taken.online() == {login: one.address for login, one in sessions.items()}
    assert {login: taken.rate(login) for login in rates} == rates
    assert taken.owned() == []
    secrets = taken.secrets()
    assert secrets["noc"]["profile"] == "script-noc"
    assert secrets["vpn-tecnico"] == next(row for row in before["/ppp/secret"] if row["name"] == "vpn-tecnico")
    assert "provedor:" not in secrets["semvel"].get("comment", "")
    queues = {row["name"]: row for row in rows(taken.box.router, "/queue/simple")}
    assert queues["provedor-mercado"]["comment"].startswith("provedor:local/")
    assert "Mercado" not in queues
    for session in sessions.values():
        taken.box.online.end(session)
    for login, password in (("joao", "123456"), ("maria", "yes"), ("mercado", "mercado1"), ("noc", "n0c")):
        taken.box.subscribers.dial(login, password, "AA:BB:CC:00:11:22")
    assert {login: taken.rate(login) for login in rates} == rates
    with taken.database.transaction() as session:
        why = session.scalars(select(DeviceBackup.why)).all()
        assert Why.BEFORE_CHANGE in why


def test_who_is_not_ours_yet_stays_online_whatever_is_looked_at(taken: Taken) -> None:
    """A VPN user is nobody's service, and a service whose secret is the router's own is not ours to end."""
    taken.take()
    taken.box.subscribers.dial("semvel", "sv1")
    taken.box.subscribers.dial("joao", "123456")
    taken.keep()
    taken.look()
    assert taken.online().keys() == {"semvel", "joao"}
    with taken.database.transaction() as session:
        service = session.scalars(select(Service).where(Service.login == "joao")).one()
        services.cancel_service(session, service, PERSON, utc_now())
    taken.work()
    taken.look()
    assert taken.online().keys() == {"semvel", "joao"}
    assert taken.secrets()["joao"]["password"] == "123456"


def test_from_then_on_it_is_kept_in_step(taken: Taken) -> None:
    taken.take()
    taken.keep()
    taken.own("joao")
    with taken.database.transaction() as session:
        service = session.scalars(select(Service).where(Service.login == "joao")).one()
        services.update_service(session, taken.keyring, service, {"password": "nova"}, PERSON)
    taken.look()
    assert taken.secrets()["joao"]["password"] == "nova"
    assert taken.secrets()["joao"]["comment"].endswith(" João da Silva - CPF 529.982.247-25")


def test_a_secret_that_somebody_makes_anew_under_a_login_of_ours_is_his(taken: Taken) -> None:
    """That it was given to us once says nothing of the next."""
    taken.take()
    taken.keep()
    taken.own("joao")
    do(taken.box.router, "/ppp/secret/remove", _id="joao")
    do(taken.box.router, "/ppp/secret/add", name="joao", password="sua")
    kept = taken.look()
    assert taken.secrets()["joao"]["password"] == "sua"
    assert any("joao" in problem for problem in kept.problems)


def test_they_may_be_given_back(taken: Taken) -> None:
    taken.take()
    taken.keep()
    taken.box.subscribers.dial("joao", "123456")
    taken.own()
    before = {login: {**row, "comment": ""} for login, row in taken.secrets().items()}
    with taken.database.transaction() as session:
        store.leave(session, store.get_local(session, taken.nas_id, lock=True), PERSON, keep_rows=True)
    taken.work()
    assert {login: {**row, "comment": ""} for login, row in taken.secrets().items()} == before
    assert taken.secrets()["joao"]["comment"] == "João da Silva - CPF 529.982.247-25"
    assert not any("provedor:" in row.get("comment", "") for menu in _MENUS for row in rows(taken.box.router, menu))
    assert taken.online().keys() == {"joao"}
    taken.take()  # no plan is called as our own profiles are
    with taken.database.transaction() as session:
        assert not any(name.startswith("provedor-") for name in session.scalars(select(Plan.name)))
        assert session.get(LocalAccess, taken.nas_id) is None
        assert session.scalars(select(OwnedRow)).all() == []


def test_who_would_lose_or_get_something_else_stays_the_routers(taken: Taken) -> None:
    taken.take()
    taken.keep()
    do(taken.box.router, "/ppp/secret/set", _id="maria", routes="198.51.100.64/28 192.0.2.1 1")
    do(taken.box.router, "/ppp/secret/set", _id="escola", password="outra")
    owning = taken.own("maria", "escola", "vpn-tecnico", "padaria", "nobody")
    refused = dict(owning.refused)
    assert owning.services == {}
    assert "would lose: its route" in refused["maria"]
    assert refused["escola"] == "differs: another password"
    assert refused["vpn-tecnico"] == "is a user of l2tp"
    assert refused["nobody"] == "has no secret at the router"
    assert taken.own("escola", differing=True).services.keys() == {"escola"}
    assert taken.secrets()["escola"]["password"] == "escola1"


def test_nothing_becomes_ours_at_a_box_that_nobody_approved_to_be_kept(taken: Taken) -> None:
    taken.take()
    with taken.database.transaction() as session:
        store.set_local(session, network.get_nas(session, taken.nas_id), LocalMode.SERVE, 30, PERSON)
    taken.work()
    with pytest.raises(Conflict):
        taken.own("joao")
    assert taken.owned() == []


# Any router

_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)
_RATES = st.sampled_from(
    ["", "10M", "5M/10M", "512k/2M 1M/4M 256k/1M 8/8", "20M/20M 0/0 0/0 0/0 3", "1M/2M 3M/4M 1M/1M 9/5", "zz"]
)
_OF_SECRETS = st.sampled_from(["ouro", "prata", "bloqueado", "livre", "default"])
_PROFILES = st.fixed_dictionaries(
    {"rate-limit": _RATES},
    optional={
        "remote-address": st.sampled_from(["homes", "outros"]), "address-list": st.sampled_from(["vip", "suspensos"]),
        "on-up": st.just(":log info up"), "on-down": st.just(":log info down"), "only-one": st.just("yes"),
        "dns-server": st.just("192.0.2.53"), "session-timeout": st.sampled_from(["10s", "1d"]),
        "parent-queue": st.just("none"), "use-ipv6": st.just("no"),
    },
)  # fmt: skip
_DEFAULT = st.fixed_dictionaries(
    {"local-address": st.just("100.64.0.1"), "remote-address": st.just("homes")},
    optional={"rate-limit": st.sampled_from(["3M/3M", "64k"]), "address-list": st.just("todos")},
)
_SECRETS = st.fixed_dictionaries(
    {"name": _NAMES, "password": _NAMES, "profile": _OF_SECRETS},
    optional={
        "service": st.sampled_from(["any", "pppoe", "l2tp"]), "disabled": st.sampled_from(["yes", "no"]),
        "remote-address": st.sampled_from(["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
        "caller-id": st.sampled_from(["02:00:00:00:00:01", "0200.0000.0001", "eth0"]), "comment": _NAMES,
        "routes": st.sampled_from(["198.51.100.0/28 203.0.113.7 1", "198.51.100.0/28", "x"]),
    },
)  # fmt: skip
_QUEUES = st.fixed_dictionaries(
    {"name": st.sampled_from(["q1", "q2", "q3"]),
     "target": st.sampled_from(["203.0.113.7/32", "203.0.113.8", "100.64.0.0/22"]),
     "max-limit": st.sampled_from(["4M/8M", "0/0", "1500/2000"])},
    optional={"disabled": st.just("yes")},
)  # fmt: skip


def _configure(one: Box, default: Mapping[str, str], lists: Mapping[str, list[dict[str, str]]]) -> None:
    """What a router refuses of it, it does not have."""
    for name, ranges in (("homes", "100.64.0.2-100.64.0.99"), ("outros", "100.64.1.2-100.64.1.99")):
        do(one.router, "/ip/pool/add", name=name, ranges=ranges)
    do(one.router, "/ppp/profile/set", _id="default", **default)
    for menu, wanted in lists.items():
        for values in wanted:
            try:
                do(one.router, f"{menu}/add", **values)
            except Refused:
                continue


def _dial_all(taken: Taken) -> dict[str, tuple[str, ...]]:
    """Whoever can: {login: (the rate that he gets, the address that is his own, or its pool; the lists it is in)}"""
    got = {}
    for login, secret in taken.secrets().items():
        try:
            taken.box.subscribers.dial(login, secret["password"])
        except LoginFailed:
            continue
        address = taken.online()[login]
        own = address if "remote-address" in secret else address.rpartition(".")[0]
        entries = rows(taken.box.router, "/ip/firewall/address-list")
        got[login] = (taken.rate(login), own, *sorted(row["list"] for row in entries if row["address"] == address))
    return got


#: An example takes a second: to look for the smallest one that fails would take many minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
_SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, phases=_PHASES, suppress_health_check=_SLOW)
@given(
    default=_DEFAULT,
    profiles=st.fixed_dictionaries(dict.fromkeys(["ouro", "prata", "bloqueado", "livre"], _PROFILES)),
    secrets=st.lists(_SECRETS, min_size=4, max_size=8),
    queues=st.lists(_QUEUES, max_size=3),
    version=st.sampled_from([Version.V6_49, Version.V7_18]),
)
def test_of_any_router_reading_changes_nothing_and_owning_changes_nothing_for_subscribers(
    new_database: Callable[[], Database], keyring: Keyring, default: dict[str, str],
    profiles: dict[str, dict[str, str]], secrets: list[dict[str, str]], queues: list[dict[str, str]],
    version: Version,
) -> None:  # fmt: skip
    database = new_database()
    named = [{"name": name, **values} for name, values in profiles.items()]
    with box(version=version) as one:
        _configure(one, default, {"/ppp/profile": named, "/ppp/secret": secrets, "/queue/simple": queues})
        taken = Taken(database, keyring, one, blocked_plan="ouro")
        before = _dial_all(taken)
        restricted = {
            login for login, row in taken.secrets().items()
            if row["profile"] == "bloqueado" or _blocks(taken, row["profile"])
        }  # fmt: skip
        configuration = {menu: rows(one.router, menu) for menu in _MENUS}
        taken.take()
        assert {menu: rows(one.router, menu) for menu in _MENUS} == configuration
        taken.keep()
        owning = taken.own()
        event(f"{len(owning.services)} of {len(before)} become ours")
        kept = taken.look()
        assert kept.error is None
        assert taken.online().keys() == before.keys()
        logins = {row["name"]: row["password"] for row in configuration["/ppp/secret"]}
        assert {login: row["password"] for login, row in taken.secrets().items()} == logins
        assert taken.owned() == []
        for session in one.online.read():
            one.online.end(session)
        after = _dial_all(taken)
        assert after.keys() == before.keys()
        assert {login: got for login, got in after.items() if login not in restricted} == {
            login: got for login, got in before.items() if login not in restricted
        }
        assert all(taken.secrets()[login]["comment"].startswith("provedor:local/") for login in owning.services)


def _blocks(taken: Taken, profile: str) -> bool:
    (row,) = (row for row in rows(taken.box.router, "/ppp/profile") if row["name"] == profile)
    return row.get("address-list") == "suspensos"
