"""Commands of the menus that are configured: print, get, add, set, unset, remove, enable, disable, comment, move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from provisioning.simulators.routeros import shown
from provisioning.simulators.routeros.command import NOTHING, Answer, Caller, Command
from provisioning.simulators.routeros.configuration import INTERFACE, Place
from provisioning.simulators.routeros.edit import Edit
from provisioning.simulators.routeros.errors import ARGUMENT, MISSING, Refused, no_match, not_permitted
from provisioning.simulators.routeros.listing import print_rows

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router

_READING: Final = frozenset({"print", "getall", "get"})
_CHANGING: Final = frozenset({"set", "unset"})
#: And the field that they are about.
_OF_ROWS: Final = {"comment": "comment", "enable": "disabled", "disable": "disabled"}
_OF_LISTS: Final = frozenset({"add", "remove"})
_OF_COMMANDS: Final = frozenset({".id", "destination", "from", "numbers", "place-before", "value-name"})
_DONE: Final = {"add": "added", "remove": "removed", "move": "moved"}
#: Menus in which device-mode home and basic forbid every change, from 7.17 on.
_BY_DEVICE_MODE: Final = frozenset({"/system/scheduler"})


def run(router: Router, command: Command, caller: Caller) -> Answer:
    """Raises Refused."""
    if command.verb not in verbs(router, command.menu):
        raise Refused("no such command", MISSING)
    _check_policies(command, caller)
    if command.verb in {"print", "getall"}:
        return print_rows(rows(router, command.menu, caller, command.queries), command)
    if command.verb == "get":
        return _get(router, command, caller)
    if command.verb.startswith("reset-counters"):
        return NOTHING
    if command.menu in _BY_DEVICE_MODE and command.verb != "remove":
        router.check_device_mode("scheduler")
    return change(router, command, caller)


def verbs(router: Router, menu: str) -> frozenset[str]:
    table = router.configuration.tables[menu]
    schema = table.schema
    if schema.single:
        return _READING | _CHANGING
    found = _READING | _CHANGING | {verb for verb, field in _OF_ROWS.items() if field in table.fields}
    if not schema.fixed:
        found |= _OF_LISTS
    if schema.ordered is not None:
        found |= {"move"}
    if "bytes" in table.fields:
        found |= {"reset-counters", "reset-counters-all"}
    return found


def parameters(router: Router, menu: str, verb: str) -> frozenset[str]:
    fields = router.configuration.tables[menu].fields.values()
    if verb in {"find", "print"}:
        return frozenset({".id", *(field.name for field in fields)})
    if verb in {"add", "set"}:
        return frozenset({*_OF_COMMANDS, *(field.name for field in fields if not field.read_only)})
    return _OF_COMMANDS | {"comment"}


def rows(router: Router, menu: str, caller: Caller, queries: Sequence[str] = ()) -> list[dict[str, str]]:
    secrets = caller.may("sensitive")
    found = list(shown.rows(router.configuration, menu, router.now, secrets=secrets, queries=queries))
    return found if menu != INTERFACE else found + [dict(one.interface_row()) for one in router.sessions()]


def change(router: Router, command: Command, caller: Caller) -> Answer:
    """All of it, or a refusal and nothing."""
    edit = Edit(router.configuration, caller, router.now)
    try:
        answer = _CHANGES[command.verb](router, edit, command)
    except Refused:
        edit.undo()
        raise
    noun = command.menu.removeprefix("/").replace("/", " ")
    done = f"{noun} {_DONE.get(command.verb, 'changed')}"
    if edit.inverses:
        router.history.record(done, caller.user, router.now, edit.inverses)
        router.note("system,info", f"{done} by {caller.user}")
    router.changed(command.menu)
    return answer


def _check_policies(command: Command, caller: Caller) -> None:
    needed = {"read"} if command.verb in _READING else {"write"}
    if command.verb not in _READING and command.menu in {"/user", "/user/group"}:
        needed |= {"policy"}
    if not caller.may(*needed):
        raise not_permitted()


def _get(router: Router, command: Command, caller: Caller) -> Answer:
    found = rows(router, command.menu, caller)
    if not router.configuration.tables[command.menu].schema.single:
        (place,) = _places(router, command)[:1]
        found = [row for row in found if row[".id"] == place.item.row_id]
    name = command.arguments.get("value-name")
    if not name and router.configuration.tables[command.menu].schema.single:
        name = ",".join(command.numbers)
    if not name:
        return Answer([], {"ret": ";".join(f"{key}={value}" for key, value in found[0].items())})
    if name not in router.configuration.tables[command.menu].fields:
        raise no_match("value-name")
    return Answer([], {"ret": found[0].get(name, "")})


def _places(router: Router, command: Command) -> list[Place]:
    if not command.numbers:
        raise Refused("missing =.id=", ARGUMENT)
    return [router.configuration.find(command.menu, one) for one in command.numbers]


def _add(_router: Router, edit: Edit, command: Command) -> Answer:
    return Answer([], {"ret": edit.add(command.menu, command.values).row_id})


def _set(router: Router, edit: Edit, command: Command) -> Answer:
    return _write(router, edit, command, command.values)


def _write(router: Router, edit: Edit, command: Command, values: Mapping[str, str]) -> Answer:
    table = router.configuration.tables[command.menu]
    single = table.schema.single
    edit.set([Place(command.menu, table, table.only)] if single else _places(router, command), values)
    return NOTHING


def _unset(router: Router, edit: Edit, command: Command) -> Answer:
    names = command.arguments.get("value-name", "")
    if not names:
        raise Refused("missing =value-name=", ARGUMENT)
    fields = router.configuration.tables[command.menu].fields
    for name in names.split(","):
        if name not in fields:
            raise no_match("value-name")
    return _write(router, edit, command, {f"!{name}": "" for name in names.split(",")})


def _remove(router: Router, edit: Edit, command: Command) -> Answer:
    edit.remove(_places(router, command))
    return NOTHING


def _comment(router: Router, edit: Edit, command: Command) -> Answer:
    return _write(router, edit, command, {"comment": command.arguments.get("comment", "")})


def _enable(router: Router, edit: Edit, command: Command) -> Answer:
    return _write(router, edit, command, {"disabled": "no"})


def _disable(router: Router, edit: Edit, command: Command) -> Answer:
    return _write(router, edit, command, {"disabled": "yes"})


def _move(router: Router, edit: Edit, command: Command) -> Answer:
    edit.move(command.menu, _places(router, command), command.arguments.get("destination"))
    return NOTHING


_CHANGES: Final[Mapping[str, Callable[[Router, Edit, Command], Answer]]] = {
    "add": _add, "set": _set, "unset": _unset, "remove": _remove, "comment": _comment, "enable": _enable,
    "disable": _disable, "move": _move,
}  # fmt: skip
