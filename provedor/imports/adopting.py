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
from provedor.imports.adoption import Adoption, Busy
from provisioning.adopt import store
from provisioning.adopt.intent import propose_intent
from provisioning.adopt.models import Asked
from provisioning.backups.keeper import Backups
from provisioning.routeros.client import RouterOs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Adopter:
    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    threads: Executor
    clock: Clock
    backups: Backups

    def handle_due(self, _session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of ADOPTION_DUE."""
        return lambda: self._submit(payload["nas_id"])

    def _submit(self, nas_id: int) -> None:
        self.threads.submit(self._run, nas_id)

    def _run(self, nas_id: int) -> None:
        try:
            self._answer(nas_id)
        except Busy:
            with self.database.transaction() as session:
                store.later(session, nas_id, self.clock())
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
            asked, actor, to_own = row.asked, Actor(row.asked_by), row.to_own
            choices, due_day = store.choices_of(row), row.choices["due_day"]
        adoption = Adoption(self.database, self.keyring, nas_id, choices, self.connect)
        if asked is Asked.OWN:
            self._own(adoption, actor, **to_own)
        elif asked is Asked.OWN_INTENT:
            self._own_intent(adoption, actor, **to_own)
        else:
            self._look(adoption, actor, due_day, take=asked is Asked.TAKE)

    def _look(self, adoption: Adoption, actor: Actor, due_day: int, *, take: bool) -> None:
        found = adoption.read()
        proposal, counts = adoption.propose(found), None
        if take:
            outcome = adoption.take(proposal, actor, self.clock(), due_day=due_day, dry_run=False)
            proposal, counts = adoption.propose(found), outcome.counts
        intent = propose_intent(found)
        with self.database.transaction() as session:
            store.keep(session, adoption.nas_id, proposal, intent, counts, self.clock())

    def _own(self, adoption: Adoption, actor: Actor, *, logins: list[str] | None, differing: bool) -> None:
        owning = adoption.own(logins, differing=differing, actor=actor, backups=self.backups)
        with self.database.transaction() as session:
            store.keep_owned(session, adoption.nas_id, owning)

    def _own_intent(self, adoption: Adoption, actor: Actor, *, confirm: bool) -> None:
        rows = adoption.own_intent(actor, self.clock(), dry_run=not confirm)
        with self.database.transaction() as session:
            store.keep_owned_intent(session, adoption.nas_id, rows, kept=confirm)
