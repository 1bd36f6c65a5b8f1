"""Services: one access at one installation address, with its credentials and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from core import addresses, audit, changes, events, holds, locks, outbox, policies, topics
from core.attributes import check_vendor_attributes
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import SERVICE_PASSWORD, Keyring
from core.locks import LearnedLocks
from core.logins import check_login, check_password
from core.models.network import Nas, Vendor
from core.models.party import Contract, ContractItem, ContractStatus
from core.models.service import LOGIN_KEY, Plan, Service, ServiceStatus
from core.models.system import ChangeKind

_UNIQUE = {"login": "login", "ipv4_address": "ipv4_address"}
#: Who learns locks.
_RADIUS = Actor("system:radius")
_LOCKS = {
    "mac_lock": locks.check_mac_lock,
    "circuit_lock": locks.check_circuit_lock,
    "nas_lock": locks.check_nas_lock,
}


def create_service(session: Session, keyring: Keyring, values: Mapping[str, Any], actor: Actor) -> Service:
    """Raises InvalidInput or Conflict naming the field.

    It costs `price_cents` from the day `price_from` on, without them its plan's price of today from the start of the
    contract: a price of the contract's own, whatever becomes of the plan's.
    """
    plain = _checked({key: value for key, value in values.items() if value is not None}, keyring)
    price_cents, price_from = plain.pop("price_cents", None), plain.pop("price_from", None)
    if ("login" in plain) != ("password_encrypted" in plain):
        raise InvalidInput("a service that logs in has both login and password", field="password")
    plan = _existing_plan(session, plain["plan_id"])
    _check_nas_entries(session, plain.get("nas_lock"))
    contract = session.get(Contract, plain["contract_id"])
    if contract is None:
        raise InvalidInput(f"there is no contract {plain['contract_id']}", field="contract_id")
    if contract.status is ContractStatus.CANCELLED:
        raise Conflict(f"contract {contract.id} is cancelled", field="contract_id")
    service = Service(**{"ipv4_routes": [], "address": {}, "status": ServiceStatus.ACTIVE, **plain})
    service.policy_fingerprint = policies.keep(session, policies.initial_policy(plan, service))
    session.add(service)
    flush_unique(session, _UNIQUE)
    _price(session, service, plan.price_cents if price_cents is None else price_cents, price_from)
    changes.note(session, ChangeKind.SERVICE, service.id)
    audit.record(session, actor, "create", "service", service.id, _audited(plain))
    events.record(session, "service.created", "service", service.id, login=service.login)
    _owe_count(session, service.id, plan)
    return service


def get_service(session: Session, service_id: int) -> Service:
    service = session.get(Service, service_id)
    if service is None:
        raise NotFound("service", service_id)
    return service


def find_by_login(session: Session, login: str) -> Service | None:
    """The service that uses this login now, else the last one that did."""
    return session.scalar(
        select(Service)
        .where(Service.login == login)
        .order_by((Service.status == ServiceStatus.CANCELLED).asc(), Service.id.desc())
        .limit(1)
    )


def find_near_logins(session: Session, login: str, limit: int = 5) -> Sequence[Service]:
    """Services whose login is this one written otherwise: another case, a realm, a blank."""
    if not login.partition("@")[0].strip():
        return []
    same_key = text(f"{LOGIN_KEY.format('login')} = {LOGIN_KEY.format(':near')}").bindparams(near=login)
    return session.scalars(
        select(Service)
        .where(same_key, Service.login.is_not(None), Service.login != login, Service.status != ServiceStatus.CANCELLED)
        .order_by(Service.id)
        .limit(limit)
    ).all()


def find_by_mac_lock(session: Session, mac: str) -> Sequence[Service]:
    """Services locked to this MAC address, in its canonical form."""
    of_mac = (Service.mac_lock.is_not(None), Service.mac_lock.contains([mac]))
    return session.scalars(select(Service).where(*of_mac).order_by(Service.id)).all()


def learn_locks(session: Session, learned: Iterable[LearnedLocks]) -> None:
    """Keep what first accepted logins taught of locks that were to be learned. The first one holds."""
    by_service = {one.service_id: one for one in learned}
    waiting = session.scalars(select(Service).where(Service.id.in_(by_service)).order_by(Service.id).with_for_update())
    for service in waiting.all():
        said = by_service[service.id]
        nas_id = None if said.nas_id is None else str(said.nas_id)
        taught = {"mac_lock": said.mac, "circuit_lock": said.circuit, "nas_lock": nas_id}
        new = {name: [value] for name, value in taught.items() if value is not None and getattr(service, name) == []}
        if not new:
            continue
        changed = apply_changes(service, new)
        changes.note(session, ChangeKind.SERVICE, service.id)
        audit.record(session, _RADIUS, "learn", "service", service.id, changed)
        events.record(session, "service.locks_learned", "service", service.id, locks=sorted(changed))


def update_service(
    session: Session, keyring: Keyring, service: Service, values: Mapping[str, Any], actor: Actor
) -> Service:
    """A `price_from` is the day from which its price holds: it was pending until then."""
    if service.status is ServiceStatus.CANCELLED:
        raise Conflict(f"service {service.id} is cancelled")
    plain = _checked(values, keyring)
    if (price_from := plain.pop("price_from", None)) is not None:
        of_service = ContractItem.service_id == service.id
        session.execute(update(ContractItem).where(of_service).values(valid_from=price_from))
    plan = _existing_plan(session, plain["plan_id"]) if "plan_id" in plain else None
    _check_nas_entries(session, plain.get("nas_lock"))
    changed = apply_changes(service, plain)
    if (service.login is None) != (service.password_encrypted is None):
        raise InvalidInput("a service that logs in has both login and password", field="password")
    flush_unique(session, _UNIQUE)
    if changed:
        changes.note(session, ChangeKind.SERVICE, service.id)
        audit.record(session, actor, "update", "service", service.id, _audited(changed))
        events.record(session, "service.changed", "service", service.id)
        policies.refresh(session, [service.id])
        _owe_count(session, service.id, plan)
    return service


def _owe_count(session: Session, service_id: int, plan: Plan | None) -> None:
    """Who comes to a prepaid plan has nothing yet."""
    if plan is not None and plan.prepaid is not None:
        outbox.enqueue(session, topics.PREPAID_DUE, {"service_id": service_id})


def cancel_service(session: Session, service: Service, actor: Actor, now: datetime) -> Service:
    """The end of it: the login is free for another, whoever is online with it is disconnected, and nothing is left to
    hold.
    """
    if service.status is ServiceStatus.CANCELLED:
        return service
    service.status, service.cancelled_at = ServiceStatus.CANCELLED, now
    holds.lift_all(session, service.id, actor=actor, now=now)
    changes.note(session, ChangeKind.SERVICE, service.id)
    audit.record(session, actor, "cancel", "service", service.id, {})
    events.record(session, "service.cancelled", "service", service.id)
    policies.owe_enforcement(session, service.id)
    return service


def _price(session: Session, service: Service, price_cents: int, price_from: date | None) -> None:
    if price_cents:
        session.add(
            ContractItem(
                contract_id=service.contract_id, service_id=service.id, price_cents=price_cents, valid_from=price_from
            )
        )
        session.flush()


def _existing_plan(session: Session, plan_id: int) -> Plan:
    """Held still until the commit: a plan that changes meanwhile would not find the service that is being put on it."""
    query = select(Plan).where(Plan.id == plan_id).with_for_update(read=True)
    plan = session.scalar(query.execution_options(populate_existing=True))
    if plan is None:
        raise InvalidInput(f"there is no plan {plan_id}", field="plan_id")
    return plan


def _check_nas_entries(session: Session, nas_lock: Sequence[str] | None) -> None:
    wanted = {int(nas_id) for nas_id in nas_lock or ()}
    missing = wanted - set(session.scalars(select(Nas.id).where(Nas.id.in_(wanted))))
    if missing:
        raise InvalidInput(f"there is no nas {min(missing)}", field="nas_id")


def _checked(values: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    """The values in canonical form, the password sealed."""
    plain = dict(values)
    if plain.get("login") is not None:
        plain["login"] = check_login(plain["login"])
    if "password" in plain:
        password = plain.pop("password")
        plain["password_encrypted"] = None
        if password is not None:
            plain["password_encrypted"] = keyring.seal(check_password(password), SERVICE_PASSWORD)
    if plain.get("vendor_attributes"):
        plain["vendor_attributes"] = check_vendor_attributes(plain["vendor_attributes"], frozenset(Vendor))
    for name, check in _LOCKS.items():
        if plain.get(name):
            plain[name] = check(plain[name])
    return _with_addresses_checked(plain)


def _with_addresses_checked(plain: dict[str, Any]) -> dict[str, Any]:
    if plain.get("ipv4_address"):
        plain["ipv4_address"] = addresses.check_ipv4_address(plain["ipv4_address"])
    if plain.get("ipv4_routes"):
        plain["ipv4_routes"] = [addresses.check_ipv4_network(route) for route in plain["ipv4_routes"]]
    for field in ("ipv6_prefix", "delegated_ipv6_prefix"):
        if plain.get(field):
            plain[field] = addresses.check_ipv6_prefix(plain[field], field=field)
    return plain


def _audited(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in values.items() if key != "password_encrypted"}
    return {**shown, "password": "(changed)"} if "password_encrypted" in values else shown
