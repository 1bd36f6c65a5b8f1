"""explain LOGIN, or an IP address, a MAC address, a NAS."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from provedor.cli.common import InLanguage, Json, print_json, runtime


def explain(
    what: Annotated[str, typer.Argument(metavar="LOGIN|IP|MAC|NAS", help="a login before all")],
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """Why this subscriber can or cannot connect, and what to do; or what is wrong with a NAS."""
    from core import explain as core_explain  # noqa: PLC0415
    from provisioning import evidence  # noqa: PLC0415

    given = runtime()
    voice = core_explain.Voice(language or given.settings.language, ZoneInfo(given.settings.timezone))
    with given.database.transaction() as session:
        found = core_explain.explain_anything(session, what, voice, evidence.sources(session))
    if as_json:
        print_json(core_explain.as_json(found))
    else:
        typer.echo(f"{what}: {found.summary}")
        for finding in found.findings:
            step = f"  → {finding.next_step}" if finding.next_step else ""
            typer.echo(f"- {finding.message}{step}")
    if found.verdict is core_explain.Verdict.UNKNOWN_LOGIN:
        raise typer.Exit(1)
