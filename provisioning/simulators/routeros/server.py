"""The simulated API on real sockets: a thread for each connection, in clear and over TLS."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import threading
from typing import Final

from provisioning.simulators.routeros.dialogue import Dialogue
from provisioning.simulators.routeros.router import Router

CONNECTIONS_MAX: Final = 64
#: TLS has so long for its handshake.
HANDSHAKE_S: Final = 5.0


class ApiServer:
    """Listens from the start; `close` ends it and its connections."""

    def __init__(
        self, router: Router, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.router = router
        self._tls = tls
        self._listener = socket.create_server((address, port), backlog=CONNECTIONS_MAX)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="routeros-api", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

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
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.connections >= CONNECTIONS_MAX:
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="routeros-client", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self._encrypted(plain)
        except OSError:
            return  # the client is none, or does not like our certificate
        with self._lock:
            self._connections.add(connection)
        try:
            self._talk(connection)
        except OSError:
            return  # the client is gone
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _encrypted(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        plain.settimeout(HANDSHAKE_S)
        encrypted = self._tls.wrap_socket(plain, server_side=True)
        encrypted.settimeout(None)
        return encrypted

    def _talk(self, connection: socket.socket) -> None:
        dialogue = Dialogue(self.router, secrets.token_bytes)
        while not dialogue.over and (octets := connection.recv(65536)):
            connection.sendall(b"".join(dialogue.receive(octets)))
