"""The two shapes of background work; rooms offer them, `provedor` wires them to Celery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.orm import Session

_Item = TypeVar("_Item")
#: What a handler leaves to be done once its transaction has committed; it must be quick and must not raise.
Afterwards = Callable[[], None]
#: Does the work of one outbox row, from its payload, in the transaction that will delete the row. It waits for nothing
#: but the database. A second run with the same payload must find nothing left to do.
Handler = Callable[[Session, dict[str, Any]], Afterwards | None]


class Periodic(NamedTuple):
    """Work that the clock starts, each run in one transaction of its own."""

    name: str
    every_s: float
    run: Callable[[Session], object]
    queue: str = "default"


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """What is too much for one transaction or statement, cut up."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk
