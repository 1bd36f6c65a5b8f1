"""What ends a command: the router refuses it, or ends the connection."""

from __future__ import annotations

from typing import Final

#: Categories of a `!trap`, as the manual numbers them.
MISSING: Final = 0
ARGUMENT: Final = 1
INTERRUPTED: Final = 2
SCRIPT: Final = 3
GENERAL: Final = 4


class Refused(Exception):
    """Answered with a `!trap`. `category` None: the router says none."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.category = category


class Ended(Exception):
    """Answered with a `!fatal`: the connection is over."""


def failure(message: str) -> Refused:
    """What a menu's own program refuses. It comes without a category."""
    return Refused(f"failure: {message}")


class NoSuchItem(Refused):
    def __init__(self) -> None:
        super().__init__("no such item", MISSING)


def no_match(field: str) -> Refused:
    return Refused(f"input does not match any value of {field}", ARGUMENT)


def invalid(field: str) -> Refused:
    return Refused(f"invalid value for argument {field}", ARGUMENT)


def unknown_parameter(name: str) -> Refused:
    return Refused(f"unknown parameter {name}")


def not_permitted() -> Refused:
    return Refused("not enough permissions (9)")


class LoginFailed(Exception):
    """Of a subscriber; he is told no more than that."""
