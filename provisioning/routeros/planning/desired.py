"""What a router should have. A value of None is unset; a field that is not named is whoever's it is.

Every row of ours has a *mark*: its family, and its name within that. Where the menu has comments, the comment begins
with it (`provedor:radius/1`), and by that the row is known again whatever else became of it. Where it has none, we have
to remember which keys are ours (`Owned`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MARKED: Final = re.compile(r"provedor:(?P<mark>[^\s/]+/\S+)")

#: Families whose rows come and go with subscribers, at any moment: no plan of others is older for that.
LIVING: Final = frozenset({"live", "local", "localprofile", "session"})
#: {(menu, key): mark} of rows of ours in menus without comments.
Owned = Mapping[tuple[str, tuple[str, ...]], str]


class Place(StrEnum):
    """Where a row of an ordered menu goes: before all rows of others, or behind them; a new one for which that says
    nothing comes last, and stays wherever somebody moves it."""

    FIRST = "first"
    LAST = "last"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row. `mark` is "family/name"; None for a row that the router always has, which is only changed. `note`
    stands in the comment behind the mark."""

    menu: str
    mark: str | None
    values: Mapping[str, str | None]
    place: Place = Place.LAST
    note: str = ""

    @property
    def comment(self) -> str:
        return f"provedor:{self.mark} {self.note}".rstrip()


@dataclass(frozen=True, slots=True)
class Setting:
    """Of a menu with a single row."""

    menu: str
    values: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Desired:
    """`families`: whose marks are spoken of here. A row of ours of another family is left alone; one of these that is
    not wanted (any more) is removed, in the menus that are named."""

    rows: tuple[Wanted, ...]
    settings: tuple[Setting, ...]
    families: frozenset[str]
    menus: frozenset[str]


def mark_in(comment: str) -> str | None:
    match = _MARKED.match(comment)
    return match["mark"] if match else None


def family_of(mark: str) -> str:
    return mark.partition("/")[0]
