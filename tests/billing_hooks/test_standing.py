"""Standing: a table of dates, told as a calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.policy import ANATEL_765, LEGACY_632, PRESETS, Policy, check_for_persons, from_body, to_body
from billing_hooks.standing import Debtor, OpenInvoice, Spared, Standing
from billing_hooks.standing import standing as standing_of
from core.access import HoldEffect
from core.errors import InvalidInput

ZONE = ZoneInfo("America/Sao_Paulo")
POLICY = ANATEL_765
DUE = date(2026, 11, 2)
NOTIFIED = datetime(2026, 11, 5, 15, 0, tzinfo=UTC)


def standing(invoices: list[OpenInvoice], policy: Policy, now: datetime, zone: ZoneInfo, **more: Any) -> Standing:
    return standing_of(Debtor(invoices, **more), policy, now, zone)


def invoice(notified_at: datetime | None = NOTIFIED, *, contested: bool = False) -> OpenInvoice:
    return OpenInvoice(7, DUE, 8990, notified_at, contested=contested)


@pytest.mark.parametrize(
    ("now", "one", "owes"),
    [
        # day 0: due today, not overdue
        (datetime(2026, 11, 2, 15, tzinfo=UTC), invoice(), False),
        # overdue for weeks, and nobody told the payer
        (datetime(2026, 12, 20, 15, tzinfo=UTC), invoice(None), False),
        # day 15 after the notice is still one of the 15 full days
        (datetime(2026, 11, 20, 15, tzinfo=UTC), invoice(), False),
        # a quarter of an hour before the 21st begins in São Paulo (02:45 UTC)
        (datetime(2026, 11, 21, 2, 45, tzinfo=UTC), invoice(), False),
        # the 21st has begun
        (datetime(2026, 11, 21, 3, 1, tzinfo=UTC), invoice(), True),
        # contested: not while that is open
        (datetime(2026, 12, 20, 15, tzinfo=UTC), invoice(contested=True), False),
        # a notice at 23:30 UTC on the 5th is the 5th in São Paulo; one at 02:30 UTC on the 6th is too
        (datetime(2026, 11, 21, 12, tzinfo=UTC), invoice(datetime(2026, 11, 6, 2, 30, tzinfo=UTC)), True),
        (datetime(2026, 11, 21, 12, tzinfo=UTC), invoice(datetime(2026, 11, 6, 3, 30, tzinfo=UTC)), False),
    ],
)
def test_the_calendar(now: datetime, one: OpenInvoice, owes: bool) -> None:
    assert standing([one], POLICY, now, ZONE).owes is owes


def test_the_oldest_invoice_is_the_reason_in_both_languages() -> None:
    later = OpenInvoice(9, DUE + timedelta(days=1), 1, NOTIFIED)
    verdict = standing([later, invoice()], POLICY, datetime(2026, 12, 1, 12, tzinfo=UTC), ZONE)
    assert verdict.invoice_id == 7
    assert verdict.reason == "invoice 7 is 29 days overdue and its notice has run"
    assert verdict.reason_pt == "fatura 7 vencida há 29 dias, com o prazo do aviso cumprido"


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)), st.integers(0, 60))
def test_nobody_owes_before_the_notice_has_run(notified: datetime, days: int) -> None:
    notice = notified.replace(tzinfo=UTC)
    now = notice + timedelta(days=days)
    verdict = standing([OpenInvoice(1, date(2025, 1, 1), 1, notice)], POLICY, now, ZONE)
    full_days = (now.astimezone(ZONE).date() - notice.astimezone(ZONE).date()).days
    assert verdict.owes == (full_days > 15)


def owing_days(one: OpenInvoice, first: date, days: int, zone: ZoneInfo = ZONE) -> list[date]:
    """The days, at noon, on which the invoice weighs."""
    calendar = [first + timedelta(days=day) for day in range(days)]
    noon = [datetime(day.year, day.month, day.day, 12, tzinfo=zone) for day in calendar]
    return [day for day, now in zip(calendar, noon, strict=True) if standing([one], POLICY, now, zone).owes]


@pytest.mark.parametrize(
    ("due", "notified", "first_day"),
    [
        # told on the last of January: the 15 days end in February, leap year or not
        (date(2027, 1, 10), date(2027, 1, 31), date(2027, 2, 16)),
        (date(2028, 2, 10), date(2028, 2, 14), date(2028, 3, 1)),
        (date(2027, 2, 10), date(2027, 2, 14), date(2027, 3, 2)),
        # over the new year
        (date(2026, 12, 10), date(2026, 12, 20), date(2027, 1, 5)),
        # told before it was due, as a bill that warns does: the days run from the due date
        (date(2026, 12, 10), date(2026, 11, 25), date(2026, 12, 26)),
        (date(2026, 12, 10), date(2026, 12, 10), date(2026, 12, 26)),
        # told months late
        (date(2026, 1, 10), date(2026, 12, 1), date(2026, 12, 17)),
    ],
)
def test_month_ends_and_early_notices_day_by_day(due: date, notified: date, first_day: date) -> None:
    at = datetime(notified.year, notified.month, notified.day, 9, tzinfo=ZONE)
    one = OpenInvoice(1, due, 100, at)
    start = first_day - timedelta(days=40)
    assert owing_days(one, start, 45) == [first_day + timedelta(days=day) for day in range(5)]


@pytest.mark.parametrize(
    "name", ["America/Sao_Paulo", "America/Rio_Branco", "America/Noronha", "UTC", "Pacific/Auckland"]
)
def test_each_provider_counts_its_own_days(name: str) -> None:
    """The day changes where the provider is, whatever day it is in UTC; a change to summer time moves nothing."""
    zone = ZoneInfo(name)
    one = OpenInvoice(1, date(2026, 9, 1), 100, datetime(2026, 9, 20, 12, tzinfo=zone))
    midnight = datetime(2026, 10, 6, 0, 0, tzinfo=zone)
    assert not standing([one], POLICY, midnight - timedelta(minutes=1), zone).owes
    assert standing([one], POLICY, midnight, zone).owes


def steps_by_day(policy: Policy, one: OpenInvoice, days: range, **more: Any) -> dict[int, str]:
    """On which day after the notice each step is reached first, by the name of its effect or act."""
    found: dict[int, str] = {}
    for day in days:
        verdict = standing([one], policy, NOTIFIED + timedelta(days=day), ZONE, **more)
        name = "propose" if verdict.propose_termination else verdict.effect.value if verdict.effect else ""
        if name and name not in found.values():
            found[day] = name
    return found


def test_the_strict_rule_suspends_at_once_after_the_notice_and_proposes_the_end_60_days_later() -> None:
    since = NOTIFIED + timedelta(days=16)
    reached = steps_by_day(ANATEL_765, invoice(), range(120), restricted_since=since)
    assert reached == {16: "walled_garden", 76: "propose"}


def test_the_rule_before_reduces_first_and_blocks_30_days_later() -> None:
    since = NOTIFIED + timedelta(days=16)
    reached = steps_by_day(LEGACY_632, invoice(), range(120), restricted_since=since)
    assert reached == {16: "throttle", 46: "block", 76: "propose"}


def test_a_contract_that_may_be_ended_stays_restricted() -> None:
    verdict = standing([invoice()], POLICY, NOTIFIED + timedelta(days=90), ZONE, restricted_since=NOTIFIED)
    assert (verdict.propose_termination, verdict.effect) == (True, HoldEffect.WALLED_GARDEN)


@pytest.mark.parametrize(
    ("facts", "spared"),
    [
        ({"exempt": True}, Spared.EXEMPTION),
        ({"promise_until": NOTIFIED + timedelta(days=31)}, Spared.PROMISE),
        ({"promise_until": NOTIFIED + timedelta(days=29)}, None),
        ({"paused": True}, Spared.PAUSED),
    ],
)
def test_what_stands_against_a_restriction_is_said(facts: dict[str, Any], spared: Spared | None) -> None:
    verdict = standing([invoice()], POLICY, NOTIFIED + timedelta(days=30), ZONE, **facts)
    assert (verdict.spared, verdict.owes) == (spared, spared is None)
    assert ("spared" in verdict.reason, "poupado" in verdict.reason_pt) == (bool(spared), bool(spared))


def test_less_than_the_minimum_in_all_is_not_worth_a_restriction() -> None:
    policy = replace(POLICY, minimum_cents=9000)
    now = NOTIFIED + timedelta(days=30)
    assert standing([invoice()], policy, now, ZONE).spared is Spared.MINIMUM
    second = OpenInvoice(8, DUE, 10, NOTIFIED)
    assert standing([invoice(), second], policy, now, ZONE).owes


def told_on(day: int, *told: str, notified: bool = False, **facts: Any) -> list[str]:
    """The message steps that are due so many days after the due date."""
    one = OpenInvoice(7, DUE, 8990, NOTIFIED if notified else None, told=frozenset(told))
    now = datetime(DUE.year, DUE.month, DUE.day, 12, tzinfo=ZONE) + timedelta(days=day)
    return [message.step.name for message in standing([one], POLICY, now, ZONE, **facts).messages]


def test_messages_come_on_their_days_and_once() -> None:
    before, notice, late = (step.name for step in POLICY.steps[:3])
    assert [told_on(day) for day in (-4, -3, 0)] == [[], [before], [before]]
    assert told_on(-2, before) == []
    assert told_on(1, before) == [notice]
    assert told_on(5, before, notice) == []
    assert told_on(12, before, notice, notified=True) == [late]
    assert told_on(13, before, notice, late, notified=True) == []


def test_a_notice_is_never_left_out_and_old_reminders_are() -> None:
    notice = POLICY.steps[1].name
    assert told_on(200) == [notice]
    assert told_on(200, notice) == []
    assert told_on(200, notified=True) == []


def test_nobody_inside_an_open_incident_is_told_of_a_debt() -> None:
    assert told_on(1, incident="7 (fibre cut)") == []


@pytest.mark.parametrize("policy", PRESETS.values(), ids=PRESETS.keys())
def test_a_policy_goes_through_its_body_unchanged_and_keeps_the_consumers_days(policy: Policy) -> None:
    assert from_body(to_body(policy)) == policy
    check_for_persons(policy)


STEPS = [
    {"name": "n", "action": "notice", "basis": "due", "days": 1},
    {"name": "w", "action": "walled_garden", "basis": "notice", "days": 15},
]


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps"),
        (STEPS[1:], "steps"),
        ([STEPS[0], {**STEPS[1], "name": "n"}], "steps"),
        ([STEPS[0], {**STEPS[1], "basis": "due"}], "steps.1.basis"),
        ([STEPS[0], {**STEPS[1], "basis": "restriction"}], "steps"),
        ([{**STEPS[0], "basis": "notice"}], "steps.0.basis"),
        ([STEPS[0], {**STEPS[1], "days": -1}], "steps.1.days"),
        ([{**STEPS[0], "days": 401}], "steps.0.days"),
        ([STEPS[0], STEPS[1], {"name": "t", "action": "throttle", "basis": "restriction", "days": 5}], "steps"),
        ([STEPS[0], STEPS[1], {"name": "p", "action": "propose_termination", "basis": "notice", "days": 60}],
         "steps.2.basis"),
        ([{**STEPS[0], "action": "cut"}], "policy"),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_by_its_place(steps: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_body({"name": "x", "steps": steps})
    assert refused.value.field == field


def test_consumers_have_15_days_whatever_a_policy_says() -> None:
    quick = from_body({"name": "x", "steps": [STEPS[0], {**STEPS[1], "days": 5}]})
    with pytest.raises(InvalidInput, match="765/2023"):
        check_for_persons(quick)
