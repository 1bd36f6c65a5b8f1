"""The plan: what is referred to before who refers to it, new rows before old ones go, each row at its place at once.

    changes, additions, moves   menu by menu, those that are referred to first; of moves the fewest that are needed
    settings                    when what they switch on is there
    removals                    in the opposite order

So nothing is missing at any moment that is there before and after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import zip_longest
from typing import Final

from provisioning.routeros.client import Row
from provisioning.routeros.planning.desired import Desired, Owned, Place, Setting, Wanted
from provisioning.routeros.planning.matching import Matched, is_fixed, key_of, match
from provisioning.routeros.planning.order import place
from provisioning.routeros.planning.steps import Add, Change, Move, Plan, Problem, Remove, Step
from provisioning.routeros.schema import MENUS, Field, MenuSchema, Release, canonical

Values = Mapping[str, str | None]
#: {menu: its rows, in their order}
Actual = Mapping[str, Sequence[Row]]


def _by_reference() -> tuple[str, ...]:
    """All menus, each behind those that its rows refer to."""
    graph = {path: menu.refers_to - {path} for path, menu in MENUS.items()}
    return tuple(TopologicalSorter(graph).static_order())


MENU_ORDER: Final = _by_reference()


def make_plan(desired: Desired, actual: Actual, release: Release, owned: Owned) -> Plan:
    """`actual` has every menu that `desired` speaks of."""
    planner = _Planner(desired, actual, release, owned)
    return planner.plan()


def added(plan: Plan, release: Release) -> Owned:
    """The rows that are ours once it is carried out, and do not say so themselves."""
    return {
        (step.menu, key_of(MENUS[step.menu], step.values)): step.mark
        for step in plan.steps
        if isinstance(step, Add) and "comment" not in MENUS[step.menu].known_to(release)
    }


class _Planner:
    def __init__(self, desired: Desired, actual: Actual, release: Release, owned: Owned) -> None:
        self._desired, self._actual, self._release = desired, actual, release
        self._problems: list[Problem] = []
        by_menu: dict[str, list[Wanted]] = {menu: [] for menu in MENU_ORDER if menu in desired.menus}
        for one in sorted(desired.rows, key=lambda one: one.place is not Place.FIRST):
            by_menu[one.menu].append(one)
        for path, rows in by_menu.items():
            if path in MENUS[path].refers_to:
                by_menu[path] = _referred_to_first(MENUS[path], rows)
        self._matched = {
            menu: match(MENUS[menu], wanted, actual[menu], owned, desired.families) for menu, wanted in by_menu.items()
        }

    def plan(self) -> Plan:
        made: list[Step] = []
        for path, matched in self._matched.items():
            self._problems += matched.problems
            made += self._rows(MENUS[path], matched)
        for setting in self._desired.settings:
            made += self._setting(setting)
        removed = list(self._removals(made))
        return Plan((*made, *removed), tuple(self._problems))

    def _rows(self, menu: MenuSchema, matched: Matched) -> Iterator[Step]:
        gone = {row[".id"] for row in matched.unwanted}
        rows = [row for row in self._actual[menu.path] if row[".id"] not in gone]
        placed, fields = place(menu, matched.pairs, rows), menu.known_to(self._release)
        by_id, following = {row[".id"]: row for row in rows}, _following(self._actual[menu.path])
        for number, (wanted, row) in enumerate(matched.pairs):
            values = self._known(menu, fields, self._with_comment(wanted, fields))
            if row is None:
                given = {name: value for name, value in values.items() if value is not None}
                yield Add(menu.path, wanted.mark or "", given, by_id.get(placed[number] or ""))
                continue
            yield from _change(menu, row, row[".id"], fields, values)
            if number in placed:
                yield Move(menu.path, row[".id"], row, by_id.get(placed[number] or ""), following[row[".id"]])

    def _removals(self, made: Sequence[Step]) -> Iterator[Remove]:
        """Those that nothing refers to any more, once the rows before them are gone; the last one first, since a row
        that names others in its own way (a queue's parent) stands behind them."""
        used = _References(self._actual, made)
        for path, matched in reversed(self._matched.items()):
            # where the order says nothing, a router refuses to be told a place
            following = _following(self._actual[path] if MENUS[path].ordered is not None else ())
            left = matched.unwanted
            while free := [row for row in left if not used.of(path, row)]:
                left = [row for row in left if row not in free]
                for row in reversed(free):
                    used.forget(path, row)
                    yield Remove(path, row[".id"], row, following.get(row[".id"]))
            for row in left:
                detail = f"still used by {used.of(path, row)[0]}, which stays"
                self._problems.append(Problem(path, MENUS[path].name_of(row), detail))

    def _setting(self, setting: Setting) -> Iterator[Step]:
        menu, fields = MENUS[setting.menu], MENUS[setting.menu].known_to(self._release)
        rows = self._actual[menu.path]
        if not rows:
            self._problems.append(Problem(menu.path, "", "the router has no such menu"))
            return
        yield from _change(menu, rows[0], None, fields, self._known(menu, fields, setting.values))

    @staticmethod
    def _with_comment(wanted: Wanted, fields: Mapping[str, Field]) -> Values:
        if wanted.mark is None or "comment" not in fields:
            return wanted.values
        return {**wanted.values, "comment": wanted.comment}

    def _known(self, menu: MenuSchema, fields: Mapping[str, Field], values: Values) -> Values:
        """Without what this release does not know, which matters only where it is not what every router does."""
        for name in sorted(values.keys() - fields.keys()):
            field = menu.fields.get(name)
            if field is None or not _is_default(field, values[name]):
                detail = f"RouterOS {self._release.major}.{self._release.minor} has no {name}"
                self._problems.append(Problem(menu.path, name, detail))
        return {name: value for name, value in values.items() if name in fields}


class _References:
    """Who names whose rows, after the steps that were made. A row is (menu, id), what is named (menu, name)."""

    def __init__(self, actual: Actual, made: Sequence[Step]) -> None:
        changed = {(step.menu, step.row_id): step.values for step in made if isinstance(step, Change)}
        self._users: dict[tuple[str, str], dict[tuple[str, str], str]] = defaultdict(dict)
        self._named: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for path, rows in actual.items():
            fields = {field.name: field.refers_to for field in MENUS[path].fields.values() if field.refers_to}
            for row in rows if fields else ():
                user = (path, row.get(".id", ""))
                now = {**row, **changed.get(user, {})}
                for name, menu in fields.items():
                    self._users[menu, now.get(name) or ""][user] = f"{path} {MENUS[path].name_of(row)}"
                    self._named[user].append((menu, now.get(name) or ""))

    def of(self, menu: str, row: Row) -> list[str]:
        """In words, for people."""
        return list(self._users[menu, row.get("name", "")].values())

    def forget(self, menu: str, row: Row) -> None:
        for named in self._named.pop((menu, row[".id"]), ()):
            self._users[named].pop((menu, row[".id"]), None)


def _change(
    menu: MenuSchema, row: Row, row_id: str | None, fields: Mapping[str, Field], values: Values
) -> Iterator[Step]:
    wanted = {name: fields[name].default if value is None else value for name, value in values.items()}
    changed = {name: value for name, value in wanted.items() if _differs(fields[name], row, value)}
    if changed:
        was = {name: row.get(name, fields[name].default) for name in changed}
        yield Change(menu.path, row_id, row, changed, was)


def _is_default(field: Field, value: str | None) -> bool:
    return canonical(field.kind, value or "") == (field.default or "") or value is None


def _differs(field: Field, row: Row, wanted: str | None) -> bool:
    """A secret that the router does not show is taken for the right one."""
    shown = row.get(field.name)
    if shown is None and field.secret:
        return False
    actual = shown if shown is not None else (field.default or "")
    return canonical(field.kind, actual) != canonical(field.kind, wanted or "")


def _referred_to_first(menu: MenuSchema, rows: Sequence[Wanted]) -> list[Wanted]:
    """Rows that name others of their own menu, behind them. Raises CycleError."""
    by_name = {row.values.get("name"): row for row in rows}
    names = [field.name for field in menu.fields.values() if field.refers_to == menu.path]
    graph = {name: {row.values.get(one) for one in names} & by_name.keys() for name, row in by_name.items()}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]


def _following(rows: Sequence[Row]) -> dict[str, Row | None]:
    """{id: the next static row}"""
    static = [row for row in rows if not is_fixed(row)]
    return {row[".id"]: following for row, following in zip_longest(static, static[1:])}
