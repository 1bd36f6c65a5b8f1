"""On which days and hours a restriction may begin: the calendar of two years, case by case."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.days import Calendar, CutHours, Forbids, Holidays, OwnHoliday, Place
from core.errors import InvalidInput

ZONE = ZoneInfo("America/Sao_Paulo")
HOURS = CutHours()
SAO_PAULO, SANTOS, RIO = Place("SP", "3550308"), Place("SP", "3548500"), Place("RJ", "3304557")
OWN = (
    OwnHoliday("Aniversário de São Paulo", 1, 25, ibge_code="3550308"),
    OwnHoliday("Aniversário de Santos", 1, 26, ibge_code="3548500"),
    OwnHoliday("Recesso da empresa", 12, 30, year=2026),
    OwnHoliday("Dia bissexto", 2, 29),
)
CALENDAR = Calendar(Holidays("BR", OWN), ZONE)


def forbidden(day: date, *places: Place, hours: CutHours = HOURS) -> Forbids | None:
    refusal = CALENDAR.day_refusal(hours, day, places)
    return refusal.forbids if refusal is not None else None


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # Carnival 2026 is 16 and 17 February, Ash Wednesday the 18th: the Thursday after is free again
        (date(2026, 2, 12), None), (date(2026, 2, 13), Forbids.WEEKDAY), (date(2026, 2, 16), Forbids.HOLIDAY),
        (date(2026, 2, 17), Forbids.HOLIDAY), (date(2026, 2, 18), Forbids.HOLIDAY), (date(2026, 2, 19), None),
        # Good Friday, 3 April 2026: its eve is a Thursday
        (date(2026, 4, 2), Forbids.EVE), (date(2026, 4, 1), None), (date(2026, 4, 6), None),
        # Tiradentes, a Tuesday: the Monday before is an eve
        (date(2026, 4, 20), Forbids.EVE), (date(2026, 4, 21), Forbids.HOLIDAY), (date(2026, 4, 22), None),
        # Corpus Christi moves with Easter: 4 June 2026, 27 May 2027
        (date(2026, 6, 3), Forbids.EVE), (date(2026, 6, 4), Forbids.HOLIDAY), (date(2027, 5, 27), Forbids.HOLIDAY),
        (date(2027, 6, 3), None),
        # Independence Day on a Monday, and the Thursday before it
        (date(2026, 9, 7), Forbids.HOLIDAY), (date(2026, 9, 3), None),
        # the end of the year, over which no cut begins for days
        (date(2026, 12, 23), Forbids.EVE), (date(2026, 12, 24), Forbids.HOLIDAY), (date(2026, 12, 28), None),
        (date(2026, 12, 29), Forbids.EVE), (date(2026, 12, 30), Forbids.HOLIDAY), (date(2026, 12, 31), Forbids.HOLIDAY),
        (date(2027, 1, 4), None),
        # 29 February 2028 is a Tuesday, and here a holiday; its eve is Monday; in 2027 there is none
        (date(2028, 2, 28), Forbids.HOLIDAY), (date(2028, 2, 29), Forbids.HOLIDAY), (date(2027, 3, 1), None),
    ],
)  # fmt: skip
def test_the_calendar_of_the_country(day: date, expected: Forbids | None) -> None:
    assert forbidden(day) is expected


@pytest.mark.parametrize(
    ("day", "place", "expected"),
    [
        # 9 July is a holiday of the state of São Paulo only; 2026: a Thursday
        (date(2026, 7, 9), SAO_PAULO, Forbids.HOLIDAY), (date(2026, 7, 8), SANTOS, Forbids.EVE),
        (date(2026, 7, 9), RIO, None),
        # 25 January of the city of São Paulo, 26 of Santos; 2027: a Monday and a Tuesday
        (date(2027, 1, 25), SAO_PAULO, Forbids.HOLIDAY), (date(2027, 1, 25), SANTOS, Forbids.EVE),
        (date(2027, 1, 26), SANTOS, Forbids.HOLIDAY), (date(2027, 1, 26), SAO_PAULO, None),
        (date(2027, 1, 26), RIO, None),
    ],
)  # fmt: skip
def test_state_and_municipal_holidays_are_where_the_service_is(
    day: date, place: Place, expected: Forbids | None
) -> None:
    assert forbidden(day, place) is expected


def test_a_contract_with_services_in_two_cities_has_the_holidays_of_both() -> None:
    assert forbidden(date(2027, 1, 26), SAO_PAULO, SANTOS) is Forbids.HOLIDAY


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 24, 10, 59, tzinfo=UTC), Forbids.HOUR), (datetime(2026, 11, 24, 11, 0, tzinfo=UTC), None),
        (datetime(2026, 11, 24, 20, 59, tzinfo=UTC), None), (datetime(2026, 11, 24, 21, 0, tzinfo=UTC), Forbids.HOUR),
        # Monday 01:00 UTC is still Sunday in São Paulo
        (datetime(2026, 11, 23, 1, 0, tzinfo=UTC), Forbids.WEEKDAY),
    ],
)  # fmt: skip
def test_hours_are_the_providers(moment: datetime, expected: Forbids | None) -> None:
    refusal = CALENDAR.refusal(HOURS, moment, [])
    assert (refusal.forbids if refusal else None) is expected


def test_a_policy_may_allow_holidays_and_their_eves() -> None:
    lenient = CutHours(frozenset(range(7)), 0, 24, holidays=True, eves=True)
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(730)]
    assert {forbidden(day, SAO_PAULO, hours=lenient) for day in days} == {None}


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31, 23, 59)), st.sampled_from([SAO_PAULO, SANTOS, RIO]))
def test_no_cut_begins_on_a_forbidden_day_or_hour(local: datetime, place: Place) -> None:
    """Against the rule as the law says it, word by word."""
    moment = local.replace(tzinfo=ZONE)
    day, holidays = local.date(), CALENDAR.holidays
    allowed = CALENDAR.refusal(HOURS, moment.astimezone(UTC), [place]) is None
    assert allowed == (
        day.weekday() not in {4, 5, 6}
        and holidays.name_of(day, [place]) is None
        and holidays.name_of(day + timedelta(days=1), [place]) is None
        and 8 <= local.hour < 18
    )


@given(st.dates(date(2026, 1, 1), date(2028, 12, 31)))
def test_the_next_day_is_the_first_on_which_it_may_begin(first: date) -> None:
    found = CALENDAR.next_day(HOURS, first, [SAO_PAULO])
    assert forbidden(found, SAO_PAULO) is None
    assert all(forbidden(first + timedelta(days=day), SAO_PAULO) for day in range((found - first).days))


def test_a_refusal_says_why_in_both_languages() -> None:
    refusal = CALENDAR.day_refusal(HOURS, date(2026, 12, 24), [])
    assert refusal is not None
    assert (refusal.reason, refusal.reason_pt) == ("it is a holiday: Véspera de Natal", "é feriado: Véspera de Natal")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: CutHours(weekdays=frozenset()), "weekdays"), (lambda: CutHours(weekdays=frozenset({7})), "weekdays"),
        (lambda: CutHours(first_hour=18, last_hour=18), "first_hour"), (lambda: OwnHoliday("x", 2, 30), "day"),
        (lambda: OwnHoliday("x", 2, 29, year=2027), "day"), (lambda: Holidays("XX"), "country"),
    ],
)  # fmt: skip
def test_what_makes_no_calendar_is_refused(make: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.field == field


def test_another_country_has_its_own_days() -> None:
    portugal = Calendar(Holidays("PT"), ZoneInfo("Europe/Lisbon"))
    refusal = portugal.day_refusal(HOURS, date(2026, 4, 1), [])
    assert refusal is None
    assert portugal.holidays.name_of(date(2026, 6, 10), [Place()]) is not None
