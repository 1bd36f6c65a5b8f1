"""explain LOGIN."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from core.errors import NotFound
from provedor.cli.common import Json, print_json, runtime


class Language(StrEnum):
    PT_BR = "pt_BR"
    EN = "en"


def explain(
    login: str,
    language: Annotated[Language | None, typer.Option(help="default: PROVEDOR_LANGUAGE")] = None,
    as_json: Json = False,
) -> None:
    """Why this subscriber can or cannot connect."""
    from aaa.attempts import recent_attempts  # noqa: PLC0415
    from core import explain as core_explain  # noqa: PLC0415
    from core import services  # noqa: PLC0415

    given = runtime()
    with given.database.transaction() as session:
        service = services.find_by_login(session, login)
        if service is None:
            raise NotFound("service with the login", login)
        found = core_explain.explain_service(
            session, service, language or given.settings.language, lambda name: recent_attempts(session, name)
        )
    if as_json:
        print_json(core_explain.as_json(found))
        return
    typer.echo(f"{login}: {found.summary}")
    for finding in found.findings:
        step = f"  → {finding.next_step}" if finding.next_step else ""
        typer.echo(f"- {finding.message}{step}")
