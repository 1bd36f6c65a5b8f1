"""Does what was read. What takes time is a generator of the seconds to wait, so that nobody waits who need not.

Whoever gives the commands to the router is passed in; so the interpreter knows menus only by their paths.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import ClassVar, Final, Protocol

from provisioning.routeros.values import parse_duration
from provisioning.simulators.routeros.command import Answer, Command
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.menus import Row
from provisioning.simulators.routeros.scripting.comparing import compare, holds, is_true, total, word_of
from provisioning.simulators.routeros.scripting.syntax import (
    Argument,
    Block,
    Bracketed,
    Expression,
    Joined,
    Operation,
    ScriptError,
    Statement,
    Text,
    Variable,
)

Value = str | list[str]
Waiting = Generator[float, None, Value]
_Builtin = Callable[["Interpreter", Statement, Sequence[Argument], str], Waiting]
NOTHING: Final = ""
STATEMENTS_MAX: Final = 100_000
#: What unnamed words of a command are, in their order.
_UNNAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "get": ("numbers", "value-name"), "move": ("numbers", "destination"), "unset": ("numbers", "value-name"),
    "import": ("file-name",), "ping": ("address",), "add": (),
    **dict.fromkeys(("debug", "error", "info", "warning"), ("message",)),
}  # fmt: skip
#: How something is printed, beside which rows.
_OF_PRINT: Final = tuple(map(Text, ("as-value", "brief", "count-only", "detail", "stats", "terse", "without-paging")))
#: Without their colon, in a menu, they are the menu's.
_ALSO_OF_MENUS: Final = frozenset({"error", "len", "log", "set"})


class Doors(Protocol):
    """What a script needs of its router."""

    slash_paths: bool

    def is_prefix(self, path: str) -> bool:
        """There is a menu here, or below."""

    def is_command(self, menu: str, verb: str) -> bool: ...

    def parameters(self, menu: str, verb: str) -> frozenset[str] | None:
        """What this command may be given; None where that is not known."""

    def run(self, command: Command) -> Answer:
        """Raises Refused."""

    def rows(self, menu: str) -> Iterable[Row]:
        """Of a menu, with all their properties. Raises Refused."""

    def say(self, topics: str, message: str) -> None:
        """Into the log."""


class Interpreter:
    def __init__(self, doors: Doors, variables: dict[str, Value] | None = None) -> None:
        self._doors = doors
        self._variables: dict[str, Value] = {} if variables is None else variables
        self._left = STATEMENTS_MAX

    def check(self, statements: Iterable[Statement], path: str = "") -> None:
        """Every command is one, and knows what it is given: as RouterOS sees before it begins. Raises ScriptError.

        So `on-error` does not help against a parameter that this release does not know.
        """
        for statement in statements:
            path = self._check(statement, path)

    def _check(self, statement: Statement, path: str) -> str:
        if self._builtin(statement, path) is not None:
            for argument in statement.arguments[1:]:
                self._check_value(argument.value, path)
            return path
        menu, verb, rest = self._resolve(statement, path)
        if verb is None:
            return menu
        word = self._known(menu, verb)
        known = self._doors.parameters(menu, word)
        for argument in rest:
            if argument.name is not None and known is not None and argument.name.removeprefix("!") not in known:
                raise ScriptError("expected end of command", argument.line, argument.column)
            if not isinstance(argument.value, Block):
                self._check_value(argument.value, menu)
        return path

    def _check_value(self, value: Expression, path: str) -> None:
        match value:
            case Bracketed(statements):
                self.check(statements, path)
            case Block(statements):
                self.check(statements, path)
            case Joined(parts):
                for part in parts:
                    self._check_value(part, path)
            case Operation(_, left, right):
                for one in (left, right) if left is not None else (right,):
                    self._check_value(one, path)

    def _known(self, menu: str, verb: Argument) -> str:
        word = verb.value.text if isinstance(verb.value, Text) else ""
        if word != "find" and not self._doors.is_command(menu, word):
            raise ScriptError(f"bad command name {word}", verb.line, verb.column)
        return word

    def do(self, statements: Iterable[Statement], path: str = "") -> Waiting:
        """Raises ScriptError. A statement that is only a path is where the next ones begin."""
        found: Value = NOTHING
        for statement in statements:
            self._left -= 1
            if self._left < 0:
                raise ScriptError("it does not end", statement.line)
            path, found = yield from self.step(statement, path)
        return found

    def step(self, statement: Statement, path: str) -> Generator[float, None, tuple[str, Value]]:
        """One statement, and where the next one begins. Raises ScriptError."""
        builtin = self._builtin(statement, path)
        if builtin is not None:
            return path, (yield from builtin(self, statement, statement.arguments[1:], path))
        menu, verb, rest = self._resolve(statement, path)
        if verb is None:
            return menu, NOTHING
        return path, (yield from self._command(statement, menu, verb, rest))

    def _builtin(self, statement: Statement, path: str) -> _Builtin | None:
        """A command of the language itself."""
        first = statement.arguments[0]
        word = first.value.text if first.bare and isinstance(first.value, Text) else ""
        name = word.removeprefix(":")
        return self._BUILTINS.get(name) if word != name or not path or name not in _ALSO_OF_MENUS else None

    def _resolve(self, statement: Statement, path: str) -> tuple[str, Argument | None, Sequence[Argument]]:
        """The menu, the command, and what it is given."""
        at, arguments = path, statement.arguments
        for number, argument in enumerate(arguments):
            if not argument.bare or not isinstance(argument.value, Text):
                raise ScriptError("expected command name", argument.line, argument.column)
            word = argument.value.text
            if number == 0 and word.startswith("/"):
                at, word = "", word.removeprefix("/")
            if "/" in word and not self._doors.slash_paths:
                raise ScriptError("expected command name", argument.line, argument.column)
            if not word:
                continue
            if self._doors.is_prefix(f"{at}/{word}"):
                at = f"{at}/{word}"
                continue
            menu, _, verb = f"{at}/{word}".rpartition("/")
            if menu and not self._doors.is_prefix(menu):
                raise ScriptError(f"bad command name {word.partition('/')[0]}", argument.line, argument.column)
            named = Argument(None, "", Text(verb), True, argument.line, argument.column)
            return menu, named, arguments[number + 1 :]
        return at, None, ()

    def _command(self, statement: Statement, menu: str, verb: Argument, rest: Sequence[Argument]) -> Waiting:
        """Commands within its arguments begin in its own menu."""
        word = self._known(menu, verb)
        if word == "find":
            return (yield from self._find(menu, rest))
        if word == "print":
            shown = [argument for argument in rest if not (argument.bare and argument.value in _OF_PRINT)]
            counted = any(argument.value == Text("count-only") for argument in rest)
            found = yield from self._find(menu, shown)
            return str(len(found)) if counted else NOTHING
        arguments = yield from self._arguments(word, rest, menu)
        if arguments is None:
            return NOTHING
        try:
            answer = self._doors.run(Command(f"{menu}/{word}", arguments))
        except Refused as refused:
            raise self._failed(refused, menu, verb, statement) from None
        rows = list(answer.rows)  # what is printed goes nowhere
        if word == "ping":
            return str(sum("time" in row for row in rows))  # how many answered
        return answer.returned.get("ret", NOTHING)

    @staticmethod
    def _failed(refused: Refused, menu: str, verb: Argument, statement: Statement) -> ScriptError:
        if refused.message.startswith("unknown parameter"):
            return ScriptError("expected end of command", statement.line, verb.column)
        word = verb.value.text if isinstance(verb.value, Text) else ""
        return ScriptError(f"{refused.message} ({menu}/{word}; line {statement.line})")

    def _arguments(
        self, verb: str, given: Sequence[Argument], path: str
    ) -> Generator[float, None, dict[str, str] | None]:
        """None where it is about items that a `find` did not find: then there is nothing to do."""
        found: dict[str, str] = {}
        unnamed = list(_UNNAMED.get(verb, ("numbers",)))
        for argument in given:
            if argument.name is not None and argument.operator != "=":
                raise ScriptError("expected end of command", argument.line, argument.column)
            value: Value
            if isinstance(argument.value, Block):
                value = argument.value.source
            else:
                value = yield from self._value(argument.value, path)
            name = argument.name or self._name_of(verb, argument, value, unnamed, found)
            if name in {"numbers", ".id"} and not value:
                return None
            found.setdefault(name, ",".join(value) if isinstance(value, list) else value)
        return found

    @staticmethod
    def _name_of(verb: str, argument: Argument, value: Value, unnamed: list[str], found: dict[str, str]) -> str:
        if argument.bare and isinstance(value, str) and (verb == "export" or value.startswith("!")):
            found[value] = ""
            return value
        if not unnamed:
            raise ScriptError("expected end of command", argument.line, argument.column)
        return unnamed.pop(0)

    def _find(self, menu: str, given: Sequence[Argument]) -> Waiting:
        conditions: list[tuple[str, str, str]] = []
        for argument in given:
            value = _text((yield from self._value(argument.value, menu)))
            if argument.name is not None:
                conditions.append((argument.name, argument.operator, value))
            elif value not in {"where", "and"}:
                conditions.append((value.removeprefix("!"), "=", "no" if value.startswith("!") else "yes"))
        try:
            rows = list(self._doors.rows(menu))
        except Refused as refused:
            raise ScriptError(refused.message) from None
        return [row[".id"] for row in rows if ".id" in row and all(holds(row, *one) for one in conditions)]

    def _value(self, expression: Expression, path: str) -> Waiting:
        match expression:
            case Text(text):
                return text
            case Variable(name):
                return self._variables.get(name, NOTHING)
            case Joined(parts):
                texts = []
                for part in parts:
                    texts += [_text((yield from self._value(part, path)))]
                return "".join(texts)
            case Bracketed(statements):
                return (yield from self.do(statements, path))
            case Block(statements):
                return (yield from self.do(statements, path))
            case Operation(operator, left, right):
                return (yield from self._operation(operator, left, right, path))

    def _operation(self, operator: str, left: Expression | None, right: Expression, path: str) -> Waiting:
        first = "" if left is None else _text((yield from self._value(left, path)))
        if (operator == "&&" and not is_true(first)) or (operator == "||" and is_true(first)):
            return word_of(is_true(first))
        second = _text((yield from self._value(right, path)))
        match operator:
            case "!":
                return word_of(not is_true(second))
            case "&&" | "||":
                return word_of(is_true(second))
            case ".":
                return first + second
            case "+" | "-":
                return total(first, second if operator == "+" else f"-{second}")
            case _:
                return word_of(compare(first, operator, second))

    # Commands of the language itself

    def _local(self, statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        if not given or len(given) > 2:
            raise ScriptError("syntax error", statement.line, statement.column)
        if given[0].name is not None:
            name, value = given[0].name, given[0].value
        else:
            name = _text((yield from self._value(given[0].value, path)))
            value = given[1].value if len(given) > 1 else Text("")
        self._variables[name] = yield from self._value(value, path)
        return NOTHING

    def _if(self, statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        if not given or given[0].name is not None:
            raise ScriptError("syntax error", statement.line, statement.column)
        holds = is_true(_text((yield from self._value(given[0].value, path))))
        block = _block(given, "do" if holds else "else")
        return (yield from self.do(block.statements, path)) if block else NOTHING

    def _do(self, _statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        block, otherwise = _block(given, None), _block(given, "on-error")
        try:
            return (yield from self.do(block.statements, path)) if block else NOTHING
        except ScriptError:
            if otherwise is None:
                raise
        return (yield from self.do(otherwise.statements, path))

    def _foreach(self, statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        block, among = _block(given, "do"), next((one for one in given if one.name == "in"), None)
        if among is None or block is None or given[0].name is not None:
            raise ScriptError("syntax error", statement.line, statement.column)
        name = _text((yield from self._value(given[0].value, path)))
        values = yield from self._value(among.value, path)
        for value in values if isinstance(values, list) else filter(None, [values]):
            self._variables[name] = value
            yield from self.do(block.statements, path)
        return NOTHING

    def _delay(self, statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        texts = yield from self._texts(given, path)
        text = texts[0] if texts else "1"
        duration = parse_duration(f"{text}s" if text.isdecimal() else text)
        if duration is None:
            raise ScriptError("syntax error", statement.line, statement.column)
        yield duration.total_seconds()
        return NOTHING

    def _log(self, statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        texts = yield from self._texts(given, path)
        if len(texts) < 2:
            raise ScriptError("syntax error", statement.line, statement.column)
        self._doors.say(f"script,{texts[0]}", texts[1])
        return NOTHING

    def _put(self, _statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        return " ".join((yield from self._texts(given, path)))

    def _error(self, _statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        raise ScriptError(" ".join((yield from self._texts(given, path))))

    def _len(self, _statement: Statement, given: Sequence[Argument], path: str) -> Waiting:
        value = (yield from self._value(given[0].value, path)) if given else NOTHING
        return str(len(value))

    def _texts(self, given: Sequence[Argument], path: str) -> Generator[float, None, list[str]]:
        found = []
        for one in given:
            found += [_text((yield from self._value(one.value, path)))]
        return found

    _BUILTINS: ClassVar[Mapping[str, _Builtin]] = {
        "local": _local, "global": _local, "set": _local, "if": _if, "do": _do, "foreach": _foreach, "delay": _delay,
        "log": _log, "put": _put, "error": _error, "len": _len, "tostr": _put,
    }  # fmt: skip


def _block(given: Sequence[Argument], name: str | None) -> Block | None:
    found = next((one.value for one in given if one.name == name), None)
    return found if isinstance(found, Block) else None


def _text(value: Value) -> str:
    return ";".join(value) if isinstance(value, list) else value
