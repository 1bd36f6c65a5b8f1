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
from billing_hooks.invoicing.words import Words, name
from core.errors import InvalidInput

#: Pages asked for at once: these systems take a second for a page, and also work for people meanwhile.
AT_ONCE: Final = 4
_NO_JSON: Final = Words("responde com uma página que não é JSON", "it answers with a page that is no JSON")
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
        raise Unreadable(Words(
            f"fala de {first.total} linhas; o máximo é {SUBSCRIBERS_MAX}",
            f"it speaks of {first.total} rows; the most is {SUBSCRIBERS_MAX}",
        ))  # fmt: skip
    numbers = range(1, -(-first.total // size))
    with ThreadPoolExecutor(AT_ONCE, "pages") as threads:
        rows = [row for page in [first, *threads.map(ask, numbers)] for row in page.rows]
    if len(rows) < first.total:
        raise Unreadable(Words(
            f"fala de {first.total} linhas e lista {len(rows)}",
            f"it speaks of {first.total} rows and lists {len(rows)}",
        ))  # fmt: skip
    return rows


def decode(body: bytes, type_: type[_Struct], complaint: Callable[[Mapping[str, Any]], Words]) -> _Struct:
    """A page of this shape. What is none is Unreadable, with what the system says of it (never what it holds)."""
    try:
        return msgspec.json.decode(body, type=type_, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = _said(body)
        raise Unreadable(complaint(said) if said is not None else _NO_JSON) from None


def convert(raw: msgspec.Raw, type_: type[_Struct]) -> _Struct:
    """One row. Raises InvalidInput."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"is not as expected: {error}", detail_pt=f"não é como se espera: {error}") from None


def check_base_url(settings: Mapping[str, str]) -> None:
    if not settings.get("base_url"):
        raise InvalidInput("say where the system is: its http:// or https:// URL", field="settings.base_url")


def check_number(settings: Mapping[str, str], name: str, least: int, most: int) -> None:
    value = settings.get(name, str(least))
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise InvalidInput(f"is a number from {least} to {most}", field=f"settings.{name}")


def first_text(*values: object) -> str:
    return next((str(value) for value in values if value not in (None, "")), "")


def reason_of(said: Mapping[str, Any], *names: str) -> Words:
    """What the system gives as its reason, under the first of these names that it uses; as it came."""
    reason = first_text(*(said.get(one) for one in names))
    return name(reason[:200]) if reason else Words("sem dizer o motivo", "it gives no reason")


def distinct(keys: Iterable[str], what: Callable[[str], Words]) -> None:
    """A system that ignores which page it is asked for gives the first one again."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            one = what(key)
            raise Unreadable(Words(
                f"lista {one.pt} em duas páginas: conhece paginação?",
                f"it lists {one.en} on two pages: does it know paging?",
            ))  # fmt: skip
        seen.add(key)


def _said(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else {}
