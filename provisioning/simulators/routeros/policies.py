"""What users and scripts may be allowed, by release; a group shows what it lacks as well, as `!ftp`."""

from __future__ import annotations

from typing import Final

from provisioning.routeros.schema import Release

#: In the order in which routers print them.
_ALL: Final = (
    "local", "telnet", "ssh", "ftp", "reboot", "read", "write", "policy", "test", "winbox", "password", "web", "sniff",
    "sensitive", "api", "romon",
)  # fmt: skip
_SINCE_7: Final = "rest-api"
_UNTIL_7: Final = ("dude", "tikapp")
POLICIES: Final = frozenset({*_ALL, _SINCE_7, *_UNTIL_7})


def known(release: Release) -> tuple[str, ...]:
    return (*_ALL, _SINCE_7) if release >= (7, 0) else (*_ALL, *_UNTIL_7)


def shown(policies: str, release: Release) -> str:
    """Of what was said, all that the release knows."""
    held = set(policies.split(","))
    return ",".join(one if one in held else f"!{one}" for one in known(release))
