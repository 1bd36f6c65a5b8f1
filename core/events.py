"""Domain events: what happened, in the transaction in which it happened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from core.models.system import Event


def record(session: Session, type_: str, subject_kind: str, subject_id: int, **payload: Any) -> None:  # noqa: ANN401
    """Add an event such as ("hold.placed", "service", 42, reason="billing")."""
    session.execute(insert(Event).values(type=type_, subject=f"{subject_kind}:{subject_id}", payload=payload))
