"""One subscriber's life on a whole node: created over REST, online by a BRAS, restricted, paid, back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook
from whole_node import Node, free_port, wait_for

from aaa.bras import BoxOptions, Credential, Runner
from aaa.bras.subscriber import State, Subscriber
from provedor.embedded import EmbeddedPostgres

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("node")]
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
LOGINS = 40


@pytest.fixture(scope="module")
def provider(node: Node) -> dict[str, Any]:
    """A NAS, a plan, a webhook account, and some subscribers with a contract each."""
    coa_port = free_port(socket.SOCK_DGRAM)
    node.post("/nas", {"name": "bras", "address": "127.0.0.1", "secret": "testing123", "vendor": "mikrotik",
                       "coa_port": coa_port})  # fmt: skip
    node.post("/gateway-accounts", {"gateway": "standard", "name": "erp", "secret": SECRET})
    plan = node.post(
        "/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000, "address_pool": "residential"}
    )
    services = []
    for number in range(LOGINS):
        customer = node.post("/customers", {"name": f"Cliente {number}", "kind": "person"})
        contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
        services.append(
            node.post(
                "/services",
                {"contract_id": contract["id"], "plan_id": plan["id"], "login": f"cliente{number}",
                 "password": f"senha{number}"},
            )
        )  # fmt: skip
    return {"services": services, "coa_port": coa_port, "plan": plan}


@pytest.fixture(scope="module")
def bras(node: Node, provider: dict[str, Any]) -> Iterator[dict[str, Subscriber]]:
    methods = ("pap", "chap", "mschapv2")
    credentials = [Credential(f"cliente{n}", f"senha{n}", methods[n % 3]) for n in range(LOGINS)]
    runner = Runner(
        BoxOptions(redial_s=(0.5, 1.0), interim_s=2.0), credentials, server="127.0.0.1", auth_port=node.auth_port,
        acct_port=node.acct_port, coa_port=provider["coa_port"], control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    lines = {one.login: one for one in runner.box.subscribers}
    wait_for(lambda: all(one.state is State.ONLINE for one in lines.values()))
    yield lines
    stop.set()
    thread.join()


def radclient(node: Node, login: str, password: str, secret: str = "testing123", server: str = "127.0.0.1") -> str:
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "3", f"{server}:{node.auth_port}", "auth", secret],
        input=f'User-Name="{login}",User-Password="{password}",Message-Authenticator=0x00', capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout


def sessions(node: Node, service: dict[str, Any]) -> list[dict[str, Any]]:
    return node.api.get("/sessions", params={"service_id": service["id"], "active": True}).json()["items"]  # type: ignore[no-any-return]


def pay(node: Node, invoice: dict[str, Any], message: str) -> int:
    now = datetime.now(UTC)
    data = {"invoice_id": invoice["id"], "payment_id": message, "amount_cents": invoice["amount_cents"],
            "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
    body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
    headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": Webhook(SECRET).sign(message, now, body)}  # fmt: skip
    return node.api.post(node.url + "/hooks/standard", content=body, headers=headers).status_code


def owe(node: Node, service: dict[str, Any]) -> dict[str, Any]:
    """An invoice 40 days overdue whose notice reached 30 days ago."""
    now = datetime.now(UTC)
    body = {
        "contract_id": service["contract_id"],
        "due_date": str(now.date() - timedelta(days=40)),
        "amount_cents": 9990,
        "notified_at": (now - timedelta(days=30)).isoformat(),
    }
    return node.post("/invoices", body)


def restrict(node: Node, service: dict[str, Any], effect: str) -> None:
    node.post(f"/services/{service['id']}/holds", {"reason": "billing", "effect": effect})


def test_radclient_from_outside(node: Node, provider: dict[str, Any]) -> None:
    accepted = radclient(node, "cliente1", "senha1")
    assert "Access-Accept" in accepted
    assert 'Mikrotik-Rate-Limit = "100000k/200000k"' in accepted
    assert accepted.index("Message-Authenticator", accepted.index("Received")) < accepted.index("Mikrotik-Rate-Limit")
    assert "Access-Reject" in radclient(node, "cliente1", "errada")
    assert "Access-Reject" in radclient(node, "ninguem", "x")
    assert "Received" not in radclient(node, "cliente1", "senha1", secret="wrong")
    assert "Access-Accept" in node.run("radius", "test", "cliente1", "--method", "mschapv2")


def test_every_subscriber_is_online_and_accounted(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber]
) -> None:
    for service in provider["services"]:
        wait_for(lambda one=service: len(sessions(node, one)) == 1)
    one = sessions(node, provider["services"][0])[0]
    wait_for(lambda: sessions(node, provider["services"][0])[0]["download_octets"] > one["download_octets"])
    assert one["in_step"] is True


def test_throttled_and_back_by_coa_within_a_second(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber]
) -> None:
    service, line = provider["services"][2], bras["cliente2"]
    wait_for(lambda: len(sessions(node, service)) == 1)
    invoice = owe(node, service)
    restrict(node, service, "throttle")
    wait_for(lambda: line.rate_limit == "1024k/1024k")
    assert sessions(node, service)[0]["in_step"] in {True, False}
    logins, started = line.logins, time.monotonic()
    assert pay(node, invoice, "pay-throttle") == 200
    wait_for(lambda: line.rate_limit == "100000k/200000k", 5)
    assert time.monotonic() - started < 1.0
    assert line.logins == logins  # no redial
    wait_for(lambda: sessions(node, service)[0]["in_step"])


def test_suspended_into_the_walled_garden_and_back(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber]
) -> None:
    service, line = provider["services"][3], bras["cliente3"]
    wait_for(lambda: len(sessions(node, service)) == 1)
    invoice = owe(node, service)
    plan = json.loads(node.run("billing", "run", "--dry-run", "--json"))
    assert all(change["action"] in {"place", "lift"} for change in plan)
    restrict(node, service, "walled_garden")
    wait_for(lambda: line.address_list == "walled-garden")
    assert "Bloqueio" in node.run("explain", "cliente3")
    for _ in range(3):  # a gateway repeats itself
        assert pay(node, invoice, "pay-garden") == 200
    wait_for(lambda: line.state is State.ONLINE and line.address_list == "")
    assert node.api.get(f"/services/{service['id']}").json()["access"] == "full"
    payments = node.api.get("/payments", params={"invoice_id": invoice["id"]}).json()["items"]
    assert len(payments) == 1


def test_a_frozen_enforcement_sends_nothing_until_it_is_resumed(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber]
) -> None:
    service, line = provider["services"][4], bras["cliente4"]
    wait_for(lambda: len(sessions(node, service)) == 1)
    node.run("enforcement", "freeze")
    hold = node.post(f"/services/{service['id']}/holds", {"reason": "admin", "effect": "throttle"})
    wait_for(lambda: sessions(node, service)[0]["in_step"] is False)
    assert line.rate_limit == "100000k/200000k"
    node.run("enforcement", "resume")
    wait_for(lambda: line.rate_limit == "1024k/1024k", 10)
    node.api.delete(f"/services/{service['id']}/holds/{hold['id']}")
    wait_for(lambda: line.rate_limit == "100000k/200000k", 10)


@pytest.mark.parametrize("name", ["auth-0", "acct-0", "feeder", "shipper-0", "relay", "enforce", "api"])
def test_any_one_process_may_be_killed(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber], name: str
) -> None:
    before = node.child(name)
    os.kill(before, signal.SIGKILL)
    assert "Access-Accept" in radclient(node, "cliente5", "senha5") or name == "auth-0"
    wait_for(lambda: subprocess.run(["pgrep", "-x", f"pvd-{name}"], capture_output=True, check=False).returncode == 0)
    wait_for(lambda: "Access-Accept" in radclient(node, "cliente5", "senha5"))
    service, line = provider["services"][5], bras["cliente5"]
    wait_for(lambda: _answers(node))
    hold = node.post(f"/services/{service['id']}/holds", {"reason": "admin", "effect": "throttle"})
    wait_for(lambda: line.rate_limit == "1024k/1024k", 60)
    node.api.delete(f"/services/{service['id']}/holds/{hold['id']}")
    wait_for(lambda: line.rate_limit == "100000k/200000k", 60)


def test_postgresql_stopped_authentication_goes_on_and_nothing_is_lost(
    node: Node, provider: dict[str, Any], bras: dict[str, Subscriber]
) -> None:
    postmaster = int(
        subprocess.run(
            ["pgrep", "-P", str(node.process.pid), "-x", "postgres"], capture_output=True, check=True
        ).stdout.split()[0]
    )
    family = [
        postmaster,
        *map(int, subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, check=False).stdout.split()),
    ]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        logins = bras["cliente6"].logins
        ended = time.monotonic() + 8
        while time.monotonic() < ended:
            assert "Access-Accept" in radclient(node, "cliente6", "senha6")
        assert bras["cliente6"].logins == logins
    finally:
        for pid in reversed(family):
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: _answers(node))
    url = EmbeddedPostgres(node.data / "postgres").url
    with psycopg.connect(url) as connection:
        wait_for(lambda: _latest_age_s(connection) < 5)


def _latest_age_s(connection: psycopg.Connection[Any]) -> float:
    row = connection.execute(
        "SELECT extract(epoch FROM clock_timestamp() - max(received_at)) FROM accounting_record"
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else 1e9


def _answers(node: Node) -> bool:
    try:
        return node.api.get(node.url + "/readyz").status_code == 200
    except httpx.HTTPError:
        return False
