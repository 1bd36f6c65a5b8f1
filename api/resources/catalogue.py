"""Plans and companies."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from api import schemas
from api.context import Db, Filter, Given, IfMatch, Paged, Who, check_version, list_page, matching, parse_id, tagged
from api.idempotency import OnceOnly
from api.resources.views import company_view, plan_view
from core import parties, plans
from core.documents import normalise_document
from core.errors import NotFound
from core.models.party import Company
from core.models.service import Plan

plan_routes = APIRouter(prefix="/plans", tags=["plans"])
company_routes = APIRouter(prefix="/companies", tags=["companies"])


@plan_routes.get("")
def list_plans(session: Db, _: Who, paged: Paged, name: Filter = None) -> schemas.PageOf[schemas.PlanOut]:
    query = select(Plan) if name is None else select(Plan).where(Plan.name == name)
    rows, cursor = list_page(session, query, Plan.id, paged)
    return schemas.PageOf(items=[plan_view(row) for row in rows], next_cursor=cursor)


@plan_routes.post("", status_code=201, response_model=schemas.PlanOut)
def create_plan(body: schemas.PlanIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """A plan that names what a managed box does not have is refused."""
    values = _plan_values(body.model_dump(by_alias=True))
    return once.created(plan_view(plans.create_plan(session, values, caller.actor, given.plan_names)))


@plan_routes.get("/{plan_id}")
def get_plan(plan_id: str, session: Db, _: Who, response: Response) -> schemas.PlanOut:
    return tagged(response, plan_view(plans.get_plan(session, parse_id(plan_id, "plan"))))


@plan_routes.patch("/{plan_id}")
def update_plan(
    plan_id: str, body: schemas.PlanPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.PlanOut:  # fmt: skip
    plan = plans.get_plan(session, parse_id(plan_id, "plan"))
    check_version(plan.version, if_match)
    values = _plan_values(body.model_dump(exclude_unset=True, by_alias=True))
    plans.update_plan(session, plan, values, caller.actor, given.plan_names)
    return tagged(response, plan_view(plan))


def _plan_values(values: dict[str, Any]) -> dict[str, Any]:
    """The throttle's two rates stand in columns of their own."""
    throttle = values.pop("throttle", None)
    if throttle:
        values |= {"throttle_down_kbps": throttle["down_kbps"], "throttle_up_kbps": throttle["up_kbps"]}
    return values


@company_routes.get("")
def list_companies(session: Db, _: Who, paged: Paged, document: Filter = None) -> schemas.PageOf[schemas.CompanyOut]:
    query = matching(select(Company), (Company.document, None if document is None else normalise_document(document)))
    rows, cursor = list_page(session, query, Company.id, paged)
    return schemas.PageOf(items=[company_view(row) for row in rows], next_cursor=cursor)


@company_routes.post("", status_code=201, response_model=schemas.CompanyOut)
def create_company(body: schemas.CompanyIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    return once.created(company_view(parties.create_company(session, body.model_dump(), caller.actor)))


@company_routes.get("/{company_id}")
def get_company(company_id: str, session: Db, _: Who, response: Response) -> schemas.CompanyOut:
    return tagged(response, company_view(_company(session, company_id)))


@company_routes.patch("/{company_id}")
def update_company(
    company_id: str, body: schemas.CompanyPatch, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> schemas.CompanyOut:
    company = _company(session, company_id)
    check_version(company.version, if_match)
    parties.update_company(session, company, body.model_dump(exclude_unset=True), caller.actor)
    return tagged(response, company_view(company))


def _company(session: Db, company_id: str) -> Company:
    company = session.get(Company, parse_id(company_id, "company"))
    if company is None:
        raise NotFound("company", company_id)
    return company
