"""Home servers: the RADIUS servers that we take over from."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, changes, events
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import HOME_SERVER_SECRET, Keyring
from core.models.network import HomeServer, Nas
from core.models.system import ChangeKind

_UNIQUE = {"uq_home_server_name": "name"}


def create_home_server(session: Session, keyring: Keyring, values: Mapping[str, Any], actor: Actor) -> HomeServer:
    plain = _checked({key: value for key, value in values.items() if value is not None}, keyring)
    home = HomeServer(**plain)
    session.add(home)
    flush_unique(session, _UNIQUE)
    audit.record(session, actor, "create", "home_server", home.id, _audited(plain))
    events.record(session, "home_server.created", "home_server", home.id)
    return home


def get_home_server(session: Session, home_server_id: int) -> HomeServer:
    home = session.get(HomeServer, home_server_id)
    if home is None:
        raise NotFound("home server", home_server_id)
    return home


def find_by_name(session: Session, name: str) -> HomeServer:
    home = session.scalar(select(HomeServer).where(HomeServer.name == name))
    if home is None:
        raise NotFound("home server", name)
    return home


def update_home_server(
    session: Session, keyring: Keyring, home: HomeServer, values: Mapping[str, Any], actor: Actor
) -> HomeServer:
    plain = _checked(values, keyring)
    changed = apply_changes(home, plain)
    flush_unique(session, _UNIQUE)
    if changed:
        for nas_id in session.scalars(select(Nas.id).where(Nas.home_server_id == home.id)):
            changes.note(session, ChangeKind.NAS, nas_id)
        audit.record(session, actor, "update", "home_server", home.id, _audited(changed))
        events.record(session, "home_server.changed", "home_server", home.id)
    return home


def delete_home_server(session: Session, home: HomeServer, actor: Actor) -> None:
    """Raises Conflict while a NAS names it."""
    used_by = session.scalar(select(Nas.name).where(Nas.home_server_id == home.id).limit(1))
    if used_by is not None:
        raise Conflict(f"the NAS {used_by} has it as its home server")
    session.delete(home)
    session.flush()
    audit.record(session, actor, "delete", "home_server", home.id, {})
    events.record(session, "home_server.deleted", "home_server", home.id)


def _checked(values: Mapping[str, Any], keyring: Keyring) -> dict[str, Any]:
    plain = dict(values)
    if "address" in plain:
        plain["address"] = _check_address(plain["address"])
    if "secret" in plain:
        secret = plain.pop("secret")
        if not secret or len(secret.encode()) > 128:
            raise InvalidInput("a shared secret has 1 to 128 octets", field="secret")
        plain["secret_encrypted"] = keyring.seal(secret, HOME_SERVER_SECRET)
    return plain


def _check_address(value: str) -> str:
    try:
        address = ip_address(value)
    except ValueError as error:
        raise InvalidInput(f"not an IP address: {error}", field="address") from None
    if address.is_unspecified or address.is_multicast:
        raise InvalidInput(f"{address} is no server's address", field="address")
    return str(address)


def _audited(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in values.items() if key != "secret_encrypted"}
    return {**shown, "secret": "(changed)"} if "secret_encrypted" in values else shown
