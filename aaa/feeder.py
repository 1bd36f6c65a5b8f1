"""One feeder a node: follows the database's revisions and keeps every worker of the node current.

    database --LISTEN, poll--> FeedSource --frames--> snapshot file (encrypted)
                                                \\--> each worker of `followers`: queue -> thread -> its socket

A worker that connects hears the file from its beginning, then everything that was queued since, and works from it
where it is current. So the feeder holds no copy of the subscribers in its memory, a node starts from the file when the
database is away, and a killed feeder's successor goes on where the file ends. Telemetry comes back on the same sockets:
counters, learned Message-Authenticator modes and locks, traced packets.

The file is written anew from the database for two reasons. When it has grown long, it is compacted, and workers, who
have heard everything, never notice. When what it says cannot be trusted (another history of the database, changes
that are no longer kept, damage), it is reloaded, and every worker starts anew from it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from aaa.feed import FeedPosition, Message, frame
from aaa.feed_source import FeedSource
from aaa.followers import Followers
from aaa.snapshot_file import NewFile, SnapshotFile
from core import changes
from core.database import CONNECTION_ARGUMENTS
from core.keyring import Keyring
from core.locks import LearnedLocks

#: The database is asked this often even if no NOTIFY comes.
POLL_S: Final = 1.0
#: Pause between two tries to reach a database that is away.
RECONNECT_S: Final = 1.0
#: How long workers wait, at a start, for a database that neither answers nor refuses.
COPY_ALONE_AFTER_S: Final = 2.0
#: Deltas appended to the file until it is written anew.
COMPACT_AFTER_OCTETS: Final = 32 * 1024 * 1024
#: Services whose learned locks are kept in one transaction.
LOCKS_A_ROUND: Final = 200
#: Pause between two tries to write the copy anew after the disk refused.
RENEW_S: Final = 10.0
#: Leases asked for and not looked at yet; more are asked for again.
WANTED_QUEUE_MAX: Final = 20_000
#: How often workers (and the file) are told that the node stands where the database stands, and the database how far
#: its workers are.
FRESH_EVERY_S: Final = 5.0
#: Leases that are asked for in one transaction.
WANTED_MAX: Final = 1000

log = structlog.get_logger()
T = TypeVar("T")


class Feeder:
    """Runs until `stop`. `on_learned(nas_id, mode)` keeps what workers learned about a NAS, and `on_locks` what they
    learned about services. `on_wanted` asks for leases as (pool, service id) and returns the services without one.
    `on_position(revision)` says how far the workers named `authenticators` all are; where it answers False, leases do
    not wait for this node: it calls `on_join` and begins anew.
    """

    def __init__(
        self,
        *,
        database_url: str,
        keyring: Keyring,
        file: Path,
        socket_path: Path,
        on_ready: Callable[[], None],
        on_learned: Callable[[int, str], None],
        on_wanted: Callable[[list[tuple[str, int]]], set[int]],
        on_position: Callable[[int], bool],
        on_join: Callable[[], None],
        on_locks: Callable[[list[LearnedLocks]], None],
        authenticators: Collection[str] = (),
        compact_after_octets: int = COMPACT_AFTER_OCTETS,
    ) -> None:
        self._database_url = database_url
        self._keyring = keyring
        self._file = SnapshotFile(file, keyring)
        self._on_ready = on_ready
        self._on_learned = on_learned
        self._on_wanted = on_wanted
        self._on_position = on_position
        self._on_join = on_join
        self._authenticators = authenticators
        self._wanted: queue.Queue[tuple[str, int]] = queue.Queue(WANTED_QUEUE_MAX)
        #: When the copy last stood where the database stands; seconds since 1970.
        self._fresh_at = 0.0
        #: Who starts from the file stands here at least.
        self._durable_revision = 0
        self._on_locks = on_locks
        self._compact_after_octets = compact_after_octets
        self._stopped = threading.Event()
        #: What we know cannot be trusted: the file was found damaged while it was read, or the node was forgotten.
        self._void = threading.Event()
        self._followers = Followers(
            socket_path, copy=lambda: self._file.read(self._file.end), on_damage=self._void.set, on_told=self._hear
        )
        #: The disk did not take a change: until the copy is written anew, it stands behind.
        self._behind = False
        self._renew_at = 0.0
        #: Message-Authenticator modes to be kept, by NAS; workers tell them again and again until they are.
        self._learned: dict[int, str] = {}
        #: Locks to be kept, by service: what was learned first.
        self._learned_locks: dict[int, LearnedLocks] = {}
        self.epoch = ""
        self.revision = 0
        self._compact_at = 0
        #: The latest counters of each worker, for the metrics page.
        self.counters: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Serve followers and follow the database."""
        self._followers.listen()
        threading.Thread(target=self._ask_for_leases, name="leases", daemon=True).start()
        if self._file.open():
            self._resume()
        while not self._stopped.is_set():
            try:
                self._follow_database()
            except psycopg.OperationalError as error:
                log.warning("feeder: database away, serving from the copy", error=type(error).__name__)
                self._serve_from_copy()
                self._stopped.wait(RECONNECT_S)
        self._followers.hang_up()

    def stop(self) -> None:
        self._stopped.set()

    def _resume(self) -> None:
        """Stand where the file ends; it is served once the database has said what changed since, or is away."""
        position = FeedPosition()
        for octets in self._file.read(self._file.end):
            position.see(octets)
        if position.revision is not None:
            self.epoch, self.revision, self._fresh_at = position.epoch, position.revision, position.fresh_at
            self._compact_at = self._file.end + self._compact_after_octets
            patience = threading.Timer(COPY_ALONE_AFTER_S, self._serve_from_copy)
            patience.daemon = True
            patience.start()

    def _serve_from_copy(self) -> None:
        if self.epoch:
            self._become_loaded()

    def _follow_database(self) -> None:
        with psycopg.connect(
            self._database_url, autocommit=True, application_name="provedor-feeder", **CONNECTION_ARGUMENTS
        ) as connection:
            connection.execute(f"LISTEN {changes.CHANNEL}")
            source = FeedSource(connection, self._keyring)
            if self._must_reload(source):
                self._reload(source)
            while not self._stopped.is_set():
                if self._void.is_set():
                    self._reload(source)
                self._keep_learned()
                changed = self._take_changes(source)
                self._keep_copy(source)
                if changed:
                    continue
                self._say_fresh()
                self._become_loaded()
                for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                    break

    def _must_reload(self, source: FeedSource) -> bool:
        """Whether the changes since our revision do not lead from what we know to what is so.

        A database that stands before our revision lost its last transactions (a replica took over). Who was forgotten
        was not waited for: a change tells whose a lease is now, not whose it was then.
        """
        if source.epoch() != self.epoch or not self._tell(lambda: self._on_position(0)):
            return True
        return not source.oldest_revision() - 1 <= self.revision <= source.newest_revision()

    def _say_fresh(self) -> None:
        """Nothing is left to be told: workers may trust what they know, and others may know how far we are."""
        now = time.time()
        if now - self._fresh_at < FRESH_EVERY_S:
            return
        octets = frame(Message.FRESH, now)
        with self._followers.lock:
            self._fresh_at = now
            self._append([octets])
            self._followers.broadcast(octets)
            if not self._behind:
                self._durable_revision = self.revision  # the file was made durable just before (_keep_copy)
        workers = [self._position_of(name) for name in self._authenticators]
        try:
            known = self._on_position(min([self._durable_revision, *workers]))
        except SQLAlchemyError as error:
            log.warning("feeder: the node's position is told later", error=type(error).__name__)
            return
        if not known:
            log.error("feeder: this node was forgotten while it was away, it begins anew")
            self._void.set()

    def _tell(self, told: Callable[[], T]) -> T:
        """Raises psycopg.OperationalError where the database does not take it."""
        try:
            return told()
        except SQLAlchemyError as error:
            raise psycopg.OperationalError(type(error).__name__) from error

    def _position_of(self, name: str) -> int:
        """What a worker last said; one that never said anything holds the others up."""
        return int(self.counters.get(name, {}).get("revision", 0))

    def _ask_for_leases(self) -> None:
        """A thread of its own. What fails is asked for again when the NAS asks again."""
        while not self._stopped.is_set():
            try:
                wanted = {self._wanted.get(timeout=1.0)}
            except queue.Empty:
                continue
            while not self._wanted.empty() and len(wanted) < WANTED_MAX:
                wanted.add(self._wanted.get())
            try:
                refused = self._on_wanted(sorted(wanted))
            except SQLAlchemyError as error:
                log.warning("feeder: no leases now", wanted=len(wanted), error=type(error).__name__)
                self._stopped.wait(RECONNECT_S)
                continue
            if refused:
                with self._followers.lock:
                    self._followers.broadcast(frame(Message.NO_LEASE, sorted(refused)))

    def _keep_learned(self) -> None:
        for nas_id, mode in list(self._learned.items()):
            try:
                self._on_learned(nas_id, mode)
            except SQLAlchemyError as error:
                log.warning("feeder: what was learned of a NAS is kept later", error=type(error).__name__)
                return
            self._learned.pop(nas_id)
        self._keep_locks()

    def _keep_locks(self) -> None:
        """Some at a time, so that what others changed is told in between."""
        locks = list(self._learned_locks.values())[:LOCKS_A_ROUND]
        if not locks:
            return
        try:
            self._on_locks(locks)
        except SQLAlchemyError as error:
            log.warning("feeder: learned locks are kept later", error=type(error).__name__)
            return
        for one in locks:
            self._learned_locks.pop(one.service_id)

    def _reload(self, source: FeedSource) -> None:
        """A whole snapshot from the database into a new file; every worker starts anew from it."""
        self._tell(self._on_join)
        fresh, position = self._write_anew(source)
        with self._followers.lock:
            self._adopt(fresh)
            self.epoch, self.revision = position.epoch, position.revision or 0
            self._followers.close_all()
        self._void.clear()
        self._become_loaded()

    def _keep_copy(self, source: FeedSource) -> None:
        """Write it anew where it must be, else make it durable. A full disk costs it its freshness, workers nothing."""
        outdated = self._behind or self._file.end > self._compact_at
        try:
            if outdated and time.monotonic() >= self._renew_at:
                self._compact(source)
            elif not self._behind:
                self._file.sync()
        except OSError as error:
            self._fall_behind(error)

    def _compact(self, source: FeedSource) -> None:
        """A new file as in `_reload`, for the file alone. It may stand at a later revision than the workers: those
        changes are still to come, to them and once more into the file, which does no harm."""
        fresh, _ = self._write_anew(source)
        with self._followers.lock:
            self._adopt(fresh)

    def _fall_behind(self, error: OSError) -> None:
        self._behind, self._renew_at = True, time.monotonic() + RENEW_S
        log.error("feeder: the copy cannot be written", error=error.strerror)

    def _write_anew(self, source: FeedSource) -> tuple[NewFile, FeedPosition]:
        """A new file, and where it stands."""
        started = time.monotonic()
        position = FeedPosition()

        def watched() -> Iterator[bytes]:
            for octets in source.full():
                position.see(octets)
                yield octets

        fresh = self._file.write_new(watched())
        seconds = round(time.monotonic() - started, 2)
        log.info("feeder: snapshot written", revision=position.revision, octets=fresh.end, seconds=seconds)
        return fresh, position

    def _adopt(self, fresh: NewFile) -> None:
        self._file.adopt(fresh)
        self._behind = False
        self._compact_at = self._file.end + self._compact_after_octets

    def _take_changes(self, source: FeedSource) -> bool:
        delta = source.changes_after(self.revision)
        if delta is None:
            return False
        with self._followers.lock:
            self._append(delta.frames)
            for octets in delta.frames:
                self._followers.broadcast(octets)
            self.revision = delta.revision
        return True

    def _append(self, frames: list[bytes]) -> None:
        try:
            for octets in frames if not self._behind else ():
                self._file.append(octets)
        except OSError as error:
            self._fall_behind(error)

    def _become_loaded(self) -> None:
        with self._followers.lock:
            if self._followers.loaded.is_set():
                return
            self._followers.loaded.set()
        self._on_ready()

    def _hear(self, name: str, kind: int, message: Any) -> None:  # noqa: ANN401  (a shape per kind)
        if kind == Message.COUNTERS:
            self.counters[name] = message
        elif kind == Message.LEARNED:
            nas_id, mode = message
            self._learned[nas_id] = mode
        elif kind == Message.LEASE_WANTED:
            pool, service_id = message
            with contextlib.suppress(queue.Full):
                self._wanted.put_nowait((pool, service_id))
        elif kind == Message.LOCKS_LEARNED:
            self._learned_locks.setdefault(message.service_id, message)
