"""import csv, import freeradius, import routeros."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InvalidInput
from core.models.network import Vendor
from provedor.cli.common import Json, actor, print_json, progress, runtime
from provedor.imports.accounts import Finding, Level
from provedor.imports.csv_file import Importer
from provedor.imports.follow import Outcome
from provedor.imports.freeradius import FreeradiusImport, Options
from provedor.imports.routeros import RouterOsImport

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


DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database-url", envvar="PROVEDOR_OTHER_DATABASE_URL", show_envvar=True,
        help="postgresql://user:password@host/radius, or mysql://…",
    ),
]  # fmt: skip
#: Findings of one reason that are shown; `--json` prints all.
_SHOWN_MAX = 10


@import_app.command("freeradius")
def import_freeradius(
    database_url: DatabaseUrl,
    dry_run: Annotated[bool, typer.Option(help="check everything, keep nothing")] = False,
    rate: Annotated[
        list[str] | None, typer.Option(help="GROUP=DOWN/UP, as 200M/100M, of a group whose attributes do not tell")
    ] = None,
    lowercase: Annotated[
        bool | None, typer.Option("--lowercase/--keep-case", help="of logins; default: as that database compares them")
    ] = None,
    strip_realm: Annotated[bool, typer.Option(help="joao@isp is joao here")] = False,
    vendor: Annotated[Vendor | None, typer.Option(help="of NASes whose type does not tell")] = None,
    due_day: Annotated[int, typer.Option(min=1, max=31, help="of the contracts that are made")] = 10,
    sessions: Annotated[bool, typer.Option(help="seed its open sessions")] = True,
    as_json: Json = False,
) -> None:
    """Users, groups, NASes and open sessions of a FreeRADIUS database; again, to follow what changed there.

    Exit 1 when a row was rejected.
    """
    given = runtime()
    options = Options(dict(map(read_rate, rate or ())), lowercase, strip_realm, vendor, due_day, sessions)
    importer = FreeradiusImport(given.database, given.libpq_url, given.keyring, actor(), given.clock())
    outcome = importer.run(
        database_url, options, dry_run=dry_run, progress=lambda chunks: progress(chunks, "importing", len(chunks))
    )
    show_outcome(outcome, dry_run=dry_run, as_json=as_json)
    if any(finding.level is Level.REJECTED for finding in outcome.findings):
        raise typer.Exit(1)


@import_app.command("routeros")
def import_routeros(
    nas: Annotated[str, typer.Argument(help="name of the NAS entry, which has access to the router's API")],
    address: Annotated[str | None, typer.Option(help="which box, where the entry is a network")] = None,
    dry_run: Annotated[bool, typer.Option(help="read everything, keep nothing")] = False,
    as_json: Json = False,
) -> None:
    """Who is online at a RouterOS box; again, as often as one likes.

    PPP sessions that we do not know are observed from now on, and their addresses out of our pools become leases.
    Nothing changes at the router.
    """
    given = runtime()
    importer = RouterOsImport(given.database, given.libpq_url, given.keyring, given.clock())
    show_outcome(importer.run(nas, address, dry_run=dry_run), dry_run=dry_run, as_json=as_json)


def read_rate(text: str) -> tuple[str, tuple[int, int]]:
    """`GROUP=DOWN/UP`: the group, and (down, up) in kbit/s. Raises InvalidInput."""
    from aaa.takeover.rates import parse_rate_limit  # noqa: PLC0415

    group, _, rates = text.rpartition("=")
    limit = parse_rate_limit(rates)
    if not group or limit is None:
        raise InvalidInput(f"{text!r} is not GROUP=DOWN/UP", field="--rate")
    return group, (limit.up.rate, limit.down.rate)  # RouterOS names the upload first, a person the download


def show_outcome(outcome: Outcome, *, dry_run: bool, as_json: bool) -> None:
    """What came of an import, or would."""
    if as_json:
        findings = [finding._asdict() for finding in outcome.findings]
        print_json({"dry_run": dry_run, "counts": outcome.counts, "findings": findings})
    else:
        _print_outcome(outcome, dry_run=dry_run)


def _print_outcome(outcome: Outcome, *, dry_run: bool) -> None:
    grouped: dict[tuple[Level, str, str, str], list[Finding]] = {}
    for finding in outcome.findings:
        grouped.setdefault((finding.level, finding.what, finding.reason, finding.fix), []).append(finding)
    order = list(Level)
    for (level, what, reason, fix), findings in sorted(grouped.items(), key=lambda entry: order.index(entry[0][0])):
        keys = ", ".join(repr(finding.key) for finding in findings[:_SHOWN_MAX])
        more = f" and {len(findings) - _SHOWN_MAX} more" if len(findings) > _SHOWN_MAX else ""
        typer.echo(f"{level.replace('_', ' ')}: {what} {keys}{more} {reason}" + (f"; {fix}" if fix else ""))
    for kind, counts in outcome.counts.items():
        shown = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()) if number)
        typer.echo(f"{kind}s: {shown or 'none'}")
    if dry_run:
        typer.echo("(dry run, nothing was kept)")
