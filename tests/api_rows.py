"""Rows made over REST, for tests of the API."""

from __future__ import annotations

import itertools
from typing import Any

from fastapi.testclient import TestClient

_numbers = itertools.count(1)
PLAN = {"name": "Fibra 200", "down_kbps": 200_000, "up_kbps": 100_000, "address_pool": "residential"}


def make_contract(client: TestClient, **values: Any) -> dict[str, Any]:
    customer = client.post("/api/v1/customers", json={"name": "Ana", "kind": "person"}).json()
    body = {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
    return _made(client.post("/api/v1/contracts", json=body | values))


def make_service(client: TestClient, **values: Any) -> dict[str, Any]:
    plan = client.post("/api/v1/plans", json=PLAN | {"name": f"p-{next(_numbers)}"}).json()
    body = {"contract_id": make_contract(client)["id"], "plan_id": plan["id"], "login": "ana", "password": "s3cret"}
    return _made(client.post("/api/v1/services", json=body | values))


def _made(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]
