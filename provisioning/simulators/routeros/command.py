"""A command, as the API, a script or an import brings it; who gives it; and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioning.simulators.routeros.menus import Row


@dataclass
class Command:
    word: str
    arguments: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    tag: str | None = None

    @property
    def menu(self) -> str:
        return self.word.rpartition("/")[0]

    @property
    def verb(self) -> str:
        return self.word.rpartition("/")[2]

    @property
    def numbers(self) -> list[str]:
        """The items it is about, by id or name."""
        given = self.arguments.get(".id") or self.arguments.get("numbers") or ""
        return [one for one in given.split(",") if one]

    @property
    def values(self) -> dict[str, str]:
        """Its arguments without those that say which items it is about."""
        return {name: value for name, value in self.arguments.items() if name not in {".id", "numbers"}}


class Connection:
    """What safe mode is bound to; told apart by being itself."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`connection` is None for the router's own scripts."""

    user: str
    policies: frozenset[str]
    connection: Connection | None = None

    def may(self, *policies: str) -> bool:
        return self.policies.issuperset(policies)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and what the last sentence returns."""

    rows: Iterable[Row] = ()
    returned: Mapping[str, str] = field(default_factory=dict)


NOTHING = Answer()
