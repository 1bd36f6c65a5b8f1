"""What an invoice charges for its period: facts in, lines with their days, amounts and words out. Pure.

A day costs one of `cycle_days` parts of the month's price that holds on it, so that the days of a whole cycle cost the
price exactly. Everything is computed in exact fractions, stretch by stretch between the days on which a fact begins or
ends. Only then is it rounded: the total once, down to the centavo (fractions of a centavo are dropped at the end of a
computation: Lei 9.069/1995 art. 1 par. 5, not verified against its text), and the lines by largest remainder, so that
they sum to the total. How facts are split, ordered or repeated is thus not seen in the total.

Suspended and paused days are not charged; they are told as lines of nothing, so that the payer sees why he pays less.

Discounts, day by day: first those of an item or extra, of its price; then those of all items, of what is left of them
(extras are left alone unless a discount names them). At each of the two, percentages are added up, not multiplied, and
taken first; amounts a cycle are taken from what is left, a day's part for each day charged. None makes a day cost less
than nothing: what is too much is let off in proportion.

Credits are taken last, in the order of their ids, until nothing is left to pay; the rest of them is carried.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from math import floor

from billing_hooks.invoicing.facts import (
    WHOLE_BP,
    Credit,
    Discount,
    Extra,
    Facts,
    Item,
    PriceChange,
    Reason,
    Uncharged,
    order_of,
    settle,
)
from billing_hooks.invoicing.period import Period, Span
from billing_hooks.invoicing.words import Words, day
from core.errors import InvalidInput


class Kind(StrEnum):
    ITEM = "item"
    EXTRA = "extra"
    DISCOUNT = "discount"
    UNCHARGED = "uncharged"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True)
class Line:
    """`id` is that of the fact; `item_id` of what a discount is taken from. Discounts and credits are negative."""

    kind: Kind
    id: str
    words: Words
    amount_cents: int
    span: Span | None = None
    days: int = 0
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """`charged_cents`: all lines but credits. `total_cents`: all lines, what is to be paid. `carried`: for the next."""

    period: Period
    lines: tuple[Line, ...]
    charged_cents: int
    total_cents: int
    carried: tuple[Credit, ...]


def draft(period: Period, facts: Facts) -> Draft:
    """The invoice of a period. Raises InvalidInput where facts contradict each other."""
    facts = settle(facts)
    tally = _Tally(period)
    steps = {item.id: _steps(item, facts.changes) for item in facts.items}
    for stretch in _stretches(period, facts):
        _charge(stretch, facts, steps, tally)
    for extra in facts.extras:
        if period.start <= extra.on < period.end:
            _charge_extra(extra, facts, tally)
    charged_cents, lines = _round(tally.lines())
    credit_lines, carried = _credit(charged_cents, facts.credits)
    used_cents = -sum(line.amount_cents for line in credit_lines)
    return Draft(period, (*lines, *credit_lines), charged_cents, charged_cents - used_cents, carried)


def correction(charged_cents: int, now: Draft, on: date) -> Credit | Extra | None:
    """What makes good a period that was invoiced before its facts were known, such as a suspension paid in advance.

    `charged_cents`: what was charged for the period in all, earlier corrections included. The next invoice takes the
    credit, or the extra on its day `on`; None where nothing changed.
    """
    difference = now.charged_cents - charged_cents
    period = Span(now.period.start, now.period.end)
    words = Words(f"Acerto do período {_through(period).pt}", f"Correction of the period {_through(period).en}")
    id_ = f"correction-{period.start}-{on}"
    if difference == 0:
        return None
    return Extra(id_, words, difference, on) if difference > 0 else Credit(id_, words, -difference)


def apportion(exact: Sequence[Fraction], total: int) -> list[int]:
    """Whole numbers that sum to `total`, each less than one from its exact value: the largest remainders get one more.

    `total` is the sum of the exact values, rounded to either side; equal remainders are served in their order.
    """
    parts = [floor(one) for one in exact]
    missing = total - sum(parts)
    if not 0 <= missing <= sum(one != part for one, part in zip(exact, parts, strict=True)):
        raise InvalidInput("the total is not the sum of the parts, rounded", field="total")
    by_remainder = sorted(range(len(parts)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[:missing]:
        parts[place] += 1
    return parts


@dataclass(frozen=True, slots=True)
class _Step:
    """An item's price from a day on."""

    since: date
    price_cents: int
    description: Words


@dataclass(frozen=True, slots=True)
class _Exact:
    """A line before it is rounded."""

    line: Line
    amount: Fraction


@dataclass(slots=True)
class _Run:
    """Days in a row on which one thing is so."""

    start: date
    end: date
    amount: Fraction = Fraction(0)


@dataclass(slots=True)
class _Tally:
    """What the stretches of a period add up to. A run goes on while the next stretch says the same."""

    period: Period
    items: dict[tuple[Item, _Step], list[_Run]] = field(default_factory=lambda: defaultdict(list))
    extras: list[Extra] = field(default_factory=list)
    discounts: dict[tuple[Discount, Words | None, str | None], Fraction] = field(
        default_factory=lambda: defaultdict(Fraction)
    )
    #: By the item that a fact names; None: all that follows the service.
    uncharged: dict[tuple[Item | None, Reason], list[_Run]] = field(default_factory=lambda: defaultdict(list))

    def lines(self) -> list[_Exact]:
        charges = [
            _Exact(_item_line(item, step, run, self.period), run.amount)
            for (item, step), runs in self.items.items()
            for run in runs
        ]
        charges.sort(key=lambda one: (order_of(one.line.id), one.line.span or Span(self.period.start)))
        charges += [_Exact(Line(Kind.EXTRA, extra.id, extra.description, 0), Fraction(extra.amount_cents))
                    for extra in self.extras]  # fmt: skip
        discounts = [
            _Exact(_discount_line(discount, item, item_id), -amount)
            for (discount, item, item_id), amount in self.discounts.items()
            if amount
        ]
        discounts.sort(
            key=lambda one: (one.line.item_id is None, order_of(one.line.item_id or ""), order_of(one.line.id))
        )
        notes = [
            _Exact(_uncharged_line(item, reason, run), Fraction(0))
            for (item, reason), runs in self.uncharged.items()
            for run in runs
        ]
        notes.sort(key=lambda one: (one.line.span or Span(self.period.start), one.line.id, one.line.words))
        return [*charges, *discounts, *notes]


def _stretches(period: Period, facts: Facts) -> Iterator[Span]:
    """The period, cut wherever a fact begins or ends."""
    spans = [
        *(item.valid for item in facts.items), *(one.valid for one in facts.discounts),
        *(one.days for one in facts.uncharged),
    ]  # fmt: skip
    bounds = {bound for span in spans for bound in (span.start, span.end) if bound is not None}
    bounds |= {change.on for change in facts.changes}
    inside = {bound for bound in bounds if period.start < bound < period.end}
    for start, end in pairwise(sorted(inside | {period.start, period.end})):
        yield Span(start, end)


def _charge(stretch: Span, facts: Facts, steps: dict[str, list[_Step]], tally: _Tally) -> None:
    """One stretch: the items, their discounts, and the discounts of all of them."""
    start = stretch.start
    assert stretch.end is not None  # noqa: S101  (a stretch is cut out of a period)
    part = Fraction((stretch.end - start).days, tally.period.cycle_days)
    still = [one for one in facts.uncharged if start in one.days]
    stopped: dict[Item | None, Reason] = {}
    left = Fraction(0)
    for item in facts.items:
        if start not in item.valid:
            continue
        why = next((one for one in still if _stops(one, item)), None)
        if why is not None:
            stopped.setdefault(item if why.item_id else None, why.reason)
            continue
        step = next(step for step in reversed(steps[item.id]) if step.since <= start)
        amount = step.price_cents * part
        _extend(tally.items[item, step], stretch, amount)
        own = [one for one in facts.discounts if one.item_id == item.id and start in one.valid]
        left += amount - _discount(amount, part, own, step.description, item.id, tally)
    for stop in stopped.items():
        _extend(tally.uncharged[stop], stretch)
    whole = [one for one in facts.discounts if one.item_id is None and start in one.valid]
    _discount(left, part, whole, None, None, tally)


def _charge_extra(extra: Extra, facts: Facts, tally: _Tally) -> None:
    tally.extras.append(extra)
    own = [one for one in facts.discounts if one.item_id == extra.id and extra.on in one.valid]
    _discount(Fraction(extra.amount_cents), Fraction(1), own, extra.description, extra.id, tally)


def _stops(uncharged: Uncharged, item: Item) -> bool:
    return uncharged.item_id == item.id or (uncharged.item_id is None and item.follows_service)


def _discount(
    amount: Fraction, part: Fraction, discounts: Sequence[Discount], item: Words | None, item_id: str | None,
    tally: _Tally,
) -> Fraction:  # fmt: skip
    """Take discounts from an amount, percentages first; returns how much that is. `part`: of a cycle."""
    off = Fraction(0)
    percentages = [(one, amount * one.percent_bp / WHOLE_BP) for one in discounts if one.percent_bp is not None]
    amounts = [(one, one.cents_cycle * part) for one in discounts if one.cents_cycle is not None]
    for wanted in (percentages, amounts):
        asked = sum((cents for _, cents in wanted), Fraction(0))
        scale = min(Fraction(1), (amount - off) / asked) if asked else Fraction(0)
        for one, cents in wanted:
            tally.discounts[one, item, item_id] += cents * scale
        off += asked * scale
    return off


def _steps(item: Item, changes: Sequence[PriceChange]) -> list[_Step]:
    """The item's prices in order of time. Raises InvalidInput where a change does not follow from what was before."""
    own = [change for change in changes if change.item_id == item.id]
    if any(change.on < item.valid.start for change in own):
        raise InvalidInput(f"the price of {item.id} changes before it is valid", field="on")
    steps = [_Step(item.valid.start, item.price_cents, item.description)]
    for on in sorted({change.on for change in own}):
        step = _follow(steps[-1], [change for change in own if change.on == on], on)
        if replace(step, since=steps[-1].since) != steps[-1]:  # the same for the same is no change
            steps.append(step)
    return steps


def _follow(before: _Step, changes: Sequence[PriceChange], on: date) -> _Step:
    """The changes of one day, from price to price."""
    by_old = {change.old_cents: change for change in changes}
    ambiguous = len(by_old) < len(changes)
    step = replace(before, since=on)
    while (change := by_old.pop(step.price_cents, None)) is not None:
        step = _Step(on, change.new_cents, change.description or step.description)
    if by_old or ambiguous:
        raise InvalidInput(f"the changes of {on} do not lead on from {before.price_cents} centavos", field="old_cents")
    return step


def _extend(runs: list[_Run], stretch: Span, amount: Fraction = Fraction(0)) -> None:
    assert stretch.end is not None  # noqa: S101  (a stretch is cut out of a period)
    if not runs or runs[-1].end != stretch.start:
        runs.append(_Run(stretch.start, stretch.end))
    runs[-1].end = stretch.end
    runs[-1].amount += amount


def _round(exact: Sequence[_Exact]) -> tuple[int, list[Line]]:
    """(total, lines)"""
    total = floor(sum((one.amount for one in exact), Fraction(0)))
    parts = apportion([one.amount for one in exact], total)
    return total, [replace(one.line, amount_cents=cents) for one, cents in zip(exact, parts, strict=True)]


def _credit(charged_cents: int, credits_: Sequence[Credit]) -> tuple[list[Line], tuple[Credit, ...]]:
    """(lines, what is carried)"""
    lines, carried, left = [], [], charged_cents
    for credit in credits_:
        used = min(left, credit.amount_cents)
        left -= used
        if used:
            words = Words(f"Crédito: {credit.description.pt}", f"Credit: {credit.description.en}")
            lines.append(Line(Kind.CREDIT, credit.id, words, -used))
        if used < credit.amount_cents:
            carried.append(replace(credit, amount_cents=credit.amount_cents - used))
    return lines, tuple(carried)


def _item_line(item: Item, step: _Step, run: _Run, period: Period) -> Line:
    span, days = Span(run.start, run.end), (run.end - run.start).days
    through, of = _through(span), period.cycle_days
    pt, en = f"{step.description.pt}, {through.pt}", f"{step.description.en}, {through.en}"
    if days != of:
        pt, en = f"{pt} ({days} de {of} dias)", f"{en} ({days} of {of} days)"
    return Line(Kind.ITEM, item.id, Words(pt, en), 0, span, days, item.id)


def _discount_line(discount: Discount, item: Words | None, item_id: str | None) -> Line:
    pt, en = f"Desconto: {discount.description.pt}", f"Discount: {discount.description.en}"
    if item is not None:
        pt, en = f"{pt} ({item.pt})", f"{en} ({item.en})"
    return Line(Kind.DISCOUNT, discount.id, Words(pt, en), 0, item_id=item_id)


_WHY = {
    Reason.SUSPENDED: Words("Serviço suspenso", "Service suspended"),
    Reason.PAUSED_BY_CUSTOMER: Words("Pausa a pedido do cliente", "Paused at the customer's request"),
    Reason.NOT_BILLABLE: Words("Sem cobrança", "Not charged"),
}


def _uncharged_line(item: Item | None, reason: Reason, run: _Run) -> Line:
    span, days = Span(run.start, run.end), (run.end - run.start).days
    through, why = _through(span), _WHY[reason]
    pt, en = f"{why.pt}, {through.pt}", f"{why.en}, {through.en}"
    if item is not None:
        pt, en = f"{item.description.pt}: {pt}", f"{item.description.en}: {en}"
    pt += f" ({days} {'dia não cobrado' if days == 1 else 'dias não cobrados'})"
    en += f" ({days} {'day' if days == 1 else 'days'} not charged)"
    return Line(Kind.UNCHARGED, reason.value, Words(pt, en), 0, span, days, item.id if item else None)


def _through(span: Span) -> Words:
    assert span.end is not None  # noqa: S101  (lines lie in a period)
    last = span.end - date.resolution
    return Words(f"{day(span.start, 'pt_BR')} a {day(last, 'pt_BR')}", f"{day(span.start, 'en')} to {day(last, 'en')}")
