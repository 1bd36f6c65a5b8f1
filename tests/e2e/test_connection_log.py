"""Who held an address: sessions and a NAT's syslog into a whole node, and lookups and a signed answer out of it."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import httpx
import pytest
from free_ports import free_port
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext
from whole_node import Node, wait_for, whole_node

pytestmark = pytest.mark.e2e
SECRET = "testing123"
NAT_PORT = free_port(socket.SOCK_DGRAM)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("log") / "data"
    with whole_node(data, PROVEDOR_NAT_LOG_PORT=str(NAT_PORT), PROVEDOR_PROVIDER_NAME="Fibra Ltda") as node:
        yield node


@pytest.fixture(scope="module")
def sessions(node: Node) -> datetime:
    """Ana (dual stack) and Bia online behind the NAT since this moment; Ana is a customer of ours."""
    node.post("/nas", {"name": "bng", "address": "127.0.0.1", "secret": SECRET, "vendor": "huawei"})
    plan = node.post("/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000})
    customer = node.post("/customers", {"name": "Ana Souza", "kind": "person", "document": "529.982.247-25"})
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
    node.post("/services", {"contract_id": contract["id"], "plan_id": plan["id"], "login": "ana", "password": "senha",
                            "address": {"street": "Rua do Sol", "number": "10", "city": "Recife"}})  # fmt: skip
    wait_for(lambda: "Access-Accept" in radclient(node, "auth", 'User-Name="ana",User-Password="senha"'))
    began = datetime.now(UTC)
    account(node, "Start", "ana", "100.64.0.9", "Delegated-IPv6-Prefix=2001:db8:77:100::/56")
    account(node, "Start", "bia", "100.64.0.10", "")
    return began


def radclient(node: Node, kind: str, attributes: str) -> str:
    port = node.acct_port if kind == "acct" else node.auth_port
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "3", f"127.0.0.1:{port}", kind, SECRET],
        input=attributes + (",Message-Authenticator=0x00" if kind == "auth" else ""), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout


def account(node: Node, status: str, login: str, address: str, more: str) -> None:
    attributes = (
        f'User-Name="{login}",Acct-Status-Type={status},Acct-Session-Id="s-{login}",Framed-IP-Address={address},'
        f"Event-Timestamp={int(datetime.now(UTC).timestamp())}"
    )
    assert "Accounting-Response" in radclient(node, "acct", f"{attributes},{more}" if more else attributes)


def allocate(inside: str, ports: str) -> None:
    now = datetime.now(UTC)
    told = f"NAT-BLOCK alloc inside={inside} outside=203.0.113.7 ports={ports}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(f"<14>1 {now:%Y-%m-%dT%H:%M:%SZ} nat n - - - {told}".encode(), ("127.0.0.1", NAT_PORT))


def logged(node: Node) -> list[str]:
    """The NAT logs its blocks, and again while they are held; the listener reads NAS entries now and then."""
    allocate("100.64.0.9", "1024-2047")
    allocate("100.64.0.10", "2048-3071")
    return logins(ask(node, "203.0.113.7", datetime.now(UTC)))


def ask(node: Node, ip: str, at: datetime, port: int | None = None) -> dict[str, Any]:
    query = {"ip": ip, "at": at.isoformat(), "reason": "e2e", "language": "en"} | ({"port": port} if port else {})
    answer = node.api.get("/connection-log", params=query)
    answer.raise_for_status()
    return answer.json()  # type: ignore[no-any-return]


def logins(answer: dict[str, Any]) -> list[str]:
    return sorted(one["login"] for one in answer["candidates"])


def test_an_address_inside_a_delegated_prefix_names_its_subscriber(node: Node, sessions: datetime) -> None:
    wait_for(lambda: logins(ask(node, "2001:db8:77:1ff::1", sessions)) == ["ana"])
    (found,) = ask(node, "2001:db8:77:1ff::1", sessions)["candidates"]
    assert (found["address"], found["customer"]["name"], found["end_in_words"]) == (
        "2001:db8:77:100::/56", "Ana Souza", "still open",
    )  # fmt: skip
    assert logins(ask(node, "2001:db8:77:200::1", sessions)) == []


def test_a_shared_address_is_answered_by_the_blocks_that_the_nat_logged(node: Node, sessions: datetime) -> None:
    wait_for(lambda: logged(node) == ["ana", "bia"], every_s=0.5)
    now = datetime.now(UTC)
    assert logins(ask(node, "203.0.113.7", now, 1500)) == ["ana"]
    assert logins(ask(node, "203.0.113.7", now, 2500)) == ["bia"]
    assert "port_missing" in ask(node, "203.0.113.7", now)["notes"]
    assert logins(ask(node, "203.0.113.7", now - timedelta(hours=2), 1500)) == []
    printed = node.run("connection-log", "lookup", "203.0.113.7", "--port", "1500", "--at", now.isoformat(),
                       "--reason", "e2e", "--json")  # fmt: skip
    assert json.loads(printed)["candidates"][0]["customer"]["document"] == "52998224725"


def test_the_end_of_the_session_ends_the_holding(node: Node, sessions: datetime) -> None:
    account(node, "Stop", "ana", "100.64.0.9", "Acct-Terminate-Cause=User-Request")
    wait_for(lambda: ask(node, "2001:db8:77:100::1", sessions)["candidates"][0]["ended_at"] is not None)
    assert logins(ask(node, "2001:db8:77:100::1", datetime.now(UTC) + timedelta(hours=1))) == []


def test_an_order_is_answered_by_two_people_with_a_signed_document(node: Node, sessions: datetime) -> None:
    lia, rui = (person(node, name) for name in ("lia", "rui"))
    question = {"ip": "203.0.113.7", "port": 1500, "at": datetime.now(UTC).isoformat()}
    body = {"kind": "records", "authority": "1ª Vara Cível de Recife", "order_number": "0001234-55.2026.8.17.2001",
            "received_at": datetime.now(UTC).isoformat(), "people": ["token:rui"], "questions": [question]}  # fmt: skip
    made = lia.post("/judicial-requests", json=body)
    assert made.status_code == 201, made.text
    case = f"/judicial-requests/{made.json()['id']}"
    assert lia.post(f"{case}/search", json={}).json()["findings"]["answers"][0]["candidates"][0]["login"] == "ana"
    assert lia.post(f"{case}/approve", json={}).status_code == 403
    assert rui.post(f"{case}/approve", json={}).json()["state"] == "approved"
    assert lia.post(f"{case}/answer", json={}).json()["state"] == "answered"
    document = lia.get(f"{case}/document").content
    (signature,) = PdfFileReader(BytesIO(document)).embedded_signatures
    trust = ValidationContext(trust_roots=[signature.signer_cert])
    assert validate_pdf_signature(signature, trust).bottom_line


def person(node: Node, name: str) -> httpx.Client:
    token = node.run("token", "create", name, "--role", "legal").strip()
    return httpx.Client(base_url=node.url + "/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)
