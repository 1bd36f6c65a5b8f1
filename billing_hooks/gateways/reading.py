"""Reading what gateways write: money, moments, JSON and the text in them. Pure; every failure is a WebhookMalformed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from billing_hooks.gateways.base import WebhookMalformed

#: Years that a payment can lie in: a sender's mistake must not become a date that no clock shows.
YEAR_MIN: Final = 2000
YEAR_MAX: Final = 2100
CENTS_MAX: Final = 1 << 53
#: Where Brazilian gateways write a local time without a zone.
BRASILIA: Final = ZoneInfo("America/Sao_Paulo")

#: An id as others make them: it is stored and indexed, so without NUL and of bounded length.
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
_Struct = TypeVar("_Struct")


def decode(body: bytes, type_: type[_Struct]) -> _Struct:
    """JSON of this shape; fields that we do not know are left alone."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise WebhookMalformed(f"not as documented: {error}", field="body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WebhookMalformed("not JSON, or nested too deep", field="body") from None


def form(octets: bytes | str) -> dict[str, str]:
    """Names and values of a form or of a URL's query; of a name that comes twice, the first."""
    try:
        text = octets if isinstance(octets, str) else octets.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        raise WebhookMalformed("not form-encoded", field="body") from None
    return dict(reversed(pairs))


def cents(amount: Decimal, field: str) -> int:
    """A positive amount with two decimals at most, such as 99.90."""
    if not amount.is_finite() or abs(amount) >= CENTS_MAX or amount != round(amount, 2):
        raise WebhookMalformed(f"{field} is no amount of money", field=field)
    return whole_cents(int(amount * 100), field)


def whole_cents(amount: int, field: str) -> int:
    if not 0 < amount < CENTS_MAX:
        raise WebhookMalformed(f"{field} must be positive", field=field)
    return amount


def surcharge_and_discount(paid_cents: int, asked_cents: int, late_cents: int, promised_cents: int) -> tuple[int, int]:
    """(fine and interest, discount) of what was paid: no more than was asked for being late, or promised; the rest is
    too much, or missing."""
    surplus_cents = paid_cents - asked_cents
    if surplus_cents >= 0:
        return min(surplus_cents, late_cents), 0
    return 0, -surplus_cents if -surplus_cents <= promised_cents else 0


def moment(at: datetime, field: str) -> datetime:
    """With a zone, in a year of ours."""
    if at.tzinfo is None:
        raise WebhookMalformed(f"{field} needs a time zone", field=field)
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise WebhookMalformed(f"{field} lies in no year of ours", field=field)
    return at.astimezone(UTC)


def local(at: datetime, field: str, zone: tzinfo = BRASILIA) -> datetime:
    """A moment that a gateway writes without a zone."""
    return moment(at if at.tzinfo else at.replace(tzinfo=zone), field)


def day(on: date, field: str, zone: tzinfo = BRASILIA) -> datetime:
    """Noon of a day, where a gateway says no hour: the day stays the same in every zone of Brazil."""
    return moment(datetime.combine(on, time(12), zone), field)
