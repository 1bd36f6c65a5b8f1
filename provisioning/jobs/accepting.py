"""What somebody changed at a box, said in its intent instead of put back: from what a planned job read there."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from core import events, network
from core.audit import Actor
from core.errors import Conflict
from core.keyring import Keyring
from provisioning.jobs import facts, intents, store
from provisioning.jobs.engines import BoxKind, kind_of
from provisioning.jobs.models import JobState, ProvisioningJob
from provisioning.routeros.bras import Accepted, accept


def propose(session: Session, keyring: Keyring, nas_id: int, job: ProvisioningJob, now: datetime) -> Accepted:
    """By the intent of now, and what the job read. Raises Conflict for a job that is not planned, or is another's."""
    if job.nas_id != nas_id or job.state is not JobState.PLANNED:
        raise Conflict(f"job {job.id} is {job.state}, or another box's: plan anew", field="job_id")
    if kind_of(network.get_nas(session, nas_id)) is not BoxKind.ROUTEROS:
        raise Conflict("what differs at this box is lines, which no intent says: change it by hand", field="job_id")
    prepared, known = facts.open_prepared(keyring, job), facts.read_facts(session, keyring, nas_id, now)
    return accept(known.intent, known.surroundings(prepared.release), prepared.before, prepared.owned_rows)


def keep(session: Session, job: ProvisioningJob, found: Accepted, actor: Actor, now: datetime) -> None:
    """The job, which would put it back, is cancelled."""
    nas = network.get_nas(session, job.nas_id)
    intents.set_intent(session, nas, msgspec.to_builtins(found.intent), actor)
    store.cancel(session, job, actor, now)
    events.record(session, "bras_intent.accepted", "nas", nas.id, job_id=job.id, taken=len(found.taken),
                  rest=len(found.rest))  # fmt: skip
