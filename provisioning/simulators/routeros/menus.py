"""What there is to print: listings of rows, and menus with a single one. Values are text, as on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

Row = Mapping[str, str]


class Missing(Exception):
    """There is no item of this id."""


class Menu(Protocol):
    @property
    def commands(self) -> frozenset[str]:
        """What can be done here."""

    def rows(self) -> Iterable[Row]:
        """Each with all its properties, in order; those of a listing begin with `.id`."""

    def remove(self, row_id: str) -> None:
        """Raises Missing."""


@dataclass(frozen=True)
class Listing:
    """Rows that come and go by themselves: they can be seen, and ended where there is an `end`."""

    read: Callable[[], Iterable[Row]]
    #: Of the row with this id; False where there is none.
    end: Callable[[str], bool] | None = None

    @property
    def commands(self) -> frozenset[str]:
        return frozenset({"print", "getall"} | ({"remove"} if self.end else set()))

    def rows(self) -> Iterable[Row]:
        return self.read()

    def remove(self, row_id: str) -> None:
        if self.end is None or not self.end(row_id):
            raise Missing(row_id)


@dataclass(frozen=True)
class Single:
    read: Callable[[], Row]

    @property
    def commands(self) -> frozenset[str]:
        return frozenset({"print", "getall", "get"})

    def rows(self) -> Iterable[Row]:
        return [self.read()]

    def remove(self, row_id: str) -> None:
        raise Missing(row_id)
