"""Routers that somebody asks over REST to have looked at, or taken over: each in a thread of the worker."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.orm import Session

from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.routeros import RouterOsAccess
from core.work import Afterwards
from provedor.imports.adoption import Adoption
from provisioning.adopt import store
from provisioning.routeros.client import RouterOs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Adopter:
    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock

    def handle_due(self, _session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of ADOPTION_DUE."""
        return lambda: self._submit(payload["nas_id"])

    def _submit(self, nas_id: int) -> None:
        self.threads.submit(self._run, nas_id)

    def _run(self, nas_id: int) -> None:
        try:
            self._answer(nas_id)
        except ProvedorError as error:
            with self.database.transaction() as session:
                store.fail(session, nas_id, error.detail)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.error("a router could not be adopted, it will come again", nas_id=nas_id, error=type(error).__name__)

    def _answer(self, nas_id: int) -> None:
        with self.database.transaction() as session:
            row = store.claim(session, nas_id, self.clock())
            if row is None:
                return
            choices, take, due_day, actor = store.choices_of(row), row.take, row.choices["due_day"], row.asked_by
        adoption = Adoption(self.database, self.keyring, nas_id, choices, self.connect)
        found = adoption.read()
        proposal, counts = adoption.propose(found), None
        if take:
            outcome = adoption.take(proposal, Actor(actor), self.clock(), due_day=due_day, dry_run=False)
            proposal, counts = adoption.propose(found), outcome.counts
        with self.database.transaction() as session:
            store.keep(session, nas_id, proposal, counts, self.clock())
