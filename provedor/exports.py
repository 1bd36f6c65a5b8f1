"""Our services as a FreeRADIUS database has them, and kept so: the old server stays good as the NAS's secondary.

What is ours there, and nothing else is touched:

- the rows of every login that is an active service here, in radcheck, radreply and radusergroup: they are replaced
- groups called `provedor-…`, one for each policy, with their radgroupreply
- the nas rows with the address of a NAS entry of ours (an address, not a network)
- a login that was a service here and no longer is: known by its membership of a group of ours, and removed

A blocked login is refused (Auth-Type := Reject); one that is throttled or in the walled garden has the group of that
policy. Reply attributes are the vendor adapter's, by the names of FreeRADIUS's dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aaa.dictionary import HIDDEN, describe
from aaa.packet import Code, header, parse
from aaa.vendors import Local, adapter
from core.access import Access
from core.database import Database
from core.errors import InvalidInput
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring
from core.models.network import Nas, PolicyVersion, Vendor
from core.models.service import Service, ServiceStatus
from core.models.system import Change, ChangeKind
from core.policy import Policy

GROUP: Final = "provedor-"
BLOCKED: Final = f"{GROUP}blocked"
#: Services read, compared and written at a time.
CHUNK: Final = 1000
CHANGES_MAX: Final = 2000

Rows = Counter[tuple[str, ...]]


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
    groups: Mapping[str, Rows]


class Dialect:
    """A policy as FreeRADIUS's attributes, the part of it that services share apart from what is one service's own."""

    def __init__(self, vendor: Vendor) -> None:
        self._adapter = adapter(vendor)
        self._known: dict[str, tuple[str, Rows, Rows]] = {}

    def of(self, fingerprint: str, policy: Policy) -> tuple[str, Rows, Rows]:
        """The group's name, its replies, and the replies of the service's own."""
        known = self._known.get(fingerprint)
        if known is None:
            shared = replace(policy, ipv4_address=None, ipv4_routes=(), ipv6_prefix=None, delegated_ipv6_prefix=None)
            of_group, of_all = self._replies(shared), self._replies(policy)
            known = (f"{GROUP}{shared.fingerprint}", _operators(of_group), _operators(of_all - of_group))
            self._known[fingerprint] = known
        return known

    def _replies(self, policy: Policy) -> Counter[tuple[str, str]]:
        attributes = self._adapter.accept_attributes(policy, Local())
        packet = parse(header(Code.ACCESS_ACCEPT, 0, len(attributes)) + bytes(16) + attributes)
        return Counter((name, _octets(name, value)) for name, value in describe(packet) if value != HIDDEN)


def _octets(name: str, value: str) -> str:
    """What our dictionary has no name for, FreeRADIUS takes by number and in hexadecimal."""
    return f"0x{value}" if name.startswith("Attr-") else value


def _operators(replies: Counter[tuple[str, str]]) -> Rows:
    """The first of a name takes the place of what is there, the others stand besides."""
    rows: Rows = Counter()
    named: set[str] = set()
    for name, value in sorted(replies.elements()):
        rows[name, "+=" if name in named else ":=", value] += 1
        named.add(name)
    return rows


@dataclass
class FreeradiusExport:
    """`connection` is the old database's, in autocommit."""

    database: Database
    keyring: Keyring
    connection: psycopg.Connection[Any]
    vendor: Vendor | None = None
    dialect: Dialect | None = None
    #: What each service was called when it was written, so that a renamed one leaves nothing behind.
    logins: dict[int, str] = field(default_factory=dict)

    def write_all(self) -> Counter[str]:
        """Everything; returns how many logins, groups and NASes were written or removed."""
        done: Counter[str] = Counter()
        with self.database.transaction() as session:
            self.dialect = Dialect(self.vendor or _only_vendor(session))
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
        return done + self._drop_strangers()

    def follow(self, revision: int) -> tuple[int, Counter[str]]:
        """What changed after this revision; the revision that is reached, the same while nothing changed."""
        with self.database.transaction() as session:
            query = select(Change).where(Change.revision > revision).order_by(Change.revision).limit(CHANGES_MAX)
            changes = session.scalars(query).all()
            if not changes:
                return revision, Counter()
            ids = {change.ref_id for change in changes if change.kind is ChangeKind.SERVICE}
            services = session.scalars(select(Service).where(Service.id.in_(ids)).order_by(Service.id)).all()
            wanted = self._wanted(session, services)
            done = self._write_nas(session) if any(one.kind is ChangeKind.NAS for one in changes) else Counter()
        return changes[-1].revision, done + self._write(wanted)

    def newest_revision(self) -> int:
        with self.database.transaction() as session:
            return session.scalar(select(func.max(Change.revision))) or 0

    def _wanted(self, session: Session, services: Sequence[Service]) -> Wanted:
        assert self.dialect is not None  # noqa: S101  (write_all comes first)
        fingerprints = {service.policy_fingerprint for service in services}
        rows = session.scalars(select(PolicyVersion).where(PolicyVersion.fingerprint.in_(fingerprints)))
        policies = {row.fingerprint: Policy.from_body(row.body) for row in rows}
        logins: dict[str, LoginRows | None] = {}
        groups: dict[str, Rows] = {BLOCKED: Counter()}
        gone = [one.login for one in services if one.login and one.status is not ServiceStatus.ACTIVE]
        gone += [self.logins[one.id] for one in services if self.logins.get(one.id) not in {None, one.login}]
        self.logins |= {one.id: one.login for one in services if one.login}
        for service in services:
            if service.login and service.password_encrypted and service.status is ServiceStatus.ACTIVE:
                password = self.keyring.open_text(service.password_encrypted, SERVICE_PASSWORD)
                policy = policies[service.policy_fingerprint]
                group, shared, own = self.dialect.of(service.policy_fingerprint, policy)
                logins[service.login] = _login_rows(password, policy, group, own)
                if policy.access is not Access.BLOCKED:
                    groups[group] = shared
        taken_over = select(Service.login).where(Service.login.in_(gone), Service.status == ServiceStatus.ACTIVE)
        alive = set(session.scalars(taken_over)) if gone else set()
        return Wanted(logins | {login: None for login in gone if login not in alive | logins.keys()}, groups)

    def _write(self, wanted: Wanted) -> Counter[str]:
        """Only what differs, in one transaction: a login's rows are never half there."""
        done: Counter[str] = Counter()
        with self.connection.transaction():
            differing = self._differing("radgroupreply", "groupname", wanted.groups)
            self._replace("radgroupreply", "groupname", _ATTRIBUTES, differing)
            done["groups"] += len(differing)
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
                if present != (rows or _NOTHING):
                    changed[login] = rows
                    done["logins" if rows else "logins removed"] += 1
            self._replace_logins(changed)
        return done

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
            unused = self.connection.execute(
                "DELETE FROM radgroupreply g WHERE groupname LIKE %s AND NOT EXISTS "
                "(SELECT FROM radusergroup u WHERE u.groupname = g.groupname)",
                (f"{GROUP}%",),
            ).rowcount
        return Counter({"logins removed": len(gone), "group rows removed": unused})

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


def _login_rows(password: str, policy: Policy, group: str, own: Rows) -> LoginRows:
    checks: Rows = Counter({("Cleartext-Password", ":=", password): 1})
    if policy.access is Access.BLOCKED:
        checks["Auth-Type", ":=", "Reject"] += 1
        return LoginRows(checks, Counter(), Counter({(BLOCKED, "1"): 1}))
    return LoginRows(checks, own, Counter({(group, "1"): 1}))


def _only_vendor(session: Session) -> Vendor:
    vendors = sorted(set(session.scalars(select(Nas.vendor))))
    if len(vendors) != 1:
        raise InvalidInput(
            f"there are NASes of {', '.join(vendors) or 'no vendor'}: say whose attributes the old server is to send",
            field="--vendor",
        )
    return vendors[0]


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
