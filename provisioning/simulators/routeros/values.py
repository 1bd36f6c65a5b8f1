"""What the router writes in its own way."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """As RouterOS writes times: weeks to seconds, what is zero left out."""
    left, parts = max(0, int(seconds)), ""
    for name, unit in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, unit)
        parts += f"{count}{name}" if count else ""
    return parts or "0s"
