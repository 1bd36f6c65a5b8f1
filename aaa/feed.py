"""The messages between a node's feeder and its RADIUS workers, over a local socket and in the snapshot file.

A frame is `length (4) | kind (1) | MessagePack body`. Towards workers:

    B  begin of a full snapshot   [epoch]
    P  policies                   [[fingerprint, body], ...]
    S  services                   [[service id, login or nil, password, fingerprint], ...]   nil = gone
    G  strictly limited           [all of them, [service id, ...], [service id that is not, ...]]
    K  locks                      [[service id, ...], [ServiceLocks, ...]]   before the S that tells the services
    N  all NAS entries            [NasRow, ...]
    O  all our address pools      [[name, kind], ...]
    A  leases out of them         [[pool, service id, encoded attributes or nil], ...]   nil = taken back
    V  prepaid balances           [[service id, octets or nil, seconds or nil], ...]   both nil = none
    X  no lease is free for       [service id, ...]                          (never in the file)
    F  fresh                      seconds since 1970 when the feeder last stood where the database stands
    R  everything up to here is   revision       (the first R after B ends the full snapshot)
    U  up to date                 nil            (never in the file: the feeder says it where the file ends)
    T  trace                      [filter, ...], empty when nobody watches

From workers: H hello (name, role), C counters, L learned Message-Authenticator mode, W a lease is wanted (pool, service
id), M learned locks, T a traced exchange.
Somebody who watches says hello in the role "trace" and T with a filter, and hears T with each exchange.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, Final

import msgspec

from aaa.locks import ServiceLocks
from aaa.snapshot import NasRow, Snapshot
from core.locks import LearnedLocks

_HEAD: Final = struct.Struct("!IB")
#: No message of ours is larger; a longer length means the stream is broken.
FRAME_OCTETS_MAX: Final = 16 * 1024 * 1024
RECEIVE_OCTETS: Final = 256 * 1024
#: How long a node trusts its copy about leases without hearing from the database: afterwards, the address of somebody
#: who is offline may be another's (see aaa.pools.leases).
LEASE_TRUST_S: Final = 7200.0


class Message(IntEnum):
    BEGIN = ord("B")
    POLICIES = ord("P")
    SERVICES = ord("S")
    NAS = ord("N")
    REVISION = ord("R")
    POOLS = ord("O")
    LEASES = ord("A")
    BALANCES = ord("V")
    NO_LEASE = ord("X")
    FRESH = ord("F")
    UP_TO_DATE = ord("U")
    TRACE = ord("T")
    HELLO = ord("H")
    COUNTERS = ord("C")
    LEARNED = ord("L")
    LEASE_WANTED = ord("W")
    STRICT = ord("G")
    LOCKS = ord("K")
    LOCKS_LEARNED = ord("M")


_decoders: Final[dict[int, msgspec.msgpack.Decoder[Any]]] = {
    Message.POLICIES: msgspec.msgpack.Decoder(list[tuple[str, dict[str, Any]]]),
    Message.SERVICES: msgspec.msgpack.Decoder(list[tuple[int, bytes | None, bytes, str]]),
    Message.NAS: msgspec.msgpack.Decoder(list[NasRow]),
    Message.POOLS: msgspec.msgpack.Decoder(list[tuple[str, str]]),
    Message.LEASES: msgspec.msgpack.Decoder(list[tuple[str, int, bytes | None]]),
    Message.STRICT: msgspec.msgpack.Decoder(tuple[bool, list[int], list[int]]),
    Message.BALANCES: msgspec.msgpack.Decoder(list[tuple[int, int | None, int | None]]),
    Message.LOCKS: msgspec.msgpack.Decoder(tuple[list[int], list[ServiceLocks]]),
    Message.LOCKS_LEARNED: msgspec.msgpack.Decoder(LearnedLocks),
}
#: What only who authenticates needs to know.
FOR_AUTHENTICATORS: Final = frozenset(
    {
        Message.SERVICES,
        Message.POLICIES,
        Message.POOLS,
        Message.LEASES,
        Message.NO_LEASE,
        Message.STRICT,
        Message.BALANCES,
        Message.LOCKS,
    }
)
_CHANGES: Final[dict[int, Callable[[Snapshot, Any], None]]] = {
    Message.SERVICES: Snapshot.set_services,
    Message.POLICIES: Snapshot.add_policies,
    Message.POOLS: Snapshot.set_pools,
    Message.LEASES: Snapshot.set_leases,
    Message.NO_LEASE: lambda snapshot, service_ids: snapshot.without_lease.update(service_ids),
    Message.STRICT: lambda snapshot, body: snapshot.set_strict(*body),
    Message.BALANCES: Snapshot.set_balances,
    Message.LOCKS: Snapshot.set_locks,
}
_any_decoder: Final = msgspec.msgpack.Decoder()


def frame(kind: Message, body: object) -> bytes:
    encoded = msgspec.msgpack.encode(body)
    return _HEAD.pack(len(encoded), kind) + encoded


def decode(kind: int, body: bytes) -> Any:  # noqa: ANN401  (one shape per kind, see above)
    return _decoders.get(kind, _any_decoder).decode(body)


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> None:
        self._buffer += octets

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Whole frames received so far; raises ValueError on an impossible length."""
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD.size:
                length, kind = _HEAD.unpack_from(self._buffer, at)
                if length > FRAME_OCTETS_MAX:
                    raise ValueError(f"a frame of {length} octets")
                end = at + _HEAD.size + length
                if len(self._buffer) < end:
                    return
                body = bytes(self._buffer[at + _HEAD.size : end])
                at = end
                yield kind, body
        finally:
            del self._buffer[:at]


class FeedPosition:
    """Where a feed stands that passes by: its epoch, and its last revision (None before a whole snapshot)."""

    def __init__(self) -> None:
        self.epoch = ""
        self.revision: int | None = None
        self.fresh_at = 0.0

    def see(self, octets: bytes) -> None:
        reader = FrameReader()
        reader.feed(octets)
        for kind, body in reader:
            if kind == Message.BEGIN:
                self.epoch, self.revision = decode(kind, body), None
            elif kind == Message.FRESH:
                self.fresh_at = decode(kind, body)
            elif kind == Message.REVISION:
                self.revision = decode(kind, body)


class SnapshotFollower:
    """Applies the feeder's messages to a worker's snapshot. `ready` once a whole one is there and up to date.

    A copy begins with the services of weeks ago, and what changed since then follows. Who answered in between would
    reject who came since, and let in who was blocked: what is told anew takes the old one's place where it is current.
    """

    def __init__(self, *, with_services: bool) -> None:
        self.current = Snapshot()
        self.ready = False
        self._building: Snapshot | None = None
        self._with_services = with_services

    def apply(self, kind: int, body: bytes) -> None:
        target = self._building or self.current
        if kind in FOR_AUTHENTICATORS:
            if self._with_services:
                _CHANGES[kind](target, decode(kind, body))
        elif kind == Message.NAS:
            target.set_nas(decode(kind, body))
        elif kind == Message.FRESH:
            target.fresh_at = decode(kind, body)
        elif kind == Message.REVISION:
            target.revision = decode(kind, body)
            target.drop_unused_policies()
        elif kind == Message.UP_TO_DATE:
            self._finish_building()
        elif kind == Message.BEGIN:
            self._building = Snapshot()
            self._building.epoch = decode(kind, body)
            self._building.set_nas([])

    def forget_partial(self) -> None:
        """The connection broke: half a snapshot is none."""
        self._building = None

    def _finish_building(self) -> None:
        if self._building is None:
            return
        before = {client.nas_id: client.counts for client in self.current.clients.all()}
        for client in self._building.clients.all():
            client.counts = before.get(client.nas_id, client.counts)
        self.current, self._building = self._building, None
        self.ready = True


class FeedConnection:
    """A worker's end of the socket: non-blocking, connects again when the feeder comes back."""

    def __init__(self, path: str, hello: dict[str, Any]) -> None:
        self._path = path
        self._hello = hello
        self._socket: socket.socket | None = None
        self._reader = FrameReader()
        self._unsent = bytearray()

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def connect(self) -> bool:
        """Try once; False while the feeder is away."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            return False
        connection.setblocking(False)
        self._socket, self._reader, self._unsent = connection, FrameReader(), bytearray()
        self.send(Message.HELLO, self._hello)
        return True

    def receive(self) -> list[tuple[int, bytes]] | None:
        """Frames that arrived; None when the connection is gone."""
        if self._socket is None:
            return None
        try:
            octets = self._socket.recv(RECEIVE_OCTETS)
        except BlockingIOError:
            return []
        except OSError:
            octets = b""
        if not octets:
            self.close()
            return None
        self._reader.feed(octets)
        return list(self._reader)

    def send(self, kind: Message, body: object) -> None:
        """Queue a message and send what the socket takes; a feeder that does not read loses our telemetry."""
        if self._socket is None:
            return
        if len(self._unsent) < RECEIVE_OCTETS:
            self._unsent += frame(kind, body)
        try:
            sent = self._socket.send(self._unsent)
        except OSError:  # full for now; or broken, which `receive` finds, because its descriptor is being polled
            return
        del self._unsent[:sent]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
