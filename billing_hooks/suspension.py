"""From standing to holds: facts -> evaluate (pure) -> plan -> guard -> apply.

`apply_standing` is for one contract whose standing may have changed: it only ever lifts, so that a payment restores
within a second and at any hour. `run` looks at every contract with an open overdue invoice or a billing hold and also
places. Both can be killed anywhere and run again: a hold that is there is not placed twice.

Both take the contract's row before they judge it. So a payment that commits while a run works is either seen by the
run, or its own `apply_standing` waits until the run has committed and lifts what it placed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, tzinfo
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing_hooks.models import BillingRun
from billing_hooks.standing import OpenInvoice, Standing, SuspensionPolicy, may_begin, standing
from core import holds
from core.access import HoldReason
from core.audit import Actor
from core.clock import Clock
from core.errors import Conflict
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contract, ContractStatus, Customer
from core.models.service import Hold, Service, ServiceKind, ServiceStatus

_ACTOR = Actor("system:billing")


class RunUnsafe(Conflict):
    """The run would restrict suspiciously many; a person looks at the list and forces it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a run does to one contract, and why."""

    action: str
    contract_id: int
    customer: str
    service_ids: tuple[int, ...]
    reason: str
    reason_pt: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """The engine with its policy, zone and clock."""

    policy: SuspensionPolicy
    zone: tzinfo
    clock: Clock

    def handle_standing_changed(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of STANDING_CHANGED."""
        self.apply_standing(session, payload["contract_id"])

    def apply_standing(self, session: Session, contract_id: int) -> int:
        """Lift the contract's billing holds if it owes no more; returns how many."""
        _lock_contract(session, contract_id)
        live = _billing_holds(session, contract_id)
        if not live or self._standing(session, contract_id).owes:
            return 0
        for hold in live:
            holds.lift_hold(session, hold.id, actor=_ACTOR, now=self.clock())
        return len(live)

    def run(self, session: Session, *, dry_run: bool = False, force: bool = False) -> list[Change]:
        """Evaluate everybody and apply. Raises RunUnsafe, and then nothing was applied."""
        plan = self.plan(session)
        if dry_run:
            return plan
        self._guard(session, plan, force=force)
        done = [change for change in plan if self._apply(session, change)]
        if done:
            placed = sum(change.action == "place" for change in done)
            session.add(
                BillingRun(
                    considered=len(plan),
                    placed=placed,
                    lifted=len(done) - placed,
                    decisions={"changes": [asdict(change) for change in done]},
                )
            )
            session.flush()
        return done

    def plan(self, session: Session) -> list[Change]:
        """What a run would do now, and why, in the order of the contracts."""
        now = self.clock()
        may_place = may_begin(self.policy, now, self.zone)
        changes = []
        for contract_id, name in _candidates(session, now.astimezone(self.zone).date()):
            change = self._plan_contract(session, contract_id, name, may_place=may_place)
            if change is not None:
                changes.append(change)
        return changes

    def _plan_contract(self, session: Session, contract_id: int, name: str, *, may_place: bool) -> Change | None:
        verdict = self._standing(session, contract_id)
        held = {hold.service_id for hold in _billing_holds(session, contract_id)}
        if not verdict.owes:
            return _change("lift", contract_id, name, held, verdict) if held else None
        free = set(_suspendable_services(session, contract_id)) - held
        return _change("place", contract_id, name, free, verdict) if free and may_place else None

    def _standing(self, session: Session, contract_id: int) -> Standing:
        rows = session.execute(
            select(Invoice.id, Invoice.due_date, Invoice.amount_cents, Invoice.notified_at, Invoice.contested).where(
                Invoice.contract_id == contract_id, Invoice.status == InvoiceStatus.OPEN
            )
        )
        return standing([OpenInvoice(*row) for row in rows], self.policy, self.clock(), self.zone)

    def _guard(self, session: Session, plan: list[Change], *, force: bool) -> None:
        placing = sum(change.action == "place" for change in plan)
        total = session.scalar(select(func.count()).where(Contract.status == ContractStatus.ACTIVE)) or 0
        if force or placing <= self.policy.count_floor or placing <= total * self.policy.share_max:
            return
        raise RunUnsafe(f"the run would restrict {placing} of {total} contracts; look at the dry run, then force it")

    def _apply(self, session: Session, change: Change) -> bool:
        """Judge again under the contract's lock, and do it only if the plan still says the same."""
        _lock_contract(session, change.contract_id)
        may_place = may_begin(self.policy, self.clock(), self.zone)
        if self._plan_contract(session, change.contract_id, change.customer, may_place=may_place) != change:
            return False
        if change.action == "lift":
            return self.apply_standing(session, change.contract_id) > 0
        for service_id in change.service_ids:
            holds.place_hold(
                session,
                service_id,
                reason=HoldReason.BILLING,
                effect=self.policy.effect,
                actor=_ACTOR,
                now=self.clock(),
                note=change.reason,
            )
        return True


def _change(action: str, contract_id: int, name: str, services: set[int], verdict: Standing) -> Change:
    return Change(action, contract_id, name, tuple(sorted(services)), verdict.reason, verdict.reason_pt)


def _lock_contract(session: Session, contract_id: int) -> None:
    """Weaker than FOR UPDATE: an invoice that is being written for the contract does not wait for this."""
    session.execute(select(Contract.id).where(Contract.id == contract_id).with_for_update(key_share=True))


def _candidates(session: Session, today: date) -> list[tuple[int, str]]:
    """Contracts that owe something overdue or have a billing hold, with their holder's name."""
    overdue = select(Invoice.contract_id).where(Invoice.status == InvoiceStatus.OPEN, Invoice.due_date < today)
    held = (
        select(Service.contract_id)
        .join(Hold, Hold.service_id == Service.id)
        .where(Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
    )
    rows = session.execute(
        select(Contract.id, Customer.name)
        .join(Customer, Customer.id == Contract.customer_id)
        .where(or_(Contract.id.in_(overdue), Contract.id.in_(held)))
        .order_by(Contract.id)
    )
    return [(row[0], row[1]) for row in rows]


def _billing_holds(session: Session, contract_id: int) -> list[Hold]:
    return list(
        session.scalars(
            select(Hold)
            .join(Service, Service.id == Hold.service_id)
            .where(Service.contract_id == contract_id, Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
        )
    )


def _suspendable_services(session: Session, contract_id: int) -> list[int]:
    """A dedicated link is cut by a person only."""
    return list(
        session.scalars(
            select(Service.id).where(
                Service.contract_id == contract_id,
                Service.status != ServiceStatus.CANCELLED,
                Service.kind != ServiceKind.DEDICATED,
            )
        )
    )
