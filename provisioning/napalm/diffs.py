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
#: How a box keeps a secret, before it.
_HOW: Final = r"(?:cipher|simple|irreversible-cipher|hash2?|encrypted|sha\d+|ascii-text|hexadecimal|\d{1,2}[a-z]?)"
#: What a word that announces a secret is followed by: perhaps how it is kept, then itself.
_ANNOUNCED: Final = re.compile(
    r"""((?:^|[\s"])(?:(?:pre-)?(?:shared-|server-)?key(?:-cipher|-string)?|(?:[a-z-]+-)?password|secret"""
    r"""|(?<!set\s)community(?:\s+(?:read|write|ro|rw))?|authentication-key|authentication\s+text"""
    r"""|message-digest-key\s+\d+\s+md5|standby\s+\d+\s+authentication(?!\s+md5))"""
    rf"""(?:\s+{_HOW})?\s+)("[^"]*"|[^\s;]+)""",
    re.IGNORECASE,
)
#: A secret as boxes keep it is one wherever it stands.
_CIPHERED: Final = re.compile(r"%\^%#.*?%\^%#|%@%@.*?%@%@|\$1[acd]\$\S+|\$(?:1|2[aby]|5|6|8|9|14|sha512)\$[^\s\";]+")
#: Of SNMPv3 users both secrets are behind words of many forms.
_SNMP_USER: Final = re.compile(r"(snmp-server user .*?\s(?:auth|priv)\s).*")
_KEPT_AS: Final = re.compile(rf"\s+{_HOW}\s+\*\*\*", re.IGNORECASE)
#: Words after `key`, `secret` … that say what it is for.
_NO_SECRET: Final = frozenset({"cipher", "simple", "chain", "encrypted", "interface", "{"})


def mask(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASKED)
    text = _SNMP_USER.sub(rf"\1{MASKED}", _CIPHERED.sub(MASKED, text))
    return _ANNOUNCED.sub(lambda found: found[0] if found[2] in _NO_SECRET else f"{found[1]}{MASKED}", text)


def clean(diff: str, secrets: Iterable[str]) -> list[str]:
    """For people, and to be kept: without what says nothing."""
    return [line.rstrip() for line in mask(diff, secrets).splitlines() if line.strip() not in {"", "!", "#", "+", "-"}]


def without_secrets(lines: Sequence[str], configuration: str | None = None) -> list[str]:
    """Without lines that hold a secret, and without those that then have nothing left to say.

    With what the box has, only without lines that are there already, with whatever secret.
    """
    there = None if configuration is None else _shown_paths(configuration)
    shown, kept = _with_paths(lines), list[str]()
    following = ""  # of what is kept, from the last line to the first
    for number in reversed(range(len(lines))):
        line, path = shown[number]
        if not _says_nothing(line, path, there) and not _is_idle(line, lines[number + 1 : number + 2], following):
            kept.append(line)
            following = line
    return kept[::-1]


def changes(lines: Sequence[str]) -> bool:
    """Whether anything is left that changes something."""
    return any(line[:1] in {"+", "-"} for line in lines)


def expected(lines: Sequence[str]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """What is to be there, and what is not, as paths; of a configuration by indentation. `-no …` is as good as `-…`."""
    there, gone = set[tuple[str, ...]](), set[tuple[str, ...]]()
    for line, path in _with_paths(lines):
        if line[:1] == "+":
            there.add(path)
        elif line[:1] == "-":
            gone.add((*path[:-1], path[-1].removeprefix("no ").removeprefix("undo ")))
    return there, gone - there


def paths(configuration: str) -> list[tuple[str, ...]]:
    """Every line with those that it stands below; what is behind `#` or `!` is none."""
    found: list[tuple[str, ...]] = []
    above: list[tuple[int, str]] = []
    for raw in configuration.splitlines():
        words = raw.strip()
        if not words or words[0] in "#!":
            continue
        indent = len(raw) - len(raw.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, words))
        found.append(tuple(one for _, one in above))
    return found


def unseen(lines: Sequence[str], configuration: str) -> list[str]:
    """What was to change there and has not, each with what it stands below."""
    there, gone = expected(lines)
    found = _shown_paths(configuration)
    return [f"+{' / '.join(path)}" for path in sorted(there - found)] + [
        f"-{' / '.join(path)}" for path in sorted(gone & found)
    ]


def _with_paths(lines: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each line of a difference with what it stands below, and itself; how a secret is kept is no matter."""
    found: list[tuple[str, tuple[str, ...]]] = []
    above: list[tuple[int, str]] = []
    for line in lines:
        indent, words = _indent(line), _bare(line[1:].strip())
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, words))
        found.append((line, tuple(one for _, one in above)))
    return found


def _shown_paths(configuration: str) -> set[tuple[str, ...]]:
    return {tuple(_bare(one) for one in path) for path in paths(mask(configuration, ()))}


def _bare(words: str) -> str:
    return _KEPT_AS.sub(f" {MASKED}", words) if MASKED in words else words


def _says_nothing(line: str, path: tuple[str, ...], there: set[tuple[str, ...]] | None) -> bool:
    return MASKED in line and (there is None or path in there)


def _is_idle(line: str, below: Sequence[str], following: str) -> bool:
    """It had something below, or only stands above something, and nothing of that is left."""
    had_below = bool(below) and _indent(below[0]) > _indent(line)
    if line[:1] != " " and not had_below:
        return False
    return not following or _indent(following) <= _indent(line)


def _indent(line: str) -> int:
    return len(line[1:]) - len(line[1:].lstrip())
