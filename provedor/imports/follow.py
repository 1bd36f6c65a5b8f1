"""Writes what was judged, and follows the old database, or a router, from one import to the next.

Of every row it is kept, sealed, what the old database said last (core.models.ImportedRow). Where it says something else
now, and what we have is still what it said then, ours follows. What a person changed here stays; where both changed,
that is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import holds, intake, network, plans, services
from core.access import HoldReason
from core.addresses import check_nas_address
from core.audit import Actor
from core.database import Database
from core.errors import InvalidInput
from core.intake import NewService
from core.keyring import IMPORTED_VALUES, NAS_SECRET, SERVICE_PASSWORD, Keyring
from core.models.imports import ImportedRow
from core.models.network import Nas, Vendor
from core.models.service import Hold, Plan, Service, ServiceStatus
from provedor.imports.accounts import Account, Finding, Level, Rules
from provedor.imports.old_tables import NasLine

#: Services written in one transaction.
CHUNK: Final = 500
_TERMS: Final = ("ipv4_address", "ipv4_routes", "ipv6_prefix", "delegated_ipv6_prefix")
_LOCKS: Final = ("mac_lock", "circuit_lock")


class HasColumns(Protocol):
    """A plan's terms."""

    def columns(self) -> dict[str, Any]: ...


class Origin(NamedTuple):
    """From where rows come: as it is kept, as people call it, and where that is."""

    source: str
    called: str
    where: str


FREERADIUS: Final = Origin("freeradius", "FreeRADIUS", "in the old database")


@dataclass
class Outcome:
    """Rows by kind and what became of them, and what is to be told."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def count(self, kind: str, outcome: str, number: int = 1) -> None:
        self.counts.setdefault(kind, Counter())[outcome] += number

    def tell(self, level: Level, what: str, key: str, reason: str, fix: str = "") -> None:
        self.findings.append(Finding(level, what, key, reason, fix))


@dataclass(frozen=True)
class Follower:
    """One import's writing, in the transactions of whoever calls."""

    keyring: Keyring
    actor: Actor
    now: datetime
    due_day: int
    outcome: Outcome
    origin: Origin = FREERADIUS

    def follow_plans(self, session: Session, wanted: Mapping[str, HasColumns]) -> dict[str, int]:
        """Plan ids by name."""
        origins = self._origins(session, "plan", list(wanted))
        return {name: self._plan(session, name, terms, origins.get(name)) for name, terms in wanted.items()}

    def _plan(self, session: Session, name: str, terms: HasColumns, origin: ImportedRow | None) -> int:
        says = terms.columns()
        plan = session.get(Plan, origin.ref_id) if origin else None
        plan = plan or session.scalar(select(Plan).where(Plan.name == name))
        if plan is None:
            plan = plans.create_plan(session, {"name": name, **says}, self.actor)
            self.outcome.count("plan", "created")
        elif origin is None:
            self.outcome.count("plan", "exists")
            if _plan_columns(plan, says) != says:
                self.outcome.tell(Level.NOTE, "plan", name, "exists here with other terms, which are kept")
            return plan.id
        else:
            before = self._values(origin)
            changes = self._changes("plan", name, before, says, _plan_columns(plan, says))
            self.outcome.count("plan", "updated" if changes else "unchanged")
            plans.update_plan(session, plan, changes, self.actor)
        self._keep(session, "plan", name, plan.id, says, origin)
        return plan.id

    def follow_nas(self, session: Session, lines: Sequence[NasLine], rules: Rules, vendor: Vendor | None) -> None:
        for line in lines:
            try:
                address = check_nas_address(line.nasname)
            except InvalidInput as error:
                fix = "give its address in the table nas"
                self.outcome.tell(Level.REJECTED, "nas", line.nasname, error.detail, fix)
                self.outcome.count("nas", "rejected")
                continue
            self._nas(session, line, address, rules, vendor)

    def _nas(self, session: Session, line: NasLine, address: str, rules: Rules, vendor: Vendor | None) -> None:
        says = {"secret": line.secret}
        origin = self._origins(session, "nas", [address]).get(address)
        nas = session.scalar(select(Nas).where(Nas.address == address))
        if nas is None and origin is None:
            name = line.shortname or address
            if session.scalar(select(Nas.id).where(Nas.name == name)) is not None:
                name = f"{name} ({address})"
            login_rules = {"trim": True, "lowercase": rules.lowercase, "strip_realm": rules.strip_realm}
            values = {"name": name, "address": address, "secret": line.secret, "vendor": _vendor(line, vendor),
                      "login_rules": login_rules}  # fmt: skip
            nas = network.create_nas(session, self.keyring, values, self.actor)
            self.outcome.count("nas", "created")
        elif nas is None:
            return self.outcome.count("nas", "gone")
        elif origin is None:
            return self.outcome.count("nas", "exists")
        else:
            here = {"secret": self.keyring.open_text(nas.secret_encrypted, NAS_SECRET)}
            changes = self._changes("nas", nas.name, self._values(origin), says, here)
            self.outcome.count("nas", "updated" if changes else "unchanged")
            if changes:
                network.update_nas(session, self.keyring, nas, changes, self.actor)
        return self._keep(session, "nas", address, nas.id, says, origin)

    def follow_services(self, session: Session, accounts: Sequence[Account], plan_ids: Mapping[str, int]) -> None:
        """One chunk."""
        logins = [account.login for account in accounts]
        origins = self._service_origins(session, accounts)
        live = select(Service).where(Service.login.in_(logins), Service.status != ServiceStatus.CANCELLED)
        present = {service.login: service for service in session.scalars(live)}
        new = []
        for account in accounts:
            service, origin = present.get(account.login), origins.get(account.login)
            if service is None and origin is not None and origin.key != account.login:
                service = self._respelled(session, account, origin)
            if service is None and origin is None:
                new.append(account)
            elif service is None:
                self.outcome.count("login", "gone")
            elif origin is None:
                self.outcome.count("login", "exists")
            else:
                self._service(session, account, service, origin, plan_ids)
        self._create(session, self._with_free_addresses(session, new), plan_ids)

    def _service_origins(self, session: Session, accounts: Sequence[Account]) -> dict[str, ImportedRow]:
        """By the login that an account has now; it may have been imported under another spelling of it."""
        spellings = {
            account.login: (account.login, *account.users, *map(_trimmed, account.users)) for account in accounts
        }
        found = self._origins(session, "service", sorted({one for keys in spellings.values() for one in keys}))
        known = {login: next((found[key] for key in keys if key in found), None) for login, keys in spellings.items()}
        return {login: origin for login, origin in known.items() if origin is not None}

    def _respelled(self, session: Session, account: Account, origin: ImportedRow) -> Service | None:
        """The service that was imported under another spelling, called as it is now, unless a person renamed it."""
        service = session.get(Service, origin.ref_id)
        if service is None or service.status is ServiceStatus.CANCELLED:
            return None
        if service.login == origin.key:
            services.update_service(session, self.keyring, service, {"login": account.login}, self.actor)
            self.outcome.tell(Level.NOTE, "login", account.login, f"was {origin.key!r} here")
            origin.key = account.login
        return service

    def _service(
        self, session: Session, account: Account, service: Service, origin: ImportedRow, plan_ids: Mapping[str, int]
    ) -> None:
        says, before = _says(account, plan_ids), self._values(origin)
        here = self._here(service)
        changes = self._changes("login", account.login, before, says, here)
        if changes:
            services.update_service(session, self.keyring, service, changes, self.actor)
        moved = self._follow_block(session, service.id, account, before)
        self.outcome.count("login", "updated" if changes or moved is not None else "unchanged")
        hold_id = before["hold_id"] if moved is None else moved
        kept = {**says, "blocked": account.blocked, "hold_id": hold_id}
        if kept != before:
            self._keep(session, "service", account.login, service.id, kept, origin)

    def _follow_block(
        self, session: Session, service_id: int, account: Account, before: Mapping[str, Any]
    ) -> int | None:
        """The hold that now stands for it, 0 for none; None where nothing changed in the old database."""
        if bool(account.blocked) == bool(before["blocked"]):
            return None
        if account.blocked:
            return self._hold(session, service_id, account)
        hold = session.get(Hold, before["hold_id"])
        if hold is not None:
            holds.lift_hold(session, hold.id, actor=self.actor, now=self.now)
        return 0

    def _hold(self, session: Session, service_id: int, account: Account) -> int:
        return holds.place_hold(
            session, service_id, reason=HoldReason.ADMIN, effect=account.effect, actor=self.actor, now=self.now,
            note=f"{self.origin.called}: {account.blocked}",
        ).id  # fmt: skip

    def _with_free_addresses(self, session: Session, accounts: Sequence[Account]) -> list[Account]:
        wanted = [account.terms.ipv4_address for account in accounts if account.terms.ipv4_address]
        taken_by = select(Service.ipv4_address, Service.login).where(
            Service.ipv4_address.in_(wanted), Service.status != ServiceStatus.CANCELLED
        )
        taken = {row.ipv4_address: row.login for row in session.execute(taken_by)} if wanted else {}
        free = []
        for account in accounts:
            address = account.terms.ipv4_address
            if address in taken:
                reason = f"has the address {address}, which {taken[address]} has here"
                self.outcome.tell(Level.REJECTED, "login", account.login, reason, "give each an address of its own")
            else:
                free.append(account)
        return free

    def _create(self, session: Session, accounts: Sequence[Account], plan_ids: Mapping[str, int]) -> None:
        if not accounts:
            return
        rows = [_new_service(account, plan_ids) for account in accounts]
        today: date = self.now.date()
        made = intake.create_services(session, self.keyring, rows, due_day=self.due_day, today=today, actor=self.actor)
        for account, service_id in zip(accounts, made, strict=True):
            hold_id = self._hold(session, service_id, account) if account.blocked else 0
            kept = {**_says(account, plan_ids), "blocked": account.blocked, "hold_id": hold_id}
            self._keep(session, "service", account.login, service_id, kept, None)
        self.outcome.count("login", "created", len(accounts))

    def _here(self, service: Service) -> dict[str, Any]:
        sealed = service.password_encrypted
        password = self.keyring.open_text(sealed, SERVICE_PASSWORD) if sealed else None
        return {
            "password": password,
            "plan_id": service.plan_id,
            **{name: getattr(service, name) for name in (*_TERMS, *_LOCKS)},
        }

    def _changes(
        self, what: str, key: str, before: Mapping[str, Any], says: Mapping[str, Any], here: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What ours is to follow in."""
        changed = {name: value for name, value in says.items() if value != before.get(name)}
        both = [name for name, value in changed.items() if here[name] not in (before.get(name), value)]
        for name in both:
            self.outcome.tell(Level.NOTE, what, key, f"{name} was changed {self.origin.where} and here: ours is kept")
        return {name: value for name, value in changed.items() if name not in both and here[name] != value}

    def _origins(self, session: Session, kind: str, keys: Sequence[str]) -> dict[str, ImportedRow]:
        query = select(ImportedRow).where(
            ImportedRow.source == self.origin.source, ImportedRow.kind == kind, ImportedRow.key.in_(keys)
        )
        return {row.key: row for row in session.scalars(query)}

    def _values(self, origin: ImportedRow) -> dict[str, Any]:
        return msgspec.json.decode(self.keyring.open(origin.values_encrypted, IMPORTED_VALUES), type=dict[str, Any])

    def _keep(
        self, session: Session, kind: str, key: str, ref_id: int, says: Mapping[str, Any], origin: ImportedRow | None
    ) -> None:
        sealed = self.keyring.seal(msgspec.json.encode(dict(says)), IMPORTED_VALUES)
        if origin is not None:
            origin.values_encrypted, origin.ref_id = sealed, ref_id
        else:
            session.add(
                ImportedRow(source=self.origin.source, kind=kind, key=key, ref_id=ref_id, values_encrypted=sealed)
            )


def _says(account: Account, plan_ids: Mapping[str, int]) -> dict[str, Any]:
    terms = {name: getattr(account.terms, name) for name in _TERMS}
    return {
        "password": account.password, "plan_id": plan_ids[account.plan], **terms,
        "ipv4_routes": list(account.terms.ipv4_routes), **{name: _list(getattr(account, name)) for name in _LOCKS},
    }  # fmt: skip


def _new_service(account: Account, plan_ids: Mapping[str, int]) -> NewService:
    person = account.person
    address = {name: value for name, value in (("street", person.street), ("city", person.city)) if value}
    return NewService(
        account.login, account.password, plan_ids[account.plan], person.name, email=person.email, phone=person.phone,
        address=address, terms=account.terms, mac_lock=_list(account.mac_lock),
        circuit_lock=_list(account.circuit_lock),
    )  # fmt: skip


def _list(lock: tuple[str, ...] | None) -> list[str] | None:
    return None if lock is None else list(lock)


def _plan_columns(plan: Plan, like: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in like}


def _trimmed(user: str) -> str:
    return user.strip(" ")


def _vendor(line: NasLine, fallback: Vendor | None) -> Vendor:
    try:
        return Vendor(line.type.lower())
    except ValueError:
        return fallback or Vendor.GENERIC


@contextmanager
def transactions(database: Database, *, dry_run: bool) -> Iterator[Callable[[], AbstractContextManager[Session]]]:
    """One a chunk; in a dry run a single one, which is rolled back."""
    if not dry_run:
        yield database.transaction
        return
    with Session(database.engine, expire_on_commit=False) as session:
        yield lambda: nullcontext(session)
        session.rollback()


def chunks(accounts: Sequence[Account]) -> list[Sequence[Account]]:
    return [accounts[start : start + CHUNK] for start in range(0, len(accounts), CHUNK)]
