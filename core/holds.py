"""Holds: placed and lifted one by one, each with its reason; the service's policy follows in the same commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, events, policies, topics
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.service import Hold, Service, ServiceStatus


def place_hold(
    session: Session,
    service_id: int,
    *,
    reason: HoldReason,
    effect: HoldEffect,
    actor: Actor,
    now: datetime,
    until: datetime | None = None,
    note: str | None = None,
) -> Hold:
    """Restrict a service. Raises NotFound, Conflict (cancelled service) or InvalidInput (`until`)."""
    service = session.get(Service, service_id)
    if service is None:
        raise NotFound("service", service_id)
    if service.status is ServiceStatus.CANCELLED:
        raise Conflict(f"service {service_id} is cancelled and cannot be held")
    if until is not None and until <= now:
        raise InvalidInput("until lies in the past", field="until")
    hold = Hold(
        service_id=service_id,
        reason=reason,
        effect=effect,
        placed_by=actor.name,
        until=until,
        note=note,
        placed_at=now,
    )
    session.add(hold)
    session.flush()
    events.record(session, "hold.placed", "service", service_id, hold_id=hold.id, reason=reason, effect=effect)
    audit.record(
        session,
        actor,
        "place",
        "hold",
        hold.id,
        {"service_id": service_id, "reason": reason, "effect": effect},
    )
    for_debt = reason is HoldReason.BILLING
    policies.refresh(session, [service_id], topics.SERVICE_RESTRICTED if for_debt else topics.SERVICE_OUT_OF_STEP)
    return hold


def lift_hold(session: Session, hold_id: int, *, actor: Actor, now: datetime) -> Hold:
    """Lift one hold; a hold already lifted stays as it is. Raises NotFound."""
    hold = session.scalar(select(Hold).where(Hold.id == hold_id).with_for_update())
    if hold is None:
        raise NotFound("hold", hold_id)
    if hold.lifted_at is None:
        _mark_lifted(session, hold, actor, now)
        policies.refresh(session, [hold.service_id])
    return hold


def lift_all(session: Session, service_id: int, *, actor: Actor, now: datetime) -> None:
    """Of a service that ends: a restriction of nothing would stay on every list."""
    live = select(Hold).where(Hold.service_id == service_id, Hold.lifted_at.is_(None)).with_for_update()
    for hold in session.scalars(live).all():
        _mark_lifted(session, hold, actor, now)
    policies.refresh(session, [service_id])


def live_holds(session: Session, service_id: int) -> list[Hold]:
    return live_holds_of(session, [service_id])[service_id]


def live_holds_of(session: Session, service_ids: Collection[int]) -> Mapping[int, list[Hold]]:
    """By service; an empty list for one without."""
    found: dict[int, list[Hold]] = defaultdict(list)
    live = select(Hold).where(Hold.service_id.in_(service_ids), policies.live_hold())
    for hold in session.scalars(live.order_by(Hold.id)):
        found[hold.service_id].append(hold)
    return found


def expire_holds(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Lift holds whose `until` has passed; returns how many. Run by the clock every few seconds."""
    expired = session.scalars(
        select(Hold)
        .where(Hold.lifted_at.is_(None), Hold.until <= func.least(func.now(), now))
        .order_by(Hold.until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for hold in expired:
        _mark_lifted(session, hold, Actor("system:expiry"), now)
    policies.refresh(session, {hold.service_id for hold in expired})
    return len(expired)


def _mark_lifted(session: Session, hold: Hold, actor: Actor, now: datetime) -> None:
    hold.lifted_at, hold.lifted_by = now, actor.name
    events.record(session, "hold.lifted", "service", hold.service_id, hold_id=hold.id, reason=hold.reason)
    audit.record(session, actor, "lift", "hold", hold.id, {"service_id": hold.service_id, "reason": hold.reason})
