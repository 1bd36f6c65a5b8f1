"""Simulated RouterOS boxes as processes of their own, managed by a node, and seen by a client that is not ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import routeros_api
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import PROVEDOR, Node

PASSWORD = "api s3cret"


@dataclass(frozen=True)
class Router:
    """Of this name in its NAS entry."""

    name: str
    nas_id: str
    address: str
    port: int

    @contextmanager
    def api(self) -> Iterator[Any]:
        pool = routeros_api.RouterOsApiPool(
            self.address, username="provedor", password=PASSWORD, port=self.port, plaintext_login=True
        )
        try:
            yield pool.get_api()
        finally:
            pool.disconnect()

    def rows(self, menu: str, **where: str) -> list[dict[str, str]]:
        with self.api() as api:
            return list(api.get_resource(menu).get(**where))

    def add(self, menu: str, **row: str) -> None:
        with self.api() as api:
            api.get_resource(menu).add(**row)

    def remove(self, menu: str, row_id: str) -> None:
        with self.api() as api:
            api.get_resource(menu).remove(id=row_id)

    def order(self, **fault: str) -> None:
        self.add("/simulate/faults", **fault)

    def take_back_orders(self) -> None:
        with self.api() as api:
            api.get_resource("/simulate/faults").call("clear")

    def dial(self, login: str, password: str) -> None:
        with self.api() as api:
            api.get_resource("/simulate/subscribers").call("dial", {"name": login, "password": password})

    def online(self) -> dict[str, str]:
        """{login: address}"""
        return {row["name"]: row["address"] for row in self.rows("/ppp/active")}


@contextmanager
def simulated_router(node: Node, name: str, address: str, *options: str) -> Iterator[Router]:
    """With a NAS entry of this name. `options`: of `provedor simulate routeros`."""
    port = free_port()
    command = [PROVEDOR, "simulate", "routeros", "--address", address, "--port", str(port), *options]
    environment = {**os.environ, "ROUTEROS_PASSWORD": PASSWORD}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        nas = node.post(
            "/nas",
            {"name": name, "address": address, "secret": NAS_SECRET, "vendor": "mikrotik",
             "routeros": {"user": "provedor", "port": port, "tls": False}, "routeros_password": PASSWORD},
        )  # fmt: skip
        yield Router(name, nas["id"], address, port)
    finally:
        process.terminate()
        process.wait(10)
