"""The OpenAPI document: FastAPI's, with the error answers that every operation has in fact."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE, Problem

_ANSWERS = {
    400: "The body cannot be read",
    401: "No valid token",
    403: "The token's role may not do this",
    404: "No such thing",
    408: "The body did not arrive in time",
    409: "The present state forbids it",
    412: "If-Match names another version",
    413: "The body is too large",
    422: "A value cannot be used; `field` names it",
    503: "The database is away; try again",
}
_ALWAYS = (401, 403, 422, 503)
_WITH_BODY = (400, 408, 409, 413)
#: What is read and may not be there in the present state: the next invoice of who has ended, how to pay what is paid.
_BY_STATE = ("/next-invoice", "/payable", "/pdf")


def install(app: FastAPI) -> None:
    """Replaces `app.openapi`; the document is made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = make_document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def make_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=app.servers or None,
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs")
    schemas["Problem"] = problem
    for name, schema in schemas.items():
        if name.endswith("Patch"):  # what is not given stays as it is: there are no defaults
            for one in schema["properties"].values():
                one.pop("default", None)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["responses"] |= {str(code): _answer(code) for code in _codes(path, method, operation)}
    return document


def _codes(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    codes = set(_ALWAYS)
    if "{" in path:
        codes.add(404)
    if "requestBody" in operation:
        codes |= {404, *_WITH_BODY}
    if method in {"delete", "post"} or path.endswith(_BY_STATE):
        codes |= {404, 409}
    if method in {"patch", "put"} or any(one["name"] == "If-Match" for one in operation.get("parameters", ())):
        codes.add(412)
    return codes


def _answer(code: int) -> dict[str, Any]:
    return {
        "description": _ANSWERS[code],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
