r"""Strings as scripts and exports have them.

In quotes `\"`, `\\`, `\$` and `\?` are themselves, `\n \r \t \a \b \f \v` what they are elsewhere, `\_` is a space, two
hexadecimal digits an octet. A backslash at the end of a line joins the next one, without what it is indented by.
"""

from __future__ import annotations

import re
from typing import Final

ESCAPES: Final = {
    '"': b'"', "\\": b"\\", "$": b"$", "?": b"?", "_": b" ", "n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a",
    "b": b"\b", "f": b"\f", "v": b"\v",
}  # fmt: skip
_WRITTEN: Final = {'"': '\\"', "\\": "\\\\", "$": "\\$", "?": "\\?", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/,@*+-]+")


def quote(text: str) -> str:
    """As a value, in quotes where it must be."""
    if _PLAIN.fullmatch(text):
        return text
    return f'"{"".join(units(text))}"'


def units(text: str) -> list[str]:
    """The characters between the quotes, each as it is written: nothing may come in between one's own."""
    return [unit for character in text for unit in _unit(character)]


def _unit(character: str) -> list[str]:
    if character in _WRITTEN:
        return [_WRITTEN[character]]
    if " " <= character <= "~":
        return [character]
    return [f"\\{octet:02X}" for octet in character.encode("utf-8", "surrogateescape")]
