"""The embedded servers come back after a kill, whatever the killed one left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from clusters import discard

from provedor.embedded import EmbeddedPostgres, EmbeddedValkey
from provedor.embedded.postgres import StillInUse, buffers_mb

OWNER = """
import sys, time
from pathlib import Path
from provedor.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fsync=False)
server.start()
print(server.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("cluster") / "pg")
    server.start()
    yield server
    discard(server)


def kill_postmaster(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert server.exit_code() == -signal.SIGKILL


def launch_until_it_serves(server: EmbeddedPostgres) -> None:
    """As the supervisor does: again while it says not now, or ends."""
    for _ in range(200):
        try:
            if server.exit_code() is not None:
                server.launch()
            psycopg.connect(server.url, connect_timeout=2).close()
        except (StillInUse, psycopg.OperationalError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it does not come back")


def ended(pid: int) -> bool:
    """Gone, or a zombie that the first process has not buried."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split()[2] == "Z"


def backend_of(connection: psycopg.Connection[Any]) -> int:
    return connection.info.backend_pid


def test_a_killed_postmaster_comes_back_with_what_was_committed_and_the_same_password(server: EmbeddedPostgres) -> None:
    url = server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    kill_postmaster(server)
    launch_until_it_serves(server)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_backend_that_outlives_its_postmaster_is_ended_first(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        backend = backend_of(connection)
        os.kill(backend, signal.SIGSTOP)  # it cannot notice that its postmaster is gone
        kill_postmaster(server)
        with pytest.raises(StillInUse, match=str(backend)):
            server.launch()
        launch_until_it_serves(server)
        assert ended(backend)


def test_a_lock_file_that_names_another_living_process_is_no_hindrance(server: EmbeddedPostgres) -> None:
    kill_postmaster(server)
    lock = server._data / "postmaster.pid"
    rest = lock.read_text().split("\n", 1)[1]
    with subprocess.Popen(["sleep", "60"], **server._identity()) as other:
        lock.write_text(f"{other.pid}\n{rest}")
        launch_until_it_serves(server)
        assert other.poll() is None
        other.kill()


def test_a_start_waits_for_the_postgresql_of_an_owner_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "pg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        first = int(owner.stdout.readline())
        owner.kill()
    server = EmbeddedPostgres(tmp_path / "pg", fsync=False)
    server.start()
    assert server.process is not None
    assert server.process.pid != first
    discard(server)


def test_a_running_postgresql_of_another_owner_is_left_alone(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    with pytest.raises(StillInUse, match=str(server.process.pid)):
        EmbeddedPostgres(server._directory, fsync=False).launch()
    psycopg.connect(server.url).close()


def test_a_killed_valkey_comes_back_under_the_same_address(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    assert server.process is not None
    client = redis.Redis.from_url(server.url.replace("redis+socket://", "unix://"))
    server.process.kill()
    server.process.wait()
    server.launch()
    for _ in range(200):
        try:
            assert client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.02)
    assert server.exit_code() is None
    client.close()
    server.stop()


@pytest.mark.parametrize(
    ("memory_mb", "expected_mb"), [(512, 64), (1024, 64), (2048, 128), (4096, 256), (262_144, 256)]
)
def test_buffers_are_a_share_of_the_machine_within_bounds(memory_mb: int, expected_mb: int) -> None:
    assert buffers_mb(memory_mb) == expected_mb
