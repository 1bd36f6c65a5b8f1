"""A running node as tests see it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PROVEDOR = str(Path(sys.executable).parent / "provedor")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Node:
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    api: httpx.Client
    url: str
    auth_port: int
    acct_port: int
    data: Path

    def run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [PROVEDOR, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.post(path, json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def child(self, name: str) -> int:
        """The process id of one of the node's processes."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-x", f"pvd-{name}"], capture_output=True, check=True
        )
        return int(found.stdout.split()[0])


def wait_for(check: Any, timeout_s: float = 30.0) -> float:
    """Seconds until `check()` is true; fails when it never is."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        if check():
            return time.monotonic() - started
        time.sleep(0.01)
    pytest.fail("it did not happen in time")
