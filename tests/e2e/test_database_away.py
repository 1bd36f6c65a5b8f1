"""A node whose PostgreSQL is somebody else's: held down, away while RADIUS starts, and away until the disk is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import discard
from loads import GAP_S_MAX, AccountingLoad, AuthenticationLoad, Ledger, UnderLoad, build_radload, check_accounting
from small_provider import Provider
from whole_node import Node, wait_for, whole_node
from wire import accounting

from aaa import testclient
from aaa.bras.subscriber import Subscriber
from provedor.embedded import EmbeddedPostgres

pytestmark = pytest.mark.e2e

#: For how long PostgreSQL is gone; the bar is a minute, which the whole suite has no time for.
HELD_DOWN_S = float(os.environ.get("PROVEDOR_E2E_FREEZE_S", "12"))
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The cluster that the node is pointed at; the tests start and kill it."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("outside") / "pg")
    server.start()
    yield server
    discard(server)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The spool's directory, on a small disk of its own."""
    spool = tmp_path_factory.mktemp("node") / "data" / "spool"
    spool.mkdir(parents=True, mode=0o700)
    mount(spool, 256 * MEBIBYTE)
    yield spool
    subprocess.run(["umount", str(spool)], check=True)


@pytest.fixture(scope="module")
def node(server: EmbeddedPostgres, spool: Path) -> Iterator[Node]:
    with whole_node(spool.parent, PROVEDOR_DATABASE_URL=server.url) as node:
        yield node


@pytest.fixture(scope="module")
def radload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_radload(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def under_load(provider: Provider, bras: dict[str, Subscriber], radload: Path, server: EmbeddedPostgres) -> UnderLoad:
    return UnderLoad(provider, bras, radload, lambda: server.url)


def mount(directory: Path, octets: int, *options: str) -> None:
    """A disk in memory; with the option remount, the one that is there becomes as large as this."""
    what = ",".join([*options, f"size={octets}", "mode=0700"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", what, "tmpfs", str(directory)], check=True)


def kill(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def test_postgresql_is_held_down(node: Node, server: EmbeddedPostgres, under_load: UnderLoad) -> None:
    with under_load("held-down"):
        kill(server)
        time.sleep(HELD_DOWN_S)
        server.start()
    wait_for(node.answers)


def test_while_the_disk_is_full_nothing_is_acknowledged_and_nothing_that_was_is_lost(
    node: Node, server: EmbeddedPostgres, spool: Path, under_load: UnderLoad, radload: Path
) -> None:
    probes: Ledger = Ledger()

    def acknowledged(identifier: int) -> bool:
        """Whether the worker of this Identifier takes one record more."""
        name = f"probe-{len(probes)}"
        octets = accounting(identifier, name, 1, int(time.time()), 0)
        answered = testclient.exchange("127.0.0.1", node.acct_port, octets, tries=1, timeout_s=0.5) is not None
        probes[name, 1] += answered
        return answered

    kill(server)
    mount(spool, shutil.disk_usage(spool).used + MEBIBYTE, "remount")
    logins, load = AuthenticationLoad(node.auth_port), AccountingLoad(radload, node.acct_port, "full")
    logins.start()
    load.start()
    wait_for(lambda: not acknowledged(0) and not acknowledged(1))
    refused = [acknowledged(number % 2) for number in range(4)]
    server.start()
    wait_for(lambda: acknowledged(0) and acknowledged(1))
    load.finish()
    logins.finish()
    assert not any(refused)
    assert logins.longest_gap_s < GAP_S_MAX
    with under_load.connect() as connection:
        check_accounting(connection, "full", load.ledger)
        stored = connection.execute(
            "SELECT acct_session_id FROM accounting_record WHERE acct_session_id LIKE 'probe-%'"
        )
        assert sorted(name for (name,) in stored) == sorted(name for (name, _), count in probes.items() if count)
    mount(spool, 256 * MEBIBYTE, "remount")


def test_a_radius_node_starts_and_serves_while_the_database_is_away(
    node: Node, provider: Provider, server: EmbeddedPostgres, under_load: UnderLoad, radload: Path
) -> None:
    node.terminate()
    server.stop()
    node.launch("--only", "radius")
    assert "Access-Accept" in provider.radclient("cliente1", "senha1")
    assert not node.program("valkey-server")
    load = AccountingLoad(radload, node.acct_port, "alone")
    load.start()
    load.finish()
    server.start()
    with under_load.connect() as connection:
        check_accounting(connection, "alone", load.ledger)
    node.terminate()


def test_a_whole_node_serves_radius_until_the_database_is_back_and_everything_then(
    node: Node, provider: Provider, server: EmbeddedPostgres
) -> None:
    server.stop()
    ready = threading.Thread(target=node.launch)
    ready.start()
    wait_for(lambda: "Access-Accept" in provider.radclient("cliente1", "senha1"))
    assert ready.is_alive()
    assert not node.answers()
    server.start()
    ready.join(60)
    assert not ready.is_alive()
    wait_for(node.answers)
