"""Where rows of an ordered menu go, and the fewest moves that bring them there.

Within a chain our rows stand in the order that is wanted, some before all rows of others and the rest behind them. Of
those that stand on the right side of the others, the longest run that is in order already stays; every other one is
moved, or added, in front of the next that stays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence

from provisioning.routeros.client import Row
from provisioning.routeros.planning.desired import Place, Wanted
from provisioning.routeros.planning.matching import is_fixed
from provisioning.routeros.schema import MenuSchema

#: {number of the pair: id that it is put in front of, or None for the end}; of a row that stays there is no entry.
Placed = Mapping[int, str | None]
Pair = tuple[Wanted, Row | None]


def place(menu: MenuSchema, pairs: Sequence[Pair], rows: Sequence[Row]) -> Placed:
    """`pairs`: those that go first before those that go last. `rows`: the menu's, without those that are removed."""
    anywhere = {number for number, (wanted, _) in enumerate(pairs) if menu.ordered is None or _is_anywhere(wanted)}
    placed: dict[int, str | None] = {number: None for number in sorted(anywhere) if pairs[number][1] is None}
    if menu.ordered is None:
        return placed
    ours = {row[".id"] for _, row in pairs if row is not None}
    chains: dict[str, list[int]] = defaultdict(list)
    for number, (wanted, _) in enumerate(pairs):
        if number not in anywhere:
            chains[wanted.values.get(menu.ordered) or ""].append(number)
    for chain, numbers in chains.items():
        standing = [row[".id"] for row in rows if not is_fixed(row) and row.get(menu.ordered, "") == chain]
        placed |= _place_chain(numbers, pairs, standing, ours)
    return placed


def _is_anywhere(wanted: Wanted) -> bool:
    return wanted.place is Place.ANYWHERE


def _place_chain(
    numbers: Sequence[int], pairs: Sequence[Pair], standing: Sequence[str], ours: set[str]
) -> dict[int, str | None]:
    at = {row_id: place for place, row_id in enumerate(standing)}
    others = [place for row_id, place in at.items() if row_id not in ours]
    first = [number for number in numbers if pairs[number][0].place is Place.FIRST]
    last = [number for number in numbers if pairs[number][0].place is Place.LAST]
    if not others:
        return _place_run([*first, *last], pairs, at, range(len(standing)), None)
    return {
        **_place_run(first, pairs, at, range(others[0]), standing[others[0]]),
        **_place_run(last, pairs, at, range(others[-1] + 1, len(standing)), None),
    }


def _place_run(
    numbers: Sequence[int], pairs: Sequence[Pair], at: Mapping[str, int], side: range,
    end: str | None,
) -> dict[int, str | None]:  # fmt: skip
    """`end`: what stands behind the run."""
    staying = _stay(numbers, pairs, at, side)
    before: dict[int, str | None] = {}
    following = end
    for number in reversed(numbers):
        row = pairs[number][1]
        if number in staying and row is not None:
            following = row[".id"]
        else:
            before[number] = following
    return dict(sorted(before.items()))


def _stay(numbers: Sequence[int], pairs: Sequence[Pair], at: Mapping[str, int], side: range) -> set[int]:
    """The longest run of these that is in order on this side (patience sorting)."""
    places = [
        (number, at[row[".id"]]) for number in numbers
        if (row := pairs[number][1]) is not None and at.get(row[".id"], -1) in side
    ]  # fmt: skip
    tops: list[int] = []
    top_numbers: list[int] = []
    previous: dict[int, int | None] = {}
    for number, standing_at in places:
        pile = bisect_left(tops, standing_at)
        previous[number] = top_numbers[pile - 1] if pile else None
        tops[pile : pile + 1], top_numbers[pile : pile + 1] = [standing_at], [number]
    run: set[int] = set()
    last = top_numbers[-1] if top_numbers else None
    while last is not None:
        run.add(last)
        last = previous[last]
    return run
