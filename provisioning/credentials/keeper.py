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
from core.nas_management import ManagementAccess
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provisioning import certificates
from provisioning.credentials import store
from provisioning.credentials.device_run import DeviceRotationRun
from provisioning.credentials.models import PasswordRotation, RotationState
from provisioning.credentials.run import NotRotated, RotationRun
from provisioning.jobs.alone import alone_at
from provisioning.jobs.engines import BoxAccess, access_to, is_managed
from provisioning.napalm.opening import check_approved, open_watched
from provisioning.routeros.client import RouterOs

#: A box that somebody is at is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=5)
#: No console has to quote any of them; 24 are 142 bits. Boxes may insist on one of each kind.
_KINDS: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_")
_LENGTH: Final = 24

log = structlog.get_logger()


def new_password() -> str:
    """A letter first."""
    while True:
        made = "".join(secrets.choice("".join(_KINDS)) for _ in range(_LENGTH))
        if made[0].isalpha() and all(set(made) & set(kind) for kind in _KINDS):
            return made


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
                session, row, "another password was set meanwhile, or it is managed no more", self.clock()
            ))  # fmt: skip
            return
        try:
            self._at_box(access, access.next_password, f"provedor-rotate-{rotation_id}")
        except (NotRotated, ProvedorError) as error:
            detail = str(error)
            self._conclude(rotation_id, lambda session, row: store.put_off(session, row, detail, self.clock()))
            return
        self._conclude(rotation_id, lambda session, row: store.finish(session, self.keyring, row, self.clock()))

    def _at_box(self, access: BoxAccess, new: str, name: str) -> None:
        """`name`: of this at the box. Raises NotRotated or ProvedorError."""
        if isinstance(access, ManagementAccess):
            self._at_device(access, new, name)
            return
        only_new = dataclasses.replace(access, password=new, next_password=None)
        run = RotationRun(
            lambda: self.connect(access), lambda: self.connect(only_new), name, access.user, access.password, new
        )
        with certificates.watched(self.database, access.nas_id, self.clock):
            run.run()

    def _at_device(self, access: ManagementAccess, new: str, name: str) -> None:
        check_approved(access)
        only_new = dataclasses.replace(access, password=new, next_password=None)
        hidden = [access.password, new]
        DeviceRotationRun(
            lambda: open_watched(self.database, access, hidden, name),
            lambda: open_watched(self.database, only_new, hidden, name), access.user, new,
        ).run()  # fmt: skip

    def _claimed(self, rotation_id: int) -> BoxAccess | None:
        """None for a box that is managed no more. Raises SealBroken."""
        with self.database.transaction() as session:
            row = store.get_rotation(session, rotation_id, lock=True)
            row.state, row.claimed_until = RotationState.RUNNING, self.clock() + store.CLAIM
            nas = network.get_nas(session, row.nas_id)
            return access_to(nas, self.keyring) if is_managed(nas) else None

    def _conclude(self, rotation_id: int, how: Callable[[Session, PasswordRotation], None]) -> None:
        with self.database.transaction() as session:
            row = store.get_rotation(session, rotation_id, lock=True)
            if row.state is RotationState.RUNNING:
                how(session, row)

    def _later(self, rotation_id: int) -> None:
        with self.database.transaction() as session:
            outbox.enqueue(session, topics.ROTATION_DUE, {"rotation_id": rotation_id}, due_at=self.clock() + BUSY_RETRY)
