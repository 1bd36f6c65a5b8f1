"""Totals out of counters: a model BRAS counts truly, tells it in the ways NASes do, and some of it is lost."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.counters import TURN, Count, Point, count, join_words

GIB = 1 << 30


@dataclass
class ModelBras:
    """Counts in 64 bits and tells it as `gigawords` says; `moved` is the truth."""

    gigawords: bool
    packets: bool
    moved: list[int] = field(default_factory=lambda: [0, 0])
    counters: list[int] = field(default_factory=lambda: [0, 0])
    frames: list[int] = field(default_factory=lambda: [0, 0])
    seconds: int = 0

    def pass_on(self, inward: int, outward: int) -> None:
        self.seconds += 300
        for direction, octets in enumerate((inward, outward)):
            self.moved[direction] += octets
            self.counters[direction] += octets
            self.frames[direction] += -(-octets // 1400)

    def tell(self, *, final: bool = False) -> Point:
        told = self.counters if self.gigawords else [one % TURN for one in self.counters]
        frames = self.frames if self.packets else [0, 0]
        return Point(final, self.seconds, 1_795_000_000.0 + self.seconds, told[0], told[1], frames[0], frames[1])

    def fail_over(self) -> None:
        self.counters, self.frames = [0, 0], [0, 0]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Point], list[int]]:
    """What a box told of a session, and the octets that it truly moved."""
    bras = ModelBras(gigawords=draw(st.booleans()), packets=draw(st.booleans()))
    # Two directions that go round at once, or by little, and no packets counted, look like counters that began anew.
    inward_max, outward_max = (TURN - 1, TURN - 1) if bras.gigawords or bras.packets else (GIB // 64, TURN // 2 - 1)
    told = []
    for _ in range(draw(st.integers(1, 12))):
        bras.pass_on(draw(st.integers(1, inward_max)), draw(st.integers(1, outward_max)))
        told.append(bras.tell(final=False))
    told[-1] = bras.tell(final=draw(st.booleans()))
    return told, bras.moved


@given(lives(), st.randoms(use_true_random=False))
def test_a_counter_that_goes_round_is_counted_whole_in_any_order_with_any_repetition(
    life: tuple[list[Point], list[int]], chance: random.Random
) -> None:
    told, moved = life
    arriving = told + [one for one in told if chance.random() < 0.5]
    chance.shuffle(arriving)
    assert list(count(arriving)[:2]) == moved


@given(st.lists(st.tuples(st.integers(1, 5 * GIB), st.integers(1, 50 * GIB)), min_size=1, max_size=10), st.data())
def test_with_gigawords_any_loss_costs_only_what_came_after_the_last_word(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    bras = ModelBras(gigawords=True, packets=True)
    told = []
    for step in steps:
        bras.pass_on(*step)
        told.append((bras.tell(), list(bras.moved)))
    heard = data.draw(st.lists(st.sampled_from(told), min_size=1))
    assert list(count(point for point, _ in heard)[:2]) == max(moved for _, moved in heard)


@given(lives(), st.data())
def test_a_lost_record_never_makes_a_total_larger_than_the_truth(
    life: tuple[list[Point], list[int]], data: st.DataObject
) -> None:
    told, moved = life
    kept = data.draw(st.lists(st.sampled_from(told)))
    counted = count(kept)
    assert counted.input_octets <= moved[0]
    assert counted.output_octets <= moved[1]


@given(lives())
def test_each_further_record_in_its_order_takes_nothing_back(life: tuple[list[Point], list[int]]) -> None:
    told, _ = life
    totals = [count(told[: length + 1]) for length in range(len(told))]
    assert all(
        later.input_octets >= one.input_octets and later.output_octets >= one.output_octets
        for one, later in itertools.pairwise(totals)
    )


@given(
    st.lists(st.integers(1, GIB), min_size=1, max_size=5), st.lists(st.integers(1, GIB // 8), min_size=2, max_size=5),
    st.booleans(),
)  # fmt: skip
def test_counters_that_begin_anew_are_added_to_what_was_before(
    before: list[int], after: list[int], packets: bool
) -> None:
    bras = ModelBras(gigawords=True, packets=packets)
    told = []
    for octets in before:
        bras.pass_on(octets, 4 * octets)
        told.append(bras.tell())
    bras.fail_over()
    for octets in after:
        bras.pass_on(octets, 4 * octets)
        told.append(bras.tell())
    fell = told[len(before)], told[len(before) + 1]
    counted = count(told)
    last = told[len(before) - 1]
    if all(point.input_octets < last.input_octets for point in fell) and 2 * fell[0].input_octets <= last.input_octets:
        assert list(counted[:2]) == bras.moved
    assert counted.input_octets <= bras.moved[0]


def at(seconds: int, inward: int, outward: int = 0, *, packets: int = 0, final: bool = False) -> Point:
    return Point(final, seconds, float(seconds), inward, outward, packets, 0)


@pytest.mark.parametrize(
    ("points", "total"),
    [
        pytest.param([], 0, id="nothing was heard"),
        pytest.param([at(300, 7 * GIB)], 7 * GIB, id="one word with Gigawords"),
        pytest.param([at(300, 7), at(600, 0, final=True)], 7, id="a Stop of zeros after Lost-Carrier (accel-ppp 273)"),
        pytest.param([at(300, 7), at(0, 9, final=True)], 9, id="a Stop without session time stands last"),
        pytest.param([at(300, 10 * GIB), at(600, GIB), at(900, 11 * GIB)], 11 * GIB, id="a blip"),
        pytest.param([at(300, 10 * GIB), at(600, GIB)], 10 * GIB, id="it fell, and nothing is known yet"),
        pytest.param([at(300, 10 * GIB), at(600, GIB), at(900, 2 * GIB)], 12 * GIB, id="it began anew"),
        pytest.param([at(300, 1, 15), at(600, 8), at(900, 11, 3)], 11, id="only the other direction fell"),
        pytest.param(
            [at(300, 10 * GIB), at(600, 9 * GIB), at(900, 9 * GIB + 5)], 10 * GIB + 5, id="it slipped back a little"
        ),
        pytest.param(
            [at(300, 3 * GIB, packets=500_000), at(600, 100, packets=900_000)], TURN + 100,
            id="it went round: packets went on",
        ),
        pytest.param(
            [at(300, 3 * GIB, packets=500_000), at(600, 100, packets=2), at(900, 200, packets=4)], 3 * GIB + 200,
            id="it began anew: packets did as well",
        ),
        pytest.param(
            [at(300, (5 << 32) + 100, packets=5), at(600, 200, packets=6), at(900, (5 << 32) + 300, packets=7)],
            (5 << 32) + 300, id="one record came without Gigawords",
        ),
        pytest.param(
            [at(300, 3 * GIB, packets=1), at(600, GIB, packets=10**6), at(900, GIB // 2, packets=2 * 10**6)],
            2 * TURN + GIB // 2, id="Gigawords always zero, round and round",
        ),
        pytest.param([at(300, 2 * GIB - 5), at(600, 2 * GIB + 5)], 2 * GIB + 5, id="beyond what 32 signed bits hold"),
    ],
)  # fmt: skip
def test_what_nases_do(points: list[Point], total: int) -> None:
    assert count(points).input_octets == total
    assert count(reversed(points)).input_octets == total


def test_the_base_is_what_the_next_point_adds_to() -> None:
    counted = count([at(300, 3 * GIB, packets=500_000), at(600, 100, packets=900_000)])
    assert counted == Count(TURN + 100, 0, TURN, 0)
    assert count([at(300, 9), at(600, 5)]) == Count(9, 0, None, None)


@pytest.mark.parametrize(
    ("high", "low", "octets"),
    [(0, 5, 5), (3, 5, (3 << 32) + 5), (0, 0x80000001, 0x80000001), (0xFFFFFFFF, 0x80000001, 0x80000001)],
)
def test_a_sign_that_was_extended_into_gigawords_is_no_counter(high: int, low: int, octets: int) -> None:
    assert join_words(high, low) == octets
