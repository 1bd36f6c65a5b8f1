"""Runs over all contracts: facts -> verdicts (pure) -> plan -> guard -> chunks.

`apply_standing` is for one contract whose standing may have changed: it only ever gives back, so that a payment
restores within a second and at any hour. `run` looks at every contract that owes something or is restricted, and also
places, reminds, gives notice and proposes.

A run evaluates everybody and passes the guard as a whole before anything is done. Then it is owed in chunks, each a
transaction of its own: no lock is held long, and what dies in the middle goes on from the chunk that was not committed.
A chunk judges each contract again under the contract's lock and does only what the plan said and is still right, so it
may run twice, late, or beside another run: a hold that is there is not placed twice, a message is not told twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from billing_hooks import messages, policies, reconciliation, suspension
from billing_hooks.cases import Case, read_cases
from billing_hooks.days import Calendar, Holidays
from billing_hooks.follow import sources
from billing_hooks.follow.models import FollowedContract
from billing_hooks.models import BillingDecision, BillingRun, Promise, PromiseKind
from billing_hooks.policies import Policies
from billing_hooks.policy import Guard
from billing_hooks.standing import Message, Standing
from billing_hooks.suspension import Change
from core import events, outbox, topics
from core.access import HoldReason
from core.clock import Clock
from core.errors import Conflict, NotFound, ProvedorError
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contract, ContractStatus
from core.models.service import Hold, Service
from core.work import chunks

#: Contracts done in one transaction: a payment for one of them waits for it, a tenth of a second at most.
CHUNK: Final = 25
#: Contracts whose facts are read at once.
_PAGE: Final = 1000
#: What a run owes, in this order: giving back goes first.
DONE: Final = ("lift", "ease", "tell", "place", "propose")
#: Of earlier months, whose runs on this day are what is usual.
_MONTHS_BACK: Final = 3
_LOOK: Final = "look at the dry run, then force it"
log = structlog.get_logger()


class RunUnsafe(Conflict):
    """The run would restrict suspiciously many; a person looks at the list and forces it."""


class Run(NamedTuple):
    """What a run owes; the id is its BillingRun's, None where there is nothing to do."""

    id: int | None
    plan: list[Change]


@dataclass(frozen=True, slots=True)
class Billing:
    """The engine with the provider's country, zone and clock."""

    zone: tzinfo
    clock: Clock
    country: str = "BR"

    def handle_standing_changed(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of STANDING_CHANGED."""
        self.apply_standing(session, payload["contract_id"])

    def handle_promise_over(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of PROMISE_OVER: who owes still is restricted again, as soon as that may be."""
        promise = session.get_one(Promise, payload["promise_id"])
        suspension.lock_contract(session, promise.contract_id)
        engine, now = self._engine(session), self.clock()
        (case,) = read_cases(session, [promise.contract_id], engine.policies, now)
        resumes = promise.kind is PromiseKind.PAYMENT_WINDOW and case.debtor.restricted_since is not None
        verdict = suspension.verdict_on(case, now, self.zone)
        change = suspension.judge(case, verdict, engine.calendar, now, resumes=resumes)
        if change is not None and change.action == "place":
            suspension.apply(session, case, change, now)

    def handle_chunk(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of BILLING_CHUNK."""
        engine = self._engine(session)
        action, run_id = payload["action"], payload["run_id"]
        done = sum(self._do(session, engine, run_id, action, one) for one in payload["contract_ids"])
        counts = {"place": BillingRun.placed, "lift": BillingRun.lifted, "tell": BillingRun.messages}
        values: dict[Any, Any] = {BillingRun.chunks_left: BillingRun.chunks_left - 1}
        if action in counts:
            values[counts[action]] = counts[action] + done
        session.execute(update(BillingRun).where(BillingRun.id == run_id).values(values))
        finished = update(BillingRun).where(BillingRun.id == run_id, BillingRun.chunks_left <= 0)
        session.execute(finished.values(finished_at=self.clock()))

    def look(self, session: Session, contract_id: int) -> tuple[Case, Standing]:
        """One contract as it stands now, for people. Raises NotFound."""
        cases = read_cases(session, [contract_id], policies.load(session), self.clock())
        if not cases:
            raise NotFound("contract", contract_id)
        return cases[0], suspension.verdict_on(cases[0], self.clock(), self.zone)

    def apply_standing(self, session: Session, contract_id: int) -> bool:
        """Give back what its standing no longer asks for; True where something was."""
        suspension.lock_contract(session, contract_id)
        now = self.clock()
        (case,) = read_cases(session, [contract_id], policies.load(session), now)
        verdict = suspension.verdict_on(case, now, self.zone)
        if verdict.reached is None:
            suspension.forget_restriction(session, case)
        # What gives access back asks no calendar, so the provider's own holidays need not be read.
        calendar = Calendar(Holidays(self.country), self.zone)
        change = suspension.judge(case, verdict, calendar, now) if case.holds else None
        if change is None or change.action not in {"lift", "ease"}:
            return False
        suspension.apply(session, case, change, now)
        return True

    def run(
        self, session: Session, *, forced_by: str | None = None, contract_ids: Collection[int] | None = None
    ) -> Run:
        """Evaluate everybody, or these contracts, and owe what is to be done in chunks. Raises RunUnsafe, and then
        nothing is owed."""
        engine = self._engine(session)
        plan = [change for change in self._plan(session, engine, contract_ids) if change.action in DONE]
        if forced_by is None:
            self._check(session, engine, plan)
        return Run(_owe(session, plan, forced_by) if plan else None, plan)

    def plan(self, session: Session) -> list[Change]:
        """What a run would do now, and why, in the order of the contracts; with who must "wait", and who is spared."""
        return self._plan(session, self._engine(session))

    def _plan(self, session: Session, engine: Engine, contract_ids: Collection[int] | None = None) -> list[Change]:
        now = self.clock()
        found: list[Change] = []
        candidates = _candidates(session, engine, now) if contract_ids is None else iter(sorted(contract_ids))
        for page in chunks(candidates, _PAGE):
            for case in read_cases(session, page, engine.policies, now):
                found += engine.changes(case, now)
        return found

    def _do(self, session: Session, engine: Engine, run_id: int, action: str, contract_id: int) -> bool:
        """Judge again under the contract's lock, and do it only if that still says the same.

        A contract that cannot be done is told as an event and does not keep the others waiting.
        """
        suspension.lock_contract(session, contract_id)
        now = self.clock()
        (case,) = read_cases(session, [contract_id], engine.policies, now)
        wanted = [change for change in engine.changes(case, now) if change.action == action]
        outcome = None if wanted else "no longer right"
        try:
            with session.begin_nested():
                for change in wanted:
                    _apply(session, case, change, now)
        except ProvedorError as error:
            events.record(session, "billing.contract_failed", "contract", contract_id, detail=error.detail)
            log.warning("contract could not be done", contract_id=contract_id, action=action, detail=error.detail)
            outcome = error.detail
        _note(session, run_id, action, contract_id, now, outcome)
        return outcome is None

    def _check(self, session: Session, engine: Engine, plan: Sequence[Change]) -> None:
        """Raises RunUnsafe for more than a run may restrict by itself, policy by policy."""
        placing = Counter(change.policy for change in plan if change.action == "place")
        alarms = [*reconciliation.alarms(session), *sources.alarms(session)] if placing else []
        if alarms:
            raise RunUnsafe(f"who paid may look like a debtor: {'; '.join(alarms)}; {_LOOK}")
        # Many small runs of one day are one large one: another billing system is read every half minute.
        earlier = self._restricted_today(session, plan) if placing else 0
        for policy in engine.policies.all():
            if placing[policy.name] and placing[policy.name] + earlier > policy.guard.count_floor:
                self._check_many(session, placing[policy.name] + earlier, policy.guard)

    def _check_many(self, session: Session, placing: int, guard: Guard) -> None:
        total = session.scalar(select(func.count()).where(Contract.status == ContractStatus.ACTIVE)) or 0
        if placing > total * guard.share_max:
            raise RunUnsafe(f"the run would restrict {placing} of {total} contracts; {_LOOK}")
        usual = _usual(session, self.clock().astimezone(self.zone).date(), self.zone)
        if usual is not None and placing > max(usual, guard.count_floor) * guard.times_usual:
            raise RunUnsafe(
                f"the run would restrict {placing} contracts, and {usual} are usual on this day of the month; {_LOOK}"
            )

    def _restricted_today(self, session: Session, plan: Sequence[Change]) -> int:
        """Contracts beside the plan's own that runs of today restricted, or are about to; not by a person's force."""
        midnight = self.clock().astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        placed = (
            select(BillingDecision.contract_id)
            .join(BillingRun, BillingRun.id == BillingDecision.run_id)
            .where(BillingRun.at >= midnight, BillingRun.forced_by.is_(None))
            .where(BillingDecision.action == "place", BillingDecision.outcome.is_(None))
        )
        return len(set(session.scalars(placed)) - {change.contract_id for change in plan if change.action == "place"})

    def _engine(self, session: Session) -> Engine:
        calendar = Calendar(policies.load_holidays(session, self.country), self.zone)
        return Engine(policies.load(session), calendar)


@dataclass(frozen=True, slots=True)
class Engine:
    """What one transaction judges by. Pure."""

    policies: Policies
    calendar: Calendar

    def changes(self, case: Case, now: datetime) -> list[Change]:
        """All that a contract needs now."""
        verdict = suspension.verdict_on(case, now, self.calendar.zone)
        change = suspension.judge(case, verdict, self.calendar, now)
        found = [change] if change is not None else []
        if verdict.propose_termination and not case.termination_proposed:
            found.append(suspension.change_of("propose", case, verdict, case.suspendable))
        today = now.astimezone(self.calendar.zone).date()
        return found + [self._telling(case, verdict, message, today) for message in verdict.messages]

    def _telling(self, case: Case, verdict: Standing, message: Message, today: date) -> Change:
        words = messages.text_of(message, case, self.calendar, today)
        return Change(
            "tell", case.contract_id, case.customer, (), case.policy.name, message.step.name, message.invoice_id,
            verdict.reason, verdict.reason_pt, message=message, words=words,
        )  # fmt: skip


def _apply(session: Session, case: Case, change: Change, now: datetime) -> None:
    if change.message is not None and change.words is not None:
        messages.record(session, case, change.message, change.words)
    elif change.action == "propose":
        suspension.propose_termination(session, case, change, now)
    else:
        suspension.apply(session, case, change, now)


def _owe(session: Session, plan: Sequence[Change], forced_by: str | None) -> int:
    run = BillingRun(considered=len(plan), forced_by=forced_by)
    session.add(run)
    session.flush()
    for page in chunks(plan, _PAGE):
        session.execute(insert(BillingDecision), [_decision(run.id, change) for change in page])
    for action in DONE:
        contract_ids = dict.fromkeys(change.contract_id for change in plan if change.action == action)
        for chunk in chunks(contract_ids, CHUNK):
            payload = {"run_id": run.id, "action": action, "contract_ids": chunk}
            outbox.enqueue(session, topics.BILLING_CHUNK, payload)
            run.chunks_left += 1
    session.flush()
    return run.id


def _decision(run_id: int, change: Change) -> dict[str, Any]:
    return {
        "run_id": run_id, "contract_id": change.contract_id, "action": change.action, "policy": change.policy,
        "step": change.step, "invoice_id": change.invoice_id, "reason": change.reason, "reason_pt": change.reason_pt,
        "service_ids": list(change.service_ids),
    }  # fmt: skip


def _note(session: Session, run_id: int, action: str, contract_id: int, now: datetime, outcome: str | None) -> None:
    """What became of a decision."""
    of_run = (
        BillingDecision.run_id == run_id, BillingDecision.contract_id == contract_id, BillingDecision.action == action,
    )  # fmt: skip
    done_at = now if outcome is None else None
    session.execute(update(BillingDecision).where(*of_run).values(done_at=done_at, outcome=outcome))


def _candidates(session: Session, engine: Engine, now: datetime) -> Iterator[int]:
    """Contracts that owe something by the day of the earliest reminder, are restricted for a debt, or should be by the
    word of another billing system."""
    last_day = now.astimezone(engine.calendar.zone).date() + timedelta(days=engine.policies.days_ahead())
    owing = select(Invoice.contract_id).where(Invoice.status == InvoiceStatus.OPEN, Invoice.due_date <= last_day)
    held = (
        select(Service.contract_id)
        .join(Hold, Hold.service_id == Service.id)
        .where(Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
    )
    followed = select(FollowedContract.contract_id).where(FollowedContract.effect.is_not(None))
    return iter(sorted(session.scalars(owing.union(held, followed)).all()))


def _usual(session: Session, today: date, zone: tzinfo) -> int | None:
    """How many the runs of this day restricted in earlier months, the most of them; None where there were no runs."""
    counts = []
    local_day = func.date(func.timezone(str(zone), BillingRun.at))
    for back in range(1, _MONTHS_BACK + 1):
        day = _months_before(today, back)
        near = local_day.between(day - timedelta(days=1), day + timedelta(days=1))
        counts.append(session.scalar(select(func.sum(BillingRun.placed)).where(near)))
    known = [int(count) for count in counts if count is not None]
    return max(known) if known else None


def _months_before(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, min(day.day, 28))
