"""What another billing system says of its subscribers, and how an adapter reads one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
import msgspec

from billing_hooks.bank_files.base import clean, plain_document
from billing_hooks.gateways.base import Access
from billing_hooks.invoicing.words import Words, name
from core.access import HoldEffect
from core.errors import InvalidInput, ProvedorError

MakeClient = Callable[[Access], httpx.Client]

#: Of a system that would never stop listing.
SUBSCRIBERS_MAX: Final = 1_000_000
#: Logins of one subscriber that are looked at.
LOGINS_MAX: Final = 20
FULL: Final = "full"
_BY_HAND: Final = "!"
_TWICE: Final = Words(
    "é listado duas vezes, com dois estados ou donos", "is listed twice, with two standings or owners"
)


class Unreadable(ProvedorError):
    """The other system could not be read as a whole: away, refusing us, or answering something else."""

    status = 502
    title = "The other billing system cannot be read"

    def __init__(self, words: Words) -> None:
        super().__init__(words.en, detail_pt=words.pt)


@dataclass(frozen=True, slots=True)
class Word:
    """What the system says of one subscriber. `key` is its own, and stays; the rest of who it is may find our contract.

    `effect` None: full access. `by_hand`: a person decided it there, no automatism.
    """

    key: str
    effect: HoldEffect | None
    by_hand: bool = False
    reason: str = ""
    name: str = ""
    document: str = ""
    customer_ref: str = ""
    logins: tuple[str, ...] = ()


class Malformed(msgspec.Struct, frozen=True):
    """A row that says nothing that can be understood, in both languages. `key` is None where not even whose it is."""

    row: str
    row_pt: str
    detail: str
    detail_pt: str
    key: str | None = None

    @property
    def words(self) -> Words:
        return Words(f"{self.row_pt}: {self.detail_pt}", f"{self.row}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Reading:
    """All subscribers that the system lists. `identified`: names, documents and logins were read as well."""

    words: Sequence[Word]
    malformed: Sequence[Malformed] = ()
    identified: bool = True


class SourceAdapter(Protocol):
    """Reads and never writes. `settings` with their defaults; `credentials` are what must not be shown."""

    settings: Mapping[str, str]
    credentials: Sequence[str]

    def check(self, settings: Mapping[str, str], credentials: Mapping[str, str]) -> None:
        """Refuse what could read nothing. Raises InvalidInput naming the field."""

    def read(self, access: Access, make_client: MakeClient, known: Collection[str]) -> Reading:
        """Everybody. Who the subscribers with a `known` key are need not be read again. Raises Unreadable, or what
        `gateways.http` raises."""


@dataclass(frozen=True, slots=True)
class Standings:
    """What the system's own codes mean, in the words of a setting: `A=full, FA=walled_garden, CM=block!`.

    An effect or `full`; `!` where a person decides it there. A code that is not named is not understood, and says
    nothing: guessing could cut somebody who pays.
    """

    meanings: Mapping[str, tuple[HoldEffect | None, bool]]

    def of(self, code: str) -> tuple[HoldEffect | None, bool]:
        """(effect, by hand). Raises InvalidInput for a code without a meaning."""
        found = self.meanings.get(_code(code))
        if found is None:
            raise InvalidInput(
                f"nothing says what the standing {code[:40]!r} means: name it in `standings`",
                detail_pt=f"nada diz o que significa o estado {code[:40]!r}: dê um significado em `standings`",
            )
        return found


def parse_standings(text: str) -> Standings:
    """Raises InvalidInput naming the setting."""
    meanings: dict[str, tuple[HoldEffect | None, bool]] = {}
    for part in text.split(","):
        code, equals, meaning = part.rpartition("=")
        effect = meaning.strip().removesuffix(_BY_HAND)
        if not equals or effect not in {FULL, *HoldEffect}:
            raise InvalidInput(
                f"{part.strip()[:40]!r} is not CODE=MEANING; meanings are full, throttle, walled_garden and block, "
                "with ! after one that a person decides there",
                field="settings.standings",
            )
        if _code(code) in meanings:
            raise InvalidInput(f"the code {code.strip()[:40]!r} has two meanings", field="settings.standings")
        meanings[_code(code)] = (None if effect == FULL else HoldEffect(effect), meaning.strip().endswith(_BY_HAND))
    return Standings(meanings)


def make_word(
    key: str, standing: tuple[HoldEffect | None, bool], *, reason: str = "", name: str = "", document: str = "",
    customer_ref: str = "", logins: Sequence[str] = (),
) -> Word:  # fmt: skip
    """With texts as they can be stored and compared. Raises InvalidInput for a subscriber without a key."""
    plain = clean(key)
    if not plain:
        raise InvalidInput("there is no id of the subscriber", detail_pt="falta o id do assinante")
    effect, by_hand = standing
    found = dict.fromkeys(login for login in map(clean, logins) if login)
    return Word(
        plain, effect, by_hand and effect is not None, clean(reason), clean(name), plain_document(document),
        clean(customer_ref), tuple(found)[:LOGINS_MAX],
    )  # fmt: skip


def malformed(row: Words, why: Words, key: str = "") -> Malformed:
    """With texts of a length that can be shown."""
    return Malformed(row.en[:200], row.pt[:200], why.en, why.pt, key[:255] or None)


def gather(found: Sequence[Word | Malformed], *, identified: bool = True) -> Reading:
    """One word a subscriber: of one that is listed twice, saying two things, nothing is believed."""
    words: dict[str, Word] = {}
    not_understood = [one for one in found if isinstance(one, Malformed)]
    doubtful: set[str] = set()
    for one in found:
        if isinstance(one, Word) and words.setdefault(one.key, one) != one:
            doubtful.add(one.key)
    not_understood += [malformed(name(key), _TWICE, key) for key in sorted(doubtful)]
    return Reading([word for key, word in words.items() if key not in doubtful], not_understood, identified)


def _code(text: str) -> str:
    return " ".join(text.split()).casefold()
