"""Runs over all contracts: the dry run and what each decided, as tables and spreadsheets; reviews of decisions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import Caller, Db, Given, Paged, RefFilter, Services, Who, list_page, matching, parse_id, reference
from api.edge import API_PREFIX
from api.idempotency import OnceOnly
from api.problems import problem
from api.resources.dunning import billing_of
from api.resources.views import text_id
from api.schemas import Input, Name, Output, PageOf, Text
from billing_hooks import reviews, sheets
from billing_hooks.explaining import explain
from billing_hooks.models import BillingDecision, BillingReview, BillingRun, Remedy, ReviewOutcome, RunState
from billing_hooks.reviews import Conclusion
from billing_hooks.runs import RunUnsafe
from billing_hooks.suspension import Change
from core import audit, parties
from core.errors import NotFound
from core.language import Language

run_routes = APIRouter(prefix="/billing-runs", tags=["billing-runs"])
decision_routes = APIRouter(tags=["billing-decisions"])
review_routes = APIRouter(prefix="/billing-reviews", tags=["billing-reviews"])

Json = dict[str, Any]
Action = Annotated[str | None, Query(max_length=20, description="place, ease, lift, tell, propose, wait or spare")]
_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {sheets.MEDIA_TYPE: {}}}}
_PIECE_OCTETS = 64 * 1024


class ChangeOut(Output):
    action: str
    contract_id: str
    customer: str
    logins: list[str]
    service_ids: list[str]
    effect: str | None
    policy: str
    step: str | None
    invoice_id: str | None
    reason: str
    reason_pt: str
    text_en: str | None
    text_pt: str | None


class RunIn(Input):
    """Nothing is to be said; a field is refused, such as the `force` of before, which now names its run."""


class RunOut(Output):
    """`stopped_for`: kinds of reasons (alarm, number, share, unusual); a run that was stopped can be forced."""

    id: str
    at: datetime
    state: RunState
    considered: int
    placed: int
    lifted: int
    messages: int
    forced_by: str | None
    chunks_left: int
    finished_at: datetime | None
    stopped_for: list[str]
    stopped_reason: str | None
    stopped_reason_pt: str | None


class DecisionOut(Output):
    """`facts`: what it was judged by; `explanation` says it all in words, by the policy as it was then."""

    id: str
    run_id: str
    contract_id: str
    action: str
    effect: str | None
    policy: str
    step: str | None
    invoice_id: str | None
    reason: str
    reason_pt: str
    service_ids: list[str]
    text_en: str | None
    text_pt: str | None
    facts: Json
    done_at: datetime | None
    outcome: str | None
    explanation: str
    explanation_pt: str


class AskIn(Input):
    """`asked_by`: who asks, as the holder by telephone; `objection`: what he says."""

    asked_by: Name
    objection: Text | None = None


class ConclusionIn(Input):
    """`answer` is what the customer is told. Who undoes a decision chooses what is right instead: a `promise` until a
    moment, an `exemption`, perhaps with a day of review, or the decision's invoice contested (`contest`)."""

    outcome: ReviewOutcome
    answer: Text
    remedy: Remedy | None = None
    until: AwareDatetime | None = None
    review_on: date | None = None


class ReviewOut(Output):
    id: str
    decision_id: str
    contract_id: str
    asked_by: str
    objection: str | None
    asked_at: datetime
    noted_by: str
    outcome: ReviewOutcome | None
    remedy: Remedy | None
    answer: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None


@run_routes.get("")
def list_runs(session: Db, _: Who, paged: Paged, state: RunState | None = None) -> PageOf[RunOut]:
    query = matching(select(BillingRun), (BillingRun.state, state))
    rows, cursor = list_page(session, query, BillingRun.id, paged)
    return PageOf(items=[_run_view(row) for row in rows], next_cursor=cursor)


@run_routes.get("/plan")
def plan(session: Db, _: Who, given: Given, action: Action = None) -> list[ChangeOut]:
    """The dry run: who, what, why, by which rule, and with which message; who waits and who is spared, too."""
    return [change_view(change) for change in billing_of(given).changes(session) if action in {None, change.action}]


@run_routes.get("/plan.xlsx", response_class=Response, responses=_SHEET)
def plan_sheet(
    session: Db, caller: Who, given: Given, action: Action = None, language: Language = "pt_BR"
) -> Response:  # fmt: skip
    """The same as a spreadsheet."""
    changes = billing_of(given).changes(session)
    rows = (sheets.of_change(change) for change in changes if action in {None, change.action})
    name = f"plan-{given.clock().astimezone(given.zone):%Y-%m-%d-%H%M}.xlsx"
    return _sheet(session, caller, "plan", name, lambda file: sheets.write_plan(file, rows, language, given.zone))


@run_routes.post("", status_code=201, response_model=None)
def start_run(_: RunIn, session: Db, __: Who, given: Given) -> RunOut | Response:
    """Do it now. 204 where there is nothing to do; 409 where a person is to look first: the run that was stopped is at
    Location, with its list, and can be forced."""
    try:
        run = billing_of(given).run(session)
    except RunUnsafe as unsafe:  # an answer and no exception, or what it keeps would be rolled back
        at = {"Location": f"{API_PREFIX}/billing-runs/{unsafe.run_id}"}
        return problem(unsafe.status, unsafe.title, unsafe.detail, detail_pt=unsafe.detail_pt, headers=at)
    return Response(status_code=204) if run.id is None else _run_view(session.get_one(BillingRun, run.id))


@run_routes.get("/{run_id}")
def get_run(run_id: str, session: Db, _: Who) -> RunOut:
    return _run_view(_run(session, run_id))


@run_routes.post("/{run_id}/force")
def force_run(run_id: str, session: Db, caller: Who, given: Given) -> RunOut:
    """You have looked at its list: what of it is still right is done, and nothing else. Who says so is kept."""
    return _run_view(billing_of(given).force(session, parse_id(run_id, "billing run"), caller.actor))


@run_routes.get("/{run_id}/decisions")
def list_decisions(run_id: str, session: Db, _: Who, paged: Paged, given: Given) -> PageOf[DecisionOut]:
    """What was decided of each contract, by what rule, and what became of it; of a run that was stopped, what it would
    have done."""
    of_run = select(BillingDecision).where(BillingDecision.run_id == parse_id(run_id, "billing run"))
    rows, cursor = list_page(session, of_run, BillingDecision.id, paged)
    return PageOf(items=_decision_views(session, rows, given), next_cursor=cursor)


@run_routes.get("/{run_id}/decisions.xlsx", response_class=Response, responses=_SHEET)
def decisions_sheet(
    run_id: str, session: Db, caller: Who, given: Given, language: Language = "pt_BR"
) -> Response:  # fmt: skip
    """The same as a spreadsheet."""
    run = _run(session, run_id)
    rows = sheets.decisions_of(session, run.id)
    name = f"run-{run.id}.xlsx"
    return _sheet(session, caller, run.id, name, lambda file: sheets.write_decisions(file, rows, language, given.zone))


@decision_routes.get("/contracts/{contract_id}/decisions")
def list_decisions_of_contract(
    contract_id: str, session: Db, _: Who, paged: Paged, given: Given
) -> PageOf[DecisionOut]:
    """All that was ever decided of it by itself, each explained."""
    contract = parties.get_contract(session, parse_id(contract_id, "contract"))
    of_contract = select(BillingDecision).where(BillingDecision.contract_id == contract.id)
    rows, cursor = list_page(session, of_contract, BillingDecision.id, paged)
    return PageOf(items=_decision_views(session, rows, given), next_cursor=cursor)


@decision_routes.get("/billing-decisions/{decision_id}")
def get_decision(decision_id: str, session: Db, _: Who, given: Given) -> DecisionOut:
    found = reviews.get_decision(session, parse_id(decision_id, "billing decision"))
    return _decision_views(session, [found], given)[0]


@decision_routes.post("/billing-decisions/{decision_id}/review", status_code=201, response_model=ReviewOut)
def ask_for_review(decision_id: str, body: AskIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """The customer wants a person to look at it (LGPD, art. 20)."""
    review = reviews.ask(
        session, parse_id(decision_id, "billing decision"), asked_by=body.asked_by, objection=body.objection,
        actor=caller.actor, now=given.clock(),
    )  # fmt: skip
    return once.created(_review_views(session, [review])[0])


@review_routes.get("")
def list_reviews(
    session: Db, _: Who, paged: Paged, open: bool | None = None, decision_id: RefFilter = None  # noqa: A002
) -> PageOf[ReviewOut]:  # fmt: skip
    """`open=true`: those that wait for a person."""
    wanted = reference(decision_id, "decision_id")
    query = matching(select(BillingReview), (BillingReview.decision_id, wanted))
    if open is not None:
        reviewed = BillingReview.reviewed_at
        query = query.where(reviewed.is_(None) if open else reviewed.is_not(None))
    rows, cursor = list_page(session, query, BillingReview.id, paged)
    return PageOf(items=_review_views(session, rows), next_cursor=cursor)


@review_routes.get("/{review_id}")
def get_review(review_id: str, session: Db, _: Who) -> ReviewOut:
    return _review_views(session, [reviews.get_review(session, parse_id(review_id, "billing review"))])[0]


@review_routes.post("/{review_id}/conclude")
def conclude_review(review_id: str, body: ConclusionIn, session: Db, caller: Who, given: Given) -> ReviewOut:
    """A person has looked: upheld, or undone, and then what is right is done at once."""
    conclusion = Conclusion(**body.model_dump())
    found = parse_id(review_id, "billing review")
    review = reviews.conclude(session, found, conclusion, billing_of(given), caller.actor, given.clock())
    return _review_views(session, [review])[0]


def _run(session: Session, run_id: str) -> BillingRun:
    run = session.get(BillingRun, parse_id(run_id, "billing run"))
    if run is None:
        raise NotFound("billing run", run_id)
    return run


def _sheet(session: Session, caller: Caller, run: object, name: str, write: Callable[[IO[bytes]], int]) -> Response:
    """The file in pieces; it is gone once it was read, or once whoever asked is. Who took it is in the audit log."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the answer closes it)
    audit.record(session, caller.actor, "export", "billing_run", run, {"rows": write(file)})
    size = file.tell()
    file.seek(0)

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE_OCTETS):
                yield piece

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(pieces(), media_type=sheets.MEDIA_TYPE, headers=headers)


def change_view(change: Change) -> ChangeOut:
    words = change.words
    return ChangeOut(
        action=change.action, contract_id=str(change.contract_id), customer=change.customer,
        logins=list(change.logins), service_ids=[str(one) for one in change.service_ids], effect=change.effect,
        policy=change.policy, step=change.step, invoice_id=text_id(change.invoice_id), reason=change.reason,
        reason_pt=change.reason_pt, text_en=words.en if words else None, text_pt=words.pt if words else None,
    )  # fmt: skip


def _run_view(row: BillingRun) -> RunOut:
    return RunOut(
        id=str(row.id), at=row.at, state=row.state, considered=row.considered, placed=row.placed, lifted=row.lifted,
        messages=row.messages, forced_by=row.forced_by, chunks_left=row.chunks_left, finished_at=row.finished_at,
        stopped_for=row.stopped_for.split(",") if row.stopped_for else [], stopped_reason=row.stopped_reason,
        stopped_reason_pt=row.stopped_reason_pt,
    )  # fmt: skip


def _decision_views(session: Session, rows: Sequence[BillingDecision], given: Services) -> list[DecisionOut]:
    found = select(BillingRun).where(BillingRun.id.in_({row.run_id for row in rows}))
    runs = {run.id: run for run in session.scalars(found)}
    return [_decision_view(row, runs[row.run_id], given) for row in rows]


def _decision_view(row: BillingDecision, run: BillingRun, given: Services) -> DecisionOut:
    words = explain(row, run, given.zone)
    return DecisionOut(
        id=str(row.id), run_id=str(row.run_id), contract_id=str(row.contract_id), action=row.action,
        effect=row.effect, policy=row.policy, step=row.step, invoice_id=text_id(row.invoice_id), reason=row.reason,
        reason_pt=row.reason_pt, service_ids=[str(one) for one in row.service_ids], text_en=row.text_en,
        text_pt=row.text_pt, facts=row.facts, done_at=row.done_at, outcome=row.outcome, explanation=words.en,
        explanation_pt=words.pt,
    )  # fmt: skip


def _review_views(session: Session, rows: Sequence[BillingReview]) -> list[ReviewOut]:
    decided = select(BillingDecision.id, BillingDecision.contract_id)
    found = session.execute(decided.where(BillingDecision.id.in_({row.decision_id for row in rows})))
    contracts = {one.id: one.contract_id for one in found}
    return [_review_view(row, contracts[row.decision_id]) for row in rows]


def _review_view(row: BillingReview, contract_id: int) -> ReviewOut:
    return ReviewOut(
        id=str(row.id), decision_id=str(row.decision_id), contract_id=str(contract_id),
        asked_by=row.asked_by, objection=row.objection, asked_at=row.asked_at, noted_by=row.noted_by,
        outcome=row.outcome, remedy=row.remedy, answer=row.answer, reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
    )  # fmt: skip
