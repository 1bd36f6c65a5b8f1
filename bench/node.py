"""A whole node with 100,000 subscribers, for the load generator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core.access import Access
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, load_keyring
from core.policy import Policy
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import migrate

AUTH_PORT = 22812
ACCT_PORT = 22813


@dataclass(frozen=True)
class Node:
    data: Path
    process: subprocess.Popen[bytes]

    def proportional_memory_mb(self) -> float:
        """PSS of everything that the node started."""
        found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in found.splitlines()[1:]]
        family, grown = {self.process.pid}, True
        while grown:
            children = {pid for pid, parent in pairs if parent in family} - family
            family |= children
            grown = bool(children)
        return sum(map(_pss_kb, family)) / 1024


@contextmanager
def running_node(users: int) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="provedor-bench-") as directory:
        data = Path(directory) / "data"
        _seed(data, users)
        environment = {
            **os.environ, "PROVEDOR_DATA": str(data), "PROVEDOR_RADIUS_HOST": "127.0.0.1",
            "PROVEDOR_RADIUS_AUTH_PORT": str(AUTH_PORT), "PROVEDOR_RADIUS_ACCT_PORT": str(ACCT_PORT),
            "PROVEDOR_HTTP_PORT": "22800", "PROVEDOR_METRICS_PORT": "22900",
        }  # fmt: skip
        program = str(Path(sys.executable).parent / "provedor")
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([program, "up"], env=environment, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Node(data, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _seed(data: Path, users: int) -> None:
    data.mkdir(parents=True, mode=0o700)
    keyring = load_keyring(data / "secret.key")
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    migrate(server.url)
    policy = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300)
    with psycopg.connect(server.url) as connection:
        _seed_rows(connection, policy, keyring.seal("testing123", NAS_SECRET))
        row = connection.execute("SELECT (SELECT id FROM contract), (SELECT id FROM plan)").fetchone()
        assert row is not None
        with connection.cursor().copy(
            "COPY service (contract_id, plan_id, kind, login, password_encrypted, policy_fingerprint) FROM STDIN"
        ) as copy:
            for number in range(users):
                sealed = keyring.seal(f"pass{number:07d}", SERVICE_PASSWORD)
                copy.write_row((*row, "pppoe", f"user{number:07d}", sealed, policy.fingerprint))
    server.stop()


def _seed_rows(connection: psycopg.Connection[tuple[object, ...]], policy: Policy, secret: bytes) -> None:
    execute = connection.execute
    body = psycopg.types.json.Jsonb(policy.to_body())
    execute("INSERT INTO policy_version (fingerprint, body) VALUES (%s, %s)", (policy.fingerprint, body))
    execute(
        "INSERT INTO nas (name, address, secret_encrypted, vendor) VALUES ('b', '127.0.0.1', %s, 'mikrotik')", (secret,)
    )
    execute("INSERT INTO customer (name, kind) VALUES ('b', 'person')")
    execute(
        "INSERT INTO contract (customer_id, payer_id, due_day, started_on) SELECT id, id, 1, '2026-01-01' FROM customer"
    )
    execute(
        "INSERT INTO plan (name, down_kbps, up_kbps, address_pool, interim_seconds, throttle_down_kbps, "
        "throttle_up_kbps, price_cents) VALUES ('b', 200000, 50000, 'residential', 300, 1024, 1024, 0)"
    )


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
