"""The application, made from what it is given: no global state, so that a test makes its own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import tzinfo
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from sqlalchemy import text

from api import problems
from api.context import Db, Given, Services
from api.docs import render_docs
from api.idempotency import Replay
from api.resources.access import hold_routes, service_routes, session_routes
from api.resources.catalogue import company_routes, plan_routes
from api.resources.money import account_routes, invoice_routes, payment_routes
from api.resources.network import enforcement_routes, nas_routes
from api.resources.people import contract_routes, customer_routes
from api.resources.system import event_routes, token_routes
from billing_hooks import inbox
from billing_hooks.gateways import ADAPTERS
from core.clock import Clock
from core.database import Database
from core.keyring import Keyring

BODY_OCTETS_MAX = 1024 * 1024
REQUESTS = Histogram("provedor_http_seconds", "HTTP requests by route and status", ["method", "route", "status"])

Next = Callable[[Request], Awaitable[Response]]


def create_app(
    database: Database, keyring: Keyring, *, clock: Clock, zone: tzinfo, schema_head: str, coa_port: int = 3799,
    public_url: str = "",
) -> FastAPI:  # fmt: skip
    """`coa_port` is a new NAS's where it names none; `public_url` is where clients outside find this API."""
    app = FastAPI(
        title="Provedor", version="1", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,
        description="Network provisioning and RADIUS/AAA control plane for internet providers.",
        servers=[{"url": public_url}] if public_url else None,
    )  # fmt: skip
    app.state.services = Services(database, keyring, clock, zone, coa_port)
    app.state.schema_head = schema_head
    problems.install(app)
    app.add_exception_handler(Replay, _replay)
    app.middleware("http")(_measure)
    v1 = APIRouter(prefix="/api/v1")
    for routes in (
        plan_routes, company_routes, customer_routes, contract_routes, service_routes, hold_routes, session_routes,
        nas_routes, enforcement_routes, invoice_routes, payment_routes, account_routes, event_routes, token_routes,
    ):  # fmt: skip
        v1.include_router(routes)
    app.include_router(v1)
    app.include_router(_plain)
    return app


async def webhook_body(request: Request) -> bytes:
    """The raw octets, which are what was signed."""
    body = await request.body()
    if len(body) > inbox.BODY_OCTETS_MAX:
        raise problems.TooLarge(f"a webhook has at most {inbox.BODY_OCTETS_MAX} octets")
    return body


WebhookBody = Annotated[bytes, Depends(webhook_body)]
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


@_plain.post("/hooks/{gateway}")
def webhook(gateway: str, body: WebhookBody, request: Request, session: Db, given: Given) -> Response:
    """Stored and committed before the sender hears of success; the work comes later."""
    if gateway not in ADAPTERS:
        return problems.problem(404, "Not found", f"there is no webhook receiver {gateway[:40]}")
    inbox.receive(session, given.keyring, gateway, request.headers, body)
    return JSONResponse({"status": "received"})


@_plain.get("/api/docs")
def docs(request: Request) -> HTMLResponse:
    """The resources and their methods, from the OpenAPI document itself; needs no internet."""
    return HTMLResponse(render_docs(request.app.openapi()))


def _replay(_: Request, error: Exception) -> Response:
    assert isinstance(error, Replay)  # noqa: S101
    return JSONResponse(error.body, error.status, {"Idempotent-Replayed": "true"})


async def _measure(request: Request, call_next: Next) -> Response:
    """Bounds the body and measures the answer."""
    started = time.monotonic()
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_OCTETS_MAX:
        return problems.problem(413, "Body too large", f"a body has at most {BODY_OCTETS_MAX} octets")
    if "transfer-encoding" in request.headers:
        return problems.problem(411, "Length required", "send a Content-Length")
    response = await call_next(request)
    route = request.scope.get("route")
    template = getattr(route, "path", "unknown")
    REQUESTS.labels(request.method, template, response.status_code).observe(time.monotonic() - started)
    return response
