"""Pauses that customers ask for: no service and no price from one day to another, and back by itself.

RSCM (Resolução Anatel 614/2013) art. 67, as providers' contracts and consumer bodies tell it, not verified against its
text: a subscriber who is not in arrears may have his service suspended free of charge, once in 12 months, for 30 to 120
days, and is given it back free of charge when they are over, or within 24 hours when he asks for it sooner.

A pause blocks the service by a hold of its own from the first midnight to the last, in the provider's calendar; the
hold's end is what brings the service back. Whatever else holds the service stays. A pause is over when its hold is
lifted, by whomever. Who ends it sooner is charged from the next day on, and has none the less had his pause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, tzinfo
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks.invoicing.facts import check_pause, days_of
from billing_hooks.invoicing.period import Span
from billing_hooks.models import Pause
from billing_hooks.suspension import ACTOR, lock_contract
from core import audit, events, holds, services
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.cycles import begins_at
from core.errors import Conflict, InvalidInput, NotFound, ProvedorError
from core.models.billing import Invoice, InvoiceStatus
from core.models.service import Hold, ServiceStatus

#: Begun in one transaction by the clock.
DUE_MAX: Final = 100


def ask(
    session: Session, service_id: int, days: Span, actor: Actor, now: datetime, zone: tzinfo, note: str | None = None
) -> Pause:
    """It begins at once where its first day is today. Raises NotFound, InvalidInput naming the field, or Conflict."""
    service, today = services.get_service(session, service_id), now.astimezone(zone).date()
    lock_contract(session, service.contract_id)
    session.refresh(service)
    if service.status is ServiceStatus.CANCELLED:
        raise Conflict(f"service {service_id} is cancelled")
    if days.start < today:
        raise InvalidInput(f"a pause begins today, {today}, or later", field="start")
    earlier = select(Pause.start, Pause.end).where(Pause.service_id == service_id, Pause.withdrawn_at.is_(None))
    check_pause(days, [Span(start, end) for start, end in session.execute(earlier)])
    assert days.end is not None  # noqa: S101  (it was just checked)
    _refuse_debtor(session, service.contract_id, now, zone)
    pause = Pause(
        contract_id=service.contract_id, service_id=service_id, start=days.start, end=days.end, asked_by=actor.name,
        note=note,
    )  # fmt: skip
    session.add(pause)
    session.flush()
    span = {"start": days.start.isoformat(), "end": days.end.isoformat()}
    audit.record(session, actor, "ask", "pause", pause.id, {"service_id": service_id, **span})
    _tell(session, pause, "asked", **span)
    if days.start == today:
        _begin(session, pause, actor, now, zone)
    return pause


def end(session: Session, pause_id: int, actor: Actor, now: datetime, zone: tzinfo) -> Pause:
    """The customer wants his service back now; a pause that is over stays so. Raises NotFound or Conflict."""
    pause = _locked(session, pause_id)
    if pause.withdrawn_at is not None or pause.hold_id is None:
        raise Conflict(f"pause {pause_id} has not begun; withdraw it instead")
    if pause.ended_at is None:
        hold = holds.lift_hold(session, pause.hold_id, actor=actor, now=now)
        audit.record(session, actor, "end", "pause", pause.id, {"service_id": pause.service_id})
        _note_end(session, pause, hold.lifted_at, zone)
    return pause


def withdraw(session: Session, pause_id: int, actor: Actor, now: datetime) -> Pause:
    """It will not be; one that is withdrawn already stays so. Raises NotFound, or Conflict for one that has begun."""
    pause = _locked(session, pause_id)
    if pause.hold_id is not None:
        raise Conflict(f"pause {pause_id} has begun; end it instead")
    if pause.withdrawn_at is None:
        pause.withdrawn_at = now
        session.flush()
        audit.record(session, actor, "withdraw", "pause", pause.id, {"service_id": pause.service_id})
        _tell(session, pause, "withdrawn")
    return pause


def keep(session: Session, now: datetime, zone: tzinfo, limit: int = DUE_MAX) -> None:
    """Begin those whose first day has come, and note those whose service is back. Run by the clock."""
    live = (Pause.ended_at.is_(None), Pause.withdrawn_at.is_(None))
    due = select(Pause).where(*live, Pause.hold_id.is_(None), Pause.start <= now.astimezone(zone).date())
    for pause in session.scalars(due.order_by(Pause.id).limit(limit).with_for_update(skip_locked=True)).all():
        _begin_if_possible(session, pause, now, zone)
    over = select(Pause, Hold.lifted_at).join(Hold, Hold.id == Pause.hold_id).where(*live, Hold.lifted_at.is_not(None))
    rows = session.execute(over.order_by(Pause.id).limit(limit).with_for_update(of=Pause, skip_locked=True)).all()
    for pause, lifted_at in rows:
        _note_end(session, pause, lifted_at, zone)


def paused_days(session: Session, contract_ids: Collection[int]) -> dict[int, list[tuple[int, Span]]]:
    """By contract: (service, days on which it was or will be paused)."""
    found: dict[int, list[tuple[int, Span]]] = defaultdict(list)
    rows = session.execute(
        select(Pause.contract_id, Pause.service_id, Pause.start, func.coalesce(Pause.charged_from, Pause.end))
        .where(Pause.contract_id.in_(contract_ids), Pause.withdrawn_at.is_(None))
        .order_by(Pause.id)
    )
    for contract_id, service_id, start, until in rows:
        found[contract_id].append((service_id, Span(start, until)))
    return dict(found)


def _begin_if_possible(session: Session, pause: Pause, now: datetime, zone: tzinfo) -> None:
    """One that cannot be (its service has ended, its last day is over) keeps no other waiting."""
    try:
        with session.begin_nested():
            _begin(session, pause, ACTOR, now, zone)
    except ProvedorError as refused:
        pause.withdrawn_at = now
        session.flush()
        _tell(session, pause, "failed", detail=refused.detail)


def _begin(session: Session, pause: Pause, actor: Actor, now: datetime, zone: tzinfo) -> None:
    hold = holds.place_hold(
        session, pause.service_id, reason=HoldReason.REQUEST, effect=HoldEffect.BLOCK, actor=actor, now=now,
        until=begins_at(pause.end, zone), note=pause.note,
    )  # fmt: skip
    pause.hold_id = hold.id
    session.flush()
    _tell(session, pause, "begun", hold_id=hold.id)


def _note_end(session: Session, pause: Pause, lifted_at: datetime | None, zone: tzinfo) -> None:
    """A hold is lifted some seconds after its end, which makes no day more. It is one day at least."""
    begins, ends = begins_at(pause.start, zone), begins_at(pause.end, zone)
    pause.ended_at = min(lifted_at or ends, ends)
    pause.charged_from = days_of(begins, max(pause.ended_at, begins + datetime.resolution), zone).end
    session.flush()
    _tell(session, pause, "ended", charged_from=str(pause.charged_from))


def _refuse_debtor(session: Session, contract_id: int, now: datetime, zone: tzinfo) -> None:
    """A contested invoice is none that he is in arrears with."""
    overdue = session.scalar(
        select(Invoice.id)
        .where(
            Invoice.contract_id == contract_id, Invoice.status == InvoiceStatus.OPEN, Invoice.contested.is_(False),
            Invoice.due_date < now.astimezone(zone).date(),
        )
        .order_by(Invoice.due_date, Invoice.id)
        .limit(1)
    )  # fmt: skip
    if overdue is not None:
        raise Conflict(f"invoice {overdue} is overdue; a pause is for who owes nothing that is")


def _locked(session: Session, pause_id: int) -> Pause:
    query = select(Pause).where(Pause.id == pause_id).with_for_update().execution_options(populate_existing=True)
    pause = session.scalar(query)
    if pause is None:
        raise NotFound("pause", pause_id)
    return pause


def _tell(session: Session, pause: Pause, what: str, **more: Any) -> None:  # noqa: ANN401
    events.record(session, f"pause.{what}", "service", pause.service_id, pause_id=pause.id, **more)
