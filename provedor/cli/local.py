"""provision local serve, standby, show, look, let-go, leave: boxes that let their subscribers in by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import network
from core.errors import ConfigurationError, ProvedorError
from core.models.network import Nas
from provedor.cli.common import Json, actor, print_json, print_table, runtime
from provedor.runtime import Runtime
from provisioning.local import store
from provisioning.local.models import LocalAccess, LocalMode

local_app = typer.Typer(no_args_is_help=True, help="PPP secrets at the box: without RADIUS, or while it is away")
NasName = Annotated[str, typer.Argument(help="name of a NAS entry whose intent has a profile")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
#: A box is read by a worker of the running node.
PATIENCE_S = 120.0


@local_app.command()
def serve(nas: NasName, yes: Yes = False) -> None:
    """The box lets its subscribers in by PPP secrets alone: shown first, asked, and then kept in step."""
    _switch_on(nas, LocalMode.SERVE, 30, yes=yes)


@local_app.command()
def standby(
    nas: NasName,
    watch: Annotated[int, typer.Option(min=10, max=3600, help="seconds between its looks for RADIUS")] = 30,
    yes: Yes = False,
) -> None:
    """The same rows lie ready at the box, for while no RADIUS server answers it: shown first, asked, kept in step."""
    _switch_on(nas, LocalMode.STANDBY, watch, yes=yes)


@local_app.command()
def show(as_json: Json = False) -> None:
    """Which boxes, and how they are."""
    given = runtime()
    with given.database.transaction() as session:
        query = select(Nas.name, LocalAccess).join(Nas, Nas.id == LocalAccess.nas_id).order_by(Nas.name)
        rows = [(name, kept) for name, kept in session.execute(query)]
    if as_json:
        print_json([_body(name, kept) for name, kept in rows])
        return
    print_table(["nas", "mode", "approved by", "services", "in use", "looked at", "problems", "failed because"], [
        [name, kept.mode.value, kept.approved_by or "nobody", str(kept.services), _used(kept),
         f"{kept.looked_at.astimezone(given.zone):%Y-%m-%d %H:%M}" if kept.looked_at else "never",
         str(len(kept.problems)), kept.error or ""] for name, kept in rows
    ])  # fmt: skip
    for name, kept in rows:
        tell(name, kept)


@local_app.command()
def look(nas: NasName) -> None:
    """Look at all of the box now, and bring it in step."""
    given = runtime()
    kept = _looked_at(given, nas, store.look_now)
    typer.echo(f"{kept.services} services are kept at {nas}")
    tell(nas, kept)


@local_app.command("let-go")
def let_go(nas: NasName) -> None:
    """The secrets that are held back, because they are many, may go."""
    given = runtime()
    _looked_at(given, nas, lambda session, kept: store.let_go(session, kept, actor()))
    typer.echo("gone")


@local_app.command()
def leave(
    nas: NasName,
    keep_rows: Annotated[
        bool, typer.Option("--keep-rows", help="the rows stay as they are, as the box's own: nobody keeps them")
    ] = False,
    yes: Yes = False,
) -> None:
    """Take away what the box has of it; sessions that are up go on until they end."""
    given = runtime()
    what = "Give the subscribers' rows back to" if keep_rows else "Take the subscribers' rows away from"
    if not yes and not typer.confirm(f"{what} {nas}?"):
        raise typer.Exit(1)
    with given.database.transaction() as session:
        store.leave(session, _kept(session, nas), actor(), keep_rows=keep_rows)
    typer.echo("within seconds it is done; `provedor provision local show` shows when")


def _switch_on(nas: str, mode: LocalMode, watch: int, *, yes: bool) -> None:
    given = runtime()
    with given.database.transaction() as session:
        store.set_local(session, network.find_by_name(session, nas), mode, watch, actor())
    kept = _looked_at(given, nas, store.look_now)
    tell(nas, kept)
    if kept.approved_by is None:
        for what, count in sorted(kept.to_do.items()):
            typer.echo(f"{what}: {count}")
        if not yes and not typer.confirm(f"Keep {kept.services} services at {nas}?"):
            raise typer.Exit(1)
        kept = _looked_at(given, nas, lambda session, kept: store.approve(session, kept, actor()))
        tell(nas, kept)
    typer.echo(f"{kept.services} services are kept at {nas}")


def _looked_at(given: Runtime, nas: str, do: Callable[[Session, LocalAccess], object]) -> LocalAccess:
    """After `do`, and the look that follows from it."""
    with given.database.transaction() as session:
        kept = _kept(session, nas)
        before = (kept.looked_at, kept.nas_id)
        do(session, kept)
    return await_look(given, nas, *before)


def await_look(given: Runtime, nas: str, before: datetime | None, nas_id: int) -> LocalAccess:
    """The next look that comes after `before`. Raises ConfigurationError where no worker is there to look."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with given.database.transaction() as session:
            kept = store.get_local(session, nas_id)
        if kept.error is not None:
            raise ProvedorError(f"{nas}: {kept.error}")
        if kept.looked_at != before:
            return kept
        time.sleep(0.1)
    raise ConfigurationError(f"nobody looked at {nas}: is `provedor up` running with its worker?")


def _kept(session: Session, nas: str) -> LocalAccess:
    return store.get_local(session, network.find_by_name(session, nas).id, lock=True)


def _used(kept: LocalAccess) -> str:
    """Of a box that serves by its rows always; a standby box enables them itself."""
    if kept.mode is LocalMode.SERVE:
        return "always" if kept.approved_by else ""
    return "now" if kept.in_use else "not now"


def tell(nas: str, kept: LocalAccess) -> None:
    """What cannot be had there, and what is held back."""
    for problem in kept.problems:
        typer.echo(f"{nas}: cannot be had: {problem}", err=True)
    if kept.held_back:
        typer.echo(f"{nas}: {kept.held_back} secrets are held back: `provedor provision local let-go {nas}`", err=True)


def _body(name: str, kept: LocalAccess) -> dict[str, Any]:
    return {
        "nas": name, "mode": kept.mode.value, "approved_by": kept.approved_by, "services": kept.services,
        "in_use": kept.in_use, "looked_at": kept.looked_at, "to_do": kept.to_do, "problems": kept.problems,
        "error": kept.error, "held_back": kept.held_back,
    }  # fmt: skip
