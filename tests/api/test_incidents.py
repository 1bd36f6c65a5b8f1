"""Incidents over REST: opened, looked at, confirmed, extended and closed; and by whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_rows import PLAN, make_contract, make_service
from fastapi.testclient import TestClient

from core.models.system import Role

API = "/api/v1"


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def incident(**values: Any) -> dict[str, Any]:
    return {"title": "Fibra rompida", "description": "km 12 da BR-101", "expires_at": in_hours(4), **values}


@pytest.fixture
def service(client: TestClient) -> dict[str, Any]:
    address = {"state": "SC", "ibge_code": "4205407", "district": "Centro", "postal_code": "88010-000"}
    return make_service(client, address=address)


def test_the_life_of_an_incident(client: TestClient, service: dict[str, Any]) -> None:
    place = {"ibge_code": "4205407", "district": "centro"}
    opened = client.post(f"{API}/incidents", json=incident(scope={"places": [place]}))
    assert (opened.status_code, opened.json()["confirmed"], opened.json()["open"]) == (201, False, True)
    path = f"{API}/incidents/{opened.json()['id']}"
    # whom it touches, before anybody confirms it
    scope = client.get(f"{path}/scope").json()
    assert (scope["services"], scope["contracts"], scope["next_cursor"]) == (1, 1, None)
    assert scope["items"] == [
        {"service_id": service["id"], "contract_id": service["contract_id"], "login": "ana",
         "plan_id": service["plan_id"]}
    ]  # fmt: skip
    # somebody changed it after we looked
    etag = opened.headers["etag"]
    changed = client.patch(path, json={"scope": {"service_ids": [service["id"]]}, "title": "OLT parada"})
    assert (changed.status_code, changed.json()["title"]) == (200, "OLT parada")
    assert client.post(f"{path}/confirm", headers={"If-Match": etag}).status_code == 412
    confirmed = client.post(f"{path}/confirm", headers={"If-Match": changed.headers["etag"]}).json()
    assert (confirmed["confirmed"], confirmed["confirmed_scope"]["service_ids"]) == (True, [service["id"]])
    assert confirmed["confirmed_by"].startswith("token:admin")
    # a new scope is not the confirmed one
    wider = client.patch(path, json={"scope": {"places": [{"state": "SC"}]}, "expires_at": in_hours(100)}).json()
    assert (wider["confirmed"], wider["confirmed_scope"]["service_ids"]) == (False, [service["id"]])
    assert client.patch(path, json={"expires_at": in_hours(24 * 8)}).json()["field"] == "expires_at"
    assert [one["id"] for one in client.get(f"{API}/incidents?open=true").json()["items"]] == [wider["id"]]
    closed = client.post(f"{path}/close").json()
    assert (closed["open"], closed["closed_at"] is not None) == (False, True)
    assert client.post(f"{path}/close").json()["version"] == closed["version"]
    assert client.post(f"{path}/confirm").status_code == 409
    assert client.get(f"{API}/incidents?open=true").json()["items"] == []
    assert [one["id"] for one in client.get(f"{API}/incidents?open=false").json()["items"]] == [wider["id"]]
    types = [one["type"] for one in client.get(f"{API}/events?subject=incident:{wider['id']}").json()["items"]]
    assert types == ["incident.opened", "incident.changed", "incident.confirmed", "incident.changed", "incident.closed"]


def test_a_long_list_of_touched_services_comes_in_pages(client: TestClient) -> None:
    plan = client.post(f"{API}/plans", json=PLAN).json()
    contract = make_contract(client)
    for number in range(5):
        body = {"contract_id": contract["id"], "plan_id": plan["id"], "login": f"a{number}", "password": "s3cret"}
        assert client.post(f"{API}/services", json=body).status_code == 201
    made = client.post(f"{API}/incidents", json=incident(scope={"plan_ids": [plan["id"]]})).json()
    first = client.get(f"{API}/incidents/{made['id']}/scope?limit=3").json()
    assert (first["services"], first["contracts"], len(first["items"])) == (5, 1, 3)
    rest = client.get(f"{API}/incidents/{made['id']}/scope", params={"cursor": first["next_cursor"]}).json()
    assert [one["login"] for one in first["items"] + rest["items"]] == [f"a{number}" for number in range(5)]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        ({"nas_ids": ["999"]}, "scope.nas_ids"),
        ({"service_ids": ["99999999999999999999"]}, "scope.service_ids.0"),
        ({"places": [{}]}, "scope.places.0"),
        ({"places": [{"district": "Centro"}]}, "scope.places.0.ibge_code"),
        ({"lines": [{"nas_id": "1", "port": " "}]}, "scope.lines.0.port"),
        ({"vlans": [7]}, "scope.vlans"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_by_name(client: TestClient, scope: dict[str, Any], field: str) -> None:
    answer = client.post(f"{API}/incidents", json=incident(scope=scope))
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_noc_runs_incidents_and_finance_and_support_see_them(client_for: Any, client: TestClient) -> None:
    noc, finance, support, legal = (client_for(role) for role in (Role.NOC, Role.FINANCE, Role.SUPPORT, Role.LEGAL))
    service = make_service(client)
    made = noc.post(f"{API}/incidents", json=incident(scope={"service_ids": [service["id"]]})).json()
    path = f"{API}/incidents/{made['id']}"
    assert noc.post(f"{path}/confirm").json()["confirmed"] is True
    assert finance.get(f"{path}/scope").json()["services"] == 1
    assert finance.post(f"{path}/close").status_code == 403
    assert support.get(path).status_code == 200
    assert support.post(f"{API}/incidents", json=incident()).status_code == 403
    assert legal.get(path).status_code == 403
