"""Boxes: is each one's configuration kept and does it restore, is its certificate right, does its rotation end?"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.models.network import Nas
from provedor.doctor.check import NotAsked, Wrong
from provedor.node import resolve_runtime
from provedor.settings import Settings
from provisioning.backups.models import BackupState, DeviceBackup, RestoreDrill
from provisioning.credentials.models import PasswordRotation, RotationState
from provisioning.models import ShownCertificate


def check_boxes(settings: Settings) -> str:
    with resolve_runtime(settings).database.transaction() as session:
        wrong = list(_wrong(session))
        boxes = session.scalar(select(func.count()).select_from(BackupState)) or 0
        versions = session.scalar(select(func.count()).select_from(DeviceBackup)) or 0
    if wrong:
        raise Wrong("; ".join(wrong))
    if not boxes:
        raise NotAsked("no box was read yet")
    return f"{versions} versions of {boxes} boxes are kept"


def _wrong(session: Session) -> Iterator[str]:
    kept = select(Nas.name, BackupState.error).join(BackupState, BackupState.nas_id == Nas.id)
    for name, error in session.execute(kept.where(BackupState.error.is_not(None)).order_by(Nas.name)):
        yield f"{name}: its configuration cannot be kept: {error}"
    last = select(func.max(RestoreDrill.id)).where(RestoreDrill.ok.is_not(None)).group_by(RestoreDrill.nas_id)
    drills = select(Nas.name, RestoreDrill.backup_id).join(RestoreDrill, RestoreDrill.nas_id == Nas.id)
    failed = drills.where(RestoreDrill.id.in_(last), RestoreDrill.ok.is_(False)).order_by(Nas.name)
    for name, backup_id in session.execute(failed):
        yield f"{name}: backup {backup_id} did not restore: `provedor provision backup restore-drill {name}`"
    shown = select(Nas.name, ShownCertificate).join(ShownCertificate, ShownCertificate.nas_id == Nas.id)
    for name, certificate in session.execute(shown.order_by(Nas.name)):
        what = "is to be approved" if certificate.expected is None else "is another than the approved one"
        yield f"{name}: its certificate {certificate.sha256} {what}: `provedor nas certificate {name}`"
    rotations = select(Nas.name, PasswordRotation.detail).join(PasswordRotation, PasswordRotation.nas_id == Nas.id)
    waiting = rotations.where(PasswordRotation.state != RotationState.DONE, PasswordRotation.tries > 0)
    for name, detail in session.execute(waiting.order_by(Nas.name)):
        yield f"{name}: its password could not be changed yet: {detail}"
