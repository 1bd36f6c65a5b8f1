"""Jobs of boxes that a NAPALM driver manages: the candidate is rendered, and the box says what it would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import events, outbox, topics
from core.clock import Clock
from core.database import Database
from core.keyring import NAS_SECRET, PROVISIONING_PLAN, Keyring
from core.models.network import Nas
from core.nas_management import ManagementAccess
from provisioning.jobs import intents, store
from provisioning.jobs.engines import Look
from provisioning.jobs.models import JobState, ProvisioningJob
from provisioning.jobs.rollouts import online
from provisioning.napalm import diffs, names
from provisioning.napalm.bng import BngIntent, Surroundings, render
from provisioning.napalm.change import DeviceChange
from provisioning.napalm.devices import Facts
from provisioning.napalm.models import ManagedDevice
from provisioning.napalm.opening import access_of, check_approved, open_watched
from provisioning.napalm.plan_names import lacking
from provisioning.napalm.traits import traits_of
from provisioning.outcome import Journal

#: What a change left is read after this.
LOOK_AFTER: Final = timedelta(seconds=5)
#: Of what is missing an event tells so much.
TOLD_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything of a plan. What was approved is what is done, whatever was said of the box since."""

    candidate: str
    diff: list[str]
    secrets: list[str]
    serial: str


@dataclass(frozen=True, slots=True)
class _Known:
    """Of one box, as the database has it. `secrets_there`: those that a job of ours left at the box."""

    access: ManagementAccess
    candidate: str
    secrets: list[str]
    secrets_there: list[str]


@dataclass(frozen=True, slots=True)
class NapalmEngine:
    """`templates`: a provider's own."""

    database: Database
    keyring: Keyring
    clock: Clock
    wait: Callable[[float], None]
    templates: Path | None = None

    def look(self, nas_id: int, *, asked: bool) -> Look:
        known = self._read(nas_id)
        if not asked:
            check_approved(known.access)
        device = open_watched(self.database, known.access, known.secrets)
        try:
            facts, environment, sessions = device.facts(), device.environment(), device.sessions()
            running = device.running()
            lines = device.compare(known.candidate) if known.candidate else []
            device.discard()
            host_key = device.host_key
        finally:
            device.close()
        traits = traits_of(known.access.driver)
        self._keep_device(nas_id, facts, environment, _names(traits.platform, running))
        if known.secrets == known.secrets_there:  # ciphered anew they look like others
            lines = diffs.without_secrets(lines, running if traits.by_indentation else None)
        diff = lines if diffs.changes(lines) else []
        prepared = Prepared(known.candidate, diff, known.secrets, facts.serial)
        touched, removed = self._weigh(nas_id, diff, sessions)
        sealed = self.keyring.seal(msgspec.json.encode(prepared), PROVISIONING_PLAN)
        return Look(
            facts.release, sealed, diff, _told(traits.cannot_undo), sessions, touched, removed,
            host_key=host_key if known.access.host_key is None else None, cannot_undo=traits.cannot_undo,
        )  # fmt: skip

    def change(self, job_id: int, journal: Journal) -> DeviceChange:
        with self.database.transaction() as session:
            job = store.get_job(session, job_id)
            prepared = _open_prepared(self.keyring, job)
            access = access_of(session.get_one(Nas, job.nas_id), self.keyring)
            access = replace(access, host_key=access.host_key or job.host_key)
        name = f"provedor-{job_id}"
        return DeviceChange(
            connect=lambda: open_watched(self.database, access, prepared.secrets, name), name=name,
            traits=traits_of(access.driver), candidate=prepared.candidate, diff=prepared.diff, serial=prepared.serial,
            journal=journal, wait=self.wait,
        )  # fmt: skip

    def keep_done(self, session: Session, job: ProvisioningJob) -> Sequence[str]:
        """What is there now to be named is read soon, when nobody is at the box any more."""
        outbox.enqueue(session, topics.DRIFT_DUE, {"nas_id": job.nas_id}, due_at=self.clock() + LOOK_AFTER)
        return _told(job.cannot_undo)

    def _read(self, nas_id: int) -> _Known:
        with self.database.transaction() as session:
            nas = session.get_one(Nas, nas_id)
            access = access_of(nas, self.keyring)
            secret = self.keyring.open_text(nas.secret_encrypted, NAS_SECRET)
            intent = intents.read_bng_intent(intents.get_intent(session, nas_id))
            around = Surroundings(secret, nas.coa_port, nas.names, nas.options)
            nothing = BngIntent(serves=intent.serves)
            platform = traits_of(access.driver).platform
            candidate = "" if intent == nothing else render(platform, intent, around, self.templates)
            return _Known(access, candidate, [secret], self._secrets_there(session, nas_id))

    def _weigh(self, nas_id: int, diff: Sequence[str], sessions: int | None) -> tuple[int, int]:
        """All sessions may feel it: lines do not say whom they concern. Where nobody can count them there, by our own
        count."""
        if sessions is None:
            with self.database.transaction() as session:
                sessions = online(session, nas_id)
        return (sessions, sum(line.startswith("-") for line in diff)) if diff and sessions else (0, 0)

    def _secrets_there(self, session: Session, nas_id: int) -> list[str]:
        done = (ProvisioningJob.nas_id == nas_id, ProvisioningJob.state == JobState.DONE)
        job = session.scalar(select(ProvisioningJob).where(*done).order_by(ProvisioningJob.id.desc()).limit(1))
        return [] if job is None or job.plan_encrypted is None else _open_prepared(self.keyring, job).secrets

    def _keep_device(
        self, nas_id: int, facts: Facts, environment: dict[str, Any], there: dict[str, list[str]] | None
    ) -> None:  # fmt: skip
        """What plans name and is there no more is an event."""
        now = self.clock()
        values = {
            "facts": asdict(facts), "environment": environment, "read_at": now, "refused_host_key": None,
            "names": there, "names_read_at": now if there is not None else None,
        }  # fmt: skip
        with self.database.transaction() as session:
            before = lacking(session, nas_id)
            session.execute(
                insert(ManagedDevice).values(nas_id=nas_id, **values)
                .on_conflict_do_update(index_elements=[ManagedDevice.nas_id], set_=values)
            )  # fmt: skip
            session.expire_all()
            after = lacking(session, nas_id)
            if after and after != before:
                events.record(session, "provisioning.names_missing", "nas", nas_id, missing=after[:TOLD_MAX])


def _names(platform: str, configuration: str) -> dict[str, list[str]] | None:
    """None where we know no names of this platform."""
    return names.read(platform, configuration) if names.knows(platform) else None


def _open_prepared(keyring: Keyring, job: ProvisioningJob) -> Prepared:
    assert job.plan_encrypted is not None  # noqa: S101  (it was planned)
    return msgspec.json.decode(keyring.open(job.plan_encrypted, PROVISIONING_PLAN), type=Prepared)


def _told(cannot_undo: str | None) -> list[str]:
    return [f"it would not undo by itself: {cannot_undo}"] if cannot_undo else []
