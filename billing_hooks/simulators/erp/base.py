"""What simulated billing systems share: subscribers, each with a standing in that system's own code.

GET  /_simulate/subscribers                  POST /_simulate/subscribers/{login}  {"standing": "FA", "reason": "…"}
POST /_simulate/all  {"standing": "FA"}      POST /_simulate/away/{status}, back with /0
POST /_simulate/hide {"hidden": true}: it answers as if there were nobody
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from billing_hooks.simulators.web import Refused, away_route, plain


@dataclass(slots=True)
class Subscriber:
    """`number` is of its contract there; its customer has the same and a thousand more."""

    number: int
    login: str
    document: str
    name: str
    standing: str
    reason: str = ""


@dataclass(slots=True)
class Erp:
    """`standings`: the codes that it knows; the first is full access."""

    standings: tuple[str, ...]
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    away: int | None = None
    hidden: bool = False

    def listed(self) -> list[Subscriber]:
        return [] if self.hidden else sorted(self.subscribers.values(), key=lambda one: one.number)

    def set_standing(self, subscriber: Subscriber, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("standing") not in self.standings:
            raise Refused(400, {"detail": f"standings are {', '.join(self.standings)}"})
        subscriber.standing, subscriber.reason = body["standing"], str(body.get("reason", ""))
        return asdict(subscriber)


@dataclass(frozen=True, slots=True)
class Simulation:
    """`credentials`: what the source here has to have, to be shown to who starts it."""

    app: Starlette
    erp: Erp
    credentials: Mapping[str, str]


def made_up(credentials: Mapping[str, str], name: str) -> str:
    return credentials.get(name) or secrets.token_hex(16)


def simulated_routes(erp: Erp) -> list[Route]:
    """What its people and its bad days do."""

    def show(_: Request, __: object) -> object:
        return [asdict(one) for one in erp.subscribers.values()]

    def set_one(request: Request, body: Mapping[str, Any]) -> object:
        login = request.path_params["login"]
        if login not in erp.subscribers:
            raise Refused(404, {"detail": f"there is no subscriber {login}"})
        return erp.set_standing(erp.subscribers[login], body)

    def set_all(_: Request, body: Mapping[str, Any]) -> object:
        return [erp.set_standing(one, body) for one in erp.subscribers.values()]

    def hide(_: Request, body: Mapping[str, Any]) -> object:
        erp.hidden = bool(body.get("hidden"))
        return {"hidden": erp.hidden}

    return [
        away_route(erp),
        Route("/_simulate/subscribers", plain(show)),
        Route("/_simulate/subscribers/{login}", plain(set_one), methods=["POST"]),
        Route("/_simulate/all", plain(set_all), methods=["POST"]),
        Route("/_simulate/hide", plain(hide), methods=["POST"]),
    ]
