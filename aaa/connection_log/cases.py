"""Requests of authorities as cases: entered, searched, approved by a second person, answered on signed paper.

What is found is copied into the case, so it is preserved when the log itself forgets, and reads as it did on that day.
Every step has its audit entry, every search its entries in the log of lookups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session, undefer

from aaa.connection_log.case_states import PRESERVATION, Step, check_second_person, next_state
from aaa.connection_log.find import Question
from aaa.connection_log.lookups import as_json, holder_json, look_up
from aaa.connection_log.models import CaseKind, CaseState, JudicialRequest
from core import audit
from core.audit import Actor
from core.errors import InvalidInput, NotFound
from core.parties import holders_of, services_known_as

#: From the case, the answer on paper.
Draw = Callable[[JudicialRequest], bytes]


def visible_to(actor: Actor, *, admin: bool) -> ColumnElement[bool]:
    """Which cases somebody may know of: a secret one only its people and administrators."""
    if admin:
        return JudicialRequest.id.is_not(None)
    return or_(JudicialRequest.secret.is_(False), JudicialRequest.people.contains([actor.name]))


def create_case(session: Session, values: Mapping[str, Any], actor: Actor) -> JudicialRequest:
    """Raises InvalidInput where the law wants more than is given."""
    kind = CaseKind(values["kind"])
    if kind is CaseKind.RECORDS and not values.get("order_number"):
        raise InvalidInput("connection records are disclosed by court order only (art. 13 §5)", field="order_number")
    if kind is not CaseKind.RECORDS and not values.get("legal_basis"):
        raise InvalidInput("name the law that lets this authority ask", field="legal_basis")
    people = sorted({actor.name, *values.get("people", [])})
    case = JudicialRequest(**{**values, "kind": kind, "people": people, "created_by": actor.name})
    if kind is CaseKind.PRESERVATION:
        case.preserved_until = case.received_at + PRESERVATION
    session.add(case)
    return _step(session, case, actor, "create", {"kind": kind, "authority": case.authority})


def get_case(session: Session, case_id: int, actor: Actor, *, admin: bool, whole: bool = False) -> JudicialRequest:
    """Raises NotFound, also for a secret case that is not the caller's; `whole` with its document."""
    query = select(JudicialRequest).where(JudicialRequest.id == case_id, visible_to(actor, admin=admin))
    found = session.scalar(query.options(undefer(JudicialRequest.document)) if whole else query)
    if found is None:
        raise NotFound("judicial request", case_id)
    return found


def search_registration(
    session: Session, case: JudicialRequest, subjects: Sequence[Mapping[str, str | None]], actor: Actor, now: datetime
) -> JudicialRequest:
    """Who somebody is, by login or document; nothing of connections is looked at."""
    case.state = next_state(case.kind, case.state, Step.SEARCH)
    answers = []
    for subject in subjects:
        ids = services_known_as(session, login=subject.get("login"), document=subject.get("document"))
        found = holders_of(session, ids)
        answers.append({"subject": dict(subject), "customers": [holder_json(found[one]) for one in ids]})
    case.findings = {"answers": answers}
    case.searched_by, case.searched_at = actor.name, now
    return _step(session, case, actor, "search", {"subjects": len(subjects)})


def search(
    session: Session, case: JudicialRequest, questions: Sequence[Question], actor: Actor, now: datetime
) -> JudicialRequest:
    """Find and preserve; findings of an earlier search are replaced."""
    case.state = next_state(case.kind, case.state, Step.SEARCH)
    reason = f"judicial request {case.id}"
    answers = [look_up(session, one, actor=actor, reason=reason) for one in questions]
    case.findings = {"answers": [as_json(*answer, "pt_BR") for answer in answers]}
    case.searched_by, case.searched_at = actor.name, now
    return _step(session, case, actor, "search", {"candidates": sum(len(found) for _, found in answers)})


def add_order(session: Session, case: JudicialRequest, order_number: str, actor: Actor) -> JudicialRequest:
    """The court's order came: what was preserved may be disclosed, and no longer lapses."""
    case.state = next_state(case.kind, case.state, Step.ORDER)
    case.kind, case.order_number, case.preserved_until = CaseKind.RECORDS, order_number, None
    return _step(session, case, actor, "order", {"order_number": order_number})


def approve(session: Session, case: JudicialRequest, actor: Actor, now: datetime) -> JudicialRequest:
    case.state = next_state(case.kind, case.state, Step.APPROVE)
    check_second_person(case.searched_by, actor.name)
    case.approved_by, case.approved_at = actor.name, now
    if actor.name not in case.people:
        case.people = [*case.people, actor.name]
    return _step(session, case, actor, "approve", {})


def answer(session: Session, case: JudicialRequest, draw: Draw, actor: Actor, now: datetime) -> JudicialRequest:
    """Draw and sign the answer; it is kept as it went out."""
    case.state = next_state(case.kind, case.state, Step.ANSWER)
    case.closed_by, case.closed_at = actor.name, now
    case.document = draw(case)
    case.document_sha256 = hashlib.sha256(case.document).hexdigest()
    return _step(session, case, actor, "answer", {"document_sha256": case.document_sha256})


def close(
    session: Session, case: JudicialRequest, step: Step, reason: str, actor: Actor, now: datetime
) -> JudicialRequest:
    """Refuse or withdraw; what was preserved for it is let go."""
    case.state = next_state(case.kind, case.state, step)
    case.closed_by, case.closed_at, case.close_reason = actor.name, now, reason
    case.findings = None
    return _step(session, case, actor, step.value, {"reason": reason})


def expire_preservations(session: Session, *, now: datetime) -> int:
    """Art. 13 §4: without an order in time a preservation request has no effect, and what it kept is let go."""
    lapsed = session.execute(
        update(JudicialRequest)
        .where(
            JudicialRequest.kind == CaseKind.PRESERVATION,
            JudicialRequest.state.in_([CaseState.DRAFT, CaseState.SEARCHED]),
            JudicialRequest.preserved_until < now,
        )
        .values(
            state=CaseState.EXPIRED, findings=None, closed_at=now, closed_by="system:connection-log",
            version=JudicialRequest.version + 1,
        )
        .returning(JudicialRequest.id)
    ).scalars()  # fmt: skip
    ids = list(lapsed)
    for case_id in ids:
        audit.record(session, Actor("system:connection-log"), "expire", "judicial_request", case_id, {})
    return len(ids)


def _step(
    session: Session, case: JudicialRequest, actor: Actor, action: str, changes: dict[str, Any]
) -> JudicialRequest:
    session.flush()
    session.refresh(case)
    _audit(session, actor, case, action, changes)
    return case


def _audit(session: Session, actor: Actor, case: JudicialRequest, action: str, changes: dict[str, Any]) -> None:
    audit.record(session, actor, action, "judicial_request", case.id, {**changes, "state": case.state})
