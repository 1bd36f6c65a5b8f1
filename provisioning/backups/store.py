"""Versions kept, opened and forgotten, and who may have changed what in between.

A window is from when the box was last seen as it was until it was seen otherwise. In it lie jobs of ours that were
done, and what the box's log and history say that its users did. Both may be so: neither is told as the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.keyring import DEVICE_BACKUP, Keyring, SealBroken
from core.models.network import Nas
from provisioning.backups.actions import Action
from provisioning.backups.models import BackupState, DeviceAction, DeviceBackup, Why
from provisioning.backups.texts import ReadBy, Reading, Text
from provisioning.jobs.models import JobState, ProvisioningJob
from provisioning.routeros.values import text_of

EVERY: Final = timedelta(days=1)
#: A box that could not be read is tried again after this.
RETRY: Final = timedelta(hours=1)
#: Whoever reads a box is done by then, or died.
CLAIM: Final = timedelta(minutes=10)
#: Owed at a time; the next come with the clock, some seconds later. Jobs that a person waits for stand behind no more.
LIMIT: Final = 8
ACTIONS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Taken:
    """`own_user`: by whom we are known at the box."""

    nas_id: int
    why: Why
    job_id: int | None
    own_user: str
    reading: Reading


def get_backup(session: Session, nas_id: int, backup_id: int) -> DeviceBackup:
    """Raises NotFound."""
    found = session.get(DeviceBackup, backup_id)
    if found is None or found.nas_id != nas_id:
        raise NotFound("backup", backup_id)
    return found


def newest(session: Session, nas_id: int, *, before: int | None = None) -> DeviceBackup | None:
    query = select(DeviceBackup).where(DeviceBackup.nas_id == nas_id).order_by(DeviceBackup.id.desc()).limit(1)
    return session.scalar(query if before is None else query.where(DeviceBackup.id < before))


def open_text(keyring: Keyring, backup: DeviceBackup) -> str:
    """Raises SealBroken, which names the key that it needs."""
    return keyring.open(backup.text_encrypted, DEVICE_BACKUP).decode("utf-8", "surrogateescape")


def opened(keyring: Keyring, backup: DeviceBackup) -> Text:
    """Raises SealBroken."""
    return Text(open_text(keyring, backup), backup.read_by)


def reveal(session: Session, keyring: Keyring, backup: DeviceBackup, actor: Actor) -> str:
    """The text with its secrets; that somebody saw it is kept. Raises SealBroken."""
    text = open_text(keyring, backup)
    audit.record(session, actor, "reveal", "device_backup", backup.id, {"nas_id": backup.nas_id})
    return text


def compare(keyring: Keyring, before: DeviceBackup, after: DeviceBackup) -> list[str]:
    """Raises SealBroken or Conflict."""
    return opened(keyring, before).changes_to(opened(keyring, after))


def keep(session: Session, keyring: Keyring, taken: Taken, now: datetime) -> tuple[DeviceBackup, bool]:
    """The version that the box has now, and whether it is a new one."""
    reading, before = taken.reading, newest(session, taken.nas_id)
    _keep_actions(session, taken.nas_id, reading.actions, now)
    found = Text(reading.text, reading.read_by).digest()
    changes = None if before is None else _changes(keyring, before, reading)
    _looked(session, taken.nas_id, now)
    if before is not None and _is_same(before, reading, found, changes):
        before.same_until = now
        return before, False
    sealed = keyring.seal(reading.text.encode("utf-8", "surrogateescape"), DEVICE_BACKUP)
    since = None if before is None else before.same_until
    row = DeviceBackup(
        nas_id=taken.nas_id, taken_at=now, same_until=now, why=taken.why, job_id=taken.job_id,
        release=reading.release, read_by=reading.read_by, sha256=found,
        octets=len(reading.text.encode("utf-8", "surrogateescape")), text_encrypted=sealed,
        left_out=list(reading.left_out), changed_since=since, changes=changes,
        changed_by=[] if since is None else _changed_by(session, taken, since, now),
    )  # fmt: skip
    session.add(row)
    session.flush()
    events.record(session, "backup.kept", "nas", taken.nas_id, backup_id=row.id, why=taken.why.value,
                  changed=len(changes or ()), changed_by=row.changed_by)  # fmt: skip
    return row, True


def fail(session: Session, nas_id: int, detail: str, now: datetime) -> None:
    """It could not be read; it is tried again."""
    before = session.get(BackupState, nas_id, with_for_update=True, populate_existing=True)
    known = before is not None and before.error is not None
    _note(session, nas_id, checked_at=now, due_at=now + RETRY, claimed_until=None, error=detail)
    if not known:
        events.record(session, "backup.failed", "nas", nas_id, detail=detail)


def owe(session: Session, nas_id: int, why: Why, now: datetime) -> None:
    _note(session, nas_id, claimed_until=now + CLAIM)
    outbox.enqueue(session, topics.BACKUP_DUE, {"nas_id": nas_id, "why": why.value})


def owe_due(session: Session, now: datetime) -> int:
    """Looks that are due; returns how many. Run by the clock."""
    query = (
        select(Nas.id)
        .outerjoin(BackupState, BackupState.nas_id == Nas.id)
        .where(
            or_(Nas.routeros.is_not(None), Nas.management.is_not(None)),
            Nas.address.not_like("%/%"),
            or_(BackupState.nas_id.is_(None), BackupState.due_at <= now),
            or_(BackupState.claimed_until.is_(None), BackupState.claimed_until < now),
        )
        .order_by(BackupState.due_at.nulls_first(), Nas.id)
        .limit(LIMIT)
    )
    nas_ids = session.scalars(query).all()
    for nas_id in nas_ids:
        owe(session, nas_id, Why.SCHEDULE, now)
    return len(nas_ids)


def forget(session: Session, now: datetime, days: int) -> int:
    """Versions that no box had for so long, but for the newest of each; returns how many."""
    latest = select(func.max(DeviceBackup.id)).group_by(DeviceBackup.nas_id)
    before = now - timedelta(days=days)
    gone = session.scalars(
        delete(DeviceBackup)
        .where(DeviceBackup.same_until < before, DeviceBackup.id.not_in(latest))
        .returning(DeviceBackup.id)
    ).all()
    session.execute(delete(DeviceAction).where(DeviceAction.seen_at < before))
    return len(gone)


def _is_same(before: DeviceBackup, reading: Reading, found: str, changes: Sequence[str] | None) -> bool:
    """A reading by rows says less than an export, and is no new version where nothing differs; the other way it is."""
    if before.read_by is reading.read_by:
        return before.sha256 == found
    return reading.read_by is ReadBy.ROWS and changes == []


def _changes(keyring: Keyring, before: DeviceBackup, reading: Reading) -> list[str] | None:
    """None where the version before does not open, or is of a box of another kind."""
    after = Text(reading.text, reading.read_by)
    try:
        return [text_of(line) for line in opened(keyring, before).changes_to(after)]
    except (SealBroken, Conflict):
        return None


def _changed_by(session: Session, taken: Taken, since: datetime, now: datetime) -> list[dict[str, Any]]:
    done = (ProvisioningJob.state == JobState.DONE, ProvisioningJob.finished_at > since)
    query = select(ProvisioningJob.id, ProvisioningJob.approved_by).where(ProvisioningJob.nas_id == taken.nas_id, *done)
    jobs = [{"job_id": job_id, "approved_by": by} for job_id, by in session.execute(query)]
    seen = select(DeviceAction).where(
        DeviceAction.nas_id == taken.nas_id, DeviceAction.seen_at > since, DeviceAction.seen_at <= now
    )
    return [*jobs, *_users(session.scalars(seen.order_by(DeviceAction.id)), taken.own_user if jobs else None)]


def _users(actions: Iterable[DeviceAction], without: str | None) -> list[dict[str, Any]]:
    """What each did; of a job of ours what our user did is the job."""
    by_user: dict[str, dict[str, None]] = {}
    for one in actions:
        if one.by != without:
            by_user.setdefault(one.by, {})[one.action] = None
    return [{"user": user, "actions": list(done)[:ACTIONS_SHOWN]} for user, done in by_user.items()]


def _keep_actions(session: Session, nas_id: int, actions: Sequence[Action], now: datetime) -> None:
    """Those that we have not read before."""
    rows = [
        {"nas_id": nas_id, "seen_at": now, "source": one.source, "row": one.row, "by": one.by, "action": one.action,
         "at": one.at} for one in actions
    ]  # fmt: skip
    if rows:
        session.execute(insert(DeviceAction).on_conflict_do_nothing(), rows)


def _looked(session: Session, nas_id: int, now: datetime) -> None:
    before = session.get(BackupState, nas_id, populate_existing=True)
    if before is not None and before.error is not None:
        events.record(session, "backup.possible_again", "nas", nas_id)
    _note(session, nas_id, checked_at=now, due_at=now + EVERY, claimed_until=None, error=None)


def _note(session: Session, nas_id: int, **values: Any) -> None:  # noqa: ANN401
    known = {"due_at": func.now(), **values}
    session.execute(
        insert(BackupState).values(nas_id=nas_id, **known).on_conflict_do_update(index_elements=["nas_id"], set_=values)
    )
