"""What is drawn of a code: the squares of a QR code and the bars of a barcode. Pure."""

from __future__ import annotations

from itertools import chain
from typing import Final

import segno

from core.errors import InvalidInput

#: What two digits look like, one in bars and one in spaces: 1 is wide (ISO/IEC 16390, Interleaved 2 of 5).
_PATTERNS: Final = ("00110", "10001", "01001", "11000", "00101", "10100", "01100", "00011", "10010", "01010")
#: FEBRABAN: a wide bar is three narrow ones.
WIDE: Final = 3


def qr_matrix(text: str) -> tuple[tuple[bool, ...], ...]:
    """Rows of squares, True is dark, without the quiet zone of four squares that belongs around it."""
    try:
        code = segno.make_qr(text, error="m")
    except segno.DataOverflowError:
        raise InvalidInput("is too long for a QR code", field="text") from None
    return tuple(tuple(bool(square) for square in row) for row in code.matrix)


def interleaved_2_of_5(digits: str) -> tuple[int, ...]:
    """Widths of bars and spaces in turn, the first and the last a bar, in narrow bars."""
    if not (digits.isascii() and digits.isdigit() and len(digits) % 2 == 0):
        raise InvalidInput("an interleaved barcode has an even number of digits", field="digits")
    pairs = (zip(_PATTERNS[int(one)], _PATTERNS[int(other)], strict=True)
             for one, other in zip(digits[::2], digits[1::2], strict=True))  # fmt: skip
    widths = (WIDE if element == "1" else 1 for pair in pairs for element in chain.from_iterable(pair))
    return (1, 1, 1, 1, *widths, WIDE, 1, 1)
