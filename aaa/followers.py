"""Those who are connected to the feeder: its node's workers, and people who trace packets.

A worker hears the copy from its beginning, then everything that was queued since. What is broadcast is put into each
one's queue under `lock`, under which the copy is written as well, so that nobody misses or hears anything twice. A
thread each reads what a follower says and writes what it is told.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from aaa.feed import FOR_AUTHENTICATORS, FrameReader, Message, decode, frame
from aaa.tracing import TracedExchange, TraceFilter
from core.keyring import SealBroken

#: Frames queued for a worker that does not read; one further behind is disconnected and starts anew.
QUEUE_MAX: Final = 20_000

log = structlog.get_logger()


class Follower:
    """One connected worker (or somebody who traces): a queue and the thread that empties it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_MAX)
        self.name = ""
        self.role = ""
        #: What somebody who traces wants to see.
        self.filter: TraceFilter | None = None
        self.ended = False

    def put(self, octets: bytes) -> None:
        try:
            self.queue.put_nowait(octets)
        except queue.Full:
            self.close()

    def put_end(self) -> None:
        """Let the writing thread end, even where it must drop frames for it."""
        while True:
            try:
                return self.queue.put_nowait(None)
            except queue.Full:
                self.queue.get_nowait()

    def close(self) -> None:
        # Shutting down wakes both threads of this follower; they close the socket.
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Followers:
    """`copy` reads the copy from its beginning to where it ends now; `on_damage` hears that it cannot be read.
    `on_told(name, kind, message)` hears what workers say. Nobody is told anything before `loaded` is set.
    """

    def __init__(
        self, path: Path, *, copy: Callable[[], Iterator[bytes]], on_damage: Callable[[], None],
        on_told: Callable[[str, int, Any], None],
    ) -> None:  # fmt: skip
        self._path = path
        self._copy = copy
        self._on_damage = on_damage
        self._on_told = on_told
        self._followers: set[Follower] = set()
        self._listener: socket.socket | None = None
        self._stopped = False
        self.lock = threading.Lock()
        self.loaded = threading.Event()

    def __len__(self) -> int:
        return len(self._followers)

    def listen(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), name="accept", daemon=True).start()

    def hang_up(self) -> None:
        self._stopped = True
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
            self._listener.close()
        with self.lock:
            self.close_all()

    def close_all(self) -> None:
        """They come again if they live. The caller holds `lock`."""
        for follower in self._followers:
            follower.close()

    def broadcast(self, octets: bytes) -> None:
        """To every worker; passwords and policies to authenticators only (a frame's kind is its fifth octet). The
        caller holds `lock`."""
        for follower in self._followers:
            if follower.role == "auth" or (follower.role == "acct" and octets[4] not in FOR_AUTHENTICATORS):
                follower.put(octets)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(Follower(connection),), daemon=True).start()

    def _read(self, follower: Follower) -> None:
        """What comes from one follower, until its connection ends."""
        reader = FrameReader()
        try:
            while octets := follower.connection.recv(65536):
                reader.feed(octets)
                for kind, body in reader:
                    self._hear(follower, kind, decode(kind, body))
        except OSError:
            pass
        except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
            log.error("feeder: a follower sends what is no message", follower=follower.name, error=type(error).__name__)
        finally:
            self._forget(follower)

    def _hear(self, follower: Follower, kind: int, message: Any) -> None:  # noqa: ANN401  (a shape per kind)
        if kind == Message.HELLO:
            follower.name, follower.role = message["name"], message["role"]
            threading.Thread(target=self._write, args=(follower,), daemon=True).start()
        elif kind == Message.TRACE and follower.role == "trace":
            self._begin_trace(follower, msgspec.convert(message, TraceFilter))
        elif kind == Message.TRACE:
            self._to_tracers(msgspec.convert(message, TracedExchange))
        else:
            self._on_told(follower.name, kind, message)

    def _write(self, follower: Follower) -> None:
        """Send a follower everything, from the copy and then from its queue."""
        self.loaded.wait()
        try:
            if follower.role != "trace":
                for octets in self._replay(follower):
                    follower.connection.sendall(octets)
            while (queued := follower.queue.get()) is not None:
                follower.connection.sendall(queued)
        except SealBroken as error:
            log.error("feeder: the copy is damaged and will be written anew", error=error.detail)
            self._on_damage()
        except OSError:
            pass
        finally:
            follower.close()  # it comes again if it lives

    def _replay(self, follower: Follower) -> Iterator[bytes]:
        """The copy up to now; whatever comes later is in the queue. Passwords go to authenticators only."""
        with self.lock:
            if follower.ended:
                return
            self._followers.add(follower)
            # Behind the copy: what is built from it counts from here, and it is asked for what it does now.
            follower.put(frame(Message.UP_TO_DATE, None))
            follower.put(frame(Message.TRACE, self._filters()))
            frames = self._copy()
            first = next(frames)  # opens the file before another can take its place
        yield first
        for octets in frames:
            if follower.role == "auth" or octets[4] not in FOR_AUTHENTICATORS:
                yield octets

    def _begin_trace(self, follower: Follower, filter_: TraceFilter) -> None:
        with self.lock:
            follower.filter = filter_
            self._followers.add(follower)
            self.broadcast(frame(Message.TRACE, self._filters()))

    def _filters(self) -> list[TraceFilter]:
        return [follower.filter for follower in self._followers if follower.filter is not None]

    def _to_tracers(self, exchange: TracedExchange) -> None:
        octets = frame(Message.TRACE, exchange)
        with self.lock:
            for follower in self._followers:
                if follower.filter is not None and follower.filter.matches(exchange):
                    follower.put(octets)

    def _forget(self, follower: Follower) -> None:
        with self.lock:
            follower.ended = True
            self._followers.discard(follower)
            if follower.filter is not None:
                self.broadcast(frame(Message.TRACE, self._filters()))
        follower.put_end()
        follower.connection.close()
