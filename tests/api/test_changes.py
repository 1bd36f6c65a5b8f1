"""Plan changes and pauses over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_rows import PLAN, make_service
from fastapi.testclient import TestClient

API = "/api/v1"


@pytest.fixture
def service(client: TestClient) -> dict[str, Any]:
    """One that costs R$ 99,90 a month."""
    made = make_service(client)
    items = [{"service_id": made["id"], "price_cents": 9990}]
    assert client.patch(f"{API}/contracts/{made['contract_id']}", json={"items": items}).status_code == 200
    return made


@pytest.fixture
def faster(client: TestClient) -> str:
    return str(client.post(f"{API}/plans", json=PLAN | {"name": "Fibra 500", "price_cents": 14990}).json()["id"])


def day(ahead: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=ahead)).isoformat()


def test_a_preview_tells_and_keeps_nothing_and_the_change_is_what_it_told(
    client: TestClient, service: dict[str, Any], faster: str
) -> None:
    path, body = f"{API}/services/{service['id']}/plan-changes", {"plan_id": faster}
    seen = client.post(path, json=body | {"preview": True})
    assert seen.status_code == 200
    told = seen.json()
    assert (told["old_price_cents"], told["new_price_cents"], told["on"]) == (9990, 14990, day(0))
    assert [one["difference_cents"] for one in told["periods"]][1] == 5000
    assert "Fibra 500" in told["periods"][1]["lines"][0]["text_pt"]
    assert client.get(f"{API}/plan-changes").json()["items"] == []
    assert client.get(f"{API}/services/{service['id']}").json()["plan_id"] == service["plan_id"]

    made = client.post(path, json=body | {"note": "asked by phone"})
    assert (made.status_code, made.json()["applied_at"] is not None) == (201, True)
    assert client.get(f"{API}/services/{service['id']}").json()["plan_id"] == faster
    contract = client.get(f"{API}/contracts/{service['contract_id']}").json()
    assert [item["price_cents"] for item in contract["items"]] == [14990]


def test_a_preview_and_the_change_are_two_requests_also_under_one_key(
    client: TestClient, service: dict[str, Any], faster: str
) -> None:
    path, body, headers = f"{API}/services/{service['id']}/plan-changes", {"plan_id": faster}, {"Idempotency-Key": "k"}
    assert client.post(path, json=body | {"preview": True}, headers=headers).status_code == 200
    assert client.post(path, json=body, headers=headers).json()["field"] == "Idempotency-Key"


def test_a_change_of_a_day_is_listed_and_withdrawn(client: TestClient, service: dict[str, Any], faster: str) -> None:
    path = f"{API}/services/{service['id']}/plan-changes"
    made = client.post(path, json={"plan_id": faster, "on": day(10), "price_cents": 12000}).json()
    assert (made["applied_at"], made["new_price_cents"]) == (None, 12000)
    refused = client.post(path, json={"plan_id": faster, "on": day(10)})
    assert (refused.status_code, refused.json()["field"]) == (409, "on")
    past = client.post(path, json={"plan_id": faster, "on": day(-3)})
    assert (past.status_code, past.json()["field"]) == (422, "on")
    listed = client.get(f"{API}/plan-changes", params={"service_id": service["id"]}).json()["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert client.get(f"{API}/plan-changes", params={"failed": True}).json()["items"] == []
    withdrawn = client.delete(f"{API}/plan-changes/{made['id']}").json()
    assert withdrawn["withdrawn_at"] is not None
    assert client.delete(f"{API}/plan-changes/999999").status_code == 404


def test_a_pause_blocks_is_listed_and_ended_by_the_customer(client: TestClient, service: dict[str, Any]) -> None:
    path = f"{API}/services/{service['id']}/pauses"
    for body, field in (
        ({"start": day(0), "end": day(10)}, "end"), ({"start": day(-1), "end": day(40)}, "start"),
        ({"start": day(3), "end": day(3)}, "end"),
    ):  # fmt: skip
        assert client.post(path, json=body).json()["field"] == field
    pause = client.post(path, json={"start": day(0), "end": day(45), "note": "on holiday"}).json()
    held = client.get(f"{API}/services/{service['id']}").json()
    assert (held["access"], [one["reason"] for one in held["holds"]]) == ("blocked", ["request"])
    assert client.delete(f"{API}/pauses/{pause['id']}").status_code == 409
    listed = client.get(f"{API}/pauses", params={"contract_id": service["contract_id"]}).json()["items"]
    assert [one["hold_id"] for one in listed] == [held["holds"][0]["id"]]
    ended = client.post(f"{API}/pauses/{pause['id']}/end").json()
    assert (ended["ended_at"] is not None, ended["charged_from"]) == (True, day(1))
    assert client.get(f"{API}/services/{service['id']}").json()["access"] == "full"


def test_a_pause_to_come_is_withdrawn_and_none_is_for_who_is_in_arrears(
    client: TestClient, service: dict[str, Any]
) -> None:
    path, body = f"{API}/services/{service['id']}/pauses", {"start": day(5), "end": day(40)}
    pause = client.post(path, json=body).json()
    assert client.delete(f"{API}/pauses/{pause['id']}").json()["withdrawn_at"] is not None
    owed = {"contract_id": service["contract_id"], "due_date": day(-5), "amount_cents": 9990}
    invoice = client.post(f"{API}/invoices", json=owed).json()
    refused = client.post(path, json=body)
    assert (refused.status_code, f"invoice {invoice['id']} is overdue" in refused.json()["detail"]) == (409, True)
