"""billing run, billing runs, billing decisions, billing invoices, billing bank-file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import sheets
from billing_hooks.bank_files import mappings, store
from billing_hooks.bank_files.store import How
from billing_hooks.follow import differences, sources
from billing_hooks.follow.adapters import PUSH
from billing_hooks.follow.models import FollowSource, Mode
from billing_hooks.follow.reader import restrict
from billing_hooks.invoicing import words
from billing_hooks.invoicing.words import of_columns, said_by
from billing_hooks.issuing.issue import Issuing, Planned
from billing_hooks.models import BankFile, BankFileStatus, BankLineStatus, BillingRun, RunState
from billing_hooks.runs import RunUnsafe
from billing_hooks.sheets import Row
from billing_hooks.suspension import Change
from core.database import Database
from core.errors import InvalidInput, NotFound
from core.language import Language
from provedor.cli.common import InLanguage, Json, actor, print_json, print_table, runtime
from provedor.work import Work, work_of

billing_app = typer.Typer(no_args_is_help=True, help="suspension and return")

#: How long the command waits for the workers; the run goes on without it.
WAIT_S = 30.0
LOOK_EVERY_S = 0.2
RUNS_SHOWN = 20
Sheet = Annotated[Path | None, typer.Option(dir_okay=False, writable=True, help="write it as a spreadsheet")]


@billing_app.callback()
def group() -> None:
    """Suspension and return by standing."""


@billing_app.command()
def run(
    dry_run: Annotated[bool, typer.Option(help="show who and why, change nothing")] = False,
    force: Annotated[
        int | None, typer.Option(metavar="RUN", help="do the list of a run that was stopped; look at it first")
    ] = None,
    xlsx: Sheet = None,
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """Place and lift billing holds by the standing of every contract; the node's workers do it."""
    given = work_of(runtime())
    spoken = language or given.settings.language
    if force is not None:
        with given.database.transaction() as session:
            given.billing.force(session, force, actor())
        typer.echo(f"({_outcome(given.database, force)})")
    elif xlsx is not None:
        if not dry_run:
            raise InvalidInput("goes with --dry-run; what was done: `provedor billing decisions RUN --xlsx FILE`",
                               field="--xlsx")  # fmt: skip
        with given.database.transaction() as session, xlsx.open("wb") as file:
            rows = map(sheets.of_change, given.billing.changes(session))
            typer.echo(f"{xlsx}: {sheets.write_plan(file, rows, spoken, given.zone)} rows (dry run, nothing was done)")
    elif dry_run:
        _dry_run(given, spoken, as_json=as_json)
    else:
        _run(given, spoken, as_json=as_json)


@billing_app.command()
def decisions(
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="of `provedor billing runs`")],
    xlsx: Sheet = None,
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """What a run decided of each contract, and what became of it; of one that was stopped, what it would have done."""
    given = work_of(runtime())
    spoken = language or given.settings.language
    with given.database.transaction() as session:
        if session.get(BillingRun, run_id) is None:
            raise NotFound("billing run", run_id)
        rows = sheets.decisions_of(session, run_id)
        if xlsx is not None:
            with xlsx.open("wb") as file:
                typer.echo(f"{xlsx}: {sheets.write_decisions(file, rows, spoken, given.zone)} rows")
        elif as_json:
            print_json([asdict(row) for row in rows])
        else:
            _print_rows(list(rows), spoken)


@billing_app.command()
def runs(
    stopped: Annotated[bool, typer.Option(help="only those that ask a person")] = False,
    as_json: Json = False,
) -> None:
    """The latest runs, and why they were stopped."""
    given = work_of(runtime())
    with given.database.transaction() as session:
        query = select(BillingRun).order_by(BillingRun.id.desc()).limit(RUNS_SHOWN)
        found = session.scalars(query.where(BillingRun.state == RunState.STOPPED) if stopped else query).all()
        rows = [[str(one.id), f"{one.at.astimezone(given.zone):%Y-%m-%d %H:%M}", one.state.value, str(one.considered),
                 str(one.placed), str(one.lifted), one.forced_by or "",
                 (one.stopped_reason if given.settings.language == "en" else one.stopped_reason_pt) or ""]
                for one in found]  # fmt: skip
    columns = ["run", "at", "state", "decisions", "restricted", "given back", "forced by", "stopped because"]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@billing_app.command("invoices")
def make_invoices(
    dry_run: Annotated[bool, typer.Option(help="show what would be invoiced, change nothing")] = False,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="with --dry-run: by this day")] = None,
    as_json: Json = False,
) -> None:
    """Make the invoices that are due to be made; the workers do it, as they do by themselves every ten minutes."""
    given = work_of(runtime())
    issuing = Issuing(given.billing.zone, given.clock, given.billing.country)
    with given.database.transaction() as session:
        if not dry_run:
            if as_of is not None:
                raise typer.BadParameter("only a dry run looks at another day", param_hint="--as-of")
            typer.echo(f"{issuing.owe_due(session)} contracts have an invoice due; the workers make them")
            return
        planned = list(issuing.plan(session, as_of.date() if as_of else None))
    if as_json:
        print_json([_planned(one) for one in planned])
        return
    rows = [[str(one.account.contract_id), one.account.customer, str(one.period.start), str(one.due_date),
             words.money(one.draft.total_cents), "; ".join(line.words.pt for line in one.draft.lines)]
            for one in planned]  # fmt: skip
    print_table(["contract", "customer", "from", "due", "total", "lines"], rows)
    typer.echo(f"{len(planned)} invoices, {words.money(sum(one.draft.total_cents for one in planned))}")
    typer.echo("(dry run, nothing was done)")


def _planned(one: Planned) -> dict[str, object]:
    return {
        "contract_id": one.account.contract_id, "customer": one.account.customer, "start": one.period.start,
        "due_date": one.due_date, "total_cents": one.draft.total_cents,
        "lines": [{"text": line.words.pt, "amount_cents": line.amount_cents} for line in one.draft.lines],
    }  # fmt: skip


@billing_app.command("bank-file")
def bank_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CNAB return, OFX or CSV")],
    layout: Annotated[str | None, typer.Option(help="where the file does not say what it is")] = None,
    mapping: Annotated[str | None, typer.Option(help="name of the mapping by which a CSV reads")] = None,
    account: Annotated[str | None, typer.Option(help="the agreement or account it has to be of")] = None,
    as_json: Json = False,
) -> None:
    """Import what a bank sent: payments are recorded, what nothing proves waits for a person."""
    given = work_of(runtime())
    with given.database.transaction() as session:
        how = How(layout, mappings.find_named(session, mapping) if mapping is not None else None, account)
        received = store.receive(session, file.read_bytes(), name=file.name, actor=actor(), now=given.clock(), how=how)
    known, lines = _worked(given.database, received.id)
    problems = known.problems.get("lines", [])
    if as_json:
        print_json({
            "file_id": str(known.id), "status": known.status, "layout": known.layout, "lines": lines,
            "problems": problems,
        })  # fmt: skip
    else:
        _print_file(known, lines)
    for problem in [] if as_json else problems:
        typer.echo(f"line {problem['line']}, {problem['field']}: {problem['detail']}", err=True)
    if known.status is BankFileStatus.REFUSED:
        raise typer.Exit(1)


def _worked(database: Database, file_id: int) -> tuple[BankFile, dict[BankLineStatus, int]]:
    """The file and its lines when the workers are done with it, or have not come on for a while."""
    seen: object = None
    last_look = time.monotonic() + WAIT_S
    while True:
        with database.transaction() as session:
            file = store.get_file(session, file_id)
            lines = store.count_lines(session, [file_id])[file_id]
        if file.finished_at is not None or time.monotonic() > last_look:
            return file, lines
        if (file.status, lines) != seen:
            seen, last_look = (file.status, lines), time.monotonic() + WAIT_S
        time.sleep(LOOK_EVERY_S)


def _print_file(file: BankFile, lines: dict[BankLineStatus, int]) -> None:
    if file.status is BankFileStatus.REFUSED:
        typer.echo(f"file {file.id} was refused", err=True)
        return
    typer.echo(f"{file.layout or 'file'} {file.id}: {file.lines_new} new lines, {file.lines_repeated} known before")
    typer.echo(", ".join(f"{count} {status}" for status, count in sorted(lines.items())) or "no lines")
    if file.finished_at is None:
        typer.echo("the workers are not done with it yet; `provedor doctor` if they stand still")


def _dry_run(given: Work, language: Language, *, as_json: bool) -> None:
    """What a run would do, and whether it would stop."""
    with given.database.transaction() as session:
        plan = given.billing.plan(session)
        stops = given.billing.stops(session, plan)
    _print_plan(plan, language, as_json=as_json)
    for stop in stops:
        typer.echo(f"a run would stop: {stop.words.of(language)}", err=True)
    if not as_json:
        typer.echo("(dry run, nothing was done)")


def _run(given: Work, language: Language, *, as_json: bool) -> None:
    with given.database.transaction() as session:
        stopped: RunUnsafe | None = None
        run_id: int | None = None
        plan: list[Change] = []
        try:
            run_id, plan = given.billing.run(session)
        except RunUnsafe as unsafe:  # caught in here, or what it keeps would be rolled back
            stopped = unsafe
    if stopped is not None:
        list_, go = f"provedor billing decisions {stopped.run_id}", f"provedor billing run --force {stopped.run_id}"
        typer.echo(f"stopped: {said_by(stopped).of(language)}\n  {list_} [--xlsx FILE]\n  {go}", err=True)
        raise typer.Exit(1)
    outcome = _outcome(given.database, run_id)
    _print_plan(plan, language, as_json=as_json)
    if not as_json:
        typer.echo(f"({outcome})")


def _print_plan(plan: Sequence[Change], language: Language, *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(change) for change in plan])
        return
    _print_rows([sheets.of_change(change) for change in plan], language)
    counts = Counter(change.action for change in plan)
    typer.echo(", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "nothing")


def _print_rows(rows: Sequence[Row], language: Language) -> None:
    """Without the columns that a spreadsheet has room for."""
    print_table(
        ["action", "contract", "customer", "login", "rule", "why", "outcome"],
        [[one.action, str(one.contract_id), one.customer, ", ".join(one.logins), one.step or "",
          (one.message or one.reason).of(language),
          "done" if one.done_at else sheets.outcome_words(one.outcome).of(language)] for one in rows],
    )  # fmt: skip


@billing_app.command()
def follow(
    source: Annotated[str, typer.Argument(help="the source's name or id")],
    dry_run: Annotated[bool, typer.Option(help="read it and list the differences, change nothing")] = False,
    force: Annotated[bool, typer.Option(help="go on although many would be restricted, or are gone there")] = False,
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """Read another billing system now: what it says and what is done here, side by side."""
    given = work_of(runtime())
    spoken = language or given.settings.language
    forced_by = actor().name if force else None
    with given.database.transaction() as session:
        row = sources.find_source(session, source)
        asked = None if row.kind == PUSH else given.reader.open(session, row, given.clock(), identify=True)
        if asked is not None and not dry_run:  # overtakes a reading that the node has begun
            sources.note(session, row.id, asked_at=asked.asked_at, claimed_until=None)
    reading = asked.read(given.reader.make_client) if asked is not None else None  # outside of every transaction
    with given.database.transaction() as session:
        row = sources.find_source(session, source)
        by = differences.compare(session, row, given.settings.country, given.zone, given.clock())
        found = by.of_reading(reading) if reading is not None else by.stored()
        if not dry_run and asked is not None and reading is not None:
            given.reader.conclude(session, asked, reading, forced_by=forced_by)
        elif not dry_run:
            restrict(session, given.billing, row, forced_by=forced_by)
        outcome = "dry run, nothing was changed" if dry_run else _told(session, row, spoken)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [[one.kind.value, one.key or "", ", ".join(map(str, one.contract_ids)), one.customer,
             "yes" if one.follows else "", words.Words(one.reason_pt, one.reason).of(spoken)]
            for one in found]  # fmt: skip
    print_table(["difference", "there", "contract", "customer", "follows", "why"], rows)
    counts = Counter(one.kind.value for one in found)
    typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no differences")
    for one in reading.malformed if reading is not None else ():
        typer.echo(one.words.of(spoken), err=True)
    typer.echo(f"({outcome})")


def _told(session: Session, row: FollowSource, language: Language) -> str:
    session.refresh(row)
    if row.mode is not Mode.LIVE:
        return "the source is dry: contracts stay as they are"
    wrong = of_columns(row.alarm, row.alarm_pt) or of_columns(row.stopped, row.stopped_pt)
    return wrong.of(language) if wrong else "its word is kept; the workers do what follows"


def _outcome(database: Database, run_id: int | None) -> str:
    """What the workers made of it, as far as they came while we looked."""
    if run_id is None:
        return "nothing to do"
    last_look = time.monotonic() + WAIT_S
    while True:
        with database.transaction() as session:
            found = session.get_one(BillingRun, run_id)
        if found.finished_at is not None:
            return f"run {run_id}: {found.placed} contracts restricted, {found.lifted} given back"
        if time.monotonic() > last_look:
            return (
                f"run {run_id}: the workers have {found.chunks_left} parts left; `provedor doctor` if they stand still"
            )
        time.sleep(LOOK_EVERY_S)
