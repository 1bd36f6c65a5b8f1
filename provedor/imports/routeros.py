"""The import of what a RouterOS box has online, for the moment in which we take over.

Its PPP sessions that we do not know become observed sessions, with login, device, address and time; addresses out of
our own pools become leases. What we know already is left as it is, so the import may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.takeover.attribution import apply_rules
from aaa.takeover.seeding import OpenSession, seed_sessions
from core import network
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models.network import Nas, Session
from core.models.service import Service, ServiceStatus
from core.routeros import RouterOsAccess
from provedor.imports.accounts import Level
from provedor.imports.follow import Outcome
from provedor.imports.pool_addresses import adopt_leases
from provisioning.routeros.client import RouterOs, patient_client
from provisioning.routeros.sessions import PppSession, Shown, shown_by


@dataclass(frozen=True, slots=True)
class RouterOsImport:
    database: Database
    #: The same database for a bare connection.
    libpq_url: str
    keyring: Keyring
    now: datetime
    connect: Callable[[RouterOsAccess], RouterOs] = patient_client

    def run(self, name: str, address: str | None, *, dry_run: bool) -> Outcome:
        """Of the NAS of this name; `address` is needed where its entry is a network. Raises RouterOsError."""
        with self.database.transaction() as session:
            nas = network.find_by_name(session, name)
        access = self._access(nas, address)
        client = self.connect(access)
        try:
            shown = shown_by(client)
        finally:
            client.close()
        return self._take_over(nas, access.address, shown, dry_run=dry_run)

    def _access(self, nas: Nas, address: str | None) -> RouterOsAccess:
        entry = ip_network(nas.address)
        if address is None and entry.num_addresses > 1:
            raise InvalidInput(f"{nas.address} is a network: say which of its boxes", field="--address")
        access = network.access_of(nas, address or str(entry.network_address), self.keyring)
        if access is None:
            detail = (
                f"the NAS {nas.name} has no access to an API" if nas.routeros is None else f"is not in {nas.address}"
            )
            raise InvalidInput(detail, field="routeros" if nas.routeros is None else "--address")
        return access

    def _take_over(self, nas: Nas, address: str, shown: Shown, *, dry_run: bool) -> Outcome:
        outcome = Outcome()
        _tell_of_others(shown, outcome)
        with self.database.transaction() as session:
            services = _services(session, nas, shown.sessions)
            known = _live_here(session, nas, {shown.identity, address})
        _tell_of_strangers(shown.sessions, services, outcome)
        fresh = [one for one in shown.sessions if (one.acct_session_id, one.login) not in known]
        found = [self._open_session(nas, address, shown.identity, one, services.get(one.login)) for one in fresh]
        seeded = len(found) if dry_run else self._seed(found)
        outcome.count("session", "seeded", seeded)
        outcome.count("session", "known", len(shown.sessions) - len(fresh))
        outcome.count("session", "ended here and left", len(fresh) - seeded)
        missed = known - {(one.acct_session_id, one.login) for one in shown.sessions}
        outcome.count("session", "live here and not at the router", len(missed))
        if not dry_run:
            adopt_leases(self.database, outcome)
        return outcome

    def _open_session(
        self, nas: Nas, address: str, identity: str, one: PppSession, service_id: int | None
    ) -> OpenSession:
        seconds = int(one.uptime.total_seconds())
        return OpenSession(
            nas.id, address, one.acct_session_id, service_id, one.login, self.now - one.uptime, self.now, seconds, 0, 0,
            0, None, one.caller_id, None, one.address, None, None, identity or None,
        )  # fmt: skip

    def _seed(self, found: Sequence[OpenSession]) -> int:
        with psycopg.connect(self.libpq_url, autocommit=True, application_name="provedor-import") as connection:
            return seed_sessions(connection, found)


def _services(session: DatabaseSession, nas: Nas, sessions: Sequence[PppSession]) -> dict[str, int]:
    """By the login as the router has it."""
    spelled = {one.login: apply_rules(one.login, nas.login_rules) for one in sessions}
    query = select(Service.login, Service.id).where(
        Service.login.in_(set(spelled.values())), Service.status == ServiceStatus.ACTIVE
    )
    ids = {str(row.login): row.id for row in session.execute(query)}
    return {login: ids[ours] for login, ours in spelled.items() if ours in ids}


def _live_here(session: DatabaseSession, nas: Nas, boxes: set[str]) -> set[tuple[str, str]]:
    query = select(Session.acct_session_id, Session.login).where(
        Session.nas_id == nas.id, Session.box.in_(boxes), Session.stopped_at.is_(None)
    )
    return {(row.acct_session_id, row.login) for row in session.execute(query)}


def _tell_of_others(shown: Shown, outcome: Outcome) -> None:
    for login in shown.local:
        outcome.tell(
            Level.LEFT_OUT, "session", login, "was let in by the router's own secrets: RADIUS does not account for it",
            "disable the secret, and its next login is ours",
        )  # fmt: skip
    for login in shown.unreadable:
        outcome.tell(Level.LEFT_OUT, "session", login, "shows no session id or no uptime")
    for what, number in (("hotspot users", shown.hotspot_users), ("DHCP leases by RADIUS", shown.radius_leases)):
        if number:
            outcome.tell(
                Level.NOTE,
                "session",
                f"{number} {what}",
                "show no session id: their next Interim-Update tells us of them",
            )


def _tell_of_strangers(sessions: Sequence[PppSession], services: dict[str, int], outcome: Outcome) -> None:
    for one in sessions:
        if one.login not in services:
            outcome.tell(
                Level.NOTE, "session", one.login, "is no service here: its session is seen, and belongs to nobody",
                "create the service",
            )  # fmt: skip
