"""Asks routers, over their API, whether a session lives (see `presence` for how their answers are read).

Whoever asks does not wait: each router has a thread of its own while it is asked, with a connection that is kept until
nobody has asked for IDLE_S. So a router that does not answer delays no other. It is left alone for REST_S then, and
whoever asks meanwhile is told at once that nothing is known.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from aaa.liveness import Addressee, Liveness, Told
from core.clock import Clock, utc_now
from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.presence import Menu, all_say, can_be_missed, is_among, menus_for, queries

#: A router that takes longer is no help to a login that waits.
TIMEOUT_S: Final = 2.0
IDLE_S: Final = 60.0
REST_S: Final = 20.0
#: A question that has waited for so long is told that nothing is known.
WAIT_S: Final = 5.0
#: Of one router, and routers at a time; whoever asks beyond is told so at once.
QUESTIONS_MAX: Final = 200
ROUTERS_MAX: Final = 200

log = structlog.get_logger()


class _Question(NamedTuple):
    addressee: Addressee
    told: Told
    asked_s: float


class RouterOsProbe:
    """`close` ends the connections; what was asked is answered first."""

    def __init__(
        self, *, connect: Callable[[RouterOsAccess], RouterOs] = lambda access: RouterOs(access, timeout_s=TIMEOUT_S),
        clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic, idle_s: float = IDLE_S,
    ) -> None:  # fmt: skip
        self._connect = connect
        self._clock = clock
        self._monotonic = monotonic
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._routers: dict[RouterOsAccess, queue.Queue[_Question | None]] = {}

    def ask(self, addressee: Addressee, told: Told) -> None:
        if addressee.routeros is None or not self._put(
            addressee.routeros, _Question(addressee, told, self._monotonic())
        ):
            told(Liveness.UNKNOWN)

    @property
    def asked_routers(self) -> int:
        with self._lock:
            return len(self._routers)

    def close(self) -> None:
        with self._lock:
            for questions in self._routers.values():
                questions.put(None)

    def _put(self, access: RouterOsAccess, question: _Question) -> bool:
        with self._lock:
            questions = self._routers.get(access)
            if questions is None:
                if len(self._routers) >= ROUTERS_MAX:
                    return False
                questions = self._routers[access] = queue.Queue()
                thread = threading.Thread(target=self._run, args=(access, questions), name="routeros", daemon=True)
                thread.start()
            if questions.qsize() >= QUESTIONS_MAX:
                return False
            questions.put(question)
            return True

    def _run(self, access: RouterOsAccess, questions: queue.Queue[_Question | None]) -> None:
        router = _Router(self._connect(access), self._clock, self._monotonic)
        while (question := self._next(access, questions)) is not None:
            question.told(router.answer(question))
        router.client.close()

    def _next(self, access: RouterOsAccess, questions: queue.Queue[_Question | None]) -> _Question | None:
        """None when it is time to end; then nobody puts anything any more."""
        try:
            question = questions.get(timeout=self._idle_s)
        except queue.Empty:
            question = None
        with self._lock:
            if question is None and not questions.empty():
                question = questions.get_nowait()
            if question is None:
                self._routers.pop(access, None)
        return question


class _Router:
    def __init__(self, client: RouterOs, clock: Clock, monotonic: Callable[[], float]) -> None:
        self.client = client
        self._clock = clock
        self._monotonic = monotonic
        self._rests_until_s = 0.0

    def answer(self, question: _Question) -> Liveness:
        now_s = self._monotonic()
        if now_s < self._rests_until_s or now_s > question.asked_s + WAIT_S:
            return Liveness.UNKNOWN
        try:
            return self._look(question.addressee, self._clock())
        except RouterOsError as error:
            log.warning("a router was not asked about a session", nas_id=error.nas_id, why=error.detail)
        except Exception as error:  # noqa: BLE001  (its thread must go on, and whoever asked must be told)
            log.error("a router's answer about a session was not read", error=type(error).__name__)
        self._rests_until_s = self._monotonic() + REST_S
        return Liveness.UNKNOWN

    def _look(self, addressee: Addressee, now: datetime) -> Liveness:
        said = []
        for menu in menus_for(addressee):
            said.append(is_among(addressee, menu, self._rows(addressee, menu), now))
            if said[-1] is Liveness.ALIVE:
                return Liveness.ALIVE
        everywhere = all_say(said)
        if everywhere is Liveness.GONE and not can_be_missed(addressee, self._name()):
            return Liveness.UNKNOWN
        return everywhere

    def _rows(self, addressee: Addressee, menu: Menu) -> list[Row]:
        try:
            return self.client.rows(menu.path, menu.properties, *queries(addressee, menu))
        except Trap as trap:
            if trap.no_such_command:
                return []  # a router without the package has no such sessions
            raise

    def _name(self) -> str:
        return next((row.get("name", "") for row in self.client.rows("/system/identity", ("name",))), "")
