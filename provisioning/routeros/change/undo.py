"""What brings a router back to what it was without us, armed before the first step.

Safe mode (from 7.18): the router itself undoes all that was changed since, when the connection drops that took it. It
remembers some hundred actions and silently forgets all of them beyond, so it is for small plans. It undoes what others
changed meanwhile as well, and only one session may have it.

A scheduler, on every release: runs the inverse commands after a time, also after a reboot. It removes itself first.

Neither reboots anything (RouterOS manual, "Console" and "Scheduler").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import Trap
from provisioning.routeros.planning import Step
from provisioning.routeros.planning.script import quote, undo
from provisioning.routeros.schema import Release
from provisioning.routeros.values import duration_text

SAFE_MODE_SINCE: Final = Release(7, 18)
#: Of the hundred actions that safe mode remembers: a change with values to be unset takes several.
SAFE_MODE_ACTIONS_MAX: Final = 60
#: Characters of one script.
SCRIPT_MAX: Final = 20_000
#: No more than its inverse commands need, and than any user that may configure has.
_POLICY: Final = "read,write,policy,test"
#: From arming until the router undoes: the time that a step takes on a slow line, and to look at the outcome.
_STEP: Final = timedelta(seconds=1)
_LOOK: Final = timedelta(minutes=3)


class UndoBy(StrEnum):
    SAFE_MODE = "safe_mode"
    SCHEDULER = "scheduler"


class Undo(Protocol):
    """`client` is the connection that the steps go by. All raise RouterOsError."""

    @property
    def by(self) -> UndoBy: ...

    @property
    def pending(self) -> bool:
        """Whether the router would still undo by itself. Asked by a connection of its own."""

    def arm(self) -> None:
        """From now on the router undoes by itself."""

    def disarm(self) -> None:
        """What was changed stays."""

    def now(self) -> None:
        """Undo at once, whatever was done of it."""

    def forget(self) -> None:
        """Of one that is not pending, nothing stays at the router."""


def undo_for(client: RouterOs, name: str, steps: Sequence[Step], release: Release) -> Undo:
    if release >= SAFE_MODE_SINCE and _actions(steps) <= SAFE_MODE_ACTIONS_MAX:
        return SafeMode(client)
    return Scheduled(client, name, tuple(_scripts(undo(steps))), _LOOK + len(steps) * _STEP)


def undo_by(by: UndoBy, client: RouterOs, name: str) -> Undo:
    """Of a run that another process began, and whose scripts are at the router."""
    return SafeMode(client) if by is UndoBy.SAFE_MODE else Scheduled(client, name)


@dataclass(frozen=True, slots=True)
class SafeMode:
    client: RouterOs
    by: UndoBy = UndoBy.SAFE_MODE

    @property
    def pending(self) -> bool:
        """Whoever has it keeps others from taking it."""
        try:
            self.client.call("/safe-mode/take", {})
        except Trap:
            return True
        self.client.call("/safe-mode/release", {})
        return False

    def arm(self) -> None:
        self.client.call("/safe-mode/take", {})

    def disarm(self) -> None:
        self.client.call("/safe-mode/release", {})

    def now(self) -> None:
        """Of a connection that is gone the router has undone it, or is about to."""
        if self.client.connected:
            self.client.call("/safe-mode/unroll", {})

    def forget(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Scheduled:
    """`name` is said nowhere else at the router."""

    client: RouterOs
    name: str
    scripts: Sequence[str] = ()
    after: timedelta = _LOOK
    by: UndoBy = UndoBy.SCHEDULER

    @property
    def pending(self) -> bool:
        return bool(self.client.rows("/system/scheduler", (".id",), f"name={self.name}"))

    def arm(self) -> None:
        for number, source in enumerate(self.scripts, 1):
            script = {"name": f"{self.name}-{number}", "source": source, "policy": _POLICY}
            self.client.call("/system/script/add", script)
        self.client.call("/system/script/add", {"name": self.name, "source": self._source(), "policy": _POLICY})
        event = {"on-event": self.name, "interval": duration_text(self.after), "policy": _POLICY}
        self.client.call("/system/scheduler/add", {"name": self.name, **event})

    def disarm(self) -> None:
        """The scheduler goes first: scripts that nobody runs do no harm."""
        self._remove("/system/scheduler")
        self.forget()

    def forget(self) -> None:
        self._remove("/system/script")

    def now(self) -> None:
        for row in self.client.rows("/system/script", (".id",), f"name={self.name}"):
            self.client.call("/system/script/run", {".id": row[".id"]})

    def _source(self) -> str:
        """Its own scheduler goes first, so that it runs once; a script that fails keeps no other from running."""
        name = quote(self.name)
        parts = [quote(f"{self.name}-{number}") for number in range(1, len(self.scripts) + 1)]
        return "\n".join(
            [
                f"/system scheduler remove [find name={name}]",
                *(f":do {{ /system script run {part} }} on-error={{}}" for part in parts),
                *(f"/system script remove [find name={part}]" for part in parts),
                f"/system script remove [find name={name}]",
            ]
        )

    def _remove(self, menu: str) -> None:
        for row in self.client.rows(menu, (".id", "name")):
            if row.get("name") == self.name or row.get("name", "").startswith(f"{self.name}-"):
                self._forget(menu, row[".id"])

    def _forget(self, menu: str, row_id: str) -> None:
        try:
            self.client.call(f"{menu}/remove", {".id": row_id})
        except Trap as trap:
            if "no such item" not in trap.message:
                raise


def _actions(steps: Sequence[Step]) -> int:
    return sum(max(1, len(getattr(step, "values", ()))) for step in steps)


def _scripts(commands: Sequence[str]) -> Iterator[str]:
    """Commands in their order, as few scripts as may hold them."""
    lines: list[str] = []
    length = 0
    for command in commands:
        if lines and length + len(command) > SCRIPT_MAX:
            yield "\n".join(lines)
            lines, length = [], 0
        lines.append(command)
        length += len(command) + 1
    if lines:
        yield "\n".join(lines)
