"""Live sessions as others see and change them. What accounting says of them is joined by aaa's shipper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import aliased

from core import events
from core.errors import NotFound
from core.models.network import Nas, OctetsDirection, Session, SessionKind, StopKind
from core.models.service import Service


def get_session(session: DatabaseSession, session_id: int) -> Session:
    """Raises NotFound."""
    found = session.get(Session, session_id)
    if found is None:
        raise NotFound("session", session_id)
    return found


def active_of_service(session: DatabaseSession, service_id: int) -> Sequence[Session]:
    """Its lines; views and services of a line end with it."""
    live = (Session.service_id == service_id, Session.stopped_at.is_(None), Session.kind == SessionKind.LINE)
    return session.scalars(select(Session).where(*live).order_by(Session.id)).all()


def services_online(session: DatabaseSession, service_ids: Collection[int]) -> set[int]:
    """Those of them that have a live session."""
    live = select(Session.service_id).where(Session.service_id.in_(service_ids), Session.stopped_at.is_(None))
    return {service_id for service_id in session.scalars(live.distinct()) if service_id is not None}


def intended_fingerprints(session: DatabaseSession, service_ids: Collection[int]) -> dict[int, str]:
    """By service: the policy that its sessions are to have."""
    found = select(Service.id, Service.policy_fingerprint).where(Service.id.in_(service_ids))
    return {row.id: row.policy_fingerprint for row in session.execute(found)}


def octets_directions(session: DatabaseSession, nas_ids: Collection[int]) -> dict[int, OctetsDirection]:
    """By NAS: whose view its octet counters are."""
    found = select(Nas.id, Nas.octets_direction).where(Nas.id.in_(nas_ids))
    return {row.id: row.octets_direction for row in session.execute(found)}


def latest_of_service(session: DatabaseSession, service_id: int) -> Session | None:
    """The one that was heard of last for the first time."""
    lines = (Session.service_id == service_id, Session.kind == SessionKind.LINE)
    return session.scalar(select(Session).where(*lines).order_by(Session.id.desc()).limit(1))


def mark_applied(session: DatabaseSession, session_id: int, fingerprint: str) -> None:
    """A CoA-ACK left this policy on the session; from now on it is the truth, not Class."""
    session.execute(update(Session).where(Session.id == session_id).values(applied_fingerprint=fingerprint))


def close_not_found(session: DatabaseSession, session_id: int, *, now: datetime) -> None:
    """The NAS says that it has no such session (Error-Cause 503). A later Interim would reopen it.

    Where the service has a newer one, that one took its place.
    """
    newer = aliased(Session)
    superseded = session.scalar(
        select(newer.id)
        .join(Session, and_(Session.service_id == newer.service_id, Session.started_at < newer.started_at))
        .where(Session.id == session_id, newer.kind == SessionKind.LINE, newer.stopped_at.is_(None))
        .limit(1)
    )
    close(session, session_id, StopKind.NOT_FOUND if superseded is None else StopKind.SUPERSEDED, now)


def close(session: DatabaseSession, session_id: int, kind: StopKind, at: datetime) -> None:
    """It ended then, as far as we know, without its NAS's own word. What is heard of a later time reopens it."""
    closed = session.execute(
        update(Session)
        .where(Session.id == session_id, Session.stopped_at.is_(None))
        .values(stopped_at=at, stop_kind=kind)
        .returning(Session.id)
    ).first()
    if closed:
        events.record(session, "session.closed", "session", session_id, how=kind)


def mark_verified(session: DatabaseSession, session_id: int, now: datetime) -> None:
    """Its NAS says that it lives."""
    session.execute(update(Session).where(Session.id == session_id).values(verified_at=now))


def nas_of(session: DatabaseSession, found: Session) -> Nas | None:
    return session.get(Nas, found.nas_id)
