"""RADIUS as a node wires it: database, feeder, worker, and the metrics page that tells of them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from factories import make_nas, make_service
from feed_listener import wait_until
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from radius_node import Box, RadiusNode, WorkerProcess, free_port

from aaa.auth_worker import AuthenticationWorker
from aaa.feeder import Feeder
from aaa.packet import Code, Kind, text_attribute
from aaa.sockets import bind_group
from aaa.worker import WorkerOptions
from core import network, services
from core.database import Database, libpq_url
from core.keyring import Keyring
from core.locks import LearnedLocks
from core.models.network import Nas
from core.models.service import Service
from provedor.radius import WorkerMetrics


@dataclass
class Wired:
    """A feeder on the test's database, and a worker process that follows it."""

    feeder: Feeder
    port: int
    log: Path


@pytest.fixture
def wired(database_url: str, database: Database, keyring: Keyring) -> Iterator[Wired]:
    with database.transaction() as session:
        make_nas(session, keyring, name="bras-1", secret="a shared secret")
        make_service(session, keyring, login="ana", password="anas password")
        make_service(session, keyring, login="locked", password="pw", mac_lock=[])

    def learned(nas_id: int, mode: str) -> None:
        with database.transaction() as session:
            network.learn_message_authenticator(session, nas_id, mode)

    def learned_locks(locks: list[LearnedLocks]) -> None:
        with database.transaction() as session:
            services.learn_locks(session, locks)

    with tempfile.TemporaryDirectory(prefix="pvd-wired-") as directory:
        place = Path(directory)
        feeder = Feeder(
            database_url=libpq_url(database_url), keyring=keyring, file=place / "snapshot.bin",
            socket_path=place / "feed.sock", on_ready=lambda: None, on_learned=learned,
            on_wanted=lambda _: set(), on_position=lambda _: True, on_join=lambda: None, on_locks=learned_locks,
        )  # fmt: skip
        thread = threading.Thread(target=feeder.run)
        thread.start()
        port = free_port()
        sockets = bind_group("127.0.0.1", port, 1)

        def make(ready: Callable[[], None]) -> AuthenticationWorker:
            options = WorkerOptions("auth-0", sockets, str(place / "feed.sock"), ready)
            return AuthenticationWorker(options, str(place / "attempts.sock"), str(place / "registrar.sock"))

        worker = WorkerProcess("auth-0", make, place / "auth-0.log")
        worker.start()
        yield Wired(feeder, port, worker.log)
        worker.stop()
        sockets[0].close()
        feeder.stop()
        thread.join(10)


@pytest.fixture
def box(wired: Wired) -> Box:
    node = RadiusNode(wired.log.parent, [])
    node.port = wired.port
    return Box(node, secret=b"a shared secret")


def sample(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"provedor_radius_{name}", frozenset(labels.items())


def metrics(feeder: Feeder) -> tuple[str, dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """The page, and its samples by name and labels."""
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(feeder))
    page = generate_latest(registry).decode()
    samples = [one for family in text_string_to_metric_families(page) for one in family.samples]
    return page, {(one.name, frozenset(one.labels.items())): one.value for one in samples}


def test_packets_are_on_the_metrics_page_by_worker_nas_and_reason_and_no_secret_is(wired: Wired, box: Box) -> None:
    assert box.ask(box.login("ana", "anas password").octets)[0] == Code.ACCESS_ACCEPT
    box.send(box.login("ana", "a wrong password", identifier=2).octets)
    box.send(b"noise")
    Box(box.node, source="127.0.0.9").send(b"noise")
    wanted = {
        sample("packets_total", worker="auth-0", nas="bras-1", reason="accepted"): 1,
        sample("packets_total", worker="auth-0", nas="bras-1", reason="wrong_password"): 1,
        sample("packets_total", worker="auth-0", nas="bras-1", reason="malformed"): 1,
        sample("packets_total", worker="auth-0", nas="", reason="unknown_client"): 1,
        sample("subscribers", worker="auth-0"): 2,
    }
    wait_until(lambda: wanted.items() <= metrics(wired.feeder)[1].items())
    page, samples = metrics(wired.feeder)
    assert samples[sample("busy_seconds_total", worker="auth-0")] > 0
    assert samples[sample("revision", worker="auth-0")] >= 1
    for text in (page, wired.log.read_text()):
        for secret in ("a shared secret", "anas password", "a wrong password"):
            assert secret not in text


def test_what_an_auto_nas_taught_is_kept_in_the_database_and_comes_back_to_the_workers(
    wired: Wired, box: Box, database: Database
) -> None:
    assert box.ask(box.login("ana", "anas password").octets)[0] == Code.ACCESS_ACCEPT

    def learned() -> str | None:
        with database.transaction() as session:
            return session.query(Nas).one().message_authenticator_learned

    wait_until(lambda: learned() == "require")
    wait_until(lambda: wired.feeder.counters["auth-0"]["revision"] == wired.feeder.revision)
    box.assert_silent_about(box.unsigned(b"", identifier=3))


def test_a_learned_device_is_kept_in_the_database_and_comes_back_to_the_workers(
    wired: Wired, box: Box, database: Database
) -> None:
    def asked(mac: str, identifier: int) -> int:
        station = text_attribute(Kind.CALLING_STATION_ID, mac)
        return box.ask(box.login("locked", identifier=identifier, attributes=station).octets)[0]

    def learned() -> list[str] | None:
        with database.transaction() as session:
            return session.query(Service).filter_by(login="locked").one().mac_lock

    assert asked("02-00-00-00-00-01", 1) == Code.ACCESS_ACCEPT
    wait_until(lambda: learned() == ["02:00:00:00:00:01"])
    wait_until(lambda: wired.feeder.counters["auth-0"]["revision"] == wired.feeder.revision > 0)
    assert asked("02:00:00:00:00:02", 2) == Code.ACCESS_REJECT
    assert asked("0200.0000.0001", 3) == Code.ACCESS_ACCEPT
