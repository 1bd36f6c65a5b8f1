"""The configuration as `/export` writes it: what differs from what a new router has, as commands that make it so.

Menus come after those whose rows they name, and within a menu the one that is named comes first, so that an import
finds everybody. Users are not exported (a router does not export them either). Lines are folded as RouterOS folds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from provisioning.routeros.schema import MENUS, Field, Kind, Release
from provisioning.simulators.routeros.configuration import INTERFACE, INTERFACE_MENUS, Configuration
from provisioning.simulators.routeros.factory import new_configuration
from provisioning.simulators.routeros.scripting.quoting import quote, units
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.table import Item, Table
from provisioning.simulators.routeros.versions import Version

#: A folded line ends with a backslash before this column, and goes on behind four spaces.
COLUMNS: Final = 79
_INDENT: Final = "    "
_NOT_EXPORTED: Final = frozenset({"/user", INTERFACE})
_RATE: Final = re.compile(r"\d+")


def export_text(
    configuration: Configuration, version: Version, now: float, *, under: str, secrets: bool, verbose: bool = False,
    terse: bool = False,
) -> str:  # fmt: skip
    """`under` a path, or "" for everything."""
    moment = date_and_time(now, iso=version.iso_dates)
    lines = [f"# {moment} by RouterOS {version}", "# software id =", "#"]
    for path in _menus():
        if path not in _NOT_EXPORTED and (not under or path == under or path.startswith(f"{under}/")):
            lines += _of_menu(configuration, path, secrets=secrets, verbose=verbose, terse=terse)
    return "\n".join(lines) + "\n"


def _of_menu(configuration: Configuration, path: str, *, secrets: bool, verbose: bool, terse: bool) -> list[str]:
    commands = list(_commands(configuration, path, secrets=secrets, verbose=verbose))
    if not commands:
        return []
    head = path.replace("/", " ").strip()
    if terse:
        return [f"/{head} {verb} {' '.join(''.join(one) for one in words)}" for verb, words in commands]
    return [f"/{head}", *(_folded(verb, words) for verb, words in commands)]


Word = list[str]


def _commands(
    configuration: Configuration, path: str, *, secrets: bool, verbose: bool
) -> Iterator[tuple[str, list[Word]]]:
    table = configuration.tables[path]
    factory = _factory(configuration.release).tables[path]
    for item in _named_first(path, table):
        if item.dynamic:
            continue
        given = item.builtin or table.schema.fixed or table.schema.single
        original = factory.get(item.number) or _port(item) if given else None
        words = list(_words(table, item, original, secrets=secrets, verbose=verbose))
        if original is None:
            yield "add", words
        elif words:
            yield f"set{_which(table, item, original)}", words


def _port(item: Item) -> Item | None:
    """Of a router with more ports than most: what it came as."""
    default_name = item.values.get("default-name")
    return None if default_name is None else Item(item.number, {"name": default_name, "default-name": default_name})


def _words(table: Table, item: Item, original: Item | None, *, secrets: bool, verbose: bool) -> Iterator[Word]:
    before = original.values if original else {}
    for name, field in sorted(table.fields.items()):
        if field.read_only or (field.secret and not secrets):
            continue
        value = item.values.get(name, field.default if verbose else None)
        if value is None:
            if name in before:
                yield [f"!{name}"] if field.can_unset else _word(field, field.default or "")
        elif verbose or before.get(name) != value:
            yield _word(field, value)


def _word(field: Field, value: str) -> Word:
    """`name=value`, as pieces between which a line may be folded."""
    written = _written(field, value)
    if not quote(written).startswith('"'):
        return [f"{field.name}={written}"]
    inside = units(written)
    if not inside:
        return [f'{field.name}=""']
    inside[0] = f'{field.name}="{inside[0]}'
    inside[-1] += '"'
    return inside


def _written(field: Field, value: str) -> str:
    if field.kind is Kind.BOOLEAN:
        return {"true": "yes", "false": "no"}.get(value, value)
    return _RATE.sub(_short, value) if field.kind is Kind.RATE else value


def _short(match: re.Match[str]) -> str:
    number = int(match[0])
    for factor, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if number and not number % factor:
            return f"{number // factor}{letter}"
    return match[0]


def _which(table: Table, item: Item, original: Item) -> str:
    """Which row, in a way that holds on another router."""
    if table.schema.single:
        return ""
    if table.schema.path == "/ppp/profile":
        return f" {item.row_id}"
    if "default-name" in original.values:
        return f" [ find default-name={original.values['default-name']} ]"
    if "name" in original.values:
        return f" {quote(original.values['name'])}"
    return f" {item.row_id}"


def _folded(verb: str, words: Iterable[Word]) -> str:
    lines, line = [], verb
    for word in words:
        for number, unit in enumerate(word):
            blank = "" if number else " "
            if len(line) + len(blank) + len(unit) < COLUMNS or not line.strip():
                line += blank + unit
                continue
            lines.append(f"{line}{blank}\\")
            # what a folded line begins with is taken for its indent
            line = _INDENT + (f"\\_{unit[1:]}" if number and unit.startswith(" ") else unit)
    return "\n".join([*lines, line])


def _named_first(path: str, table: Table) -> list[Item]:
    """Rows in their order; where rows name rows of the same menu and their order says nothing, the named come first."""
    same = {path, INTERFACE} if path in INTERFACE_MENUS else {path}
    own = [name for name, field in table.fields.items() if field.refers_to in same]
    if not own or table.schema.ordered is not None:
        return list(table)
    found: dict[int, Item] = {}

    def take(item: Item, above: frozenset[int]) -> None:
        for name in own:
            named = table.with_key(item.values.get(name, ""))
            if named is not None and named.number not in found and named.number not in above:
                take(named, above | {named.number})
        found.setdefault(item.number, item)

    for item in table:
        take(item, frozenset({item.number}))
    return list(found.values())


@lru_cache(8)
def _factory(release: Release) -> Configuration:
    return new_configuration(release, "MikroTik", {})


@lru_cache(1)
def _menus() -> tuple[str, ...]:
    """In an order in which nothing is named before it is there."""
    found: dict[str, None] = {}

    def take(path: str, above: frozenset[str]) -> None:
        for named in sorted(MENUS[path].refers_to - above):
            if named not in found:
                take(named, above | {named})
        found.setdefault(path)

    for path in ["/interface/ethernet", "/interface/bridge", "/interface/vlan", *sorted(MENUS)]:
        take(path, frozenset({path}))
    return tuple(found)
