"""Asks home servers and waits for nobody: requests out, answers and silences told when they come.

Each home server has sockets of its own, opened as the load asks for them; a socket holds 256 Identifiers, and one whose
request nobody answered rests, so that a late reply is never taken for another's. A reply counts only from the asked
address, with the right authenticator. We retransmit when the NAS does, the same octets (RFC 5080 2.2.1), never by
ourselves.

A server that has been silent about several requests in a row is dead: then nobody is made to wait for it, and it is
asked with Status-Server every few seconds (RFC 5997), or where it does not speak that, with a NAS's request after a
while.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from aaa.authenticator import response_valid, sign_access_request
from aaa.packet import Code, MalformedPacket, Packet, parse
from aaa.takeover.home import HomeRow, HomeServer

#: Sockets a worker opens towards one home server: 256 requests each may wait for their answer at the same time.
PORTS_MAX: Final = 32
#: How long the Identifier of an unanswered request rests.
REST_S: Final = 30.0
#: A NAS that asks again is passed on no sooner than this after the last time.
AGAIN_S: Final = 0.4
#: Requests in a row without an answer that make a server dead, and for how long it must have been silent.
SILENCES: Final = 6
SILENT_S: Final = 2.0
#: While dead: how often it is asked for its status; and when a request is risked where it does not tell its status.
CHECK_S: Final = 2.0
REVIVE_S: Final = 15.0
_RECEIVE_OCTETS: Final = 8192
#: Codes that answer an Access-Request.
_ANSWERS: Final = frozenset({Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE})

log = structlog.get_logger()


class Watcher(Protocol):
    """Whoever polls: calls back when the descriptor can be read."""

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None: ...
    def unwatch(self, descriptor: int) -> None: ...


class Question:
    """A request under way. `done` hears the reply, or None when the response window has passed."""

    __slots__ = ("answered", "asked_at", "done", "octets", "port", "sent_at")

    def __init__(self, octets: bytes, port: _Port, now_s: float, done: Callable[[Packet | None], None]) -> None:
        self.octets = octets
        self.port = port
        self.asked_at = self.sent_at = now_s
        self.done = done
        self.answered = False


class _Port:
    """A socket connected to the home server, and its Identifiers with the time from which each is free."""

    def __init__(self, row: HomeRow, now_s: float) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in row.address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            self.socket.connect((row.address, row.auth_port))
        except OSError:
            self.socket.close()
            raise
        self.free: deque[tuple[float, int]] = deque((now_s, identifier) for identifier in range(256))
        self.pending: dict[int, Question] = {}


class _Lane:
    """What a worker knows of one home server."""

    def __init__(self, home: HomeServer, now_s: float) -> None:
        self.home = home
        self.ports: list[_Port] = []
        self.heard_at = now_s
        self.silences = 0
        self.dead_since: float | None = None
        self.checked_at = now_s


class Relay:
    """One worker's, by the worker's clock."""

    def __init__(self, watcher: Watcher, now: Callable[[], float]) -> None:
        self._watcher = watcher
        self._now = now
        self._lanes: dict[HomeRow, _Lane] = {}
        self._timers: list[tuple[float, int, Question, _Lane]] = []
        self._order = 0

    def dead(self, home: HomeServer) -> bool:
        """Whether asking is pointless. Where no status is told, a request is let through now and then."""
        lane = self._lanes.get(home.row)
        if lane is None or lane.dead_since is None:
            return False
        if home.row.status_server or self._now() - lane.checked_at < REVIVE_S:
            return True
        lane.checked_at = self._now()
        return False

    def ask(
        self,
        home: HomeServer,
        build: Callable[[int, bytes], bytes | None],
        done: Callable[[Packet | None], None],
    ) -> Question | None:
        """Send what `build` makes with an Identifier and an authenticator; None where it could not be sent at all."""
        now_s = self._now()
        lane = self._lanes.get(home.row)
        if lane is None:
            lane = self._lanes[home.row] = _Lane(home, now_s)
        taken = self._take(lane, now_s)
        if taken is None:
            return None
        port, identifier = taken
        octets = build(identifier, os.urandom(16))
        if octets is None:
            port.free.append((now_s, identifier))
            return None
        question = port.pending[identifier] = Question(octets, port, now_s, done)
        self._send(question)
        self._order += 1
        heapq.heappush(self._timers, (now_s + home.row.response_window_s, self._order, question, lane))
        return question

    def again(self, question: Question) -> None:
        """The NAS asks again: so do we, with the same octets."""
        now_s = self._now()
        if not question.answered and now_s - question.sent_at >= AGAIN_S:
            question.sent_at = now_s
            self._send(question)

    def run_timers(self) -> None:
        now_s = self._now()
        while self._timers and self._timers[0][0] <= now_s:
            _, _, question, lane = heapq.heappop(self._timers)
            if not question.answered:
                self._give_up(question, lane, now_s)

    def timer_s(self) -> float:
        """Until an answer is due."""
        return max(0.0, self._timers[0][0] - self._now()) if self._timers else 1.0

    def tick(self) -> None:
        """About once a second: dead servers are asked how they are."""
        now_s = self._now()
        for lane in self._lanes.values():
            if lane.dead_since is not None and lane.home.row.status_server and now_s - lane.checked_at >= CHECK_S:
                lane.checked_at = now_s
                self._ask_status(lane)

    def forget(self, homes: set[HomeRow]) -> None:
        """Close what belongs to servers that are none of these any more; who still waits there gets no answer."""
        for row in [row for row in self._lanes if row not in homes]:
            lane = self._lanes.pop(row)
            for port in lane.ports:
                for question in port.pending.values():
                    question.answered = True
                    _tell(question, None)
                self._watcher.unwatch(port.socket.fileno())
                port.socket.close()

    def states(self) -> dict[str, bool]:
        """Home servers that were asked, by name, and whether they live."""
        return {lane.home.name: lane.dead_since is None for lane in self._lanes.values()}

    def _ask_status(self, lane: _Lane) -> None:
        def build(identifier: int, authenticator: bytes) -> bytes:
            return sign_access_request(identifier, authenticator, b"", lane.home.secret, code=Code.STATUS_SERVER)

        self.ask(lane.home, build, lambda _: None)

    def _take(self, lane: _Lane, now_s: float) -> tuple[_Port, int] | None:
        for port in lane.ports:
            if port.free and port.free[0][0] <= now_s:
                return port, port.free.popleft()[1]
        if len(lane.ports) >= PORTS_MAX:
            return None
        try:
            port = _Port(lane.home.row, now_s)
        except OSError as error:  # no route, no descriptor: as if it were silent
            log.warning("home server cannot be asked", home=lane.home.name, error=error.strerror)
            return None
        lane.ports.append(port)
        self._watcher.watch(port.socket.fileno(), lambda: self._receive(port, lane))
        return port, port.free.popleft()[1]

    @staticmethod
    def _send(question: Question) -> None:
        with contextlib.suppress(OSError):  # an earlier datagram's ICMP error; the window tells
            question.port.socket.send(question.octets)

    def _receive(self, port: _Port, lane: _Lane) -> None:
        while True:
            try:
                octets = port.socket.recv(_RECEIVE_OCTETS)
            except BlockingIOError:
                return
            except OSError:
                return  # ICMP: nobody is there; the window tells
            self._settle(port, lane, octets)

    def _settle(self, port: _Port, lane: _Lane, octets: bytes) -> None:
        try:
            reply = parse(octets)
        except MalformedPacket:
            return
        question = port.pending.get(reply.identifier)
        if question is None or reply.code not in _ANSWERS:
            return
        home = lane.home
        required = home.row.require_message_authenticator
        if not response_valid(reply, question.octets[4:20], home.secret, message_authenticator_required=required):
            log.warning("home server: a reply is not signed with its secret", home=home.name)
            return
        del port.pending[reply.identifier]
        port.free.append((0.0, reply.identifier))
        question.answered = True
        lane.silences = 0
        lane.heard_at = self._now()
        if lane.dead_since is not None:
            lane.dead_since = None
            log.info("home server answers again", home=home.name)
        _tell(question, reply)

    def _give_up(self, question: Question, lane: _Lane, now_s: float) -> None:
        question.answered = True
        identifier = question.octets[1]
        if question.port.pending.pop(identifier, None) is not None:
            question.port.free.append((now_s + REST_S, identifier))
        lane.silences += 1
        if lane.dead_since is None and lane.silences >= SILENCES and now_s - lane.heard_at >= SILENT_S:
            lane.dead_since = lane.checked_at = now_s
            log.warning("home server does not answer", home=lane.home.name, address=lane.home.row.address)
        _tell(question, None)


def _tell(question: Question, reply: Packet | None) -> None:
    try:
        question.done(reply)
    except Exception as error:  # noqa: BLE001  (a fault of ours costs this packet, never the worker: it comes again)
        log.error("home server: an answer was not passed on", error=type(error).__name__)
