"""Whom an incident may touch, as data: parts joined by OR, each of which may be left out. Pure.

    {"nas_ids": [7], "lines": [{"nas_id": 7, "port": "olt1 xpon 0/3"}], "service_ids": [42], "plan_ids": [3],
     "places": [{"state": "SP", "ibge_code": "3550308", "district": "Braz", "postal_code": "0301"}]}

What a place names has to hold all together. A line is what the NAS calls the subscriber's port (NAS-Port-Id), from its
beginning, so that a PON or a card is named by what its ports have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from core.errors import InvalidInput

#: Of each part.
PARTS_MAX: Final = 500
#: Postal codes have eight digits, of which the first three are the smallest area worth a name.
_POSTAL_DIGITS_MIN, _POSTAL_DIGITS_MAX = 3, 8


@dataclass(frozen=True, slots=True)
class Line:
    nas_id: int
    port: str


@dataclass(frozen=True, slots=True)
class Place:
    """`state` as in SP; `postal_code`: its first digits."""

    state: str | None = None
    ibge_code: str | None = None
    district: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    nas_ids: tuple[int, ...] = ()
    lines: tuple[Line, ...] = ()
    service_ids: tuple[int, ...] = ()
    plan_ids: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        for name, parts in asdict(self).items():
            if len(parts) > PARTS_MAX:
                raise InvalidInput(f"has at most {PARTS_MAX} of a kind", field=f"scope.{name}")
        for number, line in enumerate(self.lines):
            if not line.port.strip():
                raise InvalidInput("name the beginning of the port, or give the NAS in nas_ids",
                                   field=f"scope.lines.{number}.port")  # fmt: skip
        for number, place in enumerate(self.places):
            _check_place(place, f"scope.places.{number}")

    @property
    def is_empty(self) -> bool:
        return not any(asdict(self).values())


def _check_place(place: Place, field: str) -> None:
    """A place that names nothing would be everywhere, and a district is one of a city."""
    if place == Place():
        raise InvalidInput("names nothing; give state, ibge_code, district or postal_code", field=field)
    if place.district is not None and place.ibge_code is None:
        raise InvalidInput("many cities have such a district: give the city's ibge_code", field=f"{field}.ibge_code")
    digits = place.postal_code
    if digits is None:
        return
    if not (digits.isascii() and digits.isdigit() and _POSTAL_DIGITS_MIN <= len(digits) <= _POSTAL_DIGITS_MAX):
        raise InvalidInput(
            f"the first {_POSTAL_DIGITS_MIN} to {_POSTAL_DIGITS_MAX} digits of a postal code",
            field=f"{field}.postal_code",
        )


def to_body(scope: Scope) -> dict[str, Any]:
    """As JSON values; what is left out is left out."""
    found: dict[str, Any] = msgspec.to_builtins(asdict(scope))
    places = [{name: value for name, value in place.items() if value is not None} for place in found["places"]]
    return {name: parts for name, parts in (found | {"places": places}).items() if parts}


def from_body(body: Mapping[str, Any]) -> Scope:
    """Raises InvalidInput naming the field."""
    try:
        return msgspec.convert(dict(body), Scope)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidInput):
            raise error.__cause__ from None
        raise InvalidInput(str(error), field="scope") from None
