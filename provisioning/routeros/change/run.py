"""A change of one router, from the first look to the last.

    look        the router is as it was planned for; who answers it, and what becomes of its RADIUS
    arm         from here on it undoes by itself what is not confirmed
    apply       step by step; a step that is refused, and everything is undone
    verify      by a second, new connection: what was wanted is there, and what was there before is not lost; any doubt,
                and everything is undone
    disarm      what was changed stays

Whatever happens in between, the router ends up either changed or as it was, and `settle` says which: after a lost
connection, and for whoever takes over from a process that died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from provisioning.outcome import Doubt, Journal, Outcome, Result
from provisioning.routeros.change.applying import apply_step
from provisioning.routeros.change.undo import Undo, UndoBy, undo_by, undo_for
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.planning import Desired, Plan, added, make_plan
from provisioning.routeros.planning.desired import Owned
from provisioning.routeros.planning.plan import Actual
from provisioning.routeros.planning.script import commands
from provisioning.routeros.probing import NO_PROOF, Proof, Seen, look, lost
from provisioning.routeros.reading import count_sessions, read_rows, release_of, state_of
from provisioning.routeros.schema import Release

#: Of the sessions that were there before so many may be gone after, because people hang up, too: a share, and some.
SESSIONS_LOST_SHARE: Final = 0.02
SESSIONS_LOST: Final = 3
#: How often a router is asked at once after a lost connection, and the pause between; others wait meanwhile.
SETTLE_TRIES: Final = 3
SETTLE_PAUSE_S: Final = 2.0

log = structlog.get_logger()
Connect = Callable[[], RouterOs]


@dataclass(slots=True)
class ChangeRun:
    """`name`: of this change at the router. `before`: what `plan` was made for. `wait`: for so many seconds. `proof`:
    what it must not cut."""

    connect: Connect
    name: str
    desired: Desired
    before: Actual
    plan: Plan
    release: Release
    owned: Owned
    journal: Journal
    wait: Callable[[float], None]
    proof: Proof = NO_PROOF
    _sessions: int = field(default=0, init=False)
    _seen: Seen | None = field(default=None, init=False)

    def run(self) -> Result:
        client = self.connect()
        undo = undo_for(client, self.name, self.plan.steps, self.release)
        try:
            self._look_before(client)
        except (RouterOsError, Doubt) as error:
            client.close()
            return Result(Outcome.REFUSED, str(error))
        try:
            return self._carry_out(client, undo)
        except RouterOsError as error:
            log.warning("a change lost its router", change=self.name, why=error.detail)
            client.close()
            return self.settle(undo.by, error.detail)
        finally:
            client.close()

    def take_over(self) -> Result:
        """From a process that died at it, wherever that was."""
        client = self.connect()
        by = undo_for(client, self.name, self.plan.steps, self.release).by
        return self.settle(by, "whoever was at it died")

    def settle(self, by: UndoBy, why: str) -> Result:
        """Find out, or bring about, that it is undone; `why` it is to be."""
        for attempt in range(SETTLE_TRIES):
            if attempt:
                self.wait(SETTLE_PAUSE_S)
            client = self.connect()
            try:
                result = self._settled(client, undo_by(by, client, self.name), why)
            except RouterOsError as error:
                log.info("a router cannot be asked what became of a change", change=self.name, why=error.detail)
                continue
            finally:
                client.close()
            if result is not None:
                return result
        return Result(Outcome.UNKNOWN, why)

    def _look_before(self, client: RouterOs) -> None:
        """Raises Doubt where the router is another than was planned for."""
        actual = read_rows(client, self.before, self.release)
        if state_of(actual) != state_of(self.before):
            raise Doubt("the router was changed since this was planned: plan again")
        self._sessions = count_sessions(client)
        self._seen = look(client, self.proof, self.release, self.wait)

    def _carry_out(self, client: RouterOs, undo: Undo) -> Result:
        try:
            undo.arm()
        except Trap as trap:
            undo.forget()
            return Result(Outcome.REFUSED, trap.detail)
        self.journal.armed(undo.by)
        try:
            for number, step in enumerate(self.plan.steps, 1):
                apply_step(client, step)
                self.journal.applied(number)
            self._verify()
        except (Trap, Doubt) as error:
            undo.now()
            return self.settle(undo.by, str(error))
        undo.disarm()
        return Result(Outcome.DONE, "")

    def _verify(self) -> None:
        """Raises Doubt."""
        second = self.connect()
        try:
            self._look(second)
        except RouterOsError as error:
            raise Doubt(f"a second connection failed: {error.detail}") from None
        finally:
            second.close()

    def _look(self, client: RouterOs) -> None:
        if release_of(client) != self.release:
            raise Doubt("it is another router that answers")
        left = self._left(client)
        if left.steps:
            raise Doubt(f"{len(left.steps)} of {len(self.plan.steps)} changes are not to be seen")
        sessions = count_sessions(client)
        gone = self._sessions - sessions
        if gone > SESSIONS_LOST + SESSIONS_LOST_SHARE * self._sessions:
            raise Doubt(f"{gone} of {self._sessions} sessions are gone")
        assert self._seen is not None  # noqa: S101  (it was looked at before)
        cut = lost(client, self.proof, self._seen, self.release, self.wait)
        if cut:
            raise Doubt("; ".join(cut))

    def _left(self, client: RouterOs) -> Plan:
        """What there would be to do now; rows that were added are ours by then."""
        return make_plan(self.desired, read_rows(client, self.before, self.release), self.release, self._owned_after())

    def _owned_after(self) -> Owned:
        return {**self.owned, **added(self.plan, self.release)}

    def _settled(self, client: RouterOs, undo: Undo, why: str) -> Result | None:
        """None while it is neither."""
        if undo.pending:
            undo.now()
            return None
        found = self._found(client, why)
        if found is not None:
            undo.forget()
        return found

    def _found(self, client: RouterOs, why: str) -> Result | None:
        """As it was is also where all of it would be to do again, whatever else somebody changed meanwhile."""
        if state_of(read_rows(client, self.before, self.release)) == state_of(self.before):
            return Result(Outcome.UNDONE, why)
        left = commands(self._left(client).steps)
        if not left:
            return Result(Outcome.DONE, "")
        return Result(Outcome.UNDONE, why) if left == commands(self.plan.steps) else None
