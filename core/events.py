"""Domain events: what happened, in the transaction in which it happened."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from core.models.system import Event

#: As a table, and inline: nobody asks for the id, and an event accompanies every change.
_INSERT = insert(cast("Table", Event.__table__)).inline()


def record(session: Session, type_: str, subject_kind: str, subject_id: int, **payload: Any) -> None:  # noqa: ANN401
    """Add an event such as ("hold.placed", "service", 42, reason="billing")."""
    session.execute(_INSERT, {"type": type_, "subject": f"{subject_kind}:{subject_id}", "payload": payload})
