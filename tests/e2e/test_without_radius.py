"""A small provider's router without RADIUS, kept by a running node: by the command line, seen by a client that is not
ours, with subscribers that dial, debts that are not paid and are, and a worker that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import routeros_api
from routeros_api.exceptions import RouterOsApiCommunicationError
from small_provider import NAS_SECRET, Provider
from whole_node import PROVEDOR, Node, free_port, kill, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("node")]
PASSWORD = "api s3cret"
VERSIONS = ("6.49", "7.18")
INTENT: dict[str, Any] = {
    "pools": [{"name": "residential", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "residential"},
    "walled_garden": {"portal": "192.0.2.80"},
}


@dataclass(frozen=True)
class Router:
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

    def dial(self, login: str, password: str) -> None:
        with self.api() as api:
            api.get_resource("/simulate/subscribers").call("dial", {"name": login, "password": password})

    def garden(self) -> list[str]:
        return [row["address"] for row in self.rows("/ip/firewall/address-list", list="walled-garden")]

    def online(self, login: str) -> list[str]:
        return [row["address"] for row in self.rows("/ppp/active", name=login)]


@pytest.fixture(params=VERSIONS, scope="module")
def router(
    request: pytest.FixtureRequest, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    node = provider.node
    address, port = f"127.0.2.{VERSIONS.index(request.param) + 1}", free_port()
    command = [PROVEDOR, "simulate", "routeros", "--address", address, "--port", str(port), "--version", request.param]
    process = subprocess.Popen(
        command, env={**os.environ, "ROUTEROS_PASSWORD": PASSWORD}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        nas = node.post(
            "/nas",
            {"name": f"local-{request.param}", "address": address, "secret": NAS_SECRET, "vendor": "mikrotik",
             "routeros": {"user": "provedor", "port": port, "tls": False}, "routeros_password": PASSWORD},
        )  # fmt: skip
        file = tmp_path_factory.mktemp("intent") / "intent.json"
        file.write_text(json.dumps(INTENT))
        node.run("provision", "intent", nas["name"], str(file))
        node.run("provision", "apply", nas["name"], "--yes")
        shown = node.run("provision", "local", "serve", nas["name"], "--yes")
        assert "/ppp/secret add: " in shown
        yield Router(nas["name"], nas["id"], address, port)
        node.run("provision", "local", "leave", nas["name"], "--yes")
        wait_for(lambda: node.api.get(f"/nas/{nas['id']}/local").status_code == 404)
    finally:
        process.terminate()
        process.wait(10)


def test_who_owes_is_in_the_walled_garden_within_a_second_and_out_of_it_when_he_pays(
    provider: Provider, router: Router
) -> None:
    service = provider.services[0]
    router.dial(service["login"], service["login"].replace("cliente", "senha"))
    (address,) = router.online(service["login"])
    for _ in range(5):
        began = time.monotonic()
        hold = provider.hold(service, "walled_garden")
        wait_for(lambda: router.garden() == [address], 10, every_s=0.02)
        assert time.monotonic() - began < 5  # the bar of a second is the benchmark's
        provider.lift(service, hold)
        wait_for(lambda: router.garden() == [], 10, every_s=0.02)
    assert router.online(service["login"]) == [address]


def test_a_wrong_password_is_refused_and_a_new_one_is_known_within_seconds(provider: Provider, router: Router) -> None:
    service = provider.services[1]
    with pytest.raises(RouterOsApiCommunicationError, match="authentication failed"):
        router.dial(service["login"], "wrong")
    provider.node.api.patch(f"/services/{service['id']}", json={"password": "an0ther"}).raise_for_status()
    (row,) = router.rows("/ppp/secret", name=service["login"])

    def is_new() -> bool:
        return router.rows("/ppp/secret", name=service["login"])[0]["password"] == "an0ther"

    wait_for(is_new, 20)
    router.dial(service["login"], "an0ther")
    provider.node.api.patch(f"/services/{service['id']}", json={"password": row["password"]}).raise_for_status()


def test_a_worker_that_is_killed_in_the_middle_leaves_nothing_undone(provider: Provider, router: Router) -> None:
    services = provider.services[2:6]
    for service in services:
        router.dial(service["login"], service["login"].replace("cliente", "senha"))
    addresses = sorted(address for service in services for address in router.online(service["login"]))
    with router.api() as api:
        api.get_resource("/simulate/faults").add(kind="slow", command="/ppp/secret/set", times="0", seconds="0.3")
    held = [provider.hold(service, "walled_garden") for service in services]
    kill(provider.node, "pvd-enforce")
    wait_for(lambda: sorted(router.garden()) == addresses, 60, every_s=0.2)
    with router.api() as api:
        api.get_resource("/simulate/faults").call("clear")
    for service, hold in zip(services, held, strict=True):
        provider.lift(service, hold)
    wait_for(lambda: router.garden() == [], 30, every_s=0.2)


def test_what_the_command_line_shows(node: Node, provider: Provider, router: Router) -> None:
    assert len(provider.services) > 5
    (shown,) = (
        one for one in json.loads(node.run("provision", "local", "show", "--json")) if one["nas"] == router.name
    )
    assert (shown["mode"], shown["error"], shown["held_back"]) == ("serve", None, None)
    assert shown["services"] == len(router.rows("/ppp/secret")) >= len(provider.services)
    assert "services are kept" in node.run("provision", "local", "look", router.name)
