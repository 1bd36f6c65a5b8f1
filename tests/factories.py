"""Rows for tests, made through the same tables and owner functions that the product uses."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from core import changes, policies
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring
from core.models import (
    ChangeKind,
    Contract,
    Customer,
    CustomerKind,
    Nas,
    Plan,
    Service,
    ServiceKind,
    Vendor,
)
from core.policy import PlanTerms

_numbers = itertools.count(1)


def make_plan(session: Session, **values: Any) -> Plan:
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "name": f"Plan {number}",
        "down_kbps": 200_000,
        "up_kbps": 50_000,
        "burst": None,
        "address_pool": "residential",
        "address_list": None,
        "interim_seconds": 300,
        "session_seconds": None,
        "throttle_down_kbps": 1_000,
        "throttle_up_kbps": 512,
        "price_cents": 9990,
    }
    plan = Plan(**defaults | values)
    session.add(plan)
    session.flush()
    return plan


def make_contract(session: Session, **values: Any) -> Contract:
    customer = Customer(name=f"Customer {next(_numbers)}", kind=CustomerKind.PERSON)
    session.add(customer)
    session.flush()
    defaults: dict[str, Any] = {
        "customer_id": customer.id, "payer_id": customer.id, "due_day": 10, "started_on": date(2026, 1, 1),
    }  # fmt: skip
    contract = Contract(**defaults | values)
    session.add(contract)
    session.flush()
    return contract


def make_service(
    session: Session, keyring: Keyring, *, plan: Plan | None = None, contract: Contract | None = None,
    password: str = "secret", **values: Any,
) -> Service:  # fmt: skip
    plan = plan or make_plan(session)
    contract = contract or make_contract(session)
    defaults: dict[str, Any] = {
        "kind": ServiceKind.PPPOE, "login": f"user{next(_numbers):07d}", "ipv4_routes": [], "address": {},
        "password_encrypted": keyring.seal(password, SERVICE_PASSWORD),
    }  # fmt: skip
    service = Service(contract_id=contract.id, plan_id=plan.id, **defaults | values)
    service.policy_fingerprint = policies.keep(session, policies.initial_policy(plan, service))
    session.add(service)
    session.flush()
    changes.note(session, ChangeKind.SERVICE, service.id)
    return service


def make_nas(session: Session, keyring: Keyring, *, secret: str = "testing123", **values: Any) -> Nas:
    defaults: dict[str, Any] = {
        "name": f"nas-{next(_numbers)}", "address": "127.0.0.1", "vendor": Vendor.MIKROTIK,
        "names": {}, "login_rules": {}, "secret_encrypted": keyring.seal(secret, NAS_SECRET),
    }  # fmt: skip
    nas = Nas(**defaults | values)
    session.add(nas)
    session.flush()
    changes.note(session, ChangeKind.NAS, nas.id)
    return nas


def plan_terms() -> PlanTerms:
    return PlanTerms(200_000, 50_000, None, "residential", None, 300, None, 1024, 1024)
