"""What the HTTP side of all simulated gateways shares: JSON in and out, refusals, being away, and `/_simulate`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from billing_hooks.simulators.hooks import HookQueue
from core.clock import Clock


class Refused(Exception):
    """What the real one answers instead of a success: a status and, as its documents have it, a body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


class MayBeAway(Protocol):
    """`away`: the API answers nothing but this status."""

    away: int | None


class Simulated(MayBeAway, Protocol):
    queue: HookQueue

    @property
    def clock(self) -> Clock: ...


Answer = Callable[[Request, Any], Any]
Handler = Callable[[Request], Awaitable[Response]]


def api(gateway: MayBeAway, admit: Callable[[Request], None], answer: Answer) -> Handler:
    """A path of the gateway's own: `admit` raises Refused for who shows no good credentials; `answer` gets the request
    and its JSON body, and returns JSON, or a Response."""

    async def handle(request: Request) -> Response:
        if gateway.away is not None:
            return Response("<html>Service Unavailable</html>", gateway.away, media_type="text/html")
        return await _answered(request, answer, admit)

    return handle


def simulated_routes(gateway: Simulated, act: Answer) -> list[Route]:
    """What its customers, its staff and its bad days do. `act` gets the path's `id` and `what`."""

    def resume(_: Request, __: object) -> object:
        gateway.queue.resume(gateway.clock())
        return deliveries(_, __)

    def interrupt(_: Request, __: object) -> object:
        gateway.queue.interrupted = True
        return deliveries(_, __)

    def faults(_: Request, body: dict[str, float]) -> object:
        for name, share in body.items():
            if name not in gateway.queue.faults.__slots__:
                raise Refused(400, {"detail": f"no fault {name}: {', '.join(gateway.queue.faults.__slots__)}"})
            setattr(gateway.queue.faults, name, float(share))
        return body

    def deliveries(_: Request, __: object) -> object:
        tried = [{"id": one.event.id, "answers": one.answers, "done": one.done} for one in gateway.queue.sendings]
        return {"interrupted": gateway.queue.interrupted, "deliveries": tried}

    return [
        away_route(gateway),
        Route("/_simulate/interrupt", plain(interrupt), methods=["POST"]),
        Route("/_simulate/resume", plain(resume), methods=["POST"]),
        Route("/_simulate/faults", plain(faults), methods=["POST"]),
        Route("/_simulate/deliveries", plain(deliveries)),
        Route("/_simulate/charges/{id}/{what}", plain(act), methods=["POST"]),
    ]


def away_route(gateway: MayBeAway) -> Route:
    """Take the API away by a status, and back by 0."""

    def away(request: Request, _: object) -> object:
        gateway.away = request.path_params["status"] or None
        return {"away": gateway.away}

    return Route("/_simulate/away/{status:int}", plain(away), methods=["POST"])


def plain(answer: Answer) -> Handler:
    """A path that asks for no credentials."""

    async def handle(request: Request) -> Response:
        return await _answered(request, answer, lambda _: None)

    return handle


async def _answered(request: Request, answer: Answer, admit: Callable[[Request], None]) -> Response:
    octets = await request.body()
    try:
        admit(request)
        said = answer(request, _read(request, octets))
    except Refused as refused:
        return JSONResponse(refused.body, refused.status)
    return said if isinstance(said, Response) else JSONResponse(said)


def _read(request: Request, octets: bytes) -> object:
    """JSON; forms are left to who expects one."""
    if not octets or request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return octets.decode() if octets else {}
    try:
        return json.loads(octets)
    except ValueError:
        raise Refused(400, {"detail": "the body is no JSON"}) from None
