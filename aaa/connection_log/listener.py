"""Receives NATs' syslog, UDP and TCP on one port, and keeps the port blocks that it tells (see `syslog`).

Only from NAS entries, and from senders that are named: what anybody may send proves nothing. A NAT does not send a line
again, so events wait here while the database is away, up to a bound; beyond it the oldest are lost, and counted.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

import psycopg
import structlog
from prometheus_client import Counter

from aaa.connection_log.store import record_nat_event
from aaa.connection_log.syslog import NatEvent, read_events
from core.clock import Clock, utc_now
from core.database import CONNECTION_ARGUMENTS

Network = IPv4Network | IPv6Network
#: Events in one transaction, and those that wait for a database that is away: some 40 MB.
BATCH_EVENTS: Final = 500
WAITING_MAX: Final = 100_000
DATAGRAM_OCTETS_MAX: Final = 65_535
#: RFC 6587 lines and frames longer than this end their connection.
LINE_OCTETS_MAX: Final = 16_384
CONNECTIONS_MAX: Final = 64
IDLE_S: Final = 0.2
RECONNECT: Final = timedelta(seconds=1)
#: NAS entries are read again after this.
SENDERS_AGAIN: Final = timedelta(seconds=10)

EVENTS = Counter("provedor_nat_log_events_total", "Port blocks told by syslog", ["outcome"])
REFUSED = Counter("provedor_nat_log_refused_total", "Syslog that was not read", ["why"])
log = structlog.get_logger()


class Told(NamedTuple):
    """An event and who told it."""

    event: NatEvent
    reporter: str


class SyslogListener:
    """Bound when made; runs until `stop`."""

    def __init__(
        self, *, host: str, port: int, senders: Sequence[Network], database_url: str, clock: Clock = utc_now
    ) -> None:
        self._named, self._database_url, self._clock = list(senders), database_url, clock
        self._senders = self._named
        self._stopped = threading.Event()
        self._waiting: deque[Told] = deque()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._retry_at = self._learn_at = clock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
        self._datagrams.bind((host, port))
        self.port: int = self._datagrams.getsockname()[1]
        self._server = socket.create_server((host, self.port), family=family, backlog=CONNECTIONS_MAX)
        self._selector = selectors.DefaultSelector()
        for one in (self._datagrams, self._server):
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ)
        self._streams: dict[socket.socket, tuple[str, bytearray]] = {}

    def run(self) -> None:
        while not self._stopped.is_set():
            self._learn_senders()
            for key, _ in self._selector.select(IDLE_S):
                assert isinstance(key.fileobj, socket.socket)  # noqa: S101  (we registered nothing else)
                self._read(key.fileobj)
            self._store()
        self._store()
        for one in (self._datagrams, self._server, *self._streams):
            one.close()
        self._selector.close()
        if self._connection is not None:
            self._connection.close()

    def stop(self) -> None:
        self._stopped.set()

    def _read(self, ready: socket.socket) -> None:
        if ready is self._datagrams:
            self._read_datagrams()
        elif ready is self._server:
            self._accept()
        else:
            self._read_stream(ready)

    def _read_datagrams(self) -> None:
        for _ in range(BATCH_EVENTS):
            try:
                octets, address = self._datagrams.recvfrom(DATAGRAM_OCTETS_MAX)
            except OSError:  # nothing more, or an ICMP error of an earlier answer
                return
            if self._is_sender(address[0]):
                self._take([octets], address[0])

    def _accept(self) -> None:
        try:
            stream, address = self._server.accept()
        except OSError:
            return
        if len(self._streams) >= CONNECTIONS_MAX or not self._is_sender(address[0]):
            stream.close()
            return
        stream.setblocking(False)
        self._streams[stream] = (address[0], bytearray())
        self._selector.register(stream, selectors.EVENT_READ)

    def _read_stream(self, stream: socket.socket) -> None:
        sender, buffer = self._streams[stream]
        try:
            octets = stream.recv(DATAGRAM_OCTETS_MAX)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        buffer += octets
        self._take(split_frames(buffer), sender)
        if octets and len(buffer) <= LINE_OCTETS_MAX:
            return
        if not octets:
            self._take([bytes(buffer)] if buffer else [], sender)
        self._selector.unregister(stream)
        del self._streams[stream]
        stream.close()

    def _learn_senders(self) -> None:
        """While the database is away those known last are believed."""
        if self._clock() < max(self._learn_at, self._retry_at):
            return
        try:
            rows = self._connect().execute("SELECT address FROM nas").fetchall()
        except psycopg.Error as error:
            self._lost(error)
            return
        self._senders = [*self._named, *(ip_network(str(address), strict=False) for (address,) in rows)]
        self._learn_at = self._clock() + SENDERS_AGAIN

    def _is_sender(self, address: str) -> bool:
        found = ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None) or found
        if any(mapped in network for network in self._senders):
            return True
        REFUSED.labels("sender").inc()
        return False

    def _take(self, lines: Iterable[bytes], sender: str) -> None:
        now = self._clock()
        for octets in lines:
            events = read_events(octets.decode("utf-8", "replace"), now)
            if not events:
                REFUSED.labels("line").inc()
            for event in events:
                if len(self._waiting) >= WAITING_MAX:
                    self._waiting.popleft()
                    EVENTS.labels("lost").inc()
                self._waiting.append(Told(event, sender))

    def _store(self) -> None:
        while self._waiting and self._clock() >= self._retry_at:
            batch = [self._waiting[number] for number in range(min(BATCH_EVENTS, len(self._waiting)))]
            try:
                new = self._store_batch(batch)
            except psycopg.Error as error:
                self._lost(error)
                return
            for _ in batch:
                self._waiting.popleft()
            EVENTS.labels("stored").inc(new)
            EVENTS.labels("known").inc(len(batch) - new)

    def _store_batch(self, batch: Sequence[Told]) -> int:
        connection = self._connect()
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('port blocks from syslog'))")
            return sum(record_nat_event(connection, one.event, one.reporter) for one in batch)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._database_url, autocommit=True, application_name="provedor-nat-log", **CONNECTION_ARGUMENTS
            )
        return self._connection

    def _lost(self, error: psycopg.Error) -> None:
        log.warning("NAT log: the database fails, events wait", error=type(error).__name__)
        self._connection, self._retry_at = None, self._clock() + RECONNECT


def split_frames(buffer: bytearray) -> list[bytes]:
    """Whole messages out of a TCP stream, removed from the buffer: RFC 6587 octet counting, or one a line."""
    frames = []
    while buffer:
        digits, space, _ = bytes(buffer[:7]).partition(b" ")
        if space and digits.isdigit():
            end = len(digits) + 1 + int(digits)
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[len(digits) + 1 : end]))
        else:
            end = buffer.find(b"\n") + 1
            if not end:
                break
            frames.append(bytes(buffer[: end - 1]))
        del buffer[:end]
    return [frame for frame in frames if frame.strip()]
