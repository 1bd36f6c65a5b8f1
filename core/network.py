"""NAS entries: who may ask us, with which secret, and how they are to be treated."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import audit, changes, credentials, events, outbox, policies
from core.access import Access
from core.addresses import check_nas_address
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import InvalidInput, NotFound
from core.keyring import NAS_SECRET, ROUTEROS_PASSWORD, Keyring
from core.models.network import HomeServer, Nas, NasMode, Vendor
from core.models.service import Plan
from core.models.system import ChangeKind
from core.nas_management import set_management
from core.nas_options import check_names, check_options
from core.nas_snmp import set_snmp
from core.policy import Policy, ServiceTerms, intended_policy
from core.routeros import RouterOsAccess, check_routeros

_UNIQUE = {"uq_nas_name": "name", "uq_nas_address": "address"}
#: What does not go into a column as it is given.
_SEALED = {
    "secret", "snmp", "snmp_secret", "routeros", "routeros_password", "management", "management_secret",
}  # fmt: skip


def create_nas(session: Session, keyring: Keyring, values: Mapping[str, Any], actor: Actor) -> Nas:
    plain = {key: value for key, value in values.items() if value is not None and key not in _SEALED}
    check_names(plain.get("names", {}))
    nas = Nas(
        **{"names": {}, "options": {}, "login_rules": {}, **plain, "address": check_nas_address(values["address"])},
        secret_encrypted=_sealed(keyring, values["secret"]),
    )
    check_options(nas.vendor, nas.options)
    managed = set_snmp(nas, keyring, values) | _set_routeros(session, nas, keyring, values)
    managed |= set_management(session, nas, keyring, values)
    _check_mode(session, nas)
    session.add(nas)
    flush_unique(session, _UNIQUE)
    _set_emergency_policy(session, nas)
    changes.note(session, ChangeKind.NAS, nas.id)
    audit.record(session, actor, "create", "nas", nas.id, {**_json(plain), "secret": "(changed)", **managed})
    events.record(session, "nas.created", "nas", nas.id)
    return nas


def get_nas(session: Session, nas_id: int) -> Nas:
    nas = session.get(Nas, nas_id)
    if nas is None:
        raise NotFound("nas", nas_id)
    return nas


def find_by_name(session: Session, name: str) -> Nas:
    nas = session.scalar(select(Nas).where(Nas.name == name))
    if nas is None:
        raise NotFound("nas", name)
    return nas


def find_by_address(session: Session, address: str) -> Nas:
    nas = session.scalar(select(Nas).where(Nas.address == check_nas_address(address)))
    if nas is None:
        raise NotFound("NAS at", address)
    return nas


def update_nas(session: Session, keyring: Keyring, nas: Nas, values: Mapping[str, Any], actor: Actor) -> Nas:
    plain = {key: value for key, value in values.items() if key not in _SEALED}
    secret = values.get("secret")
    check_names(plain.get("names", {}))
    if "address" in plain:
        plain["address"] = check_nas_address(plain["address"])
    if "message_authenticator" in plain:
        plain["message_authenticator_learned"] = None  # `auto` learns anew
    changed = _json(apply_changes(nas, plain)) | set_snmp(nas, keyring, values)
    check_options(nas.vendor, nas.options)
    if secret is not None:
        nas.secret_encrypted = _sealed(keyring, secret)
        changed["secret"] = "(changed)"  # noqa: S105
    changed |= _set_routeros(session, nas, keyring, values) | set_management(session, nas, keyring, values)
    _check_mode(session, nas)
    _set_emergency_policy(session, nas)
    flush_unique(session, _UNIQUE)
    if changed.get("enforcement_frozen") is False or changed.get("emergency") is False:
        outbox.hasten(session, "provisioning.")
    if changed:
        changes.note(session, ChangeKind.NAS, nas.id)
        audit.record(session, actor, "update", "nas", nas.id, changed)
        events.record(session, "nas.changed", "nas", nas.id)
    return nas


def access_of(nas: Nas, address: str, keyring: Keyring) -> RouterOsAccess | None:
    """To the API of the box at this address; None where it may not be used. Raises SealBroken.

    A box outside the entry's network (it says of itself where it is) is told no password.
    """
    if nas.routeros is None or nas.routeros_password_encrypted is None:
        return None
    if ip_address(address) not in ip_network(nas.address):
        return None
    password = keyring.open_text(nas.routeros_password_encrypted, ROUTEROS_PASSWORD)
    coming = nas.routeros_next_password_encrypted
    next_password = None if coming is None else keyring.open_text(coming, ROUTEROS_PASSWORD)
    plain = {name: value for name, value in nas.routeros.items() if name != "credential"}
    return RouterOsAccess(nas.id, address, password=password, next_password=next_password, **plain)


def learn_message_authenticator(session: Session, nas_id: int, mode: str) -> None:
    """Keep what the first request of an `auto` NAS taught, once."""
    learned = session.execute(
        update(Nas)
        .where(Nas.id == nas_id, Nas.message_authenticator_learned.is_(None))
        .values(message_authenticator_learned=mode)
        .returning(Nas.id)
    ).first()
    if learned:
        changes.note(session, ChangeKind.NAS, nas_id)
        events.record(session, "nas.message_authenticator_learned", "nas", nas_id, mode=mode)


def refresh_emergency_policy(session: Session, plan: Plan) -> None:
    """The plan became another: so does what its NASes answer in an emergency. It is no edit of the NAS entry."""
    fingerprint = policies.keep(session, _emergency_policy(plan))
    moved = session.scalars(
        update(Nas)
        .where(Nas.emergency_plan_id == plan.id, Nas.emergency_fingerprint != fingerprint)
        .values(emergency_fingerprint=fingerprint, version=Nas.version)
        .returning(Nas.id)
    ).all()
    for nas_id in moved:
        changes.note(session, ChangeKind.NAS, nas_id)


def _set_emergency_policy(session: Session, nas: Nas) -> None:
    if nas.emergency_plan_id is None:
        if nas.emergency:
            raise InvalidInput("the emergency switch needs an emergency plan", field="emergency_plan_id")
        nas.emergency_fingerprint = None
        return
    plan = session.get(Plan, nas.emergency_plan_id)
    if plan is None:
        raise InvalidInput(f"there is no plan {nas.emergency_plan_id}", field="emergency_plan_id")
    nas.emergency_fingerprint = policies.keep(session, _emergency_policy(plan))
    session.flush()


def _set_routeros(session: Session, nas: Nas, keyring: Keyring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Take access to its API over from what was given. Returns what changed, for the audit log."""
    changed: dict[str, Any] = {}
    password = given.get("routeros_password")
    if "routeros" in given:
        changed |= apply_changes(nas, {"routeros": _kept_routeros(session, nas, keyring, given["routeros"])})
    if nas.routeros is None:
        if password is not None:
            raise InvalidInput("a password for the API needs `routeros` with the user", field="routeros_password")
        nas.routeros_password_encrypted = nas.routeros_next_password_encrypted = None
        return changed
    if nas.vendor is not Vendor.MIKROTIK:
        raise InvalidInput(f"a NAS of vendor {nas.vendor} has no such API: set it to null", field="routeros")
    if password is not None:
        if nas.routeros.get("credential") is not None:
            raise InvalidInput("it is the credential's: set it there", field="routeros_password")
        nas.routeros_password_encrypted = keyring.seal(password, ROUTEROS_PASSWORD)
        nas.routeros_next_password_encrypted = None
        changed["routeros_password"] = "(changed)"  # noqa: S105
    if nas.routeros_password_encrypted is None:
        raise InvalidInput("the user of the API needs a password", field="routeros_password")
    return changed


def _kept_routeros(
    session: Session, nas: Nas, keyring: Keyring, given: Mapping[str, Any] | None
) -> dict[str, Any] | None:  # fmt: skip
    """With the user and passwords of its credential, where it names one that it had not."""
    if given is None:
        return None
    name = given.get("credential")
    if name is None:
        return check_routeros(given)
    found = credentials.find_by_name(session, name, field="routeros.credential")
    if given.get("user") not in {None, found.user}:
        raise InvalidInput(f"the credential's is {found.user}", field="routeros.user")
    if nas.routeros is None or nas.routeros.get("credential") != name:
        password = credentials.password_of(keyring, found, field="routeros.credential")
        nas.routeros_password_encrypted = keyring.seal(password, ROUTEROS_PASSWORD)
        nas.routeros_next_password_encrypted = None
    return {**check_routeros({**given, "user": found.user}), "credential": name}


def _check_mode(session: Session, nas: Nas) -> None:
    with session.no_autoflush:
        if nas.home_server_id is not None and session.get(HomeServer, nas.home_server_id) is None:
            raise InvalidInput(f"there is no home server {nas.home_server_id}", field="home_server_id")
    if nas.mode not in {None, NasMode.SERVE} and nas.home_server_id is None:
        raise InvalidInput(f"the mode {nas.mode} needs a home server", field="home_server_id")


def _emergency_policy(plan: Plan) -> Policy:
    return intended_policy(plan.terms(), ServiceTerms(), Access.FULL)


def _sealed(keyring: Keyring, secret: str) -> bytes:
    if not secret or len(secret.encode()) > 128:
        raise InvalidInput("a shared secret has 1 to 128 octets", field="secret")
    return keyring.seal(secret, NAS_SECRET)


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, (int, dict, list, type(None))) else str(value) for key, value in values.items()
    }
