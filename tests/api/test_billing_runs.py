"""Runs over REST: the dry run as table and spreadsheet, what a stopped run asks, decisions explained and reviewed."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_rows import make_service
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from sqlalchemy import select

from billing_hooks.policy import ANATEL_765, to_body
from billing_hooks.runs import Billing
from billing_hooks.sheets import MEDIA_TYPE
from core import topics
from core.clock import utc_now
from core.database import Database
from core.models import OutboxItem
from core.models.system import Role

API = "/api/v1"


@pytest.fixture
def debtor(client: TestClient) -> dict[str, Any]:
    """A service whose contract owes for 40 days and was told 20 days ago; cuts may begin at any moment."""
    any_time = {"weekdays": list(range(7)), "first_hour": 0, "last_hour": 24, "holidays": True, "eves": True}
    policy = {"name": "any time", "body": {"hours": any_time, "guard": {"count_floor": 0}}, "default_for": "person"}
    assert client.post(f"{API}/billing-policies", json=policy).status_code == 201
    service, now = make_service(client), datetime.now(UTC)
    body = {
        "contract_id": service["contract_id"], "due_date": (now.date() - timedelta(days=40)).isoformat(),
        "amount_cents": 9990, "notified_at": (now - timedelta(days=20)).isoformat(),
    }  # fmt: skip
    return {**service, "invoice": client.post(f"{API}/invoices", json=body).json()["id"]}


def work(database: Database) -> None:
    """What is owed, as the workers do it."""
    with database.transaction() as session:
        for item in session.scalars(select(OutboxItem).where(OutboxItem.topic == topics.BILLING_CHUNK.name)).all():
            Billing(UTC, utc_now).handle_chunk(session, item.payload)
            session.delete(item)


def access(client: TestClient, service: dict[str, Any]) -> str:
    return str(client.get(f"{API}/services/{service['id']}").json()["access"])


def sheet(answer: Any) -> list[tuple[object, ...]]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE), answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    found = load_workbook(io.BytesIO(answer.content)).active
    assert found is not None
    return [tuple(cell.value for cell in row) for row in found.iter_rows()]


def stopped(client: TestClient) -> str:
    """The id of the run that asks."""
    answer = client.post(f"{API}/billing-runs", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    return str(client.get(answer.headers["location"]).json()["id"])


def test_the_dry_run_is_a_table_and_a_spreadsheet(client: TestClient, debtor: dict[str, Any]) -> None:
    (planned,) = client.get(f"{API}/billing-runs/plan").json()
    assert (planned["action"], planned["logins"], planned["effect"]) == ("place", ["ana"], "walled_garden")
    headers, row = sheet(client.get(f"{API}/billing-runs/plan.xlsx"))
    assert (headers[0], row[0], row[2], row[3]) == ("Cliente", "Ana", "ana", "restringir")
    assert row[6] == planned["reason_pt"]
    headers, row = sheet(client.get(f"{API}/billing-runs/plan.xlsx?language=en"))
    assert (headers[0], row[3], row[6]) == ("Customer", "restrict", planned["reason"])
    assert len(sheet(client.get(f"{API}/billing-runs/plan.xlsx?action=tell"))) == 1
    taken = client.get(f"{API}/audit-entries").json()["items"]
    assert [one["changes"]["rows"] for one in taken if one["action"] == "export"] == [1, 1, 0]


def test_a_run_that_stops_shows_its_list_and_goes_on_when_forced(
    client: TestClient, client_for: Any, database: Database, debtor: dict[str, Any]
) -> None:
    run_id = stopped(client)
    assert stopped(client) == run_id
    (run,) = client.get(f"{API}/billing-runs?state=stopped").json()["items"]
    assert (run["id"], run["stopped_for"], run["considered"]) == (run_id, ["share"], 1)
    assert "1 de 1 contratos" in run["stopped_reason_pt"]
    (decision,) = client.get(f"{API}/billing-runs/{run_id}/decisions").json()["items"]
    assert "A rodada parou e nada foi feito" in decision["explanation_pt"]
    assert sheet(client.get(f"{API}/billing-runs/{run_id}/decisions.xlsx"))[1][3] == "restringir"
    work(database)
    assert access(client, debtor) == "full"

    support = client_for(Role.SUPPORT)
    assert support.get(f"{API}/billing-runs/{run_id}/decisions.xlsx").status_code == 200
    assert support.post(f"{API}/billing-runs/{run_id}/force").status_code == 403
    forced = client_for(Role.FINANCE).post(f"{API}/billing-runs/{run_id}/force").json()
    assert (forced["state"], forced["forced_by"].startswith("token:finance")) == ("running", True)
    work(database)
    assert access(client, debtor) == "walled_garden"
    assert client.get(f"{API}/billing-runs/{run_id}").json()["state"] == "done"
    assert client.post(f"{API}/billing-runs/{run_id}/force").status_code == 409
    assert client.post(f"{API}/billing-runs/999999/force").status_code == 404
    done_at = sheet(client.get(f"{API}/billing-runs/{run_id}/decisions.xlsx?language=en"))[1][11]
    assert isinstance(done_at, datetime)


def test_what_a_refused_run_keeps_is_committed_with_the_refusal(client: TestClient, debtor: dict[str, Any]) -> None:
    run_id = stopped(client)
    assert client.get(f"{API}/billing-runs/{run_id}").json()["state"] == "stopped"
    events = client.get(f"{API}/events?type=billing.run_stopped").json()["items"]
    assert [one["subject"] for one in events] == [f"billing_run:{run_id}"]


def test_a_customer_asks_and_a_person_undoes(
    client: TestClient, client_for: Any, database: Database, debtor: dict[str, Any]
) -> None:
    client.post(f"{API}/billing-runs/{stopped(client)}/force")
    work(database)
    (decision,) = client.get(f"{API}/contracts/{debtor['contract_id']}/decisions").json()["items"]
    for words in ("Regra: política “any time”, passo “suspension”, 15 dias completos depois do aviso", "R$ 99,90"):
        assert words in decision["explanation_pt"]
    assert decision["facts"]["invoices"][0]["owed_cents"] == 9990
    assert client.get(f"{API}/billing-decisions/{decision['id']}").json() == decision

    support, finance = client_for(Role.SUPPORT), client_for(Role.FINANCE)
    ask = {"asked_by": "titular, por WhatsApp", "objection": "paguei ontem"}
    asked = support.post(f"{API}/billing-decisions/{decision['id']}/review", json=ask)
    assert (asked.status_code, asked.json()["outcome"]) == (201, None)
    path = f"{API}/billing-reviews/{asked.json()['id']}"
    assert client.get(f"{API}/billing-reviews?open=true").json()["items"] == [asked.json()]
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    undone = {"outcome": "undone", "answer": "comprovante conferido", "remedy": "promise", "until": until}
    assert support.post(f"{path}/conclude", json=undone).status_code == 403
    assert finance.post(f"{path}/conclude", json=undone | {"remedy": None}).json()["field"] == "remedy"
    concluded = finance.post(f"{path}/conclude", json=undone).json()
    assert (concluded["outcome"], concluded["reviewed_by"].startswith("token:finance")) == ("undone", True)
    assert access(client, debtor) == "full"
    assert client.get(f"{API}/billing-reviews?open=true").json()["items"] == []
    assert client.get(path).json() == concluded
    assert len(client.get(f"{API}/billing-reviews?open=false&decision_id={decision['id']}").json()["items"]) == 1
    assert client.get(f"{API}/contracts/999999/decisions").status_code == 404


def test_the_default_guard_has_no_number_and_a_policy_may_set_one(client: TestClient) -> None:
    assert to_body(ANATEL_765)["guard"]["count_max"] is None
    body = {"name": "careful", "body": {"guard": {"count_max": 500}}}
    assert client.post(f"{API}/billing-policies", json=body).json()["body"]["guard"]["count_max"] == 500
    refused = client.post(f"{API}/billing-policies", json=body | {"body": {"guard": {"share_max": 2}}})
    assert (refused.status_code, refused.json()["field"]) == (422, "guard.share_max")
