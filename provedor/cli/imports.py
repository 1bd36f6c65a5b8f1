"""import csv."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from provedor.cli.common import Json, actor, print_json, progress, runtime
from provedor.importing import Importer

import_app = typer.Typer(no_args_is_help=True, help="services, customers and plans in")


@import_app.callback()
def group() -> None:
    """Bring what another system has."""


@import_app.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option(help="check everything, keep nothing")] = False,
    as_json: Json = False,
) -> None:
    """Services out of a CSV file; exit 1 when a row was rejected."""
    given = runtime()
    importer = Importer(given.database, given.keyring, actor(), datetime.now(UTC).date())
    with file.open("rb") as octets:
        lines = sum(1 for _ in octets)
    with file.open(newline="", encoding="utf-8-sig") as rows:
        results = list(progress(importer.run(rows, dry_run=dry_run), "importing", lines))
    counts = Counter(result.outcome for result in results)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            if result.outcome == "rejected":
                typer.echo(f"line {result.line} ({result.login}): {result.reason}")
        summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no rows"
        typer.echo(summary + (" (dry run, nothing was kept)" if dry_run else ""))
    if counts["rejected"]:
        raise typer.Exit(1)
