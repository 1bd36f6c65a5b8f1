"""The menus, read from the `*.toml` beside this.

["/ppp/profile"]            key = ["name"]      the fields by which a row is known; none: by our mark alone
                            builtin = [...]     names that every router has, and nobody removes
                            single = true       settings, no rows
                            fixed = true        rows that nobody adds or removes
                            ordered = "chain"   the order of rows counts: of those with the same value here, or
                                                of all where this is ""
["/ppp/profile".fields]     name = "text"       a kind, then what else is to be said:
                            =yes                what a router prints where nobody said anything
                            ?                   may be without a value, and is not printed then
                            >=7.15 <7.16        the releases that know it
                            ro, secret          the router's own; shown only to who may read secrets
                            hidden              the router shows it to everybody; we show it to nobody
                            of "choice" and "reference" the words, and the menu, in brackets
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from provisioning.routeros.schema.kinds import Kind

_RELEASE: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
#: What people see of a value that they may not.
MASK: Final = "********"
_FIELD: Final = re.compile(r"(?P<kind>\w+)(?:\((?P<of>[^)]*)\))?(?P<rest>.*)", re.DOTALL)


class Release(NamedTuple):
    """Of RouterOS; a beta or release candidate is taken for its release."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Release:
        """`7.18.2 (stable)`, as /system/resource has it. Raises ValueError."""
        match = _RELEASE.match(text)
        if match is None:
            raise ValueError(f"no release of RouterOS: {text[:40]!r}")
        return cls(*(int(part or 0) for part in match.groups()))


@dataclass(frozen=True, slots=True)
class Field:
    """`default`: what is printed where nobody said anything; None: then it is not printed, or the router decides."""

    name: str
    kind: Kind
    choices: frozenset[str] = frozenset()
    refers_to: str | None = None
    default: str | None = None
    can_unset: bool = False
    since: Release | None = None
    until: Release | None = None
    read_only: bool = False
    secret: bool = False
    hidden: bool = False

    @property
    def is_told(self) -> bool:
        """People may see its values."""
        return not (self.secret or self.hidden)

    def known_to(self, release: Release) -> bool:
        return (self.since is None or release >= self.since) and (self.until is None or release < self.until)


@dataclass(frozen=True)
class MenuSchema:
    """`ordered`: None where the order of rows says nothing, else the field that rows are ordered within ("" all)."""

    path: str
    fields: Mapping[str, Field]
    key: tuple[str, ...] = ()
    builtin: frozenset[str] = frozenset()
    single: bool = False
    fixed: bool = False
    ordered: str | None = None

    @cached_property
    def refers_to(self) -> frozenset[str]:
        """Menus whose rows are named by rows of this one."""
        return frozenset(field.refers_to for field in self.fields.values() if field.refers_to)

    def name_of(self, row: Mapping[str, str | None]) -> str:
        """For people: by its name, or its id where it has none."""
        name = self.fields.get("name")
        return MASK if name is not None and not name.is_told else row.get("name") or row.get(".id") or ""

    def known_to(self, release: Release) -> dict[str, Field]:
        return {name: field for name, field in self.fields.items() if field.known_to(release)}


def _load() -> Iterator[MenuSchema]:
    shared: dict[str, dict[str, str]] = {}
    for file in sorted(Path(__file__).parent.glob("*.toml")):
        for path, table in tomllib.loads(file.read_text()).items():
            if not path.startswith("/"):
                shared[path] = table
                continue
            yield _menu(path, table, shared)


def _menu(path: str, table: dict[str, Any], shared: Mapping[str, dict[str, str]]) -> MenuSchema:
    written = dict(table["fields"])
    for name in table.get("with", ()):
        written = {**shared[name], **written}
    return MenuSchema(
        path,
        {name: _field(name, text) for name, text in written.items()},
        tuple(table.get("key", ())),
        frozenset(table.get("builtin", ())),
        table.get("single", False),
        table.get("fixed", False),
        table.get("ordered"),
    )


def _field(name: str, text: str) -> Field:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise ValueError(f"{name}: {text!r} describes no field")
    kind, of = Kind(match["kind"]), match["of"]
    said: dict[str, Any] = {}
    for word in match["rest"].split():
        said |= _said(word)
    if kind is Kind.REFERENCE:
        said["refers_to"] = of
    elif of is not None:
        said["choices"] = frozenset(of.split())
    return Field(name, kind, **said)


def _said(word: str) -> dict[str, Any]:
    if word.startswith("="):
        return {"default": word[1:]}
    if word.startswith(">="):
        return {"since": Release.parse(word[2:])}
    if word.startswith("<"):
        return {"until": Release.parse(word[1:])}
    return {{"?": "can_unset", "ro": "read_only", "secret": "secret", "hidden": "hidden"}[word]: True}


MENUS: Final[Mapping[str, MenuSchema]] = {menu.path: menu for menu in _load()}
