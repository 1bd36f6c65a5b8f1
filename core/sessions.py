"""Live sessions as others see and change them. What accounting says of them is joined by aaa's shipper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session as DatabaseSession

from core import events
from core.errors import NotFound
from core.models.network import Nas, OctetsDirection, Session, StopKind
from core.models.service import Plan, Service

#: A session is stale after this many of its own reporting intervals without a word, and never sooner than the floor.
STALE_INTERVALS = 3
STALE_FLOOR_S = 600
#: For a session that never sent an Interim-Update: nothing is known of its NAS's habits.
STALE_WITHOUT_INTERIMS_S = 26 * 3600


def get_session(session: DatabaseSession, session_id: int) -> Session:
    """Raises NotFound."""
    found = session.get(Session, session_id)
    if found is None:
        raise NotFound("session", session_id)
    return found


def active_of_service(session: DatabaseSession, service_id: int) -> Sequence[Session]:
    return session.scalars(
        select(Session).where(Session.service_id == service_id, Session.stopped_at.is_(None)).order_by(Session.id)
    ).all()


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
    return session.scalar(select(Session).where(Session.service_id == service_id).order_by(Session.id.desc()).limit(1))


def mark_applied(session: DatabaseSession, session_id: int, fingerprint: str) -> None:
    """A CoA-ACK left this policy on the session; from now on it is the truth, not Class."""
    session.execute(update(Session).where(Session.id == session_id).values(applied_fingerprint=fingerprint))


def close_not_found(session: DatabaseSession, session_id: int, *, now: datetime) -> None:
    """The NAS says that it has no such session (Error-Cause 503). A later Interim would reopen it."""
    _close(session, session_id, StopKind.NOT_FOUND, now)


def close_stale(session: DatabaseSession, *, now: datetime, limit: int = 1000) -> int:
    """Close sessions that have been silent for longer than their NAS ever is; returns how many."""
    own_interval_s = Session.session_seconds / Session.interims
    interval_s = func.greatest(own_interval_s, func.coalesce(Plan.interim_seconds, 0))
    patience_s = case(
        (Session.interims > 0, func.greatest(STALE_INTERVALS * interval_s, STALE_FLOOR_S)),
        else_=STALE_WITHOUT_INTERIMS_S,
    )
    stale = session.scalars(
        select(Session.id)
        .outerjoin(Service, Service.id == Session.service_id)
        .outerjoin(Plan, Plan.id == Service.plan_id)
        .where(
            Session.stopped_at.is_(None), Session.updated_at < now - func.make_interval(0, 0, 0, 0, 0, 0, patience_s)
        )
        .limit(limit)
    ).all()
    for session_id in stale:
        _close(session, session_id, StopKind.STALE, now)
    return len(stale)


def _close(session: DatabaseSession, session_id: int, kind: StopKind, now: datetime) -> None:
    closed = session.execute(
        update(Session)
        .where(Session.id == session_id, Session.stopped_at.is_(None))
        .values(stopped_at=now, stop_kind=kind)
        .returning(Session.id)
    ).first()
    if closed:
        events.record(session, "session.closed", "session", session_id, how=kind)


def nas_of(session: DatabaseSession, found: Session) -> Nas | None:
    return session.get(Nas, found.nas_id)
