"""Many services at once, each with a customer and a contract of its own: for imports, where one by one takes minutes.

The same rows, audit entries, events and revisions as one by one, in a statement a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from core import changes, policies
from core.access import Access
from core.audit import Actor
from core.keyring import SERVICE_PASSWORD, Keyring
from core.models.party import Contact, ContactRole, Contract, Customer, CustomerKind
from core.models.service import Plan, Service, ServiceKind, ServiceStatus
from core.models.system import AuditEntry, ChangeKind, Event
from core.policy import ServiceTerms, intended_policy


@dataclass(frozen=True, slots=True)
class NewService:
    """Checked already: `services.check_values`."""

    login: str
    password: str = field(repr=False)
    plan_id: int
    customer_name: str
    kind: ServiceKind = ServiceKind.PPPOE
    email: str | None = None
    phone: str | None = None
    address: Mapping[str, str] = field(default_factory=dict)
    terms: ServiceTerms = field(default_factory=ServiceTerms)
    mac_lock: Sequence[str] | None = None
    circuit_lock: Sequence[str] | None = None


def create_services(
    session: Session, keyring: Keyring, rows: Sequence[NewService], *, due_day: int, today: date, actor: Actor
) -> list[int]:
    """The services' ids, in the order of `rows`. The plans exist; a login or address that is taken raises
    IntegrityError, and then nothing of this is kept."""
    customers = _insert(session, Customer, [{"name": row.customer_name, "kind": CustomerKind.PERSON} for row in rows])
    contacts = [
        {"customer_id": customer_id, "role": ContactRole.MAIN, "name": row.customer_name, "email": row.email,
         "phone": row.phone}
        for customer_id, row in zip(customers, rows, strict=True) if row.email or row.phone
    ]  # fmt: skip
    if contacts:
        session.execute(insert(Contact), contacts)
    contracts = _insert(
        session,
        Contract,
        [{"customer_id": one, "payer_id": one, "due_day": due_day, "started_on": today} for one in customers],
    )
    services = _insert_services(session, keyring, rows, contracts)
    for service_id in services:
        changes.note(session, ChangeKind.SERVICE, service_id)
    _audit(session, actor, {"customer": customers, "contract": contracts, "service": services})
    logins = [{"login": row.login} for row in rows]
    _announce(session, "customer", customers)
    _announce(session, "contract", contracts)
    _announce(session, "service", services, logins)
    return services


def _insert_services(
    session: Session, keyring: Keyring, rows: Sequence[NewService], contracts: Sequence[int]
) -> list[int]:
    plans = {plan_id: session.get_one(Plan, plan_id).terms() for plan_id in {row.plan_id for row in rows}}
    alike = {(row.plan_id, repr(row.terms)): row for row in rows}
    fingerprints = {
        key: policies.keep(session, intended_policy(plans[row.plan_id], row.terms, Access.FULL))
        for key, row in alike.items()
    }
    values = [
        {
            "contract_id": contract_id,
            "plan_id": row.plan_id,
            "kind": row.kind,
            "status": ServiceStatus.ACTIVE,
            "login": row.login,
            "password_encrypted": keyring.seal(row.password, SERVICE_PASSWORD),
            "address": dict(row.address),
            "ipv4_address": row.terms.ipv4_address,
            "ipv4_routes": list(row.terms.ipv4_routes),
            "ipv6_prefix": row.terms.ipv6_prefix,
            "delegated_ipv6_prefix": row.terms.delegated_ipv6_prefix,
            "mac_lock": row.mac_lock,
            "circuit_lock": row.circuit_lock,
            "policy_fingerprint": fingerprints[row.plan_id, repr(row.terms)],
        }
        for contract_id, row in zip(contracts, rows, strict=True)
    ]
    return _insert(session, Service, values)


def _insert(session: Session, model: type[Any], values: list[dict[str, Any]]) -> list[int]:
    found = session.execute(insert(model).returning(model.id, sort_by_parameter_order=True), values)
    return [int(row_id) for (row_id,) in found]


def _audit(session: Session, actor: Actor, made: Mapping[str, Sequence[int]]) -> None:
    entries = [
        {"actor": actor.name, "source": actor.source, "action": "create", "resource": kind, "resource_id": str(row_id),
         "changes": {"imported": True}}
        for kind, ids in made.items() for row_id in ids
    ]  # fmt: skip
    session.execute(insert(cast("Table", AuditEntry.__table__)), entries)


def _announce(
    session: Session, kind: str, ids: Sequence[int], payloads: Sequence[Mapping[str, Any]] | None = None
) -> None:
    happened = [
        {"type": f"{kind}.created", "subject": f"{kind}:{row_id}", "payload": payload}
        for row_id, payload in zip(ids, payloads or [{}] * len(ids), strict=True)
    ]
    session.execute(insert(cast("Table", Event.__table__)), happened)
