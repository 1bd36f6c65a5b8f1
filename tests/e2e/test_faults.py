"""Nothing is lost and authentication never stops, whatever breaks: under load, with the load's own ledger."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest
import redis
from loads import UnderLoad, build_radload
from small_provider import Provider
from whole_node import Node, children_of, kill, stopped, wait_for
from wire import accounting

from aaa import testclient
from aaa.bras.subscriber import Subscriber
from provedor.embedded import EmbeddedPostgres, EmbeddedValkey

pytestmark = pytest.mark.e2e

#: For how long PostgreSQL stands still; the bar is a minute, which the whole suite has no time for.
FREEZE_S = float(os.environ.get("PROVEDOR_E2E_FREEZE_S", "12"))
BROKER_FREEZE_S = 6.0
PROCESSES = (
    "auth-0", "auth-1", "acct-0", "acct-1", "feeder", "registrar", "shipper-0", "shipper-1", "relay", "enforce",
    "worker", "api", "beat",
)  # fmt: skip


@pytest.fixture(scope="module")
def under_load(
    node: Node, provider: Provider, bras: dict[str, Subscriber], tmp_path_factory: pytest.TempPathFactory
) -> UnderLoad:
    radload = build_radload(tmp_path_factory.mktemp("load"))
    return UnderLoad(provider, bras, radload, lambda: EmbeddedPostgres(node.data / "postgres").url)


def test_any_process_of_the_node_is_killed(node: Node, under_load: UnderLoad) -> None:
    with under_load("killed"):
        for name in PROCESSES:
            kill(node, f"pvd-{name}")
            time.sleep(0.7)
    wait_for(node.answers)


def test_a_server_of_the_node_is_killed(node: Node, under_load: UnderLoad) -> None:
    with under_load("servers"):
        backend = next(iter(children_of(node.program("postgres"), "postgres")))
        os.kill(backend, signal.SIGKILL)
        time.sleep(2)
        kill(node, "postgres")
        time.sleep(2)
        kill(node, "valkey-server")
        time.sleep(2)
    wait_for(node.answers)


def test_postgresql_stands_still(node: Node, under_load: UnderLoad) -> None:
    with under_load("frozen"), stopped(node.postgres_family()):
        time.sleep(FREEZE_S)
    wait_for(node.answers)


def test_the_broker_stands_still_and_forgets_everything(node: Node, under_load: UnderLoad) -> None:
    url = EmbeddedValkey(node.data / "valkey").url.replace("redis+socket://", "unix://")
    with under_load("broker"), redis.Redis.from_url(url) as broker:
        for _ in range(3):
            broker.flushall()
            time.sleep(0.7)
        with stopped([node.program("valkey-server")]):
            time.sleep(BROKER_FREEZE_S)
        broker.flushall()


def test_the_supervisor_itself_is_killed(node: Node, under_load: UnderLoad) -> None:
    """Its children end with it, and who started it (systemd) starts it again."""
    with under_load("supervisor", gap_s_max=25):
        time.sleep(1)
        family = children_of(node.process.pid)
        node.process.kill()
        node.process.wait()
        node.launch()
        assert not [pid for pid in family if _alive(pid)]
        time.sleep(2)


def test_repeated_and_reordered_packets_are_one_record_each_and_one_session(
    node: Node, provider: Provider, under_load: UnderLoad
) -> None:
    """Each packet of a session from many ports to both workers, all of them in any order, again and again."""
    stamp = int(time.time())
    packets = [(1, stamp - 60, 0), (3, stamp - 40, 20), (3, stamp - 20, 40), (2, stamp, 60)] * 8
    random.Random(7).shuffle(packets)
    for number, packet in enumerate(packets):
        octets = accounting(number % 256, "shuffled", *packet)
        assert testclient.exchange("127.0.0.1", node.acct_port, octets) is not None
    with under_load.connect() as connection:

        def query(what: str, table: str) -> list[tuple[Any, ...]]:
            return connection.execute(f"SELECT {what} FROM {table} WHERE acct_session_id = 'shuffled'").fetchall()

        wait_for(lambda: query("count(*)", "accounting_record") == [(4,)])
        session = query(
            "session_seconds, input_octets, interims, stop_kind, extract(epoch FROM stopped_at)::bigint", "session"
        )
        assert session == [(60, 60_000, 2, "stop", stamp)]
        assert connection.execute("SELECT * FROM went_backwards").fetchall() == []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
