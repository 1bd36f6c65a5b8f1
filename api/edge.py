"""The outermost layer: bounds what comes in, measures what goes out, and lets no traceback out.

A body is counted as it arrives, whatever its Content-Length says, and has to be complete within `BODY_SECONDS_MAX`:
until then it costs a socket, no thread and no database connection. A defect of ours becomes a problem document and one
log line that says where; a traceback could hold what must not be in a log.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from typing import Final, NamedTuple

import structlog
from prometheus_client import Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

API_PREFIX: Final = "/api/v1"
BODY_OCTETS_MAX: Final = 1024 * 1024
BODY_SECONDS_MAX: Final = 20.0
#: A bank's file is larger, and takes longer on a provider's way up. So few at a time, because each is held in memory.
FILE_PATHS: Final = re.compile(rf"{API_PREFIX}/(bank-files|bank-mappings/[^/]+/preview)")
FILE_OCTETS_MAX: Final = 16 * 1024 * 1024
FILE_SECONDS_MAX: Final = 120.0
FILES_MAX: Final = 4
#: For the measurements only: who hung up before the body was complete hears nothing (nginx counts it so, too).
CLIENT_GONE: Final = 499
#: Whatever else somebody sends as a method must not become a time series.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Histogram("provedor_http_seconds", "HTTP requests by route and status", ["method", "route", "status"])
log = structlog.get_logger()


class _Bounds(NamedTuple):
    octets: int
    seconds: float


class Edge:
    def __init__(self, app: ASGIApp, *, body_seconds_max: float) -> None:
        self._app = app
        self._bounds = _Bounds(BODY_OCTETS_MAX, body_seconds_max)
        self._files = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0
        announced = _announced_octets(scope)
        is_file = FILE_PATHS.fullmatch(scope["path"]) is not None and not 0 <= announced <= BODY_OCTETS_MAX
        bounds = _Bounds(FILE_OCTETS_MAX, FILE_SECONDS_MAX) if is_file else self._bounds
        self._files += is_file

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if announced > bounds.octets:
                await _too_large(bounds.octets)(scope, receive, watched)
            elif is_file and self._files > FILES_MAX:
                await _too_many()(scope, receive, watched)
            else:
                await self._app(scope, _Body(receive, bounds), watched)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:  # noqa: BLE001  (whatever it is, it ends here)
            log.error("unexpected error", path=scope["path"], error=type(error).__name__, where=_where(error))
            if status == 0:
                answer = problems.problem(500, "Internal error", "something went wrong on our side; it was logged")
                await answer(scope, receive, watched)
        finally:
            self._files -= is_file
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUESTS.labels(method, _route(scope), status).observe(time.monotonic() - started)


class _Body:
    """`receive`, which raises 413 or 408 into whoever reads the body."""

    def __init__(self, receive: Receive, bounds: _Bounds) -> None:
        self._receive = receive
        self._octets_max = bounds.octets
        self._deadline = time.monotonic() + bounds.seconds
        self._octets = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time") from None
        self._octets += len(message.get("body", b""))
        if self._octets > self._octets_max:
            raise HTTPException(413, f"a body has at most {self._octets_max} octets")
        self._complete = not message.get("more_body", False)
        return message


def _route(scope: Scope) -> str:
    """The path's template; what nobody serves has none."""
    template = getattr(scope.get("route"), "path", None)
    if template is None:
        return "unknown"
    return API_PREFIX + template if scope["path"].startswith(f"{API_PREFIX}/") else str(template)


def _announced_octets(scope: Scope) -> int:
    """-1 where it says nothing, and more than anybody may where it says no number."""
    value = next((value for name, value in scope["headers"] if name == b"content-length"), None)
    if value is None:
        return -1
    return int(value) if value.isdigit() and len(value) < 20 else FILE_OCTETS_MAX + 1


def _too_large(octets_max: int) -> ASGIApp:
    return problems.problem(413, "Body too large", f"a body has at most {octets_max} octets")


def _too_many() -> ASGIApp:
    headers = {"Retry-After": "5"}
    return problems.problem(
        503, "Temporarily unavailable", "other files are on their way; send it again", headers=headers
    )


def _where(error: Exception) -> str:
    """The innermost frames, without the error's text and without values."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(
        f"{frame.filename.rpartition('/site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    )
