"""What every edit of a row shares: apply the given fields, and turn a broken uniqueness into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import Conflict
from core.models.base import Base, Versioned


def apply_changes(row: Base, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set what differs; returns it as JSON values for the audit log."""
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            changed[name] = value if isinstance(value, (int, float, bool, dict, list, type(None))) else str(value)
    return changed


def touch(row: Versioned) -> None:
    """Its parts changed: so did its version, though no column of its own did."""
    row.updated_at = func.now()


def flush_unique(session: Session, fields: Mapping[str, str]) -> None:
    """Flush; a unique index whose name contains a key of `fields` becomes a Conflict naming its value."""
    try:
        with session.begin_nested():
            session.flush()
    except IntegrityError as error:
        constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", "") or ""
        for part, field in fields.items():
            if part in constraint:
                raise Conflict(f"another one has this {field} already", field=field) from None
        raise
