"""When an account is silent for too long, by its own habit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from billing_hooks import accounts, reconciliation, silence
from billing_hooks.invoicing.words import Words
from billing_hooks.models import GatewayAccount, InboxEntry
from core.audit import Actor
from core.keyring import Keyring
from core.models import Event

SECRET = "whsec_YSBnYXRld2F5J3Mgc2VjcmV0IG9mIG9jdGV0cw=="
ZONE = ZoneInfo("America/Sao_Paulo")
MONDAY = date(2026, 11, 2)
#: Monday to Friday for four weeks, the last on 27 November.
WEEKDAYS = [MONDAY + timedelta(days=number) for number in range(28) if number % 7 < 5]


@pytest.fixture
def account_id(session: Session, keyring: Keyring) -> int:
    return accounts.create_account(session, keyring, "standard", "erp", SECRET, Actor("test")).id


def tell(session: Session, account_id: int, days: list[date], *, found: bool = False) -> None:
    for day in days:
        at = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
        entry = InboxEntry(
            account_id=account_id, gateway="standard", event_id=f"{day} {found}", body=b"{}", received_at=at,
            found=found,
        )  # fmt: skip
        session.add(entry)
    session.flush()


def noon(month: int, day: int) -> datetime:
    return datetime(2026, month, day, 12, tzinfo=UTC)


def test_a_weekend_is_no_silence_where_weekends_are_silent_and_six_days_are(session: Session, account_id: int) -> None:
    tell(session, account_id, WEEKDAYS)
    assert silence.alarm_of(session, account_id, noon(11, 30), ZONE) is None
    assert silence.alarm_of(session, account_id, noon(12, 3), ZONE) is None  # five whole days, twice a weekend and one
    alarm = silence.alarm_of(session, account_id, noon(12, 4), ZONE)
    assert alarm is not None
    assert "since 2026-11-27 12:00, and was never silent for more than 2 days before" in alarm.en
    assert "desde 27/11/2026 12:00, e antes nunca ficou em silêncio por mais de 2 dias" in alarm.pt


def test_who_tells_every_day_is_missed_after_two(session: Session, account_id: int) -> None:
    tell(session, account_id, [MONDAY + timedelta(days=number) for number in range(14)])
    assert silence.alarm_of(session, account_id, noon(11, 17), ZONE) is None
    assert silence.alarm_of(session, account_id, noon(11, 18), ZONE) is not None


def test_who_told_little_or_nothing_has_no_habit_and_what_was_found_is_not_told(
    session: Session, account_id: int
) -> None:
    assert silence.alarm_of(session, account_id, noon(12, 30), ZONE) is None
    tell(session, account_id, WEEKDAYS[:6])
    assert silence.alarm_of(session, account_id, noon(12, 30), ZONE) is None
    tell(session, account_id, WEEKDAYS, found=True)
    assert silence.alarm_of(session, account_id, noon(12, 30), ZONE) is None


def test_an_account_without_an_api_is_an_alarm_when_it_is_silent_and_well_when_it_speaks(
    session: Session, account_id: int
) -> None:
    tell(session, account_id, WEEKDAYS)
    reconciliation.owe_due(session, noon(12, 4), ZONE)
    (alarm,) = reconciliation.alarms(session)
    assert alarm.en.startswith("erp: it told nothing since")
    assert alarm.pt.startswith("erp: não avisa nada desde")
    tell(session, account_id, [date(2026, 12, 4)])
    reconciliation.owe_due(session, noon(12, 5), ZONE)
    assert reconciliation.alarms(session) == []
    told = session.scalars(select(Event.type).where(Event.type.startswith("gateway_account.")).order_by(Event.id)).all()
    assert told == ["gateway_account.created", "gateway_account.alarm", "gateway_account.well"]
    first = select(Event.payload).where(Event.type == "gateway_account.alarm")
    assert session.scalars(first).one() == {
        "alarm": alarm.en.removeprefix("erp: "), "alarm_pt": alarm.pt.removeprefix("erp: "),
    }  # fmt: skip


@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_silence_is_between_days_that_told_something(telling: list[bool]) -> None:
    longest = silence.longest_silence(telling)
    if sum(telling) < silence.TELLING_DAYS_MIN:
        assert longest is None
        return
    assert longest is not None
    text = "".join("x" if one else "." for one in telling).strip(".")
    assert "." * longest in text
    assert "." * (longest + 1) not in text


@pytest.mark.parametrize(
    ("days", "said", "said_pt"),
    [
        (31, None, ""), (30, "ends on 2026-12-24, in 30 days or less", "vence em 24/12/2026, em 30 dias ou menos"),
        (8, "30 days or less", "30 dias ou menos"), (7, "7 days or less", "7 dias ou menos"),
        (0, "ended on 2026-11-24", "venceu em 24/11/2026"),
    ],
)  # fmt: skip
def test_a_certificate_is_warned_of_a_month_and_a_week_before_it_ends(
    days: int, said: str | None, said_pt: str
) -> None:
    now = noon(11, 24)
    warning = reconciliation.certificate_warning(now + timedelta(days=days), now, ZONE)
    assert (warning is None) == (said is None)
    assert said is None or (warning is not None and said in warning.en and said_pt in warning.pt)
    assert reconciliation.certificate_warning(None, now, ZONE) is None


def test_a_warning_is_told_once_for_each_of_its_words_and_stops_nothing(session: Session, account_id: int) -> None:
    ends_at = noon(12, 24)
    for day in (noon(11, 20), noon(11, 24), noon(12, 1), noon(12, 17), noon(12, 18), noon(12, 24)):
        reconciliation.set_warning(session, account_id, reconciliation.certificate_warning(ends_at, day, ZONE))
    reconciliation.set_warning(session, account_id, None)
    told = select(Event.payload).where(Event.type == "gateway_account.warning").order_by(Event.id)
    words = [(payload["warning"], payload["warning_pt"]) for payload in session.scalars(told)]
    assert len(words) == 3
    assert ("ended" in words[-1][0], "venceu" in words[-1][1]) == (True, True)
    assert reconciliation.alarms(session) == []
    assert session.execute(select(GatewayAccount.warning, GatewayAccount.warning_pt)).one() == (None, None)


def test_what_was_said_in_english_alone_is_said_in_both_by_the_next_reading(session: Session, account_id: int) -> None:
    """Of a database that was upgraded while an alarm was there."""
    said = Words("parou", "it has stopped")
    session.execute(update(GatewayAccount).values(alarm=said.en, alarm_pt=said.en))
    reconciliation.set_alarm(session, account_id, said)
    assert reconciliation.alarms(session) == [Words("erp: parou", "erp: it has stopped")]
