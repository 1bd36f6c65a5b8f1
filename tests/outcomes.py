"""A check's answer as a value, for properties over good and bad input alike."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import InvalidInput


def outcome(check: Callable[[str], str], text: str) -> str | InvalidInput:
    """What it returns, or how it refuses; anything else that it raises is a defect and goes on."""
    try:
        return check(text)
    except InvalidInput as refused:
        return refused
