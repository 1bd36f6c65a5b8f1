"""What is odd about packets that were answered: clocks that are off, replies nobody hears, accepts to no end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aaa.packet import Kind, Packet
from aaa.reasons import REJECTS, Reason
from aaa.snapshot import Client

#: A clock further off than this is told of; accounting believes no clock beyond it (aaa.accounting).
CLOCK_SKEW_MAX_S: Final = 300
#: Time between two looks at who repeats what was answered.
LOOK_EVERY_S: Final = 60.0
#: So many answered requests came again, as many as came for the first time, or more.
UNHEARD_MIN: Final = 3
#: An accept that follows another of the same service within this time led nowhere.
AGAIN_WITHIN_S: Final = 120.0
#: Accepts that are remembered, twice over.
ACCEPTS_MAX: Final = 20_000

_ANSWERED: Final = (*REJECTS, Reason.ACCEPTED, Reason.ACCEPTED_EMERGENCY, Reason.RECORDED)


def clock_skew(packet: Packet, now: float) -> int | None:
    """Seconds that the NAS's clock is ahead of ours (behind: negative), where that is more than a clock may be off.

    A record that lay in the NAS says so in Acct-Delay-Time; what counts is when it was sent or when it happened,
    whichever is nearer.
    """
    stamp = packet.integer(Kind.EVENT_TIMESTAMP)
    if not stamp:
        return None
    happened = now - (packet.integer(Kind.ACCT_DELAY_TIME) or 0)
    skew = min(stamp - now, stamp - happened, key=abs)
    return round(skew) if abs(skew) > CLOCK_SKEW_MAX_S else None


class UnheardReplies:
    """NASes that repeat what we have answered: our replies do not reach them, or they refuse them."""

    def __init__(self, now: float) -> None:
        self._look_at = now + LOOK_EVERY_S
        self._before: dict[int, tuple[int, int]] = {}

    def look(self, clients: Iterable[Client], now: float) -> list[tuple[Client, int]]:
        """Those of the last minute, with the number of requests that came again; empty in between."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_EVERY_S
        found, seen = [], {}
        for client in clients:
            get = client.counts.get
            again, answered = get(Reason.DUPLICATE_ANSWERED, 0), sum(get(reason, 0) for reason in _ANSWERED)
            again_before, answered_before = self._before.get(client.nas_id, (0, 0))
            seen[client.nas_id] = (again, answered)
            if again - again_before >= max(UNHEARD_MIN, answered - answered_before):
                found.append((client, again - again_before))
        self._before = seen
        return found


class RecentAccepts:
    """Services that were accepted a moment ago."""

    def __init__(self) -> None:
        self._young: dict[int, float] = {}
        self._old: dict[int, float] = {}

    def again(self, service_id: int, now: float) -> bool:
        """Whether this accept follows another soon; remembers it."""
        before = self._young.get(service_id) or self._old.get(service_id)
        self._young[service_id] = now
        if len(self._young) >= ACCEPTS_MAX:
            self._old, self._young = self._young, {}
        return before is not None and now - before <= AGAIN_WITHIN_S
