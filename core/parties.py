"""Companies, customers with their contacts, and contracts: created and changed with an audit entry each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from core import audit, events
from core.audit import Actor
from core.documents import normalise_document
from core.edits import apply_changes, flush_unique, touch
from core.errors import Conflict, InvalidInput, NotFound
from core.models.party import Company, Contact, Contract, ContractItem, ContractStatus, Customer
from core.models.service import Service, ServiceStatus


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a service is: the contract's holder, and where the service is installed."""

    service_id: int
    service_status: str
    contract_id: int
    customer_id: int
    name: str
    kind: str
    document: str | None
    address: dict[str, Any]


def holders_of(session: Session, service_ids: Collection[int]) -> dict[int, Holder]:
    """By service, cancelled ones as well: neither services nor customers are ever deleted."""
    rows = session.execute(
        select(Service, Contract.id, Customer)
        .join(Contract, Contract.id == Service.contract_id)
        .join(Customer, Customer.id == Contract.customer_id)
        .where(Service.id.in_(service_ids))
    )
    return {
        service.id: Holder(
            service.id, service.status, contract_id, customer.id, customer.name, customer.kind, customer.document,
            dict(service.address),
        )
        for service, contract_id, customer in rows
    }  # fmt: skip


def services_known_as(session: Session, *, login: str | None, document: str | None) -> list[int]:
    """Services that have, or had, this login, or whose contract's holder has this document."""
    query = select(Service.id).join(Contract, Contract.id == Service.contract_id)
    if login is not None:
        query = query.where(Service.login == login)
    if document is not None:
        query = query.join(Customer, Customer.id == Contract.customer_id).where(
            Customer.document == normalise_document(document)
        )
    return list(session.scalars(query.order_by(Service.id)))


def create_company(session: Session, values: Mapping[str, Any], actor: Actor) -> Company:
    plain = {**values, "document": normalise_document(values["document"])}
    company = Company(**plain)
    session.add(company)
    flush_unique(session, {"document": "document"})
    audit.record(session, actor, "create", "company", company.id, plain)
    events.record(session, "company.created", "company", company.id)
    return company


def update_company(session: Session, company: Company, values: Mapping[str, Any], actor: Actor) -> Company:
    changes = dict(values)
    if "document" in changes:
        changes["document"] = normalise_document(changes["document"])
    changed = apply_changes(company, changes)
    flush_unique(session, {"document": "document"})
    _record_change(session, actor, "company", company.id, changed)
    return company


def create_customer(
    session: Session, values: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]], actor: Actor
) -> Customer:
    plain = dict(values)
    if plain.get("document"):
        plain["document"] = normalise_document(plain["document"])
    customer = Customer(**plain, contacts=[Contact(**contact) for contact in contacts])
    session.add(customer)
    flush_unique(session, {"document": "document", "external_ref": "external_ref"})
    audit.record(session, actor, "create", "customer", customer.id, {**plain, "contacts": len(contacts)})
    events.record(session, "customer.created", "customer", customer.id)
    return customer


def get_customer(session: Session, customer_id: int) -> Customer:
    """With its contacts. Raises NotFound."""
    customer = session.scalar(
        select(Customer).where(Customer.id == customer_id).options(selectinload(Customer.contacts))
    )
    if customer is None:
        raise NotFound("customer", customer_id)
    return customer


def update_customer(
    session: Session,
    customer: Customer,
    values: Mapping[str, Any],
    contacts: Sequence[Mapping[str, Any]] | None,
    actor: Actor,
) -> Customer:
    """Change what is given; `contacts`, where given, replaces them all."""
    plain = dict(values)
    if plain.get("document"):
        plain["document"] = normalise_document(plain["document"])
    changed = apply_changes(customer, plain)
    if contacts is not None:
        customer.contacts = [Contact(**contact) for contact in contacts]
        changed["contacts"] = len(contacts)
        touch(customer)
    flush_unique(session, {"document": "document", "external_ref": "external_ref"})
    _record_change(session, actor, "customer", customer.id, changed)
    return customer


def create_contract(
    session: Session, values: Mapping[str, Any], items: Sequence[Mapping[str, Any]], actor: Actor
) -> Contract:
    """The payer is the holder unless another customer is named."""
    plain = {"payer_id": values["customer_id"], **{key: value for key, value in values.items() if value is not None}}
    _check_references(session, plain)
    _check_items(session, None, items)
    contract = Contract(**plain, items=[ContractItem(**item) for item in items])
    session.add(contract)
    session.flush()
    audit.record(session, actor, "create", "contract", contract.id, {"customer_id": plain["customer_id"]})
    events.record(session, "contract.created", "contract", contract.id)
    return contract


def get_contract(session: Session, contract_id: int) -> Contract:
    """With its items. Raises NotFound."""
    contract = session.scalar(select(Contract).where(Contract.id == contract_id).options(selectinload(Contract.items)))
    if contract is None:
        raise NotFound("contract", contract_id)
    return contract


def update_contract(
    session: Session,
    contract: Contract,
    values: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]] | None,
    actor: Actor,
) -> Contract:
    """Change what is given; `items`, where given, replaces them all. Raises Conflict for a cancelled contract.

    An item that is given as it is stays the one that it was: what is planned for it is not lost.
    """
    if contract.status is ContractStatus.CANCELLED and (values or items is not None):
        raise Conflict(f"contract {contract.id} is cancelled")
    _check_references(session, values)
    changed = apply_changes(contract, values)
    if items is not None:
        _check_items(session, contract.id, items)
        contract.items = _kept_items(contract.items, items)
        changed["items"] = len(items)
        touch(contract)
    session.flush()
    _record_change(session, actor, "contract", contract.id, changed)
    return contract


def add_item(session: Session, contract_id: int, values: Mapping[str, Any], actor: Actor) -> ContractItem:
    """One more price. The contract's lock is the caller's."""
    item = ContractItem(contract_id=contract_id, **values)
    session.add(item)
    _items_changed(session, contract_id, actor, {"price_cents": item.price_cents})
    return item


def reprice_item(session: Session, item: ContractItem, price_cents: int, actor: Actor) -> None:
    """Another price from now on for what the contract has already. The contract's lock is the caller's."""
    if apply_changes(item, {"price_cents": price_cents}):
        _items_changed(session, item.contract_id, actor, {"item_id": item.id, "price_cents": price_cents})


def cancel_contract(session: Session, contract: Contract, actor: Actor, now: datetime) -> Contract:
    """Raises Conflict while a service of it is not cancelled: ending a subscriber's access is never a side effect."""
    open_service = session.scalar(
        select(Service.id).where(Service.contract_id == contract.id, Service.status != ServiceStatus.CANCELLED).limit(1)
    )
    if open_service is not None:
        raise Conflict(f"service {open_service} of this contract is not cancelled yet")
    if contract.status is not ContractStatus.CANCELLED:
        contract.status, contract.cancelled_at = ContractStatus.CANCELLED, now
        session.flush()
        audit.record(session, actor, "cancel", "contract", contract.id, {})
        events.record(session, "contract.cancelled", "contract", contract.id)
    return contract


def _kept_items(present: Sequence[ContractItem], wanted: Sequence[Mapping[str, Any]]) -> list[ContractItem]:
    left, items = list(present), []
    for values in wanted:
        new = ContractItem(**values)
        same = next((item for item in left if _item_values(item) == _item_values(new)), None)
        if same is not None:
            left.remove(same)
        items.append(same or new)
    return items


def _item_values(item: ContractItem) -> tuple[object, ...]:
    return item.service_id, item.description, item.price_cents, item.valid_from, item.valid_until


def _items_changed(session: Session, contract_id: int, actor: Actor, changed: dict[str, Any]) -> None:
    session.flush()
    touch(session.get_one(Contract, contract_id, populate_existing=True))
    session.flush()
    _record_change(session, actor, "contract", contract_id, changed)


def _record_change(session: Session, actor: Actor, kind: str, row_id: int, changed: dict[str, Any]) -> None:
    if changed:
        audit.record(session, actor, "update", kind, row_id, changed)
        events.record(session, f"{kind}.changed", kind, row_id)


def _check_references(session: Session, values: Mapping[str, Any]) -> None:
    for field, kind in (("customer_id", Customer), ("payer_id", Customer), ("company_id", Company)):
        named = values.get(field)
        if named is not None and session.get(kind, named) is None:
            raise InvalidInput(f"there is no {kind.__tablename__} {named}", field=field)


def _check_items(session: Session, contract_id: int | None, items: Sequence[Mapping[str, Any]]) -> None:
    """`contract_id` is None for a contract that is being created and has no services yet."""
    for place, item in enumerate(items):
        valid_from: date | None = item.get("valid_from")
        valid_until: date | None = item.get("valid_until")
        if valid_from and valid_until and valid_until < valid_from:
            raise InvalidInput("an item ends before it begins", field=f"items.{place}.until")
        if item.get("description") is None and item.get("service_id") is None:
            raise InvalidInput("an item is for a service or is described", field=f"items.{place}.description")
        if item.get("service_id") is not None:
            service = session.get(Service, item["service_id"])
            if service is None or service.contract_id != contract_id:
                raise InvalidInput("is no service of this contract", field=f"items.{place}.service_id")
