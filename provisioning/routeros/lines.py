"""A thread for each router while somebody has something for it, with a connection that is kept until nobody has had for
IDLE_S. So a router that does not answer delays no other, and whoever is next finds a connection that is there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs

#: A router that takes longer is no help to whoever waits.
TIMEOUT_S: Final = 2.0
IDLE_S: Final = 60.0
#: Of one router, and routers at a time; more than that is not taken.
WAITING_MAX: Final = 200
ROUTERS_MAX: Final = 200

#: Done in the router's thread; it must not raise.
Work = Callable[[RouterOs], None]


class RouterLines:
    """`close` ends the connections; what was taken is done first."""

    def __init__(
        self, *, connect: Callable[[RouterOsAccess], RouterOs] = lambda access: RouterOs(access, timeout_s=TIMEOUT_S),
        idle_s: float = IDLE_S,
    ) -> None:  # fmt: skip
        self._connect = connect
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._routers: dict[RouterOsAccess, queue.Queue[Work | None]] = {}

    def put(self, access: RouterOsAccess, work: Work) -> bool:
        """False where too much waits already."""
        with self._lock:
            waiting = self._routers.get(access)
            if waiting is None:
                if len(self._routers) >= ROUTERS_MAX:
                    return False
                waiting = self._routers[access] = queue.Queue()
                thread = threading.Thread(target=self._run, args=(access, waiting), name="routeros", daemon=True)
                thread.start()
            if waiting.qsize() >= WAITING_MAX:
                return False
            waiting.put(work)
            return True

    @property
    def open_routers(self) -> int:
        with self._lock:
            return len(self._routers)

    def close(self) -> None:
        with self._lock:
            for waiting in self._routers.values():
                waiting.put(None)

    def _run(self, access: RouterOsAccess, waiting: queue.Queue[Work | None]) -> None:
        client = self._connect(access)
        while (work := self._next(access, waiting)) is not None:
            work(client)
        client.close()

    def _next(self, access: RouterOsAccess, waiting: queue.Queue[Work | None]) -> Work | None:
        """None when it is time to end; then nobody puts anything any more."""
        try:
            work = waiting.get(timeout=self._idle_s)
        except queue.Empty:
            work = None
        with self._lock:
            if work is None and not waiting.empty():
                work = waiting.get_nowait()
            if work is None:
                self._routers.pop(access, None)
        return work
