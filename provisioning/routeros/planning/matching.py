"""Which actual row is which wanted one: ours by its mark, or by its key; never by likeness.

The key counts before the mark, so that no row is ever given a key that another still has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioning.routeros.client import Row
from provisioning.routeros.planning.desired import Owned, Wanted, family_of, mark_in
from provisioning.routeros.planning.steps import Problem
from provisioning.routeros.schema import MASK, MenuSchema, canonical

Key = tuple[str, ...]


@dataclass(slots=True)
class Matched:
    """Of one menu. `pairs`: wanted rows with their actual one, None where it is to be added. `unwanted`: ours."""

    pairs: list[tuple[Wanted, Row | None]] = field(default_factory=list)
    unwanted: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def match(
    menu: MenuSchema, wanted: Sequence[Wanted], rows: Sequence[Row], owned: Owned, families: frozenset[str]
) -> Matched:
    matcher = _Matcher(menu, rows, owned)
    matched = Matched()
    left = []
    for one in wanted:
        row = matcher.take_by_key(one) if menu.key else None
        (left.append(one) if row is None else matched.pairs.append((one, row)))
    for one in left:
        matcher.match_rest(one, matched)
    matched.unwanted = matcher.unwanted(families)
    order = {id(one): place for place, one in enumerate(wanted)}
    matched.pairs.sort(key=lambda pair: order[id(pair[0])])
    return matched


def is_fixed(row: Row) -> bool:
    """The router's own: made by something else there, or by nobody."""
    return row.get("dynamic") == "true"


class _Matcher:
    def __init__(self, menu: MenuSchema, rows: Sequence[Row], owned: Owned) -> None:
        self._menu = menu
        self._rows = {row[".id"]: row for row in rows if not is_fixed(row)}
        self._marks = {row_id: self._mark(row, owned) for row_id, row in self._rows.items()}
        self._by_key = {self._key(row): row_id for row_id, row in self._rows.items()} if menu.key else {}
        self._by_mark: dict[str, list[str]] = {}
        for row_id, mark in self._marks.items():
            if mark is not None:
                self._by_mark.setdefault(mark, []).append(row_id)
        self._taken: set[str] = set()

    def take_by_key(self, wanted: Wanted) -> Row | None:
        row_id = self._by_key.get(self._key(wanted.values))
        if row_id is None or not self._may_have(wanted, row_id):
            return None
        self._taken.add(row_id)
        return self._rows[row_id]

    def match_rest(self, wanted: Wanted, matched: Matched) -> None:
        key = self._key(wanted.values)
        if self._menu.key and key in self._by_key:
            detail = "there is a row of this name that is not ours: rename it, or adopt it"
            matched.problems.append(Problem(self._menu.path, self._told(key), detail))
            return
        if wanted.mark is None:
            matched.problems.append(Problem(self._menu.path, self._told(key), "the router has no such row"))
            return
        same = [row_id for row_id in self._by_mark.get(wanted.mark, ()) if row_id not in self._taken]
        self._taken.update(same[:1])
        matched.pairs.append((wanted, self._rows[same[0]] if same else None))

    def unwanted(self, families: frozenset[str]) -> list[Row]:
        return [
            self._rows[row_id] for row_id, mark in self._marks.items()
            if mark is not None and family_of(mark) in families and row_id not in self._taken
        ]  # fmt: skip

    def _may_have(self, wanted: Wanted, row_id: str) -> bool:
        """A row with the wanted key is ours to change where it has a mark, or is one that the router always has."""
        return row_id not in self._taken and (wanted.mark is None or self._marks[row_id] is not None)

    def _mark(self, row: Row, owned: Owned) -> str | None:
        mark = mark_in(row.get("comment", ""))
        if mark is not None or not self._menu.key:  # without a key every row would have the same
            return mark
        return owned.get((self._menu.path, self._key(row)))

    def _told(self, key: Key) -> str:
        """For people."""
        fields = [self._menu.fields[name] for name in self._menu.key]
        return " ".join(value if field.is_told else MASK for field, value in zip(fields, key, strict=True))

    def _key(self, values: Mapping[str, str | None]) -> Key:
        return key_of(self._menu, values)


def key_of(menu: MenuSchema, values: Mapping[str, str | None]) -> Key:
    return tuple(canonical(menu.fields[name].kind, values.get(name) or "") for name in menu.key)
