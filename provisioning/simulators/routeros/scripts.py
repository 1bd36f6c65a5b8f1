"""Scripts of this router: who runs them, with which policies, and what is left of them while they wait."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioning.simulators.routeros.command import Answer, Caller, Command
from provisioning.simulators.routeros.errors import SCRIPT, Refused, not_permitted
from provisioning.simulators.routeros.menus import Row
from provisioning.simulators.routeros.policies import POLICIES
from provisioning.simulators.routeros.scripting import Interpreter, ScriptError, read, statements
from provisioning.simulators.routeros.scripting.interpreter import Value, Waiting
from provisioning.simulators.routeros.scripting.syntax import Statement
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.table import Item

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router

SCRIPTS = "/system/script"
#: Scripts that run scripts that run scripts.
DEPTH_MAX = 10


class RouterDoors:
    """The router, as a script of this caller meets it."""

    def __init__(self, router: Router, caller: Caller) -> None:
        self._router = router
        self._caller = caller
        self.slash_paths = router.version.slash_paths

    def is_prefix(self, path: str) -> bool:
        return path in self._router.prefixes

    def is_command(self, menu: str, verb: str) -> bool:
        return self._router.knows(menu, verb)

    def parameters(self, menu: str, verb: str) -> frozenset[str] | None:
        return self._router.parameters(menu, verb)

    def run(self, command: Command) -> Answer:
        return self._router.obey(command, self._caller)

    def rows(self, menu: str) -> Iterable[Row]:
        return self._router.obey(Command(f"{menu}/print"), self._caller).rows

    def say(self, topics: str, message: str) -> None:
        self._router.note(topics, message)


def running(router: Router, source: str, caller: Caller, variables: dict[str, Value] | None = None) -> Waiting:
    """A whole script, of which nothing is done if it cannot be one. Raises ScriptError."""
    script = checked(router, source, caller)
    return (yield from Interpreter(RouterDoors(router, caller), variables).do(script))


def checked(router: Router, source: str, caller: Caller) -> tuple[Statement, ...]:
    """Raises ScriptError."""
    script = read(source)
    Interpreter(RouterDoors(router, caller)).check(script)
    return script


def load(router: Router, source: str, user: str) -> list[str]:
    """A router's export as what this one begins with; what is not played is left out, and said by its line.

    Raises ScriptError where the text is no script.
    """
    interpreter = Interpreter(RouterDoors(router, Caller(user, POLICIES)))
    left_out, path = [], ""
    lost = False
    for statement in statements(source):
        begins = statement.source.startswith("/")
        if lost and not begins:
            continue
        lost = False
        try:
            path, _ = _at_once(interpreter.step(statement, path))
        except ScriptError as error:
            lost = begins
            left_out.append(f"line {statement.line}: {error}")
    router.settle()
    return left_out


def _at_once(steps: Generator[float, None, tuple[str, Value]]) -> tuple[str, Value]:
    try:
        while True:
            next(steps)  # nobody waits
    except StopIteration as done:
        found: tuple[str, Value] = done.value
        return found


def begin(router: Router, waiting: Waiting, name: str) -> str:
    """Until its end, or until it waits: then it goes on when its time comes. Raises Refused where it fails before."""
    try:
        wait_s = next(waiting)
    except StopIteration as done:
        return done.value if isinstance(done.value, str) else ";".join(done.value)
    except ScriptError as error:
        raise Refused(str(error), SCRIPT) from None
    except RecursionError:
        raise Refused("too deep", SCRIPT) from None
    router.scheduler.resume(waiting, router.now + wait_s, name)
    return ""


def run_script(router: Router, item: Item, caller: Caller) -> str:
    """A row of /system/script. Raises Refused."""
    table = router.configuration.tables[SCRIPTS]
    policies = frozenset((table.value(item, "policy") or "").split(",")) - {""}
    if table.value(item, "dont-require-permissions") != "true" and not caller.may(*policies):
        raise not_permitted()
    if router.depth >= DEPTH_MAX:
        raise Refused("too deep", SCRIPT)
    note_run(router, SCRIPTS, item, {"last-started": date_and_time(router.now, iso=router.version.iso_dates)})
    router.depth += 1
    try:
        own = replace(caller, policies=policies)
        return begin(router, running(router, item.values.get("source", ""), own), item.values["name"])
    finally:
        router.depth -= 1


def note_run(router: Router, path: str, item: Item, added: Mapping[str, str]) -> None:
    volatile = router.configuration.volatile.setdefault((path, item.number), {})
    volatile |= {"run-count": str(int(volatile.get("run-count", "0")) + 1), **added}
