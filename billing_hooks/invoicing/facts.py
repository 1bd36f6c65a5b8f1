"""What an invoice is made from: items, changes of price, discounts, credits, and days that are not charged. Pure.

Facts come in any order, and one that is told twice is one. Two that share an id and differ are refused, because nobody
can say which is true.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from billing_hooks.invoicing.period import Span
from billing_hooks.invoicing.words import Words
from core.errors import InvalidInput

CENTS_MAX: Final = 10**11
WHOLE_BP: Final = 10_000
#: Anatel, RSCM (Resolução 614/2013) art. 67, as consumer bodies still tell it: once in 12 months, 30 to 120 days, free.
PAUSE_DAYS_MIN: Final = 30
PAUSE_DAYS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Item:
    """Something charged every cycle, at `price_cents` until a change says otherwise.

    `follows_service`: false for what is owed whether the service works or not, an instalment of sold equipment say.
    """

    id: str
    description: Words
    price_cents: int
    valid: Span
    follows_service: bool = True

    def __post_init__(self) -> None:
        _check_cents(self.price_cents, "price_cents")


@dataclass(frozen=True, slots=True)
class PriceChange:
    """From `on` the item costs `new_cents`, and may have another name.

    `old_cents` is what it cost before: a change that was made from another price than is true is found out. Several on
    one day are followed from price to price.
    """

    item_id: str
    on: date
    old_cents: int
    new_cents: int
    description: Words | None = None

    def __post_init__(self) -> None:
        _check_cents(self.old_cents, "old_cents")
        _check_cents(self.new_cents, "new_cents")


@dataclass(frozen=True, slots=True)
class Extra:
    """Something charged once, whole, with the period in which `on` lies."""

    id: str
    description: Words
    amount_cents: int
    on: date

    def __post_init__(self) -> None:
        _check_cents(self.amount_cents, "amount_cents")


@dataclass(frozen=True, slots=True)
class Discount:
    """Either an amount a cycle or a percentage, while it is valid; of one item or extra, or of all items.

    It never makes a day cost less than nothing, and what of it finds nothing to be taken from is not kept: money that
    the customer is owed is a `Credit`.
    """

    id: str
    description: Words
    valid: Span
    cents_cycle: int | None = None
    percent_bp: int | None = None
    item_id: str | None = None

    def __post_init__(self) -> None:
        if (self.cents_cycle is None) == (self.percent_bp is None):
            raise InvalidInput("a discount is either cents_cycle or percent_bp", field="cents_cycle")
        if self.cents_cycle is not None:
            _check_cents(self.cents_cycle, "cents_cycle")
        if self.percent_bp is not None and not 0 <= self.percent_bp <= WHOLE_BP:
            raise InvalidInput(f"a discount is 0 to {WHOLE_BP} hundredths of a percent", field="percent_bp")


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that the customer is owed. What an invoice does not use up is carried to the next."""

    id: str
    description: Words
    amount_cents: int

    def __post_init__(self) -> None:
        _check_cents(self.amount_cents, "amount_cents")


class Reason(StrEnum):
    """Why a day is not charged; where several say so, the first of these is told."""

    SUSPENDED = "suspended"
    PAUSED_BY_CUSTOMER = "paused_by_customer"
    #: For the provider's own reasons: not installed yet, a courtesy, an outage made good.
    NOT_BILLABLE = "not_billable"


_REASONS: Final = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Uncharged:
    """Days on which an item, or everything that follows the service, is not charged."""

    days: Span
    reason: Reason
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    items: tuple[Item, ...] = ()
    changes: tuple[PriceChange, ...] = ()
    extras: tuple[Extra, ...] = ()
    discounts: tuple[Discount, ...] = ()
    credits: tuple[Credit, ...] = ()
    uncharged: tuple[Uncharged, ...] = ()


def days_of(began_at: datetime, ended_at: datetime | None, zone: tzinfo) -> Span:
    """The local days on which something was so for any part of them.

    Of a suspension these are the days that are not charged, the first and the last included: the rule is that nothing
    is charged while the service is suspended (Anatel 765/2023), hours have no price of their own, the provider chose
    the hour of the cut, and doubt in a consumer's contract is his (Código de Defesa do Consumidor art. 47).
    """
    for moment, field in ((began_at, "began_at"), (ended_at, "ended_at")):
        if moment is not None and moment.tzinfo is None:
            raise InvalidInput(f"{field} needs a time zone", field=field)
    if ended_at is not None and ended_at <= began_at:
        raise InvalidInput("it ended before, or when, it began", field="ended_at")
    first = began_at.astimezone(zone).date()
    if ended_at is None:
        return Span(first)
    # What ends at midnight was not so on the day that begins then.
    return Span.through(first, (ended_at.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone).date())


def check_pause(asked: Span, earlier: Iterable[Span]) -> None:
    """A pause that the customer asks for: 30 to 120 days, once in 12 months from beginning to beginning.

    Raises InvalidInput naming what to change. One that he ends sooner is none the less a pause.
    """
    if asked.end is None or not PAUSE_DAYS_MIN <= (asked.end - asked.start).days <= PAUSE_DAYS_MAX:
        raise InvalidInput(f"a pause lasts {PAUSE_DAYS_MIN} to {PAUSE_DAYS_MAX} days", field="end")
    for pause in earlier:
        first, second = sorted((pause.start, asked.start))
        if second < _year_after(first):
            raise InvalidInput(f"a pause begins on {pause.start}, less than 12 months from this one", field="start")


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


_Fact = TypeVar("_Fact", bound=_Identified)


def settle(facts: Facts) -> Facts:
    """The facts once each and in one order. Raises InvalidInput where they contradict each other or name nothing."""
    settled = Facts(
        items=_once(facts.items, "items"),
        changes=tuple(sorted(set(facts.changes), key=lambda one: (one.item_id, one.on, one.old_cents))),
        extras=_once(facts.extras, "extras"),
        discounts=_once(facts.discounts, "discounts"),
        credits=_once(facts.credits, "credits"),
        uncharged=tuple(sorted(set(facts.uncharged), key=_told_first)),
    )
    items = {item.id for item in settled.items}
    charged = items | {extra.id for extra in settled.extras}
    if len(charged) < len(settled.items) + len(settled.extras):
        raise InvalidInput("an item and an extra have the same id", field="extras")
    _check_named({change.item_id for change in settled.changes}, items, "changes")
    _check_named({one.item_id for one in settled.uncharged} - {None}, items, "uncharged")
    _check_named({one.item_id for one in settled.discounts} - {None}, charged, "discounts")
    return settled


def order_of(id_: str) -> tuple[int, str]:
    """9 before 10."""
    return len(id_), id_


def _once(facts: tuple[_Fact, ...], field: str) -> tuple[_Fact, ...]:
    by_id: dict[str, _Fact] = {}
    for fact in facts:
        if by_id.setdefault(fact.id, fact) != fact:
            raise InvalidInput(f"{field} has two of id {fact.id} that differ", field=field)
    return tuple(by_id[id_] for id_ in sorted(by_id, key=order_of))


def _told_first(one: Uncharged) -> tuple[bool, int, date, date, str]:
    """What stops the service before what stops an item, and reasons in their order."""
    return (
        one.item_id is not None,
        _REASONS.index(one.reason),
        one.days.start,
        one.days.end or date.max,
        one.item_id or "",
    )


def _check_named(named: set[str] | set[str | None], known: set[str], field: str) -> None:
    unknown = sorted(str(one) for one in named if one not in known)
    if unknown:
        raise InvalidInput(f"{field} names {unknown[0]}, which is not among what is charged", field=field)


def _check_cents(cents: int, field: str) -> None:
    if not 0 <= cents <= CENTS_MAX:
        raise InvalidInput(f"{field} is 0 to {CENTS_MAX} centavos", field=field)


def _year_after(day: date) -> date:
    """29 February's year is over on 1 March."""
    return date(day.year + 1, day.month, day.day) if (day.month, day.day) != (2, 29) else date(day.year + 1, 3, 1)
