"""What boxes of all platforms have in common: who may log in, time, and one command after another."""

from __future__ import annotations

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from provisioning.simulators.ssh.configuration import Line
from provisioning.simulators.ssh.faults import FaultKind, Faults

#: How late a slow answer is.
SLOW_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Changed:
    """When what runs was changed last, and by whom."""

    at: float
    user: str

    def written(self, form: str) -> str:
        return datetime.fromtimestamp(self.at, UTC).strftime(form)


def hashed(password: str, like: str) -> str:
    """As `$kind$salt$…`, of which kind and salt are given."""
    kind, salt = like.split("$")[1:3]
    return f"${kind}${salt}${hashlib.sha256(f'{salt}:{password}'.encode()).hexdigest()[:40]}"


class Cut(Exception):
    """The connection ends here."""


@dataclass
class Box(ABC):
    """`sessions`: subscribers online. `clock`: in seconds; whatever ends by itself ends by it."""

    running: Line
    clock: Callable[[], float]
    sessions: int = 0
    #: Waits for so many seconds.
    pause: Callable[[float], None] = time.sleep
    faults: Faults = field(default_factory=Faults)
    changed: Changed | None = None
    #: One command at a time.
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def change_by(self, user: str) -> None:
        self.changed = Changed(self.clock(), user)

    @abstractmethod
    def lets_in(self) -> bool:
        """Whether its configuration has it take new connections."""

    @abstractmethod
    def hash_of(self, user: str) -> str | None:
        """As its configuration has this user's password; None where it has no such user."""

    def knows(self, user: str, password: str) -> bool:
        kept = self.hash_of(user)
        return kept is not None and kept == hashed(password, kept)

    @abstractmethod
    def tick(self) -> None:
        """What time has brought."""

    @abstractmethod
    def begin(self, user: str) -> Dialogue:
        """A session of this user."""

    def receive(self, path: str, octets: bytes) -> bool:
        """A file that came by SCP; whether it is taken."""
        del path, octets
        return False


@dataclass
class Dialogue(ABC):
    """One session's commands. `asking`: the question that the next line answers."""

    box: Box
    user: str
    asking: str | None = None

    @property
    @abstractmethod
    def prompt(self) -> str: ...

    @abstractmethod
    def do(self, command: str) -> str:
        """What it says. Raises Cut where it ends the session."""

    def say(self, command: str) -> str:
        """As `do`, with what goes wrong to order."""
        with self.box.lock:
            self.box.tick()
            fault = self.box.faults.due(command) if command else None
            if fault is not None and fault.kind is FaultKind.REFUSE:
                return fault.message
            said = "" if fault is not None and fault.kind is FaultKind.CUT_BEFORE else self.do(command)
        if fault is None:
            return said
        if fault.kind is not FaultKind.SLOW:
            raise Cut
        self.box.pause(SLOW_S)
        return said
