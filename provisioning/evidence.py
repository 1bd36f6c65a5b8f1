"""What this room and aaa keep that explains a subscriber, a device or a NAS: the sources of `core.explain`."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from aaa import attempts
from core.explain import Sources, Step
from provisioning.models import EnforcementStep, NasPace

STEPS_SHOWN = 3


def sources(session: Session) -> Sources:
    return Sources(
        attempts=partial(attempts.recent_attempts, session),
        attempts_of_station=partial(attempts.attempts_of_station, session),
        attempts_at=partial(attempts.attempts_at, session),
        nas_findings=partial(attempts.recent_nas_findings, session),
        strangers=partial(attempts.strangers, session),
        steps=partial(_steps, session),
        coa_silent=partial(_coa_silent, session),
    )


def _steps(session: Session, service_id: int) -> list[Step]:
    """The latest enforcement of a service's sessions, newest first."""
    rows = session.scalars(
        select(EnforcementStep)
        .where(EnforcementStep.service_id == service_id)
        .order_by(EnforcementStep.id.desc())
        .limit(STEPS_SHOWN)
    )
    return [Step(row.at, row.action, row.outcome, row.error_cause) for row in rows]


def _coa_silent(session: Session, nas_id: int) -> bool:
    """Whether the breaker is open: the NAS answered no CoA for some time."""
    return session.scalar(select(NasPace.closed_until).where(NasPace.nas_id == nas_id)) is not None
