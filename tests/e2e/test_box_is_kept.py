"""A router is kept by a running node, by the command line: approved, backed up, restored, and given new passwords."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import routeros_api
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import PROVEDOR, Node, kill, wait_for

pytestmark = pytest.mark.e2e
PASSWORD = "api s3cret"
INTENT: dict[str, Any] = {
    "radius": {"servers": [{"address": "127.0.0.1"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
}
WIDER = "100.64.0.2-100.64.7.254"


@dataclass(frozen=True)
class Router:
    """`api`: by a client that is not ours, as another user of the router."""

    name: str
    nas_id: str
    address: str
    port: int
    sha256: str

    @contextmanager
    def api(self, user: str, password: str, *, port: int = 0, tls: bool = True) -> Iterator[Any]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pool = routeros_api.RouterOsApiPool(
            self.address, username=user, password=password, port=port or self.port, plaintext_login=True, use_ssl=tls,
            ssl_context=context if tls else None,
        )  # fmt: skip
        try:
            yield pool.get_api()
        finally:
            pool.disconnect()


@contextmanager
def simulated(address: str, port: int, *more: str) -> Iterator[str]:
    """What it says when it is ready."""
    command = [PROVEDOR, "simulate", "routeros", "--address", address, "--port", str(port), *more]
    environment = {**os.environ, "ROUTEROS_PASSWORD": PASSWORD}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.wait(10)


def rows(api: Any, menu: str) -> list[dict[str, str]]:
    """But for their ids."""
    return [{name: value for name, value in row.items() if name != "id"} for row in api.get_resource(menu).get()]


@pytest.fixture(scope="module")
def router(node: Node) -> Iterator[Router]:
    address, port = "127.0.1.21", free_port()
    with simulated(address, port, "--api-tls") as said:
        node.post("/device-credentials", {"name": "core", "user": "provedor", "password": PASSWORD})
        body = {"name": "kept", "address": address, "secret": NAS_SECRET, "vendor": "mikrotik",
                "routeros": {"credential": "core", "port": port}}  # fmt: skip
        nas = node.post("/nas", body)
        yield Router("kept", nas["id"], address, port, said.split()[-1])


def test_a_box_is_approved_changed_looked_after_and_restored(node: Node, router: Router, tmp_path: Path) -> None:
    node.run("nas", "certificate", router.name, "--approve", router.sha256)
    file = tmp_path / "intent.json"
    file.write_text(json.dumps(INTENT))
    node.run("provision", "intent", router.name, str(file))
    assert json.loads(node.run("provision", "apply", router.name, "--yes", "--json"))["state"] == "done"
    with router.api("provedor", PASSWORD) as api:
        api.get_resource("/user").add(name="joao", password="x", group="full")
    with router.api("joao", "x") as api:
        (pool,) = api.get_resource("/ip/pool").get(name="homes")
        api.get_resource("/ip/pool").set(id=pool["id"], ranges=WIDER)
        api.get_resource("/ip/firewall/filter").add(chain="forward", action="drop", comment="his")
    node.run("provision", "backup", "take", router.name)
    *_, last = json.loads(node.run("provision", "history", router.name, "--json"))[::-1]
    assert {"user": "joao", "actions": ["ip firewall filter added", "ip pool changed"]} in last["changed_by"]
    assert WIDER in str(last["changes"])
    accepted = json.loads(node.run("provision", "accept", router.name, "--yes", "--json"))
    assert (len(accepted["taken"]), accepted["rest"]) == (1, [])
    assert node.run("provision", "plan", router.name) == "the box is as it should be\n"
    drilled = json.loads(node.run("provision", "backup", "restore-drill", router.name, "--json"))
    assert (drilled["ok"], drilled["differences"]) == (True, [])
    assert NAS_SECRET not in node.run("provision", "backup", "show", router.name)
    export = tmp_path / "box.rsc"
    export.write_text(node.run("provision", "backup", "show", router.name, "--secrets"))
    port = free_port()
    with (
        simulated(router.address, port, "--config", str(export)),
        router.api("provedor", PASSWORD, port=port, tls=False) as new,
        router.api("joao", "x") as old,
    ):
        for menu in ("/ip/pool", "/ppp/profile", "/ip/firewall/filter", "/radius"):
            assert rows(new, menu) == rows(old, menu) != []


def test_a_worker_that_is_killed_while_it_rotates_leaves_us_able_to_log_in(node: Node, router: Router) -> None:
    with router.api("joao", "x") as api:
        api.get_resource("/simulate/faults").add(kind="slow", command="/user/set", seconds="3", when="after")
    credential = node.api.get("/device-credentials").json()["items"][0]
    (made,) = node.post("/provisioning/rotations", {"credential_id": credential["id"]})["items"]
    path = f"/provisioning/rotations/{made['id']}"
    wait_for(lambda: node.api.get(path).json()["state"] == "running")
    kill(node, "pvd-worker")
    node.run("nas", "certificate", router.name)  # which logs in
    wait_for(lambda: node.api.get(path).json()["state"] == "done", 240, every_s=0.5)
    node.run("provision", "backup", "take", router.name)
    with pytest.raises(routeros_api.exceptions.RouterOsApiError), router.api("provedor", PASSWORD):
        pass
    with router.api("joao", "x") as api:
        assert api.get_resource("/system/script").get() == api.get_resource("/system/scheduler").get() == []
