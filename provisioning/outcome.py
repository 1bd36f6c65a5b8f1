"""What became of a change of a box, whatever kind of box that is, and who is told how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    DONE = "done"
    #: Nothing was changed: the box is not as it was planned for, or could not be armed.
    REFUSED = "refused"
    UNDONE = "undone"
    #: Neither could be seen yet: it undoes by itself, and is to be settled later.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    detail: str


class Journal(Protocol):
    """Where whoever takes over reads how far it came."""

    def armed(self, by: str) -> None: ...
    def applied(self, steps: int) -> None: ...


class Doubt(Exception):
    """Something is not as it should be; a journal raises it where somebody cancelled."""
