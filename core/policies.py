"""From plan, service and holds to the intended policy that stands beside each service.

Every change to one of the three ends in `refresh`, the only place that writes `Service.access` and
`Service.policy_fingerprint`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import changes, outbox, topics
from core.access import Access, HoldEffect, effective_access
from core.models.network import PolicyVersion
from core.models.service import Hold, Plan, Service
from core.models.system import ChangeKind
from core.policy import Policy, intended_policy
from core.topics import Topic

#: Services recomputed in one transaction when a plan changes.
PLAN_CHUNK = 1000


def refresh(session: Session, service_ids: Iterable[int], owed: Topic = topics.SERVICE_OUT_OF_STEP) -> list[Service]:
    """Recompute access and policy; returns the services whose policy became another.

    For those, RADIUS nodes learn of it and enforcement of their live sessions is owed: as `owed`.
    """
    session.flush()
    services = session.execute(
        select(Service, Plan)
        .join(Plan, Plan.id == Service.plan_id)
        .where(Service.id.in_(list(service_ids)))
        .order_by(Service.id)
        .with_for_update(of=Service, key_share=True)  # whoever only refers to a service (a new hold) need not wait
        .execution_options(populate_existing=True)  # what was read before the lock may be old by now
    ).all()
    effects = _live_effects(session, [service.id for service, _ in services])
    moved: list[Service] = []
    for service, plan in services:
        access = effective_access(effects.get(service.id, ()))
        policy = intended_policy(plan.terms(), service.terms(), access)
        if policy.fingerprint == service.policy_fingerprint:
            continue
        keep(session, policy)
        service.access, service.policy_fingerprint = access, policy.fingerprint
        changes.note(session, ChangeKind.SERVICE, service.id)
        owe_enforcement(session, service.id, owed)
        moved.append(service)
    session.flush()
    return moved


def owe_enforcement(session: Session, service_id: int, owed: Topic = topics.SERVICE_OUT_OF_STEP) -> None:
    """The live sessions of this service may not be what is intended: bring them in step after the commit."""
    outbox.enqueue(session, owed, {"service_id": service_id})


def keep(session: Session, policy: Policy) -> str:
    """Make sure that the policy's body can be found by its fingerprint; returns the fingerprint."""
    fingerprint = policy.fingerprint
    session.execute(
        insert(PolicyVersion).values(fingerprint=fingerprint, body=policy.to_body()).on_conflict_do_nothing()
    )
    return fingerprint


def read(session: Session, fingerprint: str) -> Policy | None:
    version = session.get(PolicyVersion, fingerprint)
    return Policy.from_body(version.body) if version else None


def refresh_plan_chunk(session: Session, plan_id: int, after_service_id: int) -> None:
    """Recompute one chunk of a plan's services and owe the next; the handler of PLAN_CHANGED."""
    ids: Sequence[int] = session.scalars(
        select(Service.id)
        .where(Service.plan_id == plan_id, Service.id > after_service_id)
        .order_by(Service.id)
        .limit(PLAN_CHUNK)
    ).all()
    if not ids:
        return
    refresh(session, ids)
    outbox.enqueue(session, topics.PLAN_CHANGED, {"plan_id": plan_id, "after_service_id": ids[-1]})


def live_hold() -> ColumnElement[bool]:
    """A hold that counts now, as a condition."""
    return and_(Hold.lifted_at.is_(None), or_(Hold.until.is_(None), Hold.until > func.now()))


def initial_policy(plan: Plan, service: Service) -> Policy:
    """The policy of a service that is being created and has no hold yet."""
    return intended_policy(plan.terms(), service.terms(), Access.FULL)


def _live_effects(session: Session, service_ids: Sequence[int]) -> dict[int, list[HoldEffect]]:
    effects: dict[int, list[HoldEffect]] = {}
    rows = session.execute(select(Hold.service_id, Hold.effect).where(Hold.service_id.in_(service_ids), live_hold()))
    for service_id, effect in rows:
        effects.setdefault(service_id, []).append(effect)
    return effects
