"""Paid and back without a redial, again and again, also while another NAS says nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from free_ports import free_port
from standardwebhooks import Webhook
from whole_node import Node, wait_for

from aaa.bras import Box, BoxOptions, Credential, Runner
from aaa.bras.subscriber import State, Subscriber
from aaa.coa.client import PATIENCE_S

pytestmark = pytest.mark.e2e
SECRET = "whsec_" + "cGFpZC1wYWlkLXBhaWQtcGFpZC1wYWlk"
CYCLES = 30
SILENT = 10
FULL, THROTTLED = "100000k/200000k", "1024k/1024k"


class Line(NamedTuple):
    service: dict[str, Any]
    subscriber: Subscriber


class Provider:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.plan = node.post(
            "/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000, "address_pool": "residential"}
        )
        node.post("/gateway-accounts", {"gateway": "standard", "name": "erp", "secret": SECRET})

    @contextmanager
    def bras(self, name: str, address: str, subscribers: int) -> Iterator[tuple[Box, list[Line]]]:
        """A NAS with so many online."""
        coa_port = free_port(socket.SOCK_DGRAM)
        body = {"name": name, "address": address, "secret": "testing123", "vendor": "mikrotik", "coa_port": coa_port}
        self.node.post("/nas", body)
        services = {f"{name}-{number}": self._service(f"{name}-{number}") for number in range(subscribers)}
        runner = Runner(
            BoxOptions(identity=name, address=address, redial_s=(0.5, 1.0)),
            [Credential(login, "senha") for login in services], server="127.0.0.1", auth_port=self.node.auth_port,
            acct_port=self.node.acct_port, coa_port=coa_port, control=None,
        )  # fmt: skip
        stop = threading.Event()
        thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
        thread.start()
        lines = [Line(services[one.login], one) for one in runner.box.subscribers]
        try:
            wait_for(lambda: all(line.subscriber.state is State.ONLINE for line in lines))
            for line in lines:
                wait_for(lambda one=line: self.session(one.service) is not None)
            yield runner.box, lines
        finally:
            runner.box.paused = False
            stop.set()
            thread.join()

    def _service(self, login: str) -> dict[str, Any]:
        customer = self.node.post("/customers", {"name": login, "kind": "person"})
        contract = self.node.post(
            "/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
        )
        body = {"contract_id": contract["id"], "plan_id": self.plan["id"], "login": login, "password": "senha"}
        return self.node.post("/services", body)

    def session(self, service: dict[str, Any]) -> dict[str, Any] | None:
        items = self.node.api.get("/sessions", params={"service_id": service["id"], "active": True}).json()["items"]
        return items[0] if items else None

    def owe(self, service: dict[str, Any]) -> dict[str, Any]:
        """An overdue and notified invoice, and the hold that it earned."""
        now = datetime.now(UTC)
        body = {"contract_id": service["contract_id"], "due_date": str(now.date() - timedelta(days=40)),
                "amount_cents": 9990, "notified_at": (now - timedelta(days=30)).isoformat()}  # fmt: skip
        invoice = self.node.post("/invoices", body)
        self.node.post(f"/services/{service['id']}/holds", {"reason": "billing", "effect": "throttle"})
        return invoice

    def pay(self, invoice: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        message = f"paid-{invoice['id']}"
        data = {"invoice_id": invoice["id"], "payment_id": message, "amount_cents": invoice["amount_cents"],
                "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
        body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
        headers = {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp())),
                   "webhook-signature": Webhook(SECRET).sign(message, now, body)}  # fmt: skip
        answer = self.node.api.post(self.node.url + "/hooks/standard", content=body, headers=headers)
        assert answer.status_code == 200, answer.text


def cycle_s(provider: Provider, line: Line) -> float:
    """Restrict, pay, and the seconds until the BRAS has the full rate again."""
    invoice = provider.owe(line.service)
    wait_for(lambda: line.subscriber.rate_limit == THROTTLED)
    logins, started = line.subscriber.logins, time.monotonic()
    provider.pay(invoice)
    wait_for(lambda: line.subscriber.rate_limit == FULL)
    taken = time.monotonic() - started
    assert line.subscriber.logins == logins  # by CoA, without a redial
    return taken


def assert_nobody_waits_for_another(taken: list[float]) -> None:
    """Each sooner than a silent NAS is given up. How soon in figures, the benchmarks show."""
    assert max(taken) < PATIENCE_S, sorted(taken)[-5:]


def test_paid_is_on_the_wire_every_time_and_beside_a_silent_nas(node: Node) -> None:
    provider = Provider(node)
    with (
        provider.bras("good", "127.0.0.1", CYCLES) as (_, good),
        provider.bras("bad", "127.0.0.2", SILENT) as (box, bad),
    ):
        assert_nobody_waits_for_another([cycle_s(provider, line) for line in good])
        for line in good:
            wait_for(lambda one=line: provider.session(one.service)["in_step"])  # type: ignore[index]
        box.paused = True
        for line in bad:
            provider.owe(line.service)
        assert_nobody_waits_for_another([cycle_s(provider, line) for line in good[:10]])
