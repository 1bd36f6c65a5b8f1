"""`provedor explain` on a whole node: each trouble made by real clients, recognised, named, with what to do."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_node import Node, wait_for, whole_node

pytestmark = pytest.mark.e2e
SECRET = "testing123"
PASSWORD = "Senha-da-maria"
MAC, OTHER = "aa-bb-cc-00-00-01", "aa-bb-cc-00-00-02"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with whole_node(tmp_path_factory.mktemp("explain") / "data", PROVEDOR_TIMEZONE="UTC") as node:
        yield node


@pytest.fixture(scope="module")
def services(node: Node) -> dict[str, dict[str, Any]]:
    """A NAS at 127.0.0.1 that need not sign; one subscriber for each trouble, each known to the workers."""
    node.post("/nas", {"name": "bras-1", "address": "127.0.0.1", "secret": SECRET, "vendor": "mikrotik",
                       "message_authenticator": "ignore"})  # fmt: skip
    plan = node.post("/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000})
    customer = node.post("/customers", {"name": "Maria", "kind": "person"})
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
    common = {"contract_id": contract["id"], "plan_id": plan["id"], "password": PASSWORD}
    made = {}
    node.post("/nas", {"name": "bras-2", "address": "127.0.0.3", "secret": SECRET, "vendor": "mikrotik"})
    locks = {"presa": {"mac_lock": "learn"}, "fixa": {"circuit_lock": "learn", "nas_id": "learn"}}
    for login in ("maria", "presa", "fixa", "noise", "looped"):
        more = locks.get(login, {})
        made[login] = node.post("/services", {**common, "login": login, **more})
    wait_for(lambda: "Access-Accept" in radclient(node, login="looped", password=PASSWORD))
    return made


def radclient(
    node: Node, *, login: str, password: str, mac: str = MAC, secret: str = SECRET, signed: bool = True
) -> str:
    attributes = f'User-Name="{login}",User-Password="{password}",Calling-Station-Id="{mac}"'
    return send(node, "auth", attributes + (",Message-Authenticator=0x00" if signed else ""), secret)


def send(node: Node, kind: str, attributes: str, secret: str = SECRET, source: str = "127.0.0.1") -> str:
    port = node.acct_port if kind == "acct" else node.auth_port
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "1.5", f"127.0.0.1:{port}", kind, secret],
        input=f"{attributes},Packet-Src-IP-Address={source}", capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def asked(node: Node, **of: str) -> str:
    """The API's answer."""
    return node.api.get("/explain", params={"language": "en", **of}).text


def explained(node: Node, what: str) -> str:
    """The command's answer."""
    return node.run("explain", what, "--language", "en", check=False)


def wait_explained(node: Node, login: str, words: str) -> str:
    """Until the API's answer says so; the whole of it."""
    wait_for(lambda: words in asked(node, login=login), every_s=0.1)
    return asked(node, login=login)


def findings(node: Node) -> dict[str, int]:
    """Of bras-1: how often, by kind."""
    return {one["kind"]: one["count"] for one in node.api.get("/nas/1/findings").json()["items"]}


def test_a_password_that_is_nearly_right(node: Node, services: dict[str, Any]) -> None:
    assert "Access-Reject" in radclient(node, login="maria", password=PASSWORD.lower())
    said = wait_explained(node, "maria", "right but for its capitals")
    assert "Cannot connect. Refused once" in said
    assert "in the right case" in said
    text = node.run("explain", "maria", "--language", "pt_BR")
    assert text.startswith("maria: Não consegue se conectar. Recusado uma vez")
    assert "→ Digite a senha no equipamento com as maiúsculas certas." in text
    assert PASSWORD.lower() not in (said + text).lower()


def test_a_login_in_another_spelling(node: Node, services: dict[str, Any]) -> None:
    assert "Access-Reject" in radclient(node, login="PRESA@antigo", password=PASSWORD)
    said = wait_explained(node, "PRESA@antigo", "unknown login")
    assert "Did you mean “presa”?" in said
    assert "It comes with the login “PRESA@antigo”" in asked(node, login="presa")


def test_a_device_is_learned_and_another_refused_by_every_worker(node: Node, services: dict[str, Any]) -> None:
    path = f"/services/{services['presa']['id']}"
    assert "Access-Accept" in radclient(node, login="presa", password=PASSWORD)
    wait_for(lambda: node.api.get(path).json()["mac_lock"] == "AA:BB:CC:00:00:01", every_s=0.2)
    wait_for(lambda: "Access-Reject" in radclient(node, login="presa", password=PASSWORD, mac=OTHER))
    for _ in range(3):  # whichever worker radclient's Identifier picks
        assert "Access-Reject" in radclient(node, login="presa", password=PASSWORD, mac=OTHER)
    said = wait_explained(node, "presa", "AA:BB:CC:00:00:02 came, AA:BB:CC:00:00:01 was expected")
    assert "Locked to device AA:BB:CC:00:00:01" in said
    assert '"login":"presa"' in asked(node, mac=OTHER)
    learned = node.api.get("/audit-entries", params={"resource": "service", "resource_id": services["presa"]["id"]})
    assert ("learn", "system:radius") in {(one["action"], one["actor"]) for one in learned.json()["items"]}
    node.api.patch(path, json={"mac_lock": "learn"})
    wait_for(lambda: "Access-Accept" in radclient(node, login="presa", password=PASSWORD, mac=OTHER))
    wait_for(lambda: node.api.get(path).json()["mac_lock"] == "AA:BB:CC:00:00:02", every_s=0.2)


def test_a_line_and_a_nas_are_learned_and_others_refused(node: Node, services: dict[str, Any]) -> None:
    def log_in(port_id: str, source: str = "127.0.0.1") -> str:
        attributes = f'User-Name="fixa",User-Password="{PASSWORD}",NAS-Port-Id="{port_id}",Message-Authenticator=0x00'
        return send(node, "auth", attributes, source=source)

    path = f"/services/{services['fixa']['id']}"
    assert "Access-Accept" in log_in("ether1")
    wait_for(lambda: node.api.get(path).json()["nas_id"] == "1", every_s=0.2)
    assert node.api.get(path).json()["circuit_lock"] == "ether1"
    wait_for(lambda: "Access-Reject" in log_in("ether2"))
    wait_explained(node, "fixa", "ether2 came, ether1 was expected")
    assert "Access-Reject" in log_in("ether1", source="127.0.0.3")
    wait_explained(node, "fixa", "bras-2 came, bras-1 was expected")
    assert "Access-Accept" in log_in("ether1")


def test_a_wrong_secret(node: Node, services: dict[str, Any]) -> None:
    for signed in (True, False):
        radclient(node, login="noise", password=PASSWORD, secret="another", signed=signed)
    send(node, "acct", 'Acct-Status-Type=Start,Acct-Session-Id="x"', "another")
    said = wait_explained(node, "noise", "the shared secret is likely to be wrong")
    assert "wrong shared secret at the NAS" in said
    wait_for(lambda: findings(node).get("wrong_secret") == 3, every_s=0.1)
    assert "wrong shared secret in " in explained(node, "bras-1")


def test_a_clock_on_local_time(node: Node, services: dict[str, Any]) -> None:
    stamp = int(time.time()) - 3 * 3600
    attributes = f'Acct-Status-Type=Start,Acct-Session-Id="s1",User-Name="maria",Event-Timestamp={stamp}'
    assert "Accounting-Response" in send(node, "acct", attributes)
    wait_for(lambda: "clock_skew" in findings(node), every_s=0.1)
    said = explained(node, "bras-1")
    assert "the clock is 3 h behind" in said
    assert "as if it were UTC" in said


def test_accepts_that_lead_nowhere(node: Node, services: dict[str, Any]) -> None:
    for _ in range(6):
        assert "Access-Accept" in radclient(node, login="looped", password=PASSWORD)
    said = wait_explained(node, "looped", "and no session began")
    assert "the pool, the profile" in said


def test_a_sender_that_is_no_nas(node: Node, services: dict[str, Any]) -> None:
    send(node, "auth", 'User-Name="maria",User-Password="x"', source="127.0.0.9")
    wait_for(lambda: node.api.get("/unknown-clients").json()["items"], every_s=0.3)
    (stranger,) = node.api.get("/unknown-clients", params={"language": "en"}).json()["items"]
    assert stranger["source"] == "127.0.0.9"
    assert "add it with this address" in stranger["next_step"]
    assert "127.0.0.9" in asked(node, login="nobody")
    checks = {check["name"]: check["advice"] for check in json.loads(node.run("doctor", "--json", check=False))}
    assert "bras-1 wrong secret" in checks["NAS findings"]


def test_an_address_that_somebody_holds(node: Node, services: dict[str, Any]) -> None:
    attributes = 'Acct-Status-Type=Start,Acct-Session-Id="s2",User-Name="velho",Framed-IP-Address=100.64.1.2'
    send(node, "acct", attributes)
    wait_for(lambda: "holds_address" in asked(node, address="100.64.1.2"), every_s=0.1)
    assert explained(node, "100.64.1.2").startswith("100.64.1.2: 100.64.1.2 is held by “velho”")
    assert "Nobody holds 100.64.1.3" in asked(node, address="100.64.1.3")


def test_the_log_of_the_node_holds_no_password(node: Node, services: dict[str, Any]) -> None:
    log = Path(node.data.parent / "node.log").read_text()
    assert PASSWORD not in log
    assert SECRET not in log
