"""The loop of a RADIUS worker process: one thread, no database, nothing that waits.

    poll -> drain up to BATCH datagrams of each ready socket -> `handle` each -> `end_batch` -> timers

What a worker knows comes from the feeder. Until the first whole snapshot has come, datagrams are left in the
kernel's buffer: a NAS that must ask again is better than a subscriber who is told that he does not exist.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from aaa.datagrams import DatagramSocket, address_of
from aaa.feed import FeedConnection, Message, SnapshotFollower, decode
from aaa.oddities import UnheardReplies
from aaa.reasons import REJECTS, SUSPICIOUS, Reason
from aaa.reports import FINDINGS, STRANGER, FindingKind, Reporter
from aaa.snapshot import Clients
from aaa.tracing import TracedExchange, TraceFilter, arrived_at

#: Sources remembered with their NAS.
PEERS_MAX: Final = 50_000
#: Housekeeping: counters to the feeder, expiry of caches.
TICK_S: Final = 1.0
#: One line in the log per source and reason in this time.
LOG_INTERVAL_S: Final = 10.0
LOG_KEYS_MAX: Final = 1000

log = structlog.get_logger()


class Peer:
    """Somebody who sends: a source address and port, and the NAS that they are."""

    __slots__ = ("address", "client", "port")

    def __init__(self, name: bytes, clients: Clients) -> None:
        self.address, self.port = address_of(name)
        self.client = clients.find(self.address)


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A datagram, where it came from and how its reply leaves."""

    socket: DatagramSocket
    peer: Peer
    octets: bytes
    #: The sender's `sockaddr`.
    name: bytes
    control: bytes

    def reply(self, octets: bytes) -> None:
        self.socket.reply(octets, self.name, self.control)


class WatchedArrival(Arrival, frozen=True, gc=False):
    """One that remembers what was replied at once, for who watches."""

    replies: list[bytes] = msgspec.field(default_factory=list)

    def reply(self, octets: bytes) -> None:
        self.replies.append(octets)
        Arrival.reply(self, octets)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    name: str
    sockets: list[socket.socket]
    feed_path: str
    #: Told once, when the first snapshot is there and the worker answers.
    on_ready: Callable[[], None]


class Worker(ABC):
    """What authentication and accounting workers share. Subclasses handle one datagram at a time."""

    role: str

    def __init__(self, options: WorkerOptions, *, with_services: bool, reports_path: str) -> None:
        self.options = options
        self.reports = Reporter(reports_path)
        self.follower = SnapshotFollower(with_services=with_services)
        self.now = time.monotonic()
        #: Packets by Reason that belong to no NAS we know.
        self.counts: dict[str, int] = {}
        #: What those who watch want to see; None while nobody does.
        self.trace: list[TraceFilter] | None = None
        self._counted: tuple[Reason, str] | None = None
        self._sockets = {one.fileno(): DatagramSocket(one) for one in options.sockets}
        self._peers: dict[bytes, Peer] = {}
        #: Other descriptors that are waited for, and what reads them.
        self._watched: dict[int, Callable[[], None]] = {}
        self._feed = FeedConnection(options.feed_path, {"name": options.name, "role": self.role})
        self._poll = select.poll()
        self._stopping = False
        self._next_tick = self.now
        self._logged: dict[tuple[str, str], float] = {}
        self._unheard = UnheardReplies(self.now)
        self._busy_s = 0.0
        self._handled = 0

    @abstractmethod
    def handle(self, arrival: Arrival) -> None:
        """Work on one datagram."""

    @abstractmethod
    def end_batch(self) -> None:
        """All datagrams that were waiting have been handled."""

    @abstractmethod
    def tick(self) -> None:
        """About once a second."""

    def timer_s(self) -> float:
        """Seconds until the subclass wants `end_batch` again though nothing arrives."""
        return TICK_S

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        _prefer_batches()
        self._await_snapshot()
        self.options.on_ready()
        for descriptor in (*self._sockets, *self._watched):
            self._poll.register(descriptor, select.POLLIN)
        while not self._stopping:
            self._turn()
        self._finish_batch()

    def stop(self) -> None:
        self._stopping = True

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Have `readable` called whenever there is something to read."""
        self._watched[descriptor] = readable
        self._poll.register(descriptor, select.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        del self._watched[descriptor]
        self._poll.unregister(descriptor)

    def count(self, reason: Reason, peer: Peer, **details: Any) -> None:  # noqa: ANN401
        """Count a packet; say so in the log where it is suspicious, but not each time."""
        counts = self.counts if peer.client is None else peer.client.counts
        counts[reason] = counts.get(reason, 0) + 1
        if self.trace is not None:
            self._counted = (reason, str(details.get("detail", "")))
        if reason in SUSPICIOUS:
            self._log_discard(reason, peer, details)
            kind = FINDINGS.get(reason)
            if kind is not None:
                self.find(kind, peer, details)

    def find(self, kind: FindingKind, peer: Peer, details: dict[str, Any]) -> None:
        """Something is wrong with this sender."""
        nas_id = STRANGER if peer.client is None else peer.client.nas_id
        self.reports.finding(nas_id, peer.address, kind, {"role": self.role, **details})

    def tell_feeder(self, kind: Message, body: object) -> None:
        self._feed.send(kind, body)

    def trace_exchange(self, arrival: Arrival, reply: bytes, reason: Reason, detail: str = "") -> None:
        """Report an exchange to those who watch and want it; called only while somebody does."""
        peer = arrival.peer
        bound, port = arrival.socket.socket.getsockname()[:2]
        exchange = TracedExchange(
            time.time(), peer.address, peer.port, peer.client.name if peer.client else "",
            arrived_at(bound, arrival.control), port, arrival.octets, reply, reason, detail,
        )  # fmt: skip
        if any(one.matches(exchange) for one in self.trace or ()):
            self.tell_feeder(Message.TRACE, exchange)

    def _turn(self) -> None:
        wait_s = max(0.0, min(self._next_tick - self.now, self.timer_s()))
        ready = self._poll.poll(wait_s * 1000)
        started = self.now = time.monotonic()
        for descriptor, _ in ready:
            one = self._sockets.get(descriptor)
            if one is not None:
                self._receive(one)
            elif descriptor in self._watched:
                self._watched[descriptor]()
            else:
                self._receive_feed()
        self._finish_batch()
        if self.now >= self._next_tick:
            self._tick()
        self._busy_s += time.monotonic() - started

    def _receive(self, one: DatagramSocket) -> None:
        peers, handle = self._peers, self.handle if self.trace is None else self._handle_watched
        datagrams = one.receive()
        for octets, name, control in datagrams:
            peer = peers.get(name)
            if peer is None:
                peer = self._meet(name)
            try:
                handle(Arrival(one, peer, octets, name, control))
            except Exception as error:  # noqa: BLE001  (a fault of ours costs this packet, never the worker: it comes again)
                self.count(Reason.FAILED, peer, error=type(error).__name__, at=_place_of(error))
        self._handled += len(datagrams)

    def _handle_watched(self, arrival: Arrival) -> None:
        """While somebody watches: what `handle` does not report itself, it counted, and `count` heard as what."""
        watched = WatchedArrival(arrival.socket, arrival.peer, arrival.octets, arrival.name, arrival.control)
        self._counted = None
        try:
            self.handle(watched)
        except Exception:
            self.trace_exchange(watched, b"", Reason.FAILED)
            raise
        if self._counted is not None and self._counted[0] not in REJECTS:
            self.trace_exchange(watched, b"".join(watched.replies), *self._counted)

    def _meet(self, name: bytes) -> Peer:
        if len(self._peers) >= PEERS_MAX:
            self._peers.clear()
        peer = self._peers[name] = Peer(name, self.follower.current.clients)
        return peer

    def _finish_batch(self) -> None:
        self.end_batch()
        for one in self._sockets.values():
            one.flush()

    def _tick(self) -> None:
        self._next_tick = self.now + TICK_S
        self.tick()
        self._report()
        if self._feed.fileno() < 0 and self._feed.connect():
            self._poll.register(self._feed.fileno(), select.POLLIN)
        self.tell_feeder(Message.COUNTERS, self._counters())

    def _report(self) -> None:
        for client, again in self._unheard.look(self.follower.current.clients.all(), self.now):
            self.reports.finding(client.nas_id, "", FindingKind.REPLIES_UNHEARD, {"role": self.role}, again)
        self.reports.send(self.now)
        if self.reports.lost:
            self.counts["reports_lost"] = self.reports.lost

    def _counters(self) -> dict[str, Any]:
        clients = self.follower.current.clients.all()
        return {
            "nas": {client.name: client.counts for client in clients if client.counts},
            "unknown": self.counts,
            "busy_s": self._busy_s,
            "packets": self._handled,
            "revision": self.follower.current.revision,
            "subscribers": len(self.follower.current.subscribers),
        }

    def _await_snapshot(self) -> None:
        while not self.follower.ready and not self._stopping:
            if self._feed.fileno() < 0:
                if not self._feed.connect():
                    time.sleep(0.05)
                    continue
                self._poll.register(self._feed.fileno(), select.POLLIN)
            if self._poll.poll(1000):
                self._receive_feed()
        self.now = time.monotonic()

    def _receive_feed(self) -> None:
        descriptor = self._feed.fileno()
        frames = self._feed.receive()
        if frames is None:
            self._poll.unregister(descriptor)
            self.follower.forget_partial()
            self.trace = None
            return
        for kind, body in frames:
            if kind == Message.TRACE:
                self.trace = msgspec.convert(decode(kind, body), list[TraceFilter]) or None
            else:
                self.follower.apply(kind, body)
            if kind in {Message.NAS, Message.UP_TO_DATE}:
                self._peers.clear()  # an address may belong to another NAS now

    def _log_discard(self, reason: Reason, peer: Peer, details: dict[str, Any]) -> None:
        key = (peer.address, reason)
        if self.now - self._logged.get(key, -LOG_INTERVAL_S) < LOG_INTERVAL_S:
            return
        if len(self._logged) >= LOG_KEYS_MAX:
            self._logged.clear()
        self._logged[key] = self.now
        log.warning(
            "radius packet discarded", reason=reason.value, source=peer.address, worker=self.options.name, **details
        )


def _prefer_batches() -> None:
    """Do not interrupt whoever runs for each datagram: some milliseconds later there are more of them, and each costs
    less (sched(7), SCHED_BATCH: a tenth more packets on a busy machine)."""
    with contextlib.suppress(OSError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _place_of(error: Exception) -> str:
    """File and line where it was raised; its own text might hold what came in the packet."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "" if last is None else f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"
