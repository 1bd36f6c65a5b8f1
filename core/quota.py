"""Volume quotas: used up in a billing cycle, a service is held, as its plan says, until the next cycle begins.

`check` is run by the clock. It places holds, lifts those whose reason is gone (the plan's quota was raised, the service
moved to another plan), and tells once in a cycle when most of a quota, and when all of it, is used. The holds end by
themselves with the cycle. How soon a quota acts depends on how often the NAS reports (Acct-Interim-Interval).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from sqlalchemy import BigInteger, Date, and_, column, func, select, values
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import events, holds, policies
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.cycles import Cycle, begins_at, cycle_of
from core.models.party import Contract
from core.models.service import Hold, Plan, Service, ServiceStatus
from core.models.usage import QuotaNotice, ServiceUsage

ACTOR = Actor("system:quota")
#: Percent of a quota at which somebody is told.
LEVELS = (80, 100)
#: Holds placed in one run: each is a change of policy, and the next run is soon.
BATCH = 500


class Standing(NamedTuple):
    """How a service stands to its plan's quota in this cycle."""

    service_id: int
    quota_octets: int
    effect: HoldEffect
    used_octets: int
    cycle: Cycle


def check(session: Session, now: datetime, zone: tzinfo) -> None:
    held = _held(session)
    standings = {one.service_id: one for one in _standings(session, now.astimezone(zone).date())}
    for service_id, hold_id in held.items():
        one = standings.get(service_id)
        if one is None or one.used_octets < one.quota_octets:
            holds.lift_hold(session, hold_id, actor=ACTOR, now=now)
    used_up = [one for one in standings.values() if one.used_octets >= one.quota_octets and one.service_id not in held]
    for one in used_up[:BATCH]:
        holds.place_hold(
            session, one.service_id, reason=HoldReason.QUOTA, effect=one.effect, actor=ACTOR, now=now,
            until=begins_at(one.cycle.end, zone),
        )  # fmt: skip
    for one in standings.values():
        _tell(session, one)


def _standings(session: Session, today: date) -> list[Standing]:
    """Of every active service whose plan has a quota, and that used most of it."""
    cycles = {due_day: cycle_of(due_day, today) for due_day in range(1, 32)}
    starts = values(column("due_day", BigInteger), column("start", Date), name="cycle").data(
        [(due_day, cycle.start) for due_day, cycle in cycles.items()]
    )
    used = func.sum(ServiceUsage.down_octets + ServiceUsage.up_octets)
    rows = session.execute(
        select(Service.id, Plan.quota_bytes, Plan.quota_effect, used, Contract.due_day)
        .join(Plan, Plan.id == Service.plan_id)
        .join(Contract, Contract.id == Service.contract_id)
        .join(starts, starts.c.due_day == Contract.due_day)
        .join(ServiceUsage, and_(ServiceUsage.service_id == Service.id, ServiceUsage.day >= starts.c.start))
        .where(Plan.quota_bytes.is_not(None), Service.status == ServiceStatus.ACTIVE)
        .group_by(Service.id, Plan.id, Contract.due_day)
        .having(used * 100 >= Plan.quota_bytes * LEVELS[0])
        .order_by(Service.id)
    )
    return [Standing(row[0], row[1] or 0, row[2], int(row[3]), cycles[row[4]]) for row in rows]


def _held(session: Session) -> dict[int, int]:
    """By service: the hold that we placed."""
    found = select(Hold.service_id, Hold.id).where(
        Hold.reason == HoldReason.QUOTA, Hold.placed_by == ACTOR.name, policies.live_hold()
    )
    return {row.service_id: row.id for row in session.execute(found)}


def _tell(session: Session, one: Standing) -> None:
    for level in LEVELS:
        if one.used_octets * 100 >= one.quota_octets * level and _note(session, one, level):
            events.record(
                session, "quota.used", "service", one.service_id, percent=level, used_octets=one.used_octets,
                quota_octets=one.quota_octets, resets_on=one.cycle.end.isoformat(),
            )  # fmt: skip


def _note(session: Session, one: Standing, level: int) -> bool:
    """Whether this is the first time in the cycle."""
    noted: Sequence[object] = session.execute(
        insert(QuotaNotice)
        .values(service_id=one.service_id, cycle_start=one.cycle.start, level=level)
        .on_conflict_do_nothing()
        .returning(QuotaNotice.level)
    ).all()
    return bool(noted)
