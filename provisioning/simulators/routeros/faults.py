"""What goes wrong to order. A fault waits for its command, counted from when it was ordered, and then does once, or
`times` times, or always (0), what it is:

    slow      the answer takes `seconds`
    refuse    the answer is a trap with `message` and `category`
    cut       the connection ends
    reboot    the router reboots, and nobody gets in for `seconds`
    silent    nothing is answered, and the connection stays

`when` says how far the command got: "before" it is not done; "after" it is done, but of its answer come only
`sentences` and `octets`; "answered" it is done, and its answer came whole. `command` is the beginning of the commands
that count ("/ppp/secret/add", "/ppp"); empty, all of them but the login.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import count
from typing import Final

from provisioning.simulators.routeros.command import Command
from provisioning.simulators.routeros.errors import MISSING, Refused, invalid, no_match
from provisioning.simulators.routeros.menus import Missing, Row

MENU: Final = "/simulate/faults"


class FaultKind(StrEnum):
    SLOW = "slow"
    REFUSE = "refuse"
    CUT = "cut"
    REBOOT = "reboot"
    SILENT = "silent"


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    command: str = ""
    #: 1: the next command that counts.
    at: int = 1
    times: int = 1
    seconds: float = 0.0
    when: When = When.BEFORE
    sentences: int = 0
    octets: int = 0
    message: str = "failure: so ordered"
    category: int | None = None

    def counts(self, word: str) -> bool:
        if not self.command:
            return self.kind is FaultKind.SILENT or word != "/login"
        return word == self.command or word.startswith(f"{self.command}/")


@dataclass(slots=True)
class _Ordered:
    fault: Fault
    seen: int = 0
    done: int = 0


class Faults:
    """Of one router. Any thread may order, see and take back."""

    def __init__(self) -> None:
        self._ordered: dict[int, _Ordered] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> str:
        """The id under which it can be taken back."""
        with self._lock:
            number = next(self._numbers)
            self._ordered[number] = _Ordered(fault)
            return f"*{number:X}"

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def due(self, command: Command) -> list[Fault]:
        """What this command meets. Every command is asked about once."""
        if not self._ordered or command.word.startswith("/simulate/"):
            return []
        with self._lock:
            return [one.fault for one in list(self._ordered.values()) if self._meets(one, command.word)]

    def _meets(self, one: _Ordered, word: str) -> bool:
        fault = one.fault
        if (fault.times and one.done >= fault.times) or not fault.counts(word):
            return False
        one.seen += 1
        if one.seen < fault.at:
            return False
        one.done += 1
        return True

    # As a menu

    @property
    def commands(self) -> frozenset[str]:
        return frozenset({"print", "getall", "remove"})

    def rows(self) -> list[Row]:
        with self._lock:
            return [_row(number, one) for number, one in self._ordered.items()]

    def remove(self, row_id: str) -> None:
        with self._lock:
            if not row_id.startswith("*") or self._ordered.pop(_number(row_id), None) is None:
                raise Missing(row_id)


def fault_of(arguments: Mapping[str, str]) -> Fault:
    """Raises Refused."""
    known = {field.name for field in fields(Fault)}
    if not known.issuperset(arguments):
        raise Refused("unknown parameter")
    if "kind" not in arguments:
        raise Refused("missing =kind=", MISSING)
    found: dict[str, object] = {}
    for name, value in arguments.items():
        try:
            found[name] = _TYPES.get(name, str)(value)
        except ValueError:
            raise no_match(name) if name in {"kind", "when"} else invalid(name) from None
    return Fault(**found)  # type: ignore[arg-type]


_TYPES: Final[Mapping[str, type]] = {
    "kind": FaultKind, "when": When, "at": int, "times": int, "seconds": float, "sentences": int, "octets": int,
    "category": int,
}  # fmt: skip


def _number(row_id: str) -> int:
    try:
        return int(row_id[1:], 16)
    except ValueError:
        return -1


def _row(number: int, one: _Ordered) -> Row:
    said = {field.name: getattr(one.fault, field.name) for field in fields(Fault)}
    shown = {name: str(value) for name, value in said.items() if value is not None}
    return {".id": f"*{number:X}", **shown, "seen": str(one.seen), "done": str(one.done)}
