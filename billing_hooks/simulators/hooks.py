"""How a gateway delivers its events: tries, pauses, order, and when it gives up. Pure: moments in, deliveries out.

What is wanted of faults is drawn per event with the given randomness: an event may be told again later, overtaken by
the next, held back, or lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random


@dataclass(frozen=True, slots=True)
class Policy:
    """`pauses_s`: before each try, the first included. `sequential`: one that fails holds up all that follow."""

    pauses_s: Sequence[float]
    success: Callable[[int], bool]
    timeout_s: float
    sequential: bool = False
    #: After the last try nothing is sent any more until somebody resumes; else only this event is given up.
    pauses_queue: bool = False
    #: Answers after which nothing is sent any more until somebody resumes.
    stops_on: frozenset[int] = frozenset()


@dataclass(slots=True)
class Faults:
    """Shares of events, 0 to 1; `late_s` for those that are held back."""

    repeat: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    late: float = 0.0
    late_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """One request: made anew for each try, because a signature may hold the moment."""

    id: str
    request: Callable[[datetime], tuple[Mapping[str, str], bytes]]
    #: Where it goes, if not where all go.
    url: str | None = None


@dataclass(slots=True)
class Sending:
    """An event on its way, and every answer it had (0: none)."""

    event: Event
    due_at: datetime
    answers: list[int] = field(default_factory=list)
    done: bool = False


@dataclass(slots=True)
class HookQueue:
    policy: Policy
    random: Random
    faults: Faults = field(default_factory=Faults)
    #: Divides all pauses: a schedule of hours in seconds.
    speed: float = 1.0
    interrupted: bool = False
    sendings: list[Sending] = field(default_factory=list)

    def put(self, event: Event, now: datetime) -> None:
        faults = self.faults
        if self.random.random() < faults.lose:
            return
        late = faults.late_s if self.random.random() < faults.late else 0.0
        sending = Sending(event, now + self._pause(self.policy.pauses_s[0] + late))
        overtakes = self.sendings and not self.sendings[-1].answers and self.random.random() < faults.reorder
        self.sendings.insert(len(self.sendings) - 1 if overtakes else len(self.sendings), sending)
        if self.random.random() < faults.repeat:
            self.sendings.append(Sending(event, sending.due_at))

    def due(self, now: datetime) -> Sending | None:
        """What is to be sent now."""
        if self.interrupted:
            return None
        for sending in self._waiting():
            if sending.due_at <= now:
                return sending
            if self.policy.sequential:
                return None
        return None

    def next_at(self) -> datetime | None:
        """When there is something to send next, if nothing new comes."""
        waiting = self._waiting()
        if self.interrupted or not waiting:
            return None
        return waiting[0].due_at if self.policy.sequential else min(sending.due_at for sending in waiting)

    def answered(self, sending: Sending, status: int, now: datetime) -> None:
        """Status 0: there was no answer in time."""
        sending.answers.append(status)
        if self.policy.success(status):
            sending.done = True
        elif status in self.policy.stops_on:
            self.interrupted = True
        elif len(sending.answers) < len(self.policy.pauses_s):
            sending.due_at = now + self._pause(self.policy.pauses_s[len(sending.answers)])
        elif self.policy.pauses_queue:
            self.interrupted = True
        else:
            sending.done = True

    def taken(self, event_id: str) -> None:
        """Its receiver showed by something else than a status that he has it: what was sent of it is received."""
        for sending in self._waiting():
            if sending.event.id == event_id and sending.answers:
                sending.done = True

    def resume(self, now: datetime) -> None:
        """What waits is sent again from the first; each event has its tries anew."""
        self.interrupted = False
        for sending in self._waiting():
            sending.answers.clear()
            sending.due_at = now

    def _waiting(self) -> list[Sending]:
        return [sending for sending in self.sendings if not sending.done]

    def _pause(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds / self.speed)
