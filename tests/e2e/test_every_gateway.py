"""A contract is given notice, suspended by a run, pays at a gateway and is back on the wire: at each gateway.

`pytest -s` tells the story of each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway_processes import Gateway, gateways
from small_provider import ANY_TIME, SECRET, Provider, online
from whole_node import Node, wait_for

from aaa.bras.subscriber import State, Subscriber
from billing_hooks.simulators import SIMULATORS

pytestmark = pytest.mark.e2e
STANDARD = "standard"
#: Those that have an API to order at.
ORDERED_AT = tuple(name for name in SIMULATORS if name != STANDARD)
NAMES = (*ORDERED_AT, STANDARD)


@dataclass
class Debtor:
    """`charge_id`: at the gateway at which he is going to pay; Standard Webhooks have no gateway."""

    service: dict[str, Any]
    line: Subscriber
    invoice: dict[str, Any]
    charge_id: str | None


@pytest.fixture(scope="module")
def provider(node: Node) -> Provider:
    return Provider(node, len(NAMES))


@pytest.fixture(scope="module")
def running(node: Node) -> Iterator[dict[str, Gateway]]:
    with gateways(node, *ORDERED_AT) as running:
        yield running


@pytest.fixture(scope="module")
def suspended(provider: Provider, running: dict[str, Gateway]) -> Iterator[dict[str, Debtor]]:
    """By the gateway at which each will pay: notified, then suspended by a run, and seen in the walled garden."""
    node = provider.node
    with online(provider) as runner:
        node.post("/billing-policies", {"name": "any time", "default_for": "person", "body": ANY_TIME})
        debtors = {}
        for number, name in enumerate(NAMES):
            service = provider.services[number]
            invoice = provider.owe(service, notified=False)
            charge = provider.order_charge(invoice, running[name].account_id) if name in running else None
            debtors[name] = Debtor(service, runner.box.subscribers[number], invoice, charge)
        _give_notice(provider)
        run_id = provider.run()
        decisions = node.api.get(f"/billing-runs/{run_id}/decisions").json()["items"]
        assert {one["contract_id"] for one in decisions if one["action"] == "place" and one["done_at"]} == {
            one.service["contract_id"] for one in debtors.values()
        }
        for debtor in debtors.values():
            wait_for(lambda line=debtor.line: line.state is State.ONLINE and line.address_list == "walled-garden")
        yield debtors


def _give_notice(provider: Provider) -> None:
    """A run owes the notices, and somebody delivers them; before they reached nobody is suspended."""
    node = provider.node
    provider.run()
    messages = [one for one in node.api.get("/debt-messages").json()["items"] if one["is_notice"]]
    assert len(messages) == len(NAMES)
    assert all("R$ 99,90" in one["text_pt"] and "suspenso" in one["text_pt"] for one in messages)
    assert node.api.get("/billing-runs/plan", params={"action": "place"}).json() == []
    reached = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    for message in messages:
        proof = {"proof": "read", "at": reached, "evidence": {"channel": "whatsapp"}}
        node.post(f"/debt-messages/{message['id']}/reached", proof)


def test_what_can_be_paid_stands_on_the_invoice(node: Node, suspended: dict[str, Debtor]) -> None:
    for name, debtor in suspended.items():
        invoice = node.api.get(f"/invoices/{debtor.invoice['id']}").json()
        assert name == STANDARD or invoice["pix_code"] or invoice["boleto_line"], name


@pytest.mark.parametrize("name", NAMES)
def test_who_pays_is_back_on_the_wire(
    name: str, node: Node, suspended: dict[str, Debtor], running: dict[str, Gateway]
) -> None:
    debtor, began = suspended[name], time.monotonic()
    if debtor.charge_id is not None:
        running[name].pay(debtor.charge_id)
    else:
        amount = str(debtor.invoice["amount_cents"])
        assert node.run(
            "simulate", "gateway", "standard", debtor.invoice["id"], amount, WEBHOOK_SECRET=SECRET
        ).startswith("200 ")
    wait_for(lambda: debtor.line.state is State.ONLINE and debtor.line.address_list == "")
    took_s = time.monotonic() - began
    assert node.api.get(f"/services/{debtor.service['id']}").json()["access"] == "full"
    assert node.api.get(f"/invoices/{debtor.invoice['id']}").json()["status"] == "paid"
    (payment,) = node.api.get("/payments", params={"invoice_id": debtor.invoice["id"]}).json()["items"]
    # A charge that is ordered now for an old invoice asks for fine and interest as well.
    assert payment["amount_cents"] - payment["surcharge_cents"] == debtor.invoice["amount_cents"]
    assert (payment["surcharge_cents"] > 0) == (debtor.charge_id is not None)
    steps = node.api.get("/events", params={"subject": f"invoice:{debtor.invoice['id']}"}).json()["items"]
    told = [one["type"] for one in steps]
    assert "charge.refused" not in told
    print(f"{name}: {' -> '.join(told)}; online again {took_s:.1f} s after it was paid, redial included")  # noqa: T201


def test_every_webhook_was_taken_and_none_waits(node: Node, running: dict[str, Gateway]) -> None:
    for gateway in running.values():
        assert set(gateway.answers()) == {"200"}, gateway.said
    assert node.api.get("/inbox", params={"status": "failed"}).json()["items"] == []
    assert node.api.get("/inbox", params={"status": "waiting"}).json()["items"] == []
