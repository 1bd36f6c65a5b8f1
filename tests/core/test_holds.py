"""Holds: the most restrictive one counts, lifting one leaves the others, and the policy follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from factories import make_service
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput, NotFound
from core.holds import expire_holds, lift_hold, live_holds, place_hold
from core.keyring import Keyring
from core.models import AuditEntry, Change, Event, OutboxItem, Service


def test_a_hold_restricts_and_lifting_it_restores(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    service = make_service(session, keyring)
    full = service.policy_fingerprint

    hold = place_hold(
        session, service.id, reason=HoldReason.BILLING, effect=HoldEffect.WALLED_GARDEN, actor=actor, now=clock()
    )
    assert service.access is Access.WALLED_GARDEN
    assert service.policy_fingerprint != full

    lift_hold(session, hold.id, actor=actor, now=clock())
    assert service.access is Access.FULL
    assert service.policy_fingerprint == full


def test_lifting_one_hold_never_lifts_anothers(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    service = make_service(session, keyring)
    throttle = place_hold(
        session, service.id, reason=HoldReason.BILLING, effect=HoldEffect.THROTTLE, actor=actor, now=clock()
    )
    block = place_hold(session, service.id, reason=HoldReason.ABUSE, effect=HoldEffect.BLOCK, actor=actor, now=clock())
    assert service.access is Access.BLOCKED

    lift_hold(session, throttle.id, actor=actor, now=clock())
    assert service.access is Access.BLOCKED
    assert [hold.id for hold in live_holds(session, service.id)] == [block.id]


def test_a_hold_that_changes_nothing_owes_no_enforcement(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    service = make_service(session, keyring)
    for reason in (HoldReason.BILLING, HoldReason.ADMIN):
        place_hold(session, service.id, reason=reason, effect=HoldEffect.THROTTLE, actor=actor, now=clock())
    assert len(session.scalars(select(OutboxItem)).all()) == 1


def test_a_hold_is_told_to_audit_events_and_the_feed(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    service = make_service(session, keyring)
    session.commit()
    place_hold(session, service.id, reason=HoldReason.ADMIN, effect=HoldEffect.BLOCK, actor=actor, now=clock())
    session.commit()

    assert session.scalars(select(Event.type).where(Event.subject == f"service:{service.id}")).all() == ["hold.placed"]
    entry = session.scalars(select(AuditEntry).where(AuditEntry.resource == "hold")).one()
    assert (entry.actor, entry.source, entry.action) == ("test:person", "192.0.2.7", "place")
    refs = session.execute(select(Change.kind, Change.ref_id).order_by(Change.revision)).all()
    assert refs.count(("service", service.id)) == 2  # made, then held


def test_a_hold_ends_by_itself(session: Session, keyring: Keyring, actor: Actor, clock: ManualClock) -> None:
    service = make_service(session, keyring)
    now = datetime.now(UTC)
    place_hold(
        session, service.id, reason=HoldReason.REQUEST, effect=HoldEffect.BLOCK, actor=actor, now=now,
        until=now + timedelta(hours=1),
    )  # fmt: skip
    assert expire_holds(session, now=now) == 0
    hold = live_holds(session, service.id)[0]
    hold.until = now - timedelta(seconds=1)
    session.flush()
    assert expire_holds(session, now=now) == 1
    assert service.access is Access.FULL


def test_until_in_the_past_and_unknown_services_are_refused(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    service = make_service(session, keyring)
    with pytest.raises(InvalidInput) as refused:
        place_hold(
            session, service.id, reason=HoldReason.ADMIN, effect=HoldEffect.BLOCK, actor=actor, now=clock(),
            until=clock(),
        )  # fmt: skip
    assert refused.value.field == "until"
    with pytest.raises(NotFound):
        place_hold(session, 10**12, reason=HoldReason.ADMIN, effect=HoldEffect.BLOCK, actor=actor, now=clock())


def test_two_holds_at_once_both_count(database: Database, keyring: Keyring, actor: Actor, clock: ManualClock) -> None:
    """One reads the service, the other one holds it, then the first one does: nobody is told to try again."""
    with database.transaction() as session:
        service_id = make_service(session, keyring).id

    def place(session: Session, reason: HoldReason, effect: HoldEffect) -> None:
        place_hold(session, service_id, reason=reason, effect=effect, actor=actor, now=clock())

    with database.transaction() as first:
        assert first.get_one(Service, service_id).access is Access.FULL
        with database.transaction() as second:
            place(second, HoldReason.ABUSE, HoldEffect.THROTTLE)
        place(first, HoldReason.BILLING, HoldEffect.WALLED_GARDEN)
    with database.transaction() as session:
        assert session.get_one(Service, service_id).access is Access.WALLED_GARDEN
        assert len(live_holds(session, service_id)) == 2
