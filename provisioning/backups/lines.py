"""A configuration of lines below lines, as every box but RouterOS shows it: what two do not share; pure.

      interface GigabitEthernet0/1/0
    -  description old
    +  description new

A line is what it stands below, and itself. Of a secret it is said that it changed. Comments are no configuration.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Final

from provisioning.napalm.diffs import mask
from provisioning.napalm.diffs import paths as all_paths

Path = tuple[str, ...]

#: What changes by itself, what a box says of its answer, and lines that only end what is above them.
_NO_CONFIGURATION: Final = re.compile(
    r"ntp clock-period \d+|Building configuration.*|Current configuration *:.*|Using \d+ out of .*"
    r"|[})]+;?|exit( all)?|end|return"
)


def paths(text: str) -> list[Path]:
    return [path for path in all_paths(text) if not _NO_CONFIGURATION.fullmatch(path[-1])]


def digest(text: str) -> str:
    """Two configurations with the same one do not differ."""
    found = sha256()
    for path in paths(text):
        found.update("\n".join((*path, "")).encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()


def masked(text: str) -> list[str]:
    return [mask(line.rstrip(), ()) for line in text.splitlines()]


def difference(before: str, after: str) -> list[str]:
    """Lines for people."""
    return differing(paths(before), paths(after))


def differing(before: Sequence[Path], after: Sequence[Path]) -> list[str]:
    gone: list[Path] = []
    new: list[Path] = []
    changes: list[tuple[str, Path]] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, before, after, False).get_opcodes():
        if kind != "equal":
            gone += before[start:end]
            new += after[other_start:other_end]
            changes += [("-", path) for path in before[start:end]]
            changes += [("+", path) for path in after[other_start:other_end]]
    moved = Counter(gone) & Counter(new)
    hidden = Counter(map(_shown, (path for path in gone if path not in moved)))
    hidden &= Counter(map(_shown, (path for path in new if path not in moved)))
    return list(_written(changes, moved, hidden))


def _written(changes: Iterable[tuple[str, Path]], moved: Counter[Path], hidden: Counter[Path]) -> Iterator[str]:
    above: Path = ()
    for sign, path in changes:
        for depth in range(len(path) - 1):
            if above[: depth + 1] != path[: depth + 1]:
                yield _line(" ", path[: depth + 1])
        above = path
        yield _line(sign, path) + ("" if sign == "-" else _note(path, moved, hidden))


def _line(sign: str, path: Path) -> str:
    return f"{sign} {' ' * (len(path) - 1)}{mask(path[-1], ())}"


def _note(path: Path, moved: Counter[Path], hidden: Counter[Path]) -> str:
    if path in moved:
        return "  # moved"
    return "  # a secret changed" if _shown(path) in hidden else ""


def _shown(path: Path) -> Path:
    return tuple(mask(line, ()) for line in path)
