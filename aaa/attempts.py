"""Refused logins as the shipper kept them, for `core.explain`."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aaa.models import AuthenticationAttempt
from core.explain import Attempt

SHOWN = 5
KEPT_DAYS = 30


def recent_attempts(session: Session, login: str) -> list[Attempt]:
    """The latest refusals of this login, newest first."""
    rows = session.scalars(
        select(AuthenticationAttempt)
        .where(AuthenticationAttempt.login == login)
        .order_by(AuthenticationAttempt.id.desc())
        .limit(SHOWN)
    )
    return [Attempt(row.at, row.reason, row.hint, row.method) for row in rows]


def forget_attempts(session: Session) -> None:
    """Drop what is older than KEPT_DAYS."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    session.execute(delete(AuthenticationAttempt).where(AuthenticationAttempt.at < age))
