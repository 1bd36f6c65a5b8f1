"""The application, made from what it is given: no global state, so that a test makes its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from aaa.connection_log.signing import SigningKey
from api import openapi, problems
from api.context import Db, Services
from api.docs import render_docs
from api.edge import API_PREFIX, BODY_SECONDS_MAX, Edge
from api.hooks import Receiver, webhook_routes
from api.idempotency import Replay
from api.resources.access import hold_routes, service_routes, session_routes
from api.resources.adoption import adoption_routes
from api.resources.backups import backup_routes, backup_text_routes
from api.resources.bank_files import expected_routes, file_routes, line_routes, mapping_routes
from api.resources.billing_runs import decision_routes, review_routes, run_routes
from api.resources.catalogue import company_routes, plan_routes
from api.resources.certificates import certificate_routes
from api.resources.changes import change_routes, pause_routes
from api.resources.connection_log import log_routes, lookup_routes, rule_routes
from api.resources.credentials import credential_routes, rotation_routes
from api.resources.dunning import dunning_routes, holiday_routes, policy_routes, promise_routes
from api.resources.explain import explain_routes, finding_routes
from api.resources.follow import follow_routes, source_routes
from api.resources.gateways import charge_routes, inbox_routes
from api.resources.incidents import incident_routes
from api.resources.invoicing import issuing_routes, payable_routes, terms_routes
from api.resources.judicial import case_routes, no_key
from api.resources.local_access import local_routes
from api.resources.money import account_routes, invoice_routes, payment_routes
from api.resources.network import enforcement_routes, nas_routes
from api.resources.nodes import node_routes
from api.resources.people import contract_routes, customer_routes
from api.resources.pools import pool_routes
from api.resources.provisioning import approval_routes, device_routes, intent_routes, provisioning_routes
from api.resources.system import audit_routes, event_routes, token_routes
from api.resources.takeover import home_server_routes, takeover_routes
from api.resources.usage import usage_routes
from core.clock import Clock
from core.database import Database
from core.keyring import Keyring
from core.plan_names import PlanNames


def create_app(
    database: Database, keyring: Keyring, *, clock: Clock, zone: tzinfo, schema_head: str, coa_port: int = 3799,
    public_url: str = "", body_seconds_max: float = BODY_SECONDS_MAX, signing_key: Callable[[], SigningKey] = no_key,
    provider: str = "Provedor", country: str = "BR", plan_names: PlanNames | None = None,
) -> FastAPI:  # fmt: skip
    """`coa_port` is a new NAS's where it names none; `public_url` is where clients outside find this API.

    `signing_key` is asked for when the first answer to an authority is signed.
    """
    app = FastAPI(
        title="Provedor", version="1", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,
        description="Network provisioning and RADIUS/AAA control plane for internet providers.",
        servers=[{"url": public_url}] if public_url else None,
    )  # fmt: skip
    app.state.services = Services(database, keyring, clock, zone, country, coa_port, signing_key, provider,
                                  plan_names)  # fmt: skip
    app.state.schema_head = schema_head
    app.state.receiver = Receiver(database, keyring, clock)
    problems.install(app)
    openapi.install(app)
    app.add_exception_handler(Replay, _replay)
    app.add_middleware(Edge, body_seconds_max=body_seconds_max)
    v1 = APIRouter(prefix=API_PREFIX)
    for routes in (
        plan_routes, company_routes, customer_routes, contract_routes, service_routes, hold_routes, session_routes,
        nas_routes, enforcement_routes, invoice_routes, payment_routes, account_routes, event_routes, audit_routes,
        token_routes, pool_routes, node_routes, usage_routes, explain_routes, finding_routes, home_server_routes,
        takeover_routes, log_routes, lookup_routes, rule_routes, case_routes, policy_routes, holiday_routes,
        dunning_routes, promise_routes, run_routes, inbox_routes, charge_routes,
        terms_routes, issuing_routes, payable_routes,
        file_routes, line_routes, mapping_routes, expected_routes, change_routes, pause_routes, decision_routes,
        review_routes, incident_routes, source_routes, follow_routes, intent_routes, local_routes, adoption_routes,
        provisioning_routes, approval_routes, certificate_routes, backup_routes, backup_text_routes, credential_routes,
        rotation_routes, device_routes,
    ):  # fmt: skip
        v1.include_router(routes)
    app.include_router(v1)
    app.include_router(_plain)
    # First, because a path is held against one route after another, and these are asked hundreds of times a second.
    app.router.routes[:0] = webhook_routes()
    return app


_plain = APIRouter(include_in_schema=False)


@_plain.get("/healthz")
def healthz() -> dict[str, str]:
    """The process lives; it says nothing of others."""
    return {"status": "ok"}


@_plain.get("/readyz")
def readyz(request: Request, session: Db) -> Response:
    """The database answers and its schema is the one that this release was written for."""
    found = session.scalar(text("SELECT version_num FROM alembic_version"))
    wanted = request.app.state.schema_head
    if found != wanted:
        return problems.problem(503, "Not ready", f"the schema is at {found}, this release needs {wanted}")
    return JSONResponse({"status": "ready"})


@_plain.get("/metrics")
def metrics() -> Response:
    return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@_plain.get("/api/docs")
def docs(request: Request) -> HTMLResponse:
    """The resources and their methods, from the OpenAPI document itself; needs no internet."""
    return HTMLResponse(render_docs(request.app.openapi()))


def _replay(_: Request, error: Exception) -> Response:
    assert isinstance(error, Replay)  # noqa: S101
    return JSONResponse(error.body, error.status, {**error.headers, "Idempotent-Replayed": "true"})
