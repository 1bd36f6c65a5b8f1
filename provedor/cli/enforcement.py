"""enforcement freeze|resume [NAS], nas emergency NAS on|off."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from core import network, switches
from core.errors import InvalidInput
from provedor.cli.common import actor, runtime
from provedor.runtime import Runtime
from provisioning import certificates
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import CertificateRefused

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


@nas_app.command()
def certificate(
    nas: str,
    approve: Annotated[
        str, typer.Option(metavar="SHA256", help="it is what the router itself says: do not ask")
    ] = "",
) -> None:  # fmt: skip
    """Which certificate the box's API shows, and approve it when you have compared it with what the router says."""
    given = runtime()
    refused = _refused(given, nas)
    if refused is None:
        typer.echo(f"the certificate that {nas} shows is approved, or an authority vouches for it")
        return
    typer.echo(f"{nas} shows the certificate {refused.shown}; approved is {refused.expected or 'none yet'}")
    if not approve and typer.confirm(
        "Is that the fingerprint that the router itself says (/certificate print detail)?"
    ):
        approve = refused.shown or ""
    if not approve:
        raise typer.Exit(1)
    with given.database.transaction() as session:
        certificates.approve(session, given.keyring, network.find_by_name(session, nas), approve, actor())
    typer.echo(f"approved: {nas} is refused with any other from now on")


def _refused(given: Runtime, nas: str) -> CertificateRefused | None:
    """Asks the box. None where its certificate is right."""
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        access = network.access_of(found, found.address.partition("/")[0], given.keyring)
    if access is None or not access.tls:
        raise InvalidInput(f"NAS {nas} has no access to a RouterOS API by TLS")
    try:
        with certificates.watched(given.database, found.id, given.clock), closing(RouterOs(access)) as client:
            client.rows("/system/identity", ("name",))
    except CertificateRefused as refused:
        return refused
    return None


def _switch(nas: str, *, frozen: bool) -> None:
    given = runtime()
    with given.database.transaction() as session:
        if nas:
            found = network.find_by_name(session, nas)
            network.update_nas(session, given.keyring, found, {"enforcement_frozen": frozen}, actor())
        else:
            switches.freeze_enforcement(session, frozen, actor())
    typer.echo(f"enforcement {'frozen' if frozen else 'resumed'} for {nas or 'every NAS'}")
