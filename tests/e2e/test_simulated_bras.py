"""`provedor simulate bras` with many sessions against a whole node: all online, a reboot, and goodbye."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_provider import NAS_SECRET
from whole_node import PROVEDOR, Node, wait_for, whole_node

from core.access import Access
from core.keyring import NAS_SECRET as NAS_PURPOSE
from core.keyring import SERVICE_PASSWORD, load_keyring
from core.policy import Policy
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import migrate

pytestmark = pytest.mark.e2e

#: It can hold 10,000; the whole suite has time for fewer.
SESSIONS = int(os.environ.get("PROVEDOR_E2E_SESSIONS", "1000"))
POLICY = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("bras") / "data"
    data.mkdir(mode=0o700)
    seed(data)
    with whole_node(data) as node:
        yield node


@dataclass
class Bras:
    process: subprocess.Popen[bytes]
    control: Path

    def ask(self, do: str) -> dict[str, int]:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.control))
            one.sendall(json.dumps({"do": do}).encode() + b"\n")
            return json.loads(one.makefile().readline())  # type: ignore[no-any-return]

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


@pytest.fixture(scope="module")
def bras(node: Node) -> Iterator[Bras]:
    control = node.data.parent / "bras.sock"
    command = [PROVEDOR, "simulate", "bras", "--users", str(SESSIONS), "--ramp", "1000", "--interim", "5",
               "--redial", "1-3", "--control", str(control)]  # fmt: skip
    process = subprocess.Popen(command, env=node.environment, stdout=subprocess.DEVNULL)
    wait_for(control.exists)
    yield Bras(process, control)
    process.kill()
    process.wait()


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(EmbeddedPostgres(node.data / "postgres").url, autocommit=True) as connection:
        yield connection


def seed(data: Path) -> None:
    """Services by the thousand; through the API that would take minutes."""
    keyring = load_keyring(data / "secret.key")
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    migrate(server.url)
    with psycopg.connect(server.url) as connection:
        execute = connection.execute
        body = psycopg.types.json.Jsonb(POLICY.to_body())
        execute("INSERT INTO policy_version (fingerprint, body) VALUES (%s, %s)", (POLICY.fingerprint, body))
        execute(
            "INSERT INTO nas (name, address, secret_encrypted, vendor) VALUES ('bras', '127.0.0.1', %s, 'mikrotik')",
            (keyring.seal(NAS_SECRET, NAS_PURPOSE),),
        )
        execute("INSERT INTO customer (name, kind) VALUES ('all', 'person')")
        execute("INSERT INTO contract (customer_id, payer_id, due_day, started_on) VALUES (1, 1, 1, '2026-01-01')")
        execute(
            "INSERT INTO plan (name, down_kbps, up_kbps, interim_seconds, throttle_down_kbps, throttle_up_kbps, "
            "price_cents) VALUES ('Fibra', 200000, 50000, 300, 1024, 1024, 0)"
        )
        with connection.cursor().copy(
            "COPY service (contract_id, plan_id, kind, login, password_encrypted, policy_fingerprint) FROM STDIN"
        ) as copy:
            for number in range(SESSIONS):
                sealed = keyring.seal(f"pass{number:07d}", SERVICE_PASSWORD)
                copy.write_row((1, 1, "pppoe", f"user{number:07d}", sealed, POLICY.fingerprint))
    server.stop()


def live(connection: psycopg.Connection[Any]) -> int:
    return int(connection.execute("SELECT count(*) FROM session WHERE stopped_at IS NULL").fetchone()[0])  # type: ignore[index]


def ended_by(connection: psycopg.Connection[Any]) -> dict[str, int]:
    rows = connection.execute("SELECT stop_kind, count(*) FROM session WHERE stopped_at IS NOT NULL GROUP BY 1")
    return dict(rows.fetchall())


def traffic(connection: psycopg.Connection[Any]) -> list[tuple[int, int]]:
    """Octets of each live session."""
    return connection.execute(
        "SELECT id, input_octets + output_octets FROM session WHERE stopped_at IS NULL ORDER BY id"
    ).fetchall()


def test_everybody_is_online_and_accounted(bras: Bras, connection: psycopg.Connection[Any]) -> None:
    took_s = wait_for(lambda: bras.ask("status")["online"] == SESSIONS, 60 + SESSIONS / 100, every_s=0.2)
    wait_for(lambda: live(connection) == SESSIONS, every_s=0.2)
    before = traffic(connection)
    moved_s = wait_for(
        lambda: all(now > then for then, now in zip(before, traffic(connection), strict=True)), 60, every_s=0.2
    )
    assert bras.ask("status")["rejects"] == 0
    print(f"{SESSIONS} online in {took_s:.1f} s, {moved_s:.1f} s until all moved, {bras.memory_mb():.0f} MB")  # noqa: T201


def test_a_reboot_closes_every_session_and_locks_nobody_out(bras: Bras, connection: psycopg.Connection[Any]) -> None:
    bras.ask("reboot")
    took_s = wait_for(lambda: bras.ask("status")["online"] == SESSIONS, 60 + SESSIONS / 100, every_s=0.2)
    wait_for(lambda: (ended_by(connection), live(connection)) == ({"nas_reboot": SESSIONS}, SESSIONS), every_s=0.2)
    assert bras.ask("status")["rejects"] == 0
    print(f"{SESSIONS} online {took_s:.1f} s after a reboot")  # noqa: T201


def test_a_shutdown_ends_every_session_with_a_stop(bras: Bras, connection: psycopg.Connection[Any]) -> None:
    bras.process.send_signal(signal.SIGTERM)
    assert bras.process.wait(15) == 0
    wait_for(
        lambda: (ended_by(connection), live(connection)) == ({"nas_reboot": SESSIONS, "stop": SESSIONS}, 0),
        60,
        every_s=0.2,
    )
