"""Events as a feed, and API tokens."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import select

from api import schemas
from api.context import Db, Given, Paged, Who, list_page, parse_id
from core import tokens
from core.models.system import ApiToken, Event

event_routes = APIRouter(prefix="/events", tags=["events"])
token_routes = APIRouter(prefix="/tokens", tags=["tokens"])


@event_routes.get("")
def list_events(
    session: Db,
    _: Who,
    paged: Paged,
    subject: str | None = None,
    type: str | None = None,  # noqa: A002
) -> schemas.PageOf[schemas.EventOut]:
    query = select(Event)
    if subject is not None:
        query = query.where(Event.subject == subject)
    if type is not None:
        query = query.where(Event.type == type)
    rows, cursor = list_page(session, query, Event.id, paged)
    items = [
        schemas.EventOut(id=str(row.id), at=row.at, type=row.type, subject=row.subject, payload=row.payload)
        for row in rows
    ]
    return schemas.PageOf(items=items, next_cursor=cursor)


@token_routes.get("")
def list_tokens(session: Db, _: Who, paged: Paged) -> schemas.PageOf[schemas.TokenOut]:
    rows, cursor = list_page(session, select(ApiToken), ApiToken.id, paged)
    return schemas.PageOf(items=[_view(row) for row in rows], next_cursor=cursor)


@token_routes.post("", status_code=201, response_model=schemas.NewTokenOut)
def create_token(body: schemas.TokenIn, session: Db, caller: Who) -> Response:
    """The token is shown here and never again, so this POST takes no Idempotency-Key."""
    row, secret = tokens.create_token(session, body.name, body.role, caller.actor)
    session.refresh(row)
    shown = schemas.NewTokenOut(**_view(row).model_dump(), token=secret)
    return Response(shown.model_dump_json(), 201, media_type="application/json")


@token_routes.delete("/{token_id}")
def revoke_token(token_id: str, session: Db, caller: Who, given: Given) -> schemas.TokenOut:
    return _view(tokens.revoke_token(session, parse_id(token_id, "token"), caller.actor, given.clock()))


def _view(row: ApiToken) -> schemas.TokenOut:
    return schemas.TokenOut(
        id=str(row.id), name=row.name, role=row.role, created_at=row.created_at, last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )  # fmt: skip
