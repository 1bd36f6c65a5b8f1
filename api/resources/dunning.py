"""What is done about debts: policies, holidays, a contract's terms, promises, and messages with their proof."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import (
    Db,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Services,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.views import text_id
from api.schemas import Day, Input, Name, Number, Output, PageOf, Ref, Text
from billing_hooks import contracts, holidays, messages, policies, promises
from billing_hooks.models import (
    BillingPolicy,
    ContractBilling,
    DebtMessage,
    Holiday,
    Promise,
    PromiseKind,
)
from billing_hooks.policy import ANATEL_765, PRESETS, Policy, Proof, from_body, to_body
from billing_hooks.runs import Billing
from core import services
from core.models.party import CustomerKind

policy_routes = APIRouter(prefix="/billing-policies", tags=["billing-policies"])
holiday_routes = APIRouter(prefix="/holidays", tags=["holidays"])
dunning_routes = APIRouter(tags=["dunning"])
promise_routes = APIRouter(tags=["promises"])

Json = dict[str, Any]


class PolicyIn(Input):
    """`body`: steps, hours, minimum_cents, proofs, guard, trust, payment_window; what is left out is as in anatel_765.

    `default_for`: contracts whose payer is such a customer have it, unless they have one of their own.
    """

    name: Name
    body: Json
    default_for: CustomerKind | None = None


class PolicyOut(Output):
    id: str
    name: str
    body: Json
    default_for: CustomerKind | None
    version: int


class HolidayIn(Input):
    """Without `year` every year; with `state` or `ibge_code` only where the service is there."""

    name: Name
    month: Annotated[int, Field(ge=1, le=12), Number]
    day: Annotated[int, Field(ge=1, le=31), Number]
    year: Annotated[int, Field(ge=2020, le=2100), Number] | None = None
    state: Annotated[str, Field(pattern="^[A-Z]{2,3}$")] | None = None
    ibge_code: Annotated[str, Field(pattern="^[0-9]{7}$")] | None = None


class HolidayOut(Output):
    id: str
    name: str
    month: int
    day: int
    year: int | None
    state: str | None
    ibge_code: str | None


class ContractTermsPatch(Input):
    """`exemption`: never restricted, and why; null ends it. A review day reminds and ends nothing.

    `invoiced_since`: periods that begin on this day or later are invoiced by us, by these terms or by those of the
    payer's kind; null: somebody else makes its invoices.
    """

    policy_id: Ref | None = None
    exemption: Text | None = None
    exemption_review_on: date | None = None
    invoicing_terms_id: Ref | None = None
    invoiced_since: Day | None = None


class ContractTermsOut(Output):
    """`standing`: what the engine says of the contract now, in words."""

    contract_id: str
    policy_id: str | None
    policy: str
    exemption: str | None
    exemption_review_on: date | None
    restricted_since: datetime | None
    termination_proposed_at: datetime | None
    invoicing_terms_id: str | None
    invoiced_since: date | None
    #: Why its next invoice could not be made.
    invoicing_error: str | None
    standing: str
    standing_pt: str


class PromiseIn(Input):
    until: AwareDatetime
    note: Text | None = None


class PromiseOut(Output):
    id: str
    contract_id: str
    kind: PromiseKind
    invoice_id: str | None
    until: datetime
    given_by: str
    note: str | None
    created_at: datetime
    withdrawn_at: datetime | None
    #: What the customer is told.
    protocol: str


class MessageOut(Output):
    id: str
    contract_id: str
    invoice_id: str
    policy: str
    step: str
    is_notice: bool
    text_en: str
    text_pt: str
    created_at: datetime
    reached_at: datetime | None
    proof: Proof | None
    evidence: Json


class ReachedIn(Input):
    """`evidence`: the provider's id, the channel, who called whom; it is kept."""

    proof: Proof
    at: AwareDatetime
    evidence: Annotated[dict[Name, Text], Field(default_factory=dict, max_length=20)]


@policy_routes.get("")
def list_policies(session: Db, _: Who, paged: Paged) -> PageOf[PolicyOut]:
    rows, cursor = list_page(session, select(BillingPolicy), BillingPolicy.id, paged)
    return PageOf(items=[_policy_view(row) for row in rows], next_cursor=cursor)


@policy_routes.get("/presets")
def list_presets(_: Who) -> dict[str, Json]:
    """Those that come with the program, to be taken as they are or changed."""
    return {name: to_body(policy) for name, policy in PRESETS.items()}


@policy_routes.post("", status_code=201, response_model=PolicyOut)
def create_policy(body: PolicyIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    row = policies.create_policy(session, _policy(body), caller.actor, default_for=body.default_for)
    return once.created(_policy_view(row))


@policy_routes.get("/{policy_id}")
def get_policy(policy_id: str, session: Db, _: Who, response: Response) -> PolicyOut:
    return tagged(response, _policy_view(policies.get_policy(session, parse_id(policy_id, "billing policy"))))


@policy_routes.put("/{policy_id}")
def replace_policy(
    policy_id: str, body: PolicyIn, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> PolicyOut:
    row = policies.get_policy(session, parse_id(policy_id, "billing policy"))
    check_version(row.version, if_match)
    policies.update_policy(session, row, _policy(body), caller.actor, default_for=body.default_for)
    return tagged(response, _policy_view(row))


@holiday_routes.get("")
def list_holidays(session: Db, _: Who, paged: Paged) -> PageOf[HolidayOut]:
    """The provider's own; those of the law need no entry."""
    rows, cursor = list_page(session, select(Holiday), Holiday.id, paged)
    return PageOf(items=[_holiday_view(row) for row in rows], next_cursor=cursor)


@holiday_routes.post("", status_code=201, response_model=HolidayOut)
def add_holiday(body: HolidayIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    return once.created(_holiday_view(holidays.add_holiday(session, body.model_dump(), caller.actor)))


@holiday_routes.delete("/{holiday_id}", status_code=204)
def remove_holiday(holiday_id: str, session: Db, caller: Who) -> None:
    holidays.remove_holiday(session, parse_id(holiday_id, "holiday"), caller.actor)


@dunning_routes.get("/contracts/{contract_id}/billing")
def get_terms(contract_id: str, session: Db, _: Who, given: Given) -> ContractTermsOut:
    return _terms_view(session, parse_id(contract_id, "contract"), billing_of(given))


@dunning_routes.patch("/contracts/{contract_id}/billing")
def update_terms(
    contract_id: str, body: ContractTermsPatch, session: Db, caller: Who, given: Given
) -> ContractTermsOut:
    values = body.model_dump(exclude_unset=True)
    for name in ("policy_id", "invoicing_terms_id"):
        if name in values:
            values[name] = reference(values[name], name)
    found = parse_id(contract_id, "contract")
    contracts.update_terms(session, found, values, caller.actor, given.today())
    return _terms_view(session, found, billing_of(given))


@dunning_routes.get("/debt-messages")
def list_messages(
    session: Db, _: Who, paged: Paged, contract_id: RefFilter = None, invoice_id: RefFilter = None,
    reached: bool | None = None,
) -> PageOf[MessageOut]:  # fmt: skip
    """`reached=false`: those that are to be delivered, or whose proof is missing."""
    query = matching(
        select(DebtMessage),
        (DebtMessage.contract_id, reference(contract_id, "contract_id")),
        (DebtMessage.invoice_id, reference(invoice_id, "invoice_id")),
    )
    if reached is not None:
        query = query.where(DebtMessage.reached_at.is_not(None) if reached else DebtMessage.reached_at.is_(None))
    rows, cursor = list_page(session, query, DebtMessage.id, paged)
    return PageOf(items=[_message_view(row) for row in rows], next_cursor=cursor)


@dunning_routes.post("/debt-messages/{message_id}/reached")
def message_reached(message_id: str, body: ReachedIn, session: Db, caller: Who, given: Given) -> MessageOut:
    """The proof that it reached the payer; that of a notice starts its days."""
    message = messages.record_reached(
        session, parse_id(message_id, "message"), body.proof, body.at, body.evidence, caller.actor, given.clock()
    )
    return _message_view(message)


@promise_routes.get("/contracts/{contract_id}/promises")
def list_promises(contract_id: str, session: Db, _: Who, given: Given) -> list[PromiseOut]:
    found = promises.list_promises(session, parse_id(contract_id, "contract"))
    return [_promise_view(row, given) for row in found]


@promise_routes.post("/contracts/{contract_id}/promises", status_code=201, response_model=PromiseOut)
def give_promise(contract_id: str, body: PromiseIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """An operator's word: nobody restricts the contract until then."""
    promise = promises.give_promise(
        session, parse_id(contract_id, "contract"), body.until, caller.actor, given.clock(), body.note
    )
    return once.created(_promise_view(promise, given))


@promise_routes.post("/services/{service_id}/unlock", status_code=201, response_model=PromiseOut)
def unlock(service_id: str, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """The trust unlock, by the rule of the contract's policy."""
    contract_id = services.get_service(session, parse_id(service_id, "service")).contract_id
    promise = promises.trust_unlock(session, contract_id, caller.actor, given.clock(), given.zone)
    return once.created(_promise_view(promise, given))


@promise_routes.post("/invoices/{invoice_id}/payment-window", status_code=201, response_model=PromiseOut)
def open_payment_window(invoice_id: str, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Minutes of full access for who is about to pay."""
    promise = promises.open_payment_window(
        session, parse_id(invoice_id, "invoice"), caller.actor, given.clock(), given.zone
    )
    return once.created(_promise_view(promise, given))


@promise_routes.delete("/promises/{promise_id}")
def withdraw_promise(promise_id: str, session: Db, caller: Who, given: Given) -> PromiseOut:
    promise = promises.withdraw(session, parse_id(promise_id, "promise"), caller.actor, given.clock())
    return _promise_view(promise, given)


def billing_of(given: Services) -> Billing:
    return Billing(given.zone, given.clock, given.country)


def _policy(body: PolicyIn) -> Policy:
    return from_body({**to_body(ANATEL_765), **body.body, "name": body.name})


def _policy_view(row: BillingPolicy) -> PolicyOut:
    return PolicyOut(id=str(row.id), name=row.name, body=row.body, default_for=row.default_for, version=row.version)


def _holiday_view(row: Holiday) -> HolidayOut:
    return HolidayOut(
        id=str(row.id), name=row.name, month=row.month, day=row.day, year=row.year, state=row.state,
        ibge_code=row.ibge_code,
    )  # fmt: skip


def _terms_view(session: Session, contract_id: int, billing: Billing) -> ContractTermsOut:
    case, verdict = billing.look(session, contract_id)
    terms = session.get(ContractBilling, contract_id)
    return ContractTermsOut(
        contract_id=str(contract_id), policy_id=text_id(terms.policy_id if terms else None), policy=case.policy.name,
        exemption=terms.exemption if terms else None, exemption_review_on=terms.exemption_review_on if terms else None,
        restricted_since=case.debtor.restricted_since,
        termination_proposed_at=terms.termination_proposed_at if terms else None,
        invoicing_terms_id=text_id(terms.invoicing_terms_id if terms else None),
        invoiced_since=terms.invoiced_since if terms else None,
        invoicing_error=terms.invoicing_error if terms else None,
        standing=verdict.reason, standing_pt=verdict.reason_pt,
    )  # fmt: skip


def _promise_view(row: Promise, given: Given) -> PromiseOut:
    return PromiseOut(
        id=str(row.id), contract_id=str(row.contract_id), kind=row.kind, invoice_id=text_id(row.invoice_id),
        until=row.until, given_by=row.given_by, note=row.note, created_at=row.created_at,
        withdrawn_at=row.withdrawn_at, protocol=promises.protocol(row, given.zone),
    )  # fmt: skip


def _message_view(row: DebtMessage) -> MessageOut:
    return MessageOut(
        id=str(row.id), contract_id=str(row.contract_id), invoice_id=str(row.invoice_id), policy=row.policy,
        step=row.step, is_notice=row.is_notice, text_en=row.text_en, text_pt=row.text_pt, created_at=row.created_at,
        reached_at=row.reached_at, proof=row.proof, evidence=row.evidence,
    )  # fmt: skip
