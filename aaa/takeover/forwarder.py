"""The forwarder: brings home servers the accounting of NASes in shadow or proxy mode, so that they stay good.

A process of its own: a home server that is away makes nobody wait. Each spool is a lane, read in order; up to WINDOW
records are under way at a time, those of one session one after the other. A request is sent again with the same octets
(RFC 2866 2), and after a while as a new one that says how long it has waited (Acct-Delay-Time, 5.2). What was answered
from the front on is committed to a file, so that after a crash some records are sent twice and none is lost. A record
that its server never answers, while it answers others, is given up.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from aaa.authenticator import response_valid
from aaa.feed import FeedConnection, SnapshotFollower
from aaa.packet import Code, Kind, MalformedPacket, Packet, parse
from aaa.spool import SpooledRecord, find_next_record, list_segments, read_segment, segment_path
from aaa.takeover.forwarding import forwarded_accounting_request
from aaa.takeover.home import HomeServer

#: Records under way, and how many of them while the server is silent.
WINDOW: Final = 64
WINDOW_SILENT: Final = 4
#: The same octets again, seconds after the first; then a new request is made of the record.
RETRANSMIT_AT_S: Final = (1.0, 3.0)
TRY_S: Final = 6.0
#: A record that had so many tries, while others were answered, is given up.
TRIES_MAX: Final = 5
READ_RECORDS: Final = 256
IDLE_S: Final = 0.1
CONNECT_S: Final = 1.0
POSITION_FILE: Final = "forwarded"

log = structlog.get_logger()

FORWARDED = Counter("provedor_forwarded_accounting_total", "Accounting records that a home server took", ["home"])
GIVEN_UP = Counter("provedor_forwarded_accounting_given_up_total", "Records that it never answered", ["home"])
WAITING = Gauge("provedor_forwarded_accounting_waiting_octets", "Octets that wait for a home server", ["home"])


@dataclass(slots=True, eq=False)
class _Entry:
    """A record that is not committed yet."""

    segment: int
    spooled: SpooledRecord
    packet: Packet
    #: What the lane had answered when it was first sent.
    answered_before: int = 0
    tried_at: float = 0.0
    tries: int = 0
    sends: int = 0
    identifier: int = -1
    octets: bytes = b""
    proxy_state: bytes = b""
    done: bool = False

    @property
    def session(self) -> tuple[int, bytes, bytes]:
        get = self.packet.first
        return self.spooled.nas_id, get(Kind.NAS_IDENTIFIER) or b"", get(Kind.ACCT_SESSION_ID) or b""


@dataclass(slots=True)
class _Waiting:
    """Entries from the committed place on, in order."""

    entries: deque[_Entry] = field(default_factory=deque)
    under_way: OrderedDict[int, _Entry] = field(default_factory=OrderedDict)


class Lane:
    """One spool on its way to one home server."""

    def __init__(self, directory: Path, home: HomeServer, wall: Callable[[], float]) -> None:
        self.directory = directory
        self.home = home
        self._wall = wall
        self._socket = _connect(home)
        self._free = deque(range(256))
        self._waiting = _Waiting()
        self._read_at = self._committed = _read_position(directory)
        self._answered = 0
        self._answered_at = 0.0
        self._silent = False
        self._numbers = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def turn(self, now_s: float) -> bool:
        """Whatever is due; whether anything is under way."""
        self._receive(now_s)
        self._send_again(now_s)
        self._send_new(now_s)
        self._commit()
        return bool(self._waiting.under_way)

    def waiting_octets(self) -> int:
        segment, offset = self._committed
        sizes = [(number, segment_path(self.directory, number)) for number in list_segments(self.directory)]
        return max(0, sum(path.stat().st_size for number, path in sizes if number >= segment) - offset)

    def _receive(self, now_s: float) -> None:
        while True:
            try:
                octets = self._socket.recv(4096)
            except OSError:  # nothing there, or nobody (ICMP): time tells
                return
            with contextlib.suppress(MalformedPacket):
                self._settle(parse(octets), now_s)

    def _settle(self, reply: Packet, now_s: float) -> None:
        entry = self._waiting.under_way.get(reply.identifier)
        if entry is None or reply.code != Code.ACCOUNTING_RESPONSE:
            return
        if not response_valid(reply, entry.octets[4:20], self.home.secret):
            log.warning("home server: an accounting reply is not signed with its secret", home=self.home.name)
            return
        FORWARDED.labels(self.home.name).inc()
        self._answered += 1
        self._answered_at, self._silent = now_s, False
        self._finish(entry)

    def _finish(self, entry: _Entry) -> None:
        entry.done = True
        del self._waiting.under_way[entry.identifier]
        self._free.append(entry.identifier)

    def _send_again(self, now_s: float) -> None:
        for entry in list(self._waiting.under_way.values()):
            waited_s = now_s - entry.tried_at
            if waited_s >= TRY_S:
                self._silent = self._silent or self._answered_at < entry.tried_at
                self._try_anew(entry, now_s)
            elif entry.sends <= len(RETRANSMIT_AT_S) and waited_s >= RETRANSMIT_AT_S[entry.sends - 1]:
                entry.sends += 1
                self._transmit(entry)

    def _try_anew(self, entry: _Entry, now_s: float) -> None:
        if entry.tries >= TRIES_MAX and self._answered > entry.answered_before:
            GIVEN_UP.labels(self.home.name).inc()
            log.warning("home server never answers a record: given up", home=self.home.name,
                        nas_id=entry.spooled.nas_id)  # fmt: skip
            self._finish(entry)
            return
        del self._waiting.under_way[entry.identifier]
        self._free.append(entry.identifier)
        self._ask(entry, now_s)

    def _send_new(self, now_s: float) -> None:
        window = WINDOW_SILENT if self._silent else WINDOW
        while len(self._waiting.under_way) < window:
            entry = self._next_entry()
            if entry is None:
                return
            if not entry.done:
                entry.answered_before = self._answered
                self._ask(entry, now_s)

    def _next_entry(self) -> _Entry | None:
        """The next that was never sent, unless one of its session is under way."""
        fresh = next((entry for entry in self._waiting.entries if not entry.tries and not entry.done), None)
        if fresh is None:
            self._read_more()
            fresh = next((entry for entry in self._waiting.entries if not entry.tries and not entry.done), None)
        if fresh is None or any(fresh.session == other.session for other in self._waiting.under_way.values()):
            return None
        return fresh

    def _ask(self, entry: _Entry, now_s: float) -> None:
        self._numbers += 1
        entry.identifier = self._free.popleft()
        entry.proxy_state = b"pvd" + self._numbers.to_bytes(8, "big")
        waited_s = max(0, int(self._wall() - entry.spooled.received_at_ns / 1e9))
        octets = forwarded_accounting_request(
            entry.packet, entry.spooled.source, self.home.secret, entry.identifier, waited_s, entry.proxy_state
        )
        entry.tries, entry.sends, entry.tried_at = entry.tries + 1, 1, now_s
        self._waiting.under_way[entry.identifier] = entry
        if octets is None:  # longer than a packet may be, with what a proxy adds
            GIVEN_UP.labels(self.home.name).inc()
            self._finish(entry)
            return
        entry.octets = octets
        self._transmit(entry)

    def _transmit(self, entry: _Entry) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(entry.octets)

    def _read_more(self) -> None:
        segment, offset = self._read_at
        segments = [number for number in list_segments(self.directory) if number >= segment]
        if not segments:
            return
        if segments[0] != segment:
            segment, offset = segments[0], 0
        path = segment_path(self.directory, segment)
        spooled, broken = read_segment(path, offset, READ_RECORDS)
        for one in spooled:
            with contextlib.suppress(MalformedPacket):  # it was verified before it was spooled: the disk lies
                self._waiting.entries.append(_Entry(segment, one, parse(one.packet)))
        if spooled:
            self._read_at = (segment, spooled[-1].end)
        elif len(segments) > 1:
            after = find_next_record(path, offset) if broken else None
            self._read_at = (segment, after) if after is not None else (segments[1], 0)

    def _commit(self) -> None:
        """Where the next start goes on: behind what was answered from the front on."""
        entries, place = self._waiting.entries, self._committed
        while entries and entries[0].done:
            entry = entries.popleft()
            place = (entry.segment, entry.spooled.end)
        if not entries:
            place = self._read_at
        if place != self._committed:
            self._committed = place
            _write_position(self.directory, place)
            for number in list_segments(self.directory):
                if number < place[0]:
                    segment_path(self.directory, number).unlink(missing_ok=True)


class Forwarder:
    """Runs until `stop`."""

    def __init__(
        self,
        *,
        directory: Path,
        feed_path: str,
        on_ready: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._on_ready = on_ready
        self._monotonic = monotonic
        self._wall = wall
        self._feed = FeedConnection(feed_path, {"name": "forwarder", "role": "acct"})
        self._follower = SnapshotFollower(with_services=False)
        self._lanes: dict[Path, Lane] = {}
        self._stopped = threading.Event()
        self._connect_at = self._measure_at = 0.0

    def run(self) -> None:
        self._on_ready()
        while not self._stopped.is_set():
            busy = self.turn()
            descriptors = [self._feed.fileno(), *(lane.fileno() for lane in self._lanes.values())]
            readable = [descriptor for descriptor in descriptors if descriptor >= 0]
            select.select(readable, [], [], IDLE_S) if readable else self._stopped.wait(IDLE_S * (1 + (not busy)))
        for lane in self._lanes.values():
            lane.close()

    def stop(self) -> None:
        self._stopped.set()

    def turn(self) -> bool:
        """Hear the feed, look for spools, and serve each; whether anything is under way."""
        self._follow()
        if not self._follower.ready:
            return False
        self._open_lanes(self._homes())
        now_s = self._monotonic()
        busy = [lane.turn(now_s) for lane in self._lanes.values()]
        self._measure(now_s)
        return any(busy)

    def _follow(self) -> None:
        now_s = self._monotonic()
        if self._feed.fileno() < 0 and (now_s < self._connect_at or not self._feed.connect()):
            self._connect_at = max(self._connect_at, now_s + CONNECT_S)
            return
        frames = self._feed.receive()
        if frames is None:
            self._follower.forget_partial()
            return
        for kind, body in frames:
            if kind != ord("T"):
                self._follower.apply(kind, body)

    def _homes(self) -> dict[int, HomeServer]:
        """All that some NAS names, in any mode: what was kept for them still goes there."""
        clients = self._follower.current.clients.all()
        return {client.home.row.home_id: client.home for client in clients if client.home is not None}

    def _open_lanes(self, homes: Mapping[int, HomeServer]) -> None:
        if not self._directory.exists():
            return
        for directory in self._directory.glob("*/*"):
            if not directory.parent.name.isdigit():
                continue
            home = homes.get(int(directory.parent.name))
            lane = self._lanes.get(directory)
            if lane is not None and (home is None or lane.home.row != home.row):
                lane.close()
                del self._lanes[directory]
                lane = None
            if lane is None and home is not None:
                with contextlib.suppress(OSError):  # no route: tried again at the next turn
                    self._lanes[directory] = Lane(directory, home, self._wall)

    def _measure(self, now_s: float) -> None:
        if now_s < self._measure_at:
            return
        self._measure_at = now_s + 1.0
        waiting: dict[str, int] = {}
        for lane in self._lanes.values():
            waiting[lane.home.name] = waiting.get(lane.home.name, 0) + lane.waiting_octets()
        for name, octets in waiting.items():
            WAITING.labels(name).set(octets)


def _connect(home: HomeServer) -> socket.socket:
    address = home.row.address
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.connect((address, home.row.acct_port))
    except OSError:
        one.close()
        raise
    return one


def _read_position(directory: Path) -> tuple[int, int]:
    try:
        segment, offset = (directory / POSITION_FILE).read_text().split()
    except (FileNotFoundError, ValueError):
        return 0, 0
    return int(segment), int(offset)


def _write_position(directory: Path, place: tuple[int, int]) -> None:
    scratch = directory / f"{POSITION_FILE}.new"
    scratch.write_text(f"{place[0]} {place[1]}\n")
    scratch.rename(directory / POSITION_FILE)
