"""How CSVs are written, kept by name and used again: see `spreadsheet.CsvMapping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.spreadsheet import CsvMapping
from billing_hooks.models import BankMapping
from core import audit
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import NotFound


def to_body(mapping: CsvMapping) -> dict[str, Any]:
    return asdict(mapping) | {"debit_signs": list(mapping.debit_signs)}


def from_body(body: Mapping[str, Any]) -> CsvMapping:
    return CsvMapping(**{**body, "debit_signs": tuple(body["debit_signs"])})


def create_mapping(session: Session, name: str, mapping: CsvMapping, actor: Actor) -> BankMapping:
    """Raises InvalidInput for one that reads nothing, Conflict for a name that is taken."""
    mapping.check()
    row = BankMapping(name=name, body=to_body(mapping))
    session.add(row)
    flush_unique(session, {"name": "name"})
    audit.record(session, actor, "create", "bank_mapping", row.id, {"name": name, "body": row.body})
    return row


def get_mapping(session: Session, mapping_id: int) -> BankMapping:
    row = session.get(BankMapping, mapping_id)
    if row is None:
        raise NotFound("bank mapping", mapping_id)
    return row


def find_mapping(session: Session, mapping_id: int) -> CsvMapping:
    return from_body(get_mapping(session, mapping_id).body)


def find_named(session: Session, name: str) -> CsvMapping:
    row = session.scalar(select(BankMapping).where(BankMapping.name == name))
    if row is None:
        raise NotFound("bank mapping", name)
    return from_body(row.body)


def replace_mapping(session: Session, row: BankMapping, name: str, mapping: CsvMapping, actor: Actor) -> BankMapping:
    """For files that come from now on."""
    mapping.check()
    changed = apply_changes(row, {"name": name, "body": to_body(mapping)})
    flush_unique(session, {"name": "name"})
    if changed:
        audit.record(session, actor, "update", "bank_mapping", row.id, changed)
    return row


def delete_mapping(session: Session, row: BankMapping, actor: Actor) -> None:
    """Files that were read by it keep how they were read."""
    session.delete(row)
    session.flush()
    audit.record(session, actor, "delete", "bank_mapping", row.id, {"name": row.name})
