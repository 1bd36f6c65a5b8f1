"""Which lines a platform takes, in which view, and which of them replace one another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from provisioning.simulators.ssh.configuration import Line


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern`: the whole line. `view`: what it opens. `single`: so many of its first words are there only once."""

    pattern: re.Pattern[str]
    view: str | None = None
    single: int | None = None


def rule(pattern: str, view: str | None = None, *, single: int | None = None) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), view, single)


#: By view; the first that fits counts.
Grammar = Mapping[str, Sequence[Rule]]
#: The view that everything begins in.
TOP: Final = "top"


def find_rule(grammar: Grammar, view: str, words: str) -> Rule | None:
    return next((one for one in grammar.get(view, ()) if one.pattern.fullmatch(words)), None)


def enter(above: Line, words: str, taken: Rule) -> Line:
    """The line with these words, which is there afterwards; one that it replaces gives up its place."""
    found = above.find(words)
    if found is not None:
        return found
    new = Line(words)
    old = _replaced(above, words, taken)
    if old is None:
        above.below.append(new)
    else:
        above.below[above.below.index(old)] = new
    return new


def take_away(above: Line, words: str) -> bool:
    """Lines that are these words, or begin with them; whether there were any."""
    gone = [one for one in above.below if one.text == words or one.text.startswith(f"{words} ")]
    for one in gone:
        above.below.remove(one)
    return bool(gone)


def _replaced(above: Line, words: str, taken: Rule) -> Line | None:
    if taken.single is None:
        return None
    first = words.split()[: taken.single]
    return next((one for one in above.below if one.text.split()[: taken.single] == first), None)


def load(grammar: Grammar, configuration: Line) -> tuple[Line, list[tuple[str, ...]]]:
    """What a box without configuration has after these lines; and those that it does not take, each below others."""
    root = Line("")
    return root, list(_load(grammar, TOP, root, configuration, ()))


def _load(grammar: Grammar, view: str, above: Line, given: Line, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for one in given.below:
        taken = find_rule(grammar, view, one.text)
        if taken is None:
            yield (*path, one.text)
            continue
        yield from _load(grammar, taken.view or "", enter(above, one.text, taken), one, (*path, one.text))
