"""The wire format: a word is its length and its octets, a sentence is words and an empty one.

The length takes one to five octets, by how many of the first one's high bits are set; first octets from 0xF8 on are
reserved. Whatever pieces octets come in, the sentences are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

#: Nothing that a client of ours or another's sends is longer; a router has little memory, too.
WORD_OCTETS_MAX: Final = 1 << 20
SENTENCE_OCTETS_MAX: Final = 1 << 22


class Malformed(Exception):
    """This cannot be a sentence, whatever comes next."""


class _Form(NamedTuple):
    """Of a length: `below` what it can say, in how many octets, the first one marked."""

    below: int
    octets: int
    mark: int


_FORMS: Final = (
    _Form(0x80, 1, 0x00),
    _Form(0x4000, 2, 0x80),
    _Form(0x200000, 3, 0xC0),
    _Form(0x10000000, 4, 0xE0),
    _Form(0x100000000, 5, 0xF0),
)


def encode_length(length: int) -> bytes:
    if length < 0x80:  # nearly every word there is
        return length.to_bytes(1, "big")
    form = next(form for form in _FORMS if length < form.below)
    octets = bytearray(length.to_bytes(form.octets, "big"))
    octets[0] |= form.mark
    return bytes(octets)


def encode_sentence(words: Iterable[bytes]) -> bytes:
    return b"".join(encode_length(len(word)) + word for word in words) + b"\x00"


class Decoder:
    """Sentences out of octets as they come."""

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0
        self._words: list[bytes] = []
        self._size = 0

    def feed(self, octets: bytes) -> list[list[bytes]]:
        """The sentences that are whole now; empty ones are nothing. Raises Malformed."""
        self._octets, self._at = self._octets[self._at :] + octets, 0
        sentences = []
        while (word := self._next_word()) is not None:
            if word:
                self._take(word)
            elif self._words:
                sentences.append(self._words)
                self._words, self._size = [], 0
        return sentences

    def _take(self, word: bytes) -> None:
        self._size += len(word)
        if self._size > SENTENCE_OCTETS_MAX:
            raise Malformed("a sentence of impossible length")
        self._words.append(word)

    def _next_word(self) -> bytes | None:
        """None while it is not whole."""
        left = len(self._octets) - self._at
        if not left:
            return None
        form = _form(self._octets[self._at])
        if left < form.octets:
            return None
        start = self._at + form.octets
        length = int.from_bytes(self._octets[self._at : start], "big") - (form.mark << 8 * (form.octets - 1))
        if length > WORD_OCTETS_MAX:
            raise Malformed("a word of impossible length")
        if len(self._octets) - start < length:
            return None
        self._at = start + length
        return self._octets[start : self._at]


def _form(first: int) -> _Form:
    if first >= 0xF8:
        raise Malformed(f"a reserved control octet {first:#04x}")
    return next(form for form in reversed(_FORMS) if first >= form.mark)
