"""Explanations and findings over REST: by whom, in which language, masked for whom."""

from __future__ import annotations

from typing import Any

import pytest
from api_rows import make_service
from fastapi.testclient import TestClient
from sqlalchemy import select

from aaa.models import AuthenticationAttempt, NasFindingRow
from core.database import Database
from core.models.system import AuditEntry, Role

MAC = "AA:BB:CC:00:00:01"


@pytest.fixture
def service(client: TestClient, database: Database) -> dict[str, Any]:
    """Locked to a device, refused with another, behind a NAS with a wrong secret."""
    client.post("/api/v1/nas", json={"name": "bras-1", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"})
    with database.transaction() as session:
        session.add(
            AuthenticationAttempt(
                login="ana", nas_id=1, source="192.0.2.1", calling_station_id="aabb.cc00.0002", reason="locked_mac",
                method="pap", hint="", service_id=1, detail={"came": "AA:BB:CC:00:00:02", "expected": MAC},
            )
        )  # fmt: skip
        session.add(NasFindingRow(nas_id=1, source="192.0.2.1", kind="wrong_secret", count=3, detail={"role": "auth"}))
        session.add(NasFindingRow(nas_id=0, source="203.0.113.9", kind="unknown_client", count=8, detail={}))
    return make_service(client, mac_lock=MAC)


def explained(client: TestClient, path: str, **parameters: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{path}", params={"language": "en", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_service_and_its_login_are_explained_alike(client: TestClient, service: dict[str, Any]) -> None:
    found = explained(client, f"services/{service['id']}/explain")
    assert found == explained(client, "explain", login="ana")
    assert (found["verdict"], found["can_connect"], found["service_id"]) == ("refused", True, service["id"])
    assert "AA:BB:CC:00:00:02 came, AA:BB:CC:00:00:01 was expected" in found["summary"]
    assert "“learn”" in found["next_step"]
    assert [one["code"] for one in found["findings"]] == [
        "refused", "never_seen", "nas_wrong_secret", "locked_to", "policy"
    ]  # fmt: skip


def test_devices_are_masked_for_who_need_not_see_them(
    client: TestClient, client_for: Any, service: dict[str, Any]
) -> None:
    path = f"services/{service['id']}/explain"
    masked = explained(client_for(Role.NOC), path)
    assert "AA:BB" not in str(masked)
    assert "*02 came" in masked["summary"]
    assert "AA:BB:CC:00:00:02" in str(explained(client_for(Role.SUPPORT), path))


def test_who_saw_a_subscriber_explained_is_on_record(
    client: TestClient, database: Database, service: dict[str, Any]
) -> None:
    with database.transaction() as session:
        before = len(session.scalars(select(AuditEntry).where(AuditEntry.action == "reveal")).all())
    explained(client, f"services/{service['id']}/explain")
    explained(client, "explain", login="ana")
    explained(client, "explain", login="nobody")
    with database.transaction() as session:
        seen = session.scalars(select(AuditEntry).where(AuditEntry.action == "reveal")).all()
        assert [entry.resource_id for entry in seen[before:]] == [service["id"]] * 2


def test_a_login_that_is_nobodys_is_explained_too(client: TestClient, service: dict[str, Any]) -> None:
    found = explained(client, "explain", login="ANA@velho")
    assert (found["verdict"], found["service_id"]) == ("unknown_login", None)
    assert "Did you mean “ana”?" in found["next_step"]


def test_a_device_and_an_address(client: TestClient, service: dict[str, Any]) -> None:
    assert explained(client, "explain", mac="aabb.cc00.0001")["service_id"] == service["id"]
    assert explained(client, "explain", address="100.64.0.1")["findings"][0]["code"] == "address_free"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "login"), ({"login": "a", "mac": MAC}, "login"), ({"mac": "aa:bb"}, "mac"), ({"address": "x"}, "address"),
        ({"address": "1.2.3.4/8"}, "address"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_names_its_field(client: TestClient, parameters: dict[str, str], field: str) -> None:
    answer = client.get("/api/v1/explain", params=parameters)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_findings_of_a_nas_and_of_strangers(client: TestClient, service: dict[str, Any]) -> None:
    (found,) = explained(client, "nas/1/findings")["items"]
    assert (found["kind"], found["count"], found["detail"]) == ("wrong_secret", 3, {"role": "auth"})
    assert found["message"].startswith("bras-1 (192.0.2.1): wrong shared secret in authentication (3 times")
    assert "same secret" in found["next_step"]
    (stranger,) = explained(client, "unknown-clients")["items"]
    assert (stranger["source"], stranger["count"]) == ("203.0.113.9", 8)
    assert "add it with this address" in stranger["next_step"]
    assert client.get("/api/v1/nas/9/findings").status_code == 404


def test_explanations_speak_portuguese_unless_asked(client: TestClient, service: dict[str, Any]) -> None:
    found = client.get("/api/v1/nas/1/findings").json()["items"][0]
    assert "segredo compartilhado errado na autenticação" in found["message"]
