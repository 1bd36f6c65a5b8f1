"""Simulated routers for tests, on real sockets."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from core.routeros import RouterOsAccess
from provisioning.simulators.routeros import ActiveSession, ApiServer, Menu, Online, Version, router_of

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

    def access(self, **given: Any) -> RouterOsAccess:
        plain = RouterOsAccess(7, "127.0.0.1", self.server.port, USER, PASSWORD, tls=False)
        return dataclasses.replace(plain, **given)


@contextmanager
def box(
    *sessions: ActiveSession, identity: str = "bras-1", version: Version = Version.V7_18, tls: Any = None,
    others: Mapping[str, Menu] | None = None,
) -> Iterator[Box]:  # fmt: skip
    online = Online(list(sessions))
    router = router_of(
        online.read, online.end, clock=time.time, identity=identity, version=version, users={USER: PASSWORD},
        others=others,
    )  # fmt: skip
    server = ApiServer(router, tls=tls)
    try:
        yield Box(server, online)
    finally:
        server.close()
