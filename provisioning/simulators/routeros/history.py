"""What was done and how to have it undone; and safe mode, which undoes by itself.

Safe mode belongs to the connection that took it. When that connection drops, everything that was done since is undone,
newest first, whoever did it. `release` (from any connection) and `/quit` keep it. The history holds a hundred actions:
what is more leaves safe mode without a word, and nothing is undone, as the manual warns.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Final

from provisioning.simulators.routeros.command import Connection
from provisioning.simulators.routeros.errors import failure
from provisioning.simulators.routeros.table import Inverse

ACTIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    number: int
    text: str
    by: str
    at: float
    inverses: tuple[Inverse, ...]

    def undo(self) -> None:
        for inverse in reversed(self.inverses):
            inverse.apply()


class History:
    def __init__(self) -> None:
        self.actions: deque[Action] = deque(maxlen=ACTIONS_MAX)
        self._numbers = count(1)
        self._holder: Connection | None = None
        self._holder_user = ""
        self._since: list[Action] = []

    @property
    def held_by(self) -> str | None:
        """The user whose connection has safe mode."""
        return None if self._holder is None else self._holder_user

    def holds(self, connection: Connection | None) -> bool:
        return connection is not None and self._holder is connection

    def record(self, text: str, by: str, at: float, inverses: list[Inverse]) -> None:
        if not inverses:
            return
        action = Action(next(self._numbers), text, by, at, tuple(inverses))
        self.actions.append(action)
        if self._holder is None:
            return
        self._since.append(action)
        if len(self._since) > ACTIONS_MAX:
            self.release()

    def take(self, connection: Connection, user: str) -> None:
        """Raises Refused where another connection has it."""
        if self._holder is not None and self._holder is not connection:
            raise failure("safe mode is already taken by another session")
        if self._holder is None:
            self._holder, self._holder_user, self._since = connection, user, []

    def release(self) -> None:
        self._holder, self._since = None, []

    def unroll(self) -> int:
        """How many actions were undone."""
        since = self._since
        self.release()
        for action in reversed(since):
            self._undo(action)
        return len(since)

    def undo(self) -> bool:
        """The newest action; False where there is none."""
        if not self.actions:
            return False
        self._undo(self.actions[-1])
        return True

    def clear(self) -> None:
        self.actions.clear()

    def _undo(self, action: Action) -> None:
        action.undo()
        if action in self.actions:
            self.actions.remove(action)
        if action in self._since:
            self._since.remove(action)
