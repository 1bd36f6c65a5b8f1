"""Simulated routers for tests, on real sockets."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from core.routeros import RouterOsAccess
from provisioning.simulators.routeros import (
    SYSTEM,
    ActiveSession,
    ApiServer,
    Menu,
    Online,
    Router,
    Subscribers,
    Version,
    router_of,
)
from provisioning.simulators.routeros.command import Caller, Command

USER = "provedor"
PASSWORD = "s3nha do roteador"


def session(number: int = 1, login: str = "ana", **given: Any) -> ActiveSession:
    plain = ActiveSession(
        number, login, f"02:00:00:00:00:{number:02X}", f"100.64.0.{number}", f"81c{number:05x}", time.time() - 90
    )
    return dataclasses.replace(plain, **given)


@dataclass
class Box:
    server: ApiServer
    online: Online = field(default_factory=Online)
    subscribers: Subscribers = field(init=False)

    def __post_init__(self) -> None:
        self.subscribers = Subscribers(self.router, self.online)

    @property
    def router(self) -> Router:
        return self.server.router

    def access(self, **given: Any) -> RouterOsAccess:
        plain = RouterOsAccess(7, "127.0.0.1", self.server.port, USER, PASSWORD, tls=False)
        return dataclasses.replace(plain, **given)


@contextmanager
def box(
    *sessions: ActiveSession, identity: str = "bras-1", version: Version = Version.V7_18, tls: Any = None,
    others: Mapping[str, Menu] | None = None, clock: Callable[[], float] = time.time, device_mode: str = "advanced",
    firewall: bool = False, seen_as: str | None = None, address: str = "127.0.0.1",
    answering: Callable[[str], bool] = lambda _: True,
) -> Iterator[Box]:  # fmt: skip
    online = Online(list(sessions))
    router = router_of(
        online.read, online.end, clock=clock, identity=identity, version=version, users={USER: PASSWORD},
        others=others, device_mode=device_mode, firewall=firewall, answering=answering,
    )  # fmt: skip
    found = Box(ApiServer(router, address, tls=tls, seen_as=seen_as), online)
    try:
        yield found
    finally:
        found.server.close()


class Clock:
    """Goes on when it is told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += seconds


def lone_router(version: Version = Version.V7_18, **given: Any) -> Router:
    """Without a socket."""
    return router_of(list, lambda _: False, version=version, users={USER: PASSWORD}, **{"clock": Clock(), **given})


def do(router: Router, word: str, *, by: Caller = SYSTEM, where: tuple[str, ...] = (), **arguments: str) -> str:
    """A command of the router's own; what it returns. Underscores in names are dashes; `_id` is `.id`."""
    answer = router.run(Command(word, _arguments(arguments), list(where)), by)
    list(answer.rows)
    return answer.returned.get("ret", "")


def rows(router: Router, menu: str, *, by: Caller = SYSTEM, where: tuple[str, ...] = ()) -> list[dict[str, str]]:
    return [dict(row) for row in router.run(Command(f"{menu}/print", {}, list(where)), by).rows]


def _arguments(given: Mapping[str, str]) -> dict[str, str]:
    return {".id" if name == "_id" else name.replace("_", "-"): value for name, value in given.items()}
