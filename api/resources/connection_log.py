"""The connection log, the log of its lookups, and the rules of deterministic NATs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field, StringConstraints
from sqlalchemy import select

from aaa.connection_log import lookups, nat_rules
from aaa.connection_log.find import read_question
from aaa.connection_log.models import LogLookup, NatOrder, NatRule
from api.access import mask, sees_personal_data
from api.context import Db, Filter, Given, Paged, Who, list_page, matching, parse_id
from api.idempotency import OnceOnly
from api.resources.views import log_reveal
from api.schemas import NO_NUL, Input, Name, Number, Output, PageOf
from core.language import Language
from core.models.system import Role

log_routes = APIRouter(prefix="/connection-log", tags=["connection-log"])
lookup_routes = APIRouter(prefix="/connection-lookups", tags=["connection-lookups"])
rule_routes = APIRouter(prefix="/nat-rules", tags=["nat-rules"])

Asked = Annotated[str, Query(min_length=1, max_length=64, pattern=NO_NUL)]
Reason = Annotated[
    str, Query(min_length=3, max_length=500, pattern=NO_NUL, description="why: a case, a ticket; it is kept")
]
Ip = Annotated[str, StringConstraints(min_length=2, max_length=45, pattern=r"^[0-9.]+$")]
Port = Annotated[int, Field(ge=1, le=65535), Number]


class CustomerFound(Output):
    service_id: str
    service_status: str
    contract_id: str
    customer_id: str
    name: str
    kind: str
    document: str | None
    address: dict[str, Any]


class CandidateOut(Output):
    how: str
    how_in_words: str
    address: str
    port_first: int | None
    port_last: int | None
    inside_address: str | None
    started_at: datetime
    ended_at: datetime | None
    end_kind: str | None
    end_in_words: str
    heard_at: datetime | None
    told_by: str
    login: str | None
    acct_session_id: str | None
    calling_station_id: str | None
    notes: list[str]
    in_words: list[str]
    customer: CustomerFound | None


class AnswerOut(Output):
    question: dict[str, Any]
    tolerance_seconds: int
    notes: list[str]
    in_words: list[str]
    candidates: list[CandidateOut]


class LookupOut(Output):
    id: str
    at: datetime
    actor: str
    source: str | None
    reason: str
    question: dict[str, Any]
    results: int


class NatRuleIn(Input):
    """A deterministic NAT as it is configured from `valid_from` on; see docs/connection-log.md for `order`."""

    name: Name
    inside_first: Ip
    inside_last: Ip
    outside_first: Ip
    outside_last: Ip
    ports_per_subscriber: Port
    first_port: Port = 1024
    last_port: Port = 65535
    order: NatOrder = NatOrder.PORTS_FIRST
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None


class NatRuleOut(Output):
    id: str
    name: str
    inside_first: str
    inside_last: str
    outside_first: str
    outside_last: str
    ports_per_subscriber: int
    first_port: int
    last_port: int
    order: NatOrder
    valid_from: datetime
    valid_until: datetime | None
    version: int


@log_routes.get("")
def look_up(
    session: Db,
    caller: Who,
    ip: Asked,
    reason: Reason,
    port: Annotated[int | None, Query(ge=1, le=65535)] = None,
    at: Asked | None = None,
    from_: Annotated[Asked | None, Query(alias="from")] = None,
    until: Asked | None = None,
    zone: Asked | None = None,
    language: Language = "pt_BR",
) -> AnswerOut:
    """Who held this address at that time: `at`, or `from` and `until`, with an offset or in `zone`.

    The lookup itself is kept: who asked, from where, why. Without `port` a shared address has several candidates.
    """
    question = read_question(ip, port, at=at, first=from_, last=until, zone=zone)
    answer, findings = lookups.look_up(session, question, actor=caller.actor, reason=reason)
    found = AnswerOut.model_validate(lookups.as_json(answer, findings, language))
    services = sorted({one.holder.service_id for one in findings if one.holder is not None})
    log_reveal(session, caller.role, caller.actor, "service", services)
    return _masked(found, caller.role)


@lookup_routes.get("")
def list_lookups(session: Db, _: Who, paged: Paged, actor: Filter = None, reason: Filter = None) -> PageOf[LookupOut]:
    """Who looked into the connection log, and why. Entries are added and never changed."""
    query = matching(select(LogLookup), (LogLookup.actor, actor), (LogLookup.reason, reason))
    rows, cursor = list_page(session, query, LogLookup.id, paged)
    return PageOf(items=[_lookup_view(row) for row in rows], next_cursor=cursor)


@rule_routes.get("")
def list_rules(session: Db, _: Who, paged: Paged, name: Filter = None) -> PageOf[NatRuleOut]:
    rows, cursor = list_page(session, matching(select(NatRule), (NatRule.name, name)), NatRule.id, paged)
    return PageOf(items=[_rule_view(row) for row in rows], next_cursor=cursor)


@rule_routes.post("", status_code=201, response_model=NatRuleOut)
def create_rule(body: NatRuleIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    rule = nat_rules.create_rule(session, body.model_dump(), caller.actor)
    return once.created(_rule_view(rule))


@rule_routes.get("/{rule_id}")
def get_rule(rule_id: str, session: Db, _: Who) -> NatRuleOut:
    return _rule_view(nat_rules.get_rule(session, parse_id(rule_id, "NAT rule")))


@rule_routes.delete("/{rule_id}")
def end_rule(rule_id: str, session: Db, caller: Who, given: Given) -> NatRuleOut:
    """Ends it now: it goes on answering for the time that it was in force."""
    rule = nat_rules.get_rule(session, parse_id(rule_id, "NAT rule"))
    return _rule_view(nat_rules.end_rule(session, rule, caller.actor, given.clock()))


def _masked(answer: AnswerOut, role: Role) -> AnswerOut:
    """Who may not see personal data sees the login and the service, which is what a fault is traced by."""
    if sees_personal_data(role):
        return answer
    for candidate in answer.candidates:
        if candidate.customer is not None:
            candidate.customer.document = mask(candidate.customer.document)
            candidate.customer.address = {}
    return answer


def _lookup_view(row: LogLookup) -> LookupOut:
    return LookupOut(
        id=str(row.id), at=row.at.astimezone(UTC), actor=row.actor, source=row.source, reason=row.reason,
        question=row.question, results=row.results,
    )  # fmt: skip


def _rule_view(rule: NatRule) -> NatRuleOut:
    ends = {
        name: str(getattr(rule, name)).partition("/")[0]
        for name in ("inside_first", "inside_last", "outside_first", "outside_last")
    }
    return NatRuleOut(
        id=str(rule.id), name=rule.name, **ends, ports_per_subscriber=rule.ports_per_subscriber,
        first_port=rule.first_port, last_port=rule.last_port, order=rule.order, valid_from=rule.valid_from,
        valid_until=rule.valid_until, version=rule.version,
    )  # fmt: skip
