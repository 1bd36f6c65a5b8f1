"""A router that is no more than its rows, for plans to be applied to: it refuses what a real one refuses of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count

from provisioning.routeros.client import Row
from provisioning.routeros.planning import Add, Change, Move, Remove, Step
from provisioning.routeros.schema import MENUS


@dataclass
class PlannedRouter:
    menus: dict[str, list[Row]]
    _ids: Iterable[int] = field(default_factory=lambda: count(0x1000))

    def apply(self, step: Step) -> None:
        rows = self.menus[step.menu]
        if isinstance(step, Add):
            row = {".id": f"*{next(iter(self._ids)):X}", **step.values}
            self._check(step.menu, row)
            rows.insert(self._place(rows, step.before), row)
        elif isinstance(step, Change):
            row = rows[0] if step.row_id is None else self._row(rows, step.row_id)
            self._check(step.menu, {**row, **{name: value or "" for name, value in step.values.items()}})
            for name, value in step.values.items():
                row.pop(name, None) if value is None else row.update({name: value})
        elif isinstance(step, Move):
            row = self._row(rows, step.row_id)
            rows.remove(row)
            rows.insert(self._place(rows, step.before), row)
        else:
            self._remove(step)

    def _remove(self, step: Remove) -> None:
        row = self._row(self.menus[step.menu], step.row_id)
        users = [
            (path, other) for path, rows in self.menus.items() for other in rows
            for one in MENUS[path].fields.values()
            if one.refers_to == step.menu and other.get(one.name) == row.get("name")
        ]  # fmt: skip
        assert not users, f"in use: {users}"
        self.menus[step.menu].remove(row)

    def _check(self, menu: str, row: Row) -> None:
        for one in MENUS[menu].fields.values():
            name = row.get(one.name)
            known = {one.default, *(MENUS[one.refers_to].builtin if one.refers_to else ())}
            if one.refers_to in self.menus and name and name not in known and not _is_address(name):
                assert any(other.get("name") == name for other in self.menus[one.refers_to]), f"no {name}"
        key = MENUS[menu].key
        same = [other for other in self.menus[menu] if key and all(other.get(n) == row.get(n) for n in key)]
        assert all(other[".id"] == row.get(".id") for other in same), f"already have {row}"

    @staticmethod
    def _row(rows: list[Row], row_id: str) -> Row:
        (row,) = (row for row in rows if row[".id"] == row_id)
        assert row.get("dynamic") != "true"
        return row

    @staticmethod
    def _place(rows: list[Row], before: Row | None) -> int:
        if before is None:
            return len(rows)
        (place,) = (place for place, row in enumerate(rows) if row[".id"] == before[".id"])
        assert rows[place].get("dynamic") != "true"
        return place


def _is_address(text: str) -> bool:
    """A profile's local address is one, or a pool."""
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
