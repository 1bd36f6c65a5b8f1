"""Credentials that several boxes share, and passwords changed at the boxes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import StringConstraints
from sqlalchemy import select

from api.context import Db, Given, IfMatch, Paged, RefFilter, Who, check_version, list_page, parse_id, reference, tagged
from api.idempotency import OnceOnly
from api.schemas import Input, Output, PageOf, Plain, Ref, Secret
from core import credentials, network
from core.errors import InvalidInput
from core.models.network import DeviceCredential
from provisioning.credentials import store
from provisioning.credentials.keeper import new_password
from provisioning.credentials.models import PasswordRotation, RotationState

credential_routes = APIRouter(prefix="/device-credentials", tags=["device-credentials"])
rotation_routes = APIRouter(prefix="/provisioning/rotations", tags=["provisioning"])

_Short = Annotated[str, StringConstraints(min_length=1, max_length=64), Plain]


class CredentialIn(Input):
    """NAS entries name it in `routeros.credential` or `management.credential`."""

    name: _Short
    user: _Short
    password: Secret


class CredentialPatch(Input):
    """After somebody changed it at all of its boxes by hand; a rotation does that for you."""

    password: Secret


class CredentialOut(Output):
    """Its password only goes in. `rotating`: boxes are being brought to another one."""

    id: str
    name: str
    user: str
    rotating: bool
    version: int


class RotationIn(Input):
    """Of a box with a password of its own, or of a credential at all of its boxes. The new one is made here."""

    nas_id: Ref | None = None
    credential_id: Ref | None = None


class RotationOut(Output):
    """`waiting`: the box takes the old password, or the new one already; both are known, and it is tried on. `detail`:
    why the last try failed."""

    id: str
    nas_id: str
    credential_id: str | None
    state: RotationState
    tries: int
    detail: str | None
    due_at: datetime
    created_at: datetime
    created_by: str
    finished_at: datetime | None


class RotationsOut(Output):
    items: list[RotationOut]


@credential_routes.get("")
def list_credentials(session: Db, _: Who, paged: Paged) -> PageOf[CredentialOut]:
    rows, cursor = list_page(session, select(DeviceCredential), DeviceCredential.id, paged)
    return PageOf(items=[_view(row) for row in rows], next_cursor=cursor)


@credential_routes.post("", status_code=201, response_model=CredentialOut)
def create_credential(body: CredentialIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    row = credentials.create_credential(session, given.keyring, body.model_dump(), caller.actor)
    return once.created(_view(row))


@credential_routes.get("/{credential_id}")
def get_credential(credential_id: str, session: Db, _: Who, response: Response) -> CredentialOut:
    return tagged(response, _view(credentials.get_credential(session, parse_id(credential_id, "credential"))))


@credential_routes.patch("/{credential_id}")
def update_credential(
    credential_id: str, body: CredentialPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> CredentialOut:  # fmt: skip
    row = credentials.get_credential(session, parse_id(credential_id, "credential"), lock=True)
    check_version(row.version, if_match)
    return tagged(
        response, _view(credentials.set_password(session, given.keyring, row, body.password, caller.actor))
    )  # fmt: skip


@credential_routes.delete("/{credential_id}", status_code=204)
def delete_credential(credential_id: str, session: Db, caller: Who) -> None:
    row = credentials.get_credential(session, parse_id(credential_id, "credential"), lock=True)
    credentials.delete_credential(session, row, caller.actor)


@rotation_routes.get("")
def list_rotations(
    session: Db, _: Who, paged: Paged, nas_id: RefFilter = None, credential_id: RefFilter = None,
    state: RotationState | None = None,
) -> PageOf[RotationOut]:  # fmt: skip
    query = select(PasswordRotation)
    if nas_id is not None:
        query = query.where(PasswordRotation.nas_id == reference(nas_id, "nas_id"))
    if credential_id is not None:
        query = query.where(PasswordRotation.credential_id == reference(credential_id, "credential_id"))
    if state is not None:
        query = query.where(PasswordRotation.state == state)
    rows, cursor = list_page(session, query, PasswordRotation.id, paged)
    return PageOf(items=[_rotation_view(row) for row in rows], next_cursor=cursor)


@rotation_routes.post("", status_code=202, response_model=RotationsOut)
def rotate(body: RotationIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Each box gets a new random password within seconds, or when it can be reached; nobody is shown it."""
    if (body.nas_id is None) == (body.credential_id is None):
        raise InvalidInput("either a box or a credential", field="nas_id")
    password, now = new_password(), given.clock()
    if body.nas_id is not None:
        nas = network.get_nas(session, reference(body.nas_id, "nas_id") or 0)
        rows = [store.rotate_nas(session, given.keyring, nas, password, caller.actor, now)]
    else:
        row = credentials.get_credential(session, reference(body.credential_id, "credential_id") or 0, lock=True)
        rows = list(store.rotate_credential(session, given.keyring, row, password, caller.actor, now))
    return once.created(RotationsOut(items=[_rotation_view(one) for one in rows]), status=202)


@rotation_routes.get("/{rotation_id}")
def get_rotation(rotation_id: str, session: Db, _: Who) -> RotationOut:
    return _rotation_view(store.get_rotation(session, parse_id(rotation_id, "password rotation")))


def _view(row: DeviceCredential) -> CredentialOut:
    return CredentialOut(
        id=str(row.id), name=row.name, user=row.user, rotating=row.next_password_encrypted is not None,
        version=row.version,
    )  # fmt: skip


def _rotation_view(row: PasswordRotation) -> RotationOut:
    return RotationOut(
        id=str(row.id), nas_id=str(row.nas_id),
        credential_id=None if row.credential_id is None else str(row.credential_id), state=row.state, tries=row.tries,
        detail=row.detail, due_at=row.due_at, created_at=row.created_at, created_by=row.created_by,
        finished_at=row.finished_at,
    )  # fmt: skip
