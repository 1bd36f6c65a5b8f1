"""Queries of `print`, as the manual has them: `?` words that are evaluated in order on a stack of truths.

    ?name       the row has this property          ?-name      it has not
    ?name=x     it is x (also ?=name=x)            ?<name=x, ?>name=x   less, greater
    ?#ops       `!` not, `&` and, `|` or; digits are an index into the stack, 0 the top: before another character its
                value is copied to the top, at the end of the word it replaces all values; `.` copies the top, and after
                an index does nothing

The stack begins with endlessly many truths, and a row succeeds where none of the values left is false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Final

_OPERATION: Final = re.compile(r"([0-9]+)(\.?)|([!&|.])")
_DURATION: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class BadQuery(Exception):
    """The word is no query."""


def matches(row: Mapping[str, str], queries: Sequence[str]) -> bool:
    """Raises BadQuery."""
    stack: list[bool] = []
    for query in queries:
        if query.startswith("#"):
            _operate(stack, query[1:])
        else:
            stack.append(_truth(row, query))
    return all(stack)


def _truth(row: Mapping[str, str], query: str) -> bool:
    kind, rest = (query[0], query[1:]) if query[:1] in {"-", "=", "<", ">"} else ("=", query)
    name, equals, value = rest.partition("=")
    if kind == "-":
        return rest not in row
    if not equals:
        return name in row
    if name not in row:
        return False
    if kind == "=":
        return row[name] == value
    have, wanted = _comparable(row[name]), _comparable(value)
    if have[0] != wanted[0]:
        return False
    return have < wanted if kind == "<" else have > wanted


def _comparable(value: str) -> tuple[int, int, str]:
    """Numbers, addresses and times by what they say, anything else as text."""
    if value.isdecimal():
        return (1, int(value), "")
    if value and (match := _DURATION.fullmatch(value)):
        seconds = sum(
            int(count or 0) * unit for count, unit in zip(match.groups(), (604800, 86400, 3600, 60, 1), strict=True)
        )
        return (2, seconds, "")
    try:
        return (3, int(IPv4Address(value)), "")
    except ValueError:
        return (4, 0, value)


def _operate(stack: list[bool], operations: str) -> None:
    at = 0
    while at < len(operations):
        match = _OPERATION.match(operations, at)
        if match is None:
            raise BadQuery(operations)
        at = match.end()
        if match[1]:
            value = _value(stack, int(match[1]))
            if at == len(operations) and not match[2]:
                stack[:] = [value]
            else:
                stack.append(value)
        else:
            _combine(stack, match[3])


def _combine(stack: list[bool], operation: str) -> None:
    match operation:
        case "!":
            stack.append(not _pop(stack))
        case ".":
            stack.append(_value(stack, 0))
        case "&":
            first, second = _pop(stack), _pop(stack)
            stack.append(first and second)
        case _:
            first, second = _pop(stack), _pop(stack)
            stack.append(first or second)


def _pop(stack: list[bool]) -> bool:
    return stack.pop() if stack else True


def _value(stack: list[bool], index: int) -> bool:
    return stack[-1 - index] if index < len(stack) else True
