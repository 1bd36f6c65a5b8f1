"""Nothing is lost and authentication never stops, whatever breaks: under load, with the load's own ledger."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
import redis
from loads import Loads, build_radload, check_everything, everything_at_once, watch_counters
from small_provider import Provider
from whole_node import Node, children_of, wait_for

from aaa.bras.subscriber import Subscriber
from provedor.embedded import EmbeddedPostgres, EmbeddedValkey

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("node")]

#: For how long PostgreSQL stands still; the bar is a minute, which the whole suite has no time for.
FREEZE_S = float(os.environ.get("PROVEDOR_E2E_FREEZE_S", "12"))
BROKER_FREEZE_S = 6.0
PROCESSES = (
    "auth-0", "auth-1", "acct-0", "acct-1", "feeder", "shipper-0", "shipper-1", "relay", "enforce", "worker", "api",
    "beat",
)  # fmt: skip

Under = Callable[[str], AbstractContextManager[Loads]]


@pytest.fixture(scope="module")
def under_load(
    node: Node, provider: Provider, bras: dict[str, Subscriber], tmp_path_factory: pytest.TempPathFactory
) -> Under:
    """`with under_load("a-name"):` whatever breaks in the block, everything is checked after it."""
    radload = build_radload(tmp_path_factory.mktemp("load"))

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(EmbeddedPostgres(node.data / "postgres").url)

    with connect() as connection:
        watch_counters(connection)

    @contextmanager
    def under(name: str) -> Iterator[Loads]:
        with everything_at_once(provider, bras, radload, name) as loads:
            yield loads
        check_everything(provider, bras, loads, connect)

    return under


def kill(node: Node, name: str) -> None:
    """Kill what runs under this name and wait until another does."""
    before = node.program(name)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: node.program(name) not in {0, before})


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def test_any_process_of_the_node_is_killed(node: Node, under_load: Under) -> None:
    with under_load("killed"):
        for name in PROCESSES:
            kill(node, f"pvd-{name}")
            time.sleep(0.7)
    wait_for(node.answers)


def test_a_server_of_the_node_is_killed(node: Node, under_load: Under) -> None:
    with under_load("servers"):
        backend = next(iter(children_of(node.program("postgres"), "postgres")))
        os.kill(backend, signal.SIGKILL)
        time.sleep(2)
        kill(node, "postgres")
        time.sleep(2)
        kill(node, "valkey-server")
        time.sleep(2)
    wait_for(node.answers)


def test_postgresql_stands_still(node: Node, under_load: Under) -> None:
    with under_load("frozen"), stopped(node.postgres_family()):
        time.sleep(FREEZE_S)
    wait_for(node.answers)


def test_the_broker_stands_still_and_forgets_everything(node: Node, under_load: Under) -> None:
    url = EmbeddedValkey(node.data / "valkey").url.replace("redis+socket://", "unix://")
    with under_load("broker"), redis.Redis.from_url(url) as broker:
        for _ in range(3):
            broker.flushall()
            time.sleep(0.7)
        with stopped([node.program("valkey-server")]):
            time.sleep(BROKER_FREEZE_S)
        broker.flushall()
