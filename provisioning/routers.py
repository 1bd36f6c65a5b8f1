"""Enforcement's hands at routers: what is asked of one is done in its own thread, and told as a NAS's answer is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from aaa.coa import ErrorCause, Outcome, OutcomeKind
from aaa.coa.client import Done
from aaa.liveness import Addressee
from core.clock import Clock
from core.routeros import RouterOsAccess
from provisioning.routeros import live_sessions
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import RouterOsError, Unreachable
from provisioning.routeros.lines import RouterLines
from provisioning.routeros.live_sessions import Answer, RouterChange

_OUTCOMES: Final = {
    Answer.DONE: (OutcomeKind.ACK, None),
    Answer.REFUSED: (OutcomeKind.NAK, None),
    Answer.UNKNOWN: (OutcomeKind.NAK, None),
    Answer.GONE: (OutcomeKind.NAK, ErrorCause.SESSION_CONTEXT_NOT_FOUND),
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Routers:
    """`done` is called once, from the router's thread: it must be quick and must not raise."""

    lines: RouterLines
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def change(self, session: Addressee, wanted: RouterChange, done: Done) -> None:
        self._ask(session, lambda client: live_sessions.change(client, session, wanted, self.clock()), done)

    def end(self, session: Addressee, done: Done) -> None:
        self._ask(session, lambda client: live_sessions.end(client, session, self.clock()), done)

    def clear(self, access: RouterOsAccess, session_id: int, done: Done) -> None:
        def clear(client: RouterOs) -> Answer:
            live_sessions.clear(client, session_id)
            return Answer.DONE

        self._put(access, clear, done)

    def _ask(self, session: Addressee, act: Callable[[RouterOs], Answer], done: Done) -> None:
        assert session.routeros is not None  # noqa: S101  (else nobody is sent there)
        self._put(session.routeros, act, done)

    def _put(self, access: RouterOsAccess, act: Callable[[RouterOs], Answer], done: Done) -> None:
        if not self.lines.put(access, lambda client: done(self._outcome(client, act))):
            done(Outcome(OutcomeKind.HELD_BACK))

    def _outcome(self, client: RouterOs, act: Callable[[RouterOs], Answer]) -> Outcome:
        began = self.monotonic()
        try:
            kind, error_cause = _OUTCOMES[act(client)]
        except RouterOsError as error:
            log.warning("a router was not reached for a session", nas_id=error.nas_id, why=error.detail)
            kind, error_cause = (
                OutcomeKind.UNREACHABLE if isinstance(error, Unreachable) else OutcomeKind.NAK
            ), None  # fmt: skip
        except Exception as error:  # noqa: BLE001  (its thread must go on, and whoever asked must be told)
            log.error("a router's answer was not read", error=type(error).__name__)
            kind, error_cause = OutcomeKind.NAK, None
        return Outcome(kind, error_cause, self.monotonic() - began)
