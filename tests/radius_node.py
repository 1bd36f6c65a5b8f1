"""RADIUS workers as real processes on real sockets, told by a feed that the test plays, and a NAS that asks them."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from feed_listener import wait_until

from aaa import testclient
from aaa.acct_worker import AccountingWorker
from aaa.auth_worker import AuthenticationWorker
from aaa.authenticator import SharedSecret, response_valid, sign_access_request, sign_request
from aaa.feed import FrameReader, Message, decode, frame
from aaa.packet import Code, Kind, integer_attribute, parse, text_attribute
from aaa.reports import AttemptReport, FindingReport, Report
from aaa.snapshot import NasRow
from aaa.sockets import bind_group
from aaa.spool import SpoolWriter, list_segments, read_segment, segment_path
from aaa.takeover.outbound import Outbound
from aaa.worker import Worker, WorkerOptions
from core.access import Access
from core.locks import LearnedLocks
from core.policy import Policy
from provedor.logs import configure_logs

SECRET = b"testing123"
#: Of the nodes in tests: long enough to see that a reject waits, short enough to wait for it.
REJECT_DELAY_S = 0.3
FULL = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300)
_FORK = multiprocessing.get_context("fork")
_authenticators = itertools.count(1)


def nas(nas_id: int = 1, address: str = "127.0.0.1", **changed: Any) -> NasRow:
    """A NAS that must sign, unless the test says otherwise."""
    row = NasRow(nas_id, f"nas-{nas_id}", address, SECRET, "mikrotik", "require", None, {}, False, False, None)
    for name, value in changed.items():
        setattr(row, name, value)
    return row


@dataclass(frozen=True)
class Known:
    """A subscriber of the test's snapshot."""

    login: str
    password: str = "pw"
    policy: Policy = FULL


def whole(boxes: list[NasRow], subscribers: Iterable[Known], policies: Iterable[Policy] = ()) -> list[bytes]:
    """The frames of a whole snapshot."""
    known = list(subscribers)
    bodies = {policy.fingerprint: policy.to_body() for policy in (*policies, *(one.policy for one in known))}
    services = [
        (number, one.login.encode(), one.password.encode(), one.policy.fingerprint)
        for number, one in enumerate(known, 1)
    ]
    return [
        frame(Message.BEGIN, "epoch"), frame(Message.POLICIES, list(bodies.items())), frame(Message.NAS, boxes),
        frame(Message.SERVICES, services), frame(Message.REVISION, 1), frame(Message.UP_TO_DATE, None),
    ]  # fmt: skip


class FeedServer:
    """The feeder's end: tells each worker that comes the same, and remembers what they say."""

    def __init__(self, path: Path, frames: list[bytes]) -> None:
        self.path = path
        self.counters: dict[str, dict[str, Any]] = {}
        self.learned: list[list[Any]] = []
        self.wanted: list[list[Any]] = []
        self.learned_locks: list[LearnedLocks] = []
        self.traced: list[list[Any]] = []
        self._frames = frames
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def tell(self, *frames: bytes) -> None:
        with self._lock:
            self._frames += frames
            for one in self._connections:
                one.sendall(b"".join(frames))

    def hang_up(self) -> None:
        with self._lock:
            for one in self._connections:
                with contextlib.suppress(OSError):  # it has gone by itself
                    one.shutdown(socket.SHUT_RDWR)
            self._connections.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
                connection.sendall(b"".join(self._frames))
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        reader, name = FrameReader(), ""
        with connection:
            while octets := _received(connection):
                reader.feed(octets)
                for kind, body in reader:
                    message = decode(kind, body)
                    if kind == Message.HELLO:
                        name = message["name"]
                    elif kind == Message.COUNTERS:
                        self.counters[name] = message
                    elif kind == Message.LEARNED:
                        self.learned.append(message)
                    elif kind == Message.LEASE_WANTED:
                        self.wanted.append(message)
                    elif kind == Message.LOCKS_LEARNED:
                        self.learned_locks.append(message)
                    elif kind == Message.TRACE:
                        self.traced.append(message)
            with self._lock:
                self._connections = [one for one in self._connections if one is not connection]


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


@dataclass
class WorkerProcess:
    """One worker; its socket belongs to the test, as it belongs to the supervisor in a node."""

    name: str
    make: Callable[[Callable[[], None]], Worker]
    log: Path
    process: Any = None

    def start(self) -> None:
        assert self.launch().wait(20), self.log.read_text()

    def launch(self) -> Any:
        """The event that it sets when it serves."""
        ready = _FORK.Event()
        self.process = _FORK.Process(target=self._main, args=(ready.set,))
        self.process.start()
        return ready

    def _main(self, ready: Callable[[], None]) -> None:
        with self.log.open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.stderr = log
            configure_logs()
            self.make(ready).run()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.join(10)

    def stop(self) -> None:
        if self.process.is_alive():
            self.signal(signal.SIGTERM)
        self.process.join(10)
        assert not self.process.is_alive()


@dataclass
class RadiusNode:
    """Workers of one role on one port."""

    directory: Path
    frames: list[bytes]
    role: str = "auth"
    addresses: tuple[str, ...] = ("127.0.0.1",)
    workers: int = 1
    spool_octets_max: int = 1 << 30
    processes: list[WorkerProcess] = field(default_factory=list)
    _reports: list[AttemptReport | FindingReport] = field(default_factory=list)

    def start(self) -> RadiusNode:
        self.feed = FeedServer(self.directory / "feed.sock", self.frames)
        self.attempts = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.attempts.bind(str(self.directory / "attempts.sock"))
        self.port = free_port()
        self.groups = [bind_group(address, self.port, self.workers) for address in self.addresses]
        for number in range(self.workers):
            name = f"{self.role}-{number}"
            one = WorkerProcess(name, self._maker(number), self.directory / f"{name}.log")
            self.processes.append(one)
            one.start()
        return self

    def stop(self) -> None:
        for one in self.processes:
            one.stop()
            assert "Traceback" not in one.log.read_text(), one.log.read_text()
        self.feed.close()
        self.attempts.close()
        for one_socket in itertools.chain(*self.groups):
            one_socket.close()

    def counted(self, who: str = "nas-1") -> Counter[str]:
        """Packets by reason of a NAS (by name), or of nobody we know (""), over all workers."""
        total: Counter[str] = Counter()
        for counters in list(self.feed.counters.values()):
            total.update(counters["nas"].get(who, {}) if who else counters["unknown"])
        return total

    def wait_counted(self, wanted: dict[str, int], who: str = "nas-1") -> None:
        """Until exactly this has been counted; Status-Server, with which tests probe, only where it is named."""
        unnamed = {"status_server"} - wanted.keys()

        def counted() -> dict[str, int]:
            return {reason: count for reason, count in self.counted(who).items() if reason not in unnamed}

        try:
            wait_until(lambda: counted() == wanted)
        except AssertionError:
            raise AssertionError(f"counted {dict(self.counted(who))} instead of {wanted}") from None

    def wait_revision(self, revision: int) -> None:
        """Until every worker has said that it stands there."""
        wait_until(
            lambda: (
                len(self.feed.counters) == self.workers
                and all(counters["revision"] == revision for counters in list(self.feed.counters.values()))
            )
        )

    def logs(self) -> str:
        return "".join(one.log.read_text() for one in self.processes)

    def reports(self) -> list[AttemptReport | FindingReport]:
        """What the workers have told so far."""
        self.attempts.setblocking(False)
        while True:
            try:
                self._reports += msgspec.msgpack.decode(self.attempts.recv(1 << 18), type=list[Report])
            except BlockingIOError:
                return self._reports

    def reported_attempts(self) -> list[AttemptReport]:
        return [report for report in self.reports() if isinstance(report, AttemptReport)]

    def findings(self) -> dict[tuple[int, str, str], int]:
        """How often each was told, by NAS, source and kind."""
        total: Counter[tuple[int, str, str]] = Counter()
        for report in self.reports():
            if isinstance(report, FindingReport):
                total[report.nas_id, report.source, report.kind.value] += report.count
        return dict(total)

    def spooled(self) -> list[bytes]:
        """The packets on disk, of all workers."""
        found = []
        for one in self.processes:
            directory = self.directory / "spool" / one.name
            for number in list_segments(directory):
                records, _ = read_segment(segment_path(directory, number), 0, 100_000)
                found += [record.packet for record in records]
        return found

    def _maker(self, number: int) -> Callable[[Callable[[], None]], Worker]:
        name = f"{self.role}-{number}"
        sockets = [group[number] for group in self.groups]

        def make(ready: Callable[[], None]) -> Worker:
            options = WorkerOptions(name, sockets, str(self.feed.path), ready)
            if self.role == "auth":
                return AuthenticationWorker(
                    options, str(self.directory / "attempts.sock"), str(self.directory / "registrar.sock")
                )
            spool = SpoolWriter(self.directory / "spool" / name, spool_octets_max=self.spool_octets_max)
            outbound = Outbound(self.directory / "outbound", name)
            return AccountingWorker(options, spool, str(self.directory / "attempts.sock"), outbound)

        return make


class Box:
    """A NAS with one UDP socket of its own towards one address of the node."""

    def __init__(
        self, node: RadiusNode, *, source: str = "127.0.0.1", to: str = "127.0.0.1", secret: bytes = SECRET
    ) -> None:
        self.node = node
        self.secret = SharedSecret(secret)
        self.socket = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect((to, node.port))  # so that a reply from elsewhere is not seen
        self.socket.settimeout(10)

    def send(self, octets: bytes) -> bytes:
        self.socket.send(octets)
        return octets

    def receive(self) -> bytes:
        return self.socket.recv(65536)

    def ask(self, octets: bytes) -> bytes:
        """What is answered, verified."""
        self.send(octets)
        reply = self.receive()
        assert response_valid(parse(reply), octets[4:20], self.secret)
        return reply

    def login(
        self, login: str, password: str = "pw", *, identifier: int = 1, method: str = "pap", attributes: bytes = b""
    ) -> testclient.Login:
        return testclient.access_request(identifier, login, password, method, attributes, self.secret, os.urandom)

    def unsigned(self, attributes: bytes, *, identifier: int = 1, code: int = Code.ACCESS_REQUEST) -> bytes:
        """A packet without Message-Authenticator."""
        return bytes((code, identifier)) + (20 + len(attributes)).to_bytes(2, "big") + os.urandom(16) + attributes

    def status_server(self, identifier: int = 1, attributes: bytes = b"") -> bytes:
        return sign_access_request(identifier, os.urandom(16), attributes, self.secret, code=Code.STATUS_SERVER)

    def accounting(self, status: int, session: str = "s1", *, identifier: int = 1, attributes: bytes = b"") -> bytes:
        body = integer_attribute(Kind.ACCT_STATUS_TYPE, status) + text_attribute(Kind.ACCT_SESSION_ID, session)
        body += integer_attribute(Kind.EVENT_TIMESTAMP, 1_795_000_000 + next(_authenticators))
        return sign_request(
            Code.ACCOUNTING_REQUEST, identifier, body + attributes, self.secret, message_authenticator=False
        )

    def assert_silent_about(self, octets: bytes) -> None:
        """Nothing answers this: what is answered first is a Status-Server that came after it on the same way.

        Datagrams with one Identifier stay in order, from the worker's socket to its reply.
        """
        self.send(octets)
        self.assert_nothing_waits(octets[1] if len(octets) > 1 else 0)

    def assert_nothing_waits(self, identifier: int = 1) -> None:
        """A second Status-Server meets the next batch: by then what waited for the disk has been answered."""
        for _ in range(2):
            self.ask(self.status_server(identifier))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
