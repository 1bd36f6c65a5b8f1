"""A router's API as the witness of its sessions, on a whole node: CoA is switched off at this NAS throughout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import PROVEDOR, Node, wait_for

from aaa import testclient
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, text_attribute
from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs

pytestmark = pytest.mark.e2e

SECRET = SharedSecret(NAS_SECRET.encode())
ANOTHER_CPE = text_attribute(Kind.CALLING_STATION_ID, "0A:00:00:00:00:FF")
API_PASSWORD = "api s3cret"
LOGINS = 4


@dataclass
class Bras:
    process: subprocess.Popen[str]
    control: Path
    port: int
    sha256: str

    def ask(self, do: str, login: str | None = None) -> Any:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.control))
            one.sendall(json.dumps({"do": do, "login": login}).encode() + b"\n")
            return json.loads(one.makefile().readline())

    def client(self) -> RouterOs:
        return RouterOs(
            RouterOsAccess(1, "127.0.0.1", self.port, "provedor", API_PASSWORD, certificate_sha256=self.sha256)
        )


@contextmanager
def simulated(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """The process, and the port and the certificate of its API."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "ROUTEROS_PASSWORD": API_PASSWORD, **environment}
    command = [PROVEDOR, "simulate", *arguments, "--api-tls"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        try:
            yield process, int(said[said.index("port") + 1].rstrip(",")), said[-1]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def services(node: Node) -> list[dict[str, Any]]:
    plan = node.post(
        "/plans",
        {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000, "address_pool": "homes",
         "session_limit_strict": True},
    )  # fmt: skip
    customer = node.post("/customers", {"name": "Ana", "kind": "person"})
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
    body = {"contract_id": contract["id"], "plan_id": plan["id"]}
    return [
        node.post("/services", {**body, "login": f"cliente{n}", "password": f"senha{n}"}) for n in range(LOGINS + 2)
    ]


@pytest.fixture(scope="module")
def bras(node: Node, services: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bras]:
    directory = tmp_path_factory.mktemp("bras")
    credentials = directory / "credentials.csv"
    credentials.write_text("login,password\n" + "".join(f"cliente{n},senha{n}\n" for n in range(LOGINS)))
    nas = node.post(
        "/nas",
        {"name": "bras", "address": "127.0.0.1", "secret": NAS_SECRET, "vendor": "mikrotik",
         "coa_port": free_port(socket.SOCK_DGRAM)},
    )  # fmt: skip
    control = directory / "control"
    with simulated(
        "bras", "--credentials", str(credentials), "--control", str(control), "--redial", "600-900", "--coa-port",
        str(free_port(socket.SOCK_DGRAM)), "--api", "0",
        PROVEDOR_RADIUS_AUTH_PORT=str(node.auth_port), PROVEDOR_RADIUS_ACCT_PORT=str(node.acct_port),
    ) as (process, port, sha256):  # fmt: skip
        access = {"user": "provedor", "port": port, "certificate_sha256": sha256}
        answer = node.api.patch(f"/nas/{nas['id']}", json={"routeros": access, "routeros_password": API_PASSWORD})
        assert answer.status_code == 200, answer.text
        for service in services[:LOGINS]:
            wait_for(lambda one=service: len(live(node, one)) == 1)
        yield Bras(process, control, port, sha256)


def live(node: Node, service: dict[str, Any]) -> list[dict[str, Any]]:
    answer = node.api.get("/sessions", params={"service_id": service["id"], "active": True})
    return answer.json()["items"]  # type: ignore[no-any-return]


def test_the_walled_garden_and_a_throttle_need_no_redial_and_no_coa(
    node: Node, services: list[dict[str, Any]], bras: Bras
) -> None:
    """From the order to the router, back, and what the router says of the session meanwhile."""
    service = services[0]
    (before,) = live(node, service)
    client = bras.client()

    def listed() -> list[str]:
        rows = client.rows("/ip/firewall/address-list", ("address",), "list=walled-garden")
        return [row["address"] for row in rows]

    def limits() -> list[str]:
        return [row["max-limit"] for row in client.rows("/queue/simple", ("max-limit",))]

    def hold(effect: str) -> str:
        return str(node.post(f"/services/{service['id']}/holds", {"reason": "billing", "effect": effect})["id"])

    def lift(hold_id: str) -> None:
        node.api.delete(f"/services/{service['id']}/holds/{hold_id}").raise_for_status()

    held = hold("walled_garden")
    wait_for(lambda: listed() == [before["framed_ipv4"]], every_s=0.02)
    wait_for(lambda: limits() == ["1024000/1024000"], every_s=0.02)
    seen = node.api.get(f"/sessions/{before['id']}/live").json()
    assert (seen["address"], seen["max_limit"]) == (before["framed_ipv4"], "1024000/1024000")
    (shown,) = json.loads(node.run("provision", "session", service["login"], "--json"))
    assert shown["max_limit"] == "1024000/1024000"
    lift(held)
    wait_for(lambda: listed() == [] and limits() == ["100000000/200000000"], every_s=0.02)
    held = hold("throttle")  # nobody answers the CoA
    wait_for(lambda: limits() == ["1024000/1024000"])
    lift(held)
    wait_for(lambda: limits() == ["100000000/200000000"])
    (after,) = live(node, service)
    assert (after["id"], after["acct_session_id"]) == (before["id"], before["acct_session_id"])
    client.close()


def test_who_is_blocked_is_ended_at_the_router_where_no_disconnect_is_answered(
    node: Node, services: list[dict[str, Any]], bras: Bras
) -> None:
    service = services[1]
    held = node.post(f"/services/{service['id']}/holds", {"reason": "billing", "effect": "block"})["id"]
    wait_for(lambda: live(node, service) == [])
    node.api.delete(f"/services/{service['id']}/holds/{held}").raise_for_status()

    def is_back() -> bool:
        """RADIUS nodes hear of it a moment later: his CPE dials again until it is let in."""
        if not live(node, service):
            bras.ask("dial", service["login"])
        return len(live(node, service)) == 1

    wait_for(is_back, every_s=0.5)


def log_in(node: Node, number: int) -> Packet:
    """From another CPE than the one that is online."""
    login = testclient.access_request(7, f"cliente{number}", f"senha{number}", "pap", ANOTHER_CPE, SECRET, os.urandom)
    reply = testclient.exchange("127.0.0.1", node.auth_port, login.octets, timeout_s=5.0)
    assert reply is not None
    return reply


def how_ended(node: Node, acct_session_id: str) -> str | None:
    answer = node.api.get("/sessions", params={"acct_session_id": acct_session_id})
    kind: str | None = answer.json()["items"][0]["stop_kind"]
    return kind


def test_a_second_login_is_refused_while_the_router_shows_the_first(
    node: Node, services: list[dict[str, Any]], bras: Bras
) -> None:
    wait_for(lambda: log_in(node, 0).code == Code.ACCESS_REJECT)
    wait_for(lambda: "já há sessões demais" in node.run("explain", "cliente0"), every_s=0.2)
    assert len(live(node, services[0])) == 1


def test_a_stop_that_was_lost_keeps_nobody_out_although_the_nas_answers_no_coa(
    node: Node, services: list[dict[str, Any]], bras: Bras
) -> None:
    wait_for(lambda: log_in(node, 1).code == Code.ACCESS_REJECT)
    (lost,) = live(node, services[1])
    bras.ask("drop", "cliente1")  # nobody tells the server
    assert log_in(node, 1).code == Code.ACCESS_ACCEPT
    wait_for(lambda: how_ended(node, lost["acct_session_id"]) == "not_found")


def test_who_is_removed_at_the_router_ends_with_a_stop(node: Node, services: list[dict[str, Any]], bras: Bras) -> None:
    (before,) = live(node, services[2])
    client = bras.client()
    (row,) = client.rows("/ppp/active", (".id", "session-id"), "name=cliente2")
    assert row["session-id"] == "0x" + before["acct_session_id"].upper()
    client.call("/ppp/active/remove", {".id": row[".id"]})
    client.close()
    wait_for(lambda: how_ended(node, before["acct_session_id"]) == "stop")


def test_a_router_that_is_away_keeps_nobody_out(node: Node, services: list[dict[str, Any]], bras: Bras) -> None:
    wait_for(lambda: log_in(node, 3).code == Code.ACCESS_REJECT)
    bras.process.kill()
    bras.process.wait()
    wait_for(lambda: log_in(node, 3).code == Code.ACCESS_ACCEPT)


def test_who_is_online_at_a_router_is_known_at_the_moment_of_take_over(
    node: Node, services: list[dict[str, Any]], tmp_path: Path
) -> None:
    node.post("/address-pools", {"name": "homes", "kind": "ipv4", "ranges": ["100.66.0.0/24"]})
    active = tmp_path / "active.csv"
    rows = [
        f"cliente{n},100.66.0.{n},02:00:00:00:66:0{n},81d0000{n},{n * 3600}" for n in (LOGINS, LOGINS + 1)
    ]  # fmt: skip
    active.write_text("\n".join(["login,address,caller_id,session_id,uptime_s", *rows, "stranger,100.66.0.9,,,60"]))
    where = ("--port", "0", "--address", "127.0.0.2", "--identity", "bras-2")
    with simulated("routeros", *where, "--active", str(active)) as (_, port, sha256):
        access = {"user": "provedor", "port": port, "certificate_sha256": sha256}
        node.post(
            "/nas",
            {"name": "bras-2", "address": "127.0.0.2", "secret": NAS_SECRET, "vendor": "mikrotik", "routeros": access,
             "routeros_password": API_PASSWORD},
        )  # fmt: skip
        said = node.run("import", "routeros", "bras-2", "--dry-run")
        assert "sessions: 3 seeded" in said
        assert live(node, services[LOGINS]) == []
        said = node.run("import", "routeros", "bras-2")
        assert "sessions: 3 seeded" in said
        assert "leases: 2 adopted" in said
        assert "stranger' is no service here" in said
        (seen,) = live(node, services[LOGINS])
        assert (seen["box"], seen["framed_ipv4"], seen["calling_station_id"]) == (
            "bras-2", f"100.66.0.{LOGINS}", f"02:00:00:00:66:0{LOGINS}",
        )  # fmt: skip
    tell_stop(node, LOGINS, f"81d0000{LOGINS}")
    wait_for(lambda: how_ended(node, f"81d0000{LOGINS}") == "stop")


def tell_stop(node: Node, number: int, acct_session_id: str) -> None:
    """By the box itself, which carries no Class of ours: the server before us let that session in."""
    body = (
        text_attribute(Kind.USER_NAME, f"cliente{number}")
        + text_attribute(Kind.NAS_IDENTIFIER, "bras-2")
        + attribute(Kind.NAS_IP_ADDRESS, b"\x0a\x00\x00\x02")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, 2)
        + text_attribute(Kind.ACCT_SESSION_ID, acct_session_id)
        + integer_attribute(Kind.EVENT_TIMESTAMP, int(time.time()))
    )
    octets = sign_request(Code.ACCOUNTING_REQUEST, 9, body, SECRET, message_authenticator=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.2", 0))
        one.settimeout(5)
        one.sendto(octets, ("127.0.0.1", node.acct_port))
        assert one.recv(4096)[0] == Code.ACCOUNTING_RESPONSE
