"""Every error as an RFC 9457 problem document that names the field; nothing internal ever leaks."""

from __future__ import annotations

from http import HTTPStatus

import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from core.errors import ProvedorError, Transient

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    field: str
    detail: str


class Problem(BaseModel):
    """What every error looks like (RFC 9457). `field` names what to correct; `errors` names all of them. `detail_pt`:
    the same in Portuguese, of what is told to people rather than programs."""

    type: str
    title: str
    status: int
    detail: str
    detail_pt: str | None = None
    field: str | None = None
    errors: list[FieldError] | None = None


class PreconditionFailed(ProvedorError):
    """If-Match names a version that is not the present one."""

    status = 412
    title = "Precondition failed"


class TooLarge(ProvedorError):
    status = 413
    title = "Body too large"


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    detail_pt: str | None = None,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    errors: list[FieldError] | None = None,
) -> JSONResponse:
    body = Problem(
        type="about:blank", title=title, status=status, detail=detail, detail_pt=detail_pt, field=field, errors=errors
    )
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    app.add_exception_handler(ProvedorError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StaleDataError, _stale)
    app.add_exception_handler(sqlalchemy.exc.OperationalError, _database_away)
    app.add_exception_handler(sqlalchemy.exc.TimeoutError, _database_away)
    app.add_exception_handler(sqlalchemy.exc.DataError, _unstorable)
    app.add_exception_handler(sqlalchemy.exc.IntegrityError, _overtaken)


def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProvedorError)  # noqa: S101
    headers = {"Retry-After": str(int(error.retry_after_s))} if isinstance(error, Transient) else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        error.status, error.title, error.detail, detail_pt=error.detail_pt, field=error.field, headers=headers
    )


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [FieldError(field=_name(one["loc"]), detail=one["msg"]) for one in error.errors()]
    return problem(422, "Invalid input", errors[0].detail, field=errors[0].field, errors=errors)


def _name(place: tuple[str | int, ...]) -> str:
    """`contacts.0.email`; the body itself is `body`. What a sender put in a key's place may be no text at all."""
    name = ".".join(str(part) for part in place[1:]) or str(place[0])
    return name.encode("utf-8", "replace").decode()[:200]


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    title = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed(request, headers.get("Allow", ""))
    return problem(error.status_code, title, str(error.detail), headers=headers)


def _allowed(request: Request, of_first_route: str) -> str:
    """The methods of this path; the router itself tells those of the path's first route only."""
    for path, methods in request.app.openapi()["paths"].items():
        if compile_path(path)[0].match(request.url.path):
            return ", ".join(sorted(method.upper() for method in methods))
    return of_first_route


def _stale(_: Request, __: Exception) -> JSONResponse:
    return problem(409, "Conflict", "somebody else changed this at the same moment; read it again")


def _overtaken(_: Request, error: Exception) -> JSONResponse:
    """Checked and found good, and by the time of writing no longer so: another request was faster."""
    assert isinstance(error, sqlalchemy.exc.IntegrityError)  # noqa: S101
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    log.warning("refused by a constraint", constraint=constraint)
    return problem(409, "Conflict", "this conflicts with what was stored meanwhile; read it again")


def _database_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("database away", error=type(error).__name__)
    return problem(503, "Temporarily unavailable", "the database does not answer", headers={"Retry-After": "5"})


def _unstorable(_: Request, error: Exception) -> JSONResponse:
    log.warning("value refused by the database", error=type(error).__name__)
    return problem(422, "Invalid input", "a value cannot be stored (too large, or with a NUL character)")
