"""A small provider's router without RADIUS, kept by a running node: by the command line, seen by a client that is not
ours, with subscribers that dial, debts that are not paid and are, and a worker that is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from routeros_api.exceptions import RouterOsApiCommunicationError
from routers import Router, simulated_router
from small_provider import Provider
from whole_node import Node, kill, wait_for

pytestmark = pytest.mark.e2e
VERSIONS = ("6.49", "7.18")
INTENT: dict[str, Any] = {
    "pools": [{"name": "residential", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "residential"},
    "walled_garden": {"portal": "192.0.2.80"},
}


@pytest.fixture(params=VERSIONS, scope="module")
def router(
    request: pytest.FixtureRequest, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    node, version = provider.node, request.param
    address = f"127.0.2.{VERSIONS.index(version) + 1}"
    with simulated_router(node, f"local-{version}", address, "--version", version) as one:
        file = tmp_path_factory.mktemp("intent") / "intent.json"
        file.write_text(json.dumps(INTENT))
        node.run("provision", "intent", one.name, str(file))
        node.run("provision", "apply", one.name, "--yes")
        shown = node.run("provision", "local", "serve", one.name, "--yes")
        assert "/ppp/secret add: " in shown
        yield one
        node.run("provision", "local", "leave", one.name, "--yes")
        wait_for(lambda: node.api.get(f"/nas/{one.nas_id}/local").status_code == 404)


def garden(router: Router) -> list[str]:
    return [row["address"] for row in router.rows("/ip/firewall/address-list", list="walled-garden")]


def test_who_owes_is_in_the_walled_garden_and_out_of_it_when_he_pays(provider: Provider, router: Router) -> None:
    service = provider.services[0]
    router.dial(service["login"], service["login"].replace("cliente", "senha"))
    address = router.online()[service["login"]]
    for _ in range(5):
        hold = provider.hold(service, "walled_garden")
        wait_for(lambda: garden(router) == [address], every_s=0.02)
        provider.lift(service, hold)
        wait_for(lambda: garden(router) == [], every_s=0.02)
    assert router.online()[service["login"]] == address


def test_a_wrong_password_is_refused_and_a_new_one_is_known_within_seconds(provider: Provider, router: Router) -> None:
    service = provider.services[1]
    with pytest.raises(RouterOsApiCommunicationError, match="authentication failed"):
        router.dial(service["login"], "wrong")
    provider.node.api.patch(f"/services/{service['id']}", json={"password": "an0ther"}).raise_for_status()
    (row,) = router.rows("/ppp/secret", name=service["login"])

    def is_new() -> bool:
        return router.rows("/ppp/secret", name=service["login"])[0]["password"] == "an0ther"

    wait_for(is_new)
    router.dial(service["login"], "an0ther")
    provider.node.api.patch(f"/services/{service['id']}", json={"password": row["password"]}).raise_for_status()


def test_a_worker_that_is_killed_in_the_middle_leaves_nothing_undone(provider: Provider, router: Router) -> None:
    services = provider.services[2:6]
    for service in services:
        router.dial(service["login"], service["login"].replace("cliente", "senha"))
    online = router.online()
    addresses = sorted(online[service["login"]] for service in services)
    router.order(kind="slow", command="/ppp/secret/set", times="0", seconds="0.3")
    held = [provider.hold(service, "walled_garden") for service in services]
    kill(provider.node, "pvd-enforce")
    wait_for(lambda: sorted(garden(router)) == addresses, every_s=0.2)
    router.take_back_orders()
    for service, hold in zip(services, held, strict=True):
        provider.lift(service, hold)
    wait_for(lambda: garden(router) == [], every_s=0.2)


def test_what_the_command_line_shows(node: Node, provider: Provider, router: Router) -> None:
    assert len(provider.services) > 5
    (shown,) = (
        one for one in json.loads(node.run("provision", "local", "show", "--json")) if one["nas"] == router.name
    )
    assert (shown["mode"], shown["error"], shown["held_back"]) == ("serve", None, None)
    assert shown["services"] == len(router.rows("/ppp/secret")) >= len(provider.services)
    assert "services are kept" in node.run("provision", "local", "look", router.name)
