"""billing run, billing bank-file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from billing_hooks.bank_files import mappings, store
from billing_hooks.bank_files.store import How
from billing_hooks.models import BankFile, BankFileStatus, BankLineStatus, BillingRun
from core.database import Database
from provedor.cli.common import Json, actor, print_json, print_table, runtime

billing_app = typer.Typer(no_args_is_help=True, help="suspension and return")

#: How long the command waits for the workers; the run goes on without it.
WAIT_S = 30.0
LOOK_EVERY_S = 0.2


@billing_app.callback()
def group() -> None:
    """Suspension and return by standing."""


@billing_app.command()
def run(
    dry_run: Annotated[bool, typer.Option(help="show who and why, change nothing")] = False,
    force: Annotated[bool, typer.Option(help="go on although suspiciously many would be restricted")] = False,
    as_json: Json = False,
) -> None:
    """Place and lift billing holds by the standing of every contract; the node's workers do it."""
    given = runtime()
    with given.database.transaction() as session:
        if dry_run:
            run_id, plan = None, given.billing.plan(session)
        else:
            run_id, plan = given.billing.run(session, forced_by=actor().name if force else None)
    outcome = "dry run, nothing was done" if dry_run else _outcome(given.database, run_id)
    if as_json:
        print_json([asdict(change) for change in plan])
        return
    rows = [[c.action, str(c.contract_id), c.customer, ", ".join(map(str, c.service_ids)), c.step or "",
             c.words.pt if c.words else c.reason_pt] for c in plan]  # fmt: skip
    print_table(["action", "contract", "customer", "services", "rule", "why"], rows)
    counts = Counter(change.action for change in plan)
    typer.echo(", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "nothing")
    typer.echo(f"({outcome})")


@billing_app.command("bank-file")
def bank_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CNAB return, OFX or CSV")],
    layout: Annotated[str | None, typer.Option(help="where the file does not say what it is")] = None,
    mapping: Annotated[str | None, typer.Option(help="name of the mapping by which a CSV reads")] = None,
    account: Annotated[str | None, typer.Option(help="the agreement or account it has to be of")] = None,
    as_json: Json = False,
) -> None:
    """Import what a bank sent: payments are recorded, what nothing proves waits for a person."""
    given = runtime()
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
