"""The supervisor: one single-threaded parent that forks a node's processes, watches them, and ends them.

Children are forked, not spawned: everything was imported once, and the pages are shared until written. A child says
"ready" by one octet on a pipe. If the supervisor is killed, the kernel sends SIGTERM to every child (PR_SET_PDEATHSIG).

Services (the embedded PostgreSQL and Valkey) are programs that the children need. They were started before us and are
stopped after us; in between we watch them as well. One that dies comes back under the same address, and the children,
which live with a service that is away, connect again.

Whoever dies is started again, after a pause that doubles from 0.1 to 10 seconds and is forgotten after a minute of
health.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from core.errors import ProvedorError

_PR_SET_NAME = 15
_PR_SET_PDEATHSIG = 1
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 10.0
HEALTHY_AFTER_S = 60.0
#: Children have this long to drain before they are killed.
DRAIN_S = 6.0

log = structlog.get_logger()

#: Runs in the child until SIGTERM; it calls its argument once it serves.
ChildMain = Callable[[Callable[[], None]], None]


class Service(Protocol):
    """A program that the children need, already running."""

    name: str

    def exit_code(self) -> int | None:
        """None while it runs."""

    def launch(self) -> None:
        """Start it, without waiting until it serves. Raises ProvedorError or OSError: not now."""


@dataclass
class Restarts:
    """When somebody who ended is started again."""

    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = BACKOFF_MIN_S

    def started(self) -> None:
        self.started_at = time.monotonic()

    def due(self) -> bool:
        return self.start_at <= time.monotonic()

    def ended(self) -> float:
        """Seconds until the next start."""
        now = time.monotonic()
        if now - self.started_at > HEALTHY_AFTER_S:
            self.backoff_s = BACKOFF_MIN_S
        pause_s = self.backoff_s
        self.start_at = now + pause_s
        self.backoff_s = min(pause_s * 2, BACKOFF_MAX_S)
        return pause_s


@dataclass
class Child:
    """A process of this node."""

    name: str
    run: ChildMain
    pid: int = 0
    ready: bool = False
    pipe: int = field(default=-1, repr=False)
    restarts: Restarts = field(default_factory=Restarts)


@dataclass
class _Watched:
    """A service as the supervisor sees it."""

    service: Service
    running: bool = True
    restarts: Restarts = field(default_factory=Restarts)


class Supervisor:
    """Keeps `children` and `services` running until SIGTERM or SIGINT, and ends the children.

    `on_ready` is called once, when all of the children serve.
    """

    def __init__(self, children: list[Child], on_ready: Callable[[], None], services: Sequence[Service] = ()) -> None:
        self._children = children
        self._services = [_Watched(service) for service in services]
        self._on_ready = on_ready
        self._announced = False
        self._stopping = False

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        gc.collect()
        gc.freeze()  # shared pages stay shared: the collector does not write to what is frozen
        while not self._stopping:
            self._watch_services()
            self._start_due()
            self._watch(0.2)
            self._reap()
            self._announce()
        self._drain()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _watch_services(self) -> None:
        for one in self._services:
            code = one.service.exit_code() if one.running else None
            if code is not None:
                one.running = False
                _log_end(one.service.name, code, one.restarts.ended())
            if not one.running and one.restarts.due():
                self._launch(one)

    def _launch(self, one: _Watched) -> None:
        try:
            one.service.launch()
        except (ProvedorError, OSError) as error:
            log.warning("cannot start yet", process=one.service.name, why=str(error), pause_s=one.restarts.ended())
            return
        one.running = True
        one.restarts.started()

    def _start_due(self) -> None:
        for child in self._children:
            if child.pid == 0 and child.restarts.due() and not self._stopping:
                self._fork(child)

    def _fork(self, child: Child) -> None:
        read_end, write_end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            _run_child(child, write_end, parent)
        os.close(write_end)
        child.pid, child.pipe, child.ready = pid, read_end, False
        child.restarts.started()

    def _watch(self, timeout_s: float) -> None:
        """Wait for somebody to become ready, or for time to pass."""
        pipes = {child.pipe: child for child in self._children if child.pipe >= 0}
        try:
            readable, _, _ = select.select(list(pipes), [], [], timeout_s)
        except InterruptedError:
            return
        for pipe in readable:
            child = pipes[pipe]
            child.ready = child.ready or os.read(pipe, 1) == b"."
            os.close(pipe)
            child.pipe = -1

    def _reap(self) -> None:
        for child in self._children:
            if child.pid == 0:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid != 0:
                child.pid, child.ready = 0, False
                _log_end(child.name, os.waitstatus_to_exitcode(status), child.restarts.ended())

    def _announce(self) -> None:
        if not self._announced and all(child.ready for child in self._children):
            self._announced = True
            self._on_ready()

    def _drain(self) -> None:
        running = [child for child in self._children if child.pid]
        for child in running:
            _signal(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_S
        while running and time.monotonic() < deadline:
            running = [child for child in running if os.waitpid(child.pid, os.WNOHANG)[0] == 0]
            time.sleep(0.02)
        for child in running:
            log.warning("process did not drain, killed", process=child.name)
            _signal(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def _log_end(name: str, status: int, pause_s: float) -> None:
    log.error("process ended, starting it again", process=name, status=status, pause_s=pause_s)


def _run_child(child: Child, pipe: int, parent: int) -> None:
    """The child's life; never returns."""
    code = 1
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, f"pvd-{child.name}"[:15].encode(), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)
        # Ctrl-C is for the supervisor, which ends us in order; and each session has its own share of the processors
        # (sched_autogroup), as each of PostgreSQL's backends has, so that none of us starves beside them.
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        child.run(lambda: _tell_ready(pipe))
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException as error:  # noqa: BLE001  (the process ends here; say why, and let it be started again)
        log.error("process failed", process=child.name, error=type(error).__name__, detail=str(error)[:300])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell_ready(pipe: int) -> None:
    os.write(pipe, b".")
    os.close(pipe)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
