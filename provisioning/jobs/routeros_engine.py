"""Jobs of RouterOS boxes: rows that it should have against rows that it has (see provisioning.routeros)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.clock import Clock
from core.database import Database
from core.keyring import Keyring
from core.routeros import RouterOsAccess
from provisioning import certificates
from provisioning.jobs import approval, facts, store
from provisioning.jobs.engines import Look
from provisioning.jobs.facts import Facts, Prepared
from provisioning.jobs.models import ProvisioningJob
from provisioning.outcome import Journal
from provisioning.routeros.change import ChangeRun
from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Plan, Remove, added
from provisioning.routeros.planning.matching import key_of
from provisioning.routeros.planning.script import commands
from provisioning.routeros.planning.words import told
from provisioning.routeros.reading import count_sessions, read_rows, release_of
from provisioning.routeros.schema import MENUS


@dataclass(frozen=True, slots=True)
class RouterOsEngine:
    database: Database
    keyring: Keyring
    connect: Callable[[RouterOsAccess], RouterOs]
    clock: Clock
    wait: Callable[[float], None]

    def look(self, nas_id: int, *, asked: bool) -> Look:
        del asked  # its certificate is held to what the NAS entry says, always
        with self.database.transaction() as session:
            known = facts.read_facts(session, self.keyring, nas_id, self.clock())
        with certificates.watched(self.database, nas_id, self.clock):
            prepared, sessions = self._read(known)
        plan = prepared.plan
        touched, removed = approval.weigh(plan, sessions)
        release, sealed = ".".join(map(str, prepared.release)), prepared.seal(self.keyring)
        return Look(
            release, sealed, commands(plan.steps), _told(plan), sessions, touched, removed, changes=told(plan.steps)
        )

    def change(self, job_id: int, journal: Journal) -> ChangeRun:
        with self.database.transaction() as session:
            job = store.get_job(session, job_id)
            prepared = facts.open_prepared(self.keyring, job)
            access = facts.read_facts(session, self.keyring, job.nas_id, self.clock()).access
        return ChangeRun(
            connect=lambda: self.connect(access), name=f"provedor-undo-{job_id}", desired=prepared.desired,
            before=prepared.before, plan=prepared.plan, release=prepared.release, owned=prepared.owned_rows,
            journal=journal, wait=self.wait, proof=prepared.proof,
        )  # fmt: skip

    def keep_done(self, session: Session, job: ProvisioningJob) -> Sequence[str]:
        prepared = facts.open_prepared(self.keyring, job)
        plan = prepared.plan
        removed = [step for step in plan.steps if isinstance(step, Remove)]
        gone = [(step.menu, key_of(MENUS[step.menu], step.row)) for step in removed]
        gone += facts.now_marked(prepared)
        facts.keep_owned(session, self.keyring, job.nas_id, added(plan, prepared.release), gone)
        return _told(plan)

    def _read(self, known: Facts) -> tuple[Prepared, int]:
        """What the box has. Raises RouterOsError or InvalidInput."""
        client = self.connect(known.access)
        try:
            release = release_of(client)
            desired = known.desired(release)
            menus = desired.menus | {setting.menu for setting in desired.settings}
            return facts.prepare(known, read_rows(client, menus, release), release, desired), count_sessions(client)
        finally:
            client.close()


def _told(plan: Plan) -> list[str]:
    """What cannot be had, for people."""
    return [f"{one.menu} {one.what}: {one.detail}" for one in plan.problems]
