"""Who changes boxes' passwords: a thread, which holds the box's lock. One that dies leaves both passwords known."""

from __future__ import annotations

import dataclasses
import secrets
import string
from collections.abc import Callable
from concurrent.futures import Executor
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
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provisioning import certificates
from provisioning.credentials import store
from provisioning.credentials.models import PasswordRotation, RotationState
from provisioning.credentials.run import NotRotated, RotationRun
from provisioning.jobs.alone import alone_at
from provisioning.routeros.client import RouterOs

#: A box that somebody is at is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=5)
#: 24 of these are 142 bits, and no console has to quote any of them.
_LETTERS: Final = string.ascii_letters + string.digits
_LENGTH: Final = 24

log = structlog.get_logger()


def new_password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


@dataclass(frozen=True, slots=True)
class Rotations:
    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock

    def handle_due(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of ROTATION_DUE."""
        row = session.get(PasswordRotation, payload["rotation_id"], with_for_update=True, populate_existing=True)
        if row is None or row.state is RotationState.DONE:
            return None
        row.claimed_until = self.clock() + store.CLAIM
        return lambda: self._submit(payload["rotation_id"])

    def _submit(self, rotation_id: int) -> None:
        self.threads.submit(self._run, rotation_id)

    def _run(self, rotation_id: int) -> None:
        """In a thread. One that fails comes again with its claim."""
        try:
            with self.database.transaction() as session:
                nas_id = store.get_rotation(session, rotation_id).nas_id
            with alone_at(self.database, nas_id) as alone:
                self._rotate(rotation_id) if alone else self._later(rotation_id)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.error(
                "a password rotation failed, it will come again", rotation=rotation_id, error=type(error).__name__
            )

    def _rotate(self, rotation_id: int) -> None:
        access = self._claimed(rotation_id)
        if access is None or access.next_password is None:
            self._conclude(rotation_id, lambda session, row: store.drop(
                session, row, "another password was set meanwhile", self.clock()
            ))  # fmt: skip
            return
        try:
            with certificates.watched(self.database, access.nas_id, self.clock):
                self._at_box(access, access.next_password, f"provedor-rotate-{rotation_id}").run()
        except (NotRotated, ProvedorError) as error:
            detail = str(error)
            self._conclude(rotation_id, lambda session, row: store.put_off(session, row, detail, self.clock()))
            return
        self._conclude(rotation_id, lambda session, row: store.finish(session, row, self.clock()))

    def _at_box(self, access: RouterOsAccess, new: str, name: str) -> RotationRun:
        only_new = dataclasses.replace(access, password=new, next_password=None)
        return RotationRun(
            lambda: self.connect(access), lambda: self.connect(only_new), name, access.user, access.password, new
        )

    def _claimed(self, rotation_id: int) -> RouterOsAccess | None:
        """Raises SealBroken."""
        with self.database.transaction() as session:
            row = store.get_rotation(session, rotation_id, lock=True)
            row.state, row.claimed_until = RotationState.RUNNING, self.clock() + store.CLAIM
            nas = network.get_nas(session, row.nas_id)
            return network.access_of(nas, nas.address.partition("/")[0], self.keyring)

    def _conclude(self, rotation_id: int, how: Callable[[Session, PasswordRotation], None]) -> None:
        with self.database.transaction() as session:
            row = store.get_rotation(session, rotation_id, lock=True)
            if row.state is RotationState.RUNNING:
                how(session, row)

    def _later(self, rotation_id: int) -> None:
        with self.database.transaction() as session:
            outbox.enqueue(session, topics.ROTATION_DUE, {"rotation_id": rotation_id}, due_at=self.clock() + BUSY_RETRY)
