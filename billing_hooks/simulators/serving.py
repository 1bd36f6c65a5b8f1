"""A simulated gateway at work: its app on a port, and one thread that sends what its queue has due."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette

from billing_hooks.simulators.hooks import HookQueue
from core.clock import Clock
from core.errors import ProvedorError

#: How long the sender rests at most before it looks whether something new is due.
_LOOK_S = 0.02
SAID_LENGTH_MAX = 500

#: A try's event, the status of its answer (0: there was none), and what was said.
Told = Callable[[str, int, str], None]


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: what we show, and whose certificates a client must have one of (None: he needs none)."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


@dataclass(slots=True)
class Sender:
    """Delivers to one URL until it is stopped; `told` hears of every try."""

    queue: HookQueue
    url: str
    client: httpx.Client
    clock: Clock
    told: Told
    lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stopped.is_set():
            if not self.send_due():
                self._stopped.wait(_LOOK_S)

    def send_due(self) -> bool:
        """Send what is due, if something is."""
        with self.lock:
            sending = self.queue.due(self.clock())
        if sending is None:
            return False
        headers, body = sending.event.request(self.clock())
        status, said = self._post(sending.event.url or self.url, headers, body)
        with self.lock:
            self.queue.answered(sending, status, self.clock())
        self.told(sending.event.id, status, said)
        return True

    def stop(self) -> None:
        self._stopped.set()

    def _post(self, url: str, headers: object, body: bytes) -> tuple[int, str]:
        try:
            answer = self.client.post(url, headers=headers, content=body)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            return 0, f"no answer: {type(error).__name__}"
        return answer.status_code, answer.text.strip()[:SAID_LENGTH_MAX]


@contextmanager
def serving(app: Starlette, sender: Sender, host: str, port: int, tls: Tls | None = None) -> Iterator[int]:
    """Serve and send; yields the port. Raises ProvedorError where the port cannot be had."""
    with serving_app(app, host, port, tls) as bound:
        thread = threading.Thread(target=sender.run, daemon=True)
        thread.start()
        try:
            yield bound
        finally:
            sender.stop()
            thread.join(10)


@contextmanager
def serving_app(app: Starlette, host: str, port: int, tls: Tls | None = None) -> Iterator[int]:
    """Serve; yields the port. Raises ProvedorError where the port cannot be had."""
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off", **_settings(tls))
    server = _Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    server.came_up.wait(10)
    if not server.started:
        raise ProvedorError(f"cannot use {host} port {port}")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


def _settings(tls: Tls | None) -> dict[str, Any]:
    """In uvicorn's words."""
    if tls is None:
        return {}
    asked = {"ssl_ca_certs": str(tls.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED} if tls.client_ca else {}
    return {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.private_key), **asked}


class _Server(uvicorn.Server):
    """Says when it listens, or that it never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.came_up = threading.Event()

    def install_signal_handlers(self) -> None:
        """It does not run in the main thread."""

    async def startup(self, sockets: object = None) -> None:
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        finally:
            self.came_up.set()


def at_once(queue: HookQueue, send: Callable[[], bool], now: Callable[[], datetime]) -> int:
    """Send all that is due at this moment; returns how many tries that took. For who moves the clock by hand."""
    tries = 0
    while (at := queue.next_at()) is not None and at <= now() and send():
        tries += 1
    return tries
