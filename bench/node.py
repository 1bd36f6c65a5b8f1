"""A whole node (`provedor up`) on ports of its own, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from aaa import testclient
from aaa.authenticator import SharedSecret
from aaa.packet import Code
from bench import seed
from provedor.embedded import EmbeddedPostgres
from provedor.radius import FEEDER_METRICS

#: The benchmark's ports begin here; another run on the same machine takes others.
BASE_PORT = int(os.environ.get("BENCH_PORTS", "22800"))
HTTP_PORT = BASE_PORT
AUTH_PORT = BASE_PORT + 12
ACCT_PORT = BASE_PORT + 13
COA_PORT = BASE_PORT + 20
PEER_PORT = BASE_PORT + 30
METRICS_PORT = BASE_PORT + 40
PROGRAM = str(Path(sys.executable).parent / "provedor")
START_S_MAX = 120.0
#: Hundredths of a second of all its processes in half a second: what a node without load needs, and a little.
IDLE_TICKS_MAX = 8
IDLE_S_MAX = 120.0


@dataclass(frozen=True)
class Node:
    """`ready_s`: from its start to its own word; `serving_s`: until a login was accepted as well."""

    data: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    ready_s: float
    serving_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{HTTP_PORT}"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(EmbeddedPostgres(self.data / "postgres").url, autocommit=True)

    def api(self) -> httpx.Client:
        """As an administrator."""
        token = subprocess.run(
            [PROGRAM, "token", "create", f"bench-{time.monotonic_ns()}", "--role", "admin"],
            env=self.environment, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url + "/api/v1", headers=headers, timeout=30)

    def pss_mb(self) -> float:
        """Proportional set size of everything that the node started, PostgreSQL and Valkey included."""
        return sum(_rollup_kb(pid, "Pss:") for pid in self._family()) / 1024

    def private_octets(self, child: str) -> int:
        """What one process has for itself alone (USS)."""
        for pid in self._family():
            if Path(f"/proc/{pid}/comm").read_text().strip() == f"pvd-{child}":
                return 1024 * _rollup_kb(pid, "Private_Clean:", "Private_Dirty:")
        raise LookupError(f"the node has no process {child}")

    def await_idle(self) -> None:
        """Until it has done what its last load left to do, so that this does not slow whoever is measured next."""
        before, deadline = self._cpu_ticks(), time.monotonic() + IDLE_S_MAX
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self._cpu_ticks()
            if now - before <= IDLE_TICKS_MAX:
                return
            before = now
        raise TimeoutError("the node does not come to rest")

    def await_revision(self, revision: int) -> None:
        """Until every authentication worker works from it."""
        deadline = time.monotonic() + IDLE_S_MAX
        while time.monotonic() < deadline:
            page = httpx.get(f"http://127.0.0.1:{METRICS_PORT + FEEDER_METRICS}/metrics").text
            stands = [
                sample.value
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.name == "provedor_radius_revision" and sample.labels["worker"].startswith("auth-")
            ]
            if stands and min(stands) >= revision:
                return
            time.sleep(0.1)
        raise TimeoutError("a worker never heard of what changed")

    def _cpu_ticks(self) -> int:
        ticks = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks

    def _family(self) -> set[int]:
        found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in found.splitlines()[1:]]
        family, grown = {self.process.pid}, True
        while grown:
            children = {pid for pid, parent in pairs if parent in family} - family
            family |= children
            grown = bool(children)
        return {pid for pid in family if Path(f"/proc/{pid}").exists()}


@contextmanager
def running_node(data: Path, *arguments: str, **settings: str) -> Iterator[Node]:
    environment = {
        **os.environ, "PROVEDOR_DATA": str(data), "PROVEDOR_RADIUS_HOST": "127.0.0.1",
        "PROVEDOR_RADIUS_AUTH_PORT": str(AUTH_PORT), "PROVEDOR_RADIUS_ACCT_PORT": str(ACCT_PORT),
        "PROVEDOR_HTTP_PORT": str(HTTP_PORT), "PROVEDOR_METRICS_PORT": str(METRICS_PORT), **settings,
    }  # fmt: skip
    started = time.monotonic()
    with (data.parent / "node.log").open("ab") as log:
        process = subprocess.Popen([PROGRAM, "up", *arguments], env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        spoke, _, _ = select.select([process.stdout], [], [], START_S_MAX)
        if not spoke or not process.stdout.readline().startswith(b"provedor ready"):
            raise RuntimeError(f"the node did not start: {(data.parent / 'node.log').read_text()[-2000:]}")
        ready_s = time.monotonic() - started
        _await_first_login(started + START_S_MAX)
        yield Node(data, environment, process, ready_s, time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _await_first_login(deadline: float) -> None:
    """Ask as a NAS would until a subscriber is let in."""
    secret = SharedSecret(seed.SECRET.encode())
    while time.monotonic() < deadline:
        request = testclient.access_request(1, seed.login(0), "pass0000000", "pap", b"", secret, os.urandom)
        reply = testclient.exchange("127.0.0.1", AUTH_PORT, request.octets, tries=1, timeout_s=0.2)
        if reply is not None and testclient.reply_valid(reply, request, secret) and reply.code == Code.ACCESS_ACCEPT:
            return
    raise RuntimeError("no subscriber was let in")


def _rollup_kb(pid: int, *fields: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(fields))
