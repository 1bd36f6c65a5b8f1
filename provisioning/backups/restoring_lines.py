"""A version of a box that is not RouterOS, entered into a new simulated box of its platform, and compared.

Lines that the simulated box does not take are named, by how they begin and with how often that occurs, and the rest is
tried without them. Of a platform that is not simulated it is said that the version opened and is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from provisioning.backups.lines import Path, differing, paths
from provisioning.backups.restoring import Outcome
from provisioning.simulators.ssh.cisco import GRAMMAR as CISCO_IOS
from provisioning.simulators.ssh.configuration import parse, show
from provisioning.simulators.ssh.grammar import Grammar, load
from provisioning.simulators.ssh.huawei import GRAMMAR as HUAWEI_VRP8

_GRAMMARS: Final[Mapping[str, Grammar]] = {"cisco_ios": CISCO_IOS, "huawei_vrp8": HUAWEI_VRP8}


def restore_lines(text: str, platform: str) -> Outcome:
    """`platform`: as templates name it."""
    wanted = paths(text)
    grammar = _GRAMMARS.get(platform)
    if grammar is None:
        return Outcome(len(wanted), (f"all of it, since no {platform or 'such box'} is simulated",), ())
    restored, refused = load(grammar, parse(text))
    others = set(refused)
    left = [path for path in wanted if not _is_below(path, others)]
    not_played = Counter(_beginning(path) for path in wanted if _is_below(path, others))
    told = tuple(f"{name}: {number}" for name, number in not_played.items())
    return Outcome(len(wanted), told, tuple(differing(left, paths(show(restored, "#")))))


def _is_below(path: Path, others: AbstractSet[Path]) -> bool:
    """Or is one of them."""
    return any(path[:depth] in others for depth in range(1, len(path) + 1))


def _beginning(path: Path) -> str:
    return " / ".join(line.split()[0] for line in path)
