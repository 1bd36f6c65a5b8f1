"""What keeps a run from being believed: whoever paid may look like a debtor here. Each source says what is wrong now.

While any does, no run restricts anybody by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from billing_hooks import reconciliation
from billing_hooks.bank_files import expected
from billing_hooks.days import Calendar
from billing_hooks.follow import sources
from billing_hooks.invoicing.words import Words

#: Nothing where all is well.
Source = Callable[[Session, Calendar, datetime], list[Words]]


def _gateways(session: Session, _: Calendar, __: datetime) -> list[Words]:
    return reconciliation.alarms(session)


def _followed(session: Session, _: Calendar, __: datetime) -> list[Words]:
    return sources.alarms(session)


SOURCES: Final[tuple[Source, ...]] = (_gateways, _followed, expected.alarms)


def gather(session: Session, calendar: Calendar, now: datetime) -> list[Words]:
    return [alarm for source in SOURCES for alarm in source(session, calendar, now)]


def in_doubt(alarm: Words) -> Words:
    """What an alarm means for a run."""
    return Words(pt=f"quem pagou pode parecer devedor: {alarm.pt}", en=f"who paid may look like a debtor: {alarm.en}")
