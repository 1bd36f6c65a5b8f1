"""The simulated API on real sockets: one thread accepts for any number of routers, each connection has its own.

A router that nobody talks to costs a socket and its configuration, so that hundreds fit in one process: give them one
`Fleet`. `ticking` is for routers that must do things while nobody asks them anything.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from provisioning.simulators.routeros.dialogue import Dialogue, Wait
from provisioning.simulators.routeros.reach import Client, Verdict
from provisioning.simulators.routeros.router import Router

CONNECTIONS_MAX: Final = 64
#: TLS has so long for its handshake.
HANDSHAKE_S: Final = 5.0
#: How often routers look at their clocks, where nobody asks them anything.
TICK_S: Final = 0.2


class Fleet:
    """Accepts connections for its servers, in one thread, until it is closed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._changes: list[tuple[socket.socket, Callable[[socket.socket], None] | None]] = []
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="routeros-api", daemon=True)
        self._thread.start()

    def add(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._change(listener, serve)

    def remove(self, listener: socket.socket) -> None:
        """Closes it, too."""
        self._change(listener, None)

    def close(self) -> None:
        self._over = True
        self._wake()
        self._thread.join(5)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake, or over
            self._waking.send(b"\x00")

    def _change(self, listener: socket.socket, serve: Callable[[socket.socket], None] | None) -> None:
        with self._lock:
            self._changes.append((listener, serve))
        self._wake()

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    self._woken.recv(4096)
                else:
                    self._accept(key)
            self._apply()
        self._apply()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._waking.close()

    def _apply(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, []
        for listener, serve in changes:
            if serve is not None:
                self._selector.register(listener, selectors.EVENT_READ, serve)
                continue
            self._selector.unregister(listener)
            listener.close()

    @staticmethod
    def _accept(key: selectors.SelectorKey) -> None:
        try:
            connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
        except OSError:
            return
        connection.setblocking(True)
        key.data(connection)


class ApiServer:
    """Listens from the start; `close` ends it and its connections."""

    def __init__(
        self, router: Router, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None,
        fleet: Fleet | None = None, seen_as: str | None = None,
    ) -> None:  # fmt: skip
        """`seen_as`: the address that clients are taken to come from."""
        self.router = router
        self._tls = tls
        self._seen_as = seen_as
        self._listener = socket.create_server((address, port), backlog=CONNECTIONS_MAX)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._own_fleet = Fleet() if fleet is None else None
        self._fleet = fleet or self._own_fleet
        router.on_reboot.append(self.drop)
        if self._fleet is not None:
            self._fleet.add(self._listener, self._begin)

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._connections)

    def drop(self) -> None:
        """Cut every connection, as a router that reboots."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed.set()
        self.router.on_reboot.remove(self.drop)
        if self._fleet is not None:
            self._fleet.remove(self._listener)
        if self._own_fleet is not None:
            self._own_fleet.close()
        self.drop()

    def _begin(self, connection: socket.socket) -> None:
        if self.connections >= CONNECTIONS_MAX or self.router.is_down():
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection,), name="routeros-client", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            client = self._client(plain)
            if self.router.verdict(client, established=False) is Verdict.REFUSE:
                plain.close()
                return
            connection = self._encrypted(plain)
        except OSError:
            return  # the client is none, or does not like our certificate
        with self._lock:
            self._connections.add(connection)
        dialogue = Dialogue(self.router, secrets.token_bytes, client)
        try:
            self._talk(connection, dialogue)
        except OSError:
            return  # the client is gone
        finally:
            with self._lock:
                self._connections.discard(connection)
            dialogue.close()
            connection.close()

    def _client(self, connection: socket.socket) -> Client:
        return Client(self._seen_as or connection.getpeername()[0], self._tls is not None)

    def _encrypted(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        plain.settimeout(HANDSHAKE_S)
        encrypted = self._tls.wrap_socket(plain, server_side=True)
        encrypted.settimeout(None)
        return encrypted

    def _talk(self, connection: socket.socket, dialogue: Dialogue) -> None:
        while not dialogue.over and (octets := connection.recv(65536)):
            ready = bytearray()
            for piece in dialogue.receive(octets):
                if isinstance(piece, Wait):
                    self._send(connection, ready)
                    self._closed.wait(piece.seconds)
                else:
                    ready += piece
            self._send(connection, ready)

    @staticmethod
    def _send(connection: socket.socket, ready: bytearray) -> None:
        if ready:
            connection.sendall(ready)
            ready.clear()


@contextmanager
def ticking(routers: Sequence[Router], every_s: float = TICK_S) -> Iterator[None]:
    """Their schedulers run, and what has a timeout ends, though nobody asks them anything."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(every_s):
            for router in routers:
                router.tick()

    thread = threading.Thread(target=run, name="routeros-clock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(5)
