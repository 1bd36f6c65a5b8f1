"""`print`: of any rows, with its queries, its list of properties, and its count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from provisioning.simulators.routeros.command import NOTHING, Answer, Command
from provisioning.simulators.routeros.errors import ARGUMENT, NoSuchItem, Refused
from provisioning.simulators.routeros.menus import Menu, Missing, Row
from provisioning.simulators.routeros.query import BadQuery, matches

_ARGUMENTS: Final = frozenset({".proplist", "count-only", "detail", "from", "stats", "terse", "without-paging"})


def run(menu: Menu, command: Command) -> Answer:
    """On rows that nobody configures. Raises Refused."""
    if command.verb == "remove":
        _remove(menu, command)
        return NOTHING
    if command.verb == "get":
        return Answer([], {"ret": next(iter(menu.rows())).get(_property(command), "")})
    return print_rows(menu.rows(), command)


def print_rows(rows: Iterable[Row], command: Command) -> Answer:
    """Raises Refused."""
    if not _ARGUMENTS.issuperset(command.arguments):
        raise Refused("unknown parameter")
    if (wanted := command.arguments.get("from")) is not None:
        ids = set(wanted.split(","))
        rows = [row for row in rows if row.get(".id") in ids or row.get("name") in ids]
    try:
        found = [row for row in rows if matches(row, command.queries)] if command.queries else list(rows)
    except BadQuery as bad:
        raise Refused(f"invalid query: {bad}", ARGUMENT) from None
    if "count-only" in command.arguments:
        return Answer([], {"ret": str(len(found))})
    properties = command.arguments.get(".proplist")
    if properties is None:
        return Answer(found)
    names = properties.split(",")
    return Answer([{name: row[name] for name in names if name in row} for row in found])


def _property(command: Command) -> str:
    """A menu without rows is asked for a property at once."""
    return command.arguments.get("value-name") or ",".join(command.numbers)


def _remove(menu: Menu, command: Command) -> None:
    if not command.numbers:
        raise Refused("missing =.id=", ARGUMENT)
    try:
        for row_id in command.numbers:
            menu.remove(row_id)
    except Missing:
        raise NoSuchItem from None
