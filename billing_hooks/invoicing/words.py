"""What is said to people, in Portuguese and English: days, money and documents as Brazil reads them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from core.errors import ProvedorError
from core.language import Language


@dataclass(frozen=True, slots=True, order=True)
class Words:
    """The same thing said in both languages."""

    pt: str
    en: str

    def of(self, language: Language) -> str:
        return self.en if language == "en" else self.pt


def columns(name: str, words: Words | None) -> dict[str, str | None]:
    """As it is stored, told in events and shown over REST: English under the name, Portuguese under `name_pt`."""
    return {name: words.en if words else None, f"{name}_pt": words.pt if words else None}


def of_columns(en: str | None, pt: str | None) -> Words | None:
    """None where nothing is said."""
    return None if en is None or pt is None else Words(pt, en)


def said_by(error: ProvedorError) -> Words:
    """What is technical is the same in both."""
    return Words(error.detail_pt or error.detail, error.detail)


def name(text: str) -> Words:
    """A name, of a plan for example, that is the same in both."""
    return Words(text, text)


def money(cents: int) -> str:
    """R$ 1.234,56 in both languages: it is how the bank shows it."""
    reais, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}R$ {reais:,}".replace(",", ".") + f",{rest:02d}"


def percent(basis_points: int) -> str:
    whole, rest = divmod(basis_points, 100)
    return f"{whole},{rest:02d}%"


def day(on: date, language: Language) -> str:
    return on.isoformat() if language == "en" else f"{on:%d/%m/%Y}"


def moment(at: datetime, zone: tzinfo) -> Words:
    """To the minute, in the provider's zone."""
    local = at.astimezone(zone)
    return Words(f"{local:%d/%m/%Y %H:%M}", f"{local:%Y-%m-%d %H:%M}")


def document(plain: str) -> str:
    """A CPF or CNPJ with its punctuation; anything else as it is."""
    if len(plain) == 11 and plain.isdigit():
        return f"{plain[:3]}.{plain[3:6]}.{plain[6:9]}-{plain[9:]}"
    if len(plain) == 14 and plain.isalnum():
        return f"{plain[:2]}.{plain[2:5]}.{plain[5:8]}/{plain[8:12]}-{plain[12:]}"
    return plain
