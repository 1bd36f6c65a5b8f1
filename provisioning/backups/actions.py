"""What a box's log and history say that its users did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from provisioning.routeros.client import Row
from provisioning.routeros.values import text_of

#: `filter rule changed by admin`, `… by admin via winbox`, `… by winbox-3.41/tcp-msg(winbox):admin@192.0.2.7 (…)`.
_LOGGED: Final = re.compile(r"(?P<action>.+?) by (?P<who>\S+)(?: via \S+)?(?: \(.*\))?", re.DOTALL)
_WHO: Final = re.compile(r"(?:.*:)?(?P<name>[^:@/]+)(?:@.*)?")
_CHANGES: Final = re.compile(r"\b(?:added|changed|removed|moved|enabled|disabled|undone|set|reset|unset)\b")


@dataclass(frozen=True, slots=True)
class Action:
    """What the box says somebody did there, and its own word for when: before 7.10 that is the time of day alone while
    it is today, so `row` has no more than that."""

    source: str
    row: str
    by: str
    action: str
    at: str


def actions_in(history: Iterable[Row], log: Iterable[Row]) -> Iterator[Action]:
    """Of rows of /system/history and /log."""
    for row in history:
        if row.get("by"):
            yield Action("history", _row(row), text_of(row["by"]), text_of(row.get("action", "")), row.get("time", ""))
    for row in log:
        logged = action_of(row)
        if logged is not None:
            yield logged


def action_of(row: Row) -> Action | None:
    """A log line that tells of a change; None for any other."""
    if "system" not in row.get("topics", "").split(","):
        return None
    match = _LOGGED.fullmatch(row.get("message", ""))
    who = match and _WHO.fullmatch(match["who"])
    if match is None or who is None or not _CHANGES.search(match["action"]):
        return None
    return Action("log", _row(row), text_of(who["name"]), text_of(match["action"]), row.get("time", ""))


def _row(row: Row) -> str:
    return f"{row.get('.id', '')} {row.get('time', '')[-8:]}"
