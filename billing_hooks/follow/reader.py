"""When and how the other systems are read. Reading waits for a network, so it is done outside of every transaction.

    owe_due   (transaction, clock)  who is due is claimed for a while, and its reading owed
    begin     (transaction)         opens the source
    read      (no transaction, a thread)
    conclude  (transaction)         what it said, or why it could not be read; the claim is forgotten

If we die in between, the claim runs out and the source is read again. A reading that was overtaken by a later one is
dropped, so that an old word never replaces a newer one. What could not be read changes nothing: holds stay as they are,
and after ten minutes the source has an alarm, while which no run restricts anybody by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

import structlog
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from billing_hooks.follow import sources, words
from billing_hooks.follow.adapters import PUSH
from billing_hooks.follow.base import MakeClient, Reading, SourceAdapter
from billing_hooks.follow.models import FollowedContract, FollowSource, Mode
from billing_hooks.gateways.base import Access
from billing_hooks.invoicing.words import Words, moment, of_columns, said_by
from billing_hooks.models import BillingDecision, BillingRun, RunState
from billing_hooks.runs import Billing, RunUnsafe
from core import outbox, topics
from core.access import HoldReason
from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import Conflict, ProvedorError
from core.keyring import Keyring
from core.models.service import Hold, Service, ServiceKind, ServiceStatus
from core.work import Afterwards

#: Longer than a large system takes to be read.
CLAIM: Final = timedelta(minutes=5)
#: A login that was changed there is found within the hour.
IDENTIFY_EVERY: Final = timedelta(hours=1)
log = structlog.get_logger()


def owe_due(session: Session, now: datetime, zone: tzinfo) -> int:
    """Owe the reading of every source that is due; returns how many. Raises the alarm of those that are silent; the
    moments in its words are the zone's."""
    due = (
        FollowSource.enabled, FollowSource.kind != PUSH,
        or_(FollowSource.claimed_until.is_(None), FollowSource.claimed_until <= now),
    )  # fmt: skip
    owed = 0
    for source in session.scalars(select(FollowSource).where(*due).with_for_update(skip_locked=True)).all():
        if source.asked_at is None or source.asked_at + timedelta(seconds=source.every_s or sources.EVERY_S) <= now:
            _owe(session, source, now)
            owed += 1
    _raise_alarms(session, now, zone)
    return owed


def owe_now(session: Session, source: FollowSource, now: datetime) -> None:
    """A person does not wait for the next time. Raises Conflict for one that pushes or is disabled."""
    sources.adapter_of(source)
    if not source.enabled:
        raise Conflict(f"{source.name} is disabled")
    _owe(session, source, now)


def _owe(session: Session, source: FollowSource, now: datetime) -> None:
    sources.note(session, source.id, asked_at=now, claimed_until=now + CLAIM)
    outbox.enqueue(session, topics.FOLLOW_READ, {"source_id": source.id, "asked_at": now.isoformat()})


def _raise_alarms(session: Session, now: datetime, zone: tzinfo) -> None:
    expected = (FollowSource.enabled, FollowSource.every_s.is_not(None), FollowSource.alarm.is_(None))
    for source in session.scalars(select(FollowSource).where(*expected)).all():
        since = sources.unreadable_since(source)
        patience = max(sources.UNREADABLE_AFTER, timedelta(seconds=2 * (source.every_s or 0)))
        if since + patience <= now:
            sources.set_alarm(session, source.id, _silent_since(source, since, zone))


def _silent_since(source: FollowSource, at: datetime, zone: tzinfo) -> Words:
    since, error = moment(at, zone), of_columns(source.error, source.error_pt)
    because = Words(f" ({error.pt})", f" ({error.en})") if error else Words("", "")
    if source.kind == PUSH:
        return Words(f"não diz nada desde {since.pt}{because.pt}", f"it has told nothing since {since.en}{because.en}")
    return Words(
        f"não pôde ser lido desde {since.pt}{because.pt}", f"it could not be read since {since.en}{because.en}"
    )


def _why(error: ProvedorError) -> Words:
    """What it is that failed on the way stays as it came."""
    if error.detail_pt is not None:
        return said_by(error)
    return Words(f"não responde como deve: {error.detail}", f"it does not answer as it should: {error.detail}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A source that is opened to be read."""

    source_id: int
    asked_at: datetime
    adapter: SourceAdapter
    access: Access
    known: Sequence[str]

    def read(self, make_client: MakeClient) -> Reading:
        """Raises ProvedorError."""
        return self.adapter.read(self.access, make_client, self.known)


@dataclass(frozen=True, slots=True)
class Reader:
    database: Database
    keyring: Keyring
    billing: Billing
    make_client: MakeClient
    threads: Executor
    clock: Clock

    def handle_read(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of FOLLOW_READ."""
        source = session.get(FollowSource, payload["source_id"])
        asked_at = datetime.fromisoformat(payload["asked_at"])
        if source is None or not source.enabled or source.asked_at != asked_at:
            return None
        asked = self.open(session, source, asked_at)
        return lambda: self._submit(asked)

    def open(self, session: Session, source: FollowSource, asked_at: datetime, *, identify: bool = False) -> Asked:
        """Who its subscribers are is not read each time: new ones, and all of them once in a while."""
        identified_at = source.identified_at
        known: Sequence[str] = ()
        if not identify and identified_at is not None and identified_at + IDENTIFY_EVERY > asked_at:
            known = words.known_keys(session, source.id)
        return Asked(source.id, asked_at, sources.adapter_of(source), sources.access_of(self.keyring, source), known)

    def conclude(
        self, session: Session, asked: Asked, reading: Reading, *, forced_by: str | None = None
    ) -> words.Kept | None:
        """What it said. None where a later reading has overtaken this one."""
        source = session.get(FollowSource, asked.source_id, with_for_update=True, populate_existing=True)
        if source is None or source.asked_at != asked.asked_at:
            return None
        now = self.clock()
        kept = words.keep_reading(session, source, reading, now, accept=forced_by is not None)
        sources.note(session, source.id, read_at=now, claimed_until=None)
        sources.set_error(session, source.id, None)
        sources.set_alarm(session, source.id, kept.alarm)
        if reading.identified:
            sources.note(session, source.id, identified_at=now)
        restrict(session, self.billing, source, forced_by=forced_by)
        return kept

    def fail(self, session: Session, asked: Asked, error: ProvedorError) -> None:
        """It could not be read; it is tried again at its pace."""
        source = session.get(FollowSource, asked.source_id)
        if source is not None and source.asked_at == asked.asked_at:
            sources.note(session, source.id, claimed_until=None)
            sources.set_error(session, source.id, _why(error))

    def _submit(self, asked: Asked) -> None:
        self.threads.submit(self._run, asked)

    def _run(self, asked: Asked) -> None:
        try:
            reading = asked.read(self.make_client)
        except ProvedorError as error:
            log.warning("another billing system could not be read", source=asked.source_id, detail=error.detail)
            with self.database.transaction() as session:
                self.fail(session, asked, error)
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to; it comes again with its claim)
            log.error("reading another billing system failed", source=asked.source_id, error=type(error).__name__)
        else:
            with self.database.transaction() as session:
                self.conclude(session, asked, reading)


def restrict(session: Session, billing: Billing, source: FollowSource, *, forced_by: str | None = None) -> None:
    """A run over the contracts that should be restricted by its word and are not: through the guard, which asks a
    person rather than believe that everybody owes."""
    if source.mode is not Mode.LIVE or not source.enabled:
        return
    behind = _out_of_step(session, source.id)
    stopped = None
    try:
        if behind:
            billing.run(session, contract_ids=behind)
    except RunUnsafe as refused:
        if forced_by is not None:
            billing.force(session, refused.run_id, Actor(forced_by))
        else:
            stopped = said_by(refused)
            log.warning("what another billing system says was not done", source=source.id, detail=refused.detail)
    sources.set_stopped(session, source.id, stopped)


def _out_of_step(session: Session, source_id: int) -> list[int]:
    """Contracts with a service that should be held, and is not as its word says; unless a run is about to do it."""
    held = exists().where(
        Hold.service_id == Service.id, Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None),
        Hold.effect == FollowedContract.effect,
    )  # fmt: skip
    owed = exists().where(
        BillingDecision.contract_id == FollowedContract.contract_id, BillingDecision.action == "place",
        BillingDecision.done_at.is_(None), BillingDecision.outcome.is_(None),
        BillingDecision.run_id == BillingRun.id, BillingRun.finished_at.is_(None),
        BillingRun.state != RunState.STOPPED,
    )  # fmt: skip
    query = (
        select(FollowedContract.contract_id)
        .join(Service, Service.contract_id == FollowedContract.contract_id)
        .where(
            FollowedContract.source_id == source_id, FollowedContract.effect.is_not(None),
            Service.status != ServiceStatus.CANCELLED, Service.kind != ServiceKind.DEDICATED, ~held, ~owed,
        )
        .distinct()
    )  # fmt: skip
    return list(session.scalars(query))
