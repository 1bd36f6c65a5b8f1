"""What a session has moved, from all that its NAS ever said of it. Pure.

Octet counters lie in known ways: they wrap at 4 GiB where Gigawords are missing or always zero, a Stop comes without
them or with zeros, a fail-over or a fault takes them back, and records come late, twice or never. So a total is no
greatest value but a function of the set of points (moment in the session -> counters): `count` sorts them by the
NAS's own session time, a Stop last, and walks:

- A point of zeros in both directions says nothing.
- A counter that goes on from the last one goes on. With Gigawords it is exact up to 2^63.
- A counter that fell below the last one, with no Gigawords in it, went round 4 GiB if the packets of that direction
  went on rising meanwhile. Where the NAS counts no packets: if it fell by more than half of that, and the other
  direction did not fall as well. (A record without Gigawords among others that have them is the same case: only its
  low word is told.)
- Any other fall is of the counters themselves. If the next point stands above the fall again, it was a blip. If it
  does not, they began anew: what came before is kept, and what comes after is added, of a direction that did not fall
  its growth only. A counter that kept more than half of itself slipped back (a fail-over to an older copy): then only
  its growth is added. Until there is a next point, nothing is added.

Exact, in any order and with any repetition, with Gigawords, or while fewer than 4 GiB (2 GiB where packets are not
counted) pass between two points that arrived. Where points are lost, or a NAS without Gigawords moves 4 GiB in one
interval, whole turns are missing: 4 GiB in 300 s are 114 Mbit/s, so such a NAS wants shorter intervals or an update.
Never is a total made larger by a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

TURN: Final = 1 << 32
#: No packet is longer, nor what a software router counts as one.
PACKET_OCTETS_MAX: Final = 65_536
#: What a PostgreSQL bigint holds.
COUNTER_MAX: Final = (1 << 63) - 1


class Point(NamedTuple):
    """What one record says; sorts by its moment in the session."""

    final: bool
    session_seconds: int
    event_at: float
    input_octets: int
    output_octets: int
    input_packets: int
    output_packets: int


class Count(NamedTuple):
    """Totals. `input_base` and `output_base` are what the totals have more than the last point's counters: the next
    point in order adds to them. None while that depends on what comes next."""

    input_octets: int = 0
    output_octets: int = 0
    input_base: int | None = 0
    output_base: int | None = 0


def join_words(high: int, low: int) -> int:
    """Gigawords and octets. A NAS that keeps 32 signed bits extends the sign into Gigawords beyond 2 GiB."""
    return low if high >> 31 else high << 32 | low


def count(points: Iterable[Point]) -> Count:
    """The totals of a session's points, in whatever order they come and however often."""
    walk = _Walk()
    for point in sorted(set(points)):
        if point.input_octets or point.output_octets:
            walk.take(point)
    return walk.result()


class _Walk:
    """`kept` is what ended epochs of the counters moved, `epoch` what this one did: (input, output)."""

    def __init__(self) -> None:
        self._kept = (0, 0)
        self._epoch = (0, 0)
        self._last: Point | None = None
        #: A point that fell, until the next one says whether that was a blip.
        self._fallen: Point | None = None

    def take(self, point: Point) -> None:
        if self._last is None:
            return self._begin(point)
        onward = _go_on(self._epoch, self._last, point)
        if onward is None and self._fallen is None:
            self._fallen = point
            return None
        if onward is None:
            assert self._fallen is not None  # noqa: S101  (the branch above)
            return self._begin_anew(self._fallen, point)
        self._epoch, self._last, self._fallen = onward, point, None
        return None

    def result(self) -> Count:
        total_in, total_out = (min(kept + now, COUNTER_MAX) for kept, now in zip(self._kept, self._epoch, strict=True))
        if self._fallen is not None:
            return Count(total_in, total_out, None, None)
        last = self._last
        return Count(
            total_in, total_out, total_in - (last.input_octets if last else 0),
            total_out - (last.output_octets if last else 0),
        )  # fmt: skip

    def _begin(self, point: Point) -> None:
        self._epoch, self._last, self._fallen = (point.input_octets, point.output_octets), point, None

    def _begin_anew(self, fallen: Point, point: Point) -> None:
        assert self._last is not None  # noqa: S101  (something fell below it)
        last = self._last
        kept_in, kept_out = self._kept[0] + self._epoch[0], self._kept[1] + self._epoch[1]
        if 2 * (fallen.input_octets + fallen.output_octets) > sum(self._epoch):  # slipped back
            kept_in, kept_out = kept_in - fallen.input_octets, kept_out - fallen.output_octets
        else:  # a direction that did not fall may have gone on, and the other gone round unheard
            kept_in -= last.input_octets if fallen.input_octets >= last.input_octets else 0
            kept_out -= last.output_octets if fallen.output_octets >= last.output_octets else 0
        self._kept = (kept_in, kept_out)
        self._begin(fallen)
        self.take(point)


def _go_on(epoch: tuple[int, int], last: Point, point: Point) -> tuple[int, int] | None:
    """The epoch's counters at this point; None where they cannot have gone on to it."""
    inward, outward = _onward(epoch[0], point.input_octets), _onward(epoch[1], point.output_octets)
    if inward is None or outward is None:
        return None
    fell_in, fell_out = point.input_octets < last.input_octets, point.output_octets < last.output_octets
    if fell_in and fell_out and not (last.input_packets and last.output_packets):
        return None
    if fell_in and not _went_round(last.input_octets, point.input_octets, last.input_packets, point.input_packets):
        return None
    if fell_out and not _went_round(last.output_octets, point.output_octets, last.output_packets, point.output_packets):
        return None
    return inward, outward


def _went_round(before: int, told: int, packets_before: int, packets_told: int) -> bool:
    """Whether a counter that fell did so at the end of its 32 bits, after enough packets to get there."""
    if packets_before or packets_told:
        return (packets_told - packets_before) * PACKET_OCTETS_MAX >= (told - before) % TURN
    return before < TURN and before - told > TURN // 2


def _onward(epoch: int, told: int) -> int | None:
    """The counter after `epoch` whose low word, or all of which, was told."""
    if told >= epoch:
        return told
    if told >= TURN:
        return None
    onward = epoch - epoch % TURN + told
    return onward if onward >= epoch else onward + TURN
