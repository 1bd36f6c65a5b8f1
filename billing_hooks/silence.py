"""Silence: an account that used to tell us something and does not any more, by its own habit.

It is the only sign where no API can be read, and where one can, that something else is wrong than single webhooks. A
day counts as a whole: on how many days of the four weeks before its last webhook did it tell something, and how many
days in a row was it silent at most? More than twice that and a day is too long. Who told on fewer than a week's days
has no habit yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks.invoicing.words import Words, moment
from billing_hooks.models import InboxEntry

LOOKED_BACK: Final = 28
TELLING_DAYS_MIN: Final = 7


def alarm_of(session: Session, account_id: int, now: datetime, zone: tzinfo) -> Words | None:
    """Days are UTC's, and the moment that it says is the zone's."""
    told = (InboxEntry.account_id == account_id, ~InboxEntry.found)
    last = session.scalar(select(func.max(InboxEntry.received_at)).where(*told))
    if last is None or (now.date() - last.date()).days <= 1:
        return None
    telling = [_told_on(session, account_id, last.date() - timedelta(days=back)) for back in range(LOOKED_BACK)]
    longest = longest_silence(telling)
    if longest is None or silent_days(last.date(), now.date()) <= 2 * longest + 1:
        return None
    since = moment(last, zone)
    before = Words(f"{longest} dias", f"{longest} days") if longest else Words("um dia", "a day")
    return Words(
        pt=f"não avisa nada desde {since.pt}, e antes nunca ficou em silêncio por mais de {before.pt}",
        en=f"it told nothing since {since.en}, and was never silent for more than {before.en} before",
    )


def longest_silence(telling: Sequence[bool]) -> int | None:
    """In days, between days of telling; None where there is no habit."""
    if sum(telling) < TELLING_DAYS_MIN:
        return None
    first, last = telling.index(True), len(telling) - list(reversed(telling)).index(True)
    runs = (len(list(days)) for told, days in groupby(telling[first:last]) if not told)
    return max(runs, default=0)


def silent_days(last: date, today: date) -> int:
    """Whole days between the last webhook's and this one."""
    return max((today - last).days - 1, 0)


def _told_on(session: Session, account_id: int, day: date) -> bool:
    """One look into an index, however much was told on that day."""
    within = (InboxEntry.received_at >= _begin(day), InboxEntry.received_at < _begin(day + timedelta(days=1)))
    told = select(InboxEntry.id).where(InboxEntry.account_id == account_id, ~InboxEntry.found, *within).limit(1)
    return session.scalar(told) is not None


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
