"""The feeder's questions to the database: a whole snapshot, and what changed since a revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import psycopg
import structlog

from aaa.feed import Message, frame
from aaa.locks import ServiceLocks
from aaa.snapshot import NasRow
from aaa.takeover.feed import add_modes
from aaa.vendors.base import lease_attributes
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring, SealBroken

#: Services in one frame: a worker applies one in about a millisecond, between two batches of packets.
SERVICES_A_FRAME: Final = 500
CHANGES_A_ROUND: Final = 2000

_SERVICE_COLUMNS: Final = (
    "id, login, password_encrypted, policy_fingerprint, status = 'active' AND login IS NOT NULL, "
    "mac_lock, circuit_lock, nas_lock"
)
_LEASES: Final = (
    "SELECT p.name, l.service_id, l.state, p.kind, l.address "
    "FROM address_lease l JOIN address_pool p ON p.id = l.pool_id"
)

_STRICT: Final = (
    "SELECT s.id FROM service s JOIN plan p ON p.id = s.plan_id WHERE p.session_limit_strict"
    " AND p.session_limit IS NOT NULL"
)
_BALANCES: Final = (
    "SELECT s.id, CASE WHEN p.prepaid = 'volume' THEN greatest(b.octets, 0) END, "
    "CASE WHEN p.prepaid = 'time' THEN greatest(b.seconds, 0) END "
    "FROM prepaid_balance b JOIN service s ON s.id = b.service_id JOIN plan p ON p.id = s.plan_id"
)

log = structlog.get_logger()


class Delta(NamedTuple):
    """What followers must hear to stand at `revision`."""

    revision: int
    frames: list[bytes]


class FeedSource:
    """Reads with a bare psycopg connection in autocommit.

    A stored secret that does not open (a damaged row) takes its service or NAS out of the feed and nobody else.
    """

    def __init__(self, connection: psycopg.Connection[Any], keyring: Keyring) -> None:
        self._connection = connection
        self._keyring = keyring

    def epoch(self) -> str:
        row = self._connection.execute("SELECT value->>'epoch' FROM setting WHERE key = 'feed_epoch'").fetchone()
        return str(row[0]) if row else ""

    def oldest_revision(self) -> int:
        """The oldest change still kept; a follower that stands before its predecessor may have missed some."""
        row = self._connection.execute("SELECT coalesce(min(revision), 0) FROM change").fetchone()
        return int(row[0]) if row else 0

    def newest_revision(self) -> int:
        """The last change; the newest one is always kept (see core.changes.forget_before)."""
        row = self._connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()
        return int(row[0]) if row else 0

    def full(self) -> Iterator[bytes]:
        """Frames of a whole snapshot, all seen at one moment; the last one tells its revision.

        Raises SealBroken when no password at all can be read: another key file must not make a node without
        subscribers, which would refuse everybody.
        """
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            revision = self.newest_revision()
            yield frame(Message.BEGIN, self.epoch())
            yield from self._nas_frames()
            yield self._pool_frame()
            yield from self._all_policies()
            yield from self._all_services()
            yield from self._all_leases()
            yield self._all_strict()
            yield from self._balances("TRUE", ())
            yield frame(Message.REVISION, revision)

    def changes_after(self, revision: int) -> Delta | None:
        """The next changes in order, or None when there are none."""
        changes = self._connection.execute(
            "SELECT revision, kind, ref_id FROM change WHERE revision > %s ORDER BY revision LIMIT %s",
            (revision, CHANGES_A_ROUND),
        ).fetchall()
        if not changes:
            return None
        frames: list[bytes] = []
        service_ids = {ref_id for _, kind, ref_id in changes if kind == "service"}
        if any(kind == "nas" for _, kind, _ in changes):
            frames += self._nas_frames()
        if any(kind == "pool" for _, kind, _ in changes):
            frames += self._pools_anew()
        frames += self._services(service_ids)
        frames += self._leases({ref_id for _, kind, ref_id in changes if kind == "lease"})
        if any(kind == "plan" for _, kind, _ in changes):
            frames.append(self._all_strict())
        elif service_ids:
            frames += self._strict_of(service_ids)
        prepaid = sorted({ref_id for _, kind, ref_id in changes if kind in {"balance", "service"}})
        frames += self._balances("s.id = ANY(%s)", (prepaid,)) if prepaid else []
        last = int(changes[-1][0])
        return Delta(last, [*frames, frame(Message.REVISION, last)])

    def _all_policies(self) -> Iterator[bytes]:
        rows = self._connection.execute(
            "SELECT fingerprint, body FROM policy_version p WHERE EXISTS "
            "(SELECT FROM service s WHERE s.policy_fingerprint = p.fingerprint AND s.status = 'active')"
        )
        yield from self._policy_frames(rows)

    def _policy_frames(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[bytes]:
        batch: list[tuple[str, dict[str, Any]]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == SERVICES_A_FRAME:
                yield frame(Message.POLICIES, batch)
                batch = []
        if batch:
            yield frame(Message.POLICIES, batch)

    def _all_services(self) -> Iterator[bytes]:
        read = told = 0
        with self._connection.cursor(name="feed_services") as cursor:
            cursor.itersize = SERVICES_A_FRAME
            cursor.execute(
                f"SELECT {_SERVICE_COLUMNS} FROM service WHERE status = 'active' AND login IS NOT NULL"  # noqa: S608
            )
            while rows := cursor.fetchmany(SERVICES_A_FRAME):
                services = [service for service in map(self._service, rows) if service[1] is not None]
                read, told = read + len(rows), told + len(services)
                locks = _locks(rows)
                if locks:
                    yield frame(Message.LOCKS, ([], locks))
                yield frame(Message.SERVICES, services)
        if read and not told:
            raise SealBroken(f"none of {read} stored passwords opens: is this the installation's key file?")

    def _services(self, service_ids: set[int]) -> list[bytes]:
        ids = sorted(service_ids)
        frames: list[bytes] = []
        for start in range(0, len(ids), SERVICES_A_FRAME):
            rows = self._connection.execute(
                f"SELECT {_SERVICE_COLUMNS} FROM service WHERE id = ANY(%s)",  # noqa: S608
                (ids[start : start + SERVICES_A_FRAME],),
            ).fetchall()
            frames += self._policies({row[3] for row in rows})
            # A service that is gone tells its login before another that took it over.
            services = sorted((self._service(row) for row in rows), key=lambda service: service[1] is not None)
            frames.append(frame(Message.LOCKS, ([row[0] for row in rows], _locks(rows))))
            frames.append(frame(Message.SERVICES, services))
        return frames

    def _pool_frame(self) -> bytes:
        return frame(Message.POOLS, self._connection.execute("SELECT name, kind FROM address_pool").fetchall())

    def _pools_anew(self) -> Iterator[bytes]:
        """A pool may have another name now: whatever is held is told again."""
        with self._connection.transaction():
            yield self._pool_frame()
            yield from self._all_leases()

    def _all_leases(self) -> Iterator[bytes]:
        with self._connection.cursor(name="feed_leases") as cursor:
            cursor.itersize = SERVICES_A_FRAME
            cursor.execute(f"{_LEASES} WHERE l.state = 'held'")
            while rows := cursor.fetchmany(SERVICES_A_FRAME):
                yield frame(Message.LEASES, [_lease(row) for row in rows])

    def _leases(self, lease_ids: set[int]) -> list[bytes]:
        """As they are now. Somebody's new lease comes after the end of his old one."""
        if not lease_ids:
            return []
        rows = self._connection.execute(f"{_LEASES} WHERE l.id = ANY(%s)", (sorted(lease_ids),)).fetchall()
        told = sorted((_lease(row) for row in rows if row[1] is not None), key=lambda lease: lease[2] is not None)
        return [frame(Message.LEASES, told[at : at + SERVICES_A_FRAME]) for at in range(0, len(told), SERVICES_A_FRAME)]

    def _all_strict(self) -> bytes:
        rows = self._connection.execute(f"{_STRICT} AND s.status = 'active' AND s.login IS NOT NULL").fetchall()
        return frame(Message.STRICT, (True, [row[0] for row in rows], []))

    def _strict_of(self, service_ids: set[int]) -> list[bytes]:
        """Which of these are; nothing while no plan is strict."""
        (any_strict,) = self._connection.execute("SELECT EXISTS (SELECT FROM plan WHERE session_limit_strict)")
        if not any_strict[0]:
            return []
        rows = self._connection.execute(f"{_STRICT} AND s.id = ANY(%s)", (sorted(service_ids),)).fetchall()
        strict = {row[0] for row in rows}
        return [frame(Message.STRICT, (False, sorted(strict), sorted(service_ids - strict)))]

    def _balances(self, condition: str, parameters: tuple[Any, ...]) -> list[bytes]:
        """Of a service that is on no prepaid plan any more there is none."""
        rows = self._connection.execute(f"{_BALANCES} WHERE {condition}", parameters).fetchall()
        starts = range(0, len(rows), SERVICES_A_FRAME)
        return [frame(Message.BALANCES, rows[at : at + SERVICES_A_FRAME]) for at in starts]

    def _policies(self, fingerprints: set[str]) -> list[bytes]:
        """Told with every change that refers to them: a follower may have dropped what nobody used any more.

        Read after the rows that refer to them, which a transaction in between may have changed.
        """
        rows = self._connection.execute(
            "SELECT fingerprint, body FROM policy_version WHERE fingerprint = ANY(%s)", (sorted(fingerprints),)
        )
        return list(self._policy_frames(rows))

    def _service(self, row: tuple[Any, ...]) -> tuple[int, bytes | None, bytes, str]:
        service_id, login, password_encrypted, fingerprint, authenticates, *_ = row
        if not authenticates:
            return service_id, None, b"", fingerprint
        try:
            password = self._keyring.open(bytes(password_encrypted), SERVICE_PASSWORD)
        except SealBroken as error:
            log.error("feed: a service cannot log in", service_id=service_id, error=error.detail)
            return service_id, None, b"", fingerprint
        return service_id, login.encode(), password, fingerprint

    def _nas_frames(self) -> list[bytes]:
        """All NAS entries, after their emergency policies."""
        rows = self._nas_rows()
        return [
            *self._policies({row.emergency_fingerprint for row in rows if row.emergency_fingerprint}),
            frame(Message.NAS, rows),
        ]

    def _nas_rows(self) -> list[NasRow]:
        rows = self._connection.execute(
            "SELECT id, name, address, secret_encrypted, vendor, message_authenticator, "
            "message_authenticator_learned, names, login_rules, emergency, emergency_fingerprint, options FROM nas "
            "ORDER BY id"
        ).fetchall()
        found = [nas for nas in map(self._nas, rows) if nas is not None]
        add_modes(self._connection, self._keyring, found)
        return found

    def _nas(self, row: tuple[Any, ...]) -> NasRow | None:
        nas_id, name, address, sealed, vendor, mode, learned, names, rules, emergency, fingerprint, options = row
        try:
            secret = self._keyring.open(bytes(sealed), NAS_SECRET)
        except SealBroken as error:
            log.error("feed: a NAS cannot ask", nas=name, error=error.detail)
            return None
        return NasRow(
            nas_id,
            name,
            address,
            secret,
            vendor,
            mode,
            learned,
            names,
            bool(rules.get("strip_realm")),
            bool(rules.get("lowercase")),
            fingerprint if emergency else None,
            options,
            trim=bool(rules.get("trim")),
        )


def _lease(row: tuple[str, int, str, str, str]) -> tuple[str, int, bytes | None]:
    pool, service_id, state, kind, address = row
    return pool, service_id, lease_attributes(kind, address) if state == "held" else None


def _locks(rows: Iterable[tuple[Any, ...]]) -> list[ServiceLocks]:
    """Of those services that can log in and have any."""
    locked = [(row[0], *row[-3:]) for row in rows if row[4] and row[-3:] != (None, None, None)]
    return [
        ServiceLocks(service_id, _values(macs), _values(circuits), None if boxes is None else tuple(map(int, boxes)))
        for service_id, macs, circuits, boxes in locked
    ]


def _values(lock: list[str] | None) -> tuple[str, ...] | None:
    return None if lock is None else tuple(lock)
