"""Credentials that several boxes share: a user, and a password under seal.

What each box takes is in its NAS entry, so that a password can be changed at one box after the other. A box that gets
a shared credential is taken to have the present password already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core import audit, box_passwords, events
from core.audit import Actor
from core.edits import flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import DEVICE_CREDENTIAL, Keyring
from core.models.network import DeviceCredential, Nas

_UNIQUE = {"uq_device_credential_name": "name"}


def get_credential(session: Session, credential_id: int, *, lock: bool = False) -> DeviceCredential:
    """Raises NotFound."""
    found = session.get(DeviceCredential, credential_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("credential", credential_id)
    return found


def find_by_name(session: Session, name: str, *, field: str) -> DeviceCredential:
    """`field`: where it was named. Raises InvalidInput."""
    found = session.scalar(select(DeviceCredential).where(DeviceCredential.name == name))
    if found is None:
        raise InvalidInput(f"there is no credential {name}", field=field)
    return found


def boxes_of(session: Session, credential: DeviceCredential) -> Sequence[Nas]:
    """NAS entries that have it."""
    named = [column["credential"].astext == credential.name for column in (Nas.routeros, Nas.management)]
    return session.scalars(select(Nas).where(or_(*named)).order_by(Nas.id)).all()


def create_credential(session: Session, keyring: Keyring, values: Mapping[str, Any], actor: Actor) -> DeviceCredential:
    sealed = keyring.seal(values["password"], DEVICE_CREDENTIAL)
    row = DeviceCredential(name=values["name"], user=values["user"], password_encrypted=sealed)
    session.add(row)
    flush_unique(session, _UNIQUE)
    audit.record(session, actor, "create", "device_credential", row.id, {"name": row.name, "user": row.user,
                                                                         "password": "(changed)"})  # fmt: skip
    events.record(session, "device_credential.created", "device_credential", row.id)
    return row


def set_password(
    session: Session, keyring: Keyring, row: DeviceCredential, password: str, actor: Actor
) -> DeviceCredential:  # fmt: skip
    """Somebody changed it at all of its boxes by hand. Raises Conflict while it is being rotated."""
    _check_still(row, "password")
    row.password_encrypted = keyring.seal(password, DEVICE_CREDENTIAL)
    for nas in boxes_of(session, row):
        for column, value in box_passwords.alone(nas, keyring, password).items():
            setattr(nas, column, value)
    session.flush()
    audit.record(session, actor, "update", "device_credential", row.id, {"password": "(changed)"})
    events.record(session, "device_credential.changed", "device_credential", row.id)
    return row


def delete_credential(session: Session, row: DeviceCredential, actor: Actor) -> None:
    """Raises Conflict while boxes have it."""
    used = [nas.name for nas in boxes_of(session, row)]
    if used:
        raise Conflict(f"NAS entries have it: {', '.join(used[:10])}", field="id")
    session.delete(row)
    session.flush()
    audit.record(session, actor, "delete", "device_credential", row.id, {"name": row.name})
    events.record(session, "device_credential.deleted", "device_credential", row.id)


def password_of(keyring: Keyring, row: DeviceCredential, *, field: str) -> str:
    """For a box that gets it, where it was named. Raises SealBroken, or Conflict while it is being rotated."""
    _check_still(row, field)
    return keyring.open_text(row.password_encrypted, DEVICE_CREDENTIAL)


def _check_still(row: DeviceCredential, field: str) -> None:
    if row.next_password_encrypted is not None:
        raise Conflict(f"the password of {row.name} is being rotated: wait for its boxes", field=field)
