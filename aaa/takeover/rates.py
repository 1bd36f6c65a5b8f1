"""What other servers' attributes say of rates, in kbit/s and in one form: `50M` and `50000k` are the same. Pure.

RouterOS manual, RADIUS: `rx[/tx] [rx-burst[/tx-burst] [rx-thr[/tx-thr] [rx-time[/tx-time] [priority [rx-min[/tx-min]`,
where rx is what the subscriber uploads; a tx that is missing is the rx, a threshold the rate, a time one second.
accel-ppp (shaper.c) reads `DOWN/UP` in kbit/s from Filter-Id: the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_UNITS: Final = {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}
_RATE: Final = re.compile(r"(\d{1,12})([kKmMgG]?)")
_SECONDS: Final = re.compile(r"(\d{1,5})s?")
_ACCEL: Final = re.compile(r"(\d{1,9})[/\\:](\d{1,9})")
#: `rate-limit output [access-group N] BPS BURST BURST2 …`, as Cisco's IOS says it and accel-ppp reads it.
_CISCO: Final = re.compile(r"rate-limit (input|output)(?: access-group \S+)? (\d{3,12})\b")
PRIORITY_LOWEST: Final = 8
_Reader = Callable[[str], "int | None"]


@dataclass(frozen=True, slots=True)
class Direction:
    """One way; kbit/s. Without a burst the last three are 0."""

    rate: int
    burst: int = 0
    threshold: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class RateLimit:
    up: Direction
    down: Direction
    priority: int = PRIORITY_LOWEST
    #: A guaranteed rate was named.
    guaranteed: bool = False


def parse_rate_limit(text: str) -> RateLimit | None:
    """What a Mikrotik-Rate-Limit says; None where it says nothing that can be read."""
    parts = text.split()
    if not 1 <= len(parts) <= 6:
        return None
    rate = _pair(parts[0], _kbps)
    burst = _pair(parts[1], _kbps) if len(parts) > 1 else (0, 0)
    threshold = _pair(parts[2], _kbps) if len(parts) > 2 else rate
    seconds = _pair(parts[3], _whole_seconds) if len(parts) > 3 else (1, 1)
    priority = int(parts[4]) if len(parts) > 4 and parts[4].isdigit() else PRIORITY_LOWEST
    if rate is None or burst is None or threshold is None or seconds is None or min(rate) < 1:
        return None
    up, down = (_direction(*values) for values in zip(rate, burst, threshold, seconds, strict=True))
    return RateLimit(up, down, priority, guaranteed=len(parts) > 5 and parts[5] not in {"0", "0/0"})


def parse_filter_rate(text: str) -> tuple[int, int] | None:
    """(down, up) in kbit/s out of a Filter-Id as accel-ppp reads it; None where it is a filter's name."""
    found = _ACCEL.fullmatch(text.strip())
    if found and int(found[1]) > 0 and int(found[2]) > 0:
        return int(found[1]), int(found[2])
    return None


def parse_cisco_rate(text: str) -> tuple[str, int] | None:
    """("down" or "up", kbit/s) out of a line of Cisco's; `output` is towards the subscriber."""
    found = _CISCO.search(text)
    return ("down" if found[1] == "output" else "up", max(1, int(found[2]) // 1000)) if found else None


def _direction(rate: int, burst: int, threshold: int, seconds: int) -> Direction:
    """A burst that is no more than the rate is none."""
    if burst <= rate:
        return Direction(rate)
    return Direction(rate, burst, min(threshold or rate, burst), max(1, seconds))


def _pair(text: str, read: _Reader) -> tuple[int, int] | None:
    first, _, second = text.partition("/")
    up, down = read(first), read(second or first)
    return None if up is None or down is None else (up, down)


def _kbps(text: str) -> int | None:
    found = _RATE.fullmatch(text)
    if found is None:
        return None
    rate_bps = int(found[1]) * _UNITS[found[2].lower()]
    return max(1, rate_bps // 1000) if rate_bps else 0


def _whole_seconds(text: str) -> int | None:
    found = _SECONDS.fullmatch(text)
    return int(found[1]) if found else None
