"""How a threaded child of the supervisor hears SIGTERM, and how it lets others go first."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path


def run_until_term(run: Callable[[], None], stop: Callable[[], None]) -> None:
    """`run` in a thread, so that SIGTERM finds the main thread waiting and is heard at once."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001  (told to the main thread, which raises it)
            failures.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    ended.wait()
    stop()
    thread.join(4)
    if failures:
        raise failures[0]


def step_back(nice: int) -> None:
    """Let who is waited for go first where the processors are busy. Where the kernel shares them out by sessions
    (sched_autogroup), a process's niceness counts within its own session only, so the session gets it as well."""
    os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))
