"""Rows with names, from a query or a file: which column says what, by settings. Pure.

id          the subscriber's own key there        login      may be several, separated by blanks
standing    a code of `standings`                 document   CPF or CNPJ
by_hand     yes, sim, s, true, 1 or nothing       customer   our customer's external reference
reason, name
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from billing_hooks.follow.base import Malformed, Reading, Word, gather, make_word, malformed, parse_standings
from billing_hooks.invoicing.words import Words, said_by
from core.errors import InvalidInput

COLUMNS: Final = ("id", "standing", "by_hand", "reason", "name", "document", "customer", "login")
REQUIRED: Final = ("id", "standing")
STANDINGS: Final = "full=full, throttle=throttle, walled_garden=walled_garden, block=block"
_YES: Final = frozenset({"1", "s", "sim", "t", "true", "y", "yes"})
_NO: Final = frozenset({"", "0", "n", "nao", "não", "f", "false", "no", "none"})


def read_rows(rows: Iterable[tuple[int, Mapping[str, str]]], standings_text: str) -> Reading:
    """Each row with its number, by the names of COLUMNS; what it lacks is empty."""
    standings = parse_standings(standings_text)
    found: list[Word | Malformed] = []
    for number, row in rows:
        key = row.get("id", "").strip()
        try:
            effect, by_hand = standings.of(row.get("standing", ""))
            word: Word | Malformed = make_word(
                key, (effect, by_hand or _is_yes(row.get("by_hand", ""))), reason=row.get("reason", ""),
                name=row.get("name", ""), document=row.get("document", ""), customer_ref=row.get("customer", ""),
                logins=row.get("login", "").split(),
            )  # fmt: skip
        except InvalidInput as error:
            word = malformed(Words(f"linha {number}", f"row {number}"), said_by(error), key)
        found.append(word)
    return gather(found)


def _is_yes(text: str) -> bool:
    plain = text.strip().casefold()
    if plain not in _YES | _NO:
        raise InvalidInput(
            f"by_hand is yes or no, not {text[:40]!r}", detail_pt=f"by_hand é sim ou não, e não {text[:40]!r}"
        )
    return plain in _YES
