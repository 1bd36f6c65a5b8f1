"""What came of a visit to a box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Problems that are kept.
PROBLEMS_MAX: Final = 100


@dataclass(slots=True)
class Done:
    """What came of it. `waiting`: sessions that are to end when it is their turn. `to_do`: of a box that nobody has
    approved yet, what there would be, by kind."""

    services: int = 0
    in_use: bool | None = None
    applied: int = 0
    waiting: int = 0
    held_back: int = 0
    problems: list[str] = field(default_factory=list)
    to_do: dict[str, int] = field(default_factory=dict)
    new: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    gone: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
