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
