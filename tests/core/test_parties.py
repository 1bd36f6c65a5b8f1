"""Customers and contracts, and what their services' ends mean for them."""

from __future__ import annotations

from typing import Any

import pytest
from factories import make_contract, make_service
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import holds, parties, services
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import AuditEntry, Contract, ContractItem, ContractStatus, Customer, Service, ServiceStatus


@pytest.fixture
def held(session: Session, keyring: Keyring, actor: Actor, clock: ManualClock) -> Service:
    service = make_service(session, keyring)
    for reason in (HoldReason.BILLING, HoldReason.ABUSE):
        holds.place_hold(session, service.id, reason=reason, effect=HoldEffect.BLOCK, actor=actor, now=clock())
    return service


def test_a_contract_ends_after_its_services_and_stays_ended(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, held: Service
) -> None:
    contract = parties.get_contract(session, held.contract_id)
    with pytest.raises(Conflict, match=str(held.id)):
        parties.cancel_contract(session, contract, actor, clock())
    services.cancel_service(session, held, actor, clock())
    parties.cancel_contract(session, contract, actor, clock())
    assert contract.status is ContractStatus.CANCELLED
    with pytest.raises(Conflict):
        parties.update_contract(session, contract, {"due_day": 3}, None, actor)
    values = {"contract_id": contract.id, "plan_id": held.plan_id, "kind": "pppoe"}
    with pytest.raises(Conflict):
        services.create_service(session, keyring, values, actor)


def test_a_cancelled_service_has_nothing_left_to_hold(
    session: Session, keyring: Keyring, actor: Actor, clock: ManualClock, held: Service
) -> None:
    services.cancel_service(session, held, actor, clock())
    assert holds.live_holds(session, held.id) == []
    assert (held.status, held.access) == (ServiceStatus.CANCELLED, Access.FULL)
    with pytest.raises(Conflict):
        holds.place_hold(session, held.id, reason=HoldReason.ADMIN, effect=HoldEffect.BLOCK, actor=actor, now=clock())
    with pytest.raises(Conflict):
        services.update_service(session, keyring, held, {"status": ServiceStatus.ACTIVE}, actor)


def test_parts_that_change_are_a_new_version_of_the_whole(session: Session, actor: Actor) -> None:
    customer = parties.create_customer(session, {"name": "Ana", "kind": "person"}, [], actor)
    contract = make_contract(session, customer_id=customer.id)
    contract = parties.get_contract(session, contract.id)
    contact = {"role": "billing", "name": "Ana", "email": "ana@example.com"}
    before = customer.version, contract.version
    parties.update_customer(session, customer, {}, [contact], actor)
    parties.update_contract(session, contract, {}, [{"description": "router", "price_cents": 500}], actor)
    assert (customer.version, contract.version) == (before[0] + 1, before[1] + 1)
    entries = select(AuditEntry.changes).where(AuditEntry.action == "update").order_by(AuditEntry.id)
    assert session.scalars(entries).all() == [{"contacts": 1}, {"items": 1}]


def test_an_item_that_is_given_as_it_is_stays_the_one_that_it_was(session: Session, actor: Actor) -> None:
    contract = parties.get_contract(session, make_contract(session).id)
    router, phone = ({"description": name, "price_cents": 500} for name in ("router", "phone"))
    parties.update_contract(session, contract, {}, [router, phone, phone], actor)
    first, second, third = (item.id for item in contract.items)
    parties.update_contract(session, contract, {}, [phone, router | {"price_cents": 600}, phone, phone], actor)
    kept = [item.id for item in contract.items]
    assert (kept[0], kept[2]) == (second, third)
    assert not {kept[1], kept[3]} & {first, second, third}
    assert session.get(ContractItem, first) is None


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"price_cents": 1}, "items.0.description"),
        ({"price_cents": 1, "service_id": 10**12}, "items.0.service_id"),
        ({"price_cents": 1, "service_id": "another contract's"}, "items.0.service_id"),
    ],
)
def test_an_item_is_described_or_for_a_service_of_the_contract(
    session: Session, keyring: Keyring, actor: Actor, item: dict[str, Any], field: str
) -> None:
    own, other = make_service(session, keyring), make_service(session, keyring)
    if isinstance(item.get("service_id"), str):
        item = item | {"service_id": other.id}
    contract = parties.get_contract(session, own.contract_id)
    with pytest.raises(InvalidInput) as refused:
        parties.update_contract(session, contract, {}, [item], actor)
    assert refused.value.field == field
    parties.update_contract(session, contract, {}, [{"price_cents": 1, "service_id": own.id}], actor)
    assert [one.service_id for one in contract.items] == [own.id]


def test_who_is_named_exists(session: Session, actor: Actor) -> None:
    contract = make_contract(session)
    assert session.get_one(Customer, contract.customer_id)
    loaded = parties.get_contract(session, contract.id)
    for field in ("payer_id", "company_id"):
        with pytest.raises(InvalidInput) as refused:
            parties.update_contract(session, loaded, {field: 10**12}, None, actor)
        assert refused.value.field == field
    assert session.scalars(select(Contract.payer_id).where(Contract.id == contract.id)).one() == contract.customer_id
