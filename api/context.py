"""What endpoints are given: a session that commits before the answer, who calls, and pages of lists."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from aaa.connection_log.signing import SigningKey
from api.access import may
from api.problems import PreconditionFailed
from api.schemas import NO_NUL
from core import tokens
from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from core.keyring import Keyring
from core.models.base import Base
from core.models.system import Role
from core.plan_names import PlanNames

#: bigint's end: an id above it exists nowhere.
ID_MAX = (1 << 63) - 1
LIMIT_MAX = 200
#: What a filter compares with.
Filter = Annotated[str | None, Query(max_length=500, pattern=NO_NUL)]
RefFilter = Annotated[str | None, Query(min_length=1, max_length=19, pattern="^[0-9]+$")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, Query(max_length=64, pattern="^[A-Za-z0-9_-]+$", description="a `next_cursor` of ours")]
_Row = TypeVar("_Row", bound=Base)
_BEARER = HTTPBearer(auto_error=False, description="an API token: `provedor token create`")


@dataclass(frozen=True, slots=True)
class Services:
    """What `create_app` was given."""

    database: Database
    keyring: Keyring
    clock: Clock
    #: The provider's zone, in which an invoice is due.
    zone: tzinfo
    #: Whose holidays are holidays.
    country: str
    #: Of a new NAS that names none.
    coa_port: int
    #: Signs answers to authorities; it is made at the first use.
    signing_key: Callable[[], SigningKey]
    #: The company that answers them.
    provider: str
    #: Who knows what the boxes have of what a plan names.
    plan_names: PlanNames | None = None

    def today(self) -> date:
        """The day that it is for the provider."""
        return self.clock().astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Caller:
    token_id: int
    role: Role
    actor: Actor


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def open_session(given: Annotated[Services, Depends(services)]) -> Iterator[Session]:
    """Committed when the endpoint returns and before the answer is sent: a 2xx means that it is kept."""
    with given.database.transaction() as session:
        yield session


Given = Annotated[Services, Depends(services)]
Db = Annotated[Session, Depends(open_session, scope="function")]


def authenticate(
    request: Request,
    session: Db,
    given: Given,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None,
) -> Caller:
    """The caller, allowed to do this by the role of its token (see `access`)."""
    if credentials is None or not credentials.credentials:
        raise Unauthenticated("send `Authorization: Bearer <token>`")
    token = tokens.authenticate_token(session, credentials.credentials.strip(), given.clock())
    route: APIRoute = request.scope["route"]
    resource = str(route.tags[0])
    if not may(token.role, resource, request.method):
        raise Forbidden(f"the role {token.role} may not {request.method} {resource}")
    _refuse_unknown(request, route)
    source = request.client.host if request.client else None
    return Caller(token.id, token.role, Actor(f"token:{token.name}", source))


Who = Annotated[Caller, Depends(authenticate, scope="function")]


def _refuse_unknown(request: Request, route: APIRoute) -> None:
    """A filter with a typing error would else find everything."""
    unknown = set(request.query_params) - set(_query_names(route.dependant)) if request.query_params else set()
    if unknown:
        raise InvalidInput("there is no such parameter here", field=min(unknown)[:100])


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for below in dependant.dependencies:
        yield from _query_names(below)


def parse_id(value: str, kind: str) -> int:
    """An id in a path. Ours are decimal strings; anything else names nothing."""
    found = _id(value)
    if found is None:
        raise NotFound(kind, value[:40])
    return found


def reference(value: str | None, field: str) -> int | None:
    """An id in a body or a filter."""
    if value is None:
        return None
    found = _id(value)
    if found is None:
        raise InvalidInput("is no id", field=field)
    return found


def _id(value: str) -> int | None:
    if not value.isascii() or not value.isdigit() or len(value) > len(str(ID_MAX)) or int(value) > ID_MAX:
        return None
    return int(value)


def check_version(version: int, if_match: str | None) -> None:
    """Strong comparison with any of the tags (RFC 9110 13.1.1); a bare number is taken as one."""
    if if_match is None or if_match.strip() == "*":
        return
    if str(version) not in {tag.strip().strip('"') for tag in if_match.split(",")}:
        raise PreconditionFailed(f"the present version is {version}", field="If-Match")


IfMatch = Annotated[str | None, Header(alias="If-Match", description="the version that is to be changed")]


class _Versioned(Protocol):
    version: int


_View = TypeVar("_View", bound=_Versioned)


def tagged(response: Response, view: _View) -> _View:
    """The view, its version as ETag beside it: what If-Match wants."""
    response.headers["ETag"] = f'"{view.version}"'
    return view


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: int


def page(limit: Limit = 50, cursor: Cursor = None) -> Page:
    """Where a list goes on; the cursor is opaque."""
    return Page(limit, 0 if cursor is None else read_cursor(cursor, 1)[0])


Paged = Annotated[Page, Depends(page)]


def make_cursor(*places: int) -> str:
    return base64.urlsafe_b64encode(".".join(map(str, places)).encode()).decode().rstrip("=")


def read_cursor(cursor: str, count: int) -> list[int]:
    """The numbers in a cursor. Raises InvalidInput."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, UnicodeError):
        text = ""
    places = [_id(part) for part in text.split(".")]
    numbers = [place for place in places if place is not None]
    if len(places) != count or len(numbers) != count:
        raise InvalidInput("is no cursor of ours", field="cursor")
    return numbers


def matching(query: Select[_Row], *wanted: tuple[InstrumentedAttribute[Any], object]) -> Select[_Row]:
    """The rows whose columns have these values; a filter of None was not given."""
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return query


def list_page(
    session: Session, query: Select[_Row], id_column: InstrumentedAttribute[int], paged: Page
) -> tuple[list[_Row], str | None]:
    """One page in the order of ids, and the cursor of the next.

    What is inserted meanwhile appears at the end; a row whose transaction commits late may be below a cursor that was
    given already (the feed of events has an order of its own for that).
    """
    rows = list(session.scalars(query.where(id_column > paged.after).order_by(id_column).limit(paged.limit + 1)))
    if len(rows) <= paged.limit:
        return rows, None
    rows.pop()
    last = getattr(rows[-1], id_column.key)
    return rows, make_cursor(last)
