"""Certificates of boxes, approved by a person when they are first shown; another one afterwards is an alarm.

A box whose certificate is neither approved nor vouched for by an authority is told nothing, no password either. What
it shows is kept until a person approves it, or until the box shows the right one again.

    nas.certificate_to_approve   none is approved yet: the fingerprint that the box shows
    nas.certificate_changed      it is another than the approved one: both fingerprints. Once, not at every look
    nas.certificate_right        what is shown is approved, or vouched for
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core import events, network
from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import Conflict
from core.keyring import Keyring
from core.models.network import Nas
from provisioning.models import ShownCertificate
from provisioning.routeros.errors import CertificateRefused


@contextmanager
def watched(database: Database, nas_id: int, clock: Clock) -> Iterator[None]:
    """Around talk with a box: what certificate it shows is noted, and whether it is right again. Outside a
    transaction."""
    try:
        yield
    except CertificateRefused as refused:
        with database.transaction() as session:
            note_refused(session, refused, clock())
        raise
    with database.transaction() as session:
        note_right(session, nas_id)


def note_refused(session: Session, refused: CertificateRefused, now: datetime) -> None:
    if refused.shown is None:
        return
    row = session.get(ShownCertificate, refused.nas_id, with_for_update=True, populate_existing=True)
    if row is not None and (row.sha256, row.expected) == (refused.shown, refused.expected):
        row.seen_at = now
        return
    if row is None:
        row = ShownCertificate(nas_id=refused.nas_id)
        session.add(row)
    row.sha256, row.expected, row.since, row.seen_at = refused.shown, refused.expected, now, now
    session.flush()
    if refused.expected is None:
        events.record(session, "nas.certificate_to_approve", "nas", refused.nas_id, shown=refused.shown)
    else:
        events.record(session, "nas.certificate_changed", "nas", refused.nas_id, approved=refused.expected,
                      shown=refused.shown)  # fmt: skip


def note_right(session: Session, nas_id: int) -> None:
    gone = delete(ShownCertificate).where(ShownCertificate.nas_id == nas_id).returning(ShownCertificate.sha256)
    if session.scalar(gone) is not None:
        events.record(session, "nas.certificate_right", "nas", nas_id)


def approve(session: Session, keyring: Keyring, nas: Nas, sha256: str, actor: Actor) -> None:
    """You have compared it with what the router itself says. Raises Conflict where it shows another one."""
    row = session.scalar(select(ShownCertificate).where(ShownCertificate.nas_id == nas.id).with_for_update())
    wanted = sha256.replace(":", "").replace(" ", "").lower()
    if row is None or nas.routeros is None or row.sha256 != wanted:
        shown = "no certificate that waits for it" if row is None else row.sha256
        raise Conflict(f"NAS {nas.name} shows {shown}", field="sha256")
    network.update_nas(session, keyring, nas, {"routeros": {**nas.routeros, "certificate_sha256": wanted}}, actor)
    session.delete(row)
    session.flush()
    events.record(session, "nas.certificate_approved", "nas", nas.id, approved=wanted, by=actor.name)
