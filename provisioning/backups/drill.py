"""Drills: a version is opened and restored (see `restoring`, `restoring_lines`), each month, and when a person asks.

So a backup is known to open, to be whole, and to make a box what the old one was, before anybody needs it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.models.network import Nas
from provisioning.backups import store
from provisioning.backups.models import DeviceBackup, RestoreDrill
from provisioning.backups.restoring import Outcome, restore
from provisioning.backups.texts import ReadBy
from provisioning.napalm.traits import traits_of
from provisioning.routeros.schema import Release

EVERY: Final = timedelta(days=30)
#: Asked for at a time; the next come with the clock. One of a big box takes seconds of our processor.
LIMIT: Final = 5
CLOCK: Final = Actor("system:clock")


def ask(session: Session, backup: DeviceBackup, actor: Actor, now: datetime) -> RestoreDrill:
    """It is done within seconds."""
    row = RestoreDrill(nas_id=backup.nas_id, backup_id=backup.id, asked_at=now, asked_by=actor.name)
    session.add(row)
    session.flush()
    if actor is not CLOCK:
        audit.record(session, actor, "drill", "device_backup", backup.id, {"nas_id": backup.nas_id})
    outbox.enqueue(session, topics.DRILL_DUE, {"drill_id": row.id})
    return row


def ask_due(session: Session, now: datetime) -> int:
    """Of every box whose last drill is a month ago, the newest version; returns how many. Run by the clock."""
    drilled = select(RestoreDrill.nas_id).where(RestoreDrill.asked_at > now - EVERY)
    latest = select(func.max(DeviceBackup.id)).where(DeviceBackup.nas_id.not_in(drilled)).group_by(DeviceBackup.nas_id)
    due = session.scalars(select(DeviceBackup).where(DeviceBackup.id.in_(latest)).limit(LIMIT)).all()
    for backup in due:
        ask(session, backup, CLOCK, now)
    return len(due)


def carry_out(database: Database, keyring: Keyring, drill_id: int, clock: Clock) -> None:
    """One that was done, or whose version is forgotten, is not done again."""
    with database.transaction() as session:
        row = session.get(RestoreDrill, drill_id)
        backup = None if row is None or row.done_at is not None else session.get(DeviceBackup, row.backup_id)
        nas = None if backup is None else session.get_one(Nas, backup.nas_id)
    if backup is None or nas is None:
        return
    outcome = _tried(keyring, backup, _platform(nas), clock)
    with database.transaction() as session:
        _conclude(session, drill_id, outcome, clock())


def _platform(nas: Nas) -> str:
    """Empty for RouterOS, and where no such box is known."""
    return "" if nas.management is None else traits_of(nas.management["driver"]).platform


def _tried(keyring: Keyring, backup: DeviceBackup, platform: str, clock: Clock) -> Outcome:
    try:
        text = store.open_text(keyring, backup)
    except ProvedorError as error:
        return Outcome(0, (), (error.detail,))
    if backup.read_by is ReadBy.RUNNING:
        from provisioning.backups.restoring_lines import restore_lines  # noqa: PLC0415  (SSH, which is slow to import)

        return restore_lines(text, platform)
    return restore(text, Release.parse(backup.release), lambda: clock().timestamp())


def _conclude(session: Session, drill_id: int, outcome: Outcome, now: datetime) -> None:
    row = session.get(RestoreDrill, drill_id, with_for_update=True, populate_existing=True)
    if row is None:
        return
    row.done_at, row.ok, row.commands = now, outcome.ok, outcome.commands
    row.not_played, row.differences = list(outcome.not_played), list(outcome.differences)
    kind = "backup.drilled" if outcome.ok else "backup.drill_failed"
    events.record(session, kind, "nas", row.nas_id, backup_id=row.backup_id, differences=len(outcome.differences))
