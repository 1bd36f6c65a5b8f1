"""Versions taken: before and after each change, by the clock, when drift is seen, and when a person asks.

Reading a box is a thread's, which holds the box's lock; nothing of it waits in a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from core import network, outbox, topics
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.nas_management import ManagementAccess
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provisioning import certificates
from provisioning.backups import drill, store
from provisioning.backups.device_reading import read_device
from provisioning.backups.models import DeviceBackup, Why
from provisioning.backups.reading import read_configuration
from provisioning.backups.texts import Reading
from provisioning.jobs.alone import alone_at
from provisioning.jobs.engines import access_to
from provisioning.napalm.opening import check_approved, open_watched
from provisioning.routeros.client import RouterOs

#: A box that somebody is at is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=5)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backups:
    """`wait`: for so many seconds, until a box has its file."""

    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock
    wait: Callable[[float], None]

    def take(self, nas_id: int, why: Why, job_id: int | None = None) -> DeviceBackup:
        """By whoever holds the box's lock. Raises ProvedorError."""
        with self.database.transaction() as session:
            access = access_to(network.get_nas(session, nas_id), self.keyring)
        reading = self._read_router(access) if isinstance(access, RouterOsAccess) else self._read_device(access)
        with self.database.transaction() as session:
            taken = store.Taken(nas_id, why, job_id, access.user, reading)
            return store.keep(session, self.keyring, taken, self.clock())[0]

    def try_to_take(self, nas_id: int, why: Why, job_id: int | None = None) -> None:
        """What fails is said, and tried again by the clock."""
        try:
            self.take(nas_id, why, job_id)
        except ProvedorError as error:
            with self.database.transaction() as session:
                store.fail(session, nas_id, error.detail, self.clock())

    def handle_due(self, _session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of BACKUP_DUE."""
        return lambda: self._submit(self._take_alone, payload)

    def handle_drill(self, _session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of DRILL_DUE. Nobody is asked for it but ourselves."""
        return lambda: self._submit(self._drill, payload)

    def _submit(self, work: Callable[[dict[str, Any]], None], payload: dict[str, Any]) -> None:
        self.threads.submit(self._logged, work, payload)

    def _logged(self, work: Callable[[dict[str, Any]], None], payload: dict[str, Any]) -> None:
        """In a thread. What fails comes again with the clock."""
        try:
            work(payload)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.error("a backup or its drill failed, it will come again", **payload, error=type(error).__name__)

    def _take_alone(self, payload: dict[str, Any]) -> None:
        with alone_at(self.database, payload["nas_id"]) as alone:
            if alone:
                self.try_to_take(payload["nas_id"], Why(payload["why"]))
                return
        with self.database.transaction() as session:
            outbox.enqueue(session, topics.BACKUP_DUE, payload, due_at=self.clock() + BUSY_RETRY)

    def _drill(self, payload: dict[str, Any]) -> None:
        drill.carry_out(self.database, self.keyring, payload["drill_id"], self.clock)

    def _read_router(self, access: RouterOsAccess) -> Reading:
        with certificates.watched(self.database, access.nas_id, self.clock), closing(self.connect(access)) as client:
            return read_configuration(client, access.user, self.wait)

    def _read_device(self, access: ManagementAccess) -> Reading:
        check_approved(access)
        with closing(open_watched(self.database, access)) as device:
            return read_device(device)
