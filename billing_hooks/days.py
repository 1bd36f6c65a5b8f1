"""On which days and hours a restriction may begin. Pure, but for the holidays that the library `holidays` knows.

Lei 14.015/2020 keeps cuts of public services off Fridays, weekends, holidays and their eves, and within business hours.
Whether it binds an authorised telecom service is debated; consumer bodies take it for the rule, and so it is ours
unless a policy says otherwise. Giving access back knows no days and no hours.

A day is a holiday by the country, by the state and the municipality in which the service is, or by the provider's own
list. Carnival, Ash Wednesday, Corpus Christi and the like are optional by law (ponto facultativo) and observed in
practice: banks are closed, and a bill cannot be paid at their counters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final

import holidays

from core.errors import InvalidInput

_WEEKDAYS_PT: Final = ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo")
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SATURDAY: Final = 5
#: Cuts may always begin within so many days somewhere: a policy that forbids more forbids all.
_SEARCH_DAYS_MAX: Final = 60


class Forbids(StrEnum):
    """Why a restriction may not begin now."""

    WEEKDAY = "weekday"
    HOLIDAY = "holiday"
    EVE = "eve"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is: `state` as in ISO 3166-2 without the country (SP), `ibge_code` of the municipality."""

    state: str | None = None
    ibge_code: str | None = None


@dataclass(frozen=True, slots=True)
class OwnHoliday:
    """One of the provider's list. `year` None: every year. A state or municipality: only there."""

    name: str
    month: int
    day: int
    year: int | None = None
    state: str | None = None
    ibge_code: str | None = None

    def __post_init__(self) -> None:
        try:
            date(self.year or 2028, self.month, self.day)  # a leap year: 29 February comes when it comes
        except ValueError:
            raise InvalidInput(f"{self.day}/{self.month} is no day of the year", field="day") from None

    def is_on(self, day: date, place: Place) -> bool:
        here = self.state in {None, place.state} and self.ibge_code in {None, place.ibge_code}
        return here and (self.month, self.day) == (day.month, day.day) and self.year in {None, day.year}


@dataclass(frozen=True, slots=True)
class Holidays:
    """`country` as in ISO 3166-1 (BR); `own` come on top of what the country's law says."""

    country: str
    own: tuple[OwnHoliday, ...] = ()

    def __post_init__(self) -> None:
        if self.country not in _supported():
            raise InvalidInput(f"the holidays of {self.country} are not known", field="country")

    def closes_banks(self, day: date) -> bool:
        """In the whole country: a holiday of one city defers no due date that a bank of another one knows."""
        return self.name_of(day, (Place(),)) is not None

    def name_of(self, day: date, places: Iterable[Place]) -> str | None:
        """Of a holiday at one of these places."""
        for place in places:
            for one in self.own:
                if one.is_on(day, place):
                    return one.name
            name = _of_law(self.country, place.state, day.year).get(day)
            if name is not None:
                return name
        return None


@dataclass(frozen=True, slots=True)
class CutHours:
    """When a restriction may begin. `weekdays`: Monday is 0. From `first_hour` until before `last_hour`."""

    weekdays: frozenset[int] = frozenset({0, 1, 2, 3})
    first_hour: int = 8
    last_hour: int = 18
    holidays: bool = False
    eves: bool = False

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= frozenset(range(7)):
            raise InvalidInput("weekdays are 0 (Monday) to 6, and one at least", field="weekdays")
        if not 0 <= self.first_hour < self.last_hour <= 24:
            raise InvalidInput("hours are 0 to 24, the first before the last", field="first_hour")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not now, in both languages."""

    forbids: Forbids
    reason: str
    reason_pt: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """The provider's: its holidays in its zone."""

    holidays: Holidays
    zone: tzinfo

    def refusal(self, hours: CutHours, now: datetime, places: Collection[Place]) -> Refusal | None:
        """None: a restriction may begin now at all these places."""
        local = now.astimezone(self.zone)
        forbidden = self.day_refusal(hours, local.date(), places)
        if forbidden is not None:
            return forbidden
        if not hours.first_hour <= local.hour < hours.last_hour:
            window = f"{hours.first_hour} h - {hours.last_hour} h"
            return Refusal(Forbids.HOUR, f"cuts begin from {window}", f"cortes começam das {window}")
        return None

    def day_refusal(self, hours: CutHours, day: date, places: Collection[Place]) -> Refusal | None:
        """None: at some hour of this day."""
        somewhere = places or (Place(),)
        if day.weekday() not in hours.weekdays:
            name, name_pt = _WEEKDAYS[day.weekday()], _WEEKDAYS_PT[day.weekday()]
            return Refusal(Forbids.WEEKDAY, f"it is {name}", f"é {name_pt}")
        holiday = None if hours.holidays else self.holidays.name_of(day, somewhere)
        if holiday is not None:
            return Refusal(Forbids.HOLIDAY, f"it is a holiday: {holiday}", f"é feriado: {holiday}")
        eve_of = None if hours.eves else self.holidays.name_of(day + timedelta(days=1), somewhere)
        if eve_of is not None:
            return Refusal(Forbids.EVE, f"it is the eve of a holiday: {eve_of}", f"é véspera de feriado: {eve_of}")
        return None

    def banks_open(self, day: date) -> bool:
        """A bank's day: no weekend and no holiday of the whole country."""
        return day.weekday() < _SATURDAY and self.holidays.name_of(day, (Place(),)) is None

    def next_day(self, hours: CutHours, first: date, places: Collection[Place]) -> date:
        """The first day, not before `first`, on which a restriction may begin. Raises InvalidInput where none comes."""
        for ahead in range(_SEARCH_DAYS_MAX):
            day = first + timedelta(days=ahead)
            if self.day_refusal(hours, day, places) is None:
                return day
        raise InvalidInput(f"no cut may begin within {_SEARCH_DAYS_MAX} days of {first}", field="weekdays")


@cache
def _supported() -> dict[str, list[str]]:
    """Countries and their subdivisions; the library makes this list anew for each who asks."""
    return holidays.list_supported_countries(include_aliases=False)


@lru_cache(maxsize=512)
def _of_law(country: str, state: str | None, year: int) -> holidays.HolidayBase:
    """Public and optional ones of a state; an unknown state has its country's."""
    known = _supported().get(country, [])
    of_country = holidays.country_holidays(country, years=year)
    categories = {"public", "optional"} & set(of_country.supported_categories)
    subdivision = state if state in known else None
    language = "pt_BR" if country == "BR" else None
    return holidays.country_holidays(
        country, subdiv=subdivision, years=year, categories=tuple(sorted(categories)), language=language
    )
