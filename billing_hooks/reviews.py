"""Reviews of decisions by a person, on the customer's request (LGPD, art. 20).

A customer asks, by whatever channel, and somebody takes it down. A person looks at the decision and what it was judged
by, and upholds it or undoes it. To undo it is to do what is right instead, chosen by that person and done in the same
transaction: access for a while, an exemption, or the invoice contested; what was restricted is given back by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import contracts, promises, suspension
from billing_hooks.models import BillingDecision, BillingReview, BillingRun, Remedy, ReviewOutcome, RunState
from billing_hooks.runs import Billing
from core import audit, events, invoices
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`answer` is what the customer is told. `until`: of a promise; `review_on`: of an exemption, if it has one."""

    outcome: ReviewOutcome
    answer: str
    remedy: Remedy | None = None
    until: datetime | None = None
    review_on: date | None = None

    def __post_init__(self) -> None:
        if (self.remedy is None) is (self.outcome is ReviewOutcome.UNDONE):
            raise InvalidInput("given where the decision is undone, and only there", field="remedy")
        if (self.until is None) is (self.remedy is Remedy.PROMISE):
            raise InvalidInput("given with a promise, and only there", field="until")
        if self.review_on is not None and self.remedy is not Remedy.EXEMPTION:
            raise InvalidInput("only an exemption has a day of review", field="review_on")


def get_decision(session: Session, decision_id: int, *, lock: bool = False) -> BillingDecision:
    decision = session.get(BillingDecision, decision_id, with_for_update=lock)
    if decision is None:
        raise NotFound("billing decision", decision_id)
    return decision


def get_review(session: Session, review_id: int, *, lock: bool = False) -> BillingReview:
    review = session.get(BillingReview, review_id, with_for_update=lock, populate_existing=lock)
    if review is None:
        raise NotFound("billing review", review_id)
    return review


def ask(
    session: Session, decision_id: int, *, asked_by: str, objection: str | None, actor: Actor, now: datetime
) -> BillingReview:
    """Raises NotFound, or Conflict where one is open already or nothing was done yet."""
    decision = get_decision(session, decision_id, lock=True)
    if session.get_one(BillingRun, decision.run_id).state is RunState.STOPPED:
        raise Conflict("the run was stopped, so nothing was done that could be reviewed")
    is_open = (BillingReview.decision_id == decision_id, BillingReview.reviewed_at.is_(None))
    already = session.scalar(select(BillingReview.id).where(*is_open))
    if already is not None:
        raise Conflict(f"review {already} of this decision is open already")
    review = BillingReview(
        decision_id=decision_id, asked_by=asked_by, objection=objection, asked_at=now, noted_by=actor.name
    )  # fmt: skip
    session.add(review)
    session.flush()
    audit.record(session, actor, "ask", "billing_review", review.id, {"decision_id": decision_id})
    events.record(session, "billing_review.asked", "contract", decision.contract_id, review_id=review.id)
    return review


def conclude(
    session: Session, review_id: int, conclusion: Conclusion, billing: Billing, actor: Actor, now: datetime
) -> BillingReview:
    """Uphold or undo. Raises NotFound, InvalidInput, Conflict where it is concluded or would stay restricted."""
    review = get_review(session, review_id, lock=True)
    if review.reviewed_at is not None:
        raise Conflict(f"review {review_id} is concluded: {review.outcome}")
    decision = get_decision(session, review.decision_id)
    if conclusion.remedy is not None:
        _undo(session, decision, conclusion, billing, actor, now)
    review.outcome, review.remedy, review.answer = conclusion.outcome, conclusion.remedy, conclusion.answer
    review.reviewed_by, review.reviewed_at = actor.name, now
    session.flush()
    told = {"outcome": conclusion.outcome, "remedy": conclusion.remedy}
    audit.record(session, actor, "review", "billing_review", review.id, {**told, "decision_id": decision.id})
    events.record(session, "billing_review.concluded", "contract", decision.contract_id, review_id=review.id, **told)
    return review


def _undo(
    session: Session, decision: BillingDecision, conclusion: Conclusion, billing: Billing, actor: Actor, now: datetime
) -> None:
    contract_id, answer = decision.contract_id, conclusion.answer
    suspension.lock_contract(session, contract_id)
    if conclusion.remedy is Remedy.PROMISE:
        assert conclusion.until is not None  # noqa: S101  (a Conclusion says so)
        promises.give_promise(session, contract_id, conclusion.until, actor, now, answer)
    elif conclusion.remedy is Remedy.EXEMPTION:
        terms = {"exemption": answer, "exemption_review_on": conclusion.review_on}
        contracts.update_terms(session, contract_id, terms, actor, now.astimezone(billing.zone).date())
    elif decision.invoice_id is None:
        raise InvalidInput("the decision is about no invoice that could be contested", field="remedy")
    else:
        invoice = invoices.get_invoice(session, decision.invoice_id, lock=True)
        invoices.set_contested(session, invoice, True, actor)
    billing.apply_standing(session, contract_id)
    case, verdict = billing.look(session, contract_id)
    if case.holds:
        raise Conflict(f"the contract would stay restricted: {verdict.reason}; choose another remedy", field="remedy")
