"""Prepaid services: a balance of octets or seconds that usage takes off, and a hold where nothing is left.

`check` is run by the clock, `count` when a session ended; `add_credit` is what a recharge does, and lifts the hold in
the same commit. What is left travels to the RADIUS nodes while the service is offline, so that its next login is given
no more than that (adapters of vendors that have such an attribute; see docs/radius.md).
"""

from __future__ import annotations

from datetime import date, datetime, tzinfo

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session

from core import audit, changes, events, holds, policies, sessions, usage
from core.access import HoldReason
from core.audit import Actor
from core.errors import Conflict, InvalidInput
from core.models.service import Hold, Plan, Service, ServiceStatus
from core.models.system import ChangeKind
from core.models.usage import Prepaid, PrepaidBalance

ACTOR = Actor("system:prepaid")


def add_credit(
    session: Session, service: Service, *, octets: int = 0, seconds: int = 0, actor: Actor, now: datetime, zone: tzinfo
) -> PrepaidBalance:
    """More of what the service's plan counts down. Raises InvalidInput or Conflict."""
    plan = session.get_one(Plan, service.plan_id)
    if plan.prepaid is None:
        raise Conflict("the service's plan is not prepaid")
    field = "octets" if plan.prepaid is Prepaid.VOLUME else "seconds"
    if {"octets": octets, "seconds": seconds}[field] <= 0 or (octets and seconds):
        raise InvalidInput(f"a credit on this plan is a number of {field}", field=field)
    balance = _counted(session, service.id, plan, now, now.astimezone(zone).date())
    balance.octets, balance.seconds = balance.octets + octets, balance.seconds + seconds
    session.flush()
    audit.record(session, actor, "credit", "service", service.id, {"octets": octets, "seconds": seconds})
    events.record(session, "prepaid.credited", "service", service.id, octets=octets, seconds=seconds)
    _tell(session, balance)
    _settle(session, service, plan, balance, now)
    return balance


def check(session: Session, now: datetime, zone: tzinfo) -> None:
    """Take off what was used, hold who has nothing left, and tell nodes what is left to those who are offline."""
    _count_each(session, now, zone)
    _lift_strangers(session, now)


def count(session: Session, service_id: int, now: datetime, zone: tzinfo) -> None:
    """The same for one service, if it is prepaid."""
    _count_each(session, now, zone, Service.id == service_id)


def _count_each(session: Session, now: datetime, zone: tzinfo, *which: ColumnElement[bool]) -> None:
    today = now.astimezone(zone).date()
    rows = session.execute(
        select(Service, Plan)
        .join(Plan, Plan.id == Service.plan_id)
        .where(Plan.prepaid.is_not(None), Service.status == ServiceStatus.ACTIVE, *which)
        .order_by(Service.id)
    ).all()
    online = sessions.services_online(session, [service.id for service, _ in rows])
    for service, plan in rows:
        balance = _counted(session, service.id, plan, now, today)
        if service.id not in online:  # who is online has its limit already
            _tell(session, balance)
        _settle(session, service, plan, balance, now)


def left(plan: Plan, balance: PrepaidBalance) -> int:
    """Octets or seconds, whichever its plan counts; not below zero."""
    return max(0, balance.octets if plan.prepaid is Prepaid.VOLUME else balance.seconds)


def _counted(session: Session, service_id: int, plan: Plan, now: datetime, today: date) -> PrepaidBalance:
    """The balance with all usage taken off that there is."""
    balance = session.get(PrepaidBalance, service_id, with_for_update=True)
    if balance is None:
        used = usage.since(session, service_id, today)  # from before it was prepaid
        balance = PrepaidBalance(
            service_id=service_id, octets=0, seconds=0, counted_day=today, counted_octets=used.octets,
            counted_seconds=used.seconds, updated_at=now,
        )  # fmt: skip
        session.add(balance)
        session.flush()
        return balance
    used = usage.since(session, service_id, balance.counted_day)
    if plan.prepaid is Prepaid.VOLUME:
        balance.octets -= used.octets - balance.counted_octets
    else:
        balance.seconds -= used.seconds - balance.counted_seconds
    of_today = usage.since(session, service_id, today)
    balance.counted_day, balance.counted_octets, balance.counted_seconds = today, of_today.octets, of_today.seconds
    balance.updated_at = now
    session.flush()
    return balance


def _tell(session: Session, balance: PrepaidBalance) -> None:
    """RADIUS nodes, if they know another."""
    if (balance.told_octets, balance.told_seconds) == (balance.octets, balance.seconds):
        return
    balance.told_octets, balance.told_seconds = balance.octets, balance.seconds
    changes.note(session, ChangeKind.BALANCE, balance.service_id)


def _settle(session: Session, service: Service, plan: Plan, balance: PrepaidBalance, now: datetime) -> None:
    hold_id = _hold_of(session, service.id)
    if left(plan, balance) == 0 and hold_id is None:
        holds.place_hold(session, service.id, reason=HoldReason.QUOTA, effect=plan.quota_effect, actor=ACTOR, now=now)
        events.record(session, "prepaid.used_up", "service", service.id)
    elif left(plan, balance) > 0 and hold_id is not None:
        holds.lift_hold(session, hold_id, actor=ACTOR, now=now)


def _hold_of(session: Session, service_id: int) -> int | None:
    return session.scalar(select(Hold.id).where(Hold.service_id == service_id, _ours()))


def _lift_strangers(session: Session, now: datetime) -> None:
    """Services that are on no prepaid plan any more."""
    prepaid = (
        select(Service.id)
        .join(Plan, Plan.id == Service.plan_id)
        .where(Service.id == Hold.service_id, Plan.prepaid.is_not(None))
    )
    for hold_id in session.scalars(select(Hold.id).where(_ours(), ~exists(prepaid.correlate(Hold)))).all():
        holds.lift_hold(session, hold_id, actor=ACTOR, now=now)


def _ours() -> ColumnElement[bool]:
    """Our live holds, as a condition."""
    return and_(Hold.placed_by == ACTOR.name, policies.live_hold())
