"""Rotations begun, claimed and ended. Whoever changes one holds its row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from core import audit, box_passwords, credentials, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.keyring import DEVICE_CREDENTIAL, Keyring
from core.models.network import DeviceCredential, Nas
from provisioning.credentials.device_passwords import is_known
from provisioning.credentials.models import PasswordRotation, RotationState
from provisioning.jobs.intents import check_manageable
from provisioning.napalm.traits import traits_of

#: Whoever is at a box is done by then, or died.
CLAIM: Final = timedelta(minutes=1)
#: A box that could not be changed is tried again after this.
RETRY: Final = timedelta(minutes=5)
_LIVE: Final = (RotationState.WAITING, RotationState.RUNNING)


def get_rotation(session: Session, rotation_id: int, *, lock: bool = False) -> PasswordRotation:
    """Raises NotFound."""
    found = session.get(PasswordRotation, rotation_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("password rotation", rotation_id)
    return found


def rotate_nas(
    session: Session, keyring: Keyring, nas: Nas, password: str, actor: Actor, now: datetime
) -> PasswordRotation:  # fmt: skip
    """Of a box with a password of its own. Raises Conflict or InvalidInput."""
    check_manageable(nas)
    shared = (nas.routeros or nas.management or {}).get("credential")
    if shared is not None:
        raise Conflict(f"NAS {nas.name} shares the credential {shared}: rotate that", field="nas_id")
    _check_possible(session, nas)
    row = _begin(session, keyring, nas, None, password, actor, now)
    audit.record(session, actor, "rotate", "nas", nas.id, {"password": "(to be changed)"})
    return row


def rotate_credential(
    session: Session, keyring: Keyring, credential: DeviceCredential, password: str, actor: Actor, now: datetime
) -> Sequence[PasswordRotation]:
    """At each of its boxes. Raises Conflict or InvalidInput, and nothing is begun."""
    if credential.next_password_encrypted is not None:
        raise Conflict(f"the password of {credential.name} is being rotated already", field="credential_id")
    boxes = credentials.boxes_of(session, credential)
    if not boxes:
        raise Conflict(f"no NAS entry has the credential {credential.name}", field="credential_id")
    for nas in boxes:
        check_manageable(nas)
        _check_possible(session, nas)
    credential.next_password_encrypted = keyring.seal(password, DEVICE_CREDENTIAL)
    rows = [_begin(session, keyring, nas, credential.id, password, actor, now) for nas in boxes]
    audit.record(session, actor, "rotate", "device_credential", credential.id, {"password": "(to be changed)"})
    return rows


def finish(session: Session, keyring: Keyring, row: PasswordRotation, now: datetime) -> None:
    """The box takes the new password: the old one is forgotten. With the last of its boxes, so is a credential's."""
    nas = session.get_one(Nas, row.nas_id, with_for_update=True, populate_existing=True)
    _edit(session, nas, box_passwords.arrived(nas, keyring))
    _end(session, row, None, now)
    events.record(session, "nas.password_rotated", "nas", row.nas_id, rotation_id=row.id)


def drop(session: Session, row: PasswordRotation, detail: str, now: datetime) -> None:
    """Somebody set another password meanwhile."""
    _end(session, row, detail, now)


def put_off(session: Session, row: PasswordRotation, detail: str, now: datetime) -> None:
    """Both passwords stay known."""
    before = row.detail
    row.state, row.detail, row.tries = RotationState.WAITING, detail, row.tries + 1
    row.due_at, row.claimed_until = now + RETRY, None
    session.flush()
    if before is None:
        events.record(session, "nas.password_rotation_failed", "nas", row.nas_id, rotation_id=row.id, detail=detail)


def owe_due(session: Session, now: datetime) -> int:
    """Those whose time has come, or whose worker died; returns how many. Run by the clock."""
    query = select(PasswordRotation).where(
        PasswordRotation.state.in_(_LIVE),
        PasswordRotation.due_at <= now,
        or_(PasswordRotation.claimed_until.is_(None), PasswordRotation.claimed_until < now),
    )
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    for row in rows:
        _owe(session, row, now)
    return len(rows)


def _begin(
    session: Session, keyring: Keyring, nas: Nas, credential_id: int | None, password: str, actor: Actor, now: datetime
) -> PasswordRotation:
    """From here on both passwords are known."""
    session.refresh(nas, with_for_update=True)
    _edit(session, nas, box_passwords.coming(nas, keyring, password))
    row = PasswordRotation(
        nas_id=nas.id, credential_id=credential_id, state=RotationState.WAITING, created_by=actor.name, due_at=now
    )
    session.add(row)
    session.flush()
    _owe(session, row, now)
    return row


def _owe(session: Session, row: PasswordRotation, now: datetime) -> None:
    row.claimed_until = now + CLAIM
    outbox.enqueue(session, topics.ROTATION_DUE, {"rotation_id": row.id})


def _end(session: Session, row: PasswordRotation, detail: str | None, now: datetime) -> None:
    row.state, row.finished_at, row.claimed_until, row.detail = RotationState.DONE, now, None, detail
    session.flush()
    if row.credential_id is None:
        return
    credential = credentials.get_credential(session, row.credential_id, lock=True)
    left = select(PasswordRotation.id).where(
        PasswordRotation.credential_id == credential.id, PasswordRotation.state.in_(_LIVE)
    )
    if credential.next_password_encrypted is not None and session.scalar(left.limit(1)) is None:
        credential.password_encrypted, credential.next_password_encrypted = credential.next_password_encrypted, None
        session.flush()
        events.record(session, "device_credential.rotated", "device_credential", credential.id)


def _check_possible(session: Session, nas: Nas) -> None:
    """Raises Conflict."""
    _check_driver(nas)
    live = select(PasswordRotation.id).where(PasswordRotation.nas_id == nas.id, PasswordRotation.state.in_(_LIVE))
    other = session.scalar(live.limit(1))
    if other is not None:
        raise Conflict(f"the password of NAS {nas.name} is being changed already (rotation {other})", field="nas_id")


def _check_driver(nas: Nas) -> None:
    if nas.routeros is not None or nas.management is None:
        return
    driver = nas.management["driver"]
    traits = traits_of(driver)
    if traits.cannot_undo is not None or not is_known(traits.platform):
        raise Conflict(
            f"NAS {nas.name}: a password is not changed over driver {driver}: change it at the box, then write the "
            "new one into management_secret or the credential", field="nas_id",
        )  # fmt: skip
    if nas.management["host_key"] is None:
        raise Conflict(f"NAS {nas.name}: its SSH host key was not approved yet", field="nas_id")


def _edit(session: Session, nas: Nas, values: box_passwords.Columns) -> None:
    """It is no edit of the entry by a person: its version stays."""
    kept = {"version": Nas.version, "updated_at": Nas.updated_at}
    session.execute(update(Nas).where(Nas.id == nas.id).values({**kept, **values}))
