"""What there is to do at a router, and what cannot be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from provisioning.routeros.client import Row


@dataclass(frozen=True, slots=True)
class Add:
    """`before`: the row in front of which it goes; None: at the end, or it does not matter."""

    menu: str
    mark: str
    values: Mapping[str, str]
    before: Row | None


@dataclass(frozen=True, slots=True)
class Change:
    """`row_id` None: the menu has a single row. `was`: what the changed fields were; None where they were not set."""

    menu: str
    row_id: str | None
    row: Row
    values: Mapping[str, str | None]
    was: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Move:
    """`before` None: to the end. `was_before`: what it stood in front of."""

    menu: str
    row_id: str
    row: Row
    before: Row | None
    was_before: Row | None


@dataclass(frozen=True, slots=True)
class Remove:
    """`was_before`: what it stood in front of, where the order of rows counts."""

    menu: str
    row_id: str
    row: Row
    was_before: Row | None


Step: TypeAlias = Add | Change | Move | Remove


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wanted and cannot be had here; the rest is done without it."""

    menu: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...]

    def __bool__(self) -> bool:
        return bool(self.steps)
