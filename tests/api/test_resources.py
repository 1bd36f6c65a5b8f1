"""The API as a program sees it: create, read, change, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest
from api_rows import PLAN, make_contract, make_service
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from api.access import may
from core import policies
from core.database import Database
from core.models.network import Nas, Vendor
from core.models.system import AuditEntry, Role


def test_a_service_from_plan_to_hold(client: TestClient) -> None:
    service = make_service(client)
    assert service["access"] == "full"
    assert "password" not in service
    held = client.post(f"/api/v1/services/{service['id']}/holds", json={"reason": "admin", "effect": "throttle"})
    assert held.status_code == 201
    assert client.get(f"/api/v1/services/{service['id']}").json()["access"] == "throttled"
    lifted = client.delete(f"/api/v1/services/{service['id']}/holds/{held.json()['id']}")
    assert lifted.json()["lifted_by"].startswith("token:")
    assert client.get(f"/api/v1/services/{service['id']}").json()["access"] == "full"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("plans", PLAN | {"down_kbps": 0}, "down_kbps"),
        ("plans", PLAN | {"quota_gigabytes": 1}, "quota_gigabytes"),
        ("plans", PLAN | {"quota_bytes": 0}, "quota_bytes"),
        ("plans", PLAN | {"name": "a\0b"}, "name"),
        ("customers", {"name": "A", "kind": "person", "document": "111.111.111-11"}, "document"),
        ("companies", {"name": "A", "document": "11.222.333/0001-82"}, "document"),
        ("contracts", {"customer_id": "99999", "due_day": 1, "started_on": "2026-01-01"}, "customer_id"),
        ("nas", {"name": "n", "address": "300.1.1.1", "secret": "s", "vendor": "mikrotik"}, "address"),
        ("nas", {"name": "n", "address": "0.0.0.0/0", "secret": "s", "vendor": "mikrotik"}, "address"),
        ("nas", {"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "acme"}, "vendor"),
        ("nas", {"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "generic", "emergency": True},
         "emergency_plan_id"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(client: TestClient, path: str, body: dict[str, Any], field: str) -> None:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ipv4_address", "224.0.0.1"),
        ("ipv6_prefix", "2001:db8::1/64"),
        ("delegated_ipv6_prefix", "2001:db8::"),
        ("login", "a" * 254),
        ("ipv4_routes", ["10.0.0.1/8"]),
    ],
)
def test_a_services_values_are_checked_in_the_fields_own_terms(client: TestClient, field: str, value: Any) -> None:
    service = make_service(client)
    answer = client.patch(f"/api/v1/services/{service['id']}", json={field: value})
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_a_login_is_unique_until_its_service_is_cancelled(client: TestClient) -> None:
    service = make_service(client)
    again = {"contract_id": service["contract_id"], "plan_id": service["plan_id"], "login": "ana", "password": "x"}
    assert client.post("/api/v1/services", json=again).json()["field"] == "login"
    client.delete(f"/api/v1/services/{service['id']}")
    assert client.post("/api/v1/services", json=again).status_code == 201


def test_an_idempotency_key_does_a_thing_once(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/api/v1/plans", json=PLAN, headers=headers)
    again = client.post("/api/v1/plans", json=PLAN, headers=headers)
    other = client.post("/api/v1/plans", json=PLAN | {"up_kbps": 5}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")


def test_a_change_of_an_old_version_is_refused(client: TestClient) -> None:
    plan = client.post("/api/v1/plans", json=PLAN).json()
    ok = client.patch(f"/api/v1/plans/{plan['id']}", json={"up_kbps": 7}, headers={"If-Match": f'"{plan["version"]}"'})
    stale = client.patch(
        f"/api/v1/plans/{plan['id']}", json={"up_kbps": 8}, headers={"If-Match": f'"{plan["version"]}"'}
    )
    assert ok.json()["up_kbps"] == 7
    assert ok.json()["down_kbps"] == PLAN["down_kbps"]
    assert stale.status_code == 412


def test_lists_go_on_where_the_cursor_says(client: TestClient) -> None:
    for number in range(5):
        client.post("/api/v1/plans", json=PLAN | {"name": f"plan {number}"})
    seen, cursor = [], None
    while True:
        page = client.get("/api/v1/plans", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"plan {number}" for number in range(5)]
    assert client.get("/api/v1/plans", params={"cursor": "x"}).json()["field"] == "cursor"


def test_every_route_has_a_rule_and_the_rule_holds(client_for: Any, client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    clients = {role: client_for(role) for role in Role}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for role, one in clients.items():
                answer = one.request(method, path.replace("{", "").replace("}", ""), json={})
                allowed = may(role, operation["tags"][0], method.upper())
                assert (answer.status_code != 403) == allowed, (role, method, path, answer.text)


def test_without_a_token_there_is_nothing(client: TestClient) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer pvd_wrong"}):
        answer = client.get("/api/v1/plans", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_personal_data_is_masked_for_who_does_not_need_it(client: TestClient, client_for: Any) -> None:
    contact = {"role": "billing", "name": "Ana", "email": "ana@example.com"}
    made = client.post(
        "/api/v1/customers",
        json={"name": "Ana", "kind": "person", "document": "529.982.247-25", "contacts": [contact]},
    ).json()
    seen = client_for(Role.READONLY).get(f"/api/v1/customers/{made['id']}").json()
    assert (made["document"], seen["document"]) == ("52998224725", "*********25")
    assert seen["contacts"][0]["email"] == "*************om"


def test_secrets_are_in_no_answer_and_no_audit_entry(client: TestClient, database: Database) -> None:
    body = {"name": "n", "address": "192.0.2.1", "secret": "very-secret-1", "vendor": "mikrotik", "snmp": {},
            "snmp_secret": {"community": "very-secret-3"}}  # fmt: skip
    answers = [client.post("/api/v1/nas", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    answers.append(client.patch("/api/v1/nas/1", json={"snmp_secret": {"community": "very-secret-4"}}))
    make_service(client, password="very-secret-2")
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    assert answers[2].json()["snmp"] == {"version": "v2c", "port": 161, "ppp_only": False}
    assert not any("very-secret" in answer.text for answer in answers)
    with database.transaction() as session:
        entries = session.scalars(select(AuditEntry)).all()
        assert not any("very-secret" in str(entry.changes) for entry in entries)
        assert any(entry.changes.get("secret") == "(changed)" for entry in entries)
        assert any(entry.changes.get("snmp_secret") == "(changed)" for entry in entries)
        kept = session.execute(text("SELECT string_agg(t::text, ' ') FROM idempotent_reply t")).scalar_one()
        assert "very-secret" not in kept


ROUTEROS = {"user": "provedor", "certificate_sha256": ":".join(["AB"] * 32)}


def test_access_to_a_routers_api_goes_in_and_its_password_never_comes_out(
    client: TestClient, database: Database
) -> None:
    nas = {"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"}
    body = {**nas, "routeros": ROUTEROS, "routeros_password": "very-secret-3"}
    answers = [client.post("/api/v1/nas", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    made = answers[0].json()
    kept = {"user": "provedor", "port": 8729, "tls": True, "certificate_sha256": "ab" * 32}
    assert made["routeros"] == kept
    path = f"/api/v1/nas/{made['id']}"
    answers.append(client.patch(path, json={"routeros_password": "very-secret-4"}))
    answers.append(client.patch(path, json={"routeros": {"user": "other", "tls": False}}))
    assert answers[-1].json()["routeros"] == kept | {
        "user": "other",
        "port": 8728,
        "tls": False,
        "certificate_sha256": None,
    }
    answers.append(client.patch(path, json={"routeros": None}))
    assert answers[-1].json()["routeros"] is None
    assert not any("very-secret" in answer.text for answer in answers)
    with database.transaction() as session:
        entries = session.scalars(select(AuditEntry)).all()
        assert not any("very-secret" in str(entry.changes) for entry in entries)
        assert sum(entry.changes.get("routeros_password") == "(changed)" for entry in entries) == 2
        found = session.get(Nas, int(made["id"]))
        assert found is not None
        assert found.routeros_password_encrypted is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"routeros": ROUTEROS}, "routeros_password"),
        ({"routeros_password": "p"}, "routeros_password"),
        ({"routeros": ROUTEROS, "routeros_password": "p", "vendor": "huawei"}, "routeros"),
        ({"routeros": ROUTEROS | {"tls": False}, "routeros_password": "p"}, "routeros.certificate_sha256"),
        (
            {"routeros": ROUTEROS | {"certificate_sha256": "a" * 65}, "routeros_password": "p"},
            "routeros.certificate_sha256",
        ),
    ],
)
def test_half_an_access_to_a_routers_api_is_refused(client: TestClient, given: dict[str, Any], field: str) -> None:
    nas = {"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"}
    answer = client.post("/api/v1/nas", json={**nas, **given})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_box_that_becomes_another_vendors_has_no_such_api(client: TestClient) -> None:
    nas = {"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"}
    made = client.post("/api/v1/nas", json={**nas, "routeros": ROUTEROS, "routeros_password": "p"}).json()
    path = f"/api/v1/nas/{made['id']}"
    assert client.patch(path, json={"vendor": "huawei"}).status_code == 422
    assert client.patch(path, json={"vendor": "huawei", "routeros": None}).status_code == 200


def test_large_bodies_and_strange_paths_are_problems(client: TestClient) -> None:
    assert client.post("/api/v1/plans", content=b"x" * (1024 * 1024 + 1)).status_code == 413
    for answer in (client.get("/nowhere"), client.get("/api/v1/plans/99999999999999999999")):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.put("/api/v1/plans").status_code == 405


def test_health_readiness_metrics_and_docs(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    client.get("/api/v1/plans/7")
    client.request("NONSENSE", "/somewhere/7")
    measured = client.get("/metrics").text
    assert 'method="GET",route="/api/v1/plans/{plan_id}",status="404"' in measured
    assert 'method="other",route="unknown",status="404"' in measured
    page = client.get("/api/docs").text
    assert "/api/v1/services" in page
    assert "http://" not in page
    assert "https://" not in page


def test_explain_speaks_both_languages(client: TestClient) -> None:
    service = make_service(client)
    client.post(f"/api/v1/services/{service['id']}/holds", json={"reason": "abuse", "effect": "block"})
    for language, word in (("pt_BR", "Bloqueio por abuso"), ("en", "Hold for abuse")):
        found = client.get(f"/api/v1/services/{service['id']}/explain", params={"language": language}).json()
        assert found["can_connect"] is False
        assert word in found["summary"]


def test_a_plan_says_what_a_nas_of_any_vendor_needs(client: TestClient) -> None:
    said = {
        "dns_servers": ["192.0.2.53", "2001:db8::53"], "vrf": "business", "ingress_filter": "up",
        "egress_filter": "down",
        "ipv6_pool": "six", "delegated_ipv6_pool": "pd", "profile": "gold", "throttle_profile": "bronze",
        "idle_seconds": 900,
        "vendor_attributes": {"mikrotik": {"Mikrotik-Mark-Id": "ouro"}, "all": {"Framed-MTU": 1492}},
    }  # fmt: skip
    plan = client.post("/api/v1/plans", json=PLAN | said).json()
    kept = {"mikrotik": {"Mikrotik-Mark-Id": ["ouro"]}, "all": {"Framed-MTU": ["1492"]}}
    assert {name: plan[name] for name in said} == said | {"vendor_attributes": kept}
    changed = client.patch(f"/api/v1/plans/{plan['id']}", json={"vrf": None, "vendor_attributes": {}}).json()
    assert (changed["vrf"], changed["vendor_attributes"], changed["profile"]) == (None, {}, "gold")


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"vendor_attributes": {"mikrotik": {"Mikrotik-Rate-Limit": "1M"}}}, "vendor_attributes", "set that instead"),
        ({"dns_servers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}, "dns_servers", "more than two IPv4"),
        ({"throttle_profile": "bronze"}, "throttle_profile", "has a profile for full access too"),
    ],
)
def test_what_no_nas_could_take_is_refused_when_the_plan_is_saved(
    client: TestClient, said: dict[str, Any], field: str, words: str
) -> None:
    answer = client.post("/api/v1/plans", json=PLAN | said)
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert words in answer.json()["detail"]


def test_a_services_own_attributes_take_the_place_of_its_plans(client: TestClient, database: Database) -> None:
    plan = client.post("/api/v1/plans", json=PLAN | {"vendor_attributes": {"all": {"Framed-MTU": 1492}}}).json()
    body = {"contract_id": make_contract(client)["id"], "plan_id": plan["id"], "login": "a", "password": "p"}
    own = {"vendor_attributes": {"all": {"Framed-MTU": "1400"}}}
    service = client.post("/api/v1/services", json=body | own).json()
    assert service["vendor_attributes"] == {"all": {"Framed-MTU": ["1400"]}}
    with database.transaction() as session:
        policy = policies.read(session, service["policy_fingerprint"])
    assert policy is not None
    assert policy.vendor_attributes == (("all", "0c0600000578"),)


def test_a_nas_of_every_vendor_has_options_of_its_own(client: TestClient) -> None:
    nas = {"name": "bng", "address": "192.0.2.1", "secret": "s", "vendor": "cisco", "options": {"platform": "ios_xr"}}
    assert client.post("/api/v1/nas", json=nas).json()["options"] == {"platform": "ios_xr"}
    for number, vendor in enumerate(Vendor, start=10):
        plain = {"name": vendor, "address": f"192.0.2.{number}", "secret": "s", "vendor": vendor}
        assert client.post("/api/v1/nas", json=plain).status_code == 201
    refused = client.post("/api/v1/nas", json=nas | {"name": "b", "address": "192.0.2.9", "options": {"platform": "x"}})
    assert (refused.status_code, refused.json()["field"]) == (422, "options")


def test_locks_read_as_they_were_given_and_devices_are_masked_for_who_need_not_see_them(
    client: TestClient, client_for: Any
) -> None:
    service = make_service(client, mac_lock="learn")
    path = f"/api/v1/services/{service['id']}"
    client.post("/api/v1/nas", json={"name": "n", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"})
    assert (service["mac_lock"], service["circuit_lock"], service["nas_id"]) == ("learn", None, None)
    locks = {"mac_lock": "aabb.cc00.0001", "circuit_lock": ["Slot=1;", "slot=2"], "nas_id": "1"}
    changed = client.patch(path, json=locks).json()
    assert changed["mac_lock"] == "AA:BB:CC:00:00:01"
    assert (changed["circuit_lock"], changed["nas_id"]) == (["slot=1", "slot=2"], "1")
    seen = client_for(Role.NOC).get(path).json()
    assert (seen["mac_lock"], seen["nas_id"]) == ("*" * 15 + "01", "1")
    assert client.patch(path, json={"mac_lock": ["learn"]}).json()["field"] == "mac_lock"
    assert client.patch(path, json={"nas_id": "9"}).json()["field"] == "nas_id"
    again = client.patch(path, json={"mac_lock": "learn", "circuit_lock": None, "nas_id": "learn"}).json()
    assert (again["mac_lock"], again["circuit_lock"], again["nas_id"]) == ("learn", None, "learn")
