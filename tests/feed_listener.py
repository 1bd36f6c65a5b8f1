"""A worker's end of the feed, for tests: it hears and remembers, and does nothing else."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aaa.feed import FeedConnection, Message, SnapshotFollower, decode
from aaa.snapshot import Snapshot

PATIENCE_S = 20.0


class Listener:
    """Follows a feeder as an authentication (or accounting) worker does."""

    def __init__(self, path: Path, role: str = "auth", name: str = "listener") -> None:
        self.follower = SnapshotFollower(with_services=role == "auth")
        self.connection = FeedConnection(str(path), {"name": name, "role": role})
        self.kinds: list[int] = []
        self.traces: list[Any] = []
        self.connections = 0

    @property
    def snapshot(self) -> Snapshot:
        return self.follower.current

    def connect(self) -> None:
        wait_until(self.connection.connect)
        self.connections += 1

    def hear(self, until: Callable[[], bool]) -> None:
        """Take in what comes until it is so; connects again as often as the feeder hangs up."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, "the feeder never told it"
            if self.connection.fileno() < 0:
                self.follower.forget_partial()
                self.connect()
            ready, _, _ = select.select([self.connection.fileno()], [], [], 0.05)
            for kind, body in (self.connection.receive() or []) if ready else []:
                self.kinds.append(kind)
                if kind == Message.TRACE:
                    self.traces.append(decode(kind, body))
                else:
                    self.follower.apply(kind, body)

    def hear_revision(self, revision: int) -> None:
        self.hear(lambda: self.follower.ready and self.snapshot.revision >= revision)

    def close(self) -> None:
        self.connection.close()


def wait_until(check: Callable[[], Any]) -> None:
    """Until `check()` is true; fails when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
