"""Whatever a client sends, the API answers as its OpenAPI document says: schemathesis on the real application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
import schemathesis
from databases import database_copy
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from api.app import create_app
from core import tokens
from core.audit import Actor
from core.clock import utc_now
from core.database import Database, psycopg_url
from core.keyring import Keyring
from core.models.system import Role
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import head_revision

KEYRING = Keyring({1: bytes(32)})
#: Made when tests are collected, so that each operation is a test of its own; its database comes with the fixture.
APP = create_app(Database("postgresql+psycopg://"), KEYRING, clock=utc_now, zone=UTC, schema_head=head_revision())
CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 1,
        # What is deleted may stay to be read: a cancelled service does.
        "checks": {"positive_data_acceptance": {"enabled": False}, "use_after_free": {"enabled": False}},
        "generation": {"with-security-parameters": False},
    }
)
schema = schemathesis.openapi.from_asgi("/api/openapi.json", APP, config=CONFIG)


@pytest.fixture(scope="module")
def authorization(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """The application on a database with one of everything, and an administrator's header."""
    with database_copy(postgres) as url:
        database = Database(psycopg_url(url))
        APP.state.services = replace(APP.state.services, database=database)
        with database.transaction() as session:
            tokens.create_token(session, "to be revoked", Role.READONLY, Actor("test"))
            _, secret = tokens.create_token(session, "schemathesis", Role.ADMIN, Actor("test"))
        headers = {"Authorization": f"Bearer {secret}"}
        fill(TestClient(APP, headers=headers))
        yield headers
        database.dispose()


def fill(client: TestClient) -> None:
    """One of everything, with the id 1."""
    service = {"contract_id": "1", "plan_id": "1", "login": "ana", "password": "s3nha"}
    for path, body in (
        ("plans", {"name": "Fibra", "down_kbps": 2000, "up_kbps": 1000}),
        ("companies", {"name": "Provedor", "document": "11222333000181"}),
        ("customers", {"name": "Ana", "kind": "person"}),
        ("contracts", {"customer_id": "1", "due_day": 5, "started_on": "2026-01-01"}),
        ("services", service),
        ("services/1/plan-changes", {"plan_id": "1", "on": "2100-01-01", "price_cents": 100}),
        ("services/1/pauses", {"start": "2099-01-01", "end": "2099-02-10"}),
        ("services/1/holds", {"reason": "admin", "effect": "throttle"}),
        ("home-servers", {"name": "old", "address": "192.0.2.9", "secret": "x"}),
        ("device-credentials", {"name": "core", "user": "provedor", "password": "x"}),
        ("nas", {"name": "bras", "address": "192.0.2.1", "secret": "x", "vendor": "mikrotik"}),
        ("invoices", {"contract_id": "1", "due_date": "2026-01-10", "amount_cents": 100}),
        ("payments", {"invoice_id": "1", "amount_cents": 50, "paid_at": "2026-01-10T12:00:00Z", "method": "pix"}),
        (
            "nat-rules",
            {
                "name": "cgnat",
                "inside_first": "100.64.0.0",
                "inside_last": "100.64.0.9",
                "outside_first": "203.0.113.0",
                "outside_last": "203.0.113.0",
                "ports_per_subscriber": 1000,
                "valid_from": "2026-01-01T00:00:00Z",
            },
        ),
        (
            "judicial-requests",
            {
                "kind": "records",
                "authority": "1ª Vara",
                "order_number": "1",
                "received_at": "2026-11-23T12:00:00Z",
                "questions": [{"ip": "203.0.113.0", "at": "2026-11-20T12:00:00Z"}],
            },
        ),
        (
            "incidents",
            {"title": "Fibra", "description": "x", "expires_at": in_a_day(), "scope": {"service_ids": ["1"]}},
        ),
        ("gateway-accounts", {"gateway": "standard", "name": "erp", "secret": "whsec_" + "A" * 32}),
        (
            "bank-mappings",
            {"name": "csv", "bank": "341", "account": "1", "columns": {"date": 1, "amount": 2}, "named": False},
        ),
        ("expected-bank-files", {"bank": "341", "account": "1"}),
        ("follow-sources", {"kind": "push", "name": "erp"}),
    ):
        answer = client.post(f"/api/v1/{path}", json=body)
        assert (answer.status_code, answer.json().get("id")) == (201, "1"), answer.text


def in_a_day() -> str:
    return (utc_now() + timedelta(days=1)).isoformat()


@schema.hook
def map_path_parameters(_: Any, path_parameters: dict[str, str] | None) -> dict[str, str] | None:
    """Two of three paths name something that exists."""
    if not path_parameters:
        return path_parameters
    return {name: value if len(str(value)) % 3 == 2 else "1" for name, value in path_parameters.items()}


@schema.hook
def map_body(_: Any, body: Any) -> Any:
    """A good reference is one to something that exists."""
    if not isinstance(body, dict):
        return body
    good = {name for name, value in body.items() if name.endswith("_id") and isinstance(value, str) and value.isdigit()}
    return body | dict.fromkeys(good, "1")


#: Where no JSON schema can say what is good: check digits, addresses, what exists, what fits together.
BEYOND_THE_SCHEMA = {
    "document", "address", "ipv4_address", "ipv4_routes", "ipv6_prefix", "delegated_ipv6_prefix", "login", "password",
    "secret", "burst", "due_date", "started_on", "cursor", "gateway", "until", "notified_at", "paid_at", "contract_id",
    "customer_id", "payer_id", "company_id", "plan_id", "emergency_plan_id", "external.account_id", "service_id",
    "Idempotency-Key", "address_pool", "address_list", "names", "options", "vendor_attributes", "dns_servers", "vrf",
    "ingress_filter", "egress_filter", "ipv6_pool", "delegated_ipv6_pool", "profile", "throttle_profile",
    "prefix_length", "ranges", "mac_lock", "circuit_lock", "nas_id", "mac", "home_server_id", "inside_first",
    "inside_last", "outside_first", "outside_last", "ports_per_subscriber", "last_port", "valid_until", "ip", "at",
    "from", "zone", "order_number", "legal_basis", "deadline", "snmp", "snmp_secret",
    "routeros", "routeros_password", "management", "management_secret", "management.host_key", "management.arguments",
    "management.driver", "management.address", "without_undo", "rollout_id", "job_id",
    "time_windows", "windows", "nas_windows",
    "quota_bytes", "policy_id", "exemption_review_on", "policy",
    "steps", "default_for", "year", "day", "file", "layout", "account_id", "invoiced_since", "invoicing_terms_id",
    "valid_from", "price_from", "as_of", "fine_bp", "interest_bp_month", "amount_cents", "percent_bp", "pix_key",
    "early_discount_bp", "early_discount_days",
    "pix_name", "pix_city", "on", "start", "end", "expires_at", "remedy", "review_on",
    "mapping_id", "delimiter", "date_format", "encoding", "since",
    "kind", "settings", "credentials", "subscribers", "source_id", "contract_ids", "every_s", "octets", "seconds",
    "session_limit_strict",
}  # fmt: skip


#: Mappings whose keys are names that a client chooses.
_BY_NAME = (
    "items.", "names.", "options.", "vendor_attributes.", "dns_servers.", "questions.", "settings.", "credentials.",
    "steps.", "evidence.", "trust.", "guard.", "scope.", "nas_windows.", "columns.", "rates.",
)  # fmt: skip


@schemathesis.check
def good_data_is_refused_only_for_what_the_schema_cannot_say(_: Any, response: Any, case: Any) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code < 400:
        return
    # 403: a second person approves what one has searched.
    assert response.status_code in {403, 404, 409, 412, 422}, f"{response.status_code} for good data"
    if response.status_code == 422:
        field = response.json().get("field", "")
        assert field in BEYOND_THE_SCHEMA or field.startswith(_BY_NAME), f"{field} is good by the document"


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_the_api_answers_as_its_document_says(case: Any, authorization: dict[str, str]) -> None:
    case.call_and_validate(headers=authorization)


def test_chains_of_requests_keep_to_the_document(authorization: dict[str, str]) -> None:
    """What one answer gives (an id) goes into the next request. Without the one that would end our own token."""
    machine: Any = schema.exclude(path="/api/v1/tokens/{token_id}").as_state_machine()

    class Chains(machine):  # type: ignore[misc]
        def get_call_kwargs(self, _: Any) -> dict[str, Any]:
            return {"headers": authorization}

    Chains.run(
        settings=settings(
            max_examples=8, stateful_step_count=8, deadline=None, derandomize=True, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )
    )  # fmt: skip
