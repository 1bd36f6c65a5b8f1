"""Standing: a table of dates, told as a calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.standing import OpenInvoice, SuspensionPolicy, may_begin, standing

ZONE = ZoneInfo("America/Sao_Paulo")
POLICY = SuspensionPolicy()
DUE = date(2026, 11, 2)
NOTIFIED = datetime(2026, 11, 5, 15, 0, tzinfo=UTC)


def invoice(notified_at: datetime | None = NOTIFIED, *, contested: bool = False) -> OpenInvoice:
    return OpenInvoice(7, DUE, 8990, notified_at, contested)


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
    later = OpenInvoice(9, DUE + timedelta(days=1), 1, NOTIFIED, False)
    verdict = standing([later, invoice()], POLICY, datetime(2026, 12, 1, 12, tzinfo=UTC), ZONE)
    assert verdict.invoice_id == 7
    assert verdict.reason == "invoice 7 is 29 days overdue and its notice has run"
    assert verdict.reason_pt == "fatura 7 vencida há 29 dias, com o prazo do aviso cumprido"


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)))
def test_no_cut_begins_on_a_forbidden_day_or_hour(moment: datetime) -> None:
    local = moment.replace(tzinfo=ZONE)
    allowed = may_begin(POLICY, local.astimezone(UTC), ZONE)
    assert allowed == (local.weekday() <= 3 and 8 <= local.hour < 18)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)), st.integers(0, 60))
def test_nobody_owes_before_the_notice_has_run(notified: datetime, days: int) -> None:
    notice = notified.replace(tzinfo=UTC)
    now = notice + timedelta(days=days)
    verdict = standing([OpenInvoice(1, date(2025, 1, 1), 1, notice, False)], POLICY, now, ZONE)
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
    one = OpenInvoice(1, due, 100, at, False)
    start = first_day - timedelta(days=40)
    assert owing_days(one, start, 45) == [first_day + timedelta(days=day) for day in range(5)]


@pytest.mark.parametrize(
    "name", ["America/Sao_Paulo", "America/Rio_Branco", "America/Noronha", "UTC", "Pacific/Auckland"]
)
def test_each_provider_counts_its_own_days(name: str) -> None:
    """The day changes where the provider is, whatever day it is in UTC; a change to summer time moves nothing."""
    zone = ZoneInfo(name)
    one = OpenInvoice(1, date(2026, 9, 1), 100, datetime(2026, 9, 20, 12, tzinfo=zone), False)
    midnight = datetime(2026, 10, 6, 0, 0, tzinfo=zone)
    assert not standing([one], POLICY, midnight - timedelta(minutes=1), zone).owes
    assert standing([one], POLICY, midnight, zone).owes


def test_a_restriction_waits_over_the_weekend() -> None:
    # 2026-11-26 is a Thursday: the last hour in which one may begin before Monday
    moments = [datetime(2026, 11, 26, 17, 59, tzinfo=ZONE) + timedelta(hours=hours) for hours in range(96)]
    allowed = [moment for moment in moments if may_begin(POLICY, moment, ZONE)]
    assert [moment.strftime("%a") for moment in allowed] == ["Thu"] + ["Mon"] * 9
