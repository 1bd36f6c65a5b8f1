"""The provider's own holidays, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from billing_hooks.days import OwnHoliday
from billing_hooks.models import Holiday
from core import audit
from core.audit import Actor
from core.errors import NotFound


def add_holiday(session: Session, values: Mapping[str, Any], actor: Actor) -> Holiday:
    """Raises InvalidInput for what is no day of the year."""
    OwnHoliday(**values)
    holiday = Holiday(**values)
    session.add(holiday)
    session.flush()
    audit.record(session, actor, "create", "holiday", holiday.id, dict(values))
    return holiday


def remove_holiday(session: Session, holiday_id: int, actor: Actor) -> None:
    holiday = session.get(Holiday, holiday_id)
    if holiday is None:
        raise NotFound("holiday", holiday_id)
    session.delete(holiday)
    audit.record(session, actor, "delete", "holiday", holiday_id, {"name": holiday.name})
