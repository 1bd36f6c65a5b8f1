"""Our services as a FreeRADIUS database has them, and kept so: the old server stays good as the NAS's secondary.

What is ours there, and nothing else is touched:

- the rows of every login that is an active service here, in radcheck, radreply and radusergroup: they are replaced
- groups called `provedor-…`, one for each policy, with their radgroupcheck and radgroupreply (see `export_dialects`)
- the nas rows with the address of a NAS entry of ours (an address, not a network)
- a login that was a service here and no longer is: known by its membership of a group of ours, and removed
- open radacct rows of sessions that ended here: they are closed, for who counts sessions there

A blocked login is refused (Auth-Type := Reject); one that is throttled or in the walled garden has the group of that
policy. Reply attributes are the vendor adapter's, by the names of FreeRADIUS's dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aaa.pools.models import AddressLease, AddressPool, LeaseState
from core.access import Access
from core.database import Database
from core.errors import InvalidInput
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring
from core.models.network import Nas, PolicyVersion, Vendor
from core.models.service import Service, ServiceStatus
from core.models.system import Change, ChangeKind
from core.policy import Policy
from provedor.export_accounting import close_ended
from provedor.export_dialects import GROUP, Dialects, Group, Leases, Rows, Said, dialects_of
from provedor.imports.lock_checks import locked_circuit, locked_mac
from provedor.imports.reply_terms import AttributeRow

BLOCKED: Final = f"{GROUP}blocked"
#: Services read, compared and written at a time.
CHUNK: Final = 1000
CHANGES_MAX: Final = 2000

_ATTRIBUTES: Final = "attribute, op, value"
_GROUPS: Final = "groupname, priority"


class LoginRows(NamedTuple):
    """(attribute, op, value) of radcheck and radreply, and the groups with their priority."""

    checks: Rows
    replies: Rows
    groups: Rows


_NOTHING: Final = LoginRows(Counter(), Counter(), Counter())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the old database is to hold of one chunk. A login of None rows is to be gone."""

    logins: Mapping[str, LoginRows | None]
    groups: Mapping[str, Group]
    #: Devices and lines that a login is locked to here.
    locks: Mapping[str, frozenset[str]]


@dataclass
class FreeradiusExport:
    """`connection` is the old database's, in autocommit."""

    database: Database
    keyring: Keyring
    connection: psycopg.Connection[Any]
    vendor: Vendor | None = None
    dialects: Dialects = field(default_factory=lambda: Dialects(()))
    #: What each service was called when it was written, so that a renamed one leaves nothing behind.
    logins: dict[int, str] = field(default_factory=dict)
    #: Whose each lease was when it was written.
    holders: dict[int, int] = field(default_factory=dict)

    def write_all(self) -> Counter[str]:
        """Everything; returns how many logins, groups and NASes were written or removed."""
        done: Counter[str] = Counter()
        with self.database.transaction() as session:
            self.dialects = _dialects(session, self.vendor)
            done += self._write_nas(session)
        after = 0
        while True:
            with self.database.transaction() as session:
                query = select(Service).where(Service.id > after).order_by(Service.id).limit(CHUNK)
                services = session.scalars(query).all()
                wanted = self._wanted(session, services)
            if not services:
                break
            done += self._write(wanted)
            after = services[-1].id
        return done + self._drop_strangers() + self.close_ended()

    def close_ended(self) -> Counter[str]:
        """Of sessions that ended here, what is open there."""
        return close_ended(self.database, self.connection)

    def follow(self, revision: int) -> tuple[int, Counter[str]]:
        """What changed after this revision; the revision that is reached, the same while nothing changed."""
        with self.database.transaction() as session:
            query = select(Change).where(Change.revision > revision).order_by(Change.revision).limit(CHANGES_MAX)
            changes = session.scalars(query).all()
            if not changes:
                return revision, Counter()
            kinds = {change.kind for change in changes}
            services = session.scalars(
                select(Service).where(Service.id.in_(self._concerned(session, changes))).order_by(Service.id)
            ).all()
            wanted = self._wanted(session, services)
        if kinds & {ChangeKind.NAS, ChangeKind.POOL}:  # who is told what depends on them
            return changes[-1].revision, self.write_all()
        return changes[-1].revision, self._write(wanted)

    def _concerned(self, session: Session, changes: Sequence[Change]) -> set[int]:
        """Services by id; of a lease, whose it was and whose it is."""
        ids = {change.ref_id for change in changes if change.kind is ChangeKind.SERVICE}
        lease_ids = {change.ref_id for change in changes if change.kind is ChangeKind.LEASE}
        ids |= {self.holders[lease_id] for lease_id in lease_ids if lease_id in self.holders}
        query = select(AddressLease.service_id).where(AddressLease.id.in_(lease_ids))
        return ids | {service_id for service_id in session.scalars(query) if service_id is not None}

    def newest_revision(self) -> int:
        with self.database.transaction() as session:
            return session.scalar(select(func.max(Change.revision))) or 0

    def _wanted(self, session: Session, services: Sequence[Service]) -> Wanted:
        fingerprints = {service.policy_fingerprint for service in services}
        rows = session.scalars(select(PolicyVersion).where(PolicyVersion.fingerprint.in_(fingerprints)))
        policies = {row.fingerprint: Policy.from_body(row.body) for row in rows}
        leases = self._leases(session, [service.id for service in services])
        logins: dict[str, LoginRows | None] = {}
        locks = {
            one.login: frozenset([*(one.mac_lock or ()), *(one.circuit_lock or ())]) for one in services if one.login
        }
        groups: dict[str, Group] = {}
        gone = [one.login for one in services if one.login and one.status is not ServiceStatus.ACTIVE]
        gone += [self.logins[one.id] for one in services if self.logins.get(one.id) not in {None, one.login}]
        self.logins |= {one.id: one.login for one in services if one.login}
        for service in services:
            if service.login and service.password_encrypted and service.status is ServiceStatus.ACTIVE:
                password = self.keyring.open_text(service.password_encrypted, SERVICE_PASSWORD)
                policy = policies[service.policy_fingerprint]
                blocked = policy.access is Access.BLOCKED
                said = self.dialects.say(service.id, service.policy_fingerprint, policy, leases.get(service.id, {}))
                logins[service.login] = _blocked_rows(password) if blocked else _login_rows(password, said)
                groups |= {} if blocked else said.groups
        taken_over = select(Service.login).where(Service.login.in_(gone), Service.status == ServiceStatus.ACTIVE)
        alive = set(session.scalars(taken_over)) if gone else set()
        return Wanted(logins | {login: None for login in gone if login not in alive | logins.keys()}, groups, locks)

    def _leases(self, session: Session, service_ids: Sequence[int]) -> dict[int, Leases]:
        query = (
            select(AddressLease.id, AddressLease.service_id, AddressPool.name, AddressPool.kind, AddressLease.address)
            .join(AddressPool, AddressPool.id == AddressLease.pool_id)
            .where(AddressLease.service_id.in_(service_ids), AddressLease.state == LeaseState.HELD)
        )
        found: dict[int, dict[str, tuple[str, str]]] = {}
        for lease_id, service_id, pool, kind, address in session.execute(query):
            assert service_id is not None  # noqa: S101  (asked for by it)
            found.setdefault(service_id, {})[pool] = (kind, address)
            self.holders[lease_id] = service_id
        return dict(found)

    def _write(self, wanted: Wanted) -> Counter[str]:
        """Only what differs, in one transaction: a login's rows are never half there."""
        done: Counter[str] = Counter()
        with self.connection.transaction():
            done["groups"] += self._write_groups(wanted.groups)
            names = list(wanted.logins)
            have = (
                self._present("radcheck", "username", _ATTRIBUTES, names),
                self._present("radreply", "username", _ATTRIBUTES, names),
                self._present("radusergroup", "username", "groupname, priority::text", names),
            )
            owned = self._owned(names)
            changed: dict[str, LoginRows | None] = {}
            for login, rows in wanted.logins.items():
                present = LoginRows(*(table.get(login, Counter()) for table in have))
                if rows is None and login not in owned:
                    continue  # somebody's whom we do not know
                kept = rows and _with_locks(rows, present.checks, wanted.locks.get(login, frozenset()))
                if present != (kept or _NOTHING):
                    changed[login] = kept
                    done["logins" if rows else "logins removed"] += 1
            self._replace_logins(changed)
        return done

    def _write_groups(self, groups: Mapping[str, Group]) -> int:
        """How many differed."""
        checks, replies = ({name: group[place] for name, group in groups.items()} for place in (0, 1))
        differing = self._differing("radgroupcheck", "groupname", checks)
        self._replace("radgroupcheck", "groupname", _ATTRIBUTES, differing)
        others = self._differing("radgroupreply", "groupname", replies)
        self._replace("radgroupreply", "groupname", _ATTRIBUTES, others)
        return len(differing.keys() | others.keys())

    def _replace_logins(self, logins: Mapping[str, LoginRows | None]) -> None:
        present = {login: rows or _NOTHING for login, rows in logins.items()}
        self._replace("radcheck", "username", _ATTRIBUTES, {login: rows.checks for login, rows in present.items()})
        self._replace("radreply", "username", _ATTRIBUTES, {login: rows.replies for login, rows in present.items()})
        self._replace("radusergroup", "username", _GROUPS, {login: rows.groups for login, rows in present.items()})

    def _replace(self, table: str, key: str, columns: str, rows: Mapping[str, Rows]) -> None:
        """All rows of these names, in an order in which `:=` precedes `+=`."""
        if not rows:
            return
        self.connection.execute(f"DELETE FROM {table} WHERE {key} = ANY(%s)", (list(rows),))  # noqa: S608
        with self.connection.cursor().copy(f"COPY {table} ({key}, {columns}) FROM STDIN") as copy:
            for name, values in rows.items():
                for row in sorted(values.elements(), key=lambda one: one[1] == "+="):
                    copy.write_row((name, *row))

    def _differing(self, table: str, key: str, wanted: Mapping[str, Rows]) -> dict[str, Rows]:
        have = self._present(table, key, _ATTRIBUTES, list(wanted))
        return {name: rows for name, rows in wanted.items() if have.get(name, Counter()) != rows}

    def _present(self, table: str, key: str, columns: str, names: Iterable[str]) -> dict[str, Rows]:
        found: dict[str, Rows] = {}
        query = f"SELECT {key}, {columns} FROM {table} WHERE {key} = ANY(%s)"  # noqa: S608
        for name, *row in self.connection.execute(query, (list(names),)):
            found.setdefault(name, Counter())[tuple(row)] += 1
        return found

    def _owned(self, names: Iterable[str]) -> set[str]:
        query = "SELECT DISTINCT username FROM radusergroup WHERE username = ANY(%s) AND groupname LIKE %s"
        return {name for (name,) in self.connection.execute(query, (list(names), f"{GROUP}%"))}

    def _drop_strangers(self) -> Counter[str]:
        """Logins of ours there that no active service has any more, and groups that nobody is in."""
        owned = [
            name
            for (name,) in self.connection.execute(
                "SELECT DISTINCT username FROM radusergroup WHERE groupname LIKE %s", (f"{GROUP}%",)
            )
        ]
        with self.database.transaction() as session:
            living = set(session.scalars(select(Service.login).where(Service.status == ServiceStatus.ACTIVE)))
        gone = [name for name in owned if name not in living]
        with self.connection.transaction():
            self._replace_logins(dict.fromkeys(gone))
            unused = sum(self._drop_unused(table) for table in ("radgroupreply", "radgroupcheck"))
        return Counter({"logins removed": len(gone), "group rows removed": unused})

    def _drop_unused(self, table: str) -> int:
        return self.connection.execute(
            f"DELETE FROM {table} g WHERE groupname LIKE %s AND NOT EXISTS "  # noqa: S608
            "(SELECT FROM radusergroup u WHERE u.groupname = g.groupname)",
            (f"{GROUP}%",),
        ).rowcount

    def _write_nas(self, session: Session) -> Counter[str]:
        done: Counter[str] = Counter()
        for nas in session.scalars(select(Nas).order_by(Nas.id)):
            if "/" in nas.address:
                continue
            secret = self.keyring.open_text(nas.secret_encrypted, NAS_SECRET)
            have = self.connection.execute("SELECT secret FROM nas WHERE nasname = %s", (nas.address,)).fetchone()
            if have is None:
                query = "INSERT INTO nas (nasname, shortname, type, secret) VALUES (%s, %s, %s, %s)"
                self.connection.execute(query, (nas.address, nas.name, nas.vendor, secret))
            elif have[0] != secret:
                self.connection.execute("UPDATE nas SET secret = %s WHERE nasname = %s", (secret, nas.address))
            else:
                continue
            done["nas"] += 1
        return done


def _login_rows(password: str, said: Said) -> LoginRows:
    groups: Rows = Counter({(name, str(priority)): 1 for priority, name in enumerate(said.groups, 1)})
    return LoginRows(Counter({("Cleartext-Password", ":=", password): 1}), said.replies, groups)


def _with_locks(rows: LoginRows, present: Rows, locks: frozenset[str]) -> LoginRows:
    """A lock that is there stays there, in the old server's spelling, while it is one here."""
    held = Counter({row: number for row, number in present.items() if _locked(AttributeRow(*row)) in locks})
    return rows._replace(checks=rows.checks + held)


def _locked(row: AttributeRow) -> str | None:
    return locked_mac(row) or locked_circuit(row)


def _blocked_rows(password: str) -> LoginRows:
    checks: Rows = Counter({("Cleartext-Password", ":=", password): 1, ("Auth-Type", ":=", "Reject"): 1})
    return LoginRows(checks, Counter(), Counter({(BLOCKED, "1"): 1}))


def _dialects(session: Session, vendor: Vendor | None) -> Dialects:
    nases = session.scalars(select(Nas).order_by(Nas.id)).all()
    if not nases and vendor is None:
        raise InvalidInput("there is no NAS: say whose attributes the old server is to send", field="--vendor")
    pools = {pool.name: str(pool.kind) for pool in session.scalars(select(AddressPool))}
    return dialects_of(nases, pools, vendor)


def changes_lost(database: Database, revision: int) -> bool:
    """Whether entries of the change feed after this revision are no longer kept: then everything is compared anew."""
    with database.transaction() as session:
        oldest = session.scalar(select(func.min(Change.revision)))
    return oldest is not None and oldest > revision + 1


def listen(database_url: str, every_s: float) -> Iterator[None]:
    """Yields whenever the change feed may have grown, and at least so often."""
    with psycopg.connect(database_url, autocommit=True, application_name="provedor-export") as connection:
        connection.execute("LISTEN provedor_change")
        while True:
            for _ in connection.notifies(timeout=every_s, stop_after=1):
                pass
            yield
