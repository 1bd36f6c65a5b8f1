"""Debts over REST: policies, terms of a contract, promises, messages with their proof, and the dry run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_rows import make_contract, make_service
from fastapi.testclient import TestClient
from sqlalchemy import update

from billing_hooks.models import DebtMessage, InboxEntry, InboxStatus
from core.database import Database
from core.models import Contract

API = "/api/v1"


@pytest.fixture
def debtor(client: TestClient) -> dict[str, Any]:
    """A service whose contract owes for 40 days, with its invoice."""
    service = make_service(client)
    due = (datetime.now(UTC).date() - timedelta(days=40)).isoformat()
    body = {"contract_id": service["contract_id"], "due_date": due, "amount_cents": 9990}
    return {**service, "invoice": client.post(f"{API}/invoices", json=body).json()["id"]}


def test_a_notice_is_owed_told_and_proven_and_its_days_begin(client: TestClient, debtor: dict[str, Any]) -> None:
    (planned,) = client.get(f"{API}/billing-runs/plan").json()
    assert (planned["action"], planned["step"]) == ("tell", "notice of debt")
    for words in ("R$ 99,90", "suspenso a partir de", "rescindido a partir de", "proteção ao crédito", "24 horas"):
        assert words in planned["text_pt"]
    run = client.post(f"{API}/billing-runs", json={}).json()
    (decision,) = client.get(f"{API}/billing-runs/{run['id']}/decisions").json()["items"]
    assert (decision["action"], decision["policy"]) == ("tell", "Anatel 765")


def test_the_proof_of_a_notice_counts_once_and_not_from_the_future(
    client: TestClient, database: Database, debtor: dict[str, Any]
) -> None:
    with database.transaction() as session:
        message = DebtMessage(
            contract_id=int(debtor["contract_id"]), invoice_id=int(debtor["invoice"]), policy="p", step="n",
            is_notice=True, text_en="e", text_pt="p",
        )  # fmt: skip
        session.add(message)
        session.flush()
        path = f"{API}/debt-messages/{message.id}/reached"
    now = datetime.now(UTC)
    future = {"proof": "delivered", "at": (now + timedelta(hours=1)).isoformat()}
    assert client.post(path, json=future).status_code == 422
    told = {"proof": "delivered", "at": (now - timedelta(days=20)).isoformat(), "evidence": {"id": "wamid.1"}}
    assert client.post(path, json=told).json()["proof"] == "delivered"
    later = told | {"at": now.isoformat(), "proof": "read"}
    assert client.post(path, json=later).json()["proof"] == "delivered"
    assert client.get(f"{API}/invoices/{debtor['invoice']}").json()["notified_at"].startswith(told["at"][:10])
    assert client.get(f"{API}/debt-messages?reached=false").json()["items"] == []
    terms = client.get(f"{API}/contracts/{debtor['contract_id']}/billing").json()
    assert "prazo do aviso cumprido" in terms["standing_pt"]


def test_unlock_and_window_over_rest(client: TestClient, debtor: dict[str, Any]) -> None:
    refused = client.post(f"{API}/services/{debtor['id']}/unlock")
    assert (refused.status_code, "not restricted" in refused.json()["detail"]) == (409, True)
    hold = {"reason": "billing", "effect": "walled_garden"}
    client.post(f"{API}/services/{debtor['id']}/holds", json=hold)
    unlocked = client.post(f"{API}/services/{debtor['id']}/unlock")
    assert unlocked.status_code == 201
    assert unlocked.json()["protocol"].isdigit()
    window = client.post(f"{API}/invoices/{debtor['invoice']}/payment-window").json()
    assert window["kind"] == "payment_window"
    kinds = [one["kind"] for one in client.get(f"{API}/contracts/{debtor['contract_id']}/promises").json()]
    assert kinds == ["trust_unlock", "payment_window"]
    assert client.delete(f"{API}/promises/{window['id']}").json()["withdrawn_at"] is not None
    assert client.post(f"{API}/services/999999/unlock").status_code == 404


def test_policies_are_data_with_presets_and_one_default_of_a_kind(client: TestClient) -> None:
    presets = client.get(f"{API}/billing-policies/presets").json()
    assert set(presets) == {"anatel_765", "legacy_632", "business"}
    body = {"name": "Gentle", "body": {"minimum_cents": 2000}, "default_for": "person"}
    made = client.post(f"{API}/billing-policies", json=body)
    assert made.status_code == 201
    assert made.json()["body"]["steps"] == presets["anatel_765"]["steps"]
    assert client.post(f"{API}/billing-policies", json=body | {"name": "Other"}).json()["field"] == "default_for"
    quick = [step | {"days": 5} if step["basis"] == "notice" else step for step in presets["anatel_765"]["steps"]]
    refused = client.put(
        f"{API}/billing-policies/{made.json()['id']}",
        json={"name": "Gentle", "body": {"steps": quick}, "default_for": "person"},
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "steps")


def test_a_contract_has_a_policy_of_its_own_or_an_exemption(client: TestClient, debtor: dict[str, Any]) -> None:
    path = f"{API}/contracts/{debtor['contract_id']}/billing"
    policy = client.post(f"{API}/billing-policies", json={"name": "VIP", "body": {}}).json()
    assert client.patch(path, json={"policy_id": policy["id"]}).json()["policy"] == "VIP"
    assert client.patch(path, json={"exemption": "hospital"}).json()["exemption"] == "hospital"
    assert client.patch(path, json={"policy_id": None}).json()["policy"] == "Anatel 765"
    assert client.patch(path, json={"policy_id": "999999"}).status_code == 404
    assert client.get(f"{API}/contracts/999999/billing").status_code == 404


def test_a_holiday_of_the_provider_comes_and_goes(client: TestClient) -> None:
    body = {"name": "Aniversário da cidade", "month": 1, "day": 25, "ibge_code": "3550308"}
    holiday = client.post(f"{API}/holidays", json=body).json()
    assert client.post(f"{API}/holidays", json=body | {"month": 2, "day": 30}).json()["field"] == "day"
    assert [one["id"] for one in client.get(f"{API}/holidays").json()["items"]] == [holiday["id"]]
    assert client.delete(f"{API}/holidays/{holiday['id']}").status_code == 204
    assert client.delete(f"{API}/holidays/{holiday['id']}").status_code == 404


def test_a_run_with_nothing_to_do_says_so(client: TestClient, database: Database) -> None:
    assert client.post(f"{API}/billing-runs", json={}).status_code == 204
    with database.transaction() as session:
        session.execute(update(Contract).values(due_day=10))
    assert client.get(f"{API}/billing-runs").json()["items"] == []


def test_a_failed_event_is_listed_and_done_again(client: TestClient, database: Database) -> None:
    with database.transaction() as session:
        session.add(
            InboxEntry(
                account_id=1, gateway="asaas", event_id="evt_1", body=b"{}", status=InboxStatus.FAILED, error="x"
            )
        )
    (entry,) = client.get(f"{API}/inbox?status=failed").json()["items"]
    assert (entry["error"], entry["found"]) == ("x", False)
    assert client.post(f"{API}/inbox/{entry['id']}/retry").json()["status"] == "received"
    assert client.post(f"{API}/inbox/{entry['id']}/retry").status_code == 409
    assert client.post(f"{API}/inbox/999999/retry").status_code == 404


def test_too_little_for_a_charge_is_refused_before_the_gateway_would(client: TestClient) -> None:
    account = client.post(
        f"{API}/gateway-accounts",
        json={"gateway": "asaas", "name": "asaas", "secret": "x" * 40, "credentials": {"api_key": "k"}},
    ).json()
    contract = make_contract(client)
    client.patch(f"{API}/customers/{contract['customer_id']}", json={"document": "529.982.247-25"})
    day = (datetime.now(UTC).date() + timedelta(days=5)).isoformat()
    body = {"contract_id": contract["id"], "due_date": day, "amount_cents": 499}
    path = f"{API}/invoices/{client.post(f'{API}/invoices', json=body).json()['id']}/charges"
    refused = client.post(path, json={"account_id": account["id"]})
    assert (refused.status_code, refused.json()["field"]) == (422, "amount_cents")
    assert refused.json()["detail"].endswith("at least R$ 5,00 at this gateway")
    assert refused.json()["detail_pt"].endswith("pelo menos R$ 5,00 neste gateway")
    assert client.get(path).json() == []


def test_a_charge_is_ordered_at_an_account_that_can_make_one(client: TestClient, debtor: dict[str, Any]) -> None:
    account = client.post(
        f"{API}/gateway-accounts",
        json={"gateway": "asaas", "name": "asaas", "secret": "x" * 40, "credentials": {"api_key": "k"}},
    ).json()
    assert (account["has_credentials"], account["alarm"], account["alarm_pt"]) == (True, None, None)
    assert "credentials" not in account
    path = f"{API}/invoices/{debtor['invoice']}/charges"
    assert client.post(path, json={"account_id": account["id"]}).json()["field"] == "due_date"
    day = (datetime.now(UTC).date() + timedelta(days=5)).isoformat()
    assert client.post(path, json={"account_id": account["id"], "due_date": day}).json()["field"] == "customer.document"
    assert client.get(path).json() == []
