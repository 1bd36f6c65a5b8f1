"""provision backup take, list, show, diff, restore-drill; provision history: boxes as they were."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import select

from core import network
from core.errors import ConfigurationError, NotFound, ProvedorError
from core.models.network import Nas
from provedor.cli.common import Json, actor, print_json, print_table, runtime
from provedor.runtime import Runtime
from provisioning.backups import drill, store
from provisioning.backups.models import BackupState, DeviceBackup, RestoreDrill, Why
from provisioning.jobs.intents import check_manageable

backup_app = typer.Typer(no_args_is_help=True, help="boxes' configurations, as they were")
NasName = Annotated[str, typer.Argument(help="name of a NAS entry that Provedor manages")]
BackupId = Annotated[int | None, typer.Argument(metavar="BACKUP", help="the newest without")]
#: Boxes are read by the workers of the running node; an export of thousands of rows takes a router its time.
PATIENCE_S = 300.0
SHOWN = 30


@backup_app.command()
def take(nas: NasName, as_json: Json = False) -> None:
    """Read the box now, as is done every day, before and after each change, and where drift is seen."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        check_manageable(found)
        before = session.get(BackupState, found.id)
        store.owe(session, found.id, Why.ASKED, given.clock())
    state = _await_look(given, found, None if before is None else before.checked_at)
    if state.error is not None:
        raise ProvedorError(f"{nas} could not be read: {state.error}")
    _print_newest(given, found, as_json=as_json)


@backup_app.command("list")
def list_versions(nas: NasName, as_json: Json = False) -> None:
    """The latest versions, the newest first, and the last drills."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        query = select(DeviceBackup).where(DeviceBackup.nas_id == found.id).order_by(DeviceBackup.id.desc())
        rows = session.scalars(query.limit(SHOWN)).all()
        tried = select(RestoreDrill).where(RestoreDrill.nas_id == found.id).order_by(RestoreDrill.id.desc())
        drills = session.scalars(tried.limit(3)).all()
        state = session.get(BackupState, found.id)
    if as_json:
        print_json({"backups": [_body(row) for row in rows], "drills": [_drill_body(row) for row in drills]})
        return
    print_table(["backup", "from", "until", "because of", "release", "octets", "changed", "not in it"], [
        [str(row.id), _at(given, row.taken_at), _at(given, row.same_until), _because(row), row.release,
         str(row.octets), _changed(row), ", ".join(row.left_out)] for row in rows
    ])  # fmt: skip
    for row in drills:
        typer.echo(f"drill of {row.asked_at:%Y-%m-%d} with backup {row.backup_id}: {_outcome(row)}")
    if state is not None and state.error is not None:
        typer.echo(f"the last look failed: {state.error}", err=True)


@backup_app.command()
def show(
    nas: NasName,
    backup: BackupId = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="as it came, with secrets: what a new box is made from; it is logged")
    ] = False,
) -> None:
    """A version as commands."""
    given = runtime()
    with given.database.transaction() as session:
        row = _version(given, nas, backup)
        text = store.reveal(session, given.keyring, row, actor()) if secrets else None
    if text is not None:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        return
    for line in store.opened(given.keyring, row).shown():
        typer.echo(line)


@backup_app.command()
def diff(
    nas: NasName,
    first: Annotated[int, typer.Argument(metavar="A")],
    second: Annotated[int, typer.Argument(metavar="B")],
) -> None:
    """What version B has otherwise than version A, in the box's own commands; secrets are not shown."""
    given = runtime()
    lines = store.compare(given.keyring, _version(given, nas, first), _version(given, nas, second))
    for line in lines or ["no difference"]:
        typer.echo(line)


@backup_app.command("restore-drill")
def restore_drill(nas: NasName, backup: BackupId = None, as_json: Json = False) -> None:
    """Load a version into a new simulated box, and compare what that has then."""
    given = runtime()
    row = _version(given, nas, backup)
    with given.database.transaction() as session:
        asked = drill.ask(session, row, actor(), given.clock())
    drill.carry_out(given.database, given.keyring, asked.id, given.clock)
    with given.database.transaction() as session:
        done = session.get_one(RestoreDrill, asked.id)
    if as_json:
        print_json(_drill_body(done))
    else:
        for line in done.differences or ():
            typer.echo(line)
        typer.echo(f"backup {row.id} of {nas}: {_outcome(done)}")
    if not done.ok:
        raise typer.Exit(1)


def history(nas: NasName, as_json: Json = False) -> None:
    """Who changed what since when: by our jobs, and by what the box says that its users did."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        query = select(DeviceBackup).where(DeviceBackup.nas_id == found.id, DeviceBackup.changed_since.is_not(None))
        rows = session.scalars(query.order_by(DeviceBackup.id.desc()).limit(SHOWN)).all()
    if as_json:
        print_json([_body(row) for row in rows])
        return
    for row in reversed(rows):
        assert row.changed_since is not None  # noqa: S101  (it was asked for)
        typer.echo(f"between {_at(given, row.changed_since)} and {_at(given, row.taken_at)} (backup {row.id})")
        for one in row.changed_by:
            typer.echo(f"  by {_who(one)}")
        lines = (
            ["what it was before cannot be compared: it does not open, or was another kind of box"]
            if row.changes is None
            else row.changes
        )
        for line in lines:
            typer.echo(f"  {line}")


def _version(given: Runtime, nas: str, backup: int | None) -> DeviceBackup:
    """Raises NotFound."""
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        if backup is not None:
            return store.get_backup(session, found.id, backup)
        row = store.newest(session, found.id)
    if row is None:
        raise NotFound("backup of NAS", nas)
    return row


def _await_look(given: Runtime, nas: Nas, before: datetime | None) -> BackupState:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with given.database.transaction() as session:
            state = session.get_one(BackupState, nas.id)
        if state.checked_at != before:
            return state
        time.sleep(0.1)
    raise ConfigurationError(f"nobody looked at {nas.name}: is `provedor up` running with its worker?")


def _print_newest(given: Runtime, nas: Nas, *, as_json: bool) -> None:
    row = _version(given, nas.name, None)
    if as_json:
        print_json(_body(row))
        return
    typer.echo(f"backup {row.id}: as it is since {_at(given, row.taken_at)}, {row.octets} octets")
    for one in row.left_out:
        typer.echo(f"not in it: {one}", err=True)


def _at(given: Runtime, moment: datetime) -> str:
    return f"{moment.astimezone(given.zone):%Y-%m-%d %H:%M:%S}"


def _because(row: DeviceBackup) -> str:
    return row.why.value if row.job_id is None else f"{row.why.value} of job {row.job_id}"


def _changed(row: DeviceBackup) -> str:
    if row.changes is None:
        return "" if row.changed_since is None else "?"
    return f"{sum(line.startswith(('- ', '+ ')) for line in row.changes)} commands"


def _who(one: dict[str, Any]) -> str:
    if "job_id" in one:
        return f"job {one['job_id']}, approved by {one['approved_by']}"
    return f"{one['user']} at the box: {', '.join(one['actions'])}"


def _outcome(row: RestoreDrill) -> str:
    if row.ok is None:
        return "not done yet"
    if not row.ok:
        return f"failed, {len(row.differences or ())} differences"
    others = f"; not tried: {', '.join(row.not_played)}" if row.not_played else ""
    return f"restored, {row.commands} commands, the same then{others}"


def _body(row: DeviceBackup) -> dict[str, Any]:
    return {
        "id": row.id, "nas_id": row.nas_id, "taken_at": row.taken_at, "same_until": row.same_until,
        "why": row.why.value, "job_id": row.job_id, "release": row.release, "read_by": row.read_by.value,
        "octets": row.octets, "left_out": row.left_out, "changed_since": row.changed_since, "changes": row.changes,
        "changed_by": row.changed_by,
    }  # fmt: skip


def _drill_body(row: RestoreDrill) -> dict[str, Any]:
    return {
        "id": row.id, "backup_id": row.backup_id, "asked_at": row.asked_at, "asked_by": row.asked_by, "ok": row.ok,
        "commands": row.commands, "not_played": row.not_played, "differences": row.differences,
    }  # fmt: skip
