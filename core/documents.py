"""Brazilian tax identities: CPF (persons) and CNPJ (businesses), the alphanumeric CNPJ included.

Sources: Receita Federal, IN RFB 2.229/2024 (alphanumeric CNPJ from July 2026: twelve characters 0-9A-Z, two
check digits computed over ASCII code minus 48, modulus 11). Another country's document is kept as given.
"""

from __future__ import annotations

import re

from validate_docbr import CPF

from core.errors import InvalidInput

_SEPARATORS = re.compile(r"[\s./-]+")
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}")


def normalise_document(document: str, *, country: str = "BR") -> str:
    """The document without punctuation, upper case, checked; raises InvalidInput naming `document`."""
    plain = _SEPARATORS.sub("", document).upper()
    if country != "BR":
        return plain
    if len(plain) == 11 and plain.isascii() and plain.isdigit():
        if not CPF().validate(plain):
            raise InvalidInput("the CPF's check digits do not fit; look for a typing error", field="document")
        return plain
    if _CNPJ.fullmatch(plain):
        if plain[12:] != _cnpj_check_digits(plain[:12]):
            raise InvalidInput("the CNPJ's check digits do not fit; look for a typing error", field="document")
        return plain
    raise InvalidInput("a document is a CPF (11 digits) or a CNPJ (14 characters)", field="document")


def _cnpj_check_digits(base: str) -> str:
    first = _modulus_11(base)
    return first + _modulus_11(base + first)


def _modulus_11(characters: str) -> str:
    # Weights run 2..9 from the right and start again (IN RFB 2.229/2024, annex).
    total = sum((ord(character) - 48) * (2 + place % 8) for place, character in enumerate(reversed(characters)))
    rest = total % 11
    return "0" if rest < 2 else str(11 - rest)
