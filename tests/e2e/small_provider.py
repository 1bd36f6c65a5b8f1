"""A provider with a NAS, a plan, a webhook account and some subscribers, made over REST; and what it does all day."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from free_ports import free_port
from standardwebhooks import Webhook
from validate_docbr import CPF
from whole_node import Node, wait_for

from aaa.bras import BoxOptions, Credential, Runner
from aaa.bras.subscriber import State

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
NAS_SECRET = "testing123"
LOGINS = 40
FULL, THROTTLED = "100000k/200000k", "1024k/1024k"
ADDRESS = {"street": "Rua Um", "number": "1", "district": "Centro", "city": "São Paulo", "state": "SP",
           "postal_code": "01001-000", "ibge_code": "3550308"}  # fmt: skip
#: A policy by which a cut may begin whenever a test runs.
ANY_TIME = {"hours": {"weekdays": list(range(7)), "first_hour": 0, "last_hour": 24, "holidays": True, "eves": True}}
METHODS = ("pap", "chap", "mschapv2")


class Provider:
    """The subscribers are cliente0, cliente1, … with passwords senha0, senha1, …, each with a contract of its own, and
    with all that a gateway wants to know of a payer."""

    def __init__(self, node: Node, logins: int = LOGINS) -> None:
        self.node = node
        self.coa_port = free_port(socket.SOCK_DGRAM)
        node.post("/nas", {"name": "bras", "address": "127.0.0.1", "secret": NAS_SECRET, "vendor": "mikrotik",
                           "coa_port": self.coa_port})  # fmt: skip
        node.post("/gateway-accounts", {"gateway": "standard", "name": "erp", "secret": SECRET})
        self.plan = node.post(
            "/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000, "address_pool": "residential"}
        )
        self.services = [self._subscriber(number) for number in range(logins)]

    def _subscriber(self, number: int) -> dict[str, Any]:
        contact = {"role": "main", "name": f"Cliente {number}", "email": f"cliente{number}@example.com"}
        customer = self.node.post("/customers", {"name": f"Cliente {number}", "kind": "person",
                                                 "document": CPF().generate(), "contacts": [contact]})  # fmt: skip
        contract = self.node.post(
            "/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
        )
        return self.node.post(
            "/services",
            {"contract_id": contract["id"], "plan_id": self.plan["id"], "login": f"cliente{number}",
             "password": f"senha{number}", "address": ADDRESS},
        )  # fmt: skip

    def sessions(self, service: dict[str, Any]) -> list[dict[str, Any]]:
        """The live ones."""
        answer = self.node.api.get("/sessions", params={"service_id": service["id"], "active": True})
        return answer.json()["items"]  # type: ignore[no-any-return]

    def owe(self, service: dict[str, Any], *, notified: bool = True) -> dict[str, Any]:
        """An invoice 40 days overdue whose notice reached 30 days ago, or is still to be given."""
        now = datetime.now(UTC)
        body = {"contract_id": service["contract_id"], "due_date": str(now.date() - timedelta(days=40)),
                "amount_cents": 9990}  # fmt: skip
        if notified:
            body["notified_at"] = (now - timedelta(days=30)).isoformat()
        return self.node.post("/invoices", body)

    def order_charge(self, invoice: dict[str, Any], account_id: str) -> str:
        """At the gateway of this account; the gateway's id of it, once it is made."""
        due_date = datetime.now(UTC).date() + timedelta(days=3)
        path = f"/invoices/{invoice['id']}/charges"
        self.node.post(path, {"account_id": account_id, "due_date": str(due_date)})

        def made() -> list[str]:
            charges = self.node.api.get(path).json()
            assert all(one["status"] != "refused" for one in charges), charges
            return [one["charge_id"] for one in charges if one["account_id"] == account_id and one["charge_id"]]

        wait_for(made, every_s=0.05)
        return made()[-1]

    def run(self) -> str | None:
        """A billing run to its end, forced where it stops; its id, None where there was nothing to do."""
        answer = self.node.api.post("/billing-runs", json={})
        assert answer.status_code in {201, 204, 409}, answer.text
        if answer.status_code == 204:
            return None
        if answer.status_code == 409:
            answer = self.node.api.post(answer.headers["location"].removeprefix("/api/v1") + "/force")
            assert answer.status_code == 200, answer.text
        run_id: str = answer.json()["id"]
        wait_for(lambda: self.node.api.get(f"/billing-runs/{run_id}").json()["finished_at"], every_s=0.05)
        return run_id

    def hold(self, service: dict[str, Any], effect: str, reason: str = "billing") -> dict[str, Any]:
        return self.node.post(f"/services/{service['id']}/holds", {"reason": reason, "effect": effect})

    def lift(self, service: dict[str, Any], hold: dict[str, Any]) -> None:
        self.node.api.delete(f"/services/{service['id']}/holds/{hold['id']}")

    def pay(self, invoice: dict[str, Any], message: str, timeout_s: float = 30.0) -> int:
        """The gateway's signed webhook; the same message is the same payment. Raises httpx.HTTPError."""
        now = datetime.now(UTC)
        data = {"invoice_id": invoice["id"], "payment_id": message, "amount_cents": invoice["amount_cents"],
                "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
        body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
        headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp())),
                   "webhook-signature": Webhook(SECRET).sign(message, now, body)}  # fmt: skip
        url = self.node.url + "/hooks/standard"
        return self.node.api.post(url, content=body, headers=headers, timeout=timeout_s).status_code

    def radclient(self, login: str, password: str, secret: str = NAS_SECRET) -> str:
        """What radclient prints of one Access-Request."""
        done = subprocess.run(
            ["radclient", "-x", "-r", "1", "-t", "3", f"127.0.0.1:{self.node.auth_port}", "auth", secret],
            input=f'User-Name="{login}",User-Password="{password}",Message-Authenticator=0x00', capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return done.stdout


@contextmanager
def online(provider: Provider) -> Iterator[Runner]:
    """The simulated BRAS in a thread, every subscriber online."""
    count = len(provider.services)
    credentials = [Credential(f"cliente{n}", f"senha{n}", METHODS[n % 3]) for n in range(count)]
    runner = Runner(
        BoxOptions(redial_s=(0.5, 1.0), interim_s=2.0), credentials, server="127.0.0.1",
        auth_port=provider.node.auth_port, acct_port=provider.node.acct_port, coa_port=provider.coa_port, control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    try:
        wait_for(lambda: all(one.state is State.ONLINE for one in runner.box.subscribers))
        yield runner
    finally:
        stop.set()
        thread.join()
