"""Rows as they are read, written down as an export would have them; pure. Of rows that every box has they say more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from provisioning.backups.statements import Statement, prompt_of
from provisioning.routeros.client import Row
from provisioning.routeros.planning.matching import is_fixed
from provisioning.routeros.planning.plan import MENU_ORDER
from provisioning.routeros.planning.script import quote
from provisioning.routeros.schema import MENUS, Field, Kind, MenuSchema, Release, canonical

#: Never exported by a router, so not by rows either: who may log in is not copied to another box.
_NOT_EXPORTED: Final = frozenset({"/interface", "/user"})
#: The box's own, where it is not said that somebody said otherwise.
_OF_THE_BOX: Final = frozenset({("/interface/ethernet", "mac-address")})
#: Those that can be read by rows, each behind those that it names.
ROW_MENUS: Final = tuple(menu for menu in MENU_ORDER if menu not in _NOT_EXPORTED)


def rows_text(actual: Mapping[str, Sequence[Row]], release: Release) -> str:
    """These menus' rows as an export has them, but for rows that every box has, of which it says more."""
    return "".join(_written(menu, actual[menu], release) for menu in ROW_MENUS if menu in actual)


def _written(menu: str, rows: Sequence[Row], release: Release) -> str:
    schema = MENUS[menu]
    fields = {
        name: field for name, field in schema.known_to(release).items()
        if not field.read_only and (menu, name) not in _OF_THE_BOX
    }  # fmt: skip
    said = (_statement(schema, fields, row) for row in _named_first(schema, rows) if not is_fixed(row))
    lines = "".join(f"{one.text}\n" for one in said if one.verb == "add" or one.values)
    return f"{prompt_of(menu)}\n{lines}" if lines else ""


def _statement(schema: MenuSchema, fields: Mapping[str, Field], row: Row) -> Statement:
    values = tuple(
        (name, _value(fields[name], value)) for name, value in sorted(row.items())
        if name in fields and value != fields[name].default
    )  # fmt: skip
    if schema.single:
        return Statement(schema.path, "set", "", values)
    name = row.get("name", "")
    if schema.path == "/interface/ethernet":
        return Statement(schema.path, "set", f"[ find default-name={row.get('default-name', name)} ]", values)
    if schema.fixed or name in schema.builtin or row.get("default") == "true":
        which = quote(name) if name else row[".id"]
        return Statement(schema.path, "set", which, tuple(one for one in values if one[0] != "name"))
    return Statement(schema.path, "add", "", values)


def _value(field: Field, value: str) -> str:
    if field.kind is Kind.BOOLEAN:
        return {"true": "yes", "false": "no"}.get(value, value)
    if field.name == "policy":  # a group shows what it lacks as well
        value = ",".join(word for word in value.split(",") if not word.startswith("!"))
    return canonical(field.kind, value)


def _named_first(schema: MenuSchema, rows: Sequence[Row]) -> list[Row]:
    """Rows that name others of their own menu come behind them, or nobody could load it."""
    naming = [field.name for field in schema.fields.values() if field.refers_to == schema.path]
    if not naming or schema.ordered is not None:
        return list(rows)
    by_name = {row.get("name", ""): row for row in rows}
    found: dict[str, Row] = {}

    def take(row: Row, above: frozenset[str]) -> None:
        for name in naming:
            named = by_name.get(row.get(name, ""))
            if named is not None and named[".id"] not in found and named[".id"] not in above:
                take(named, above | {named[".id"]})
        found.setdefault(row[".id"], row)

    for row in rows:
        take(row, frozenset({row[".id"]}))
    return list(found.values())
