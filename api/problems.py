"""Every error as an RFC 9457 problem document that names the field; nothing internal ever leaks."""

from __future__ import annotations

from typing import Any

import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from core.errors import ProvedorError, Transient

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"


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
    field: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401
) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    if field is not None:
        body["field"] = field
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    app.add_exception_handler(ProvedorError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StaleDataError, _stale)
    app.add_exception_handler(sqlalchemy.exc.OperationalError, _database_away)
    app.add_exception_handler(sqlalchemy.exc.TimeoutError, _database_away)
    app.add_exception_handler(sqlalchemy.exc.DataError, _unstorable)
    app.add_exception_handler(Exception, _unexpected)


def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProvedorError)  # noqa: S101
    headers = {"Retry-After": str(int(error.retry_after_s))} if isinstance(error, Transient) else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.title, error.detail, field=error.field, headers=headers)


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [
        {"field": ".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0]), "detail": one["msg"]}
        for one in error.errors()
    ]
    return problem(422, "Invalid input", errors[0]["detail"], field=errors[0]["field"], errors=errors)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    return problem(error.status_code, str(error.detail), str(error.detail), headers=dict(error.headers or {}))


def _stale(_: Request, __: Exception) -> JSONResponse:
    return problem(409, "Conflict", "somebody else changed this at the same moment; read it again")


def _database_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("database away", error=type(error).__name__)
    return problem(503, "Temporarily unavailable", "the database does not answer", headers={"Retry-After": "5"})


def _unstorable(_: Request, error: Exception) -> JSONResponse:
    log.warning("value refused by the database", error=type(error).__name__)
    return problem(422, "Invalid input", "a value cannot be stored (too large, or with a NUL character)")


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", path=request.url.path, error=type(error).__name__)
    return problem(500, "Internal error", "something went wrong on our side; it was logged")
