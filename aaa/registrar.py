"""The node's registrar: may this login have one more session? For services whose plan says so strictly.

    a worker parks the login and asks -> live lines of the service (database, else what was known last) -> others than
    this CPE's own, below the limit? yes -> else each one's NAS is asked whether it lives -> as many as the limit do? no

A login is refused only on the word of NASes that answered within ASK_S. The subscriber's own CPE that dials again,
while its NAS has not noticed that the old session is dead, is no second user: sessions from the same
Calling-Station-Id do not count. Whatever fails lets in: on its Start, the oldest sessions above the limit are ended
anyway (see `lines`), which also ends the race of two logins at the same moment.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from aaa.admission import DATAGRAM_OCTETS_MAX, PATIENCE_S, Answer, Question
from aaa.liveness import Addressee, Liveness, LivenessProbe, addressee_of
from core.database import Database
from core.keyring import Keyring, SealBroken
from core.models.network import Nas, Session, SessionKind
from core.models.service import Plan, Service

#: How long NASes have to answer.
ASK_S: Final = 1.0
#: What is known of all strict services, for when the database is away, is renewed this often.
REFRESH_S: Final = 10.0
#: Questions worked on at a time; each may wait for a NAS.
THREADS: Final = 16
#: Questions that may wait for a thread; with more, workers run out of patience and accept.
WAITING_MAX: Final = 500

QUESTIONS: Final = Counter(
    "provedor_registrar_questions_total", "Logins of strictly limited services, by what became of them", ["answer"]
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A live session that counts, and where it can be asked about."""

    addressee: Addressee
    nas_name: str
    calling_station_id: str | None


@dataclass(frozen=True, slots=True)
class Lines:
    """What a service has and may have."""

    limit: int
    live: tuple[LiveLine, ...]


NO_LIMIT: Final = Lines(1 << 31, ())


class LiveSessions:
    """Live lines of strictly limited services: from the database, and from memory while it is away."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._known: dict[int, Lines] = {}

    def of_service(self, service_id: int) -> Lines:
        try:
            lines = self._read(Service.id == service_id)
        except SQLAlchemyError as error:
            log.warning("registrar: database away, answering from memory", error=type(error).__name__)
            return self._known.get(service_id, NO_LIMIT)
        return lines.get(service_id, NO_LIMIT)

    def refresh(self) -> None:
        """Learn all of them, for later."""
        with contextlib.suppress(SQLAlchemyError):
            self._known = self._read(Plan.session_limit_strict)

    def _read(self, which: Any) -> dict[int, Lines]:  # noqa: ANN401  (a condition)
        live: dict[int, list[LiveLine]] = defaultdict(list)
        limits: dict[int, int] = {}
        with self._database.transaction() as session:
            for service_id, limit, found, nas in session.execute(_live_lines(which)):
                limits[service_id] = limit or NO_LIMIT.limit
                with contextlib.suppress(SealBroken):
                    addressee = addressee_of(found, nas, self._keyring)
                    live[service_id].append(LiveLine(addressee, nas.name, found.calling_station_id))
        return {service_id: Lines(limit, tuple(live[service_id])) for service_id, limit in limits.items()}


class Registrar:
    """Runs until `stop`. `on_gone` is told of sessions that their NASes do not have."""

    def __init__(
        self, sessions: LiveSessions, probe: LivenessProbe, path: Path, *, on_gone: Callable[[int], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._probe = probe
        self._on_gone = on_gone
        self._monotonic = monotonic
        self._stopped = threading.Event()
        self._waiting = threading.BoundedSemaphore(WAITING_MAX + THREADS)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.settimeout(0.5)

    def run(self) -> None:
        refreshing = threading.Thread(target=self._refresh, name="refresh", daemon=True)
        refreshing.start()
        with ThreadPoolExecutor(THREADS, "question") as pool:
            while not self._stopped.is_set():
                self._receive(pool)
            pool.shutdown(cancel_futures=True)
        self._socket.close()

    def stop(self) -> None:
        self._stopped.set()

    def answer(self, question: Question) -> Answer:
        """May it have one more session?"""
        lines = self._sessions.of_service(question.service_id)
        others = [one for one in lines.live if not _same_cpe(one.calling_station_id, question.calling_station_id)]
        if len(others) < lines.limit:
            return Answer(question.token, refused=False)
        alive = self._alive(others)
        if len(alive) < lines.limit:
            return Answer(question.token, refused=False)
        where = ", ".join(sorted({one.nas_name for one in alive}))
        detail = {"live": str(len(alive)), "limit": str(lines.limit), "where": where}
        return Answer(question.token, refused=True, detail=detail)

    def _receive(self, pool: ThreadPoolExecutor) -> None:
        try:
            octets, asker = self._socket.recvfrom(DATAGRAM_OCTETS_MAX)
            question = msgspec.msgpack.decode(octets, type=Question)
        except (TimeoutError, msgspec.MsgspecError):
            return
        if self._waiting.acquire(blocking=False):
            pool.submit(self._reply, question, asker, self._monotonic())
        else:
            QUESTIONS.labels("too many at once").inc()

    def _reply(self, question: Question, asker: str, asked_at: float) -> None:
        try:
            if self._monotonic() - asked_at >= PATIENCE_S - ASK_S:
                QUESTIONS.labels("too late").inc()
                return
            answer = self.answer(question)
            QUESTIONS.labels("refused" if answer.refused else "admitted").inc()
            self._socket.sendto(msgspec.msgpack.encode(answer), asker)
        except OSError:
            return  # the worker is gone
        except Exception as error:  # noqa: BLE001  (the login is accepted when its worker runs out of patience)
            QUESTIONS.labels("failed").inc()
            log.error("registrar: a question was not answered", error=type(error).__name__)
        finally:
            self._waiting.release()

    def _alive(self, lines: Sequence[LiveLine]) -> list[LiveLine]:
        """Those whose NASes say so in time; sessions that are gone are reported, whenever that is known."""
        told: queue.SimpleQueue[tuple[LiveLine, Liveness]] = queue.SimpleQueue()
        for one in lines:
            self._probe.ask(one.addressee, lambda liveness, one=one: told.put((one, liveness)))  # type: ignore[misc]
        answered = dict(_until(told, len(lines), self._monotonic() + ASK_S, self._monotonic))
        for one, liveness in answered.items():
            if liveness is Liveness.GONE:
                self._on_gone(one.addressee.session_id)
        return [one for one, liveness in answered.items() if liveness is Liveness.ALIVE]

    def _refresh(self) -> None:
        while not self._stopped.is_set():
            self._sessions.refresh()
            self._stopped.wait(REFRESH_S)


def _live_lines(which: Any) -> Select[int, int | None, Session, Nas]:  # noqa: ANN401
    return (
        select(Service.id, Plan.session_limit, Session, Nas)
        .join(Plan, Plan.id == Service.plan_id)
        .join(Session, Session.service_id == Service.id)
        .join(Nas, Nas.id == Session.nas_id)
        .where(which, Plan.session_limit_strict, Plan.session_limit.is_not(None))
        .where(Session.stopped_at.is_(None), Session.kind == SessionKind.LINE)
    )


def _same_cpe(one: str | None, other: str | None) -> bool:
    return bool(one) and bool(other) and str(one).upper() == str(other).upper()


def _until(
    told: queue.SimpleQueue[tuple[LiveLine, Liveness]], wanted: int, deadline: float, monotonic: Callable[[], float]
) -> Iterable[tuple[LiveLine, Liveness]]:
    """What is told before the deadline."""
    for _ in range(wanted):
        try:
            yield told.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            return
