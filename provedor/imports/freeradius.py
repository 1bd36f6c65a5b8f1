"""The import from a FreeRADIUS database: read, judge, write in chunks, seed its open sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from aaa.packet import readable
from aaa.takeover.seeding import OpenSession, seed_sessions
from core.audit import Actor
from core.database import Database
from core.keyring import Keyring
from core.models.network import Nas, Vendor
from core.models.service import Service, ServiceStatus
from provedor.export_dialects import GROUP
from provedor.imports.accounts import Judged, Level, Rules, judge
from provedor.imports.follow import Follower, Outcome, chunks, transactions
from provedor.imports.old_tables import OldTables, read_tables
from provedor.imports.pool_addresses import adopt_leases


@dataclass(frozen=True, slots=True)
class Options:
    #: (down, up) in kbit/s by group.
    rates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: None: as the old database compares.
    lowercase: bool | None = None
    strip_realm: bool = False
    #: Of NASes whose type does not name one that we know.
    vendor: Vendor | None = None
    due_day: int = 10
    with_sessions: bool = True


@dataclass(frozen=True, slots=True)
class FreeradiusImport:
    database: Database
    #: The same database for a bare connection.
    libpq_url: str
    keyring: Keyring
    actor: Actor
    now: datetime

    def run(
        self, url: str, options: Options, *, dry_run: bool,
        progress: Callable[[Sequence[Any]], Iterable[Any]] = lambda chunks: chunks,
    ) -> Outcome:  # fmt: skip
        """Raises OldDatabaseAway."""
        tables = read_tables(url, with_sessions=options.with_sessions)
        exported = tables.set_aside(GROUP)  # our own words: a hold of ours would come back as somebody else's
        rules = Rules(tables.case_insensitive if options.lowercase is None else options.lowercase, options.strip_realm)
        judged = judge(tables, rules, options.rates, self.now)
        outcome = Outcome(findings=list(judged.findings))
        if exported:
            outcome.count("login", "exported from here", exported)
        follower = Follower(self.keyring, self.actor, self.now, options.due_day, outcome)
        with transactions(self.database, dry_run=dry_run) as transaction:
            with transaction() as session:
                follower.follow_nas(session, tables.nas, rules, options.vendor or _usual_vendor(tables))
                plan_ids = follower.follow_plans(session, judged.plans)
            for chunk in progress(chunks(judged.accounts)):
                with transaction() as session:
                    follower.follow_services(session, chunk, plan_ids)
            with transaction() as session:
                found = _open_sessions(session, tables, judged, outcome)
        seeded = len(found) if dry_run else self._seed(found)
        outcome.count("session", "seeded", seeded)
        outcome.count("session", "known", len(found) - seeded)
        if not dry_run:
            adopt_leases(self.database, outcome)
        outcome.count("login", "rejected", sum(_is_rejected_login(finding) for finding in outcome.findings))
        return outcome

    def _seed(self, found: Sequence[OpenSession]) -> int:
        with psycopg.connect(self.libpq_url, autocommit=True, application_name="provedor-import") as connection:
            return seed_sessions(connection, found)


def _is_rejected_login(finding: Any) -> bool:  # noqa: ANN401
    return finding.level is Level.REJECTED and finding.what == "login"


def _usual_vendor(tables: OldTables) -> Vendor | None:
    """What the replies are written for, where the table of NASes does not say."""
    rows = [row for group in (*tables.group_replies.values(), *tables.replies.values()) for row in group]
    return Vendor.MIKROTIK if any(row.attribute.lower().startswith("mikrotik-") for row in rows) else None


def _open_sessions(session: Session, tables: OldTables, judged: Judged, outcome: Outcome) -> list[OpenSession]:
    networks = _Networks(session)
    spelled = {row["username"]: _spelled(row["username"], judged) for row in tables.sessions}
    services = _services_of(session, list(set(spelled.values())))
    found, strangers = [], set()
    for row in tables.sessions:
        address = str(ip_interface(str(row["nasipaddress"])).ip)
        nas_id = networks.find(address)
        if nas_id is None:
            strangers.add(address)
        elif row["acctsessionid"]:
            found.append(_open_session(row, nas_id, address, services.get(spelled[row["username"]])))
    for address in sorted(strangers):
        outcome.tell(Level.LEFT_OUT, "session", address, "its sessions are left out: it is no NAS here", "create it")
    return found


def _spelled(user: str | None, judged: Judged) -> str:
    return judged.spellings.get(user or "") or judged.rules.spell(user or "")


def _services_of(session: Session, logins: list[str]) -> dict[str, int]:
    query = select(Service.login, Service.id).where(Service.login.in_(logins), Service.status == ServiceStatus.ACTIVE)
    return {str(row.login): row.id for row in session.execute(query)}


class _Networks:
    """NAS entries by address; the longest prefix wins."""

    def __init__(self, session: Session) -> None:
        rows = session.execute(select(Nas.id, Nas.address)).all()
        entries = [(ip_network(row.address), row.id) for row in rows]
        self._entries = sorted(entries, key=lambda entry: -entry[0].prefixlen)

    def find(self, address: str) -> int | None:
        plain = ip_address(address)
        return next((nas_id for network, nas_id in self._entries if plain in network), None)


def _open_session(row: Mapping[str, Any], nas_id: int, address: str, service_id: int | None) -> OpenSession:
    started_at: datetime = row["acctstarttime"]
    seconds = int(row["acctsessiontime"] or 0)
    updated_at = row["acctupdatetime"] or started_at + timedelta(seconds=seconds)
    seconds = seconds or max(0, int((updated_at - started_at).total_seconds()))
    interval_s = int(row["acctinterval"] or 0)
    return OpenSession(
        nas_id, address, _text(row["acctsessionid"]) or "", service_id, _text(row["username"]) or "", started_at,
        updated_at, seconds, int(row["acctinputoctets"] or 0), int(row["acctoutputoctets"] or 0),
        max(1, seconds // interval_s) if interval_s > 0 and seconds else 0, _text(row["nasportid"]),
        _text(row["callingstationid"]), _text(row["calledstationid"]), _host(row["framedipaddress"]),
        _prefix(row["framedipv6prefix"]), _prefix(row["delegatedipv6prefix"]),
    )  # fmt: skip


def _text(value: object) -> str | None:
    """As accounting would have told it, so that it is the same session."""
    return readable(str(value).encode()) if value else None


def _interface(value: object) -> IPv4Interface | IPv6Interface | None:
    try:
        return ip_interface(str(value)) if value else None
    except ValueError:
        return None


def _host(value: object) -> str | None:
    found = _interface(value)
    return str(found.ip) if found is not None and int(found.ip) else None


def _prefix(value: object) -> str | None:
    found = _interface(value)
    return str(found.network) if found is not None and found.version == 6 else None
