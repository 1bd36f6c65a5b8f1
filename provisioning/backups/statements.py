"""An export's text as commands: whatever way it was folded, quoted or written, the same command is the same.

    # 2026-11-27 18:00:00 by RouterOS 7.18      comments are no configuration: the time, what a router says of a row
    /ip firewall filter                         a menu, for the commands below it
    add action=drop chain=forward comment=\\
        "a long one"                            a line that ends with a backslash goes on in the next, behind its indent
    set [ find default-name=ether1 ] mtu=1600
    /ip pool add name=homes ranges=10.0.0.0/24  or a menu and its command in one line (`terse`)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from provisioning.routeros.planning.script import quote
from provisioning.routeros.schema import MENUS, Field, Kind, canonical

VERBS: Final = frozenset({"add", "set", "remove", "unset", "move", "enable", "disable"})
#: What changes by itself, wherever it stands.
VOLATILE: Final = frozenset({"deadline-at", "next-renewal-at"})
_FOLD: Final = re.compile(r"\\\r?\n[ \t]*")
_TOKEN: Final = re.compile(r'(?:"(?:\\.|[^"\\])*"|\[[^\]]*\]|[^\s"\[])+', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:([0-9A-F]{2})|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "_": " ", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
#: As commands have what the API prints as true and false.
_WORDS: Final = {"true": "yes", "false": "no"}
_NAMED: Final = re.compile(r"(!?[A-Za-z0-9.-]+)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """`which`: the row that it is about, as it is written. A value of None was unset."""

    menu: str
    verb: str
    which: str
    values: tuple[tuple[str, str | None], ...]

    @property
    def text(self) -> str:
        return self.written({})

    def written(self, instead: Mapping[str, str]) -> str:
        """As a command; `instead`: what stands in place of these values."""
        given = (
            f"!{name}" if value is None else f"{name}={instead.get(name) or quote(value)}"
            for name, value in self.values
        )
        return " ".join(filter(None, (self.verb, self.which, *given)))


def statements(text: str) -> Iterator[Statement]:
    """Of a whole export. What is no command is left out."""
    menu = ""
    for line in _FOLD.sub("", text).splitlines():
        tokens = [] if line.startswith("#") else _TOKEN.findall(line)
        if tokens and tokens[0].startswith("/"):
            menu, tokens = _menu(tokens)
        if tokens and menu and tokens[0] in VERBS:
            yield _statement(menu, tokens)


def prompt_of(menu: str) -> str:
    """As an export writes it above the menu's commands."""
    return "/" + menu.strip("/").replace("/", " ")


def canonical_of(statement: Statement) -> Statement:
    """Values as our schema writes them, without what is said in vain, in the order of their names."""
    schema = MENUS.get(statement.menu)
    fields: Mapping[str, Field] = schema.fields if schema is not None else {}
    values = [(name, _canonical(fields.get(name), value)) for name, value in statement.values]
    kept = (one for one in values if not _says_nothing(statement, fields.get(one[0]), one[1]))
    return Statement(statement.menu, statement.verb, statement.which, tuple(sorted(kept, key=lambda one: one[0])))


def _menu(tokens: list[str]) -> tuple[str, list[str]]:
    """The path, and the command behind it if there is one."""
    end = next((number for number, token in enumerate(tokens) if token in VERBS), len(tokens))
    parts = (part for token in tokens[:end] for part in token.split("/") if part)
    return "/" + "/".join(parts), tokens[end:]


def _statement(menu: str, tokens: list[str]) -> Statement:
    which: list[str] = []
    values: list[tuple[str, str | None]] = []
    for token in tokens[1:]:
        match = _NAMED.fullmatch(token)
        if match is None or (match[2] is None and not token.startswith("!")):
            which.append(_selector(token))
        elif match[2] is None:
            values.append((match[1].removeprefix("!"), None))
        elif match[1] not in VOLATILE:
            values.append((match[1], unquote(match[2])))
    return Statement(menu, tokens[0], " ".join(which), tuple(values))


def _selector(token: str) -> str:
    """`[ find default-name=ether1 ]` or a name."""
    return " ".join(token.split()) if token.startswith("[") else quote(unquote(token))


def unquote(written: str) -> str:
    if not written.startswith('"'):
        return written
    octets = b"".join(_pieces(written[1:-1]))
    return octets.decode("utf-8", "surrogateescape")


def _pieces(inside: str) -> Iterator[bytes]:
    at = 0
    for match in _ESCAPE.finditer(inside):
        yield inside[at : match.start()].encode("utf-8", "surrogateescape")
        if match[1] is not None:
            yield bytes.fromhex(match[1])
        else:
            yield _ESCAPES.get(match[2], match[2]).encode("utf-8", "surrogateescape")
        at = match.end()
    yield inside[at:].encode("utf-8", "surrogateescape")


def _canonical(field: Field | None, value: str | None) -> str | None:
    if field is None or value is None:
        return value
    found = canonical(field.kind, value)
    return _WORDS.get(found, found) if field.kind is Kind.BOOLEAN else found


def _says_nothing(statement: Statement, field: Field | None, value: str | None) -> bool:
    """A new row has it anyway."""
    if statement.verb != "add" or field is None:
        return False
    return value is None or (field.default is not None and value == _canonical(field, field.default))
