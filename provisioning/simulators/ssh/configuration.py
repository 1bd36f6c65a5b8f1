"""A configuration as boxes show it: lines, each with those below it, by indentation.

`compare` is what both platforms' differences are made of: sign, depth and line, with the lines above as context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Line:
    text: str
    below: list[Line] = field(default_factory=list)

    def find(self, text: str) -> Line | None:
        return next((one for one in self.below if one.text == text), None)

    def at(self, path: Sequence[str]) -> Line | None:
        found: Line | None = self
        for text in path:
            found = found.find(text) if found else None
        return found

    def copy(self) -> Line:
        return Line(self.text, [one.copy() for one in self.below])

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Line]]:
        """All lines below it, with their depths."""
        for one in self.below:
            yield depth, one
            yield from one.walk(depth + 1)


class Change(NamedTuple):
    """`sign`: + it is new, - it is gone, blank: context."""

    sign: str
    depth: int
    text: str


def parse(text: str) -> Line:
    """`#` and `!` alone, and what follows `end` or `return`, are no lines."""
    root = Line("")
    above: list[tuple[int, Line]] = [(-1, root)]
    for raw in text.splitlines():
        words = raw.strip()
        if not words or words[0] in "#!":
            continue
        if words in {"end", "return"}:
            break
        indent = len(raw) - len(raw.lstrip())
        while above[-1][0] >= indent:
            above.pop()
        line = Line(words)
        above[-1][1].below.append(line)
        above.append((indent, line))
    return root


def show(root: Line, separator: str) -> str:
    """With a line of the separator between what stands on its own."""
    lines = [separator]
    for one in root.below:
        lines.append(one.text)
        lines += [" " * (depth + 1) + line.text for depth, line in one.walk()]
        if one.below:
            lines.append(separator)
    return "\n".join(lines)


def compare(before: Line, after: Line, depth: int = 0) -> list[Change]:
    """What is gone, then what is new and what has changes below, in the order of each."""
    found = [
        change for one in before.below if after.find(one.text) is None for change in _whole("-", one, depth)
    ]  # fmt: skip
    for one in after.below:
        old = before.find(one.text)
        if old is None:
            found += _whole("+", one, depth)
            continue
        below = compare(old, one, depth + 1)
        if below:
            found += [Change(" ", depth, one.text), *below]
    return found


def _whole(sign: str, line: Line, depth: int) -> list[Change]:
    return [Change(sign, depth, line.text), *(Change(sign, depth + 1 + below, one.text) for below, one in line.walk())]
