"""The feeder: every worker ends where the database stands, whatever changes, breaks or comes late."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import make_contract, make_nas, make_plan, make_service
from feed_listener import Listener, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from aaa import feeder as feeder_module
from aaa import followers
from aaa.authenticator import SharedSecret, sign_access_request
from aaa.feed import Message
from aaa.feed_source import FeedSource
from aaa.feeder import COMPACT_AFTER_OCTETS, Feeder
from aaa.locks import ServiceLocks
from aaa.packet import Kind, text_attribute
from aaa.tracing import TracedExchange, TraceFilter
from core import holds, network, plans, policies, services
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock, utc_now
from core.database import Database, libpq_url
from core.keyring import SERVICE_PASSWORD, Keyring, SealBroken
from core.locks import LearnedLocks
from core.models import Plan, Service, ServiceStatus
from core.models.network import Nas
from core.models.service import Hold

Connection = psycopg.Connection[Any]
Run = Callable[..., Any]
#: libpq finds nobody there.
NOBODY = "postgresql://127.0.0.1:1/nothing?connect_timeout=1"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def run(tmp_path: Path, database_url: str, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A feeder on `tmp_path`, stopped at the end of the block."""
    monkeypatch.setattr(feeder_module, "RECONNECT_S", 0.1)
    monkeypatch.setattr(feeder_module, "POLL_S", 0.1)

    @contextmanager
    def running(*, becomes_ready: bool = True, **changed: Any) -> Iterator[Feeder]:
        ready = threading.Event()
        values: dict[str, Any] = {
            "database_url": libpq_url(database_url), "keyring": keyring, "file": tmp_path / "snapshot.bin",
            "socket_path": tmp_path / "feed.sock", "on_ready": ready.set, "on_learned": lambda *_: None,
            "on_wanted": lambda _: set(), "on_position": lambda _: True, "on_join": lambda: None,
            "on_locks": lambda _: None,
        }  # fmt: skip
        feeder = Feeder(**values | changed)
        thread = threading.Thread(target=feeder.run)
        thread.start()
        try:
            assert not becomes_ready or ready.wait(20)
            yield feeder
        finally:
            feeder.stop()
            thread.join(10)
            assert not thread.is_alive()

    return running


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[..., Listener]]:
    listeners = []

    def make(role: str = "auth") -> Listener:
        one = Listener(tmp_path / "feed.sock", role, f"listener-{len(listeners)}")
        listeners.append(one)
        one.connect()
        return one

    yield make
    for one in listeners:
        one.close()


def newest(connection: Connection) -> int:
    row = connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()
    assert row is not None
    return int(row[0])


def assert_equal_to_database(listener: Listener, connection: Connection, keyring: Keyring) -> None:
    """What this worker would decide from is what the database says, no more and no less."""
    rows = connection.execute(
        "SELECT login, id, password_encrypted, policy_fingerprint FROM service "
        "WHERE status = 'active' AND login IS NOT NULL"
    )
    wanted = {
        login.encode(): (number, keyring.open(bytes(sealed), SERVICE_PASSWORD), fingerprint)
        for login, number, sealed, fingerprint in rows
    }
    snapshot = listener.snapshot
    strict = connection.execute(
        "SELECT s.id FROM service s JOIN plan p ON p.id = s.plan_id "
        "WHERE s.status = 'active' AND p.session_limit_strict AND p.session_limit IS NOT NULL"
    )
    assert snapshot.strict & {one.service_id for one in snapshot.subscribers.values()} == {row[0] for row in strict}
    assert {
        login: (one.service_id, one.password, one.entry.fingerprint) for login, one in snapshot.subscribers.items()
    } == wanted
    bodies = dict(connection.execute("SELECT fingerprint, body FROM policy_version").fetchall())
    for one in snapshot.subscribers.values():
        assert one.entry.policy.to_body() == bodies[one.entry.fingerprint]
    boxes = connection.execute(
        "SELECT id, name, address, CASE WHEN emergency THEN emergency_fingerprint END, vendor FROM nas"
    )
    wanted_boxes = {address: (number, name, emergency, vendor) for number, name, address, emergency, vendor in boxes}
    for address, (number, name, emergency, vendor) in wanted_boxes.items():
        client = snapshot.clients.find(address)
        assert client is not None
        assert (client.nas_id, client.name, client.emergency_fingerprint, client.vendor) == (
            number, name, emergency, vendor,
        )  # fmt: skip
        assert emergency is None or emergency in snapshot.policies
    assert len(snapshot.clients.all()) == len(wanted_boxes)


class Provider:
    """Random edits of a small provider through the owner functions, one transaction each."""

    LOGINS = ("ana", "bia", "caio", "davi")

    def __init__(self, database: Database, keyring: Keyring, clock: ManualClock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._actor = Actor("test:person", None)
        with database.transaction() as session:
            self._contract_id = make_contract(session).id
            self._plan_ids = [make_plan(session, down_kbps=rate, burst=None).id for rate in (100_000, 300_000)]
            self._nas_ids = [make_nas(session, keyring, address=f"192.0.2.{n}").id for n in (1, 2)]

    def edit(self, what: str, pick: int) -> None:
        with self._database.transaction() as session:
            getattr(self, what)(session, pick)

    def create(self, session: Any, pick: int) -> None:
        taken = {one.login for one in self._active(session)}
        free = [login for login in self.LOGINS if login not in taken]
        if not free:
            return
        values = {
            "contract_id": self._contract_id, "plan_id": self._plan_ids[pick % 2], "kind": "pppoe",
            "login": free[pick % len(free)], "password": f"pw{pick}",
        }  # fmt: skip
        services.create_service(session, self._keyring, values, self._actor)

    def rename(self, session: Any, pick: int) -> None:
        self._update(session, pick, {"login": f"renamed{pick % 3}"})

    def take_anothers_login(self, session: Any, pick: int) -> None:
        """Two services exchange their logins in one transaction."""
        active = self._active(session)
        if len(active) < 2:
            return
        one, other = active[pick % len(active)], active[(pick + 1) % len(active)]
        names = one.login, other.login
        for service, login in ((one, "between"), (other, names[0]), (one, names[1])):
            services.update_service(session, self._keyring, service, {"login": login}, self._actor)

    def leave_and_follow(self, session: Any, pick: int) -> None:
        """A service is cancelled and another takes its login in the same transaction."""
        active = self._active(session)
        if active:
            gone = active[pick % len(active)]
            services.cancel_service(session, gone, self._actor, self._clock())
            values = {
                "contract_id": self._contract_id, "plan_id": gone.plan_id, "kind": "pppoe", "login": gone.login,
                "password": "next",
            }  # fmt: skip
            services.create_service(session, self._keyring, values, self._actor)

    def cancel(self, session: Any, pick: int) -> None:
        active = self._active(session)
        if active:
            services.cancel_service(session, active[pick % len(active)], self._actor, self._clock())

    def change_password(self, session: Any, pick: int) -> None:
        self._update(session, pick, {"password": f"new{pick}"})

    def change_plan_of_service(self, session: Any, pick: int) -> None:
        self._update(session, pick, {"plan_id": self._plan_ids[pick % 2]})

    def give_address(self, session: Any, pick: int) -> None:
        self._update(session, pick, {"ipv4_address": f"100.64.{pick % 200}.{pick % 250}"})

    def change_plan(self, session: Any, pick: int) -> None:
        plan = session.get(Plan, self._plan_ids[pick % 2])
        plan.up_kbps = 1000 + pick
        session.flush()
        policies.refresh_plan_chunk(session, plan.id, 0)

    def limit_sessions(self, session: Any, pick: int) -> None:
        plan = session.get(Plan, self._plan_ids[pick % 2])
        limit = {"session_limit": 1 + pick % 3, "session_limit_strict": bool(pick & 4)}
        plans.update_plan(session, plan, limit if pick & 8 else dict.fromkeys(limit) | {"session_limit_strict": False},
                          self._actor)  # fmt: skip

    def hold(self, session: Any, pick: int) -> None:
        active = self._active(session)
        if active:
            holds.place_hold(
                session, active[pick % len(active)].id, reason=HoldReason.BILLING,
                effect=list(HoldEffect)[pick % len(HoldEffect)], actor=self._actor, now=self._clock(),
            )  # fmt: skip

    def lift(self, session: Any, pick: int) -> None:
        placed = session.query(Hold).filter(Hold.lifted_at.is_(None)).order_by(Hold.id).all()
        if placed:
            holds.lift_hold(session, placed[pick % len(placed)].id, actor=self._actor, now=self._clock())

    def change_nas(self, session: Any, pick: int) -> None:
        values: dict[str, Any] = {"emergency_plan_id": self._plan_ids[pick % 2], "emergency": bool(pick & 1)}
        values |= {"vendor": "generic" if pick & 2 else "mikrotik", "secret": f"secret{pick}"}
        nas = session.get(Nas, self._nas_ids[pick % 2])
        network.update_nas(session, self._keyring, nas, values, self._actor)

    def _update(self, session: Any, pick: int, values: dict[str, Any]) -> None:
        active = self._active(session)
        taken = {one.login for one in active}
        addresses = {one.ipv4_address for one in session.query(Service).all()}
        if not active or values.get("login") in taken or values.get("ipv4_address", "") in addresses:
            return
        service = active[pick % len(active)]
        services.update_service(session, self._keyring, service, values, self._actor)

    @staticmethod
    def _active(session: Any) -> list[Service]:
        return session.query(Service).filter_by(status=ServiceStatus.ACTIVE).order_by(Service.id).all()  # type: ignore[no-any-return]


EDITS = sorted(name for name in vars(Provider) if not name.startswith("_") and name not in {"LOGINS", "edit"})


@given(st.lists(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 1000)), min_size=1, max_size=4), max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def _any_edits(provider: Provider, check: Callable[[], None], bursts: list[list[tuple[str, int]]]) -> None:
    for burst in bursts:
        for what, pick in burst:
            provider.edit(what, pick)
        check()


@pytest.mark.parametrize("compact_after_octets", [COMPACT_AFTER_OCTETS, 2000], ids=["growing", "compacting"])
def test_workers_stay_equal_to_the_database_under_any_edits(
    compact_after_octets: int, run: Run, listen: Callable[..., Listener], connection: Connection, database: Database,
    keyring: Keyring, clock: ManualClock,
) -> None:  # fmt: skip
    provider = Provider(database, keyring, clock)
    with run(compact_after_octets=compact_after_octets) as feeder:
        early = listen()

        def check() -> None:
            late = listen()
            for one in (early, late):
                one.hear_revision(newest(connection))
                assert_equal_to_database(one, connection, keyring)
            late.close()

        _any_edits(provider, check)
        assert early.connections == 1, "a worker that follows is not made to start anew"
        wait_until(lambda: len(feeder._followers) == 1)


def test_an_accounting_worker_hears_of_nas_entries_and_of_no_password(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_service(session, keyring)
        make_nas(session, keyring)
    with run():
        one = listen("acct")
        one.hear_revision(newest(connection))
        with database.transaction() as session:
            make_service(session, keyring)
        one.hear_revision(newest(connection))
        assert not {Message.SERVICES, Message.POLICIES} & set(one.kinds)
        assert {Message.BEGIN, Message.NAS, Message.REVISION} <= set(one.kinds)
        assert len(one.snapshot.clients.all()) == 1


def test_a_node_starts_from_its_copy_with_the_database_away_and_takes_up_the_changes_later(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_service(session, keyring, login="ana")
    with run():
        listen().hear_revision(newest(connection))
    with database.transaction() as session:
        make_service(session, keyring, login="bia")
    with run(database_url=NOBODY):
        one = listen()
        one.hear(lambda: one.follower.ready)
        assert set(one.snapshot.subscribers) == {b"ana"}
    with run():
        one.hear_revision(newest(connection))
        assert set(one.snapshot.subscribers) == {b"ana", b"bia"}
        assert Message.BEGIN in one.kinds


def test_where_the_database_answers_nobody_is_served_from_an_old_copy_meanwhile(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        ana = make_service(session, keyring, login="ana").id
    with run():
        listen().hear_revision(newest(connection))
    for number in range(3):
        with database.transaction() as session:
            make_service(session, keyring, login=f"new{number}")
    with database.transaction() as session:
        services.cancel_service(session, services.get_service(session, ana), Actor("t", None), utc_now())
    with run():
        one = listen()
        one.hear(lambda: one.follower.ready)
        assert_equal_to_database(one, connection, keyring)


def test_a_database_that_neither_answers_nor_refuses_holds_nobody_up(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_service(session, keyring, login="ana")
    with run():
        listen().hear_revision(newest(connection))
    frozen = socket.create_server(("127.0.0.1", 0))
    with frozen, run(database_url=f"postgresql://x@127.0.0.1:{frozen.getsockname()[1]}/x"):
        one = listen()
        one.hear(lambda: one.follower.ready)
        assert set(one.snapshot.subscribers) == {b"ana"}


def test_a_node_without_copy_and_database_tells_nothing(run: Run, listen: Callable[..., Listener]) -> None:
    with run(database_url=NOBODY, becomes_ready=False) as feeder:
        one = listen()
        one.connection.send(Message.COUNTERS, {"packets": 0})
        wait_until(lambda: feeder.counters)
        assert one.connection.receive() == []
        one.close()
        feeder.stop()


def test_a_killed_feeders_successor_goes_on_where_the_copy_ends(
    tmp_path: Path, run: Run, listen: Callable[..., Listener], connection: Connection, database: Database,
    database_url: str, keyring: Keyring,
) -> None:  # fmt: skip
    with database.transaction() as session:
        for _ in range(20):
            make_service(session, keyring)
    feeder = Feeder(
        database_url=libpq_url(database_url), keyring=keyring, file=tmp_path / "snapshot.bin",
        socket_path=tmp_path / "feed.sock", on_ready=lambda: None, on_learned=lambda *_: None,
        on_wanted=lambda _: set(), on_position=lambda _: True, on_join=lambda: None, on_locks=lambda _: None,
    )  # fmt: skip
    process = multiprocessing.get_context("fork").Process(target=feeder.run)
    process.start()
    one = listen()
    for _ in range(5):
        with database.transaction() as session:
            make_service(session, keyring)
        one.hear_revision(newest(connection))
    with database.transaction() as session:
        make_service(session, keyring)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)  # it may or may not have told of the last
    process.join()
    inode = (tmp_path / "snapshot.bin").stat().st_ino
    with run():
        one.hear(lambda: one.connections == 2)
        one.hear_revision(newest(connection))
        assert_equal_to_database(one, connection, keyring)
    assert (tmp_path / "snapshot.bin").stat().st_ino == inode, "there was no need to read everything anew"


def _another_history(connection: Connection) -> None:
    """As a restore from backup leaves it."""
    connection.execute("UPDATE setting SET value = '{\"epoch\": \"another\"}' WHERE key = 'feed_epoch'")
    connection.execute("UPDATE service SET login = 'restored'")


def _changes_no_longer_kept(connection: Connection) -> None:
    connection.execute("UPDATE service SET login = 'restored'")
    connection.execute(
        "INSERT INTO change (revision, kind, ref_id) SELECT (SELECT max(revision) FROM change) + n, 'service', id "
        "FROM service, generate_series(11, 19) n"
    )
    connection.execute("DELETE FROM change WHERE revision < (SELECT max(revision) FROM change)")


def _last_transactions_lost(connection: Connection) -> None:
    """As a replica that took over leaves it: our revision lies before what the copy has seen."""
    connection.execute("UPDATE service SET login = 'restored'")
    connection.execute("DELETE FROM change WHERE revision > 1")


@pytest.mark.parametrize("happens", [_another_history, _changes_no_longer_kept, _last_transactions_lost])
def test_a_copy_that_changes_do_not_lead_on_from_is_read_anew(
    happens: Callable[[Connection], None], run: Run, listen: Callable[..., Listener], connection: Connection,
    database: Database, keyring: Keyring,
) -> None:  # fmt: skip
    with database.transaction() as session:
        service_id = make_service(session, keyring, login="before").id
    with database.transaction() as session:
        services.update_service(session, keyring, session.get(Service, service_id), {"password": "x"}, Actor("t", None))
    with run():
        one = listen()
        one.hear_revision(newest(connection))
    happens(connection)
    with run():
        one.hear(lambda: set(one.snapshot.subscribers) == {b"restored"})
        assert_equal_to_database(one, connection, keyring)


def test_a_node_that_was_forgotten_joins_and_begins_anew(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Before it reads the snapshot, so that what is taken back from then on waits for it; while it runs, and when it
    starts."""
    monkeypatch.setattr(feeder_module, "FRESH_EVERY_S", 0.05)
    waited_for = [False]
    joined = []

    def join() -> None:
        joined.append(newest(connection))
        waited_for[0] = True

    with database.transaction() as session:
        make_service(session, keyring)
    membership = {"on_position": lambda _: waited_for[0], "on_join": join}
    with run(**membership):
        one = listen()
        one.hear_revision(newest(connection))
        assert len(joined) == 1
        waited_for[0] = False
        one.hear(lambda: one.connections == 2)
        one.hear_revision(newest(connection))
        assert len(joined) == 2
    with run(**membership):
        listen().hear_revision(newest(connection))
        assert len(joined) == 2, "it was away and not forgotten: what changed is enough"
    waited_for[0] = False
    with run(**membership):
        listen().hear_revision(newest(connection))
        assert len(joined) == 3


def test_a_copy_that_is_damaged_under_the_feeder_is_written_anew(
    tmp_path: Path, run: Run, listen: Callable[..., Listener], connection: Connection, database: Database,
    keyring: Keyring,
) -> None:  # fmt: skip
    with database.transaction() as session:
        for _ in range(10):
            make_service(session, keyring)
    with run():
        listen().hear_revision(newest(connection))
        for damage in (_flip, _cut, Path.unlink):
            damage(tmp_path / "snapshot.bin")
            one = listen()
            one.hear_revision(newest(connection))
            assert_equal_to_database(one, connection, keyring)


def _flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_a_full_disk_costs_the_copy_its_freshness_and_the_workers_nothing(
    tmp_path: Path, run: Run, listen: Callable[..., Listener], connection: Connection, database: Database,
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(feeder_module, "RENEW_S", 0.1)
    with database.transaction() as session:
        make_service(session, keyring)
    copy = tmp_path / "snapshot.bin"
    with run():
        one = listen()
        one.hear_revision(newest(connection))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (copy.stat().st_size + 40, hard))  # room for half a change
        try:
            for _ in range(3):
                with database.transaction() as session:
                    make_service(session, keyring)
                one.hear_revision(newest(connection))
                assert_equal_to_database(one, connection, keyring)
            full = copy.stat().st_ino
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        wait_until(lambda: copy.stat().st_ino != full)
        late = listen()
        late.hear_revision(newest(connection))
        assert_equal_to_database(late, connection, keyring)
        assert one.connections == 1
    assert [path.name for path in tmp_path.glob("*.new")] == []


def test_a_copy_sealed_under_another_key_is_not_believed(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_service(session, keyring)
    with run(keyring=Keyring({2: bytes(32), 1: bytes(range(32))})):
        listen().hear_revision(newest(connection))
    with run():  # the copy was sealed under key 2, which this node does not know
        one = listen()
        one.hear_revision(newest(connection))
        assert_equal_to_database(one, connection, keyring)


def test_a_password_that_does_not_open_costs_its_service_only(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        broken = make_service(session, keyring, login="broken").id
        make_service(session, keyring, login="sound")
        make_nas(session, keyring, name="sound", address="192.0.2.1")
        make_nas(session, Keyring({1: bytes(32)}), name="broken", address="192.0.2.2")
    with run():
        one = listen()
        one.hear_revision(newest(connection))
        assert set(one.snapshot.subscribers) == {b"broken", b"sound"}
        assert [client.name for client in one.snapshot.clients.all()] == ["sound"]
        with database.transaction() as session:
            session.get_one(Service, broken).password_encrypted = bytes(60)
            network.update_nas(session, keyring, session.query(Nas).filter_by(name="sound").one(), {"coa_port": 1700},
                               Actor("t", None))  # fmt: skip
            services.changes.note(session, services.ChangeKind.SERVICE, broken)
        one.hear_revision(newest(connection))
        assert set(one.snapshot.subscribers) == {b"sound"}
        late = listen()
        late.hear_revision(newest(connection))
        assert set(late.snapshot.subscribers) == {b"sound"}


def test_another_key_file_does_not_make_a_node_that_refuses_everybody(
    run: Run, connection: Connection, database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    with database.transaction() as session:
        make_service(session, keyring)
    with psycopg.connect(connection.info.dsn, autocommit=True, password=connection.info.password) as own:
        source = FeedSource(own, Keyring({1: bytes(32)}))
        with pytest.raises(SealBroken, match="key file"):
            list(source.full())


def test_what_was_learned_is_kept_when_the_database_is_back_and_no_worker_is_disturbed(
    run: Run, listen: Callable[..., Listener], connection: Connection
) -> None:
    kept: list[tuple[int, str]] = []
    failures = [OperationalError("update", {}, Exception("away"))]

    def learn(nas_id: int, mode: str) -> None:
        if failures:
            raise failures.pop()
        kept.append((nas_id, mode))

    with run(on_learned=learn):
        one = listen()
        one.hear(lambda: one.follower.ready)
        one.connection.send(Message.LEARNED, [7, "require"])
        wait_until(lambda: kept)
        assert kept == [(7, "require")]
        assert one.connection.receive() is not None, "the connection is there"
        assert one.connections == 1


def test_a_worker_that_does_not_read_is_given_up_and_delays_nobody(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(followers, "QUEUE_MAX", 5)
    with database.transaction() as session:
        plan, contract = make_plan(session), make_contract(session)
        names = {f"pool{n}": "x" * 200 for n in range(500)}
        nas_id = make_nas(session, keyring, names={"pools": names}).id  # some 100 kB whenever a NAS changes
    with run() as feeder:
        deaf, other = listen(), listen()
        wait_until(lambda: len(feeder._followers) == 2)
        for number in range(20):
            with database.transaction() as session:
                session.get_one(Nas, nas_id).coa_port = 2000 + number
                services.changes.note(session, services.ChangeKind.NAS, nas_id)
                make_service(session, keyring, plan=plan, contract=contract)
            other.hear_revision(newest(connection))
        assert_equal_to_database(other, connection, keyring)
        wait_until(lambda: len(feeder._followers) == 1)
        deaf.hear_revision(newest(connection))  # it reads again, finds the end of the stream and begins anew
        assert_equal_to_database(deaf, connection, keyring)
        assert deaf.connections == 2


def test_a_worker_that_left_before_there_was_anything_to_tell_is_forgotten(
    run: Run, listen: Callable[..., Listener], connection: Connection, database_url: str
) -> None:
    with run(database_url=NOBODY, becomes_ready=False) as feeder:
        gone, stays = listen(), listen()
        for one in (gone, stays):
            one.connection.send(Message.COUNTERS, {"packets": 0})
        wait_until(lambda: len(feeder.counters) == 2)
        gone.close()
        feeder._database_url = libpq_url(database_url)  # the database comes up
        stays.hear(lambda: stays.follower.ready)
        wait_until(lambda: len(feeder._followers) == 1)


def test_octets_that_are_no_messages_end_their_connection_only(
    tmp_path: Path, run: Run, listen: Callable[..., Listener], connection: Connection
) -> None:
    with run():
        one = listen()
        one.hear(lambda: one.follower.ready)
        for octets in (b"\xff" * 64, b"\0\0\0\1H\xc1", b"\0\0\0\1Q\xc0", b"\0\0\0\1H\xc0", b"\0\0\0\1H\x80"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
                stranger.connect(str(tmp_path / "feed.sock"))
                stranger.sendall(octets)
                stranger.shutdown(socket.SHUT_WR)
                stranger.settimeout(10)
                assert stranger.recv(1) == b""
        assert one.connection.receive() is not None, "the connection is there"
        assert one.connections == 1


def test_a_trace_is_asked_of_every_worker_and_ends_with_who_asked(
    run: Run, listen: Callable[..., Listener], connection: Connection
) -> None:
    def asked(one: Listener) -> list[str]:
        return [filter_["login"] for filter_ in one.traces[-1]] if one.traces else []

    ask = sign_access_request(1, bytes(16), text_attribute(Kind.USER_NAME, "ana"), SharedSecret(b"x"))
    exchange = TracedExchange(0.0, "192.0.2.1", 1, "nas", "192.0.2.2", 1812, ask, b"", "accepted")
    with run():
        early = listen()
        early.hear(lambda: early.follower.ready)
        watcher = listen("trace")
        watcher.connection.send(Message.TRACE, TraceFilter(login="ana"))
        early.hear(lambda: asked(early) == ["ana"])
        late = listen()
        late.hear(lambda: asked(late) == ["ana"])
        early.connection.send(Message.TRACE, exchange)
        watcher.hear(lambda: watcher.kinds == [Message.TRACE])
        watcher.close()
        for one in (early, late):
            one.hear(lambda one=one: asked(one) == [])  # type: ignore[misc]


def test_locks_are_told_from_the_first_and_with_every_change(
    run: Run, listen: Callable[..., Listener], connection: Connection, database: Database, keyring: Keyring
) -> None:
    actor = Actor("t", None)
    with database.transaction() as session:
        locked = make_service(session, keyring, mac_lock=[], circuit_lock=["ether1"]).id
        free = make_service(session, keyring).id
    with run():
        one = listen()
        one.hear_revision(newest(connection))
        assert one.snapshot.locks == {locked: ServiceLocks(locked, (), ("ether1",))}
        with database.transaction() as session:
            services.learn_locks(session, [LearnedLocks(locked, "02:00:00:00:00:01", None, None)])
            nas_id = make_nas(session, keyring).id
            service = session.get_one(Service, free)
            services.update_service(session, keyring, service, {"nas_lock": [str(nas_id)]}, actor)
        one.hear_revision(newest(connection))
        wanted = {locked: ServiceLocks(locked, ("02:00:00:00:00:01",), ("ether1",)),
                  free: ServiceLocks(free, None, None, (nas_id,))}  # fmt: skip
        assert one.snapshot.locks == wanted
        late = listen()
        late.hear_revision(newest(connection))
        assert late.snapshot.locks == wanted
        with database.transaction() as session:
            unlocked = {"mac_lock": None, "circuit_lock": None}
            services.update_service(session, keyring, session.get_one(Service, locked), unlocked, actor)
            services.cancel_service(session, session.get_one(Service, free), actor, utc_now())
        one.hear_revision(newest(connection))
        assert one.snapshot.locks == {}


def test_of_two_lessons_about_one_service_the_first_is_kept_when_the_database_is_back(
    run: Run, listen: Callable[..., Listener], connection: Connection
) -> None:
    kept: list[LearnedLocks] = []
    failures = [OperationalError("update", {}, Exception("away"))]
    first, second, other = (LearnedLocks(7, "a", None, None), LearnedLocks(7, "b", None, None),
                            LearnedLocks(8, "c", None, 1))  # fmt: skip
    told = threading.Event()

    def learn(locks: list[LearnedLocks]) -> None:
        told.wait(10)
        if failures:
            raise failures.pop()
        kept.extend(locks)

    with run(on_locks=learn) as feeder:
        one = listen()
        one.hear(lambda: one.follower.ready)
        for lesson in (first, second, other):
            one.connection.send(Message.LOCKS_LEARNED, lesson)
        wait_until(lambda: len(feeder._learned_locks) == 2)
        told.set()
        wait_until(lambda: len(kept) == 2)
        assert sorted(kept) == [first, other]
