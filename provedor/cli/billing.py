"""billing run, billing invoices, billing bank-file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files import store
from billing_hooks.follow import differences, sources
from billing_hooks.follow.adapters import PUSH
from billing_hooks.follow.models import FollowSource, Mode
from billing_hooks.follow.reader import restrict
from billing_hooks.invoicing import words
from billing_hooks.issuing.issue import Issuing, Planned
from billing_hooks.models import BankFileLine, BillingRun
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


@billing_app.command("invoices")
def make_invoices(
    dry_run: Annotated[bool, typer.Option(help="show what would be invoiced, change nothing")] = False,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="with --dry-run: by this day")] = None,
    as_json: Json = False,
) -> None:
    """Make the invoices that are due to be made; the workers do it, as they do by themselves every ten minutes."""
    given = runtime()
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
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CNAB return or OFX")],
    layout: Annotated[str | None, typer.Option(help="where the file does not say what it is")] = None,
    account: Annotated[str | None, typer.Option(help="the agreement or account it has to be of")] = None,
    as_json: Json = False,
) -> None:
    """Import what a bank sent: payments are recorded, what nothing proves waits for a person."""
    given, octets = runtime(), file.read_bytes()
    with given.database.transaction() as session:
        known = store.import_file(
            session, octets, name=file.name, actor=actor(), now=given.clock(), how=layout, account=account
        )
        lines = session.scalars(select(BankFileLine).where(BankFileLine.file_id == known.id)).all()
        counts = Counter(line.status.value for line in lines)
        problems = known.problems.get("lines", [])
    if as_json:
        print_json({"layout": known.layout, "lines": dict(counts), "problems": problems})
        return
    typer.echo(f"{known.layout}: {known.lines_new} new lines, {known.lines_repeated} known before")
    typer.echo(", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no lines")
    for problem in problems:
        typer.echo(f"line {problem['line']}, {problem['field']}: {problem['detail']}", err=True)


@billing_app.command()
def follow(
    source: Annotated[str, typer.Argument(help="the source's name or id")],
    dry_run: Annotated[bool, typer.Option(help="read it and list the differences, change nothing")] = False,
    force: Annotated[bool, typer.Option(help="go on although many would be restricted, or are gone there")] = False,
    as_json: Json = False,
) -> None:
    """Read another billing system now: what it says and what is done here, side by side."""
    given = runtime()
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
        outcome = "dry run, nothing was changed" if dry_run else _told(session, row)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [[one.kind.value, one.key or "", ", ".join(map(str, one.contract_ids)), one.customer,
             "yes" if one.follows else "", one.reason_pt] for one in found]  # fmt: skip
    print_table(["difference", "there", "contract", "customer", "follows", "why"], rows)
    counts = Counter(one.kind.value for one in found)
    typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no differences")
    for one in reading.malformed if reading is not None else ():
        typer.echo(f"{one.row}: {one.detail}", err=True)
    typer.echo(f"({outcome})")


def _told(session: Session, row: FollowSource) -> str:
    session.refresh(row)
    if row.mode is not Mode.LIVE:
        return "the source is dry: contracts stay as they are"
    return row.alarm or row.stopped or "its word is kept; the workers do what follows"


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
