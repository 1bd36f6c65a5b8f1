"""Simulated routers as a process of their own: `python -m bench.fleet ROUTERS PORT`, at 127.2.0.1 and on, one port.

All but the first are fresh. The first has 10,000 PPP secrets and 1,000 rules of somebody else's.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Final

from provisioning.simulators.routeros import (
    SYSTEM,
    ApiServer,
    Fleet,
    Online,
    Router,
    Subscribers,
    Version,
    router_of,
)
from provisioning.simulators.routeros.command import Command

USER, PASSWORD = "provedor", "bench"
SECRETS, RULES = 10_000, 1_000
VERSIONS: Final = (Version.V6_49, Version.V7_12, Version.V7_18)


def address(number: int) -> str:
    return f"127.2.{number // 200}.{number % 200 + 1}"


def main(routers: int, port: int) -> None:
    fleet = Fleet()
    servers = [ApiServer(_router(number), address(number), port, fleet=fleet) for number in range(routers)]
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    print("ready", flush=True)
    stopped.wait()
    for server in servers:
        server.close()


def _router(number: int) -> Router:
    version = Version.V7_18 if number == 0 else VERSIONS[number % len(VERSIONS)]
    online = Online()
    router = router_of(online.read, online.end, clock=time.time, version=version, users={USER: PASSWORD})
    Subscribers(router, online)
    for one in range(SECRETS if number == 0 else 0):
        router.run(Command("/ppp/secret/add", {"name": f"user{one}", "password": f"pass{one}"}, []), SYSTEM)
    for one in range(RULES if number == 0 else 0):
        source = f"10.0.{one // 200}.{one % 200}"
        rule = {"chain": "forward", "action": "accept", "src-address": source}
        router.run(Command("/ip/firewall/filter/add", rule, []), SYSTEM)
    return router


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
