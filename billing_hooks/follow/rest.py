"""What the systems that are read over REST share: pages that follow each other, and proof that none is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from billing_hooks.follow.base import SUBSCRIBERS_MAX, MakeClient, Unreadable
from billing_hooks.gateways.base import Access
from billing_hooks.gateways.http import Http
from core.errors import InvalidInput

#: Pages asked for at once: these systems take a second for a page, and also work for people meanwhile.
AT_ONCE: Final = 4
#: A number or a text: an id comes as either, by version and table.
Scalar = str | int
_Struct = TypeVar("_Struct")


class Page(NamedTuple):
    """`total`: of all pages, as this one says."""

    total: int
    rows: list[msgspec.Raw]


@contextmanager
def opened(access: Access, make_client: MakeClient) -> Iterator[Http]:
    with make_client(access) as client:
        yield Http(client)


def read_pages(ask: Callable[[int], Page], size: int) -> list[msgspec.Raw]:
    """All rows; `ask` is given the number of a page, from 0. Raises Unreadable where not all rows came."""
    first = ask(0)
    if first.total > SUBSCRIBERS_MAX:
        raise Unreadable(f"it speaks of {first.total} rows; the most is {SUBSCRIBERS_MAX}")
    numbers = range(1, -(-first.total // size))
    with ThreadPoolExecutor(AT_ONCE, "pages") as threads:
        rows = [row for page in [first, *threads.map(ask, numbers)] for row in page.rows]
    if len(rows) < first.total:
        raise Unreadable(f"it speaks of {first.total} rows and lists {len(rows)}")
    return rows


def decode(body: bytes, type_: type[_Struct], complaint: Callable[[Mapping[str, Any]], str]) -> _Struct:
    """A page of this shape. What is none is Unreadable, with what the system says of it (never what it holds)."""
    try:
        return msgspec.json.decode(body, type=type_, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = _said(body)
        raise Unreadable(complaint(said) if said is not None else "it answers with a page that is no JSON") from None


def convert(raw: msgspec.Raw, type_: type[_Struct]) -> _Struct:
    """One row. Raises InvalidInput."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"is not as expected: {error}") from None


def check_base_url(settings: Mapping[str, str]) -> None:
    if not settings.get("base_url"):
        raise InvalidInput("say where the system is: its http:// or https:// URL", field="settings.base_url")


def check_number(settings: Mapping[str, str], name: str, least: int, most: int) -> None:
    value = settings.get(name, str(least))
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise InvalidInput(f"is a number from {least} to {most}", field=f"settings.{name}")


def first_text(*values: object) -> str:
    return next((str(value) for value in values if value not in (None, "")), "")


def distinct(keys: Iterable[str], what: str) -> None:
    """A system that ignores which page it is asked for gives the first one again."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise Unreadable(f"it lists {what} {key} on two pages: does it know paging?")
        seen.add(key)


def _said(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else {}
