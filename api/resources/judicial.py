"""Requests of authorities as cases, from the letter to the signed answer."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field, StringConstraints
from sqlalchemy import select

from aaa.connection_log import cases
from aaa.connection_log.case_states import Step
from aaa.connection_log.document import AnswerDocument
from aaa.connection_log.find import Question, read_question
from aaa.connection_log.models import CaseKind, CaseState, JudicialRequest
from aaa.connection_log.moments import TOLERANCE_S
from aaa.connection_log.signing import SigningKey
from api.context import Caller, Db, Given, Paged, Services, Who, list_page, matching, parse_id, tagged
from api.idempotency import OnceOnly
from api.resources.connection_log import Port
from api.schemas import Day, Flag, Input, Login, Number, Output, PageOf, Plain, Text
from core import audit
from core.errors import Conflict, InvalidInput, NotFound
from core.language import Language
from core.models.system import Role

case_routes = APIRouter(prefix="/judicial-requests", tags=["judicial-requests"])

Moment = Annotated[str, StringConstraints(min_length=1, max_length=64), Plain]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=200), Plain]


class QuestionIn(Input):
    """An address at a time (`at`, or `from` and `until`), for records; a login or a document, for registration data."""

    ip: Annotated[str, StringConstraints(min_length=2, max_length=64), Plain] | None = None
    port: Port | None = None
    at: Moment | None = None
    from_: Moment | None = Field(None, alias="from")
    until: Moment | None = None
    zone: Moment | None = None
    login: Login | None = None
    document: Text | None = None


class CaseIn(Input):
    kind: CaseKind
    authority: Text
    order_number: Text | None = None
    legal_basis: Text | None = None
    received_at: AwareDatetime
    deadline: Day | None = None
    secret: Flag = True
    people: Annotated[list[PersonName], Field(max_length=20)] = Field(default_factory=list)
    questions: Annotated[list[QuestionIn], Field(min_length=1, max_length=50)]
    tolerance_seconds: Annotated[int, Field(ge=0, le=3600), Number] = TOLERANCE_S


class OrderIn(Input):
    order_number: Text


class CloseIn(Input):
    reason: Text


class AnswerIn(Input):
    language: Language = "pt_BR"


class CaseOut(Output):
    id: str
    kind: CaseKind
    state: CaseState
    authority: str
    order_number: str | None
    legal_basis: str | None
    received_at: datetime
    deadline: date | None
    preserved_until: datetime | None
    secret: bool
    people: list[str]
    questions: list[dict[str, Any]]
    findings: dict[str, Any] | None
    created_by: str
    searched_by: str | None
    searched_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    closed_by: str | None
    closed_at: datetime | None
    close_reason: str | None
    document_sha256: str | None
    version: int


@case_routes.get("")
def list_cases(
    session: Db, caller: Who, paged: Paged, state: CaseState | None = None, kind: CaseKind | None = None
) -> PageOf[CaseOut]:
    """Secret cases appear to their people and to administrators only. Findings are in each case, not in the list."""
    visible = select(JudicialRequest).where(cases.visible_to(caller.actor, admin=_admin(caller)))
    query = matching(visible, (JudicialRequest.state, state), (JudicialRequest.kind, kind))
    rows, cursor = list_page(session, query, JudicialRequest.id, paged)
    return PageOf(items=[_view(row, with_findings=False) for row in rows], next_cursor=cursor)


@case_routes.post("", status_code=201, response_model=CaseOut)
def create_case(body: CaseIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    """Questions are read now, so that a wrong one is found while the letter is at hand."""
    values = body.model_dump(exclude={"questions", "tolerance_seconds"})
    asked = [one.model_dump(by_alias=True, exclude_none=True) for one in body.questions]
    values |= {"questions": {"asked": asked}, "tolerance_s": body.tolerance_seconds}
    for place, one in enumerate(asked):
        _check_question(body.kind, one, place, body.tolerance_seconds)
    return once.created(_view(cases.create_case(session, values, caller.actor)))


@case_routes.get("/{case_id}")
def get_case(case_id: str, session: Db, caller: Who, response: Response) -> CaseOut:
    case = _case(session, case_id, caller)
    if case.findings is not None:
        audit.record(session, caller.actor, "reveal", "judicial_request", case.id, {})
    return tagged(response, _view(case))


@case_routes.post("/{case_id}/search")
def search(case_id: str, session: Db, caller: Who, given: Given) -> CaseOut:
    """Find and keep. The caller cannot approve this case any more."""
    case = _case(session, case_id, caller)
    asked = case.questions["asked"]
    if case.kind is CaseKind.REGISTRATION:
        return _view(cases.search_registration(session, case, asked, caller.actor, given.clock()))
    questions = [_question(one, case.tolerance_s) for one in asked]
    return _view(cases.search(session, case, questions, caller.actor, given.clock()))


@case_routes.post("/{case_id}/order")
def add_order(case_id: str, body: OrderIn, session: Db, caller: Who) -> CaseOut:
    """The court's order for what was preserved: the case becomes one that may be answered."""
    return _view(cases.add_order(session, _case(session, case_id, caller), body.order_number, caller.actor))


@case_routes.post("/{case_id}/approve")
def approve(case_id: str, session: Db, caller: Who, given: Given) -> CaseOut:
    """By a second person: whoever searched is refused."""
    return _view(cases.approve(session, _case(session, case_id, caller), caller.actor, given.clock()))


@case_routes.post("/{case_id}/answer")
def answer(case_id: str, body: AnswerIn, session: Db, caller: Who, given: Given) -> CaseOut:
    """Draws and signs the document; GET …/document gives it."""
    case, now = _case(session, case_id, caller), given.clock()
    return _view(cases.answer(session, case, lambda one: _draw(one, given, body.language, now), caller.actor, now))


@case_routes.post("/{case_id}/refuse")
def refuse(case_id: str, body: CloseIn, session: Db, caller: Who, given: Given) -> CaseOut:
    case = _case(session, case_id, caller)
    return _view(cases.close(session, case, Step.REFUSE, body.reason, caller.actor, given.clock()))


@case_routes.post("/{case_id}/withdraw")
def withdraw(case_id: str, body: CloseIn, session: Db, caller: Who, given: Given) -> CaseOut:
    case = _case(session, case_id, caller)
    return _view(cases.close(session, case, Step.WITHDRAW, body.reason, caller.actor, given.clock()))


@case_routes.get("/{case_id}/document", response_class=Response, responses={200: {"content": {"application/pdf": {}}}})
def get_document(case_id: str, session: Db, caller: Who) -> Response:
    """The signed answer, as it went out."""
    case = _case(session, case_id, caller, whole=True)
    if case.document is None:
        raise NotFound("document of judicial request", case_id[:40])
    audit.record(session, caller.actor, "reveal", "judicial_request", case.id, {"document": case.document_sha256})
    name = {"Content-Disposition": f'attachment; filename="resposta-{case.id}.pdf"'}
    return Response(case.document, media_type="application/pdf", headers=name)


def no_key() -> SigningKey:
    raise Conflict("this node has no key to sign answers with")


def _draw(case: JudicialRequest, given: Services, language: Language, now: datetime) -> bytes:
    key = given.signing_key()
    drawn = AnswerDocument(
        provider=given.provider, language=language, zone=given.zone,
        signed_by=f"{key.subject} (SHA-256 {key.fingerprint})", own_key=key.own,
    ).draw(case, now)  # fmt: skip
    return key.sign(drawn, f"Lei 12.965/2014, caso {case.id}")


def _case(session: Db, case_id: str, caller: Caller, *, whole: bool = False) -> JudicialRequest:
    number = parse_id(case_id, "judicial request")
    return cases.get_case(session, number, caller.actor, admin=_admin(caller), whole=whole)


def _admin(caller: Caller) -> bool:
    return caller.role is Role.ADMIN


def _check_question(kind: CaseKind, asked: dict[str, Any], place: int, tolerance_s: int) -> None:
    named = {"login", "document"} & set(asked)
    if kind is CaseKind.REGISTRATION:
        if len(named) != 1 or set(asked) != named:
            raise InvalidInput("registration data is asked for by a login or a document", field=f"questions.{place}")
        return
    if named or "ip" not in asked:
        raise InvalidInput("connection records are asked for by an address and a time", field=f"questions.{place}.ip")
    try:
        _question(asked, tolerance_s)
    except InvalidInput as error:
        raise InvalidInput(error.detail, field=f"questions.{place}.{error.field}") from None


def _question(asked: dict[str, Any], tolerance_s: int) -> Question:
    return read_question(
        asked["ip"], asked.get("port"), at=asked.get("at"), first=asked.get("from"), last=asked.get("until"),
        zone=asked.get("zone"), tolerance=timedelta(seconds=tolerance_s),
    )  # fmt: skip


def _view(case: JudicialRequest, *, with_findings: bool = True) -> CaseOut:
    return CaseOut(
        id=str(case.id), kind=case.kind, state=case.state, authority=case.authority, order_number=case.order_number,
        legal_basis=case.legal_basis, received_at=case.received_at, deadline=case.deadline,
        preserved_until=case.preserved_until, secret=case.secret, people=case.people,
        questions=case.questions["asked"], findings=case.findings if with_findings else None,
        created_by=case.created_by, searched_by=case.searched_by, searched_at=case.searched_at,
        approved_by=case.approved_by, approved_at=case.approved_at, closed_by=case.closed_by,
        closed_at=case.closed_at, close_reason=case.close_reason, document_sha256=case.document_sha256,
        version=case.version,
    )  # fmt: skip
