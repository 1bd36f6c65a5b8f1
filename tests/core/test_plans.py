"""Plans: what changes with one, at once or in the background."""

from __future__ import annotations

import threading

from factories import make_nas, make_plan, make_service
from locks import wait_until_blocked
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import holds, network, plans, policies, services
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import Change, ChangeKind, Nas, OutboxItem, Service


def work_off(session: Session) -> None:
    """What the workers do with a plan that changed: chunk after chunk."""
    owed = select(OutboxItem).where(OutboxItem.topic == "core.plan_changed")
    while item := session.scalars(owed.limit(1)).first():
        policies.refresh_plan_chunk(session, item.payload["plan_id"], item.payload["after_service_id"])
        session.delete(item)
        session.flush()


def test_a_nas_answers_an_emergency_with_the_plan_as_it_is_now(
    database: Database, keyring: Keyring, actor: Actor
) -> None:
    with database.transaction() as session:
        plan = make_plan(session, down_kbps=2000)
        nas = make_nas(session, keyring)
        other = make_nas(session, keyring, address="127.0.0.2")
        network.update_nas(session, keyring, nas, {"emergency_plan_id": plan.id, "emergency": True}, actor)
        before, version = nas.emergency_fingerprint, nas.version
    with database.transaction() as session:
        session.execute(Change.__table__.delete())  # type: ignore[attr-defined]
        plans.update_plan(session, session.get_one(type(plan), plan.id), {"down_kbps": 4000}, actor)
    with database.transaction() as session:
        now = session.get_one(Nas, nas.id)
        assert now.emergency_fingerprint not in {None, before}
        policy = policies.read(session, now.emergency_fingerprint or "")
        assert policy is not None
        assert (policy.down_kbps, now.version) == (4000, version)  # nobody edited the entry
        assert session.get_one(Nas, other.id).emergency_fingerprint is None
        told = session.execute(select(Change.kind, Change.ref_id)).all()
        assert [tuple(row) for row in told] == [(ChangeKind.NAS, nas.id)]


def test_a_plan_renamed_tells_no_nas(session: Session, keyring: Keyring, actor: Actor) -> None:
    plan = make_plan(session)
    nas = make_nas(session, keyring)
    network.update_nas(session, keyring, nas, {"emergency_plan_id": plan.id}, actor)
    before = nas.emergency_fingerprint
    plans.update_plan(session, plan, {"name": "other"}, actor)
    session.refresh(nas)
    assert nas.emergency_fingerprint == before


def test_a_held_service_on_a_changed_or_another_plan_stays_held(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock
) -> None:
    slow, quick = make_plan(session, throttle_down_kbps=500), make_plan(session, throttle_down_kbps=900)
    service = make_service(session, keyring, plan=slow)
    hold = holds.place_hold(
        session, service.id, reason=HoldReason.BILLING, effect=HoldEffect.THROTTLE, actor=actor, now=clock()
    )

    def rate() -> int | None:
        policy = policies.read(session, service.policy_fingerprint)
        assert policy is not None
        return policy.down_kbps

    plans.update_plan(session, slow, {"throttle_down_kbps": 600}, actor)
    work_off(session)
    assert (service.access, rate()) == (Access.THROTTLED, 600)
    services.update_service(session, keyring, service, {"plan_id": quick.id}, actor)
    assert (service.access, rate()) == (Access.THROTTLED, 900)
    holds.lift_hold(session, hold.id, actor=actor, now=clock())
    assert (service.access, rate()) == (Access.FULL, quick.down_kbps)


def test_a_service_created_while_its_plan_changes_gets_the_plan_as_it_becomes(
    database: Database, keyring: Keyring, actor: Actor
) -> None:
    with database.transaction() as session:
        plan = make_plan(session, down_kbps=2000)
        contract_id = make_service(session, keyring, plan=plan).contract_id
    created: list[int] = []

    def create() -> None:
        values = {"contract_id": contract_id, "plan_id": plan.id, "kind": "pppoe", "login": "new", "password": "x"}
        with database.transaction() as session:
            created.append(services.create_service(session, keyring, values, actor).id)

    creator = threading.Thread(target=create)
    with database.transaction() as session:
        plans.update_plan(session, session.get_one(type(plan), plan.id), {"down_kbps": 4000}, actor)
        creator.start()
        wait_until_blocked(session)
    creator.join(timeout=20)
    with database.transaction() as session:
        policy = policies.read(session, session.get_one(Service, created[0]).policy_fingerprint)
        assert policy is not None
        assert policy.down_kbps == 4000
