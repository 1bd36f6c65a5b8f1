"""What goes wrong to order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    #: The connection ends before the command is done.
    CUT_BEFORE = "cut_before"
    #: It is done, and the connection ends before anybody hears of it.
    CUT_AFTER = "cut_after"
    #: It is answered with a message, and not done.
    REFUSE = "refuse"
    #: It is done, and answered late.
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Fault:
    """`command`: the first one that begins so; or the one of this `number`, counted over all connections from 1."""

    kind: FaultKind
    command: str = ""
    number: int | None = None
    message: str = ""


@dataclass
class Faults:
    """Each happens once."""

    ordered: list[Fault] = field(default_factory=list)
    #: Commands so far.
    commands: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, fault: Fault) -> None:
        with self._lock:
            self.ordered.append(fault)

    def due(self, command: str) -> Fault | None:
        with self._lock:
            self.commands += 1
            for fault in self.ordered:
                if fault.number == self.commands or (fault.number is None and command.startswith(fault.command)):
                    self.ordered.remove(fault)
                    return fault
        return None
