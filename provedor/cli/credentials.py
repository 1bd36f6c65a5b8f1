"""provision credential add, list, remove; provision rotate: who may log in to boxes, and with what."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select

from core import credentials, network
from core.errors import ConfigurationError, InvalidInput
from core.models.network import DeviceCredential, Nas
from provedor.cli.common import Json, actor, print_json, print_table, runtime
from provedor.runtime import Runtime
from provisioning.credentials import store
from provisioning.credentials.keeper import new_password
from provisioning.credentials.models import PasswordRotation, RotationState

credential_app = typer.Typer(no_args_is_help=True, help="users and passwords that several boxes share")
#: A worker of the running node does it; a box that is away is tried on after nobody waits any more.
PATIENCE_S = 120.0


@credential_app.command()
def add(
    name: Annotated[
        str, typer.Argument(help="by which NAS entries name it, in `routeros.credential` or `management.credential`")
    ],
    user: Annotated[str, typer.Argument(help="of the boxes")],
    password: Annotated[
        str, typer.Option(envvar="DEVICE_PASSWORD", prompt=True, hide_input=True, help="asked for without it")
    ],
) -> None:
    """Know a user and a password that several boxes have."""
    given = runtime()
    with given.database.transaction() as session:
        values = {"name": name, "user": user, "password": password}
        credentials.create_credential(session, given.keyring, values, actor())
    typer.echo(f"credential {name} is kept; NAS entries name it in routeros.credential or management.credential")


@credential_app.command("list")
def show(as_json: Json = False) -> None:
    """Credentials, and the boxes that have them."""
    given = runtime()
    with given.database.transaction() as session:
        rows = session.scalars(select(DeviceCredential).order_by(DeviceCredential.name)).all()
        boxes = {row.id: [nas.name for nas in credentials.boxes_of(session, row)] for row in rows}
    if as_json:
        print_json([
            {"name": row.name, "user": row.user, "boxes": boxes[row.id], "rotating": _is_rotating(row)} for row in rows
        ])  # fmt: skip
        return
    print_table(["credential", "user", "boxes", "being rotated"], [
        [row.name, row.user, ", ".join(boxes[row.id]), "yes" if _is_rotating(row) else ""] for row in rows
    ])  # fmt: skip


@credential_app.command()
def remove(name: str) -> None:
    """Forget one that no box has."""
    given = runtime()
    with given.database.transaction() as session:
        credentials.delete_credential(session, credentials.find_by_name(session, name, field="name"), actor())
    typer.echo(f"credential {name} is forgotten")


def rotate(
    name: Annotated[str, typer.Argument(metavar="CREDENTIAL|NAS", help="a credential, or a NAS entry")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Give boxes a new random password that nobody is shown: proven at each box before the old one is dropped."""
    given = runtime()
    found = _named(given, name)
    if not yes and not typer.confirm(_question(given, found)):
        raise typer.Exit(1)
    rows = _await(given, _begin(given, found))
    if as_json:
        print_json([_body(nas, row) for nas, row in rows])
    else:
        print_table(["nas", "state", "because"], [[nas, row.state.value, row.detail or ""] for nas, row in rows])
    if any(row.state is not RotationState.DONE for _, row in rows):
        typer.echo("both passwords stay known, and the others are tried on every five minutes", err=True)
        raise typer.Exit(1)


def _named(given: Runtime, name: str) -> DeviceCredential | Nas:
    """Raises InvalidInput where there is neither, or both."""
    with given.database.transaction() as session:
        credential = session.scalar(select(DeviceCredential).where(DeviceCredential.name == name))
        nas = session.scalar(select(Nas).where(Nas.name == name))
    if credential is not None and nas is not None:
        raise InvalidInput(f"{name} is a credential and a NAS entry: rename the entry")
    found = credential or nas
    if found is None:
        raise InvalidInput(f"there is no credential or NAS entry {name}")
    return found


def _question(given: Runtime, found: DeviceCredential | Nas) -> str:
    if isinstance(found, Nas):
        return f"Change the password at {found.name}?"
    with given.database.transaction() as session:
        return f"Change the password of {found.name} at {len(credentials.boxes_of(session, found))} boxes?"


def _begin(given: Runtime, found: DeviceCredential | Nas) -> list[int]:
    with given.database.transaction() as session:
        args = (new_password(), actor(), given.clock())
        if isinstance(found, Nas):
            nas = network.get_nas(session, found.id)
            return [store.rotate_nas(session, given.keyring, nas, *args).id]
        credential = credentials.get_credential(session, found.id, lock=True)
        return [row.id for row in store.rotate_credential(session, given.keyring, credential, *args)]


def _await(given: Runtime, ids: Sequence[int]) -> list[tuple[str, PasswordRotation]]:
    """Until each is done or was tried once. Raises ConfigurationError where no worker is there to do it."""
    deadline = time.monotonic() + PATIENCE_S
    query = (
        select(Nas.name, PasswordRotation)
        .join(PasswordRotation, PasswordRotation.nas_id == Nas.id)
        .where(PasswordRotation.id.in_(ids))
        .order_by(Nas.name)
    )
    while True:
        with given.database.transaction() as session:
            rows = [(name, row) for name, row in session.execute(query)]
        if all(row.state is RotationState.DONE or row.tries for _, row in rows):
            return rows
        if time.monotonic() > deadline:
            raise ConfigurationError("nobody is at it: is `provedor up` running with its worker?")
        time.sleep(0.1)


def _is_rotating(row: DeviceCredential) -> bool:
    return row.next_password_encrypted is not None


def _body(nas: str, row: PasswordRotation) -> dict[str, Any]:
    return {"id": row.id, "nas": nas, "state": row.state.value, "tries": row.tries, "detail": row.detail}
