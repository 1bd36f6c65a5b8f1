"""export freeradius: the old server's database kept true, so that it can be the NAS's secondary, or the way back."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated

import psycopg
import typer

from core.models.network import Vendor
from provedor.cli.common import runtime
from provedor.cli.imports import DatabaseUrl
from provedor.exports import FreeradiusExport, changes_lost, listen
from provedor.imports.old_tables import OldDatabaseAway

export_app = typer.Typer(no_args_is_help=True, help="services, NASes and holds out")
#: With nothing heard, the feed is looked at so often.
POLL_S = 5.0
#: How often sessions that ended here are looked for there.
CLOSE_S = 30.0


@export_app.callback()
def group() -> None:
    """Give another system what it needs."""


@export_app.command("freeradius")
def export_freeradius(
    database_url: DatabaseUrl,
    follow: Annotated[bool, typer.Option(help="stay, and write every change as it happens")] = False,
    vendor: Annotated[
        Vendor | None, typer.Option(help="whose attributes a NAS gets that is none of ours; default: the most NASes'")
    ] = None,
) -> None:
    """Write services, holds and NASes into a FreeRADIUS database (PostgreSQL). Only rows of ours are touched."""
    given = runtime()
    try:
        with psycopg.connect(
            database_url, autocommit=True, connect_timeout=10, application_name="provedor-export"
        ) as connection:
            export = FreeradiusExport(given.database, given.keyring, connection, vendor)
            revision = export.newest_revision()
            _tell(revision, revision, export.write_all())
            if follow:
                _follow(export, revision, given.libpq_url)
    except psycopg.Error as error:
        raise OldDatabaseAway(str(error).strip().splitlines()[0]) from None


def _follow(export: FreeradiusExport, revision: int, url: str) -> None:
    close_at = time.monotonic() + CLOSE_S
    for _ in listen(url, POLL_S):
        if time.monotonic() >= close_at:
            close_at = time.monotonic() + CLOSE_S
            _tell_closed(revision, export.close_ended())
        if changes_lost(export.database, revision):
            revision = export.newest_revision()
            _tell(revision, revision, export.write_all())
        while True:
            reached, done = export.follow(revision)
            if reached == revision:
                break
            revision = reached
            _tell(revision, export.newest_revision(), done)


def _tell_closed(revision: int, done: Counter[str]) -> None:
    if +done:
        _tell(revision, revision, done)


def _tell(revision: int, newest: int, done: Counter[str]) -> None:
    behind = f", {newest - revision} behind" if newest > revision else ""
    written = ", ".join(f"{number} {name}" for name, number in sorted(done.items()) if number) or "nothing to do"
    typer.echo(f"revision {revision}{behind}: {written}")
