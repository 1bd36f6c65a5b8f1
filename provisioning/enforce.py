"""Bringing live sessions in step: facts from the database, a decision, the network, the outcome back.

No row is locked while the network is waited for. Each session has an advisory lock for the time of its chain, so that
two workers never talk to a NAS about the same one. What cannot be done now (NAS silent, pace, window, freeze) is owed
again for later, never slept for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.authenticator import SharedSecret
from aaa.coa import CoaClient, ErrorCause, Outcome, OutcomeKind, Target
from aaa.coa.error_cause import PERHAPS_STALE_KEY, describe
from aaa.packet import Kind, text_attribute
from aaa.vendors import SessionKeys, adapter
from core import events, outbox, policies, sessions, switches, topics
from core.clock import Clock
from core.keyring import NAS_SECRET, Keyring
from core.models.network import Nas, Session
from core.models.service import Service, ServiceStatus
from core.policy import Policy
from provisioning import pace
from provisioning.chain import Action, Decision, Situation, decide
from provisioning.models import EnforcementStep

#: First key of the advisory lock; the session's id is the second.
_LOCK_SPACE = 0x454E46
#: Tries before an alarm is raised; it is tried on, every RETRY_SLOW.
TRIES_BEFORE_ALARM = 6
RETRY_SLOW = timedelta(minutes=5)
#: A session that should have ended and still lives is asked again after this.
PACED_RETRY = timedelta(seconds=5)
FROZEN_RETRY = timedelta(minutes=1)
BUSY_RETRY = timedelta(milliseconds=200)
WINDOW_RETRY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Enforcer:
    """What enforcement needs from outside. `window_open` says whether redials for ordinary changes may happen now."""

    client: CoaClient
    keyring: Keyring
    clock: Clock
    window_open: Callable[[datetime], bool]

    def service_out_of_step(self, session: DatabaseSession, payload: dict[str, Any]) -> None:
        """Handler of SERVICE_OUT_OF_STEP: all live sessions of one service."""
        for live in sessions.active_of_service(session, payload["service_id"]):
            self.bring_in_step(session, live.id, tries=0)

    def session_out_of_step(self, session: DatabaseSession, payload: dict[str, Any]) -> None:
        """Handler of SESSION_OUT_OF_STEP."""
        self.bring_in_step(session, payload["session_id"], tries=payload.get("tries", 0))

    def session_disconnect(self, session: DatabaseSession, payload: dict[str, Any]) -> None:
        """Handler of SESSION_DISCONNECT: somebody asked for it, so neither pace nor step count."""
        live = session.get(Session, payload["session_id"])
        if live is None or live.stopped_at is not None or not _lock(session, live.id):
            return
        nas = session.get(Nas, live.nas_id)
        if nas is None or _frozen(session, nas):
            return
        decision = Decision(Action.DISCONNECT, payload.get("reason", "asked for"))
        self._act(session, live, nas, decision, live.effective_fingerprint or "", payload.get("tries", 0))

    def bring_in_step(self, session: DatabaseSession, session_id: int, *, tries: int) -> None:
        """Run the chain for one session until there is nothing more to do now."""
        if not _lock(session, session_id):
            self._owe_again(session, session_id, tries, BUSY_RETRY)  # another worker is at it, on older facts perhaps
            return
        for coa_refused in (False, True):
            facts = _read_facts(session, session_id)
            if facts is None:
                return
            live, nas, service = facts
            decision = self._decide(session, live, nas, service, coa_refused=coa_refused)
            if decision.action is Action.NONE:
                return
            if decision.action is Action.WAIT:
                self._owe_again(
                    session, session_id, tries, FROZEN_RETRY if "frozen" in decision.reason else WINDOW_RETRY
                )
                return
            if self._act(session, live, nas, decision, service.policy_fingerprint, tries):
                return

    def _decide(
        self, session: DatabaseSession, live: Session, nas: Nas, service: Service, *, coa_refused: bool
    ) -> Decision:
        effective = live.effective_fingerprint
        intended = policies.read(session, service.policy_fingerprint)
        assert intended is not None  # noqa: S101  (a foreign key holds it)
        situation = Situation(
            ours=live.class_fingerprint is not None,
            frozen=_frozen(session, nas),
            emergency=nas.emergency,
            entitled=service.status is not ServiceStatus.CANCELLED,
            effective_fingerprint=effective,
            applied=_policy(session, effective),
            intended_fingerprint=service.policy_fingerprint,
            intended=intended,
            coa_refused=coa_refused,
            window_open=self.window_open(self.clock()),
        )
        return decide(situation, adapter(nas.vendor), nas.names)

    def _act(
        self, session: DatabaseSession, live: Session, nas: Nas, decision: Decision, intended: str, tries: int
    ) -> bool:
        """Send what was decided and keep the outcome; False when a refused CoA asks for another decision."""
        now = self.clock()
        if not pace.may_ask(session, nas.id, now):
            self._owe_again(session, live.id, tries, pace.CLOSED_FOR)
            return True
        if decision.paced and not pace.take_disconnect(session, nas.id, nas.disconnects_per_minute, now):
            self._owe_again(session, live.id, tries, PACED_RETRY)
            return True
        outcome = self._send(live, nas, decision)
        self._keep(session, live, decision, intended, outcome)
        return self._conclude(session, live, nas, decision, intended, outcome, tries)

    def _conclude(
        self,
        session: DatabaseSession,
        live: Session,
        nas: Nas,
        decision: Decision,
        intended: str,
        outcome: Outcome,
        tries: int,
    ) -> bool:
        if outcome.kind in {OutcomeKind.TIMEOUT, OutcomeKind.UNREACHABLE}:
            self._after_silence(session, live, nas, tries)
            return True
        pace.record_answer(session, nas.id)
        if outcome.kind is OutcomeKind.ACK:
            if decision.action is Action.COA:
                sessions.mark_applied(session, live.id, intended)
            return True
        if outcome.error_cause == ErrorCause.SESSION_CONTEXT_NOT_FOUND:
            sessions.close_not_found(session, live.id, now=self.clock())
            return True
        if decision.action is Action.COA:
            return False
        self._owe_after_failure(session, live, tries, describe(outcome.error_cause))
        return True

    def _send(self, live: Session, nas: Nas, decision: Decision) -> Outcome:
        """With all keys; where one of them may be stale, once more with the session's id alone."""
        target = Target(_coa_address(live, nas), nas.coa_port, self._secret(nas))
        keys = adapter(nas.vendor).session_keys(
            SessionKeys(live.login, live.acct_session_id, live.framed_ipv4, _ipv4(live.nas_address))
        )
        outcome = self._exchange(target, keys, decision)
        if outcome.kind is OutcomeKind.NAK and outcome.error_cause in PERHAPS_STALE_KEY:
            only_id = text_attribute(Kind.ACCT_SESSION_ID, live.acct_session_id)
            outcome = self._exchange(target, only_id, decision)
        return outcome

    def _exchange(self, target: Target, keys: bytes, decision: Decision) -> Outcome:
        if decision.action is Action.COA:
            return self.client.change(target, keys, decision.attributes)
        return self.client.disconnect(target, keys)

    def _secret(self, nas: Nas) -> SharedSecret:
        return SharedSecret(self.keyring.open(nas.secret_encrypted, NAS_SECRET))

    def _keep(
        self, session: DatabaseSession, live: Session, decision: Decision, intended: str, outcome: Outcome
    ) -> None:
        session.add(
            EnforcementStep(
                session_id=live.id,
                service_id=live.service_id,
                nas_id=live.nas_id,
                action=decision.action.value,
                reason=decision.reason,
                from_fingerprint=live.effective_fingerprint,
                to_fingerprint=intended or None,
                outcome=outcome.kind.value,
                error_cause=outcome.error_cause,
                duration_ms=outcome.duration_s * 1000,
            )
        )
        session.flush()

    def _after_silence(self, session: DatabaseSession, live: Session, nas: Nas, tries: int) -> None:
        if pace.record_silence(session, nas.id, nas.disconnects_per_minute, self.clock()):
            events.record(session, "nas.coa_silent", "nas", nas.id, port=nas.coa_port)
        hint = "no answer: check the NAS's CoA port and secret, and its clock"
        self._owe_after_failure(session, live, tries, hint)

    def _owe_after_failure(self, session: DatabaseSession, live: Session, tries: int, detail: str) -> None:
        if tries + 1 == TRIES_BEFORE_ALARM:
            events.record(session, "enforcement.failed", "session", live.id, detail=detail, service_id=live.service_id)
        pause = RETRY_SLOW if tries + 1 >= TRIES_BEFORE_ALARM else timedelta(seconds=2.0 ** (tries + 1))
        self._owe_again(session, live.id, tries + 1, pause)

    def _owe_again(self, session: DatabaseSession, session_id: int, tries: int, pause: timedelta) -> None:
        payload = {"session_id": session_id, "tries": tries}
        outbox.enqueue(session, topics.SESSION_OUT_OF_STEP, payload, due_at=self.clock() + pause)


def _read_facts(session: DatabaseSession, session_id: int) -> tuple[Session, Nas, Service] | None:
    """None when the session has ended or is nobody's."""
    row = session.execute(
        select(Session, Nas, Service)
        .join(Nas, Nas.id == Session.nas_id)
        .join(Service, Service.id == Session.service_id)
        .where(Session.id == session_id, Session.stopped_at.is_(None))
        .execution_options(populate_existing=True)
    ).first()
    return (row[0], row[1], row[2]) if row else None


def _frozen(session: DatabaseSession, nas: Nas) -> bool:
    return nas.enforcement_frozen or switches.enforcement_frozen(session)


def _policy(session: DatabaseSession, fingerprint: str | None) -> Policy | None:
    return policies.read(session, fingerprint) if fingerprint else None


def _lock(session: DatabaseSession, session_id: int) -> bool:
    """This session is ours until the transaction ends."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK_SPACE, session_id % (1 << 31)))))


def _coa_address(live: Session, nas: Nas) -> str:
    """Where the box listens: its entry's address, or what the box said where the entry is a network."""
    return live.nas_address if "/" in nas.address else nas.address


def _ipv4(address: str) -> str | None:
    return None if ":" in address else address
