"""Customers and contracts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from api import schemas
from api.context import (
    Db,
    Filter,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.views import contract_view, customer_view, log_reveal
from core import parties
from core.documents import normalise_document
from core.models.party import Contract, ContractStatus, Customer

customer_routes = APIRouter(prefix="/customers", tags=["customers"])
contract_routes = APIRouter(prefix="/contracts", tags=["contracts"])


@customer_routes.get("")
def list_customers(
    session: Db, caller: Who, paged: Paged, document: Filter = None, external_ref: Filter = None, name: Filter = None
) -> schemas.PageOf[schemas.CustomerOut]:
    query = matching(
        select(Customer).options(selectinload(Customer.contacts)),
        (Customer.document, None if document is None else normalise_document(document)),
        (Customer.external_ref, external_ref),
        (Customer.name, name),
    )
    rows, cursor = list_page(session, query, Customer.id, paged)
    log_reveal(session, caller.role, caller.actor, "customer", [row.id for row in rows])
    return schemas.PageOf(items=[customer_view(row, caller.role) for row in rows], next_cursor=cursor)


@customer_routes.post("", status_code=201, response_model=schemas.CustomerOut)
def create_customer(body: schemas.CustomerIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    values = body.model_dump()
    contacts = values.pop("contacts")
    return once.created(customer_view(parties.create_customer(session, values, contacts, caller.actor), caller.role))


@customer_routes.get("/{customer_id}")
def get_customer(customer_id: str, session: Db, caller: Who, response: Response) -> schemas.CustomerOut:
    customer = parties.get_customer(session, parse_id(customer_id, "customer"))
    log_reveal(session, caller.role, caller.actor, "customer", [customer.id])
    return tagged(response, customer_view(customer, caller.role))


@customer_routes.patch("/{customer_id}")
def update_customer(
    customer_id: str,
    body: schemas.CustomerPatch,
    session: Db,
    caller: Who,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.CustomerOut:
    customer = parties.get_customer(session, parse_id(customer_id, "customer"))
    check_version(customer.version, if_match)
    values = body.model_dump(exclude_unset=True)
    contacts = values.pop("contacts", None)
    parties.update_customer(session, customer, values, contacts, caller.actor)
    log_reveal(session, caller.role, caller.actor, "customer", [customer.id])
    return tagged(response, customer_view(customer, caller.role))


@contract_routes.get("")
def list_contracts(
    session: Db, _: Who, paged: Paged, customer_id: RefFilter = None, payer_id: RefFilter = None,
    company_id: RefFilter = None, status: ContractStatus | None = None,
) -> schemas.PageOf[schemas.ContractOut]:  # fmt: skip
    query = matching(
        select(Contract).options(selectinload(Contract.items)),
        (Contract.customer_id, reference(customer_id, "customer_id")),
        (Contract.payer_id, reference(payer_id, "payer_id")),
        (Contract.company_id, reference(company_id, "company_id")),
        (Contract.status, status),
    )
    rows, cursor = list_page(session, query, Contract.id, paged)
    return schemas.PageOf(items=[contract_view(row) for row in rows], next_cursor=cursor)


@contract_routes.post("", status_code=201, response_model=schemas.ContractOut)
def create_contract(body: schemas.ContractIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    values, items = _contract_values(body.model_dump())
    return once.created(contract_view(parties.create_contract(session, values, items or [], caller.actor)))


@contract_routes.get("/{contract_id}")
def get_contract(contract_id: str, session: Db, _: Who, response: Response) -> schemas.ContractOut:
    return tagged(response, contract_view(parties.get_contract(session, parse_id(contract_id, "contract"))))


@contract_routes.patch("/{contract_id}")
def update_contract(
    contract_id: str, body: schemas.ContractPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.ContractOut:  # fmt: skip
    contract = parties.get_contract(session, parse_id(contract_id, "contract"))
    check_version(contract.version, if_match)
    values, items = _contract_values(body.model_dump(exclude_unset=True))
    status = values.pop("status", None)
    parties.update_contract(session, contract, values, items, caller.actor)
    if status is not None:
        parties.cancel_contract(session, contract, caller.actor, given.clock())
    return tagged(response, contract_view(contract))


def _contract_values(values: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    items = values.pop("items", None)
    for field in ("customer_id", "payer_id", "company_id"):
        if field in values:
            values[field] = reference(values[field], field)
    for place, item in enumerate(items or []):
        item["service_id"] = reference(item.get("service_id"), f"items.{place}.service_id")
    return values, items
