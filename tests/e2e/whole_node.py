"""A running node as tests see it: `provedor up` on ports of its own, and clients from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from clusters import discard
from free_ports import free_port, free_ports

from provedor.embedded import EmbeddedPostgres

#: From the first of a node's on, each of its processes has one.
METRICS_PORTS = 16
PROVEDOR = str(Path(sys.executable).parent / "provedor")


@dataclass
class Node:
    environment: dict[str, str]
    api: httpx.Client
    url: str
    auth_port: int
    acct_port: int
    data: Path
    #: The supervisor.
    process: subprocess.Popen[bytes] = field(init=False)

    def run(self, *arguments: str, check: bool = True, **environment: str) -> str:
        done = subprocess.run(
            [PROVEDOR, *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.post(path, json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def child(self, name: str) -> int:
        """The process id of one of the node's own processes, such as auth-0."""
        return self.program(f"pvd-{name}")

    def program(self, name: str) -> int:
        """The process id of what the supervisor started under this name; 0 while nothing runs."""
        return next(iter(children_of(self.process.pid, name)), 0)

    def postgres_family(self) -> list[int]:
        """The embedded PostgreSQL's postmaster and its backends."""
        postmaster = self.program("postgres")
        return [postmaster, *children_of(postmaster)]

    def answers(self) -> bool:
        try:
            return self.api.get(self.url + "/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def launch(self, *arguments: str, **environment: str) -> None:
        """`provedor up`, until it says that it is ready."""
        with (self.data.parent / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROVEDOR, "up", *arguments], env=self.environment | environment, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("provedor ready"):
            self.process.kill()
            pytest.fail((self.data.parent / "node.log").read_text())

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(60) == 0
        finally:
            self.process.kill()  # does nothing to one that has ended

    def log_in(self) -> None:
        """Make a token and use it from now on."""
        token = self.run("token", "create", f"e2e-{time.time_ns()}", "--role", "admin").strip()
        self.api.headers["Authorization"] = f"Bearer {token}"


@contextmanager
def radius_node(data: Path, first: Node, **environment: str) -> Iterator[Node]:
    """RADIUS alone, beside a whole node: the same database and key file, and everything else of its own."""
    auth, acct = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    settings = {
        **first.environment,
        "PROVEDOR_DATA": str(data),
        "PROVEDOR_SECRET_KEY_FILE": str(first.data / "secret.key"),
        "PROVEDOR_RADIUS_AUTH_PORT": str(auth),
        "PROVEDOR_RADIUS_ACCT_PORT": str(acct),
        "PROVEDOR_METRICS_PORT": str(free_ports(METRICS_PORTS)),
        **environment,
    }
    node = Node(settings, first.api, first.url, auth, acct, data)
    node.launch("--only", "radius")
    try:
        yield node
    finally:
        node.terminate()


@contextmanager
def whole_node(data: Path, **environment: str) -> Iterator[Node]:
    """A node on ports of its own, everything started and somebody logged in."""
    auth, acct, http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM), free_port()
    settings = {
        **os.environ,
        "PROVEDOR_DATA": str(data),
        "PROVEDOR_RADIUS_HOST": "127.0.0.1,::1",
        "PROVEDOR_RADIUS_AUTH_PORT": str(auth),
        "PROVEDOR_RADIUS_ACCT_PORT": str(acct),
        "PROVEDOR_RADIUS_WORKERS": "2",
        "PROVEDOR_HTTP_PORT": str(http),
        "PROVEDOR_METRICS_PORT": str(free_ports(METRICS_PORTS)),
        **environment,
    }
    url = f"http://127.0.0.1:{http}"
    with httpx.Client(base_url=url + "/api/v1", timeout=30) as api:
        node = Node(settings, api, url, auth, acct, data)
        node.launch()
        try:
            node.log_in()
            yield node
        finally:
            node.terminate()
            discard(EmbeddedPostgres(data / "postgres"))


def kill(node: Node, name: str) -> None:
    """Kill what runs under this name and wait until another does."""
    before = node.program(name)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: node.program(name) not in {0, before})


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """They stand still, and go on after the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def children_of(parent: int, name: str = "") -> list[int]:
    """Process ids, of those with this name or of all."""
    command = ["pgrep", "-P", str(parent), *(["-x", name] if name else [])]
    return [int(pid) for pid in subprocess.run(command, capture_output=True, check=False).stdout.split()]


def wait_for(check: Any, timeout_s: float = 60.0, every_s: float = 0.01) -> float:
    """Seconds until `check()` is true; fails when it never is. A check that costs much is made seldom."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        if check():
            return time.monotonic() - started
        time.sleep(every_s)
    pytest.fail("it did not happen in time")
