"""Which file is missing: by the bank's days, the hour of the next one, and what the files tell of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import bank_files
import pytest
from bank_files import Detail, entry, itau_return, ofx
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing_hooks.bank_files import store
from billing_hooks.bank_files.expected import Told, alarms, create_expectation, missing
from billing_hooks.bank_files.working import BankFiles
from billing_hooks.days import Calendar, Holidays, OwnHoliday
from billing_hooks.invoicing.words import Words
from billing_hooks.models import ExpectedBankFile
from core.audit import Actor
from core.errors import InvalidInput

ACTOR = Actor("operator:ana")
ZONE = ZoneInfo("America/Sao_Paulo")
CALENDAR = Calendar(Holidays("BR"), ZONE)
ACCOUNT = "0730/35110-4"
#: A Monday; the Friday before it is the 20th, a holiday (Consciência Negra).
MONDAY = date(2026, 11, 23)
THURSDAY = date(2026, 11, 19)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).astimezone(UTC)


def expect(session: Session, **values: Any) -> ExpectedBankFile:
    defaults = {"bank": "341", "account": ACCOUNT, "weekdays": [0, 1, 2, 3, 4], "hour": 10, "since": THURSDAY}
    return create_expectation(session, defaults | values, ACTOR)


def bring(session: Session, octets: bytes | str, now: datetime) -> None:
    bank_files.bring(session, octets, now)


def test_a_file_is_missed_from_the_hour_of_the_banks_next_day_until_it_is_there(session: Session) -> None:
    expect(session)
    assert alarms(session, CALENDAR, at(MONDAY, 9, 59)) == []  # Friday was a holiday: Thursday's comes by Monday
    assert alarms(session, CALENDAR, at(MONDAY, 10)) == [
        Words(
            "banco 341, conta 0730/35110-4: nenhum arquivo fala de 19/11/2026, esperado até as 10 h de 23/11/2026",
            "bank 341, account 0730/35110-4: no file tells of 2026-11-19, expected by 10 h of 2026-11-23",
        )
    ]
    bring(session, itau_return(Detail("06", 1, THURSDAY, 9990)), at(MONDAY, 10, 5))
    assert alarms(session, CALENDAR, at(MONDAY, 10, 6)) == []
    tuesday = MONDAY + timedelta(1)
    assert [one.en for one in alarms(session, CALENDAR, at(tuesday, 11))] == [
        "bank 341, account 0730/35110-4: no file tells of 2026-11-23, expected by 10 h of 2026-11-24"
    ]


def test_a_file_that_was_written_on_the_day_tells_of_it_though_nobody_paid(session: Session) -> None:
    """itau_return's header says that it was written on 24 November."""
    expect(session, since=date(2026, 11, 24))
    wednesday = date(2026, 11, 25)
    assert len(alarms(session, CALENDAR, at(wednesday, 12))) == 1
    bring(session, itau_return(Detail("02", 1, THURSDAY)), at(wednesday, 12))
    assert alarms(session, CALENDAR, at(wednesday, 12)) == []


def test_a_statement_tells_of_its_whole_period(session: Session) -> None:
    expect(session, bank="001", account="1", since=date(2026, 11, 10))
    friday = date(2026, 11, 27)
    (words,) = alarms(session, CALENDAR, at(friday, 12))
    assert words.en.startswith("bank 001, account 1: no file tells of 2026-11-13, 2026-11-16, ")
    bring(session, ofx(entry("1", "1.00", on="20261112"), bank="001", account="1"), at(friday, 12))
    assert alarms(session, CALENDAR, at(friday, 12)) == []


def test_another_accounts_file_a_refused_one_and_one_that_is_being_read_are_none(session: Session) -> None:
    expect(session)
    now = at(MONDAY, 11)
    bring(session, itau_return(Detail("06", 1, THURSDAY, 9990), account="999999"), now)
    bring(session, itau_return(Detail("06", 1, THURSDAY, 9990))[:900], now)
    assert "no file tells of 2026-11-19" in alarms(session, CALENDAR, now)[0].en
    octets = itau_return(Detail("06", 1, THURSDAY, 9990))
    file = store.receive(session, octets, name="a", actor=ACTOR, now=now)
    BankFiles(lambda: now).handle_due(session, {"file_id": file.id})
    assert alarms(session, CALENDAR, now) == [
        Words(
            "banco 341, conta 0730/35110-4: o arquivo de 19/11/2026 ainda está sendo lido",
            "bank 341, account 0730/35110-4: the file of 2026-11-19 is still being read",
        )
    ]


def test_only_the_weekdays_that_were_named_and_from_the_day_on(session: Session) -> None:
    expect(session, weekdays=[3], since=date(2026, 11, 1))
    assert [one.en for one in alarms(session, CALENDAR, at(MONDAY, 12))] == [
        "bank 341, account 0730/35110-4: no file tells of 2026-11-12, 2026-11-19, expected by 10 h of 2026-11-23"
    ]


@pytest.mark.parametrize(
    ("weekdays", "hour", "field"), [([], 10, "weekdays"), ([5], 10, "weekdays"), ([0], 24, "hour")]
)
def test_an_expectation_that_never_comes_is_refused(
    session: Session, weekdays: list[int], hour: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        expect(session, weekdays=weekdays, hour=hour)
    assert refused.value.field == field


def test_a_banks_day_is_no_weekend_and_no_holiday_of_the_country() -> None:
    own = (OwnHoliday("Padroeira", 11, 24, state="PB"), OwnHoliday("Fim do ano", 12, 31))
    calendar = Calendar(Holidays("BR", own), ZONE)
    days = [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 24), date(2026, 12, 31), date(2026, 2, 17)]
    assert [calendar.banks_open(day) for day in days] == [False, False, True, False, False]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
    st.sets(st.integers(0, 4), min_size=1),
    st.integers(0, 23),
    st.lists(st.tuples(st.integers(-20, 3), st.integers(0, 4)), max_size=6),
)
def test_nothing_is_missed_before_its_hour_nor_of_a_day_on_which_banks_are_closed_nor_once_it_is_told(
    local: datetime, weekdays: set[int], hour: int, told: list[tuple[int, int]]
) -> None:
    now, today = local.replace(tzinfo=ZONE), local.date()
    one = ExpectedBankFile(
        bank="341", account=ACCOUNT, weekdays=sorted(weekdays), hour=hour, since=today - timedelta(10)
    )
    files = [
        Told("341", "730/351104", today + timedelta(first), today + timedelta(first + days), None, done=True)
        for first, days in told
    ]
    said = missing(one, files, CALENDAR, now)
    words = said.en if said else ""
    for back in range(-1, 20):
        day = today - timedelta(back)
        if day.isoformat() in words.partition(", expected by")[0]:
            assert today - timedelta(10) <= day < today
            assert day.weekday() in weekdays
            assert CALENDAR.banks_open(day)
            assert not any(file.tells_of(day) for file in files)
            assert day < today - timedelta(1) or local.hour >= hour
