"""Steps as commands of RouterOS's own language, for people to read and for the router to undo them by itself.

In the form with spaces, which 6.x and 7.x both take. Undoing holds whatever part of the steps was done: rows are found
by our mark or their name, what was never added is not there to remove, and no command that fails keeps the next from
being tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from provisioning.routeros.client import Row
from provisioning.routeros.planning.desired import mark_in
from provisioning.routeros.planning.plan import MENU_ORDER
from provisioning.routeros.planning.steps import Add, Change, Move, Remove, Step
from provisioning.routeros.schema import MASK, MENUS

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "$": "\\$", "?": "\\?"}
#: Of a regular expression; a name may have them.
_REPEATS: Final = re.compile(r"[+*?]")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/,*")


def quote(value: str) -> str:
    """A value as a command takes it. What is not ASCII, or no character, goes as the octets it is."""
    if value and all(character in _PLAIN for character in value):
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~":
        return character
    return "".join(f"\\{octet:02X}" for octet in character.encode("utf-8", "surrogateescape"))


def commands(steps: Iterable[Step]) -> list[str]:
    """For a person, who is not shown secrets; one that changes an order says in front of what."""
    return [_command(step) for step in steps]


def undo(steps: Sequence[Step]) -> list[str]:
    """What brings back the state before these steps, from any point within them."""
    return [f":do {{ {command} }} on-error={{}}" for command in _undo(steps)]


def _command(step: Step) -> str:
    prompt = _prompt(step.menu)
    if isinstance(step, Add):
        place = _place(step.before, step.menu, shown=False)
        return f"{prompt} add {_arguments(step.menu, step.values, shown=False)}{place}"
    if isinstance(step, Change):
        where = "" if step.row_id is None else f"{_find(step.menu, step.row, shown=False)} "
        return f"{prompt} set {where}{_arguments(step.menu, step.values, shown=False)}"
    if isinstance(step, Move):
        where = _find(step.menu, step.row, shown=False)
        return f"{prompt} move {where}{_destination(step.before, step.menu, shown=False)}"
    return f"{prompt} remove {_find(step.menu, step.row, shown=False)}"


def _undo(steps: Sequence[Step]) -> Iterator[str]:
    """Settings first; then what was there before comes back, and what refers to it; what is new goes last."""
    for step in reversed(steps):
        if isinstance(step, Change) and step.row_id is None:
            yield f"{_prompt(step.menu)} set {_arguments(step.menu, step.was)}"
    touched = [menu for menu in MENU_ORDER if any(step.menu == menu for step in steps)]
    for menu in touched:
        yield from _bring_back(menu, [step for step in steps if step.menu == menu])
    for menu in reversed(touched):
        for step in steps:
            if isinstance(step, Add) and step.menu == menu:
                yield f"{_prompt(menu)} remove {_find(menu, step.values)}"


def _bring_back(menu: str, steps: Sequence[Step]) -> Iterator[str]:
    """Rows that were removed or moved, the last first: whatever one stood in front of is back in its place by then."""
    displaced = {step.row_id: step for step in reversed(steps) if isinstance(step, Move | Remove)}
    for one in _from_last(displaced):
        if isinstance(one, Remove):
            yield f"{_prompt(menu)} remove {_find(menu, one.row)}"
            yield f"{_prompt(menu)} add {_arguments(menu, _settable(menu, one.row))}{_place(one.was_before, menu)}"
        else:
            yield f"{_prompt(menu)} move {_find(menu, one.row)}{_destination(one.was_before, menu)}"
    for step in steps:
        if isinstance(step, Change) and step.row_id is not None:
            yield f"{_prompt(menu)} set {_find(menu, step.row)} {_arguments(menu, step.was)}"


def _from_last(displaced: Mapping[str, Move | Remove]) -> Iterator[Move | Remove]:
    """Each after the one that it stood in front of."""
    left = dict(displaced)
    while left:
        step: Move | Remove | None = next(iter(left.values()))
        run = []
        while step is not None and step.row_id in left:
            run.append(left.pop(step.row_id))
            step = displaced.get(step.was_before[".id"]) if step.was_before is not None else None
        yield from reversed(run)


def _prompt(menu: str) -> str:
    return "/" + menu.strip("/").replace("/", " ")


def _find(menu: str, row: Mapping[str, str], *, shown: bool = True) -> str:
    """By our mark, which stays where a name changes; else by its key; of a row that has neither, by its id."""
    mark = mark_in(row.get("comment", ""))
    if mark is not None:
        pattern = "^provedor:" + _REPEATS.sub(r"\\\g<0>", mark) + "( |$)"
        return f"[find comment~{quote(pattern)}]"
    key = MENUS[menu].key
    if key:
        return "[find " + " ".join(_said(menu, name, row.get(name, ""), shown=shown) for name in key) + "]"
    return row[".id"]


def _place(before: Row | None, menu: str, *, shown: bool = True) -> str:
    return "" if before is None else f" place-before={_find(menu, before, shown=shown)}"


def _destination(before: Row | None, menu: str, *, shown: bool = True) -> str:
    return "" if before is None else f" destination={_find(menu, before, shown=shown)}"


def _arguments(menu: str, values: Mapping[str, str | None], *, shown: bool = True) -> str:
    return " ".join(
        f"!{name}" if value is None else _said(menu, name, value, shown=shown) for name, value in values.items()
    )


def _said(menu: str, name: str, value: str, *, shown: bool) -> str:
    return f"{name}={quote(value)}" if shown or MENUS[menu].fields[name].is_told else f'{name}="{MASK}"'


def _settable(menu: str, row: Row) -> dict[str, str]:
    """What somebody once said of this row."""
    fields = MENUS[menu].fields
    return {
        name: value for name, value in row.items()
        if (field := fields.get(name)) is not None and not field.read_only and value != field.default
    }  # fmt: skip
