"""The lines that change a user's password at a box of another vendor, by its platform; pure.

UNVERIFIED on a vendor's own box: that VRP8 takes the line without a question. One that is asked is answered with no,
and the password stays. Sources: NetEngine 8000 command reference, local-user password; Cisco IOS Security Command
Reference, username.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_IOS: Final = r"^username {user}(?P<privilege> privilege \d+)?(?: .*)? (?P<kind>secret|password) "
_HUAWEI: Final = r"^ local-user (?P<user>{user}) password (?:irreversible-cipher|cipher) "


def is_known(platform: str) -> bool:
    return platform in _LINES


def password_lines(platform: str, running: str, user: str, new: str) -> str | None:
    """None where what runs has no such user with a password of its own: somebody else lets him in."""
    return _LINES[platform](running, user, new)


def _cisco_ios(running: str, user: str, new: str) -> str | None:
    """His level is said again: not every release keeps it."""
    found = re.search(_IOS.format(user=re.escape(user)), running, re.MULTILINE)
    return found and f"username {user}{found['privilege'] or ''} {found['kind']} {new}\n"


def _huawei_vrp8(running: str, user: str, new: str) -> str | None:
    """User names know no capitals there."""
    found = re.search(_HUAWEI.format(user=re.escape(user)), running, re.MULTILINE | re.IGNORECASE)
    return found and f"aaa\n local-user {found['user']} password irreversible-cipher {new}\n"


_LINES: Final[Mapping[str, Callable[[str, str, str], str | None]]] = {
    "cisco_ios": _cisco_ios, "huawei_vrp8": _huawei_vrp8,
}  # fmt: skip
