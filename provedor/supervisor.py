"""The supervisor: one single-threaded parent that forks a node's processes, watches them, and ends them.

Children are forked, not spawned: everything was imported once, and the pages are shared until written. A child
that dies is forked again, after a pause that doubles from 0.1 to 10 seconds and is forgotten after a minute of
health. A child says "ready" by one octet on a pipe. If the supervisor is killed, the kernel sends SIGTERM to every
child (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

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


@dataclass
class Child:
    """A process of this node."""

    name: str
    run: ChildMain
    pid: int = 0
    ready: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_s: float = BACKOFF_MIN_S
    starts: int = 0
    pipe: int = field(default=-1, repr=False)


class Supervisor:
    """Keeps `children` running until SIGTERM or SIGINT. `on_ready` is called once, when all of them serve."""

    def __init__(self, children: list[Child], on_ready: Callable[[], None]) -> None:
        self._children = children
        self._on_ready = on_ready
        self._announced = False
        self._stopping = False

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        gc.collect()
        gc.freeze()  # shared pages stay shared: the collector does not write to what is frozen
        while not self._stopping:
            self._start_due()
            self._watch(0.2)
            self._reap()
            self._announce()
        self._drain()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.pid == 0 and child.start_at <= now and not self._stopping:
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
        child.started_at = time.monotonic()
        child.starts += 1

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
            if pid != 0 and not self._stopping:
                self._restart_later(child, status)

    def _restart_later(self, child: Child, status: int) -> None:
        now = time.monotonic()
        if now - child.started_at > HEALTHY_AFTER_S:
            child.backoff_s = BACKOFF_MIN_S
        log.error("process ended, starting it again", process=child.name, status=os.waitstatus_to_exitcode(status),
                  pause_s=child.backoff_s)  # fmt: skip
        child.pid, child.ready = 0, False
        child.start_at = now + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, BACKOFF_MAX_S)

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


def _run_child(child: Child, pipe: int, parent: int) -> None:
    """The child's life; never returns."""
    code = 1
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, f"pvd-{child.name}"[:15].encode(), 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends us in order
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
