"""What is true in a script, and what is less than what. Values are texts; "true" and "yes" are one."""

from __future__ import annotations

import re

from provisioning.simulators.routeros.menus import Row
from provisioning.simulators.routeros.scripting.syntax import ScriptError


def is_true(text: str) -> bool:
    return text in {"true", "yes"}


def word_of(holds: bool) -> str:
    return "true" if holds else "false"


def total(first: str, second: str) -> str:
    try:
        return str(int(first or "0") + int(second.replace("--", "")))
    except ValueError:
        raise ScriptError(f"cannot add {first} and {second}") from None


def compare(first: str, operator: str, second: str) -> bool:
    if operator == "~":
        return _matches(second, first)
    if operator in {"=", "!="}:
        return (first == second) is (operator == "=")
    both = (int(first), int(second)) if first.isdecimal() and second.isdecimal() else None
    less, equal = (both[0] < both[1], both[0] == both[1]) if both else (first < second, first == second)
    return {"<": less, ">": not less and not equal, "<=": less or equal, ">=": not less}[operator]


def holds(row: Row, name: str, operator: str, value: str) -> bool:
    """`yes` is what `print` calls true; a property that is not there is like an empty one."""
    have = row.get(name, "")
    if have in {"true", "false"}:
        value = {"yes": "true", "no": "false"}.get(value, value)
    return compare(have, operator, value)


def _matches(pattern: str, text: str) -> bool:
    """POSIX extended, near enough to Python's."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise ScriptError(f"bad regular expression {pattern}") from None
