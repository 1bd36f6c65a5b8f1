"""The audit log: who changed what and from where. An `Actor` travels with every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from core.models.system import AuditEntry

#: As a table, and inline: nobody asks for the id, and an entry accompanies every change.
_INSERT = insert(cast("Table", AuditEntry.__table__)).inline()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: "token:erp", "operator:ana", "system:billing", "cli:root"; `source` is an address or None."""

    name: str
    source: str | None = None


def record(
    session: Session, actor: Actor, action: str, resource: str, resource_id: object, changes: dict[str, Any]
) -> None:
    """Write one entry. Callers pass "(changed)" in place of a secret's value."""
    record_many(session, actor, action, resource, [(resource_id, changes)])


def record_many(
    session: Session, actor: Actor, action: str, resource: str, done: Sequence[tuple[object, dict[str, Any]]]
) -> None:
    """The same action on many of one kind: (resource_id, changes) each."""
    who = {"actor": actor.name, "source": actor.source, "action": action, "resource": resource}
    if done:
        session.execute(_INSERT, [{**who, "resource_id": str(id_), "changes": changes} for id_, changes in done])
