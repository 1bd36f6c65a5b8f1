"""enforcement freeze|resume [NAS], nas emergency NAS on|off."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from core import network, switches
from provedor.cli.common import actor, runtime

enforcement_app = typer.Typer(no_args_is_help=True, help="the switch for a bad night")
nas_app = typer.Typer(no_args_is_help=True, help="NAS entries")
NasName = Annotated[str, typer.Argument(help="name of a NAS; all without it")]


class OnOff(StrEnum):
    ON = "on"
    OFF = "off"


@enforcement_app.command()
def freeze(nas: NasName = "") -> None:
    """Send nothing to any NAS, or to one."""
    _switch(nas, frozen=True)


@enforcement_app.command()
def resume(nas: NasName = "") -> None:
    """Enforce again; what is out of step is brought in step."""
    _switch(nas, frozen=False)


@nas_app.command()
def emergency(nas: str, state: OnOff) -> None:
    """Accept everybody at this NAS on its emergency plan, or end that."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        network.update_nas(session, given.keyring, found, {"emergency": state is OnOff.ON}, actor())
    typer.echo(f"emergency mode of {nas} is {state}")


def _switch(nas: str, *, frozen: bool) -> None:
    given = runtime()
    with given.database.transaction() as session:
        if nas:
            found = network.find_by_name(session, nas)
            network.update_nas(session, given.keyring, found, {"enforcement_frozen": frozen}, actor())
        else:
            switches.freeze_enforcement(session, frozen, actor())
    typer.echo(f"enforcement {'frozen' if frozen else 'resumed'} for {nas or 'every NAS'}")
