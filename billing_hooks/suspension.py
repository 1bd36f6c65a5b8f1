"""From standing to holds: facts -> evaluate (pure) -> plan -> guard -> apply.

`apply_standing` is for one contract whose standing may have changed: it only ever lifts, so that a payment restores
within a second and at any hour. `run` looks at every contract with an open overdue invoice or a billing hold and also
places.

A run evaluates everybody and passes the guard as a whole before anything is done. Then it is owed in chunks, each a
transaction of its own: no lock is held long, and what dies in the middle goes on from the chunk that was not committed.
A chunk judges each contract again under the contract's lock and does only what the plan said and is still right, so it
may run twice, late, or beside another run: a hold that is there is not placed twice.

A payment that commits while a chunk works is either seen by it, or its own `apply_standing` waits until the chunk has
committed and lifts what it placed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, tzinfo
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import structlog
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from billing_hooks.models import BillingRun
from billing_hooks.standing import OpenInvoice, Standing, SuspensionPolicy, may_begin, standing
from core import events, holds, outbox, topics
from core.access import HoldReason
from core.audit import Actor
from core.clock import Clock
from core.errors import Conflict, ProvedorError
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contract, ContractStatus, Customer
from core.models.service import Hold, Service, ServiceKind, ServiceStatus

#: Contracts done in one transaction: a payment for one of them waits for it, a tenth of a second at most.
CHUNK = 25
#: Contracts whose facts are read at once.
_PAGE = 1000
_Item = TypeVar("_Item")
_ACTOR = Actor("system:billing")
log = structlog.get_logger()


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


class Run(NamedTuple):
    """What a run owes; the id is its BillingRun's, None where there is nothing to do."""

    id: int | None
    changes: list[Change]


@dataclass(slots=True)
class Facts:
    """What the verdict on one contract depends on, as it stands now."""

    open_invoices: list[OpenInvoice] = field(default_factory=list)
    #: Live billing holds: hold -> service.
    holds: dict[int, int] = field(default_factory=dict)
    #: Services that may be restricted.
    suspendable: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Suspension:
    """The engine with its policy, zone and clock."""

    policy: SuspensionPolicy
    zone: tzinfo
    clock: Clock

    def handle_standing_changed(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of STANDING_CHANGED."""
        self.apply_standing(session, payload["contract_id"])

    def handle_chunk(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of BILLING_CHUNK."""
        done = sum(self._apply(session, payload["action"], contract_id) for contract_id in payload["contract_ids"])
        count = BillingRun.placed if payload["action"] == "place" else BillingRun.lifted
        session.execute(
            update(BillingRun)
            .where(BillingRun.id == payload["run_id"])
            .values({count: count + done, BillingRun.chunks_left: BillingRun.chunks_left - 1})
        )
        finished = update(BillingRun).where(BillingRun.id == payload["run_id"], BillingRun.chunks_left <= 0)
        session.execute(finished.values(finished_at=self.clock()))

    def apply_standing(self, session: Session, contract_id: int) -> int:
        """Lift the contract's billing holds if it owes no more; returns how many."""
        _lock_contract(session, contract_id)
        live = _billing_holds(session, [contract_id])[contract_id]
        if not live:
            return 0
        return self._lift(session, Facts(_open_invoices(session, [contract_id])[contract_id], live))

    def run(self, session: Session, *, force: bool = False) -> Run:
        """Evaluate everybody, and owe what is to be done in chunks. Raises RunUnsafe, and then nothing is owed."""
        plan = [change for change in self.plan(session) if change.action != "wait"]
        self._guard(session, plan, force=force)
        return Run(_owe(session, plan) if plan else None, plan)

    def plan(self, session: Session) -> list[Change]:
        """What a run would do now, and why, in the order of the contracts. Who must "wait" is restricted by a run at an
        hour when that may begin.
        """
        now = self.clock()
        may_place = may_begin(self.policy, now, self.zone)
        changes = []
        for page in _pages(_candidates(session, now.astimezone(self.zone).date()), _PAGE):
            facts = _facts(session, [contract_id for contract_id, _ in page])
            for contract_id, name in page:
                change = self._judge(contract_id, name, facts[contract_id], may_place=may_place)
                if change is not None:
                    changes.append(change)
        return changes

    def _judge(self, contract_id: int, name: str, facts: Facts, *, may_place: bool) -> Change | None:
        verdict = self._standing(facts)
        held = set(facts.holds.values())
        if not verdict.owes:
            return _change("lift", contract_id, name, held, verdict) if held else None
        free = facts.suspendable - held
        return _change("place" if may_place else "wait", contract_id, name, free, verdict) if free else None

    def _standing(self, facts: Facts) -> Standing:
        return standing(facts.open_invoices, self.policy, self.clock(), self.zone)

    def _guard(self, session: Session, plan: list[Change], *, force: bool) -> None:
        placing = sum(change.action == "place" for change in plan)
        total = session.scalar(select(func.count()).where(Contract.status == ContractStatus.ACTIVE)) or 0
        if force or placing <= self.policy.count_floor or placing <= total * self.policy.share_max:
            return
        raise RunUnsafe(f"the run would restrict {placing} of {total} contracts; look at the dry run, then force it")

    def _apply(self, session: Session, action: str, contract_id: int) -> bool:
        """Judge again under the contract's lock, and do it only if that still says the same.

        A contract that cannot be done is told as an event and does not keep the others waiting.
        """
        _lock_contract(session, contract_id)
        facts = _facts(session, [contract_id])[contract_id]
        change = self._judge(contract_id, "", facts, may_place=may_begin(self.policy, self.clock(), self.zone))
        if change is None or change.action != action:
            return False
        try:
            with session.begin_nested():
                return self._lift(session, facts) > 0 if action == "lift" else self._place(session, change)
        except ProvedorError as error:
            events.record(session, "billing.contract_failed", "contract", contract_id, detail=error.detail)
            log.warning("contract could not be suspended or given back", contract_id=contract_id, detail=error.detail)
            return False

    def _lift(self, session: Session, facts: Facts) -> int:
        if not facts.holds or self._standing(facts).owes:
            return 0
        for hold_id in facts.holds:
            holds.lift_hold(session, hold_id, actor=_ACTOR, now=self.clock())
        return len(facts.holds)

    def _place(self, session: Session, change: Change) -> bool:
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


def _owe(session: Session, plan: list[Change]) -> int:
    run = BillingRun(considered=len(plan), decisions={"changes": [asdict(change) for change in plan]})
    session.add(run)
    session.flush()
    for action in ("lift", "place"):  # giving back goes first
        ids = (change.contract_id for change in plan if change.action == action)
        for chunk in _pages(ids, CHUNK):
            payload = {"run_id": run.id, "action": action, "contract_ids": chunk}
            outbox.enqueue(session, topics.BILLING_CHUNK, payload)
            run.chunks_left += 1
    session.flush()
    return run.id


def _pages(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    while page := list(islice(items, size)):
        yield page


def _change(action: str, contract_id: int, name: str, services: set[int], verdict: Standing) -> Change:
    return Change(action, contract_id, name, tuple(sorted(services)), verdict.reason, verdict.reason_pt)


def _lock_contract(session: Session, contract_id: int) -> None:
    """Weaker than FOR UPDATE: an invoice that is being written for the contract does not wait for this."""
    session.execute(select(Contract.id).where(Contract.id == contract_id).with_for_update(key_share=True))


def _candidates(session: Session, today: date) -> Iterator[tuple[int, str]]:
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
    return ((row[0], row[1]) for row in rows.all())


def _facts(session: Session, contract_ids: Sequence[int]) -> dict[int, Facts]:
    """Of all these contracts in three statements."""
    open_invoices = _open_invoices(session, contract_ids)
    live = _billing_holds(session, contract_ids)
    suspendable = _suspendable_services(session, contract_ids)
    return {one: Facts(open_invoices[one], live[one], suspendable[one]) for one in contract_ids}


def _open_invoices(session: Session, contract_ids: Sequence[int]) -> dict[int, list[OpenInvoice]]:
    found: dict[int, list[OpenInvoice]] = defaultdict(list)
    rows = session.execute(
        select(
            Invoice.contract_id, Invoice.id, Invoice.due_date, Invoice.amount_cents, Invoice.notified_at,
            Invoice.contested,
        ).where(Invoice.contract_id.in_(contract_ids), Invoice.status == InvoiceStatus.OPEN)
    )  # fmt: skip
    for contract_id, invoice_id, due_date, amount_cents, notified_at, contested in rows:
        found[contract_id].append(OpenInvoice(invoice_id, due_date, amount_cents, notified_at, contested))
    return found


def _billing_holds(session: Session, contract_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """The live ones, hold -> service."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    rows = session.execute(
        select(Service.contract_id, Hold.id, Hold.service_id)
        .join(Service, Service.id == Hold.service_id)
        .where(Service.contract_id.in_(contract_ids), Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
        .order_by(Hold.id)
    )
    for contract_id, hold_id, service_id in rows:
        found[contract_id][hold_id] = service_id
    return found


def _suspendable_services(session: Session, contract_ids: Sequence[int]) -> dict[int, set[int]]:
    """A dedicated link is cut by a person only."""
    found: dict[int, set[int]] = defaultdict(set)
    rows = session.execute(
        select(Service.contract_id, Service.id).where(
            Service.contract_id.in_(contract_ids),
            Service.status != ServiceStatus.CANCELLED,
            Service.kind != ServiceKind.DEDICATED,
        )
    )
    for contract_id, service_id in rows:
        found[contract_id].add(service_id)
    return found
