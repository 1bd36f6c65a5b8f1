"""Gateways as they stand beside a node: each simulator a process of its own, with an account of ours there."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from whole_node import PROVEDOR, Node

from billing_hooks.simulators.made_up import make_up


@dataclass
class Gateway:
    """`said`: what its process says: how it is reached, and then each webhook that it sent, with our answer."""

    name: str
    account_id: str
    url: str
    said: list[str]

    def answers(self) -> list[str]:
        """Of ours to its webhooks, one status each; --- is none."""
        return [line[:3] for line in self.said if ": " not in line]

    def simulate(self, path: str) -> Any:
        """What its customers, its staff and its bad days do."""
        answer = httpx.post(f"{self.url}/_simulate/{path}", json={}, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pay(self, charge_id: str) -> None:
        self.simulate(f"charges/{charge_id}/pay")


@contextmanager
def gateways(node: Node, *names: str, options: tuple[str, ...] = ()) -> Iterator[dict[str, Gateway]]:
    with ExitStack() as stack:
        yield {name: _start(name, node, options, stack) for name in names}


def _start(name: str, node: Node, options: tuple[str, ...], stack: ExitStack) -> Gateway:
    account = make_up(name, datetime.now(UTC))
    command = [PROVEDOR, "simulate", "gateway", name, "--hook", f"{node.url}/hooks/{name}", *account.options()]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    assert process.stdout is not None
    base_url = process.stdout.readline().split(" on ")[1].split(",")[0]
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
    row = node.post("/gateway-accounts", {"gateway": name, "name": name, "secret": account.secret,
                                          "credentials": account.credentials,
                                          "settings": {**account.settings, "base_url": base_url}})  # fmt: skip
    place = urlsplit(base_url)
    return Gateway(name, row["id"], f"{place.scheme}://{place.netloc}", said)
