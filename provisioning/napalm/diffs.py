"""What a box says a candidate would change, made fit to be kept, shown and compared; pure.

A line is its sign (+ new, - gone, blank for what it stands below) and the line with its own indentation. Secrets are
not in it: neither ours, nor as the box ciphers them. Boxes cipher anew each time, so whether a secret is the one that
we would have cannot be seen there; lines that hold one are left out where that is the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

MASKED: Final = "***"
#: What a word that announces a secret is followed by: perhaps how it is kept, then itself.
_ANNOUNCED: Final = re.compile(
    r"""((?:^|[\s"])(?:(?:shared-|server-)?key(?:-cipher)?|password|secret|community|authentication-key)"""
    r"""(?:\s+(?:cipher|simple|irreversible-cipher|hash2?|encrypted|[0-9]))?\s+)("[^"]*"|[^\s;]+)""",
    re.IGNORECASE,
)
#: Words after `key`, `secret` … that say what it is for.
_NO_SECRET: Final = frozenset({"cipher", "simple", "chain", "encrypted", "interface", "{"})


def mask(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASKED)
    return _ANNOUNCED.sub(lambda found: found[0] if found[2] in _NO_SECRET else f"{found[1]}{MASKED}", text)


def clean(diff: str, secrets: Iterable[str]) -> list[str]:
    """For people, and to be kept: without what says nothing."""
    return [line.rstrip() for line in mask(diff, secrets).splitlines() if line.strip() not in {"", "!", "#", "+", "-"}]


def without_secrets(lines: Sequence[str]) -> list[str]:
    """Without lines that hold a secret, and without those that then have nothing left to say."""
    left = [line for line in lines if MASKED not in line]
    return [line for number, line in enumerate(left) if not _is_idle(left, number, lines)]


def changes(lines: Sequence[str]) -> bool:
    """Whether anything is left that changes something."""
    return any(line[:1] in {"+", "-"} for line in lines)


def expected(lines: Sequence[str]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """What is to be there, and what is not, as paths; of a configuration by indentation. `-no …` is as good as `-…`."""
    there, gone = set[tuple[str, ...]](), set[tuple[str, ...]]()
    above: list[tuple[int, str]] = []
    for line in lines:
        sign, text = line[:1], line[1:]
        indent, words = len(text) - len(text.lstrip()), text.strip()
        while above and above[-1][0] >= indent:
            above.pop()
        path = (*(one for _, one in above), words)
        above.append((indent, words))
        if MASKED in words:
            continue
        if sign == "+":
            there.add(path)
        elif sign == "-":
            gone.add((*path[:-1], words.removeprefix("no ").removeprefix("undo ")))
    return there, gone - there


def paths(configuration: str) -> set[tuple[str, ...]]:
    """Every line with those that it stands below."""
    found = set[tuple[str, ...]]()
    above: list[tuple[int, str]] = []
    for raw in configuration.splitlines():
        words = raw.strip()
        if not words or words[0] in "#!":
            continue
        indent = len(raw) - len(raw.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, words))
        found.add(tuple(one for _, one in above))
    return found


def unseen(lines: Sequence[str], configuration: str) -> list[str]:
    """What was to change there and has not, each with what it stands below."""
    there, gone = expected(lines)
    found = paths(configuration)
    return [f"+{' / '.join(path)}" for path in sorted(there - found)] + [
        f"-{' / '.join(path)}" for path in sorted(gone & found)
    ]


def _is_idle(left: Sequence[str], number: int, all_lines: Sequence[str]) -> bool:
    """It had something below, and that was secrets only."""
    line = left[number]
    if line[:1] != " " and not _had_below(line, all_lines):
        return False
    following = left[number + 1] if number + 1 < len(left) else ""
    return not following or _indent(following) <= _indent(line)


def _had_below(line: str, lines: Sequence[str]) -> bool:
    number = lines.index(line)
    return number + 1 < len(lines) and _indent(lines[number + 1]) > _indent(line)


def _indent(line: str) -> int:
    return len(line[1:]) - len(line[1:].lstrip())
