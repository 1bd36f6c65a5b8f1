"""What a script consists of, as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field


class ScriptError(Exception):
    """At a line and column from 1, as RouterOS counts them."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{message} (line {line} column {column})" if line else message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A string with values in it."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Bracketed:
    """`[command]`: what it returns."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """`{…}`: to be done, or kept as `source`."""

    statements: tuple[Statement, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Operation:
    """`left` None where there is only the one behind."""

    operator: str
    left: Expression | None
    right: Expression


Expression = Text | Variable | Joined | Bracketed | Block | Operation


@dataclass(frozen=True, slots=True)
class Argument:
    """`name` None: it stands by itself. `bare`: a word without quotes, that may be part of a path."""

    name: str | None
    operator: str
    value: Expression
    bare: bool = False
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    arguments: tuple[Argument, ...]
    line: int
    column: int = 1
    source: str = field(default="", compare=False)
