"""The client's side of RFC 5176. `ask` returns at once, and the outcome is told later: no thread waits for a NAS.

A request keeps its Identifier, authenticator and source port for all its retransmissions, so that the NAS knows it
again; Event-Timestamp is not renewed (section 2.3 and 6.3). An Identifier is not used again on a port within the NAS's
replay window, hence many ports: each holds 256 requests per window, and ports are opened as the load asks for them.
Replies count only from the asked address, with the right authenticator; anything else is counted and ignored.

A NAS has at most IN_FLIGHT_MAX requests to answer at a time. More wait for their turn, in order and for WAIT_S at
most, so that the outcome of every request is known within WAIT_S + PATIENCE_S, whatever the NAS does.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client import Counter

from aaa.authenticator import SharedSecret, response_valid, sign_request
from aaa.packet import Code, Kind, MalformedPacket, integer_attribute, parse

#: When to send again, in seconds after the first; then PATIENCE_S ends the wait.
RETRANSMIT_AT_S: Final = (1.0, 3.0)
PATIENCE_S: Final = 5.0
#: Requests that a NAS has to answer at the same time, and how long others wait for their turn.
IN_FLIGHT_MAX: Final = 64
WAIT_S: Final = 5.0
#: RFC 5176 6.3: the window in which a NAS may take a repeated Identifier for a replay.
REPLAY_WINDOW_S: Final = 300.0
PORTS_MAX: Final = 512
#: How late a timer may be.
TICK_S: Final = 0.1

STRAY = Counter("provedor_coa_stray_replies_total", "Replies to CoA or Disconnect that answer nothing or are forged")


class OutcomeKind(StrEnum):
    """held_back: the NAS had too much to answer, so this was never sent."""

    ACK = "ack"
    NAK = "nak"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HELD_BACK = "held_back"


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: OutcomeKind
    error_cause: int | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A NAS's dynamic authorization port."""

    address: str
    port: int
    secret: SharedSecret = field(repr=False)


#: Called once, perhaps from the client's own thread: it must be quick and must not raise.
Done = Callable[[Outcome], None]


class _Port:
    """A socket connected to one NAS, and its Identifiers with the time from which each is free."""

    def __init__(self, one: socket.socket, now_s: float) -> None:
        self.socket = one
        self.free: deque[tuple[float, int]] = deque((now_s, identifier) for identifier in range(256))
        self.pending: dict[int, _Request] = {}


class _Lane:
    """What goes to one NAS."""

    def __init__(self) -> None:
        self.ports: list[_Port] = []
        self.in_flight = 0
        self.waiting: deque[_Request] = deque()


@dataclass(slots=True, eq=False)
class _Request:
    """waiting (no port) -> in flight -> finished"""

    code: Code
    target: Target
    attributes: bytes
    done: Done
    lane: _Lane
    started_s: float
    port: _Port | None = None
    octets: bytes = b""
    sends: int = 0
    #: The timer that counts; earlier ones are passed over.
    due_s: float = 0.0
    finished: bool = False


#: What is to be told once the lock is released.
_Told = list[tuple[Done, Outcome]]


class CoaClient:
    """Any number of threads may ask; one thread of its own, begun with the first request, reads and retransmits."""

    def __init__(
        self,
        *,
        source: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._timers: list[tuple[float, int, _Request]] = []
        self._order = 0
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def disconnect(self, target: Target, keys: bytes, done: Done) -> None:
        """A Disconnect-Request with nothing but the session's keys (RFC 5176 3.6)."""
        self._ask(Code.DISCONNECT_REQUEST, target, keys, done)

    def change(self, target: Target, keys: bytes, attributes: bytes, done: Done) -> None:
        """A CoA-Request."""
        self._ask(Code.COA_REQUEST, target, keys + attributes, done)

    def close(self) -> None:
        """What is under way stays untold."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        for lane in self._lanes.values():
            for port in lane.ports:
                port.socket.close()
        self._selector.close()

    def _ask(self, code: Code, target: Target, attributes: bytes, done: Done) -> None:
        told: _Told = []
        with self._lock:
            lane = self._lanes.setdefault((target.address, target.port), _Lane())
            request = _Request(code, target, attributes, done, lane, self._monotonic())
            if lane.in_flight < IN_FLIGHT_MAX:
                self._start(request, told)
            else:
                lane.waiting.append(request)
                self._at(request.started_s + WAIT_S, request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="coa", daemon=True)
                self._thread.start()
        _tell(told)

    def _start(self, request: _Request, told: _Told) -> None:
        request.started_s = self._monotonic()
        try:
            port, identifier = self._take_identifier(request)
        except OSError:
            request.finished = True
            told.append((request.done, Outcome(OutcomeKind.UNREACHABLE)))
            return
        attributes = request.attributes + integer_attribute(Kind.EVENT_TIMESTAMP, int(self._now()))
        secret = request.target.secret
        request.octets = sign_request(request.code, identifier, attributes, secret, message_authenticator=True)
        request.port = port
        port.pending[identifier] = request
        request.lane.in_flight += 1
        self._transmit(request, port)

    def _transmit(self, request: _Request, port: _Port) -> None:
        with contextlib.suppress(OSError):  # an earlier datagram's ICMP error, or no route: the next try tells
            port.socket.send(request.octets)
        due = (*RETRANSMIT_AT_S, PATIENCE_S)[request.sends]
        request.sends += 1
        self._at(request.started_s + due, request)

    def _finish(self, request: _Request, kind: OutcomeKind, error_cause: int | None, told: _Told) -> None:
        """Tell the outcome, and let those who wait have the place."""
        request.finished = True
        lane, now_s = request.lane, self._monotonic()
        if request.port is not None:
            identifier = request.octets[1]
            del request.port.pending[identifier]
            request.port.free.append((now_s + REPLAY_WINDOW_S, identifier))
            lane.in_flight -= 1
        told.append((request.done, Outcome(kind, error_cause, now_s - request.started_s)))
        while lane.waiting and lane.in_flight < IN_FLIGHT_MAX:
            following = lane.waiting.popleft()
            if not following.finished:
                self._start(following, told)

    def _take_identifier(self, request: _Request) -> tuple[_Port, int]:
        ports, now_s = request.lane.ports, request.started_s
        for port in ports:
            if port.free and port.free[0][0] <= now_s:
                return port, port.free.popleft()[1]
        if len(ports) >= PORTS_MAX:
            raise OSError("no Identifier is free")
        port = self._open_port(request.target, now_s)
        ports.append(port)
        return port, port.free.popleft()[1]

    def _open_port(self, target: Target, now_s: float) -> _Port:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if self._source:
                one.bind((self._source, 0))
            one.connect((target.address, target.port))
        except OSError:
            one.close()
            raise
        one.setblocking(False)
        port = _Port(one, now_s)
        self._selector.register(one, selectors.EVENT_READ, port)
        return port

    def _at(self, due_s: float, request: _Request) -> None:
        request.due_s = due_s
        self._order += 1
        heapq.heappush(self._timers, (due_s, self._order, request))

    def _run(self) -> None:
        while not self._closed.is_set():
            readable = self._selector.select(TICK_S)
            told: _Told = []
            with self._lock:
                for key, _ in readable:
                    self._receive(key.data, told)
                self._run_timers(told)
            _tell(told)

    def _run_timers(self, told: _Told) -> None:
        now_s = self._monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            due_s, _, request = heapq.heappop(self._timers)
            if request.finished or request.due_s != due_s:
                continue
            if request.port is None:
                self._finish(request, OutcomeKind.HELD_BACK, None, told)
            elif request.sends <= len(RETRANSMIT_AT_S):
                self._transmit(request, request.port)
            else:
                self._finish(request, OutcomeKind.TIMEOUT, None, told)

    def _receive(self, port: _Port, told: _Told) -> None:
        while True:
            try:
                octets = port.socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                return  # ICMP: the NAS is not there; retransmission and time-out tell
            self._settle(port, octets, told)

    def _settle(self, port: _Port, octets: bytes, told: _Told) -> None:
        try:
            reply = parse(octets)
        except MalformedPacket:
            STRAY.inc()
            return
        request = port.pending.get(reply.identifier)
        if request is None or reply.code not in {request.code + 1, request.code + 2}:
            STRAY.inc()
        elif not response_valid(reply, request.octets[4:20], request.target.secret):
            STRAY.inc()
        else:
            kind = OutcomeKind.ACK if reply.code == request.code + 1 else OutcomeKind.NAK
            self._finish(request, kind, reply.integer(Kind.ERROR_CAUSE), told)


def _tell(told: _Told) -> None:
    for done, outcome in told:
        done(outcome)
