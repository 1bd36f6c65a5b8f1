"""The APIs of routers: does each NAS entry's access to them work?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from core.keyring import Keyring
from core.models.network import Nas, Session
from core.network import access_of
from core.routeros import RouterOsAccess
from provedor.doctor.check import NotAsked, Wrong, keyring
from provedor.node import resolve_runtime
from provedor.settings import Settings
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import RouterOsError

TIMEOUT_S = 3.0
#: Asked at a time, and boxes of one entry that are asked.
AT_A_TIME = 16
BOXES_MAX = 20


def check_routers(settings: Settings) -> str:
    """Every box by its address; of an entry that is a network, those that have sessions."""
    with resolve_runtime(settings).database.transaction() as session:
        wanted = list(_accesses(session, keyring(settings)))
    if not wanted:
        raise NotAsked("no NAS entry has access to a RouterOS API")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        answers = list(pool.map(lambda one: _ask(*one), wanted))
    wrong = [answer for answer in answers if answer is not None]
    if wrong:
        raise Wrong("; ".join(wrong))
    return f"{len(answers)} of {len(wanted)} answer"


def _accesses(session: DatabaseSession, keys: Keyring) -> Iterator[tuple[str, RouterOsAccess]]:
    for nas in session.scalars(select(Nas).where(Nas.routeros.is_not(None)).order_by(Nas.name)):
        for address in _addresses(session, nas):
            access = access_of(nas, address, keys)
            if access is not None:
                yield nas.name, access


def _addresses(session: DatabaseSession, nas: Nas) -> list[str]:
    entry = ip_network(nas.address)
    if entry.num_addresses == 1:
        return [str(entry.network_address)]
    live = select(Session.nas_address).where(Session.nas_id == nas.id, Session.stopped_at.is_(None)).distinct()
    return list(session.scalars(live.order_by(Session.nas_address).limit(BOXES_MAX)))


def _ask(name: str, access: RouterOsAccess) -> str | None:
    """What is wrong, if anything is. It reads what the probe reads, so that the user's rights are tried, too."""
    client = RouterOs(access, timeout_s=TIMEOUT_S)
    try:
        client.rows("/ppp/active", (".id",), "name=provedor-doctor")
        client.rows("/system/identity", ("name",))
    except RouterOsError as error:
        return f"{name}: {error.title}: {error.detail}"
    finally:
        client.close()
    return None
