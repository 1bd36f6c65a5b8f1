"""What two configurations do not share: commands that are gone and commands that are new, menu by menu.

    /ip pool
    - add name=homes ranges=100.64.0.2-100.64.3.254
    + add name=homes ranges=100.64.0.2-100.64.7.254

Where the order of rows counts, a row that only moved is both, and says so. Of a secret it is said that it changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Final, NamedTuple

from provisioning.backups.statements import Statement, canonical_of, prompt_of
from provisioning.routeros.schema import MENUS

HIDDEN: Final = '"********"'
#: In menus that the schema does not have: names of values that nobody is to see.
_SECRET: Final = re.compile(
    r"(?:.*-)?(?:password|passphrase|secret|psk|private-key|preshared-key|auth-key|community|key)(?:-\d+)?"
)
_SECRET_MENUS: Final = {"/snmp/community": frozenset({"name", "authentication-password", "encryption-password"})}
#: Text that may hold anything, passwords too.
_SCRIPTS: Final = frozenset({"source", "on-event", "on-up", "on-down"})
#: Rows that every box has, which a reading by rows says more of than an export.
_OF_EVERY_BOX: Final = frozenset({"set"})

Menu = str


def digest(statements: Iterable[Statement]) -> str:
    """Two configurations with the same one do not differ."""
    found = sha256()
    for menu, rows in sorted(_by_menu(statements, Compared()).items()):
        texts = [f"{menu} {one.text}\n" for one in rows]
        for text in texts if _ordered(menu) else sorted(texts):
            found.update(text.encode("utf-8", "surrogateescape"))
    return found.hexdigest()


class Compared(NamedTuple):
    """`within`: the menus that both tell of; None: all. `rows_only`: one of the two was read by rows."""

    within: frozenset[Menu] | None = None
    rows_only: bool = False


def difference(before: Iterable[Statement], after: Iterable[Statement], compared: Compared = Compared()) -> list[str]:
    """Lines for people."""
    old, new = _by_menu(before, compared), _by_menu(after, compared)
    lines: list[str] = []
    for menu in sorted(old.keys() | new.keys()):
        changed = _of_menu(menu, old.get(menu, []), new.get(menu, []))
        lines += [prompt_of(menu), *changed] if changed else []
    return lines


def masked(text_statements: Iterable[Statement]) -> list[str]:
    """All of a configuration, for people who are not to see its secrets."""
    lines: list[str] = []
    last = ""
    for one in text_statements:
        if one.menu != last:
            last = one.menu
            lines.append(prompt_of(one.menu))
        lines.append(_shown(one))
    return lines


def _by_menu(statements: Iterable[Statement], compared: Compared) -> dict[Menu, list[Statement]]:
    found: dict[Menu, list[Statement]] = {}
    for one in statements:
        if compared.within is not None and one.menu not in compared.within:
            continue
        if not (compared.rows_only and one.verb in _OF_EVERY_BOX):
            found.setdefault(one.menu, []).append(canonical_of(one))
    return found


def _of_menu(menu: Menu, before: Sequence[Statement], after: Sequence[Statement]) -> list[str]:
    gone, new = _in_order(before, after) if _ordered(menu) else _in_any_order(before, after)
    moved = Counter(gone) & Counter(new)
    hidden = Counter(map(_shown, (one for one in gone if one not in moved)))
    hidden &= Counter(map(_shown, (one for one in new if one not in moved)))
    return [f"- {_shown(one)}" for one in gone] + [f"+ {_shown(one)}{_note(one, moved, hidden)}" for one in new]


def _note(one: Statement, moved: Counter[Statement], hidden: Counter[str]) -> str:
    if one in moved:
        return "  # moved"
    return "  # a secret changed" if _shown(one) in hidden else ""


def _ordered(menu: Menu) -> bool:
    """Of a menu that we do not know the order may count."""
    return menu not in MENUS or MENUS[menu].ordered is not None


def _in_order(before: Sequence[Statement], after: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    gone: list[Statement] = []
    new: list[Statement] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, before, after, False).get_opcodes():
        if kind != "equal":
            gone += before[start:end]
            new += after[other_start:other_end]
    return gone, new


def _in_any_order(before: Sequence[Statement], after: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    old, fresh = Counter(before), Counter(after)
    return list((old - fresh).elements()), list((fresh - old).elements())


def _shown(one: Statement) -> str:
    return one.written({name: HIDDEN for name, value in one.values if value and is_secret(one.menu, name)})


def is_secret(menu: Menu, name: str) -> bool:
    if name in _SCRIPTS or name in _SECRET_MENUS.get(menu, ()):
        return True
    schema = MENUS.get(menu)
    if schema is not None and name in schema.fields:
        return schema.fields[name].secret
    return _SECRET.fullmatch(name) is not None
