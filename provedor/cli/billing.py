"""billing run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from provedor.cli.common import Json, print_json, print_table, runtime

billing_app = typer.Typer(no_args_is_help=True, help="suspension and return")


@billing_app.callback()
def group() -> None:
    """Suspension and return by standing."""


@billing_app.command()
def run(
    dry_run: Annotated[bool, typer.Option(help="show who and why, change nothing")] = False,
    force: Annotated[bool, typer.Option(help="go on although suspiciously many would be restricted")] = False,
    as_json: Json = False,
) -> None:
    """Place and lift billing holds by the standing of every contract."""
    given = runtime()
    with given.database.transaction() as session:
        plan = given.suspension.run(session, dry_run=dry_run, force=force)
    if as_json:
        print_json([asdict(change) for change in plan])
        return
    rows = [[c.action, str(c.contract_id), c.customer, ", ".join(map(str, c.service_ids)), c.reason_pt] for c in plan]
    print_table(["action", "contract", "customer", "services", "why"], rows)
    typer.echo(f"{len(plan)} changes{' (dry run, nothing was done)' if dry_run else ''}")
