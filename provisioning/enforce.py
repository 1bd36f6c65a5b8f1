"""Bringing live sessions in step: facts from the database, a decision, the network, the outcome back.

    begin     (transaction)  facts -> decision -> breaker and pace -> a step "asking", and the work owed again for later
    ask       (no transaction, no thread, no connection)  CoA or Disconnect, retransmitted; the answer calls us back
    conclude  (transaction)  the step's outcome, what follows from it, and the work owed for later is forgotten

Nothing is locked while the network is waited for, so a silent NAS delays nobody but its own subscribers. The step that
is "asking" is the claim to its session: nobody else talks to a NAS about it. If we die, the claim runs out, and the
work that was owed for later is due. What cannot be done now (NAS silent, pace, window, freeze) is owed again as well.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.coa import CoaClient, ErrorCause, Outcome, OutcomeKind
from aaa.coa.error_cause import PERHAPS_STALE_KEY, describe
from aaa.liveness import Addressee, addressee_of
from aaa.vendors import Local, adapter
from core import events, outbox, policies, sessions, switches, topics
from core.clock import Clock
from core.database import Database
from core.keyring import Keyring
from core.models.network import Nas, Session, SessionKind
from core.models.service import Service, ServiceStatus
from core.policy import Policy
from core.topics import Topic
from core.work import Afterwards
from provisioning import live_rows, pace, reconciler
from provisioning.chain import BY_RADIUS, Action, Decision, Situation, decide
from provisioning.models import ASKING, CLAIM, EnforcementStep
from provisioning.routers import Routers

#: First key of the advisory lock under which a session is claimed; the session's id is the second.
_LOCK_SPACE = 0x454E46
#: Tries before an alarm is raised; it is tried on, every RETRY_SLOW.
TRIES_BEFORE_ALARM = 6
RETRY_SLOW = timedelta(minutes=5)
#: A session whose NAS has enough to answer is asked about again after this.
HELD_BACK_RETRY = timedelta(seconds=5)
#: For people.
NO_ANSWER = "no answer: check the NAS's CoA port and secret, and its clock"
FROZEN_RETRY = timedelta(minutes=1)
BUSY_RETRY = timedelta(milliseconds=200)
WINDOW_RETRY = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Errand:
    """What is owed to one session. `reason`: somebody asked for a disconnect, so neither pace nor step count.
    `waited`: its NAS's pace put it off before, so it is not behind those who wait now."""

    session_id: int
    tries: int = 0
    reason: str | None = None
    waited: bool = False

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Errand:
        return cls(payload["session_id"], payload.get("tries", 0), payload.get("reason"))

    @property
    def topic(self) -> Topic:
        if self.reason is not None:
            return topics.SESSION_DISCONNECT
        return topics.SESSION_AWAITS_TURN if self.waited else topics.SESSION_OUT_OF_STEP

    def payload(self, tries: int) -> dict[str, Any]:
        asked_for = {} if self.reason is None else {"reason": self.reason}
        return {"session_id": self.session_id, "tries": tries, **asked_for}


@dataclass(frozen=True, slots=True)
class Asking:
    """A NAS that is being asked, and all that the answer is concluded from."""

    errand: Errand
    decision: Decision
    intended: str
    step_id: int
    owed_id: int
    #: The session as its router's API knows it, where that may be used.
    addressee: Addressee
    failed: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Enforcer:
    """What enforcement needs from outside. `window_open` says whether redials for ordinary changes may happen now;
    `conclusions` runs what waits for the database once a NAS has answered."""

    database: Database
    client: CoaClient
    routers: Routers
    conclusions: Executor
    keyring: Keyring
    clock: Clock
    window_open: Callable[[datetime], bool]
    line: pace.Line = field(default_factory=pace.Line)

    def service_out_of_step(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SERVICE_OUT_OF_STEP and SERVICE_RESTRICTED: all live sessions of one service, each by itself."""
        of_service = (
            Session.service_id == payload["service_id"],
            Session.stopped_at.is_(None),
            Session.kind == SessionKind.LINE,
        )
        live = session.scalars(select(Session.id).where(*of_service).order_by(Session.id)).all()
        if len(live) == 1:
            return self._begin(session, Errand(live[0]))
        for session_id in live:
            outbox.enqueue(session, topics.SESSION_OUT_OF_STEP, Errand(session_id).payload(0))
        return None

    def session_out_of_step(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SESSION_OUT_OF_STEP."""
        return self._begin(session, Errand.of(payload))

    def session_awaits_turn(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SESSION_AWAITS_TURN."""
        return self._begin(session, replace(Errand.of(payload), waited=True))

    def session_disconnect(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SESSION_DISCONNECT."""
        return self._begin(session, Errand.of({"reason": "asked for", **payload}))

    def _begin(
        self, session: DatabaseSession, errand: Errand, failed: frozenset[Action] = frozenset()
    ) -> Afterwards | None:
        """Decide what to do with one session now; what is returned asks its NAS, once the claim is committed.

        `failed`: ways that were tried just now.
        """
        if not _claimable(session, errand.session_id):
            self._owe_again(session, errand, errand.tries, BUSY_RETRY)  # it is being asked, on older facts perhaps
            return None
        facts = _read_facts(session, errand.session_id)
        if facts is None:
            return None
        live, nas, service = facts
        addressee = addressee_of(live, nas, self.keyring)
        router = addressee.routeros is not None
        decision, intended = self._decide(session, errand, live, nas, service, router=router, failed=failed)
        deaf = decision.action in BY_RADIUS and not pace.may_ask(session, nas.id, self.clock())
        if deaf and router:
            failed |= BY_RADIUS
            decision, intended = self._decide(session, errand, live, nas, service, router=True, failed=failed)
        if decision.action is Action.NONE:
            return None
        if decision.action is Action.ADOPT:
            sessions.mark_applied(session, errand.session_id, intended)
            return None
        pause = pace.CLOSED_FOR if deaf and not router else self._pause(session, errand, nas, decision)
        if pause is not None:
            self._owe_again(session, replace(errand, waited=decision.paced), errand.tries, pause)
            return None
        asking = self._claim(session, errand, live, decision, intended, addressee, failed)
        outbox.lose_on_crash(session)  # then the errand itself is still owed
        return lambda: self._ask(asking, asking.addressee.keys, 0)

    def _decide(
        self, session: DatabaseSession, errand: Errand, live: Session, nas: Nas, service: Service | None,
        *, router: bool, failed: frozenset[Action],
    ) -> tuple[Decision, str]:  # fmt: skip
        """The decision, and the fingerprint that the session has when it was carried out."""
        effective = live.effective_fingerprint
        frozen = nas.enforcement_frozen or switches.enforcement_frozen(session)
        if errand.reason is not None:
            over_api = router and Action.DISCONNECT in failed and Action.END not in failed
            action = Action.END if over_api else Action.DISCONNECT
            return Decision(Action.NONE if frozen else action, errand.reason), effective or ""
        if service is None:
            return Decision(Action.NONE, "nobody's session"), ""
        intended = policies.read(session, service.policy_fingerprint)
        assert intended is not None  # noqa: S101  (a foreign key holds it)
        situation = Situation(
            ours=live.class_fingerprint is not None,
            frozen=frozen,
            emergency=nas.emergency,
            entitled=service.status is not ServiceStatus.CANCELLED,
            effective_fingerprint=effective,
            applied=_policy(session, effective),
            intended_fingerprint=service.policy_fingerprint,
            intended=intended,
            router=router,
            failed=failed,
            window_open=self.window_open(self.clock()),
        )
        return decide(situation, adapter(nas.vendor), Local(nas.names, nas.options)), service.policy_fingerprint

    def _pause(
        self, session: DatabaseSession, errand: Errand, nas: Nas, decision: Decision
    ) -> timedelta | None:  # fmt: skip
        """How long this has to wait; None when the NAS may be asked now."""
        if decision.action is Action.WAIT:
            return FROZEN_RETRY if "frozen" in decision.reason else WINDOW_RETRY
        if not decision.paced:
            return None
        now = self.clock()
        behind = not errand.waited and self.line.is_long(nas.id, now)
        if behind or not pace.take_disconnect(session, nas.id, nas.disconnects_per_minute, now):
            return self.line.wait(nas.id, nas.disconnects_per_minute, now)
        return None

    def _claim(
        self, session: DatabaseSession, errand: Errand, live: Session, decision: Decision, intended: str,
        addressee: Addressee, failed: frozenset[Action],
    ) -> Asking:  # fmt: skip
        step = EnforcementStep(
            session_id=live.id,
            service_id=live.service_id,
            nas_id=live.nas_id,
            action=decision.action.value,
            reason=decision.reason,
            from_fingerprint=live.effective_fingerprint,
            to_fingerprint=intended or None,
            outcome=ASKING,
            duration_ms=0.0,
        )
        session.add(step)
        session.flush()
        return Asking(
            errand=errand,
            decision=decision,
            intended=intended,
            step_id=step.id,
            owed_id=self._owe_again(session, errand, errand.tries, CLAIM),
            addressee=addressee,
            failed=failed,
        )

    def _ask(self, asking: Asking, keys: bytes, number: int) -> None:
        """The first CoA, or a later one (`number`) where a change takes several; or the Disconnect."""

        def done(outcome: Outcome) -> None:
            self._answered(asking, keys, number, outcome)

        action = asking.decision.action
        if action is Action.COA:
            self.client.change(asking.addressee.target, keys, asking.decision.requests[number], done)
        elif action is Action.ROUTER and asking.decision.change is not None:
            self.routers.change(asking.addressee, asking.decision.change, done)
        elif action is Action.END:
            self.routers.end(asking.addressee, done)
        else:
            self.client.disconnect(asking.addressee.target, keys, done)

    def _answered(self, asking: Asking, keys: bytes, number: int, outcome: Outcome) -> None:
        """Where a key that we sent beside the session's id may be stale, once more with the id alone."""
        refused = outcome.kind is OutcomeKind.NAK and outcome.error_cause in PERHAPS_STALE_KEY
        if refused and keys != asking.addressee.only_id:
            self._ask(asking, asking.addressee.only_id, number)
        elif outcome.kind is OutcomeKind.ACK and number + 1 < len(asking.decision.requests):
            self._ask(asking, keys, number + 1)
        else:
            self.conclusions.submit(self._conclude, asking, outcome)

    def _conclude(self, asking: Asking, outcome: Outcome) -> None:
        """In a thread of `conclusions`. If the database is away, the work that was owed for later comes due."""
        try:
            with self.database.transaction() as session:
                ask_again = self._keep_outcome(session, asking, outcome)
        except Exception as error:  # noqa: BLE001  (there is nobody to raise it to)
            log.warning("an answer could not be kept, its session will be asked again", step=asking.step_id,
                        outcome=outcome.kind, error=type(error).__name__)  # fmt: skip
            return
        if ask_again is not None:
            ask_again()

    def _keep_outcome(self, session: DatabaseSession, asking: Asking, outcome: Outcome) -> Afterwards | None:
        outbox.lose_on_crash(session)  # then the session is asked once more, which changes nothing
        ours = outbox.forget(session, asking.owed_id)  # before the lock, as a worker does that takes it up
        _lock(session, asking.errand.session_id)
        step = session.get_one(EnforcementStep, asking.step_id)
        step.outcome, step.error_cause = outcome.kind.value, outcome.error_cause
        step.duration_ms = outcome.duration_s * 1000
        session.flush()
        if not ours:
            return None  # our claim ran out: what follows is up to who took the session over
        return self._follow(session, asking, step, outcome)

    def _follow(
        self, session: DatabaseSession, asking: Asking, step: EnforcementStep, outcome: Outcome
    ) -> Afterwards | None:
        """What an outcome means for the session; returns what asks its NAS again, where a CoA was refused."""
        errand = asking.errand
        if outcome.kind is OutcomeKind.HELD_BACK:
            self._owe_again(session, errand, errand.tries, HELD_BACK_RETRY)
            return None
        by_radius = asking.decision.action in BY_RADIUS
        if outcome.kind in {OutcomeKind.TIMEOUT, OutcomeKind.UNREACHABLE}:
            if by_radius:
                self._note_silence(session, step)
            return self._after_failure(session, asking, step, NO_ANSWER)
        if by_radius and pace.record_answer(session, step.nas_id):
            reconciler.hasten(session, step.nas_id)
        if outcome.kind is OutcomeKind.ACK:
            self._done(session, asking)
        elif outcome.error_cause == ErrorCause.SESSION_CONTEXT_NOT_FOUND:
            sessions.close_not_found(session, errand.session_id, now=self.clock())
        else:
            return self._after_failure(session, asking, step, describe(outcome.error_cause))
        return None

    def _done(self, session: DatabaseSession, asking: Asking) -> None:
        if asking.decision.action in {Action.COA, Action.ROUTER}:
            sessions.mark_applied(session, asking.errand.session_id, asking.intended)
        if asking.decision.action is Action.ROUTER:
            live_rows.remember(session, asking.errand.session_id)

    def _after_failure(
        self, session: DatabaseSession, asking: Asking, step: EnforcementStep, detail: str
    ) -> Afterwards | None:
        """The next way, where there is one; else it is tried again later."""
        action = asking.decision.action
        refused = action is Action.COA and step.outcome == OutcomeKind.NAK
        if refused or (asking.addressee.routeros is not None and action is not Action.END):
            return self._begin(session, asking.errand, asking.failed | {action})
        self._owe_after_failure(session, step, asking.errand, detail)
        return None

    def _note_silence(self, session: DatabaseSession, step: EnforcementStep) -> None:
        nas = session.get(Nas, step.nas_id)
        if nas is not None and pace.record_silence(session, nas.id, nas.disconnects_per_minute, self.clock()):
            events.record(session, "nas.coa_silent", "nas", nas.id, port=nas.coa_port)

    def _owe_after_failure(self, session: DatabaseSession, step: EnforcementStep, errand: Errand, detail: str) -> None:
        """Later and later, then slowly for good; a disconnect that somebody asked for is given up with an event."""
        tries = errand.tries + 1
        if tries == TRIES_BEFORE_ALARM:
            subject = ("session", step.session_id)
            events.record(session, "enforcement.failed", *subject, detail=detail, service_id=step.service_id)
            if errand.reason is not None:
                return
        pause = RETRY_SLOW if tries >= TRIES_BEFORE_ALARM else timedelta(seconds=2.0**tries)
        self._owe_again(session, errand, tries, pause)

    def _owe_again(self, session: DatabaseSession, errand: Errand, tries: int, pause: timedelta) -> int:
        return outbox.enqueue(session, errand.topic, errand.payload(tries), due_at=self.clock() + pause)


def _read_facts(session: DatabaseSession, session_id: int) -> tuple[Session, Nas, Service | None] | None:
    """None when the session has ended."""
    row = session.execute(
        select(Session, Nas, Service)
        .join(Nas, Nas.id == Session.nas_id)
        .outerjoin(Service, Service.id == Session.service_id)
        .where(Session.id == session_id, Session.stopped_at.is_(None))
        .execution_options(populate_existing=True)
    ).first()
    return (row[0], row[1], row[2]) if row else None


def _policy(session: DatabaseSession, fingerprint: str | None) -> Policy | None:
    return policies.read(session, fingerprint) if fingerprint else None


def _lock(session: DatabaseSession, session_id: int) -> None:
    """Held until the transaction ends, which is soon: nothing waits for a NAS under it."""
    session.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, session_id % (1 << 31))))


def _claimable(session: DatabaseSession, session_id: int) -> bool:
    """Whether nobody asks a NAS about this session; until the transaction ends nobody else will."""
    _lock(session, session_id)
    last = session.execute(
        select(EnforcementStep.outcome, EnforcementStep.at > func.now() - CLAIM)
        .where(EnforcementStep.session_id == session_id)
        .order_by(EnforcementStep.id.desc())
        .limit(1)
    ).first()
    return last is None or last[0] != ASKING or not last[1]
