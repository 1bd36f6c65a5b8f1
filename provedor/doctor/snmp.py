"""The SNMP agents that are asked about sessions."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from gufo.snmp import SnmpError
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.snmp import agent
from aaa.snmp.access import SnmpAccess, snmp_access
from aaa.snmp.tables import SYS_UP_TIME, TABLES
from core.keyring import Keyring
from core.models.network import Nas, Session
from provedor.doctor.check import NotAsked, Wrong, keyring
from provedor.node import resolve_runtime
from provedor.settings import Settings

#: Of a NAS entry that is a network, so many boxes are asked.
BOXES_MAX = 20
#: Asked at a time.
AGENTS_MAX = 50


class _Said(NamedTuple):
    wrong: str = ""
    note: str = ""


def check_snmp(settings: Settings) -> str:
    """Does each agent answer, and show what is asked of it?"""
    with resolve_runtime(settings).database.transaction() as session:
        accesses = _accesses(session, keyring(settings))
    if not accesses:
        raise NotAsked("no NAS entry has `snmp`, or none with `snmp` has sessions")
    said = asyncio.run(_ask_all(accesses))
    wrong = [f"{where} {one.wrong}" for where, one in said if one.wrong]
    if wrong:
        raise Wrong("; ".join(wrong))
    return "; ".join([f"{len(said)} agents answer", *(f"{where} {one.note}" for where, one in said if one.note)])


def _accesses(session: DatabaseSession, keys: Keyring) -> list[tuple[str, SnmpAccess]]:
    found = [
        (nas.name, snmp_access(nas, address, keys))
        for nas in session.scalars(select(Nas).where(Nas.snmp != {}).order_by(Nas.name))
        for address in _addresses(session, nas)
    ]
    return [(f"{name} ({access.address} port {access.port})", access) for name, access in found if access]


def _addresses(session: DatabaseSession, nas: Nas) -> list[str]:
    if "/" not in nas.address:
        return [nas.address]
    boxes = select(Session.nas_address).where(Session.nas_id == nas.id, Session.stopped_at.is_(None)).distinct()
    return list(session.scalars(boxes.limit(BOXES_MAX)))


async def _ask_all(accesses: list[tuple[str, SnmpAccess]]) -> list[tuple[str, _Said]]:
    turns = asyncio.Semaphore(AGENTS_MAX)

    async def ask(access: SnmpAccess) -> _Said:
        async with turns:
            return await _ask(access)

    said = await asyncio.gather(*(ask(access) for _, access in accesses))
    return [(where, one) for (where, _), one in zip(accesses, said, strict=True)]


async def _ask(access: SnmpAccess) -> _Said:
    try:
        if SYS_UP_TIME not in await agent.get(access, [SYS_UP_TIME]):
            return _Said(f"does not show sysUpTime: let its view include {SYS_UP_TIME.removesuffix('.0')}")
        shown = [await agent.shows(access, table.oid) for table in TABLES.get(access.vendor, ())]
    except TimeoutError:
        return _Said("does not answer SNMP: check its address, port, community and firewall")
    except SnmpError as error:
        return _Said(f"refuses SNMP ({error}): check user and passphrases")
    except OSError as error:
        return _Said(f"cannot be asked over SNMP: {error.strerror or error}")
    if access.vendor not in TABLES:
        return _Said(note=f"is a {access.vendor}, of which nothing is asked over SNMP")
    return _Said(note="" if any(shown) else "shows no sessions: does its view include the tables in docs/sessions.md?")
