"""From facts to lines: to the centavo, however the facts are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing_hooks.invoicing.facts import (
    Credit,
    Discount,
    Extra,
    Facts,
    Item,
    PriceChange,
    Reason,
    Uncharged,
    check_pause,
    days_of,
)
from billing_hooks.invoicing.lines import Draft, Kind, Line, apportion, correction, draft
from billing_hooks.invoicing.period import DueDayChange, Period, Span, Terms, periods
from billing_hooks.invoicing.words import Words, money, name
from core.errors import InvalidInput

DAY = timedelta(days=1)
BEGIN = date(2026, 1, 5)
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
FOREVER = Span(BEGIN)
PLAN = Item("plan", name("Fibra 300"), 9990, FOREVER)

days_in = st.integers(0, 120).map(lambda days: BEGIN + days * DAY)
cents = st.integers(0, 30_000)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(days_in)
    return Span(start, draw(st.none() | st.integers(1, 60).map(lambda days: start + days * DAY)))


@st.composite
def fact_sets(draw: st.DrawFn) -> Facts:
    items, changes = [], []
    for number in range(draw(st.integers(0, 3))):
        item = Item(f"item-{number}", name(f"Item {number}"), draw(cents), draw(spans()), draw(st.booleans()))
        items.append(item)
        price = item.price_cents
        for on in sorted(draw(st.sets(st.integers(0, 60), max_size=3))):
            new = draw(cents)
            changes.append(PriceChange(item.id, item.valid.start + on * DAY, price, new))
            price = new
    of_one = st.sampled_from([None, *(item.id for item in items)])
    extras = [
        Extra(f"extra-{number}", name("Taxa"), draw(cents), draw(days_in)) for number in range(draw(st.integers(0, 2)))
    ]
    discounts = []
    for number in range(draw(st.integers(0, 3))):
        off = draw(st.tuples(cents, st.none()) | st.tuples(st.none(), st.integers(0, 10_000)))
        discounts.append(Discount(f"discount-{number}", name("Promoção"), draw(spans()), *off, draw(of_one)))
    return Facts(
        tuple(items), tuple(changes), tuple(extras), tuple(discounts),
        tuple(Credit(f"credit-{number}", name("Acordo"), draw(cents)) for number in range(draw(st.integers(0, 2)))),
        tuple(draw(st.lists(st.builds(Uncharged, spans(), st.sampled_from(Reason), of_one), max_size=3))),
    )  # fmt: skip


billing_periods = st.builds(
    lambda place, due_day, ended: list(
        periods(
            Terms(BEGIN, due_day, ended_on=BEGIN + ended * DAY, changes=(DueDayChange(9, BEGIN + 40 * DAY),)),
            BEGIN + 200 * DAY,
        )
    )[place],
    st.integers(0, 1), st.integers(1, 31), st.integers(35, 150),
)  # fmt: skip


def day_by_day(period: Period, facts: Facts) -> Fraction:
    """What the lines' total is before it is rounded, by a calendar and nothing clever."""
    total = Fraction(0)
    for offset in range(period.days):
        today = period.start + offset * DAY
        left = Fraction(0)
        for item in facts.items:
            off = [
                one
                for one in facts.uncharged
                if today in one.days and (one.item_id == item.id or (one.item_id is None and item.follows_service))
            ]
            if today not in item.valid or off:
                continue
            price = item.price_cents
            for change in sorted(set(facts.changes), key=lambda one: one.on):
                if change.item_id == item.id and change.on <= today:
                    price = change.new_cents
            own = [one for one in facts.discounts if one.item_id == item.id]
            left += after_discounts(Fraction(price, period.cycle_days), own, today, period.cycle_days)
        whole = [one for one in facts.discounts if one.item_id is None]
        total += after_discounts(left, whole, today, period.cycle_days)
        total += sum(one.amount_cents for one in facts.extras if one.on == today)
    return total


def after_discounts(amount: Fraction, discounts: list[Discount], today: date, cycle_days: int) -> Fraction:
    valid = [one for one in discounts if today in one.valid]
    percent = min(sum(one.percent_bp or 0 for one in valid), 10_000)
    amount -= amount * percent / 10_000
    return max(amount - sum(Fraction(one.cents_cycle or 0, cycle_days) for one in valid), Fraction(0))


@given(billing_periods, fact_sets())
def test_the_total_is_what_counting_day_by_day_gives_and_the_lines_sum_to_it(period: Period, facts: Facts) -> None:
    made = draft(period, facts)
    assert made.charged_cents == floor(day_by_day(period, facts))
    assert made.total_cents == sum(line.amount_cents for line in made.lines) >= 0


@given(billing_periods, fact_sets(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_facts_change_nothing(period: Period, facts: Facts, random: Any) -> None:
    def told_again(some: tuple[Any, ...]) -> tuple[Any, ...]:
        again = [*some, *random.choices(some, k=2)] if some else []
        random.shuffle(again)
        return tuple(again)

    again = Facts(*(told_again(getattr(facts, field)) for field in Facts.__slots__))
    assert draft(period, again) == draft(period, facts)


@given(billing_periods, fact_sets(), days_in)
def test_cutting_facts_in_two_changes_no_total(period: Period, facts: Facts, at: date) -> None:
    def cut(span: Span) -> list[Span]:
        inside = span.start < at and (span.end is None or at < span.end)
        return [Span(span.start, at), Span(at, span.end)] if inside else [span]

    split = replace(
        facts,
        discounts=tuple(replace(one, id=f"{one.id}-{place}", valid=part)
                        for one in facts.discounts for place, part in enumerate(cut(one.valid))),
        uncharged=tuple(replace(one, days=part) for one in facts.uncharged for part in cut(one.days)),
    )  # fmt: skip
    assert draft(period, split).total_cents == draft(period, facts).total_cents
    assert draft(period, split).carried == draft(period, facts).carried


@given(cents, st.sets(st.integers(1, 30), max_size=8))
def test_the_parts_of_a_whole_period_sum_to_the_price(price: int, cuts: set[int]) -> None:
    """Lines are cut by a new name for the plan, at the same price."""
    item = replace(PLAN, price_cents=price)
    renamed = tuple(PriceChange("plan", BEGIN + at * DAY, price, price, name(f"Fibra {at}")) for at in cuts)
    made = draft(january(), Facts((item,), renamed))
    assert len(made.lines) == len(cuts) + 1
    assert sum(line.amount_cents for line in made.lines) == made.total_cents == price
    assert sum(line.days for line in made.lines) == 31
    assert all(abs(line.amount_cents - Fraction(price * line.days, 31)) < 1 for line in made.lines)


@given(billing_periods, cents, cents, cents, days_in)
def test_splitting_a_price_change_changes_nothing(period: Period, old: int, middle: int, new: int, on: date) -> None:
    assume(len({old, middle, new}) == 3)
    item = Item("plan", name("Fibra"), old, FOREVER)
    once = draft(period, Facts((item,), (PriceChange("plan", on, old, new, name("Fibra 500")),)))
    twice = (PriceChange("plan", on, middle, new, name("Fibra 500")), PriceChange("plan", on, old, middle))
    assert draft(period, Facts((item,), twice)) == once
    same = PriceChange("plan", on + DAY, new, new)
    assert draft(period, Facts((item,), (*twice, *twice, same))) == once


@given(billing_periods, cents, st.integers(0, 10_000), st.integers(0, 10_000))
def test_two_percentages_are_their_sum_and_never_more_than_all(
    period: Period, price: int, one: int, other: int
) -> None:
    item = replace(PLAN, price_cents=price)
    apart = (Discount("a", name("a"), FOREVER, percent_bp=one), Discount("b", name("b"), FOREVER, percent_bp=other))
    together = (Discount("c", name("c"), FOREVER, percent_bp=min(one + other, 10_000)),)
    assert (
        draft(period, Facts((item,), discounts=apart)).total_cents
        == draft(period, Facts((item,), discounts=together)).total_cents
    )


@given(billing_periods, fact_sets())
def test_a_day_of_an_item_is_charged_at_one_price_only_or_not_at_all(period: Period, facts: Facts) -> None:
    made = draft(period, facts)
    for item in facts.items:
        charged = [line.span for line in made.lines if line.kind is Kind.ITEM and line.id == item.id]
        for before, after in pairwise(charged):
            assert before is not None
            assert after is not None
            assert before.end is not None
            assert before.end <= after.start
        for span in charged:
            assert span is not None
            assert span.end is not None
            assert period.start <= span.start < span.end <= period.end
            for one in facts.uncharged:
                if one.item_id == item.id or (one.item_id is None and item.follows_service):
                    assert one.days.end is None or one.days.end <= span.start or span.end <= one.days.start
                    assert one.days.end is not None or span.end <= one.days.start


@given(billing_periods, fact_sets())
def test_no_charge_is_negative_and_no_discount_or_credit_is_positive(period: Period, facts: Facts) -> None:
    for line in draft(period, facts).lines:
        if line.kind in {Kind.ITEM, Kind.EXTRA}:
            assert line.amount_cents >= 0
        elif line.kind is Kind.UNCHARGED:
            assert line.amount_cents == 0
        else:
            assert line.amount_cents <= 0


@given(billing_periods, fact_sets())
def test_no_credit_is_lost(period: Period, facts: Facts) -> None:
    made = draft(period, facts)
    used = -sum(line.amount_cents for line in made.lines if line.kind is Kind.CREDIT)
    given_ = sum(one.amount_cents for one in facts.credits)
    assert used + sum(one.amount_cents for one in made.carried) == given_
    assert made.total_cents == max(made.charged_cents - given_, 0)


@given(billing_periods, fact_sets(), st.sampled_from(Reason))
def test_a_period_that_was_suspended_all_along_costs_nothing(period: Period, facts: Facts, reason: Reason) -> None:
    items = tuple(replace(item, follows_service=True) for item in facts.items)
    stopped = replace(facts, items=items, extras=(), uncharged=(Uncharged(Span(period.start, period.end), reason),))
    made = draft(period, stopped)
    assert made.total_cents == made.charged_cents == 0
    assert sum(one.amount_cents for one in made.carried) == sum(one.amount_cents for one in facts.credits)


@given(st.lists(st.fractions(-1000, 1000), max_size=12), st.booleans())
def test_parts_sum_to_the_whole_and_none_is_a_whole_centavo_off(exact: list[Fraction], up: bool) -> None:
    total = (ceil if up else floor)(sum(exact, Fraction(0)))
    parts = apportion(exact, total)
    assert sum(parts) == total
    assert all(abs(part - one) < 1 for part, one in zip(parts, exact, strict=True))


def test_a_total_that_is_not_the_sum_of_its_parts_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        apportion([Fraction(1)], 2)
    assert refused.value.field == "total"


def january() -> Period:
    """5 January to 4 February: 31 days."""
    return next(iter(periods(Terms(BEGIN, 5), BEGIN + DAY)))


def shown(made: Draft, language: str = "pt") -> list[str]:
    return [f"{getattr(line.words, language)} = {money(line.amount_cents)}" for line in made.lines]


def test_an_invoice_says_what_it_charges_and_what_it_does_not() -> None:
    facts = Facts(
        items=(PLAN, Item("ip", name("IP fixo"), 1500, FOREVER, follows_service=False)),
        changes=(PriceChange("plan", date(2026, 1, 15), 9990, 12990, name("Fibra 500")),),
        extras=(Extra("visit", Words("Visita técnica", "Visit"), 5000, date(2026, 1, 20)),),
        discounts=(
            Discount("loyal", Words("Fidelidade", "Loyalty"), FOREVER, percent_bp=1000, item_id="plan"),
            Discount("app", Words("Fatura digital", "Paperless"), FOREVER, cents_cycle=310),
        ),
        credits=(Credit("old", Words("Acerto anterior", "Earlier correction"), 700),),
        uncharged=(Uncharged(Span.through(date(2026, 1, 25), date(2026, 1, 29)), Reason.SUSPENDED),),
    )
    made = draft(january(), facts)
    assert shown(made) == [
        "IP fixo, 05/01/2026 a 04/02/2026 = R$ 15,00",
        "Fibra 300, 05/01/2026 a 14/01/2026 (10 de 31 dias) = R$ 32,23",
        "Fibra 500, 15/01/2026 a 24/01/2026 (10 de 31 dias) = R$ 41,90",
        "Fibra 500, 30/01/2026 a 04/02/2026 (6 de 31 dias) = R$ 25,14",
        "Visita técnica = R$ 50,00",
        "Desconto: Fidelidade (Fibra 300) = -R$ 3,22",
        "Desconto: Fidelidade (Fibra 500) = -R$ 6,71",
        "Desconto: Fatura digital = -R$ 3,10",
        "Serviço suspenso, 25/01/2026 a 29/01/2026 (5 dias não cobrados) = R$ 0,00",
        "Crédito: Acerto anterior = -R$ 7,00",
    ]
    assert made.charged_cents == 15124
    assert made.total_cents == 14424
    assert "Service suspended, 2026-01-25 to 2026-01-29 (5 days not charged) = R$ 0,00" in shown(made, "en")
    assert "Fibra 300, 2026-01-05 to 2026-01-14 (10 of 31 days) = R$ 32,23" in shown(made, "en")


def test_a_suspension_after_a_period_was_paid_in_advance_is_made_good_on_the_next_invoice() -> None:
    facts = Facts(items=(PLAN,))
    first, second = list(periods(Terms(BEGIN, 5), BEGIN + 40 * DAY))
    charged = draft(first, facts).charged_cents
    cut = replace(facts, uncharged=(Uncharged(Span(BEGIN + 10 * DAY, BEGIN + 20 * DAY), Reason.SUSPENDED),))
    credit = correction(charged, draft(first, cut), second.start)
    assert isinstance(credit, Credit)
    assert credit.amount_cents == 9990 - floor(Fraction(9990 * 21, 31))
    next_invoice = draft(second, replace(cut, credits=(credit,)))
    assert next_invoice.total_cents == 9990 - credit.amount_cents
    assert shown(next_invoice)[-1] == "Crédito: Acerto do período 05/01/2026 a 04/02/2026 = -R$ 32,23"
    assert correction(charged - credit.amount_cents, draft(first, cut), second.start) is None


def test_a_dearer_plan_in_a_period_that_was_paid_is_an_extra_on_the_next_invoice() -> None:
    first, second = list(periods(Terms(BEGIN, 5), BEGIN + 40 * DAY))
    facts = Facts((PLAN,), (PriceChange("plan", BEGIN + 15 * DAY, 9990, 13090),))
    extra = correction(9990, draft(first, facts), second.start)
    assert isinstance(extra, Extra)
    assert extra.amount_cents == 1600  # 16 of 31 days of R$ 31,00
    assert draft(second, replace(facts, extras=(extra,))).total_cents == 13090 + 1600


def test_a_discount_that_takes_all_leaves_nothing_and_is_no_credit() -> None:
    whole = (Discount("a", name("a"), FOREVER, cents_cycle=9990), Discount("b", name("b"), FOREVER, cents_cycle=9990))
    made = draft(january(), Facts((PLAN,), discounts=whole))
    assert [line.amount_cents for line in made.lines] == [9990, -4995, -4995]
    assert made.carried == ()


def test_one_item_can_be_off_while_the_service_runs() -> None:
    tv = Item("tv", name("TV"), 3100, FOREVER)
    off = Uncharged(Span(BEGIN, BEGIN + 10 * DAY), Reason.NOT_BILLABLE, "tv")
    made = draft(january(), Facts((PLAN, tv), uncharged=(off,)))
    assert made.total_cents == 9990 + 2100
    assert shown(made)[-1] == "TV: Sem cobrança, 05/01/2026 a 14/01/2026 (10 dias não cobrados) = R$ 0,00"


@pytest.mark.parametrize(
    ("began", "ended", "first", "last"),
    [
        # cut at 10:00 and back at 18:00 of the same day: that day is not charged
        ("2026-03-10T10:00-03:00", "2026-03-10T18:00-03:00", "2026-03-10", "2026-03-10"),
        ("2026-03-10T23:59-03:00", "2026-03-12T00:01-03:00", "2026-03-10", "2026-03-12"),
        # back at midnight: the day that begins then is charged
        ("2026-03-10T10:00-03:00", "2026-03-12T00:00-03:00", "2026-03-10", "2026-03-11"),
        # 01:00 in UTC is the evening before in São Paulo
        ("2026-03-11T01:00+00:00", "2026-03-11T02:00+00:00", "2026-03-10", "2026-03-10"),
        ("2026-03-11T01:00+00:00", None, "2026-03-10", None),
    ],
)
def test_a_day_that_was_suspended_in_part_is_a_suspended_day(
    began: str, ended: str | None, first: str, last: str | None
) -> None:
    span = days_of(datetime.fromisoformat(began), datetime.fromisoformat(ended) if ended else None, SAO_PAULO)
    assert span == Span.through(date.fromisoformat(first), date.fromisoformat(last) if last else None)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.timedeltas(timedelta(microseconds=1), timedelta(90))
)
def test_every_moment_of_a_suspension_lies_on_an_uncharged_day(began: datetime, lasted: timedelta) -> None:
    began = began.replace(tzinfo=UTC)
    span = days_of(began, began + lasted, SAO_PAULO)
    assert began.astimezone(SAO_PAULO).date() == span.start
    assert span.end is not None
    assert began + lasted <= datetime.combine(span.end, datetime.min.time(), SAO_PAULO)
    assert began + lasted > datetime.combine(span.end - DAY, datetime.min.time(), SAO_PAULO)


def test_a_customer_pauses_30_to_120_days_once_in_12_months() -> None:
    pause = Span(date(2026, 7, 1), date(2026, 7, 31))
    check_pause(pause, [])
    check_pause(pause, [Span(date(2025, 7, 1), date(2025, 8, 1))])
    check_pause(Span(date(2026, 7, 1), date(2026, 10, 29)), [])
    wrong: list[tuple[Span, list[Span], str]] = [
        (Span(date(2026, 7, 1), date(2026, 7, 30)), [], "end"),
        (Span(date(2026, 7, 1), date(2026, 10, 30)), [], "end"),
        (Span(date(2026, 7, 1)), [], "end"),
        (pause, [Span(date(2025, 7, 2), date(2025, 8, 2))], "start"),
        (pause, [Span(date(2026, 12, 1), date(2027, 1, 1))], "start"),
    ]
    for asked, earlier, field in wrong:
        with pytest.raises(InvalidInput) as refused:
            check_pause(asked, earlier)
        assert refused.value.field == field
    check_pause(Span(date(2025, 3, 1), date(2025, 4, 1)), [Span(date(2024, 2, 29), date(2024, 4, 1))])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: replace(PLAN, price_cents=-1), "price_cents"),
        (lambda: PriceChange("plan", BEGIN, 1, -1), "new_cents"),
        (lambda: PriceChange("plan", BEGIN, -1, 1), "old_cents"),
        (lambda: Extra("e", name("e"), -1, BEGIN), "amount_cents"),
        (lambda: Credit("c", name("c"), -1), "amount_cents"),
        (lambda: Discount("d", name("d"), FOREVER), "cents_cycle"),
        (lambda: Discount("d", name("d"), FOREVER, cents_cycle=1, percent_bp=1), "cents_cycle"),
        (lambda: Discount("d", name("d"), FOREVER, percent_bp=10_001), "percent_bp"),
        (lambda: Facts((PLAN, replace(PLAN, price_cents=1))), "items"),
        (lambda: Facts((PLAN,), extras=(Extra("plan", name("x"), 1, BEGIN),)), "extras"),
        (lambda: Facts((PLAN,), (PriceChange("other", BEGIN, 9990, 1),)), "changes"),
        (lambda: Facts((PLAN,), uncharged=(Uncharged(FOREVER, Reason.SUSPENDED, "other"),)), "uncharged"),
        (lambda: Facts((PLAN,), discounts=(Discount("d", name("d"), FOREVER, 1, item_id="other"),)), "discounts"),
        (lambda: Facts((PLAN,), (PriceChange("plan", BEGIN + DAY, 5000, 6000),)), "old_cents"),
        (
            lambda: Facts((PLAN,), (PriceChange("plan", BEGIN, 9990, 1), PriceChange("plan", BEGIN, 9990, 2))),
            "old_cents",
        ),
        (lambda: Facts((PLAN,), (PriceChange("plan", BEGIN - DAY, 9990, 6000),)), "on"),
        (lambda: days_of(datetime(2026, 1, 1), None, UTC), "began_at"),
        (lambda: days_of(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1), UTC), "ended_at"),
        (lambda: days_of(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), UTC), "ended_at"),
    ],
)
def test_facts_that_cannot_be_are_refused_by_name(make: Callable[[], Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        made = make()
        draft(january(), made)
    assert refused.value.field == field


def test_a_line_knows_what_it_is_of() -> None:
    (line,) = draft(january(), Facts((PLAN,))).lines
    assert line == Line(
        Kind.ITEM, "plan", Words("Fibra 300, 05/01/2026 a 04/02/2026", "Fibra 300, 2026-01-05 to 2026-02-04"), 9990,
        Span(BEGIN, date(2026, 2, 5)), 31, "plan",
    )  # fmt: skip


def test_an_items_discounts_come_before_those_of_all_and_percentages_before_amounts() -> None:
    plan = replace(PLAN, price_cents=10_000)
    discounts = (
        Discount("1", name("a"), FOREVER, percent_bp=1000, item_id="plan"),
        Discount("2", name("b"), FOREVER, cents_cycle=500, item_id="plan"),
        Discount("3", name("c"), FOREVER, percent_bp=1000),
        Discount("4", name("d"), FOREVER, cents_cycle=650),
    )
    made = draft(january(), Facts((plan,), discounts=discounts))
    assert [line.amount_cents for line in made.lines] == [10_000, -1000, -500, -850, -650]
    much = Discount("4", name("d"), FOREVER, cents_cycle=9000)  # finds only 7650 to be taken from
    made = draft(january(), Facts((plan,), discounts=(*discounts[:3], much)))
    assert [line.amount_cents for line in made.lines] == [10_000, -1000, -500, -850, -7650]


def test_of_several_reasons_the_first_is_told_and_no_day_twice() -> None:
    days = Span(BEGIN, BEGIN + 10 * DAY)
    told = (
        Uncharged(days, Reason.NOT_BILLABLE), Uncharged(days, Reason.PAUSED_BY_CUSTOMER, "plan"),
        Uncharged(Span(BEGIN + 5 * DAY, BEGIN + 12 * DAY), Reason.SUSPENDED),
    )  # fmt: skip
    assert [line for line in shown(draft(january(), Facts((PLAN,), uncharged=told))) if line.endswith("0,00")] == [
        "Sem cobrança, 05/01/2026 a 09/01/2026 (5 dias não cobrados) = R$ 0,00",
        "Serviço suspenso, 10/01/2026 a 16/01/2026 (7 dias não cobrados) = R$ 0,00",
    ]


def test_credits_are_used_in_the_order_of_their_ids() -> None:
    credits_ = tuple(Credit(str(id_), name(f"Acerto {id_}"), 4000) for id_ in (10, 9, 8))
    made = draft(january(), Facts((PLAN,), credits=credits_))
    assert [line.id for line in made.lines if line.kind is Kind.CREDIT] == ["8", "9", "10"]
    assert made.total_cents == 0
    assert made.carried == (Credit("10", name("Acerto 10"), 2010),)
