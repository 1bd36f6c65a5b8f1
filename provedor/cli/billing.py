"""billing run."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from billing_hooks.models import BillingRun
from core.database import Database
from provedor.cli.common import Json, print_json, print_table, runtime

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
            run_id, plan = None, given.suspension.plan(session)
        else:
            run_id, plan = given.suspension.run(session, force=force)
    outcome = "dry run, nothing was done" if dry_run else _outcome(given.database, run_id)
    if as_json:
        print_json([asdict(change) for change in plan])
        return
    rows = [[c.action, str(c.contract_id), c.customer, ", ".join(map(str, c.service_ids)), c.reason_pt] for c in plan]
    print_table(["action", "contract", "customer", "services", "why"], rows)
    waiting = sum(change.action == "wait" for change in plan)
    if waiting:
        typer.echo(f"{waiting} wait for an hour at which a restriction may begin: {given.suspension.policy.hours}")
    typer.echo(f"{len(plan) - waiting} changes ({outcome})")


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
