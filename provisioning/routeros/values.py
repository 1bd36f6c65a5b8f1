"""What RouterOS writes in its own way, as values."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from aaa.packet import readable

#: `1w2d3h4m5s` since 4.x, with milliseconds at times; `3d04:05:06` before.
_LETTERS: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS_MS: Final = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_COLONS: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d+):(\d+)")
_HEXADECIMAL: Final = re.compile(r"(?:0x)?([0-9a-f]{1,16})", re.IGNORECASE)
#: However its digits are grouped: RouterOS alone has six ways (radius-mac-format).
_MAC: Final = re.compile(r"[0-9A-F]{12}")


def parse_duration(text: str) -> timedelta | None:
    """None where it is none."""
    match = _COLONS.fullmatch(text) or (_LETTERS.fullmatch(text) if text else None)
    if match is None:
        return None
    weeks, days, hours, minutes, seconds, *rest = (int(count or 0) for count in match.groups())
    try:
        return timedelta(days, seconds, 0, sum(rest), minutes, hours, weeks)
    except OverflowError:
        return None


def duration_text(duration: timedelta) -> str:
    """As RouterOS prints it since 4.x; what is shorter than a millisecond is nothing, and so is what is negative."""
    left, parts = max(0, duration // timedelta(milliseconds=1)), ""
    for name, unit in _UNITS_MS:
        count, left = divmod(left, unit)
        parts += f"{count}{name}" if count else ""
    return parts or "0s"


def session_number(text: str) -> int | None:
    """`0x81C00002` in /ppp/active is the Acct-Session-Id `81c00002`. None where it is no such number."""
    match = _HEXADECIMAL.fullmatch(text)
    return int(match[1], 16) if match else None


def mac_address(text: str) -> str | None:
    """As RouterOS writes it; None where it is none."""
    digits = re.sub(r"[:.-]", "", text.upper())
    if not _MAC.fullmatch(digits):
        return None
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def text_of(value: str) -> str:
    """As accounting has the same octets, which a RADIUS packet brought."""
    return readable(value.encode("utf-8", "surrogateescape"))
