"""The rows of one menu, and what must be done to have them back as they were.

Rows are never changed, only replaced, so that whoever keeps one keeps a state. Every change returns its inverse. Where
the order of rows says nothing they lie in the order of their ids, which only grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from provisioning.routeros.schema import Field, MenuSchema


@dataclass(frozen=True, slots=True)
class Item:
    """`values` are what somebody said, as the router prints it; what is at its default is not in there."""

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    builtin: bool = False
    dynamic: bool = False
    expires_at: float | None = None

    @property
    def row_id(self) -> str:
        return f"*{self.number:X}"


@dataclass(frozen=True, slots=True)
class Inverse:
    """`order` is that of all rows, where it counts."""

    table: Table
    put: tuple[Item, ...] = ()
    drop: tuple[int, ...] = ()
    order: tuple[int, ...] | None = None

    def apply(self) -> None:
        self.table.restore(self)


def _signed(number: int) -> int:
    """Ids of 32 bits: *FFFFFFFE, which some builtin rows have, is before *0."""
    return number - (1 << 32) if number >> 31 else number


class Table:
    """Without locks: its router has one. `numbers` where several menus share ids."""

    def __init__(self, schema: MenuSchema, fields: Mapping[str, Field], numbers: Iterator[int] | None = None) -> None:
        self.schema = schema
        self.fields = fields
        self._numbers = count(1) if numbers is None else numbers
        self._items: dict[int, Item] = {}
        self._by_key: dict[tuple[str, ...], int] = {}
        #: Rows that end by themselves, and when.
        self.timed: dict[int, float] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(self._items)

    @property
    def only(self) -> Item:
        """The one row of a menu that has no others."""
        return self._items[0]

    def next_number(self) -> int:
        return next(self._numbers)

    def get(self, number: int) -> Item | None:
        return self._items.get(number)

    def with_id(self, row_id: str) -> Item | None:
        """As it is printed: `*1F`."""
        try:
            return self._items.get(int(row_id.removeprefix("*"), 16))
        except ValueError:
            return None

    def value(self, item: Item, name: str) -> str | None:
        """What the router goes by: what was said, or the default."""
        known = self.fields.get(name)
        return item.values.get(name, known.default if known else None)

    def key(self, item: Item) -> tuple[str, ...] | None:
        """None where rows of this menu, or this one, are known by no key."""
        if not self.schema.key or self.schema.single:
            return None
        return tuple(self.value(item, name) or "" for name in self.schema.key)

    def with_key(self, *key: str) -> Item | None:
        number = self._by_key.get(key)
        return None if number is None else self._items[number]

    def put(self, *items: Item) -> Inverse:
        """New rows come last, others stay where they are."""
        known = tuple(self._items[item.number] for item in items if item.number in self._items)
        new = tuple(item.number for item in items if item.number not in self._items)
        for old in known:
            self._forget_key(old)
        for item in items:
            self._items[item.number] = item
            if item.expires_at is not None:
                self.timed[item.number] = item.expires_at
            if (key := self.key(item)) is not None:
                self._by_key[key] = item.number
        return Inverse(self, put=known, drop=new)

    def drop(self, numbers: Iterable[int]) -> Inverse:
        numbers = dict.fromkeys(numbers)
        order = self.order if self._ordered and numbers else None
        gone = tuple(self._items.pop(number) for number in numbers if number in self._items)
        for item in gone:
            self._forget_key(item)
            self.timed.pop(item.number, None)
        return Inverse(self, put=gone, order=order)

    def place(self, numbers: Sequence[int], before: int | None) -> Inverse:
        """These rows, in this order, before that one or last."""
        order = self.order
        moved = dict.fromkeys(number for number in numbers if number != before)
        rest = [number for number in order if number not in moved]
        at = len(rest) if before is None else rest.index(before)
        self._arrange([*rest[:at], *moved, *rest[at:]])
        return Inverse(self, order=order)

    def restore(self, inverse: Inverse) -> None:
        """What has gone by itself in the meantime stays gone."""
        self.drop(inverse.drop)
        come_back = any(item.number not in self._items for item in inverse.put)
        self.put(*inverse.put)
        if inverse.order is not None:
            self._arrange(inverse.order)
        elif come_back:
            self._arrange(sorted(self._items, key=_signed))

    def _arrange(self, order: Sequence[int]) -> None:
        arranged = {number: self._items[number] for number in order if number in self._items}
        self._items = {**arranged, **self._items}

    @property
    def _ordered(self) -> bool:
        return self.schema.ordered is not None

    def _forget_key(self, item: Item) -> None:
        key = self.key(item)
        if key is not None and self._by_key.get(key) == item.number:
            del self._by_key[key]
