"""Script text to statements. Raises ScriptError with line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from provisioning.simulators.routeros.scripting.quoting import ESCAPES
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

_NAME: Final = re.compile(r"(!?[A-Za-z][A-Za-z0-9._-]*|\.id)(!=|<=|>=|[=~<>])")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_BARE: Final = re.compile(r"[^\s;\[\]{}()\"$\\]+")
_OPERAND: Final = re.compile(r"[^\s()=!<>~&|\[\]{}\"$;]+")
_HEXADECIMAL: Final = re.compile(r"[0-9A-F]{2}")
_CONTINUED: Final = re.compile(r"\\\r?\n[ \t]*")
_OPERATORS: Final = ("&&", "||", "!=", "<=", ">=", "=", "<", ">", "~", ".", "+", "-")
_WORDS: Final = {"and": "&&", "or": "||"}
_STRENGTH: Final = {"||": 1, "&&": 2, "=": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "~": 3, ".": 4, "+": 5, "-": 5}
#: In brackets in brackets: what is deeper is no script of a person's.
_DEPTH_MAX: Final = 50


def read(text: str) -> tuple[Statement, ...]:
    """All of it: an error anywhere is an error before anything is done."""
    return tuple(statements(text))


def statements(text: str) -> Iterator[Statement]:
    """One after the other, as an import does them."""
    reader = _Reader(text)
    while (statement := reader.statement("")) is not None:
        yield statement
    if reader.at < len(text):
        raise reader.wrong()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._depth = 0
        self._line, self._counted = 1, 0

    def wrong(self) -> ScriptError:
        return ScriptError("syntax error", *self._position())

    def statement(self, end: str) -> Statement | None:
        """The next one, or None at the end."""
        self._skip_between()
        if self.at >= len(self.text) or self._peek() in end:
            return None
        line, column = self._position()
        start, arguments = self.at, []
        while not self._at_end_of_statement(end):
            arguments.append(self._argument())
            self._skip_blanks()
        if not arguments:
            raise self.wrong()
        return Statement(tuple(arguments), line, column, self.text[start : self.at].strip())

    def _statements(self, end: str) -> tuple[Statement, ...]:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self.wrong()
        found = []
        while (statement := self.statement(end)) is not None:
            found.append(statement)
        self._expect(end)
        self._depth -= 1
        return tuple(found)

    def _at_end_of_statement(self, end: str) -> bool:
        return self.at >= len(self.text) or self._peek() in ";\n\r" or self._peek() in end

    def _argument(self) -> Argument:
        line, column = self._position()
        match = _NAME.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
            self._skip_continued()
            value = Text("") if self._at_blank() else self._value()
            return Argument(match[1], match[2], value, line=line, column=column)
        bare = self._peek() not in '"$[{('
        return Argument(None, "", self._value(), bare, line, column)

    def _at_blank(self) -> bool:
        return self.at >= len(self.text) or self._peek() in " \t\r\n;]})"

    def _skip_continued(self) -> bool:
        match = _CONTINUED.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match is not None

    def _value(self) -> Expression:
        match self._peek():
            case '"':
                return self._string()
            case "$":
                return self._dollar()
            case "[":
                self.at += 1
                return Bracketed(self._statements("]"))
            case "{":
                start = self.at + 1
                self.at = start
                return Block(self._statements("}"), self.text[start : self.at - 1])
            case "(":
                self.at += 1
                found = self._expression(0)
                self._expect(")")
                return found
            case _:
                return Text(self._bare())

    def _bare(self) -> str:
        """A line may end in the middle of it."""
        word = ""
        while (match := _BARE.match(self.text, self.at)) is not None:
            word += match[0]
            self.at = match.end()
            if not self._skip_continued():
                break
        if not word:
            raise self.wrong()
        return word

    def _dollar(self) -> Expression:
        self.at += 1
        if self._peek() in "[(":
            return self._value()
        if self._peek() == '"':
            return Variable(_text_of(self._string()))
        match = _VARIABLE.match(self.text, self.at)
        if match is None:
            raise self.wrong()
        self.at = match.end()
        return Variable(match[0])

    def _string(self) -> Expression:
        self.at += 1
        parts: list[Expression] = []
        octets = bytearray()
        while (character := self._peek()) != '"':
            if not character:
                raise self.wrong()
            if character == "\\":
                octets += self._escaped()
            elif character == "$":
                parts += [Text(_decoded(octets)), self._dollar()]
                octets.clear()
            else:
                octets += character.encode("utf-8", "surrogateescape")
                self.at += 1
        self.at += 1
        text = Text(_decoded(octets))
        return Joined((*parts, text)) if parts else text

    def _escaped(self) -> bytes:
        if self._skip_continued():
            return b""
        if (match := _HEXADECIMAL.match(self.text, self.at + 1)) is not None:
            self.at = match.end()
            return bytes.fromhex(match[0])
        found = ESCAPES.get(self.text[self.at + 1 : self.at + 2])
        if found is None:
            raise self.wrong()
        self.at += 2
        return found

    def _expression(self, strength: int) -> Expression:
        """In parentheses. What binds stronger is taken first."""
        left = self._operand()
        while (operator := self._operator(strength)) is not None:
            left = Operation(operator, left, self._expression(_STRENGTH[operator]))
        self._skip_blanks(lines=True)
        return left

    def _operand(self) -> Expression:
        self._skip_blanks(lines=True)
        if self._peek() == "!":
            self.at += 1
            return Operation("!", None, self._operand())
        if self._peek() in '"$[({':
            return self._value()
        match = _OPERAND.match(self.text, self.at)
        if match is None:
            raise self.wrong()
        self.at = match.end()
        return Text(match[0])

    def _operator(self, strength: int) -> str | None:
        """The next one, if it binds stronger."""
        self._skip_blanks(lines=True)
        here = self.at
        operator = next((one for one in _OPERATORS if self.text.startswith(one, here)), None)
        length = len(operator or "")
        if operator is None:
            word = next((one for one in _WORDS if re.match(rf"{one}\b", self.text[here : here + 4])), None)
            if word is None:
                return None
            operator, length = _WORDS[word], len(word)
        if _STRENGTH[operator] <= strength:
            return None
        self.at += length
        return operator

    def _skip_between(self) -> None:
        """Blanks, empty lines, semicolons and comments."""
        while self.at < len(self.text):
            self._skip_blanks()
            if self._peek() == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self._peek() and self._peek() in ";\r\n":
                self.at += 1
            else:
                return

    def _skip_blanks(self, *, lines: bool = False) -> None:
        blanks = " \t\r\n" if lines else " \t"
        while self.at < len(self.text):
            if self._peek() in blanks:
                self.at += 1
            elif not self._skip_continued():
                return

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self.wrong()
        self.at += 1

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _position(self) -> tuple[int, int]:
        """Counted on from where it was asked last: it only goes forward."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line, self.at - self.text.rfind("\n", 0, self.at)


def _decoded(octets: bytearray) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _text_of(expression: Expression) -> str:
    return expression.text if isinstance(expression, Text) else ""
