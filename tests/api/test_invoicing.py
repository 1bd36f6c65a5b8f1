"""Invoices of our own over REST: terms, what is charged beside the prices, previews, second copies and the PDF."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from api_rows import PLAN, make_contract, make_service
from fastapi.testclient import TestClient
from pypdf import PdfReader

from core.clock import utc_now


@pytest.fixture
def contract_id(client: TestClient) -> str:
    """A contract of ours with a service of R$ 99,90, invoiced from today on."""
    service = make_service(client, price_cents=9990)
    today = utc_now().date().isoformat()
    done = client.patch(f"/api/v1/contracts/{service['contract_id']}/billing", json={"invoiced_since": today})
    assert done.status_code == 200, done.text
    return str(service["contract_id"])


def test_a_service_is_sold_at_its_plans_price_or_at_its_own(client: TestClient) -> None:
    plan = client.post("/api/v1/plans", json=PLAN | {"price_cents": 9990}).json()
    first = make_service(client, plan_id=plan["id"])
    own = {"price_cents": 15_000, "price_from": "2026-12-01"}
    second = make_service(client, plan_id=plan["id"], contract_id=first["contract_id"], login="cara", **own)
    items = client.get(f"/api/v1/contracts/{first['contract_id']}").json()["items"]
    assert [(one["service_id"], one["price_cents"], one["from"]) for one in items] == [
        (first["id"], 9990, None), (second["id"], 15_000, "2026-12-01"),
    ]  # fmt: skip


def test_a_pending_service_costs_something_from_the_day_on_which_it_is_made_active(client: TestClient) -> None:
    service = make_service(client, price_cents=9990, status="pending")
    client.patch(f"/api/v1/services/{service['id']}", json={"status": "active"})
    (item,) = client.get(f"/api/v1/contracts/{service['contract_id']}").json()["items"]
    assert item["from"] == utc_now().date().isoformat()


def test_an_invoice_is_previewed_made_shown_paid_late_and_made_anew(client: TestClient, contract_id: str) -> None:
    extra = {"kind": "extra", "text_pt": "Visita", "amount_cents": 5000}
    assert client.post(f"/api/v1/contracts/{contract_id}/adjustments", json=extra).status_code == 201
    preview = client.get(f"/api/v1/contracts/{contract_id}/next-invoice").json()
    assert [line["amount_cents"] for line in preview["lines"]][-1] == 5000
    planned = client.get("/api/v1/invoicing/plan", params={"as_of": "2099-01-01"}).json()
    assert [one["total_cents"] for one in planned] == [preview["total_cents"]]
    made = client.post(f"/api/v1/contracts/{contract_id}/billed-periods").json()
    assert (made["total_cents"], made["lines"]) == (preview["total_cents"], preview["lines"])
    invoice = f"/api/v1/invoices/{made['invoice_id']}"
    assert client.get(f"{invoice}/payable").json()["total_cents"] == made["total_cents"]
    _check_pdf(client, invoice)
    assert client.patch(invoice, json={"status": "cancelled"}).status_code == 200
    assert client.get(f"{invoice}/payable").status_code == 409
    anew = client.post(f"/api/v1/billed-periods/{made['id']}/invoice")
    assert (anew.status_code, anew.json()["total_cents"]) == (201, made["total_cents"])
    listed = client.get(f"/api/v1/contracts/{contract_id}/billed-periods").json()["items"]
    assert [one["cancelled"] for one in listed] == [True, False]


def _check_pdf(client: TestClient, invoice: str) -> None:
    company = client.post("/api/v1/companies", json={"name": "Provedor Ltda", "document": "11222333000181"})
    assert company.status_code in {201, 409}
    for language, word in (("pt_BR", "Fatura"), ("en", "Invoice")):
        answer = client.get(f"{invoice}/pdf", params={"language": language})
        assert answer.headers["content-type"] == "application/pdf"
        assert word in PdfReader(BytesIO(answer.content)).pages[0].extract_text()


def test_what_is_paid_by_hand_after_its_day_is_split_into_principal_and_what_was_late(client: TestClient) -> None:
    body = {"contract_id": make_contract(client)["id"], "due_date": "2026-09-10", "amount_cents": 10_000}
    invoice = client.post("/api/v1/invoices", json=body).json()
    paid = {
        "invoice_id": invoice["id"], "amount_cents": 10_250, "paid_at": "2026-09-25T12:00:00Z", "method": "cash",
    }  # fmt: skip
    assert client.post("/api/v1/payments", json=paid).json()["surcharge_cents"] == 250
    assert client.get(f"/api/v1/invoices/{invoice['id']}").json()["status"] == "paid"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "lead_days": 3}, "lead_days"),
        ({"name": "x", "fine_bp": 300, "default_for": "person"}, "fine_bp"),
        ({"name": "x", "account_id": "77"}, "account_id"),
        ({"name": "x", "early_discount_bp": 10_000}, "early_discount_bp"),
        ({"name": "x", "early_discount_bp": 500, "early_discount_days": 11}, "early_discount_days"),
        ({"name": "x", "pix_key": "not a key", "pix_name": "a", "pix_city": "b"}, "pix_key"),
    ],
)
def test_bad_terms_name_their_field(client: TestClient, body: dict[str, Any], field: str) -> None:
    answer = client.post("/api/v1/invoicing-terms", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_terms_offer_a_discount_where_their_gateway_takes_one(client: TestClient) -> None:
    asks_less = {"early_discount_bp": 500, "early_discount_days": 5}
    for gateway, credential, status in (("asaas", "api_key", 201), ("stripe", "api_key", 422)):
        secret = f"whsec_{'x' * 40}"
        account = {"gateway": gateway, "name": gateway, "secret": secret, "credentials": {credential: "k"}}
        account_id = client.post("/api/v1/gateway-accounts", json=account).json()["id"]
        body = {"name": gateway, "account_id": account_id, **asks_less}
        answer = client.post("/api/v1/invoicing-terms", json=body)
        assert answer.status_code == status, answer.text
        if status == 422:
            assert answer.json()["field"] == "early_discount_bp"
        else:
            assert {name: answer.json()[name] for name in asks_less} == asks_less


def test_terms_are_changed_and_removed_while_nobody_has_them(client: TestClient, contract_id: str) -> None:
    made = client.post("/api/v1/invoicing-terms", json={"name": "pós-pago", "timing": "in_arrears"}).json()
    terms = f"/api/v1/invoicing-terms/{made['id']}"
    assert client.patch(terms, json={"lead_days": 12}).json()["lead_days"] == 12
    assert client.patch(terms, json={"timing": "in_advance"}).json()["lead_days"] == 12
    billing = f"/api/v1/contracts/{contract_id}/billing"
    assert client.patch(billing, json={"invoicing_terms_id": made["id"]}).json()["invoicing_terms_id"] == made["id"]
    assert client.delete(terms).status_code == 409
    assert client.patch(billing, json={"invoicing_terms_id": None}).status_code == 200
    assert client.delete(terms).status_code == 204
