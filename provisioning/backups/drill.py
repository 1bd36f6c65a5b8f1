"""A version restored, in a drill: opened, loaded into a new simulated router of its release, read back, compared.

So a backup is known to open, to be whole, and to make a box what the old one was, before anybody needs it. Commands
about menus that the simulated router does not play are counted, and named by their menus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from provisioning.backups import store
from provisioning.backups.difference import difference
from provisioning.backups.models import DeviceBackup, RestoreDrill
from provisioning.backups.reading import ROW_MENUS, ReadBy, rows_text
from provisioning.backups.statements import Statement, prompt_of, statements
from provisioning.routeros.schema import Release
from provisioning.simulators.routeros import SYSTEM, Router, Version, load
from provisioning.simulators.routeros.command import Command
from provisioning.simulators.routeros.scripting import ScriptError

EVERY: Final = timedelta(days=30)
LIMIT: Final = 50
CLOCK: Final = Actor("system:clock")
_USER: Final = "drill"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`differences`: without secrets. `not_played`: menus, with how many commands of theirs."""

    commands: int
    not_played: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def restore(text: str, release: Release, read_by: ReadBy, clock: Callable[[], float]) -> Outcome:
    """Into a new simulated router, and back out of it."""
    router = Router(Version.nearest(release), {_USER: ""}, clock=clock)
    wanted = list(statements(text))
    played = [one for one in wanted if one.menu in router.configuration]
    others = Counter(prompt_of(one.menu) for one in wanted if one.menu not in router.configuration)
    try:
        load(router, text, _USER)
    except ScriptError as error:
        return Outcome(len(wanted), (), (f"it cannot be read as commands: {error}",))
    differences = difference(played, _read_back(router, read_by))
    return Outcome(len(wanted), tuple(f"{menu}: {number}" for menu, number in others.items()), tuple(differences))


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
    if backup is None:
        return
    outcome = _tried(keyring, backup, clock)
    with database.transaction() as session:
        _conclude(session, drill_id, outcome, clock())


def _tried(keyring: Keyring, backup: DeviceBackup, clock: Clock) -> Outcome:
    try:
        text = store.open_text(keyring, backup)
    except ProvedorError as error:
        return Outcome(0, (), (error.detail,))
    return restore(text, Release.parse(backup.release), backup.read_by, lambda: clock().timestamp())


def _conclude(session: Session, drill_id: int, outcome: Outcome, now: datetime) -> None:
    row = session.get(RestoreDrill, drill_id, with_for_update=True, populate_existing=True)
    if row is None:
        return
    row.done_at, row.ok, row.commands = now, outcome.ok, outcome.commands
    row.not_played, row.differences = list(outcome.not_played), list(outcome.differences)
    kind = "backup.drilled" if outcome.ok else "backup.drill_failed"
    events.record(session, kind, "nas", row.nas_id, backup_id=row.backup_id, differences=len(outcome.differences))


def _read_back(router: Router, read_by: ReadBy) -> Sequence[Statement]:
    """In the way in which the version was read."""
    if read_by is ReadBy.EXPORT:
        shows = {"show-sensitive": ""} if router.version.hides_secrets_in_exports else {}
        return list(statements(router.run(Command("/export", shows), SYSTEM).returned["ret"]))
    actual = {
        menu: [dict(row) for row in router.run(Command(f"{menu}/print"), SYSTEM).rows] for menu in ROW_MENUS
    }  # fmt: skip
    return list(statements(rows_text(actual, router.version.release)))
