"""An invoice of our own, from the month's run to the wire: made, charged at a gateway, sent as a PDF, paid late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from gateway_processes import Gateway, gateways
from pypdf import PdfReader
from small_provider import Provider
from whole_node import Node, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def gateway(node: Node) -> Iterator[Gateway]:
    with gateways(node, "asaas") as running:
        yield running["asaas"]


@pytest.fixture(scope="module")
def contract(node: Node, provider: Provider, gateway: Gateway) -> dict[str, Any]:
    """A business of ours with a line of R$ 199,90 a month, invoiced from its next due date on."""
    node.post("/companies", {"name": "Provedor Ltda", "document": "11.222.333/0001-81"})
    rui = {"role": "billing", "name": "Rui", "email": "rui@example.com"}
    customer = node.post("/customers", {"name": "Padaria Sol", "kind": "business", "document": "45.997.418/0001-53",
                                        "contacts": [rui]})  # fmt: skip
    due = datetime.now(UTC).date() + timedelta(days=8)
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": due.day, "started_on": str(due)})
    node.post("/services", {"contract_id": contract["id"], "plan_id": provider.plan["id"], "login": "padaria",
                            "password": "pao", "price_cents": 19_990})  # fmt: skip
    terms = node.post("/invoicing-terms", {"name": "empresas", "account_id": gateway.account_id})
    billing = {"invoiced_since": str(due), "invoicing_terms_id": terms["id"]}
    assert node.api.patch(f"/contracts/{contract['id']}/billing", json=billing).status_code == 200
    return contract


def invoices_of(node: Node, contract: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = node.api.get("/invoices", params={"contract_id": contract["id"]}).json()["items"]
    return items


def test_the_run_makes_the_invoice_once_and_the_gateway_its_codes(node: Node, contract: dict[str, Any]) -> None:
    assert "Padaria" in node.run("billing", "invoices", "--dry-run", COLUMNS="200")
    for _ in range(2):
        node.run("billing", "invoices")
    wait_for(lambda: [one for one in invoices_of(node, contract) if one["pix_code"] and one["boleto_line"]])
    (invoice,) = invoices_of(node, contract)
    assert invoice["amount_cents"] == 19_990
    assert "0 invoices" in node.run("billing", "invoices", "--dry-run")


def test_a_second_copy_with_fine_and_interest_is_paid_and_closes_the_invoice_exactly(
    node: Node, contract: dict[str, Any], gateway: Gateway
) -> None:
    """For a day after the due date, as who says today when he will pay."""
    (invoice,) = invoices_of(node, contract)
    path = f"/invoices/{invoice['id']}"
    later = datetime.fromisoformat(invoice["due_date"]).date() + timedelta(days=15)
    charge = node.post(f"{path}/charges", {"account_id": gateway.account_id, "due_date": str(later)})
    assert (charge["amount_cents"], charge["surcharge_cents"]) == (19_990 + 399 + 99, 498)
    wait_for(lambda: node.api.get(f"{path}/charges").json()[-1]["status"] == "open")
    made = node.api.get(f"{path}/charges").json()[-1]
    said = PdfReader(BytesIO(node.api.get(f"{path}/pdf").content)).pages[0].extract_text()
    for part in ("2ª via", "Padaria Sol", "R$ 204,88", "Multa por atraso"):
        assert part in said
    gateway.pay(made["charge_id"])
    wait_for(lambda: invoices_of(node, contract)[0]["status"] == "paid")
    (payment,) = node.api.get("/payments", params={"invoice_id": invoice["id"]}).json()["items"]
    assert (payment["amount_cents"], payment["surcharge_cents"]) == (20_488, 498)
    wait_for(lambda: {one["status"] for one in node.api.get(f"{path}/charges").json()} == {"closed"})
