"""What endpoints are given: a session that commits before the answer, who calls, and pages of lists."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Query, Request
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.access import may
from api.problems import PreconditionFailed
from core import tokens
from core.audit import Actor
from core.clock import Clock
from core.database import Database
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from core.keyring import Keyring
from core.models.base import Base
from core.models.system import Role

#: bigint's end: an id above it exists nowhere.
ID_MAX = (1 << 63) - 1
LIMIT_MAX = 200
_Row = TypeVar("_Row", bound=Base)


@dataclass(frozen=True, slots=True)
class Services:
    """What `create_app` was given."""

    database: Database
    keyring: Keyring
    clock: Clock
    #: The provider's zone, in which an invoice is due.
    zone: tzinfo
    #: Of a new NAS that names none.
    coa_port: int


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
    request: Request, session: Db, given: Given, authorization: Annotated[str | None, Header()] = None
) -> Caller:
    """The caller, allowed to do this by the role of its token (see `access`)."""
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated("send `Authorization: Bearer <token>`")
    token = tokens.authenticate_token(session, secret.strip(), given.clock())
    resource = request.scope["route"].tags[0]
    if not may(token.role, resource, request.method):
        raise Forbidden(f"the role {token.role} may not {request.method} {resource}")
    source = request.client.host if request.client else None
    return Caller(token.id, token.role, Actor(f"token:{token.name}", source))


Who = Annotated[Caller, Depends(authenticate, scope="function")]


def parse_id(value: str, kind: str) -> int:
    """Our ids are decimal strings; anything else names nothing."""
    if not value.isascii() or not value.isdigit() or int(value[:20]) > ID_MAX:
        raise NotFound(kind, value[:40])
    return int(value)


def reference(value: str | None, field: str) -> int | None:
    """An id in a body."""
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or int(value[:20]) > ID_MAX:
        raise InvalidInput("is no id", field=field)
    return int(value)


def check_version(version: int, if_match: str | None) -> None:
    if if_match is not None and if_match.strip('W/"') != str(version) and if_match != "*":
        raise PreconditionFailed(f"the present version is {version}", field="If-Match")


IfMatch = Annotated[str | None, Header(alias="If-Match")]


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: int


def page(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 50, cursor: Annotated[str | None, Query(max_length=64)] = None
) -> Page:
    """Where a list goes on; the cursor is opaque."""
    if cursor is None:
        return Page(limit, 0)
    try:
        after = int(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (ValueError, UnicodeError):
        raise InvalidInput("is no cursor of ours", field="cursor") from None
    if not 0 <= after <= ID_MAX:
        raise InvalidInput("is no cursor of ours", field="cursor")
    return Page(limit, after)


Paged = Annotated[Page, Depends(page)]


def list_page(
    session: Session, query: Select[_Row], id_column: InstrumentedAttribute[int], paged: Page
) -> tuple[list[_Row], str | None]:
    """One page in the order of ids, and the cursor of the next."""
    rows = list(session.scalars(query.where(id_column > paged.after).order_by(id_column).limit(paged.limit + 1)))
    if len(rows) <= paged.limit:
        return rows, None
    rows.pop()
    last = getattr(rows[-1], id_column.key)
    return rows, base64.urlsafe_b64encode(str(last).encode()).decode()
