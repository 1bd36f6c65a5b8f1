"""A version loaded into a new simulated router of its release, read back, and compared.

Menus and fields that the simulated router does not play are named, with how often they occur, and the rest is tried
without them. It gets the ports that the old box has; an interface of a kind that is not played is a port, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from provisioning.backups.difference import difference, masked
from provisioning.backups.statements import Statement, prompt_of, statements, unquote
from provisioning.routeros.schema import MENUS, Field, Release, canonical
from provisioning.simulators.routeros import SYSTEM, Router, Version, load
from provisioning.simulators.routeros.command import Command
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.scripting import ScriptError

_USER: Final = "drill"
_BY_PORT: Final = re.compile(r"\[ ?find default-name=(\S+) ?\]")
#: In rules; a word for all of a kind names a port that nothing comes by.
_OF_RULES: Final = frozenset({"in-interface", "out-interface"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`differences`: without secrets. `not_played`: menus, with how many commands of theirs."""

    commands: int
    not_played: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def restore(text: str, release: Release, clock: Callable[[], float]) -> Outcome:
    """Into a new simulated router, and back out of it."""
    router = Router(Version.nearest(release), {_USER: ""}, clock=clock)
    wanted = list(statements(text))
    others = Counter(name for one in wanted for name in _not_played(router, one))
    played = [_without(one, others) for one in wanted if one.menu in router.configuration]
    for name in _ports(played):
        router.put_port(name)
    try:
        load(router, "".join(f"{prompt_of(one.menu)} {one.text}\n" for one in played) if others else text, _USER)
    except ScriptError as error:
        return Outcome(len(wanted), (), (f"it cannot be read as commands: {error}",))
    added = difference(_adding(played), _adding(_read_back(router)))
    return Outcome(
        len(wanted), tuple(f"{name}: {number}" for name, number in others.items()), (*added, *_unset(router, played))
    )


def _adding(commands: Iterable[Statement]) -> list[Statement]:
    return [one for one in commands if one.verb == "add"]


def _unset(router: Router, played: Iterable[Statement]) -> Iterator[str]:
    """Rows that every router has, and that are not what they were set to; whichever way their commands name them."""
    for one in played:
        if one.verb == "set" and not _is_set(router, one):
            yield from masked([one])


def _is_set(router: Router, one: Statement) -> bool:
    fields = router.configuration.tables[one.menu].fields
    return any(
        all(_same(fields[name], row.get(name), value) for name, value in one.values) for row in _named(router, one)
    )


def _named(router: Router, one: Statement) -> list[dict[str, str]]:
    """The rows that `set` is about."""
    rows = [dict(row) for row in router.run(Command(f"{one.menu}/print"), SYSTEM).rows]
    if not one.which:
        return rows
    if one.which.startswith("["):
        said = dict(word.split("=", 1) for word in one.which.strip("[] ").split()[1:] if "=" in word)
        fields = router.configuration.tables[one.menu].fields
        return [
            row for row in rows
            if all(name in fields and _same(fields[name], row.get(name), unquote(it)) for name, it in said.items())
        ]  # fmt: skip
    try:
        found = router.configuration.find(one.menu, unquote(one.which)).item.row_id
    except Refused:
        return []
    return [row for row in rows if row[".id"] == found]


def _same(field: Field, shown: str | None, said: str | None) -> bool:
    first, second = (_plain(field, field.default or "" if value is None else value) for value in (shown, said))
    return first == second


def _plain(field: Field, value: str) -> str:
    """A group shows what it may not as well."""
    if field.name == "policy":
        value = ",".join(word for word in value.split(",") if not word.startswith("!"))
    return canonical(field.kind, value)


def _not_played(router: Router, one: Statement) -> list[str]:
    """Its menu, or fields of it."""
    if one.menu not in router.configuration:
        return [prompt_of(one.menu)]
    fields = router.configuration.tables[one.menu].fields
    return [
        f"{prompt_of(one.menu)} {name}" for name, _ in one.values if name not in fields or fields[name].read_only
    ]  # fmt: skip


def _without(one: Statement, others: Counter[str]) -> Statement:
    left = tuple(value for value in one.values if f"{prompt_of(one.menu)} {value[0]}" not in others)
    return replace(one, values=left)


def _ports(played: Sequence[Statement]) -> list[str]:
    """Those that are named by where they are in the box, and those that rows name and no row makes."""
    made = {value for one in played for name, value in one.values if name == "name"}
    named = {
        value.removeprefix("!"): None for one in played for name, value in one.values
        if value and _names_interface(one.menu, name)
    }  # fmt: skip
    ports = (match[1] for one in played if (match := _BY_PORT.fullmatch(one.which)) is not None)
    return [*ports, *(name for name in named if name not in made)]


def _names_interface(menu: str, name: str) -> bool:
    field = MENUS[menu].fields.get(name)
    return name in _OF_RULES or (field is not None and (field.refers_to or "").startswith("/interface")
                                 and field.refers_to != "/interface/list")  # fmt: skip


def _read_back(router: Router) -> Iterator[Statement]:
    shows = {"show-sensitive": ""} if router.version.hides_secrets_in_exports else {}
    return statements(router.run(Command("/export", shows), SYSTEM).returned["ret"])
