"""Policies as they are stored, and which one a contract has: its own, the default of its payer's kind, or a preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.days import Holidays, OwnHoliday
from billing_hooks.models import BillingPolicy, ContractBilling, Holiday
from billing_hooks.policy import ANATEL_765, BUSINESS, Policy, check_for_persons, from_body, to_body
from core import audit, events
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import NotFound
from core.models.party import Contract, Customer, CustomerKind

_PRESET_FOR: Final = {CustomerKind.PERSON: ANATEL_765, CustomerKind.BUSINESS: BUSINESS}


@dataclass(frozen=True, slots=True)
class Policies:
    """All that are stored, read once for a run."""

    own: Mapping[int, Policy]
    default_for: Mapping[CustomerKind, Policy] = field(default_factory=lambda: dict(_PRESET_FOR))

    def of(self, policy_id: int | None, kind: CustomerKind) -> Policy:
        return self.default_for[kind] if policy_id is None else self.own[policy_id]

    def all(self) -> list[Policy]:
        return [*self.own.values(), *self.default_for.values()]

    def days_ahead(self) -> int:
        """How long before a due date the earliest reminder of any of them comes."""
        return max(0, *(-step.days for policy in self.all() for step in policy.steps))


def load(session: Session) -> Policies:
    rows = session.scalars(select(BillingPolicy)).all()
    own = {row.id: from_body(row.body) for row in rows}
    defaults = {row.default_for: own[row.id] for row in rows if row.default_for is not None}
    return Policies(own, _PRESET_FOR | defaults)


def load_holidays(session: Session, country: str) -> Holidays:
    own = session.scalars(select(Holiday)).all()
    return Holidays(country, tuple(OwnHoliday(o.name, o.month, o.day, o.year, o.state, o.ibge_code) for o in own))


def create_policy(
    session: Session, policy: Policy, actor: Actor, *, default_for: CustomerKind | None = None
) -> BillingPolicy:
    """Raises InvalidInput or Conflict."""
    _check_default(policy, default_for)
    row = BillingPolicy(name=policy.name, body=to_body(policy), default_for=default_for)
    session.add(row)
    flush_unique(session, {"default_for": "default_for", "name": "name"})
    audit.record(session, actor, "create", "billing_policy", row.id, {"name": row.name, "body": row.body})
    events.record(session, "billing_policy.created", "billing_policy", row.id)
    return row


def update_policy(
    session: Session, row: BillingPolicy, policy: Policy, actor: Actor, *, default_for: CustomerKind | None
) -> BillingPolicy:
    """Contracts that have it are judged by the new one from their next run on."""
    if default_for is not CustomerKind.PERSON and _used_by_persons(session, row.id):
        check_for_persons(policy)
    _check_default(policy, default_for)
    changed = apply_changes(row, {"name": policy.name, "body": to_body(policy), "default_for": default_for})
    flush_unique(session, {"default_for": "default_for", "name": "name"})
    if changed:
        audit.record(session, actor, "update", "billing_policy", row.id, changed)
        events.record(session, "billing_policy.changed", "billing_policy", row.id)
    return row


def get_policy(session: Session, policy_id: int) -> BillingPolicy:
    row = session.get(BillingPolicy, policy_id)
    if row is None:
        raise NotFound("billing policy", policy_id)
    return row


def check_choice(session: Session, policy_id: int, payer_kind: CustomerKind) -> None:
    """Whether a contract of such a payer may have this policy. Raises NotFound or InvalidInput."""
    policy = from_body(get_policy(session, policy_id).body)
    if payer_kind is CustomerKind.PERSON:
        check_for_persons(policy)


def _check_default(policy: Policy, default_for: CustomerKind | None) -> None:
    if default_for is CustomerKind.PERSON:
        check_for_persons(policy)


def _used_by_persons(session: Session, policy_id: int) -> bool:
    used = (
        select(ContractBilling.contract_id)
        .join(Contract, Contract.id == ContractBilling.contract_id)
        .join(Customer, Customer.id == Contract.payer_id)
        .where(ContractBilling.policy_id == policy_id, Customer.kind == CustomerKind.PERSON)
    )
    return session.scalar(used.limit(1)) is not None
