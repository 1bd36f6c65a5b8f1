"""A small provider's router, as it was for years, taken over by a running node, by the command line: looked at, edited,
taken, and its secrets made ours one after the other, with subscribers who are online all the while."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from routers import Router, simulated_router
from whole_node import PROVEDOR, Node, wait_for

pytestmark = pytest.mark.e2e
EXPORT = Path(__file__).parents[1] / "small_provider.rsc"
PASSWORDS = {"joao": "123456", "mercado": "mercado1", "escola": "escola1", "noc": "n0c", "semvel": "sv1"}


@pytest.fixture(scope="module")
def router(node: Node) -> Iterator[Router]:
    with simulated_router(node, "velho", "127.0.3.1", "--config", str(EXPORT)) as one:
        yield one


def secret_of(router: Router, login: str) -> dict[str, str]:
    (row,) = router.rows("/ppp/secret", name=login)
    return row


def limits_of(router: Router) -> dict[str, str]:
    return {row["name"]: row["max-limit"] for row in router.rows("/queue/simple")}


def test_a_router_is_taken_over_step_by_step(node: Node, router: Router, tmp_path: Path) -> None:
    # online, as every day
    for login, password in PASSWORDS.items():
        router.dial(login, password)
    before, limits = router.online(), limits_of(router)

    # looked at: no password is shown, and nothing is made
    shown = node.run("provision", "adopt", router.name, COLUMNS="200")
    assert "João da Silva" in shown
    assert "Maria Conceição" in shown
    assert "5 plans, 6 new services, 0 here already, 5 left out, 0 kept by us; nothing was changed" in shown
    assert "left out: 'vpn-tecnico' is a user of l2tp" in shown
    body = json.loads(node.run("provision", "adopt", router.name, "--json"))
    assert not any(f'"{password}"' in json.dumps(body) for password in PASSWORDS.values())
    assert body["services"][0]["document"] == "52998224725"

    # a sheet to edit: whose plan only a person knows
    sheet = tmp_path / "velho.csv"
    node.run("provision", "adopt", router.name, "--csv", str(sheet), "--secrets")
    assert sheet.stat().st_mode & 0o077 == 0
    with sheet.open(newline="") as file:
        rows = {row["login"]: row for row in csv.DictReader(file)}
    assert rows["semvel"]["plan"] == ""
    assert rows["joao"]["password"] == "123456"

    # taken: what was shown is made, and taken again nothing is
    take = ("provision", "adopt", router.name, "--take", "--yes", "--json")
    made = json.loads(node.run(*take, check=False))
    assert made["counts"]["login"] == {"left out": 1, "rejected": 4, "created": 6}
    assert json.loads(node.run(*take, check=False))["counts"]["login"]["unchanged"] == 6
    assert secret_of(router, "joao")["comment"] == "João da Silva - CPF 529.982.247-25"
    (service,) = node.api.get("/services", params={"login": "ausente"}).json()["items"]
    assert service["access"] == "blocked"

    # and by the sheet the one whose plan was missing
    plan = node.post("/plans", {"name": f"Livre {router.name}", "down_kbps": 50_000, "up_kbps": 25_000,
                                "address_pool": "clientes"})  # fmt: skip
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows["semvel"].keys())
        writer.writeheader()
        writer.writerow({**rows["semvel"], "plan": plan["name"], "customer_name": "Sem Velocidade"})
    assert "1 created" in node.run("import", "csv", str(sheet))

    # what the router is, as an intent; its pools become ours by a plan that says so
    intent = tmp_path / "intent.json"
    intent.write_text(node.run("provision", "adopt", router.name, "--intent"))
    said = json.loads(intent.read_text())
    assert [pool["name"] for pool in said["pools"]] == ["clientes", "bloqueados"]
    said["walled_garden"] = {"portal": "192.0.2.80"}
    intent.write_text(json.dumps(said))
    node.run("provision", "intent", router.name, str(intent))
    assert "/ip/pool clientes" in node.run("provision", "adopt", router.name, "--own-intent", "--yes")
    node.run("provision", "apply", router.name, "--yes")
    assert router.rows("/ip/pool", name="clientes")[0]["comment"].startswith("provedor:access/clientes")
    assert router.online() == before

    # kept from now on: but of the router's own secrets none is touched, and nobody is put out
    shown = node.run("provision", "local", "serve", router.name, "--yes")
    assert "/ppp/secret" not in shown
    assert router.online() == before
    assert "comment" not in secret_of(router, "semvel")

    # one login, then all
    assert "1 secrets are ours" in node.run("provision", "adopt", router.name, "--own", "joao", "--yes")
    assert secret_of(router, "joao")["comment"].endswith("João da Silva - CPF 529.982.247-25")
    shown = node.run("provision", "adopt", router.name, "--own", "--all", "--yes")
    assert "stays the router's own: 'semvel' differs: no rate that could be read" in shown
    assert router.online() == before
    after = limits_of(router)
    assert {name: limit for name, limit in after.items() if name.startswith("<")} == {
        name: limit for name, limit in limits.items() if name.startswith("<")
    }
    assert after["provedor-mercado"] == limits["Mercado"]
    assert "0 new services" in node.run("provision", "adopt", router.name)

    # and kept in step
    (service,) = node.api.get("/services", params={"login": "joao"}).json()["items"]
    node.api.patch(f"/services/{service['id']}", json={"password": "nova"}).raise_for_status()
    wait_for(lambda: secret_of(router, "joao")["password"] == "nova")
    assert secret_of(router, "vpn-tecnico")["service"] == "l2tp"

    # and given back
    node.run("provision", "local", "leave", router.name, "--keep-rows", "--yes")
    wait_for(lambda: node.api.get(f"/nas/{router.nas_id}/local").status_code == 404)
    assert secret_of(router, "joao")["comment"] == "João da Silva - CPF 529.982.247-25"
    assert router.online() == before


def test_nothing_is_done_without_a_word(node: Node, router: Router) -> None:
    assert "name logins, or --all" in _said(node, "provision", "adopt", router.name, "--own")
    assert "one step at a time" in _said(node, "provision", "adopt", router.name, "--own", "--take", "joao")
    assert "--own" in _said(node, "provision", "adopt", router.name, "joao")
    assert _said(node, "provision", "adopt", router.name, "--rate", "x")


def _said(node: Node, *arguments: str) -> str:
    done = subprocess.run(
        [PROVEDOR, *arguments], env=node.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr
