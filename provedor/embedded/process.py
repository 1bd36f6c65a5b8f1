"""A server program of ours: started, watched, and ended with whoever started it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class ServerProcess:
    """What the embedded servers share; once started, each is a service to the supervisor."""

    name: str
    #: What asks it to stop, and how long it then has before it is killed.
    stop_signal: signal.Signals
    stop_timeout_s: float

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def exit_code(self) -> int | None:
        assert self.process is not None  # noqa: S101  (asked after a start)
        return self.process.poll()

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def _spawn(self, command: list[str], log_file: Path, **identity: Any) -> None:  # noqa: ANN401
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (its owner has one thread when it starts services)
                **identity,
            )


def _end_with_parent() -> None:
    """In a child: SIGINT (for PostgreSQL a fast shutdown) when whoever started it dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
