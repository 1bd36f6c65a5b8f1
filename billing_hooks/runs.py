"""Runs over all contracts: facts -> verdicts (pure) -> plan -> guard -> chunks.

`apply_standing` is for one contract whose standing may have changed: it only ever gives back, so that a payment
restores within a second and at any hour. `run` looks at every contract that owes something or is restricted, and also
places, reminds, gives notice and proposes.

A run evaluates everybody and passes the guard as a whole before anything is done. Then it is owed in chunks, each a
transaction of its own: no lock is held long, and what dies in the middle goes on from the chunk that was not committed.
A chunk judges each contract again under the contract's lock and does only what the plan said and is still right, so it
may run twice, late, or beside another run: a hold that is there is not placed twice, a message is not told twice.

What the guard stops is kept as a run that was stopped, with its whole list; only what gives access back goes on. A
person who has looked at the list forces that run: the same chunks, judged again as ever, and nobody beside the list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing_hooks import alarms, decisions, guard, messages, policies, suspension
from billing_hooks.cases import Case, facts_of, read_cases
from billing_hooks.days import Calendar, Holidays
from billing_hooks.follow.models import FollowedContract
from billing_hooks.guard import Stop, StopKind
from billing_hooks.invoicing.words import Words, columns
from billing_hooks.models import BillingDecision, BillingRun, Promise, PromiseKind, RunState
from billing_hooks.policies import Policies
from billing_hooks.policy import to_body
from billing_hooks.standing import Message, Standing
from billing_hooks.suspension import Change
from core import audit, events, outbox, topics
from core.access import HoldReason
from core.audit import Actor
from core.clock import Clock
from core.cycles import begins_at
from core.errors import Conflict, NotFound, ProvedorError
from core.models.billing import Invoice, InvoiceStatus
from core.models.service import Hold, Service
from core.work import chunks

#: Contracts done in one transaction: a payment for one of them waits for it, a tenth of a second at most.
CHUNK: Final = 25
#: Contracts whose facts are read at once.
_PAGE: Final = 1000
#: What a run owes, in this order: giving back goes first.
DONE: Final = ("lift", "ease", "tell", "place", "propose")
#: What no guard holds up.
_GIVES_BACK: Final = frozenset({"lift", "ease"})
log = structlog.get_logger()


class RunUnsafe(Conflict):
    """A person looks first at what the run would do: the list of the run `run_id`, which can be forced.

    That run is kept by the transaction in which this was raised, so it is caught in there.
    """

    def __init__(self, run_id: int, reason: Words) -> None:
        super().__init__(
            f"{reason.en}; look at the list of run {run_id}, then force it",
            detail_pt=f"{reason.pt}; olhe a lista da rodada {run_id} e depois mande fazê-la",
        )
        self.run_id = run_id


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
        action, run_id, contract_ids = payload["action"], payload["run_id"], payload["contract_ids"]
        rows = decisions.of_chunk(session, run_id, action, contract_ids)
        done = sum(self._do(session, engine, action, one, rows[one]) for one in contract_ids)
        counts = {"place": BillingRun.placed, "lift": BillingRun.lifted, "tell": BillingRun.messages}
        values: dict[Any, Any] = {BillingRun.chunks_left: BillingRun.chunks_left - 1}
        if action in counts:
            values[counts[action]] = counts[action] + done
        session.execute(update(BillingRun).where(BillingRun.id == run_id).values(values))
        finished = update(BillingRun).where(BillingRun.id == run_id, BillingRun.chunks_left <= 0)
        session.execute(finished.values(finished_at=self.clock(), state=RunState.DONE))

    def look(self, session: Session, contract_id: int) -> tuple[Case, Standing]:
        """One contract as it stands now, for people. Raises NotFound."""
        cases = read_cases(session, [contract_id], policies.load(session), self.clock())
        if not cases:
            raise NotFound("contract", contract_id)
        return cases[0], suspension.verdict_on(cases[0], self.clock(), self.zone)

    def apply_standing(self, session: Session, contract_id: int) -> bool:
        """Give back what its standing no longer asks for; True where something was."""
        suspension.lock_contract(session, contract_id)
        if not suspension.is_restricted(session, contract_id):
            return False
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

    def run(self, session: Session, *, contract_ids: Collection[int] | None = None) -> Run:
        """Evaluate everybody, or these contracts, and owe what is to be done in chunks. Raises RunUnsafe; then only
        what gives back is."""
        engine, now = self._engine(session), self.clock()
        plan = [change for change in self._changes(session, engine, contract_ids) if change.action in DONE]
        stops = guard.find_stops(session, plan, engine.policies.all(), engine.calendar, now)
        if not stops:
            return Run(_owe(session, engine, plan, now), plan)
        _owe(session, engine, [change for change in plan if change.action in _GIVES_BACK], now)
        stopped = [change for change in plan if change.action not in _GIVES_BACK]
        reason = Words("; ".join(stop.words.pt for stop in stops), "; ".join(stop.words.en for stop in stops))
        raise RunUnsafe(_keep_stopped(session, engine, stopped, stops, reason, now), reason)

    def force(self, session: Session, run_id: int, actor: Actor) -> BillingRun:
        """A person has looked at the list of a run that was stopped: owe it. Raises NotFound or Conflict."""
        run = session.get(BillingRun, run_id, with_for_update=True, populate_existing=True)
        if run is None:
            raise NotFound("billing run", run_id)
        if run.state is not RunState.STOPPED:
            raise Conflict(f"run {run_id} is {run.state}, not stopped")
        engine = self._engine(session)
        if StopKind.ALARM not in (run.stopped_for or "").split(","):
            for alarm in alarms.gather(session, engine.calendar, self.clock()):
                why = alarms.in_doubt(alarm)
                raise Conflict(
                    f"since that list was made, {why.en}", detail_pt=f"depois que essa lista foi feita, {why.pt}"
                )
        run.state, run.forced_by = RunState.RUNNING, actor.name
        decided = select(BillingDecision.action, BillingDecision.contract_id).where(BillingDecision.run_id == run_id)
        _owe_chunks(
            session, run, [(what, whom) for what, whom in session.execute(decided.order_by(BillingDecision.id))]
        )
        audit.record(session, actor, "force", "billing_run", run_id, {"decisions": run.considered})
        events.record(session, "billing.run_forced", "billing_run", run_id, forced_by=actor.name)
        return run

    def plan(self, session: Session) -> list[Change]:
        """What a run would do now, and why, in the order of the contracts; with who must "wait", and who is spared."""
        return list(self.changes(session))

    def changes(self, session: Session) -> Iterator[Change]:
        """The plan, contract by contract, for whom it is too long to hold."""
        return self._changes(session, self._engine(session))

    def stops(self, session: Session, plan: Sequence[Change]) -> list[Stop]:
        """Why a run that did this would be stopped."""
        engine = self._engine(session)
        return guard.find_stops(session, plan, engine.policies.all(), engine.calendar, self.clock())

    def _changes(
        self, session: Session, engine: Engine, contract_ids: Collection[int] | None = None
    ) -> Iterator[Change]:
        now = self.clock()
        candidates = _candidates(session, engine, now) if contract_ids is None else sorted(contract_ids)
        for page in chunks(candidates, _PAGE):
            for case in read_cases(session, page, engine.policies, now):
                yield from engine.changes(case, now)

    def _do(
        self, session: Session, engine: Engine, action: str, contract_id: int, rows: Sequence[BillingDecision]
    ) -> bool:
        """Judge again under the contract's lock, and do of what was decided only what is still right.

        A contract that cannot be done is told as an event and does not keep the others waiting.
        """
        suspension.lock_contract(session, contract_id)
        now = self.clock()
        (case,) = read_cases(session, [contract_id], engine.policies, now)
        wanted = [change for change in engine.changes(case, now) if change.action == action]
        right = [decisions.still_right(row, wanted) for row in rows]
        failed = None
        try:
            with session.begin_nested():
                for change in filter(None, right):
                    _apply(session, case, change, now)
        except ProvedorError as error:
            events.record(session, "billing.contract_failed", "contract", contract_id, detail=error.detail)
            log.warning("contract could not be done", contract_id=contract_id, action=action, detail=error.detail)
            failed = error.detail
        for row, found in zip(rows, right, strict=True):
            decisions.conclude(row, found, now, failed)
        return failed is None and any(right)

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
        found += [_put_off(case, message, today) for message in verdict.silenced]
        return found + [self._telling(case, message, today) for message in verdict.messages]

    def _telling(self, case: Case, message: Message, today: date) -> Change:
        words = messages.text_of(message, case, self.calendar, today)
        return replace(_about(case, message, today), action="tell", message=message, words=words)


def _about(case: Case, message: Message, today: date) -> Change:
    """That nothing is said of an invoice for now, and which step would be next."""
    reason = messages.reason_of(message, case, today)
    return Change(
        "wait", case.contract_id, case.customer, (), case.policy.name, message.step.name, message.invoice_id,
        reason.en, reason.pt, logins=case.logins, facts=facts_of(case),
    )  # fmt: skip


def _put_off(case: Case, message: Message, today: date) -> Change:
    """A message that waits for the end of an incident."""
    change, incident = _about(case, message, today), case.debtor.incident
    return replace(
        change,
        reason=f"{change.reason}; told after the open incident {incident}",
        reason_pt=f"{change.reason_pt}; avisado depois do incidente aberto {incident}",
    )


def _apply(session: Session, case: Case, change: Change, now: datetime) -> None:
    if change.message is not None and change.words is not None:
        messages.record(session, case, change.message, change.words)
    elif change.action == "propose":
        suspension.propose_termination(session, case, change, now)
    else:
        suspension.apply(session, case, change, now)


def _owe(session: Session, engine: Engine, plan: Sequence[Change], now: datetime) -> int | None:
    """A run that does this; None where there is nothing to do."""
    if not plan:
        return None
    run = _record(session, engine, plan, BillingRun(considered=len(plan), at=now))
    _owe_chunks(session, run, [(change.action, change.contract_id) for change in plan])
    return run.id


def _record(session: Session, engine: Engine, plan: Sequence[Change], run: BillingRun) -> BillingRun:
    """The run with its decisions, and the policies that they were made by."""
    used = {change.policy for change in plan}
    run.policies = {policy.name: to_body(policy) for policy in engine.policies.all() if policy.name in used}
    session.add(run)
    session.flush()
    decisions.keep(session, run.id, plan)
    return run


def _owe_chunks(session: Session, run: BillingRun, decided: Sequence[tuple[str, int]]) -> None:
    for action in DONE:
        contract_ids = dict.fromkeys(contract_id for what, contract_id in decided if what == action)
        owed = [{"run_id": run.id, "action": action, "contract_ids": some} for some in chunks(contract_ids, CHUNK)]
        outbox.enqueue_all(session, topics.BILLING_CHUNK, owed)
        run.chunks_left += len(owed)
    session.flush()


def _keep_stopped(
    session: Session, engine: Engine, plan: Sequence[Change], stops: Sequence[Stop], reason: Words, now: datetime
) -> int:
    """The id of the run that a person is asked about: today's for the same kinds of reasons as long as nothing was
    added to its list, so that it can be looked at in peace; else a new one in its place."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("billing run stopped", 0))))
    kinds = ",".join(sorted({stop.kind for stop in stops}))
    midnight = begins_at(now.astimezone(engine.calendar.zone).date(), engine.calendar.zone)
    same = (BillingRun.state == RunState.STOPPED, BillingRun.stopped_for == kinds, BillingRun.at >= midnight)
    for earlier in session.scalars(select(BillingRun).where(*same).with_for_update()).all():
        if decisions.covers(session, earlier.id, plan):
            earlier.stopped_reason, earlier.stopped_reason_pt = reason.en, reason.pt
            return earlier.id
        session.delete(earlier)
    stopped = BillingRun(
        considered=len(plan), at=now, state=RunState.STOPPED, stopped_for=kinds, **columns("stopped_reason", reason)
    )  # fmt: skip
    run = _record(session, engine, plan, stopped)
    events.record(
        session, "billing.run_stopped", "billing_run", run.id, **columns("detail", reason), decisions=run.considered
    )
    return run.id


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
