"""The node's registrar: may this login have one more session? For services whose plan says so strictly.

    a worker parks its logins and asks -> live lines of their services, all at once (database, else what was known last)
    -> others than this CPE's own, below the limit? yes -> else each one's NAS is asked whether it lives -> as many as
    the limit do? no

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
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog
from prometheus_client import Counter

from aaa.admission import DATAGRAM_MAX, DATAGRAM_OCTETS_MAX, PATIENCE_S, Answer, Question
from aaa.live_sessions import NO_LIMIT, Lines, LiveLine, LiveSessions
from aaa.liveness import Addressee, Liveness, LivenessProbe, addressee_of
from core.keyring import Keyring, SealBroken

#: How long NASes have to answer.
ASK_S: Final = 1.0
#: What is known of all strict services, for when the database is away, is renewed this often, or so many times as long
#: as it took.
REFRESH_S: Final = 10.0
REFRESH_REST: Final = 50
#: Questions that are looked up at once.
QUESTIONS_AT_ONCE: Final = 1000
#: Logins for which NASes are asked at a time, and that may wait for it; with more, logins are let in.
THREADS: Final = 16
WAITING_MAX: Final = 500

QUESTIONS: Final = Counter(
    "provedor_registrar_questions_total", "Logins of strictly limited services, by what became of them", ["answer"]
)

log = structlog.get_logger()


class _Doubt(NamedTuple):
    """A login over the limit, if these sessions live."""

    question: Question
    limit: int
    others: Sequence[LiveLine]


class Registrar:
    """Runs until `stop`. `on_gone` is told of sessions that their NASes do not have."""

    def __init__(
        self, sessions: LiveSessions, probe: LivenessProbe, keyring: Keyring, path: Path, *,
        on_gone: Callable[[int], None], monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._probe = probe
        self._keyring = keyring
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
                try:
                    self._settle(self._receive(), pool)
                except Exception as error:  # noqa: BLE001  (logins are accepted when their worker runs out of patience)
                    log.error("registrar: questions were not answered", error=type(error).__name__)
            pool.shutdown(cancel_futures=True)
        self._socket.close()

    def stop(self) -> None:
        self._stopped.set()

    def answer(self, question: Question) -> Answer:
        """May it have one more session?"""
        lines = self._sessions.of_services([question.service_id]).get(question.service_id, NO_LIMIT)
        doubt = _doubt(question, lines)
        return self._ask(doubt) if doubt else Answer(question.token, refused=False)

    def _receive(self) -> dict[str, list[Question]]:
        """What waits, by who asks; empty when nobody has asked for a while."""
        found: dict[str, list[Question]] = defaultdict(list)
        flags = 0
        while sum(map(len, found.values())) < QUESTIONS_AT_ONCE:
            try:
                octets, asker = self._socket.recvfrom(DATAGRAM_OCTETS_MAX, flags)
                found[asker] += msgspec.msgpack.decode(octets, type=list[Question])
            except (TimeoutError, BlockingIOError):
                return found
            except msgspec.MsgspecError:
                continue
            flags = socket.MSG_DONTWAIT
        return found

    def _settle(self, asked: dict[str, list[Question]], pool: ThreadPoolExecutor) -> None:
        now = self._monotonic()
        service_ids = {question.service_id for questions in asked.values() for question in questions}
        lines = self._sessions.of_services(service_ids) if service_ids else {}
        for asker, questions in asked.items():
            admitted = []
            for question in questions:
                doubt = _doubt(question, lines.get(question.service_id, NO_LIMIT))
                if doubt is None:
                    QUESTIONS.labels("admitted").inc()
                elif self._waiting.acquire(blocking=False):
                    pool.submit(self._ask_and_reply, doubt, asker, now)
                    continue
                else:
                    QUESTIONS.labels("too many at once").inc()
                admitted.append(Answer(question.token, refused=False))
            self._reply(asker, admitted)

    def _reply(self, asker: str, answers: Sequence[Answer]) -> None:
        for start in range(0, len(answers), DATAGRAM_MAX):
            with contextlib.suppress(OSError):  # the worker is gone, or has too much to do
                self._socket.sendto(msgspec.msgpack.encode(answers[start : start + DATAGRAM_MAX]), asker)

    def _ask_and_reply(self, doubt: _Doubt, asker: str, asked_at: float) -> None:
        try:
            if self._monotonic() - asked_at >= PATIENCE_S - ASK_S:
                QUESTIONS.labels("too late").inc()
                return
            answer = self._ask(doubt)
            QUESTIONS.labels("refused" if answer.refused else "admitted").inc()
            self._reply(asker, [answer])
        except Exception as error:  # noqa: BLE001  (the login is accepted when its worker runs out of patience)
            QUESTIONS.labels("failed").inc()
            log.error("registrar: a question was not answered", error=type(error).__name__)
        finally:
            self._waiting.release()

    def _ask(self, doubt: _Doubt) -> Answer:
        token, limit = doubt.question.token, doubt.limit
        alive = self._alive(doubt.others)
        if len(alive) < limit:
            return Answer(token, refused=False)
        detail = {"live": str(len(alive)), "limit": str(limit), "where": ", ".join(sorted(set(alive)))}
        return Answer(token, refused=True, detail=detail)

    def _alive(self, lines: Sequence[LiveLine]) -> list[str]:
        """The NASes of those that live, by what NASes say in time; who is gone is reported, whenever that is known."""
        told: queue.SimpleQueue[tuple[LiveLine, Liveness]] = queue.SimpleQueue()
        names: dict[int, str] = {}
        for one in lines:
            name, addressee = self._addressee(one)
            names[one.id] = name
            if addressee is None:
                told.put((one, Liveness.UNKNOWN))
            else:
                self._probe.ask(addressee, lambda liveness, one=one: told.put((one, liveness)))  # type: ignore[misc]
        answered = dict(_until(told, len(lines), self._monotonic() + ASK_S, self._monotonic))
        for one, liveness in answered.items():
            if liveness is Liveness.GONE:
                self._on_gone(one.id)
        return [names[one.id] for one, liveness in answered.items() if liveness is Liveness.ALIVE]

    def _addressee(self, line: LiveLine) -> tuple[str, Addressee | None]:
        nas = self._sessions.nas(line.nas_id)
        if nas is None:
            return "", None
        try:
            return nas.name, addressee_of(line.session(), nas, self._keyring)
        except SealBroken as error:
            log.error("registrar: a NAS cannot be asked", nas=nas.name, error=error.detail)
            return nas.name, None

    def _refresh(self) -> None:
        while not self._stopped.is_set():
            began = self._monotonic()
            self._sessions.refresh()
            self._stopped.wait(max(REFRESH_S, REFRESH_REST * (self._monotonic() - began)))


def _doubt(question: Question, lines: Lines) -> _Doubt | None:
    """None where it may."""
    others = [one for one in lines.live if not _same_cpe(one.calling_station_id, question.calling_station_id)]
    return None if len(others) < lines.limit else _Doubt(question, lines.limit, others)


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
