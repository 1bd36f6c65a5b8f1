"""What is configured: the menus of this release as tables, how their rows are found, and what names what.

Interfaces are rows of their own menus and show in /interface, under the same ids. A row is found by its id, and by its
name where the menu knows its rows by name, as RouterOS has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple

from provisioning.routeros.schema import MENUS, Field, Release
from provisioning.simulators.routeros.errors import NoSuchItem
from provisioning.simulators.routeros.table import Item, Table

#: And the type that /interface shows.
INTERFACE_MENUS: Final[Mapping[str, str]] = {
    "/interface/ethernet": "ether",
    "/interface/vlan": "vlan",
    "/interface/bridge": "bridge",
}
INTERFACE: Final = "/interface"


class Place(NamedTuple):
    """A row, and the menu that it is really in."""

    path: str
    table: Table
    item: Item


class Configuration:
    def __init__(self, release: Release) -> None:
        self.release = release
        interfaces = count(1)
        self.tables: dict[str, Table] = {
            path: Table(menu, _fields(path, release), interfaces if path in INTERFACE_MENUS else None)
            for path, menu in MENUS.items()
        }
        #: Of single rows, what nobody configures: counters, when it ran last.
        self.volatile: dict[tuple[str, int], dict[str, str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self.tables

    def places(self, path: str) -> Iterator[Place]:
        for real, table in self._tables(path):
            for item in table:
                yield Place(real, table, item)

    def _tables(self, path: str) -> Iterator[tuple[str, Table]]:
        for real in INTERFACE_MENUS if path == INTERFACE else (path,):
            yield real, self.tables[real]

    def find(self, path: str, given: str) -> Place:
        """By `*1F`, by name, or by position from 0. Raises NoSuchItem."""
        for real, table in self._tables(path):
            item = table.with_id(given) if given.startswith("*") else None
            if item is None and table.schema.key == ("name",):
                item = table.with_key(given)
            if item is not None:
                return Place(real, table, item)
        if given.isascii() and given.isdecimal():
            places = list(self.places(path))
            if int(given) < len(places):
                return places[int(given)]
        raise NoSuchItem

    def exists(self, path: str, name: str) -> bool:
        return any(table.with_key(name) is not None for _, table in self._tables(path))

    def naming(self, path: str) -> list[tuple[Table, str]]:
        """Tables and their fields that name rows of this menu."""
        naming = _naming(self.release)
        named = [*naming[path], *(naming[INTERFACE] if path in INTERFACE_MENUS else ())]
        return [(self.tables[menu], name) for menu, name in named]

    def snapshot(self) -> dict[str, tuple[Item, ...]]:
        """All static rows in their order, as a backup keeps them."""
        return {path: tuple(item for item in table if not item.dynamic) for path, table in self.tables.items()}

    def load(self, snapshot: Mapping[str, tuple[Item, ...]]) -> None:
        for path, items in snapshot.items():
            table = self.tables[path]
            table.drop(table.order)
            table.put(*items)


@lru_cache(1024)
def _fields(path: str, release: Release) -> Mapping[str, Field]:
    return MENUS[path].known_to(release)


@lru_cache(16)
def _naming(release: Release) -> Mapping[str, list[tuple[str, str]]]:
    """By menu, the menus and fields that name its rows."""
    found: dict[str, list[tuple[str, str]]] = {path: [] for path in MENUS}
    for path in MENUS:
        for name, field in _fields(path, release).items():
            if field.refers_to is not None:
                found[field.refers_to].append((path, name))
    return found
