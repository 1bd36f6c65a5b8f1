"""Times as an authority writes them: RFC 3339 with an offset, or a local time and the zone it is meant in. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import InvalidInput

#: By so much a NAS's clock may differ from ours and still be believed (`aaa.accounting.CLOCK_SKEW_MAX_S`): a record
#: whose edge is nearer than this to the moment asked for is a candidate as well, and said to be one by the edge only.
TOLERANCE_S: Final = 300


def read_moment(value: str, zone: str | None, field: str) -> datetime:
    """The moment in UTC. Raises InvalidInput, also for a local time that was twice or never (daylight saving)."""
    try:
        moment = datetime.fromisoformat(value.strip().replace(" ", "T", 1))
    except ValueError:
        raise InvalidInput("is no time such as 2026-11-24T12:00:00-03:00", field=field) from None
    try:
        found = moment.astimezone(UTC) if moment.tzinfo is not None else _from_local(moment, zone, field)
    except OverflowError:
        found = datetime.min.replace(tzinfo=UTC)
    if not 1990 <= found.year <= 2100:
        raise InvalidInput("lies beyond what is kept", field=field)
    return found


def _from_local(moment: datetime, zone: str | None, field: str) -> datetime:
    if zone is None:
        raise InvalidInput("says no offset: write one (-03:00, Z) or give `zone` (America/Sao_Paulo)", field=field)
    earlier, later = (moment.replace(tzinfo=_zone(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    if earlier != later:
        raise InvalidInput(f"was twice or never in {zone}, whose clocks changed then: write an offset", field=field)
    return earlier


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("is no time zone such as America/Sao_Paulo", field="zone") from None
