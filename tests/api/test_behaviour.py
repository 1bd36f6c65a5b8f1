"""What programs rely on beside the fields: keys, versions, pages, filters, and who is told of what."""

from __future__ import annotations

import threading
from typing import Any

from api_rows import PLAN, make_contract, make_service
from fastapi.testclient import TestClient
from sqlalchemy import event, select
from structlog.testing import capture_logs

from core import replies
from core.clock import utc_now
from core.database import Database
from core.models.network import Session
from core.models.system import AuditEntry, IdempotentReply, Role


def test_two_posts_at_once_with_one_key_are_one_thing(client: TestClient) -> None:
    answers: list[Any] = []
    start = threading.Barrier(4)

    def post() -> None:
        start.wait(timeout=10)
        answers.append(client.post("/api/v1/plans", json=PLAN, headers={"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False, True, True, True]
    assert {answer.headers["etag"] for answer in answers} == {'"1"'}
    assert len(client.get("/api/v1/plans").json()["items"]) == 1


def test_a_key_whose_request_failed_is_free_again(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/api/v1/plans", json=PLAN | {"burst": {}}, headers=headers).status_code == 422
    client.post("/api/v1/plans", json=PLAN)
    assert client.post("/api/v1/plans", json=PLAN, headers=headers).status_code == 409
    assert client.post("/api/v1/plans", json=PLAN | {"name": "other"}, headers=headers).status_code == 201


def test_a_key_is_its_tokens_and_is_kept_a_day(client: TestClient, client_for: Any, database: Database) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/api/v1/plans", json=PLAN, headers=headers).status_code == 201
    other = client_for(Role.OPERATOR).post("/api/v1/plans", json=PLAN | {"name": "other"}, headers=headers)
    assert other.status_code == 201
    with database.transaction() as session:
        assert replies.forget_replies(session) == 0
        for reply in session.scalars(select(IdempotentReply)):
            reply.created_at = reply.created_at.replace(year=2020)
        session.flush()
        assert replies.forget_replies(session) == 2


IF_MATCH = (('"2"', 412), ('W/"1"', 412), ("", 412), ("x", 412), ('"7", "1"', 200), ("2", 200), ("*", 200))


def test_if_match_names_the_version_that_is_to_be_changed(client: TestClient) -> None:
    plan = client.post("/api/v1/plans", json=PLAN)
    assert plan.headers["etag"] == '"1"'
    path, version = f"/api/v1/plans/{plan.json()['id']}", 1
    for if_match, status in IF_MATCH:
        changed = client.patch(path, json={"up_kbps": 7 + version}, headers={"If-Match": if_match})
        assert changed.status_code == status, if_match
        version += status == 200
        assert client.get(path).headers["etag"] == f'"{version}"'


def test_pages_show_what_was_there_once_and_what_comes_at_the_end(client: TestClient) -> None:
    for number in range(4):
        client.post("/api/v1/plans", json=PLAN | {"name": f"before {number}"})
    first = client.get("/api/v1/plans", params={"limit": 3}).json()
    for number in range(2):
        client.post("/api/v1/plans", json=PLAN | {"name": f"meanwhile {number}"})
    rest = client.get("/api/v1/plans", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    names = [plan["name"] for plan in first["items"] + rest["items"]]
    assert names == [f"before {number}" for number in range(4)] + ["meanwhile 0", "meanwhile 1"]
    assert rest["next_cursor"] is None


def test_a_filter_with_a_typing_error_does_not_find_everything(client: TestClient) -> None:
    for path, wrong in (("plans?nmae=x", "nmae"), ("services?plan=1", "plan"), ("invoices?limit=1&offset=2", "offset")):
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["field"]) == (422, wrong)


#: A path, a filter that finds its one row, and one that finds nothing.
FILTERS = (
    ("plans", "name=p-1", "name=x"),
    ("companies", "document=11.222.333/0001-81", "document=33000167000101"),
    ("customers", "name=Ana", "name=Bia"),
    ("customers", "document=529.982.247-25", "document=111.444.777-35"),
    ("customers", "external_ref=e1", "external_ref=e2"),
    ("contracts", "customer_id=1&payer_id=1&company_id=1&status=active", "status=cancelled"),
    ("services", "login=ana&contract_id=1&plan_id=1&status=active&kind=pppoe", "kind=ipoe"),
    ("services/1/holds", "live=true", "live=false"),
    ("nas", "name=bras&address=192.0.2.1&vendor=mikrotik", "vendor=generic"),
    ("invoices", "contract_id=1&status=overdue&external_id=c1", "status=open"),
    ("invoices", "status=overdue", "status=paid"),
    ("payments", "invoice_id=1", "external_id=x"),
    ("gateway-accounts", "gateway=standard", "gateway=x"),
    ("events", "subject=plan:1&type=plan.created", "type=x"),
    ("audit-entries", "resource=plan&resource_id=1", "actor=x"),
    ("sessions", "", "active=true&service_id=1"),
)


def test_filters_find_what_they_say(client: TestClient) -> None:
    client.post("/api/v1/companies", json={"name": "P", "document": "11222333000181"})
    person = {"name": "Ana", "kind": "person", "document": "52998224725", "external_ref": "e1"}
    client.post("/api/v1/customers", json=person)
    client.post("/api/v1/plans", json=PLAN | {"name": "p-1"})
    contract = {"customer_id": "1", "company_id": "1", "due_day": 1, "started_on": "2026-01-01"}
    client.post("/api/v1/contracts", json=contract)
    client.post("/api/v1/services", json={"contract_id": "1", "plan_id": "1", "login": "ana", "password": "x"})
    client.post("/api/v1/services/1/holds", json={"reason": "admin", "effect": "throttle"})
    client.post("/api/v1/nas", json={"name": "bras", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"})
    account = {"gateway": "standard", "name": "erp", "secret": "whsec_" + "A" * 32}
    client.post("/api/v1/gateway-accounts", json=account)
    invoice = {
        "contract_id": "1",
        "due_date": "2026-01-01",
        "amount_cents": 9,
        "external": {"gateway": "standard", "id": "c1"},
    }
    client.post("/api/v1/invoices", json=invoice)
    client.post(
        "/api/v1/payments",
        json={"invoice_id": "1", "amount_cents": 1, "paid_at": "2026-01-01T00:00:00Z", "method": "pix"},
    )
    for path, mine, none in FILTERS:
        found = client.get(f"/api/v1/{path}?{mine}")
        assert len(found.json()["items"]) == (0 if path == "sessions" else 1), (path, mine, found.text)
        assert client.get(f"/api/v1/{path}?{none}").json()["items"] == [], (path, none)


def test_each_change_is_on_record_with_who_and_from_where(client: TestClient) -> None:
    service = make_service(client)
    hold = client.post(f"/api/v1/services/{service['id']}/holds", json={"reason": "admin", "effect": "block"}).json()
    client.delete(f"/api/v1/services/{service['id']}/holds/{hold['id']}")
    client.post("/api/v1/nas", json={"name": "n", "address": "192.0.2.1", "secret": "very-secret", "vendor": "generic"})
    client.patch("/api/v1/nas/1", json={"emergency_plan_id": service["plan_id"], "emergency": True})
    client.patch("/api/v1/nas/1", json={"enforcement_frozen": True})
    client.put("/api/v1/enforcement", json={"frozen": True})
    account = {"gateway": "standard", "name": "erp", "secret": "whsec_" + "A" * 32}
    client.post("/api/v1/gateway-accounts", json=account)
    client.patch("/api/v1/gateway-accounts/1", json={"secret": "whsec_" + "B" * 32})
    token = client.post("/api/v1/tokens", json={"name": "erp", "role": "finance"}).json()
    client.delete(f"/api/v1/tokens/{token['id']}")
    client.delete(f"/api/v1/services/{service['id']}")
    entries = client.get("/api/v1/audit-entries", params={"limit": 200}).json()["items"]
    told = [(entry["action"], entry["resource"]) for entry in entries]
    for expected in (
        ("create", "plan"), ("create", "customer"), ("create", "contract"), ("create", "service"), ("place", "hold"),
        ("lift", "hold"), ("create", "nas"), ("update", "nas"), ("freeze", "enforcement"),
        ("create", "gateway_account"), ("update", "gateway_account"), ("create", "token"), ("revoke", "token"),
        ("cancel", "service"),
    ):  # fmt: skip
        assert expected in told
    ours = [entry for entry in entries if entry["actor"].startswith("token:")]
    assert len(ours) == len(entries) - 1  # the first one made the token that we use
    assert {entry["source"] for entry in ours} == {"testclient"}
    assert {"emergency": True, "emergency_plan_id": int(service["plan_id"])} in [entry["changes"] for entry in entries]
    assert "very-secret" not in str(entries)
    assert "whsec" not in str(entries)


def test_who_sees_personal_data_is_on_record_and_who_need_not_sees_none(
    client: TestClient, client_for: Any, database: Database
) -> None:
    address = {"street": "Rua A", "number": "5", "city": "Sobral", "lat": -3.7, "lon": -40.3}
    service = make_service(client, address=address)
    noc, support = client_for(Role.NOC), client_for(Role.SUPPORT)

    def reveals() -> list[tuple[str, Any]]:
        with database.transaction() as session:
            rows = session.scalars(select(AuditEntry).where(AuditEntry.action == "reveal").order_by(AuditEntry.id))
            return [(row.resource, row.changes) for row in rows]

    assert noc.get(f"/api/v1/services/{service['id']}").json()["address"] == {"city": "Sobral"}
    assert noc.get("/api/v1/services").json()["items"][0]["address"] == {"city": "Sobral"}
    assert reveals() == []
    assert support.get("/api/v1/services").json()["items"][0]["address"] == address
    assert support.get("/api/v1/customers/1").json()["name"] == "Ana"
    assert reveals() == [("service", {"ids": [1]}), ("customer", {"ids": [1]})]


def test_a_page_costs_as_many_statements_for_many_rows_as_for_few(client: TestClient, database: Database) -> None:
    paths = ("services", "sessions", "customers", "contracts", "invoices", "events", "audit-entries")

    def statements(path: str) -> int:
        seen: list[str] = []
        listen = (database.engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
        event.listen(*listen)
        page = client.get(f"/api/v1/{path}", params={"limit": 100})
        event.remove(*listen)
        assert page.status_code == 200
        return len(seen)

    fill(client, database, 2)
    few = {path: statements(path) for path in paths}
    fill(client, database, 12)
    assert {path: statements(path) for path in paths} == few
    assert max(few.values()) <= 5, few


def fill(client: TestClient, database: Database, count: int) -> None:
    for _ in range(count):
        service = make_service(client, login=f"u{count}-{_}")
        client.post(f"/api/v1/services/{service['id']}/holds", json={"reason": "admin", "effect": "throttle"})
        client.post(
            "/api/v1/invoices",
            json={"contract_id": service["contract_id"], "due_date": "2026-01-01", "amount_cents": 9},
        )
        make_session(database, int(service["id"]))


def make_session(database: Database, service_id: int) -> None:
    with database.transaction() as session:
        session.add(
            Session(
                nas_id=1, box="b", acct_session_id=f"s{service_id}", service_id=service_id, login="x",
                started_at=utc_now(), updated_at=utc_now(), nas_address="192.0.2.1",
            )
        )  # fmt: skip


def test_the_feed_goes_on_from_the_last_events_cursor(client: TestClient) -> None:
    client.post("/api/v1/plans", json=PLAN)
    page = client.get("/api/v1/events").json()
    assert page["next_cursor"] is None
    cursor = page["items"][-1]["cursor"]
    assert client.get("/api/v1/events", params={"cursor": cursor}).json()["items"] == []
    client.patch("/api/v1/plans/1", json={"up_kbps": 5})
    new = client.get("/api/v1/events", params={"cursor": cursor}).json()["items"]
    assert [event["type"] for event in new] == ["plan.changed"]
    for wrong in ("AAAA", "MQ", "MS4y", cursor + "x"):
        assert client.get("/api/v1/events", params={"cursor": wrong}).status_code in {200, 422}


def test_a_service_waits_for_its_installation(client: TestClient) -> None:
    service = make_service(client, status="pending")
    assert service["status"] == "pending"
    path = f"/api/v1/services/{service['id']}"
    assert client.get(f"{path}/explain", params={"language": "en"}).json()["can_connect"] is False
    assert client.patch(path, json={"status": "active"}).json()["status"] == "active"
    assert client.patch(path, json={"status": "pending"}).json()["field"] == "status"


def test_a_contracts_items_have_the_names_of_the_interface(client: TestClient) -> None:
    item = {"description": "router", "price_cents": 500, "from": "2026-01-01", "until": "2026-12-31"}
    contract = make_contract(client, items=[item])
    assert contract["items"] == [item | {"service_id": None}]
    path = f"/api/v1/contracts/{contract['id']}"
    late = client.patch(path, json={"items": [item | {"until": "2025-01-01"}]})
    assert late.json()["field"] == "items.0.until"
    assert client.patch(path, json={"items": []}).json()["items"] == []
    assert client.patch(path, json={"status": "active"}).status_code == 422
    assert client.patch(path, json={"status": "cancelled"}).json()["status"] == "cancelled"


def test_an_invoice_from_open_to_refunded(client: TestClient) -> None:
    contract = make_contract(client)
    for secret in "AB":
        account = {"gateway": "standard", "name": secret, "secret": "whsec_" + secret * 32}
        assert client.post("/api/v1/gateway-accounts", json=account).status_code == 201
    body = {"contract_id": contract["id"], "due_date": "2026-01-10", "amount_cents": 100}
    external = {"gateway": "standard", "id": "ch_1"}
    assert client.post("/api/v1/invoices", json=body | {"external": external}).json()["field"] == "external.account_id"
    invoice = client.post("/api/v1/invoices", json=body | {"external": external | {"account_id": "2"}}).json()
    assert invoice["external"] == external | {"account_id": "2"}
    path = f"/api/v1/invoices/{invoice['id']}"
    future = client.patch(path, json={"notified_at": "2999-01-01T00:00:00Z"})
    assert (future.status_code, future.json()["field"]) == (422, "notified_at")
    assert client.patch(path, json={"pix_code": "0002"}).json()["pix_code"] == "0002"
    paid = {"invoice_id": invoice["id"], "amount_cents": 100, "paid_at": "2026-01-11T00:00:00Z", "method": "cash"}
    assert client.post("/api/v1/payments", json=paid | {"currency": "USD"}).json()["field"] == "currency"
    payment = client.post("/api/v1/payments", json=paid).json()
    assert client.get(path).json()["status"] == "paid"
    assert client.patch(path, json={"status": "cancelled"}).status_code == 409
    client.delete(f"/api/v1/payments/{payment['id']}", params={"refund": True})
    assert client.get(path).json()["status"] == "refunded"
    assert client.get(f"/api/v1/payments/{payment['id']}").json()["reversed_at"] is not None


def test_a_gateways_secret_is_rotated_with_both_valid_for_a_time(client: TestClient) -> None:
    account = {"gateway": "standard", "name": "erp", "secret": "whsec_" + "A" * 32}
    path = f"/api/v1/gateway-accounts/{client.post('/api/v1/gateway-accounts', json=account).json()['id']}"
    rotated = client.patch(path, json={"secret": "whsec_" + "B" * 32}).json()
    assert rotated["previous_valid_until"] is not None
    assert client.patch(path, json={"previous_valid_until": None}).json()["previous_valid_until"] is None
    assert client.patch(path, json={"enabled": False, "name": "old"}).json()["enabled"] is False
    assert client.patch(path, json={"secret": "whsec_short"}).json()["field"] == "secret"
    assert "whsec" not in client.get(path).text


def test_a_wrong_method_is_told_the_right_ones(client: TestClient) -> None:
    for path, allowed in (("plans", "GET, POST"), ("plans/1", "GET, PATCH"), ("services/1", "DELETE, GET, PATCH")):
        answer = client.put(f"/api/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_defect_is_one_line_and_no_traceback(client: TestClient, database: Database) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret-in-an-error")

    event.listen(database.engine, "before_cursor_execute", broken)
    with capture_logs() as logs:
        answer = client.get("/api/v1/plans")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    (line,) = logs
    assert (line["event"], line["error"]) == ("unexpected error", "RuntimeError")
    assert "broken" in line["where"]
    assert "secret" not in answer.text + str(logs)


HOSTILE_BODIES = (
    b"", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 50_000, b'{"a":' * 30_000, b"NaN", b"1e999", b"9" * 6000, b"null",
    b'"text"', b"[]", b'{"name": NaN}', b'{"name": "\\ud800"}', b'{"\\ud800": 1}', b'{"down_kbps": 1e400}',
    b'{"down_kbps": ' + b"9" * 4000 + b"}", b'{"name": "a\\u0000b"}', b'{"name": ["' + b"x" * 100_000 + b'"]}',
    b'{"burst": {"down_kbps": true}}', b'{"throttle": []}', b'{"__proto__": {}, "constructor": 1}',
)  # fmt: skip


def test_any_body_is_refused_as_a_problem_that_names_a_place(client: TestClient) -> None:
    kinds = ("application/json", "application/problem+json", "text/plain", "multipart/form-data", "x", "")
    for method, path in (("POST", "plans"), ("PATCH", "plans/1"), ("POST", "customers"), ("PUT", "enforcement")):
        for body in HOSTILE_BODIES:
            for kind in kinds[: 1 if len(body) > 1000 else 6]:
                answer = client.request(
                    method, f"/api/v1/{path}", content=body, headers={"Content-Type": kind, "Idempotency-Key": "k"}
                )
                assert answer.status_code in {400, 404, 422}, (method, path, body[:40], kind, answer.text[:200])
                assert answer.headers["content-type"] == "application/problem+json"
                assert len(answer.content) < 10_000
                assert answer.status_code != 422 or answer.json()["field"]
    assert client.get("/api/v1/plans").json()["items"] == []


def test_a_new_plan_lets_one_session_in_unless_it_says_otherwise(client: TestClient) -> None:
    made = client.post("/api/v1/plans", json=PLAN).json()
    assert (made["session_limit"], made["session_limit_strict"]) == (1, False)
    free = client.post("/api/v1/plans", json=PLAN | {"name": "free", "session_limit": None}).json()
    assert free["session_limit"] is None
    wrong = client.patch(f"/api/v1/plans/{free['id']}", json={"session_limit_strict": True})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "session_limit_strict")
    both = {"session_limit": 2, "session_limit_strict": True}
    assert (
        client.patch(f"/api/v1/plans/{free['id']}", json=both).json() | both
        == client.get(f"/api/v1/plans/{free['id']}").json()
    )
