"""Does this session live? Its NAS is asked, and only its word counts.

A session that is known to us may be gone (a power cut, a Stop that was lost), and one that is silent may live. The
least harmful question that RADIUS has is a CoA-Request with the session's keys and nothing to change (RFC 5176): a NAK
with Error-Cause 503 says that there is no such session.

What any other answer is worth depends on the NAS: one that prohibits CoA, or misses an attribute before it looks for
the session, answers the same whatever is asked. So a NAS is asked now and then about a session that cannot be. Only if
it says 503 to that does its other answer to a real one mean that the session lives. Silence means nothing, and a NAS
that is silent is left alone for a while, so that no login waits for it.

Who does not tell over CoA may do so over SNMP (see `aaa.snmp`) or RouterOS's API (see `provisioning.routeros`).
`Probes` asks in every way there is.

`Verifier` asks about sessions that were silent for long (topic SESSION_VERIFY): as enforcement does, the question is
asked after the commit, and what the NAS says is written in another transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session as DatabaseSession

from aaa.coa import CoaClient, ErrorCause, Outcome, OutcomeKind, Target
from aaa.coa.place import place_of
from aaa.packet import Kind, text_attribute
from aaa.snmp.access import SnmpAccess, snmp_access
from core import outbox, sessions, topics
from core.clock import Clock
from core.database import Database
from core.keyring import Keyring
from core.models.network import Nas, Session
from core.network import access_of
from core.routeros import RouterOsAccess
from core.work import Afterwards

#: No session is called so.
NOBODYS_SESSION: Final = "provedor-asks-whether-you-look"
#: How long it is believed that a NAS tells sessions apart.
BELIEVED_S: Final = 600.0
#: A NAS that has left a question unanswered for so long, and none answered since, is taken for deaf.
DEAF_AFTER_S: Final = 1.0
#: One that is deaf is not asked in this time.
DEAF_S: Final = 20.0
#: A NAS that did not say whether a session lives is asked again after this.
VERIFY_AGAIN: Final = timedelta(hours=6)

log = structlog.get_logger()


class Liveness(StrEnum):
    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Addressee:
    """A session and where it can be asked about."""

    session_id: int
    target: Target
    keys: bytes
    #: The session's id alone, for when one of the other keys may be stale.
    only_id: bytes
    login: str = ""
    acct_session_id: str = ""
    calling_station_id: str | None = None
    nas_port_id: str | None = None
    started_at: datetime | None = None
    snmp: SnmpAccess | None = None
    #: NAS-Identifier, else NAS-IP-Address: which of the boxes there has the session.
    box: str = ""
    #: Address and prefixes that it has, or had.
    addresses: tuple[str, ...] = ()
    #: Where its box's API is, if it has one that we may use.
    routeros: RouterOsAccess | None = None


_Place = tuple[str, int]
#: Called once, perhaps from another thread: it must be quick and must not raise.
Told = Callable[[Liveness], None]


class LivenessProbe(Protocol):
    def ask(self, addressee: Addressee, told: Told) -> None:
        """Ask; returns at once."""


def addressee_of(live: Session, nas: Nas, keyring: Keyring) -> Addressee:
    """Raises SealBroken."""
    target, keys, only_id = place_of(live, nas, keyring)
    address = target.address
    return Addressee(
        live.id, target, keys, only_id, live.login, live.acct_session_id,
        live.calling_station_id, live.nas_port_id, started_at=live.started_at,
        snmp=snmp_access(nas, address, keyring), box=live.box,
        addresses=tuple(filter(None, (live.framed_ipv4, live.framed_ipv6_prefix, live.delegated_ipv6_prefix))),
        routeros=access_of(nas, address, keyring),
    )  # fmt: skip


class CoaProbe:
    """Asks by CoA-Request."""

    def __init__(self, client: CoaClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: Whether the NAS there tells sessions apart, and until when that is believed.
        self._tells_apart: dict[_Place, tuple[bool, float]] = {}
        #: Since when a NAS owes an answer.
        self._owing: dict[_Place, float] = {}

    def ask(self, addressee: Addressee, told: Told) -> None:
        if self._is_deaf(_place(addressee.target)):
            return told(Liveness.UNKNOWN)
        return self._ask(addressee, addressee.keys, told)

    def _is_deaf(self, place: _Place) -> bool:
        now = self._monotonic()
        with self._lock:
            since = self._owing.setdefault(place, now)
            if now - since >= DEAF_AFTER_S + DEAF_S:
                self._owing[place] = since = now
        return now - since >= DEAF_AFTER_S

    def _ask(self, addressee: Addressee, keys: bytes, told: Told) -> None:
        self._client.change(addressee.target, keys, b"", lambda outcome: self._answered(addressee, keys, outcome, told))

    def _answered(self, addressee: Addressee, keys: bytes, outcome: Outcome, told: Told) -> None:
        if outcome.kind in {OutcomeKind.ACK, OutcomeKind.NAK}:
            with self._lock:
                self._owing.pop(_place(addressee.target), None)
        if _not_found(outcome):
            if keys == addressee.only_id:
                told(Liveness.GONE)
            else:
                self._ask(addressee, addressee.only_id, told)
        elif outcome.kind in {OutcomeKind.ACK, OutcomeKind.NAK}:
            self._check_nas(addressee.target, told)
        else:
            told(Liveness.UNKNOWN)

    def _check_nas(self, target: Target, told: Told) -> None:
        """It answered as if the session were there; would it to any?"""
        place = _place(target)
        with self._lock:
            tells_apart, until = self._tells_apart.get(place, (False, 0.0))
        if self._monotonic() < until:
            return told(Liveness.ALIVE if tells_apart else Liveness.UNKNOWN)

        def answered(outcome: Outcome) -> None:
            if outcome.kind in {OutcomeKind.ACK, OutcomeKind.NAK}:
                with self._lock:
                    self._tells_apart[place] = (_not_found(outcome), self._monotonic() + BELIEVED_S)
            told(Liveness.ALIVE if _not_found(outcome) else Liveness.UNKNOWN)

        return self._client.change(target, text_attribute(Kind.ACCT_SESSION_ID, NOBODYS_SESSION), b"", answered)


class Probes:
    """Asks in several ways at once. The first that knows is believed."""

    def __init__(self, *probes: LivenessProbe) -> None:
        self._probes = probes

    def ask(self, addressee: Addressee, told: Told) -> None:
        hearing = _Hearing(len(self._probes), told)
        for probe in self._probes:
            probe.ask(addressee, hearing.told)


class _Hearing:
    def __init__(self, awaited: int, told: Told) -> None:
        self._awaited = awaited
        self._told: Told | None = told
        self._lock = threading.Lock()

    def told(self, liveness: Liveness) -> None:
        with self._lock:
            self._awaited -= 1
            if self._told is None or (liveness is Liveness.UNKNOWN and self._awaited):
                return
            tell, self._told = self._told, None
        tell(liveness)


@dataclass(frozen=True, slots=True)
class Verifier:
    """`conclusions` runs what waits for the database once a NAS has answered."""

    database: Database
    probe: LivenessProbe
    conclusions: Executor
    keyring: Keyring
    clock: Clock

    def session_verify(self, session: DatabaseSession, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of SESSION_VERIFY. What is owed for later is forgotten once its NAS has said something."""
        live = session.get(Session, payload["session_id"])
        nas = None if live is None else session.get(Nas, live.nas_id)
        if live is None or nas is None or live.stopped_at is not None:
            return None
        addressee = addressee_of(live, nas, self.keyring)
        owed_id = outbox.enqueue(
            session, topics.SESSION_VERIFY, {"session_id": live.id}, due_at=self.clock() + VERIFY_AGAIN
        )
        return lambda: self.probe.ask(addressee, lambda liveness: self._told(addressee.session_id, owed_id, liveness))

    def _told(self, session_id: int, owed_id: int, liveness: Liveness) -> None:
        if liveness is not Liveness.UNKNOWN:
            self.conclusions.submit(self._conclude, session_id, owed_id, liveness)

    def _conclude(self, session_id: int, owed_id: int, liveness: Liveness) -> None:
        try:
            with self.database.transaction() as session:
                outbox.forget(session, owed_id)
                if liveness is Liveness.GONE:
                    sessions.close_not_found(session, session_id, now=self.clock())
                else:
                    sessions.mark_verified(session, session_id, self.clock())
        except OperationalError as error:
            log.warning("what a NAS said could not be kept, it will be asked again", error=type(error).__name__)


def close_gone(database: Database, session_id: int, now: datetime) -> None:
    """Its NAS does not have it. If the database is away, somebody else will find out."""
    try:
        with database.transaction() as session:
            sessions.close_not_found(session, session_id, now=now)
    except OperationalError:
        return


def _place(target: Target) -> _Place:
    return target.address, target.port


def _not_found(outcome: Outcome) -> bool:
    return outcome.kind is OutcomeKind.NAK and outcome.error_cause == ErrorCause.SESSION_CONTEXT_NOT_FOUND
