"""The client's side of RFC 5176, for many threads at once.

A request keeps its Identifier, authenticator and source port for all its retransmissions, so that the NAS knows it
again; Event-Timestamp is not renewed (section 2.3 and 6.3). An Identifier is not used again on a port within the NAS's
replay window, hence many ports: each holds 256 requests per window, and ports are opened as the load asks for them.
Replies count only from the asked address, with the right authenticator; anything else is counted and ignored.
"""

from __future__ import annotations

import contextlib
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
from aaa.packet import Code, Kind, MalformedPacket, Packet, integer_attribute, parse

#: When to send again, in seconds after the first; then PATIENCE_S ends the wait.
RETRANSMIT_AT_S: Final = (1.0, 3.0)
PATIENCE_S: Final = 5.0
#: RFC 5176 6.3: the window in which a NAS may take a repeated Identifier for a replay.
REPLAY_WINDOW_S: Final = 300.0
PORTS_MAX: Final = 512

STRAY = Counter("provedor_coa_stray_replies_total", "Replies to CoA or Disconnect that answer nothing or are forged")


class OutcomeKind(StrEnum):
    ACK = "ack"
    NAK = "nak"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


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


class _Pending:
    __slots__ = ("authenticator", "done", "outcome", "reply_codes", "secret")

    def __init__(self, authenticator: bytes, secret: SharedSecret, code: int) -> None:
        self.authenticator = authenticator
        self.secret = secret
        self.reply_codes = (code + 1, code + 2)
        self.done = threading.Event()
        self.outcome: Outcome | None = None


class _Port:
    """A socket connected to one NAS, and its Identifiers with the time from which each is free."""

    def __init__(self, one: socket.socket, now_s: float) -> None:
        self.socket = one
        self.free: deque[tuple[float, int]] = deque((now_s, identifier) for identifier in range(256))
        self.pending: dict[int, _Pending] = {}


class CoaClient:
    """`send` blocks its thread until the outcome is known; any number of threads may send."""

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
        self._ports: dict[tuple[str, int], list[_Port]] = {}
        self._selector = selectors.DefaultSelector()
        self._reader: threading.Thread | None = None
        self._closed = False

    def disconnect(self, target: Target, keys: bytes) -> Outcome:
        """A Disconnect-Request with nothing but the session's keys (RFC 5176 3.6)."""
        return self._send(Code.DISCONNECT_REQUEST, target, keys)

    def change(self, target: Target, keys: bytes, attributes: bytes) -> Outcome:
        """A CoA-Request."""
        return self._send(Code.COA_REQUEST, target, keys + attributes)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            for ports in self._ports.values():
                for port in ports:
                    port.socket.close()
            self._ports.clear()

    def _send(self, code: Code, target: Target, attributes: bytes) -> Outcome:
        attributes += integer_attribute(Kind.EVENT_TIMESTAMP, int(self._now()))
        started = self._monotonic()
        try:
            port, identifier = self._take_identifier(target)
        except OSError:
            return Outcome(OutcomeKind.UNREACHABLE)
        octets = sign_request(code, identifier, attributes, target.secret, message_authenticator=True)
        pending = _Pending(octets[4:20], target.secret, code)
        port.pending[identifier] = pending
        try:
            self._exchange(port, octets, pending, started)
        finally:
            self._give_identifier_back(port, identifier)
        if pending.outcome is None:
            return Outcome(OutcomeKind.TIMEOUT, None, self._monotonic() - started)
        return Outcome(pending.outcome.kind, pending.outcome.error_cause, self._monotonic() - started)

    def _exchange(self, port: _Port, octets: bytes, pending: _Pending, started: float) -> None:
        for deadline_s in (*RETRANSMIT_AT_S, PATIENCE_S):
            with contextlib.suppress(OSError):  # an earlier datagram's ICMP error, or no route: the next try tells
                port.socket.send(octets)
            if pending.done.wait(max(0.0, started + deadline_s - self._monotonic())):
                return

    def _take_identifier(self, target: Target) -> tuple[_Port, int]:
        key = (target.address, target.port)
        with self._lock:
            now_s = self._monotonic()
            ports = self._ports.setdefault(key, [])
            for port in ports:
                if port.free and port.free[0][0] <= now_s:
                    return port, port.free.popleft()[1]
            if len(ports) >= PORTS_MAX:
                raise OSError("no Identifier is free")
            port = self._open_port(target, now_s)
            ports.append(port)
            return port, port.free.popleft()[1]

    def _give_identifier_back(self, port: _Port, identifier: int) -> None:
        with self._lock:
            port.pending.pop(identifier, None)
            port.free.append((self._monotonic() + REPLAY_WINDOW_S, identifier))

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
        if self._reader is None:
            self._reader = threading.Thread(target=self._read_replies, name="coa-replies", daemon=True)
            self._reader.start()
        return port

    def _read_replies(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(0.5):
                self._receive(key.data)

    def _receive(self, port: _Port) -> None:
        while True:
            try:
                octets = port.socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                return  # ICMP: the NAS is not there; retransmission and time-out tell
            self._settle(port, octets)

    def _settle(self, port: _Port, octets: bytes) -> None:
        try:
            reply = parse(octets)
        except MalformedPacket:
            STRAY.inc()
            return
        pending = port.pending.get(reply.identifier)
        if pending is None or reply.code not in pending.reply_codes:
            STRAY.inc()
        elif not response_valid(reply, pending.authenticator, pending.secret):
            STRAY.inc()
        else:
            pending.outcome = _outcome(reply)
            pending.done.set()


def _outcome(reply: Packet) -> Outcome:
    cause = reply.integer(Kind.ERROR_CAUSE)
    if reply.code in {Code.COA_ACK, Code.DISCONNECT_ACK}:
        return Outcome(OutcomeKind.ACK, cause)
    return Outcome(OutcomeKind.NAK, cause)
