"""Certificates that boxes' APIs show, approved by a person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from api.context import Db, Given, Who, parse_id
from api.schemas import Input, Output
from core import network
from core.models.network import Nas
from provisioning import certificates
from provisioning.models import ShownCertificate

certificate_routes = APIRouter(prefix="/nas", tags=["nas"])


class CertificateOut(Output):
    """SHA-256 fingerprints. `approved`: any other is refused; null: an authority is to vouch for it. `shown`: what the
    box was refused for, since when; null where what it shows is right."""

    approved: str | None
    shown: str | None
    since: datetime | None
    seen_at: datetime | None


class ApprovalOfCertificate(Input):
    """The fingerprint that the box shows, which you have compared with what the router itself says."""

    sha256: Annotated[str, StringConstraints(min_length=64, max_length=95, pattern=r"^[0-9A-Fa-f: ]+$")]


@certificate_routes.get("/{nas_id}/certificate")
def get_certificate(nas_id: str, session: Db, _: Who) -> CertificateOut:
    return _view(session, network.get_nas(session, parse_id(nas_id, "NAS")))


@certificate_routes.post("/{nas_id}/certificate/approve")
def approve_certificate(
    nas_id: str, body: ApprovalOfCertificate, session: Db, caller: Who, given: Given
) -> CertificateOut:  # fmt: skip
    """From now on the box is refused with any other."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    certificates.approve(session, given.keyring, nas, body.sha256, caller.actor)
    return _view(session, nas)


def _view(session: Session, nas: Nas) -> CertificateOut:
    row = session.get(ShownCertificate, nas.id)
    approved = None if nas.routeros is None else nas.routeros.get("certificate_sha256")
    if row is None:
        return CertificateOut(approved=approved, shown=None, since=None, seen_at=None)
    return CertificateOut(approved=approved, shown=row.sha256, since=row.since, seen_at=row.seen_at)
