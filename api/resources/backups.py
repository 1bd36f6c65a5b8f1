"""Boxes' configurations as they were: versions, what changed from one to the next and who may have, and drills."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import Db, Given, Paged, RefFilter, Who, list_page, parse_id, reference
from api.schemas import Output, PageOf
from core import network
from core.errors import ProvedorError
from core.keyring import Keyring
from provisioning.backups import drill, store
from provisioning.backups.models import BackupState, DeviceBackup, RestoreDrill, Why
from provisioning.backups.texts import ReadBy
from provisioning.jobs.intents import check_manageable
from provisioning.routeros.values import text_of

backup_routes = APIRouter(prefix="/nas", tags=["provisioning"])
backup_text_routes = APIRouter(prefix="/nas", tags=["device-backup-texts"])


class BackupOut(Output):
    """What the box was from `taken_at` until `same_until` at least. `left_out`: what of its configuration is not in
    it. `changes`: what differs from the version before, without secrets; null for the first, and where that one could
    not be opened or is of another kind of box."""

    id: str
    nas_id: str
    taken_at: datetime
    same_until: datetime
    why: Why
    job_id: str | None
    release: str
    read_by: ReadBy
    sha256: str
    octets: int
    left_out: list[str]
    changed_since: datetime | None
    changes: list[str] | None
    changed_by: list[dict[str, Any]]


class BackupShown(BackupOut):
    """`commands`: all of it, without secrets; null where it does not open, and `error` says why. `difference`: from
    the version that `against` names to this one."""

    commands: list[str] | None
    error: str | None
    difference: list[str] | None


class ChangeOut(Output):
    """Between these two times the box became another, in these commands, without secrets. `changed_by`: jobs of ours
    that were done then, and what the box says that its users did then."""

    backup_id: str
    since: datetime
    until: datetime
    changes: list[str] | None
    changed_by: list[dict[str, Any]]


class BackupStateOut(Output):
    """`error`: why the last look failed. The next is at `due_at`."""

    nas_id: str
    checked_at: datetime | None
    due_at: datetime | None
    error: str | None


class DrillOut(Output):
    """A version loaded into a simulated box. `ok`: null until it is done; else whether that box had the same then.
    `not_played`: what the simulator does not have, with how often it occurs."""

    id: str
    nas_id: str
    backup_id: str
    asked_at: datetime
    asked_by: str
    done_at: datetime | None
    ok: bool | None
    commands: int | None
    not_played: list[str] | None
    differences: list[str] | None


@backup_routes.get("/{nas_id}/backups")
def list_backups(nas_id: str, session: Db, _: Who, paged: Paged) -> PageOf[BackupOut]:
    query = select(DeviceBackup).where(DeviceBackup.nas_id == network.get_nas(session, parse_id(nas_id, "NAS")).id)
    rows, cursor = list_page(session, query, DeviceBackup.id, paged)
    return PageOf(items=[BackupOut(**_plain(row)) for row in rows], next_cursor=cursor)


@backup_routes.post("/{nas_id}/backups", status_code=202)
def take_backup(nas_id: str, session: Db, _: Who, given: Given) -> BackupStateOut:
    """The box is read within seconds, as it is every day; a version is kept where it differs from the last."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    check_manageable(nas)
    store.owe(session, nas.id, Why.ASKED, given.clock())
    return _state_view(session.get_one(BackupState, nas.id))


@backup_routes.get("/{nas_id}/backups/{backup_id}")
def get_backup(
    nas_id: str, backup_id: str, session: Db, _: Who, given: Given, against: RefFilter = None
) -> BackupShown:  # fmt: skip
    row = _backup(session, nas_id, backup_id)
    other = None if against is None else store.get_backup(session, row.nas_id, reference(against, "against") or 0)
    shown: dict[str, Any] = {"commands": None, "error": None, "difference": None}
    try:
        shown["commands"] = _commands(given.keyring, row)
        shown["difference"] = None if other is None else store.compare(given.keyring, other, row)
    except ProvedorError as error:
        shown["error"] = error.detail
    return BackupShown(**_plain(row), **shown)


@backup_text_routes.get(
    "/{nas_id}/backups/{backup_id}/text", response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def get_text(nas_id: str, backup_id: str, session: Db, caller: Who, given: Given) -> Response:
    """The export as it came, with its secrets: what another box can be made from. Who asked for it is logged."""
    text = store.reveal(session, given.keyring, _backup(session, nas_id, backup_id), caller.actor)
    return Response(text.encode("utf-8", "surrogateescape"), media_type="text/plain")


@backup_routes.post("/{nas_id}/backups/{backup_id}/drill", status_code=202)
def start_drill(nas_id: str, backup_id: str, session: Db, caller: Who, given: Given) -> DrillOut:
    """It is loaded into a simulated router and read back, as the newest of every box is each month."""
    return _drill_view(drill.ask(session, _backup(session, nas_id, backup_id), caller.actor, given.clock()))


@backup_routes.get("/{nas_id}/drills")
def list_drills(nas_id: str, session: Db, _: Who, paged: Paged) -> PageOf[DrillOut]:
    query = select(RestoreDrill).where(RestoreDrill.nas_id == network.get_nas(session, parse_id(nas_id, "NAS")).id)
    rows, cursor = list_page(session, query, RestoreDrill.id, paged)
    return PageOf(items=[_drill_view(row) for row in rows], next_cursor=cursor)


@backup_routes.get("/{nas_id}/changes")
def list_changes(nas_id: str, session: Db, _: Who, paged: Paged) -> PageOf[ChangeOut]:
    """Who changed what since when."""
    found = network.get_nas(session, parse_id(nas_id, "NAS"))
    query = select(DeviceBackup).where(DeviceBackup.nas_id == found.id, DeviceBackup.changed_since.is_not(None))
    rows, cursor = list_page(session, query, DeviceBackup.id, paged)
    return PageOf(items=[_change_view(row) for row in rows], next_cursor=cursor)


def _backup(session: Session, nas_id: str, backup_id: str) -> DeviceBackup:
    return store.get_backup(session, parse_id(nas_id, "NAS"), parse_id(backup_id, "backup"))


def _commands(keyring: Keyring, row: DeviceBackup) -> list[str]:
    return [text_of(line) for line in store.opened(keyring, row).shown()]


def _plain(row: DeviceBackup) -> dict[str, Any]:
    return {
        "id": str(row.id), "nas_id": str(row.nas_id), "taken_at": row.taken_at, "same_until": row.same_until,
        "why": row.why, "job_id": None if row.job_id is None else str(row.job_id), "release": row.release,
        "read_by": row.read_by, "sha256": row.sha256, "octets": row.octets, "left_out": row.left_out,
        "changed_since": row.changed_since, "changes": row.changes, "changed_by": row.changed_by,
    }  # fmt: skip


def _change_view(row: DeviceBackup) -> ChangeOut:
    assert row.changed_since is not None  # noqa: S101  (it is no first one)
    return ChangeOut(
        backup_id=str(row.id), since=row.changed_since, until=row.taken_at, changes=row.changes,
        changed_by=row.changed_by,
    )  # fmt: skip


def _state_view(row: BackupState) -> BackupStateOut:
    return BackupStateOut(nas_id=str(row.nas_id), checked_at=row.checked_at, due_at=row.due_at, error=row.error)


def _drill_view(row: RestoreDrill) -> DrillOut:
    return DrillOut(
        id=str(row.id), nas_id=str(row.nas_id), backup_id=str(row.backup_id), asked_at=row.asked_at,
        asked_by=row.asked_by, done_at=row.done_at, ok=row.ok, commands=row.commands, not_played=row.not_played,
        differences=row.differences,
    )  # fmt: skip
