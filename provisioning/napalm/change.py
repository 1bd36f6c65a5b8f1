"""A change of one managed box, from the first look to the last.

    look      the candidate changes what was approved, and nobody else's commit waits there
    commit    from here on the box undoes by itself what is not confirmed
    verify    by a second, new connection: it is the same box, what was to change has changed, its sessions are there
    confirm   by that second connection; what was changed stays, and is seen once more

Whatever happens in between, the box ends up either changed or as it was, and `settle` says which: after a lost
connection, and for whoever takes over from a process that died. A box that cannot undo by itself is brought back by its
driver where that can be done; who approved it was told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from provisioning.napalm import diffs
from provisioning.napalm.devices import Device
from provisioning.napalm.errors import DeviceError, Refused
from provisioning.napalm.traits import Traits
from provisioning.outcome import Doubt, Journal, Outcome, Result

#: Of the sessions that were there before so many may be gone after, because people hang up, too: a share, and some.
SESSIONS_LOST_SHARE: Final = 0.02
SESSIONS_LOST: Final = 3
#: How often a box is asked after a lost connection, and the pause between: longer than it takes to undo by itself.
SETTLE_TRIES: Final = 40
SETTLE_PAUSE_S: Final = 10.0
#: Of what is not to be seen a job tells so much.
TOLD_MAX: Final = 3

log = structlog.get_logger()


@dataclass(slots=True)
class DeviceChange:
    """`name`: of this change at the box. `diff`: what was approved. `serial`: whose. `wait`: for so many seconds."""

    connect: Callable[[], Device]
    name: str
    traits: Traits
    candidate: str
    diff: Sequence[str]
    serial: str
    journal: Journal
    wait: Callable[[float], None]
    _sessions: int | None = field(default=None, init=False)

    def run(self) -> Result:
        try:
            first = self.connect()
        except DeviceError as error:
            return Result(Outcome.REFUSED, error.detail)
        try:
            self._look_before(first)
        except (DeviceError, Doubt) as error:
            first.discard()
            first.close()
            return Result(Outcome.REFUSED, str(error))
        try:
            return self._carry_out(first)
        finally:
            first.close()

    def take_over(self) -> Result:
        """From a process that died at it, wherever that was."""
        return self.settle("whoever was at it died")

    def settle(self, why: str) -> Result:
        """Find out, or bring about, that it is undone; `why` it is to be."""
        for attempt in range(SETTLE_TRIES):
            if attempt:
                self.wait(SETTLE_PAUSE_S)
            try:
                result = self._settle_once(why)
            except DeviceError as error:
                log.info("a box cannot be asked what became of a change", change=self.name, why=error.detail)
                continue
            if result is not None:
                return result
        return Result(Outcome.UNKNOWN, why)

    def _look_before(self, device: Device) -> None:
        """Raises Doubt where the box is another than was planned for."""
        if device.facts().serial != self.serial:
            raise Doubt("it is another box that answers")
        if device.pending():
            raise Doubt("somebody else's commit waits for its confirmation there")
        if diffs.without_secrets(device.compare(self.candidate)) != diffs.without_secrets(self.diff):
            raise Doubt("the box was changed since this was planned: plan again")
        self._sessions = device.sessions()

    def _carry_out(self, first: Device) -> Result:
        self.journal.armed("commit_confirm" if self.traits.cannot_undo is None else "roll_back")
        try:
            self.journal.applied(0)
            first.commit()
            self.journal.applied(len(self.diff))
            self._prove()
        except (DeviceError, Doubt) as error:
            log.warning("a change did not prove right", change=self.name, why=str(error))
            first.close()
            return self._take_back(str(error))
        return Result(Outcome.DONE, "")

    def _prove(self) -> None:
        """Raises Doubt or DeviceError."""
        try:
            second = self.connect()
        except DeviceError as error:
            raise Doubt(f"a second connection failed: {error.detail}") from None
        try:
            self._verify(second)
            self.journal.applied(len(self.diff))  # whoever cancelled meanwhile is heard before it stays
            if self.traits.cannot_undo is None:
                second.confirm()
                self._look_after(second)
        finally:
            second.close()

    def _verify(self, device: Device) -> None:
        if device.facts().serial != self.serial:
            raise Doubt("it is another box that answers")
        if self.traits.cannot_undo is None and not device.pending():
            raise Doubt("the box shows no commit that waits for its confirmation")
        self._see(device)
        sessions = device.sessions()
        if self._sessions is None or sessions is None:
            return
        lost = self._sessions - sessions
        if lost > SESSIONS_LOST + SESSIONS_LOST_SHARE * self._sessions:
            raise Doubt(f"{lost} of {self._sessions} sessions are gone")

    def _look_after(self, device: Device) -> None:
        if device.pending():
            raise Doubt("it was confirmed, and still waits for that")
        self._see(device)

    def _see(self, device: Device) -> None:
        """By its lines where it has any, and where that can be asked while it waits, by loading it once more.

        Raises Doubt naming what is not there.
        """
        unseen = diffs.unseen(self.diff, device.running()) if self.traits.by_indentation else []
        if not unseen and self.traits.compares_again:
            unseen = device.left(self.candidate)
        if unseen:
            more = f" and {len(unseen) - TOLD_MAX} more" if len(unseen) > TOLD_MAX else ""
            raise Doubt(f"not to be seen there: {'; '.join(unseen[:TOLD_MAX])}{more}")

    def _take_back(self, why: str) -> Result:
        """A box that would not undo by itself is brought back now, where its driver can."""
        if self.traits.cannot_undo is None:
            return self.settle(why)
        if self.traits.can_roll_back:
            try:
                self._roll_back()
            except DeviceError as error:
                return Result(Outcome.UNKNOWN, f"{why}; bringing it back failed: {error.detail}")
        result = self.settle(why)
        if result.outcome is not Outcome.DONE:
            return result
        return Result(Outcome.DONE, f"it is applied and was not proven, and nothing can bring it back: {why}")

    def _roll_back(self) -> None:
        """Where something of ours took effect; the last commit is else somebody's."""
        device = self.connect()
        try:
            if device.left(self.candidate) != diffs.without_secrets(self.diff):
                device.roll_back()
        finally:
            device.close()

    def _settle_once(self, why: str) -> Result | None:
        """None while it is neither."""
        device = self.connect()
        try:
            if device.pending():
                self._undo_ours(device)
                return None
            left = device.left(self.candidate)
        finally:
            device.close()
        planned = diffs.without_secrets(self.diff)
        if not diffs.changes(planned):
            return Result(Outcome.UNDONE, f"{why}; whether secrets were changed cannot be seen: plan again")
        if not left:
            return Result(Outcome.DONE, "")
        return Result(Outcome.UNDONE, why) if left == planned else None

    def _undo_ours(self, device: Device) -> None:
        """Somebody else's is waited for; it ends by itself, too."""
        try:
            device.roll_back()
        except Refused as refused:
            log.info("a commit at a box is not ours to undo", change=self.name, why=refused.detail)
