"""What a job of any kind of box is done by. Whoever runs jobs knows boxes only through this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy.orm import Session

from core import network
from core.errors import Conflict
from core.keyring import Keyring
from core.models.network import Nas
from core.nas_management import ManagementAccess
from core.routeros import RouterOsAccess
from provisioning.jobs.models import ProvisioningJob
from provisioning.napalm.opening import access_of
from provisioning.outcome import Journal, Result
from provisioning.routeros.planning.words import Told


class BoxKind(StrEnum):
    ROUTEROS = "routeros"
    #: By a NAPALM driver.
    NAPALM = "napalm"


def is_managed(nas: Nas) -> bool:
    return nas.routeros is not None or nas.management is not None


def kind_of(nas: Nas) -> BoxKind:
    """Raises Conflict for a box that we have no access to."""
    if nas.routeros is not None:
        return BoxKind.ROUTEROS
    if nas.management is not None:
        return BoxKind.NAPALM
    raise Conflict(
        f"NAS {nas.name} has no access to a RouterOS API, nor to any other management: set `routeros` or `management`",
        field="routeros",
    )


BoxAccess = RouterOsAccess | ManagementAccess


def access_to(nas: Nas, keyring: Keyring) -> BoxAccess:
    """To one box, however it is managed. Raises Conflict or SealBroken."""
    if kind_of(nas) is BoxKind.NAPALM:
        return access_of(nas, keyring)
    access = network.access_of(nas, nas.address.partition("/")[0], keyring)
    assert access is not None  # noqa: S101  (it is of that kind)
    return access


@dataclass(frozen=True, slots=True)
class Look:
    """What a box has to be told, as it was seen. `sealed`: everything that doing it takes."""

    release: str
    sealed: bytes
    commands: Sequence[str]
    problems: Sequence[str]
    sessions: int | None
    #: So many may feel it, and so many things that they may use are taken away.
    touched: int = 0
    removed: int = 0
    #: The SSH host key that was seen where none is approved yet.
    host_key: str | None = None
    cannot_undo: str | None = None
    #: The same as `commands`, step by step, for words; empty where the box itself says what would change.
    changes: Sequence[Told] = ()


class Change(Protocol):
    def run(self) -> Result: ...

    def take_over(self) -> Result:
        """From a process that died at it, wherever that was."""


class Engine(Protocol):
    """Of one kind of box. It opens transactions of its own, short ones, and none while it waits for a box."""

    def look(self, nas_id: int, *, asked: bool) -> Look:
        """`asked`: by a person; else by the clock, which trusts no box that nobody approved. Raises ProvedorError."""

    def change(self, job_id: int, journal: Journal) -> Change:
        """Raises ProvedorError."""

    def keep_done(self, session: Session, job: ProvisioningJob) -> Sequence[str]:
        """The job was done: what is to be remembered of that. Returns its problems, which are still there."""
