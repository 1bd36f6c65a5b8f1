"""A whole node from an empty directory: `provedor up` on ports of its own, and clients from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from whole_node import PROVEDOR, Node, free_port


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("node") / "data"
    auth, acct, http, metrics = (free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM), free_port(), free_port())
    environment = {
        **os.environ,
        "PROVEDOR_DATA": str(data),
        "PROVEDOR_RADIUS_HOST": "127.0.0.1,::1",
        "PROVEDOR_RADIUS_AUTH_PORT": str(auth),
        "PROVEDOR_RADIUS_ACCT_PORT": str(acct),
        "PROVEDOR_HTTP_PORT": str(http),
        "PROVEDOR_METRICS_PORT": str(metrics % 50000 + 10000),
    }
    log = (data.parent / "node.log").open("wb")
    process = subprocess.Popen([PROVEDOR, "up"], env=environment, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("provedor ready"), (data.parent / "node.log").read_text()
    token = subprocess.run(
        [PROVEDOR, "token", "create", "e2e", "--role", "admin"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    url = f"http://127.0.0.1:{http}"
    api = httpx.Client(base_url=url + "/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    yield Node(environment, process, api, url, auth, acct, data)
    api.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
