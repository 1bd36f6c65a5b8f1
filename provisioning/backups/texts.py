"""A box's configuration as text, whichever kind of box it is of: whether two differ, in what, and what people see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from core.errors import Conflict
from provisioning.backups import difference, lines
from provisioning.backups.actions import Action
from provisioning.backups.rows import ROW_MENUS
from provisioning.backups.statements import statements


class ReadBy(StrEnum):
    #: RouterOS: its own export, in a file.
    EXPORT = "export"
    #: RouterOS: rows of menus that we know.
    ROWS = "rows"
    #: What any other box shows as what it runs.
    RUNNING = "running"


class Text(NamedTuple):
    text: str
    read_by: ReadBy

    def digest(self) -> str:
        """Two with the same one do not differ."""
        if self.read_by is ReadBy.RUNNING:
            return lines.digest(self.text)
        return difference.digest(statements(self.text))

    def shown(self) -> list[str]:
        """Without secrets."""
        if self.read_by is ReadBy.RUNNING:
            return lines.masked(self.text)
        return difference.masked(statements(self.text))

    def is_like(self, other: Text) -> bool:
        """Of the same kind of box."""
        return (self.read_by is ReadBy.RUNNING) == (other.read_by is ReadBy.RUNNING)

    def changes_to(self, after: Text) -> list[str]:
        """For people, without secrets. Raises Conflict."""
        if not self.is_like(after):
            raise Conflict("one is of a RouterOS box and the other is not: there is nothing to compare")
        if self.read_by is ReadBy.RUNNING:
            return lines.difference(self.text, after.text)
        compared = _compared(self.read_by, after.read_by)
        return difference.difference(statements(self.text), statements(after.text), compared)


@dataclass(frozen=True, slots=True)
class Reading:
    """`left_out`: what of the configuration is not in the text, for people."""

    text: str
    release: str
    read_by: ReadBy
    left_out: tuple[str, ...]
    actions: tuple[Action, ...]


def _compared(first: ReadBy, second: ReadBy) -> difference.Compared:
    if first is second is ReadBy.EXPORT:
        return difference.Compared()
    return difference.Compared(frozenset(ROW_MENUS), rows_only=first is not second)
