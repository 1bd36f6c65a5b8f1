"""provision intent, plan, apply, approve, policy, drift, facts, names, jobs, and modules of their own: as intended."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import select

from aaa.liveness import addressee_of
from core import network
from core.errors import ConfigurationError, Conflict, InvalidInput, NotFound, ProvedorError
from core.language import Language
from core.models.network import Nas, Session
from provedor.cli.adopt import adopt
from provedor.cli.backups import backup_app, history
from provedor.cli.common import InLanguage, Json, actor, print_json, print_table, runtime
from provedor.cli.credentials import credential_app, rotate
from provedor.cli.jobs import job_body, show_end, show_plan, show_steps, tell, time_in
from provedor.cli.local import local_app
from provedor.cli.rollouts import rollout_app
from provedor.runtime import Runtime
from provisioning.jobs import accepting, approval, drift, intents, store
from provisioning.jobs.models import BrasIntent, JobState, ProvisioningJob
from provisioning.napalm.models import ManagedDevice
from provisioning.napalm.plan_names import lacking
from provisioning.routeros.bras import Accepted
from provisioning.routeros.planning.words import sentences
from provisioning.routeros.watching import watch_at

provision_app = typer.Typer(no_args_is_help=True, help="network boxes as they should be")
provision_app.add_typer(rollout_app, name="rollout")
provision_app.add_typer(backup_app, name="backup")
provision_app.add_typer(credential_app, name="credential")
provision_app.add_typer(local_app, name="local")
provision_app.command()(adopt)
provision_app.command()(history)
provision_app.command()(rotate)
Now = Annotated[bool, typer.Option("--now", help="wait for no window")]
WithoutUndo = Annotated[bool, typer.Option("--without-undo", help="also at a box that would not undo it by itself")]
NasName = Annotated[str, typer.Argument(help="name of a NAS entry whose box may be managed")]
#: A box is read, or changed, by a worker of the running node; who waits longer than that for its first word waits for
#: nobody.
PATIENCE_S = 120.0
JOBS_SHOWN = 30
_WAITS = frozenset({JobState.PLANNING, JobState.APPROVED, JobState.RUNNING})


@provision_app.command()
def intent(
    nas: NasName,
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON; shown without")
    ] = None,
) -> None:
    """What the box should be: shown, or said anew. The box itself is changed by `apply`."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        if file is None:
            print_json(intents.get_intent(session, found.id).body)
            return
        intents.set_intent(session, found, _read(file), actor())
    typer.echo(f"kept; `provedor provision plan {nas}` shows what it means for the box")


@provision_app.command()
def plan(nas: NasName, language: InLanguage = None, as_json: Json = False) -> None:
    """Read the box and show what there is to do; nothing is done."""
    given = runtime()
    job = _plan(given, nas)
    if job.state is JobState.PLANNED:
        with given.database.transaction() as session:
            store.cancel(session, store.get_job(session, job.id, lock=True), actor(), given.clock())
    tell(job, language or given.settings.language, given.zone, as_json=as_json)
    _fail_unless(job.state in {JobState.PLANNED, JobState.IN_STEP}, job)


@provision_app.command()
def apply(
    nas: NasName,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    now: Now = False,
    without_undo: WithoutUndo = False,
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """Read the box, show what there is to do, ask, and do it, in its window. What does not prove right is undone by the
    box itself."""
    given = runtime()
    job = _plan(given, nas)
    if not as_json:
        show_plan(job, language or given.settings.language)
    if job.state is JobState.PLANNED:
        if not yes and not typer.confirm(_question(nas, job)):
            with given.database.transaction() as session:
                store.cancel(session, store.get_job(session, job.id, lock=True), actor(), given.clock())
            raise typer.Exit(1)
        job = _approve(given, job.id, at_once=now, without_undo=without_undo)
    if as_json:
        print_json(job_body(job, language or given.settings.language))
    else:
        show_end(job, given.zone)
    _fail_unless(job.state in {JobState.DONE, JobState.IN_STEP, JobState.APPROVED}, job)


@provision_app.command()
def approve(
    job_id: Annotated[int, typer.Argument(metavar="JOB")], now: Now = False, without_undo: WithoutUndo = False,
    language: InLanguage = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Have a job carried out that somebody else planned; `jobs JOB` shows it."""
    given = runtime()
    job = _approve(given, job_id, at_once=now, without_undo=without_undo)
    tell(job, language or given.settings.language, given.zone, as_json=as_json)
    _fail_unless(job.state in {JobState.DONE, JobState.APPROVED}, job)


@provision_app.command()
def policy(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON; shown without")
    ] = None,
) -> None:
    """Who may approve changes, and in which windows they are made: shown, or said anew."""
    given = runtime()
    with given.database.transaction() as session:
        found = approval.get_policy(session) if file is None else approval.set_policy(session, _read(file), actor())
    print_json(json.loads(msgspec.json.encode(found)))


@provision_app.command()
def accept(
    nas: NasName,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Read the box, and say in its intent what somebody changed there, instead of putting it back."""
    given = runtime()
    job = _plan(given, nas)
    if job.state is not JobState.PLANNED:
        tell(job, given.settings.language, given.zone, as_json=as_json)
        _fail_unless(job.state is JobState.IN_STEP, job)
        return
    kept = False
    try:
        with given.database.transaction() as session:
            found = accepting.propose(session, given.keyring, job.nas_id, store.get_job(session, job.id), given.clock())
        _show_accepted(found, as_json=as_json)
        kept = bool(found.taken) and (yes or typer.confirm(f"Say so in the intent of {nas}?"))
        if kept:
            _keep_accepted(given, job.id)
    finally:
        if not kept:
            with given.database.transaction() as session:
                store.cancel(session, store.get_job(session, job.id, lock=True), actor(), given.clock())
    if not as_json:
        typer.echo("kept in the intent" if kept else "the intent is as it was")


@provision_app.command("drift")
def show_drift(
    nas: Annotated[str, typer.Argument(help="name of a NAS entry; all without it")] = "",
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """Which boxes are no longer what they should be, by the last look; with a NAS a new look, and what it found."""
    given = runtime()
    rows = [_look(given, nas)] if nas else _looks(given)
    spoken = language or given.settings.language
    if as_json:
        print_json([_drift_body(name, row, spoken) for name, row in rows])
        return
    if nas:
        show_steps(rows[0][1].drift or (), rows[0][1].drift_changes, spoken)
    print_table(["nas", "looked at", "to do", "cannot be had", "failed because"], [
        [name, f"{row.checked_at.astimezone(given.zone):%Y-%m-%d %H:%M}" if row.checked_at else "never",
         str(len(row.drift or ())), str(len(row.drift_problems or ())), row.check_error or ""] for name, row in rows
    ])  # fmt: skip


@provision_app.command()
def facts(nas: NasName, as_json: Json = False) -> None:
    """Look at the box now, and show what it says of itself: model, release, serial number, uptime, environment."""
    given = runtime()
    row = _device(given, nas)
    if as_json:
        print_json({"nas": nas, "read_at": row.read_at, "facts": row.facts, "environment": row.environment})
        return
    print_table(["", nas], [[name, str(value)] for name, value in row.facts.items()])
    for part, values in row.environment.items():
        if values:
            print_table([part, ""], [[str(name), json.dumps(value)] for name, value in dict(values).items()])


@provision_app.command()
def names(nas: NasName, as_json: Json = False) -> None:
    """Look at the box now, and show what RADIUS replies may name there, and what plans name and is not there."""
    given = runtime()
    row = _device(given, nas)
    with given.database.transaction() as session:
        missing = lacking(session, row.nas_id)
    if as_json:
        print_json({"nas": nas, "read_at": row.names_read_at, "names": row.names, "missing": missing})
        return
    print_table(["kind", "names"], [[kind, ", ".join(there)] for kind, there in (row.names or {}).items()])
    for one in missing:
        typer.echo(one, err=True)


@provision_app.command()
def jobs(
    job_id: Annotated[int | None, typer.Argument(metavar="[JOB]", help="all that there is to do in this one")] = None,
    nas: Annotated[str, typer.Option(help="of this NAS")] = "",
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """The latest jobs, and what became of them."""
    given = runtime()
    if job_id is not None:
        _show_job(given, job_id, language or given.settings.language, as_json=as_json)
        return
    with given.database.transaction() as session:
        query = select(ProvisioningJob, Nas.name).join(Nas, Nas.id == ProvisioningJob.nas_id)
        if nas:
            query = query.where(ProvisioningJob.nas_id == network.find_by_name(session, nas).id)
        found = session.execute(query.order_by(ProvisioningJob.id.desc()).limit(JOBS_SHOWN)).all()
    if as_json:
        print_json([job_body(job, given.settings.language) for job, _ in found])
        return
    rows = [[str(job.id), name, time_in(job.created_at, given.zone), job.state.value,
             f"{job.steps_applied} of {len(job.commands)}", str(job.touched), job.approved_by or "",
             time_in(job.not_before, given.zone), job.detail or ""] for job, name in found]  # fmt: skip
    print_table(["job", "nas", "at", "state", "steps", "may feel it", "approved by", "not before", "because"], rows)


def _show_job(given: Runtime, job_id: int, language: Language, *, as_json: bool) -> None:
    with given.database.transaction() as session:
        job = store.get_job(session, job_id)
    if as_json:
        print_json(job_body(job, language))
        return
    show_plan(job, language)
    typer.echo(f"job {job.id} is {job.state}" + (f": {job.detail}" if job.detail else ""))


@provision_app.command()
def cancel(job_id: Annotated[int, typer.Argument(metavar="JOB")]) -> None:
    """One that runs undoes what it did."""
    given = runtime()
    with given.database.transaction() as session:
        job = store.cancel(session, store.get_job(session, job_id, lock=True), actor(), given.clock())
    typer.echo(f"job {job.id} is {'told to stop' if job.state is JobState.RUNNING else job.state}")


@provision_app.command("session")
def watch_session(
    login: Annotated[str, typer.Argument(help="of a service that is online at a RouterOS box")], as_json: Json = False
) -> None:
    """Uptime, rate and traffic of a login's sessions now, as their routers say."""
    given = runtime()
    with given.database.transaction() as session:
        query = select(Session, Nas).join(Nas, Nas.id == Session.nas_id).where(Session.login == login)
        live = session.execute(query.where(Session.stopped_at.is_(None)).order_by(Session.id)).all()
        found = [addressee_of(one, nas, given.keyring) for one, nas in live]
    asked = [(one.routeros, one) for one in found if one.routeros is not None]
    seen = [watch_at(access, one, given.clock()) for access, one in asked]
    rows = [asdict(one) for one in seen if one is not None]
    if not rows:
        raise ProvedorError(f"{login} has no session that a router of ours shows ({len(live)} by accounting)")
    if as_json:
        print_json(rows)
        return
    print_table(["address", "uptime", "up bit/s", "down bit/s", "uploaded", "downloaded", "limit"], [
        [str(row[name] if row[name] is not None else "") for name in
         ("address", "uptime", "upload_bps", "download_bps", "uploaded", "downloaded", "max_limit")] for row in rows
    ])  # fmt: skip


def _show_accepted(found: Accepted, *, as_json: bool) -> None:
    if as_json:
        print_json({"taken": found.taken, "rest": found.rest})
        return
    for line in found.taken:
        typer.echo(line)
    for line in found.rest:
        typer.echo(f"cannot be said in an intent, to put back: {line}")


def _keep_accepted(given: Runtime, job_id: int) -> None:
    """Computed again from the same reading, in the transaction that keeps it."""
    with given.database.transaction() as session:
        job = store.get_job(session, job_id, lock=True)
        intents.get_intent(session, job.nas_id, lock=True)
        found = accepting.propose(session, given.keyring, job.nas_id, job, given.clock())
        accepting.keep(session, job, found, actor(), given.clock())


def _looks(given: Runtime) -> list[tuple[str, BrasIntent]]:
    with given.database.transaction() as session:
        query = select(Nas.name, BrasIntent).join(Nas, Nas.id == BrasIntent.nas_id).order_by(Nas.name)
        return [(name, row) for name, row in session.execute(query)]


def _look(given: Runtime, nas: str) -> tuple[str, BrasIntent]:
    with given.database.transaction() as session:
        before = intents.get_intent(session, network.find_by_name(session, nas).id, lock=True)
        drift.owe(session, before.nas_id, given.clock())
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with given.database.transaction() as session:
            row = intents.get_intent(session, before.nas_id)
        if row.checked_at != before.checked_at:
            return nas, row
        time.sleep(0.1)
    raise ConfigurationError(f"nobody looked at {nas}: is `provedor up` running with its worker?")


def _device(given: Runtime, nas: str) -> ManagedDevice:
    """After a look. Raises ProvedorError where it failed."""
    _, looked = _look(given, nas)
    if looked.check_error is not None:
        raise ProvedorError(f"{nas}: {looked.check_error}")
    with given.database.transaction() as session:
        row = session.get(ManagedDevice, looked.nas_id)
    if row is None:
        raise NotFound("managed device", nas)
    return row


def _drift_body(name: str, row: BrasIntent, language: Language) -> dict[str, Any]:
    return {
        "nas": name, "checked_at": row.checked_at, "check_error": row.check_error, "drift": row.drift,
        "words": sentences(row.drift_changes, language), "problems": row.drift_problems,
    }  # fmt: skip


def _read(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(file.read_text())
    except ValueError as error:
        raise InvalidInput(f"{file} is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidInput(f"{file} has no JSON object")
    return body


def _plan(given: Runtime, nas: str) -> ProvisioningJob:
    with given.database.transaction() as session:
        job = store.create_job(session, network.find_by_name(session, nas), actor(), given.clock())
    return _await(given, job.id)


def _question(nas: str, job: ProvisioningJob) -> str:
    online = "" if job.sessions is None else f", with {job.sessions} sessions online"
    return f"Do this at {nas}{online}?"


def _approve(given: Runtime, job_id: int, *, at_once: bool, without_undo: bool) -> ProvisioningJob:
    with given.database.transaction() as session:
        job = store.get_job(session, job_id, lock=True)
        try:
            store.approve(session, job, actor(), given.clock(), given.zone, at_once=at_once, without_undo=without_undo)
        except Conflict as error:
            raise ProvedorError(f"{error.detail} (`provedor provision approve {job_id}`)") from None
        waits = job.not_before is not None
    return job if waits else _await(given, job_id)


def _await(given: Runtime, job_id: int) -> ProvisioningJob:
    """Until it waits for nobody but a person. Raises ConfigurationError where no worker is there to do it."""
    deadline, applied = time.monotonic() + PATIENCE_S, 0
    while True:
        with given.database.transaction() as session:
            job = store.get_job(session, job_id)
        if job.state not in _WAITS and job.state is not JobState.UNKNOWN:
            return job
        if job.steps_applied > applied:
            deadline, applied = time.monotonic() + PATIENCE_S, job.steps_applied
        if time.monotonic() > deadline and job.state is JobState.UNKNOWN:
            return job
        if time.monotonic() > deadline:
            raise ConfigurationError(f"job {job_id} is {job.state} still: is `provedor up` running with its worker?")
        time.sleep(0.1)


def _fail_unless(right: bool, job: ProvisioningJob) -> None:
    if not right:
        raise ProvedorError(f"job {job.id} is {job.state}: {job.detail}")
