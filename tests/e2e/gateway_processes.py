"""Gateways as they stand beside a node: each simulator a process of its own, with an account of ours there."""

from __future__ import annotations

import base64
import secrets
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

from billing_hooks.gateways import ADAPTERS
from billing_hooks.simulators.pix import self_signed

PIX_KEY = "71cdf9ba-c695-4e3c-b010-abb521a3f1be"


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


def _secret_for(name: str) -> str:
    """In the form that the gateway has."""
    if name == "stripe":
        return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    return secrets.token_hex(20)


def _start(name: str, node: Node, options: tuple[str, ...], stack: ExitStack) -> Gateway:
    secret = _secret_for(name)
    made_up = self_signed(datetime.now(UTC)) if name == "pix" else {}
    credentials = {one: made_up.get(one) or secrets.token_hex(16) for one in ADAPTERS[name].credentials}
    settings = {"pix_key": PIX_KEY} if name == "pix" else {}
    command = [PROVEDOR, "simulate", "gateway", name, "--hook", f"{node.url}/hooks/{name}", "--secret", secret]
    for key, value in {**credentials, **settings}.items():
        command += ["--credential", f"{key}={value}"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    assert process.stdout is not None
    base_url = process.stdout.readline().split(" on ")[1].split(",")[0]
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
    account = node.post("/gateway-accounts", {"gateway": name, "name": name, "secret": secret,
                                              "credentials": credentials,
                                              "settings": {**settings, "base_url": base_url}})  # fmt: skip
    place = urlsplit(base_url)
    return Gateway(name, account["id"], f"{place.scheme}://{place.netloc}", said)
