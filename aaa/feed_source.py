"""The feeder's questions to the database: a whole snapshot, and what changed since a revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import psycopg

from aaa.feed import Message, frame
from aaa.snapshot import NasRow
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring

#: Services in one frame: a worker applies one in about a millisecond, between two batches of packets.
SERVICES_A_FRAME: Final = 500
CHANGES_A_ROUND: Final = 2000

_SERVICE_COLUMNS: Final = "id, login, password_encrypted, policy_fingerprint, status = 'active' AND login IS NOT NULL"


class Delta(NamedTuple):
    """What followers must hear to stand at `revision`."""

    revision: int
    frames: list[bytes]


class FeedSource:
    """Reads with a bare psycopg connection in autocommit."""

    def __init__(self, connection: psycopg.Connection[Any], keyring: Keyring) -> None:
        self._connection = connection
        self._keyring = keyring
        self._known_policies: set[str] = set()

    def epoch(self) -> str:
        row = self._connection.execute("SELECT value->>'epoch' FROM setting WHERE key = 'feed_epoch'").fetchone()
        return str(row[0]) if row else ""

    def oldest_revision(self) -> int:
        """The oldest change still kept; a follower that stands before its predecessor may have missed some."""
        row = self._connection.execute("SELECT coalesce(min(revision), 0) FROM change").fetchone()
        return int(row[0]) if row else 0

    def full(self) -> Iterator[bytes]:
        """Frames of a whole snapshot, all seen at one moment; the last one tells its revision."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = self._connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()
            revision = int(row[0]) if row else 0
            self._known_policies.clear()
            yield frame(Message.BEGIN, self.epoch())
            yield from self._all_policies()
            yield frame(Message.NAS, self._nas_rows())
            yield from self._all_services()
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
            frames += self._policies_of_nas()
            frames.append(frame(Message.NAS, self._nas_rows()))
        frames += self._services(service_ids)
        last = int(changes[-1][0])
        return Delta(last, [*frames, frame(Message.REVISION, last)])

    def nas_frame(self) -> bytes:
        return frame(Message.NAS, self._nas_rows())

    def _all_policies(self) -> Iterator[bytes]:
        rows = self._connection.execute(
            "SELECT fingerprint, body FROM policy_version p WHERE EXISTS "
            "(SELECT FROM service s WHERE s.policy_fingerprint = p.fingerprint AND s.status = 'active')"
        )
        yield from self._policy_frames(rows)
        yield from self._policies_of_nas()

    def _policies_of_nas(self) -> list[bytes]:
        rows = self._connection.execute(
            "SELECT p.fingerprint, p.body FROM policy_version p JOIN nas n ON n.emergency_fingerprint = p.fingerprint"
        )
        return list(self._policy_frames(rows))

    def _policy_frames(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[bytes]:
        batch: list[tuple[str, dict[str, Any]]] = []
        for fingerprint, body in rows:
            self._known_policies.add(fingerprint)
            batch.append((fingerprint, body))
            if len(batch) == SERVICES_A_FRAME:
                yield frame(Message.POLICIES, batch)
                batch = []
        if batch:
            yield frame(Message.POLICIES, batch)

    def _all_services(self) -> Iterator[bytes]:
        with self._connection.cursor(name="feed_services") as cursor:
            cursor.itersize = SERVICES_A_FRAME
            cursor.execute(
                f"SELECT {_SERVICE_COLUMNS} FROM service WHERE status = 'active' AND login IS NOT NULL"  # noqa: S608
            )
            while rows := cursor.fetchmany(SERVICES_A_FRAME):
                yield frame(Message.SERVICES, [self._service(row) for row in rows])

    def _services(self, service_ids: set[int]) -> list[bytes]:
        ids = sorted(service_ids)
        frames: list[bytes] = []
        for start in range(0, len(ids), SERVICES_A_FRAME):
            rows = self._connection.execute(
                f"SELECT {_SERVICE_COLUMNS} FROM service WHERE id = ANY(%s)",  # noqa: S608
                (ids[start : start + SERVICES_A_FRAME],),
            ).fetchall()
            frames += self._missing_policies({row[3] for row in rows})
            # A service that is gone tells its login before another that took it over.
            services = sorted((self._service(row) for row in rows), key=lambda service: service[1] is not None)
            frames.append(frame(Message.SERVICES, services))
        return frames

    def _missing_policies(self, fingerprints: set[str]) -> list[bytes]:
        missing = fingerprints - self._known_policies
        if not missing:
            return []
        rows = self._connection.execute(
            "SELECT fingerprint, body FROM policy_version WHERE fingerprint = ANY(%s)", (list(missing),)
        )
        return list(self._policy_frames(rows))

    def _service(self, row: tuple[Any, ...]) -> tuple[int, bytes | None, bytes, str]:
        service_id, login, password_encrypted, fingerprint, authenticates = row
        if not authenticates:
            return service_id, None, b"", fingerprint
        password = self._keyring.open(bytes(password_encrypted), SERVICE_PASSWORD)
        return service_id, login.encode(), password, fingerprint

    def _nas_rows(self) -> list[NasRow]:
        rows = self._connection.execute(
            "SELECT id, name, address, secret_encrypted, vendor, message_authenticator, "
            "message_authenticator_learned, names, login_rules, emergency, emergency_fingerprint FROM nas ORDER BY id"
        ).fetchall()
        return [self._nas(row) for row in rows]

    def _nas(self, row: tuple[Any, ...]) -> NasRow:
        nas_id, name, address, secret, vendor, mode, learned, names, rules, emergency, fingerprint = row
        return NasRow(
            nas_id,
            name,
            address,
            self._keyring.open(bytes(secret), NAS_SECRET),
            vendor,
            mode,
            learned,
            names,
            bool(rules.get("strip_realm")),
            bool(rules.get("lowercase")),
            fingerprint if emergency else None,
        )
