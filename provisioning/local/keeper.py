"""Who brings boxes in step: at once for services that changed, and each box as a whole by the clock.

    a service changed (handler, or the clock)  ->  its boxes are wanted  ->  a thread for each: alone at the box,
    one connection, all that changed since its revision, session by session  ->  the revision is kept

Whatever dies in between, the revision is the old one and the same is done again, which finds nothing to do where it was
done. A box that cannot be reached is tried again, and looked at as a whole once it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session as DatabaseSession

from core import outbox, topics
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provisioning import pace
from provisioning.jobs.alone import alone_at
from provisioning.jobs.facts import keep_owned
from provisioning.local import facts, store
from provisioning.local.at_box import AtBox
from provisioning.local.done import Done
from provisioning.local.facts import BoxFacts
from provisioning.local.models import LocalAccess, LocalMode
from provisioning.routeros.client import RouterOs

#: Whoever else follows changes of a box is through with one within this: one process restricts, and another lets go.
PATIENCE_MS: Final = 300
#: A box that somebody is at for longer is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Keeper:
    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock
    window_open: Callable[[datetime], bool]
    #: Boxes that a thread has taken, and whether somebody wants them again.
    _wanted: dict[int, bool] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def service_changed(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SERVICE_OUT_OF_STEP and SERVICE_RESTRICTED, beside enforcement's."""
        boxes = facts.boxes_of(session, payload["service_id"])
        return (lambda: self.want(*boxes)) if boxes else None

    def handle_due(self, _session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of LOCAL_DUE."""
        return lambda: self.want(payload["nas_id"])

    def want(self, *nas_ids: int) -> None:
        """What is wanted while somebody is at the box is done by the same, as soon as he is through."""
        with self._lock:
            new = [nas_id for nas_id in nas_ids if nas_id not in self._wanted]
            self._wanted.update(dict.fromkeys(nas_ids, True))
        for nas_id in new:
            self.threads.submit(self._run, nas_id)

    def _run(self, nas_id: int) -> None:
        """In a thread. One that fails comes again with the clock."""
        while self._begin(nas_id):
            try:
                with alone_at(self.database, nas_id, patience_ms=PATIENCE_MS) as alone:
                    self._keep(nas_id) if alone else self._later(nas_id)
            except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
                log.error("a box could not be kept, it will come again", nas_id=nas_id, error=type(error).__name__)

    def _begin(self, nas_id: int) -> bool:
        """False where nobody wants it any more."""
        with self._lock:
            wanted = self._wanted[nas_id]
            self._wanted[nas_id] = False
            if not wanted:
                del self._wanted[nas_id]
            return wanted

    def _keep(self, nas_id: int) -> None:
        try:
            with self.database.transaction() as session:
                kept = session.get(LocalAccess, nas_id)
                if kept is None:
                    return
                whole = store.is_look_due(kept, self.clock())
                box = facts.read_box(session, self.keyring, kept)
            self._at_box(box, whole=whole)
        except ProvedorError as error:
            with self.database.transaction() as session:
                store.fail(session, nas_id, error.detail, self.clock())

    def _at_box(self, box: BoxFacts, *, whole: bool) -> None:
        """Raises ProvedorError."""
        client = self.connect(box.access)
        try:
            at = AtBox(client, box, self._may_end, self.window_open(self.clock()))
            if whole:
                self._look(at)
            while box.approved and self._follow(at):
                pass
        finally:
            client.close()

    def _look(self, at: AtBox) -> None:
        nas_id = at.box.nas_id
        with self.database.transaction() as session:
            kept = session.get_one(LocalAccess, nas_id)
            revision, may_remove = facts.newest_revision(session), kept.may_remove
            leaving = at.box.mode is LocalMode.LEAVING
            subscribers = [] if leaving else list(facts.read_subscribers(session, self.keyring, nas_id))
        done = at.look(subscribers, may_remove)
        with self.database.transaction() as session:
            self._keep_owned(session, at, done)
            if at.box.approved:
                facts.keep_services(session, nas_id, {one.service_id for one in subscribers}, None)
            store.looked(session, nas_id, done, revision, self.clock())

    def _follow(self, at: AtBox) -> bool:
        """The next services that changed; False where there are none, or the whole has to be looked at.

        One that is not this box's, and never was, is no reason to ask it anything.
        """
        nas_id = at.box.nas_id
        with self.database.transaction() as session:
            kept = session.get(LocalAccess, nas_id)
            if kept is None or kept.revision is None:
                return False
            changed = facts.changed_since(session, kept.revision)
            if changed is None:
                store.look_again(session, nas_id, self.clock())
                return False
            service_ids, revision = changed
            if revision == kept.revision:
                store.settled(session, nas_id)
                return False
            subscribers = list(facts.read_subscribers(session, self.keyring, nas_id, service_ids))
            present = {one.service_id for one in subscribers}
            had = facts.had_here(session, nas_id, service_ids)
            concerned = sorted(present | had)
        done = at.follow(concerned, subscribers, had) if concerned else Done()
        with self.database.transaction() as session:
            self._keep_owned(session, at, done)
            facts.keep_services(session, nas_id, present, concerned)
            store.followed(session, nas_id, done, revision, self.clock())
        return True

    def _keep_owned(self, session: DatabaseSession, at: AtBox, done: Done) -> None:
        if done.new or done.gone:
            keep_owned(session, self.keyring, at.box.nas_id, done.new, done.gone)

    def _may_end(self, box: BoxFacts) -> bool:
        """One more session, of those that end for a restriction."""
        with self.database.transaction() as session:
            return pace.take_disconnect(session, box.nas_id, box.disconnects_per_minute, self.clock())

    def _later(self, nas_id: int) -> None:
        with self.database.transaction() as session:
            outbox.enqueue(session, topics.LOCAL_DUE, {"nas_id": nas_id}, due_at=self.clock() + BUSY_RETRY)
