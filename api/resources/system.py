"""Events as a feed, the audit log, and API tokens."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import select

from api import schemas
from api.context import (
    Cursor,
    Db,
    Filter,
    Given,
    Limit,
    Paged,
    Who,
    list_page,
    make_cursor,
    matching,
    parse_id,
    read_cursor,
)
from core import events, tokens
from core.models.system import ApiToken, AuditEntry, Event

event_routes = APIRouter(prefix="/events", tags=["events"])
audit_routes = APIRouter(prefix="/audit-entries", tags=["audit-entries"])
token_routes = APIRouter(prefix="/tokens", tags=["tokens"])


@event_routes.get("")
def list_events(
    session: Db,
    _: Who,
    limit: Limit = 50,
    cursor: Cursor = None,
    subject: Filter = None,
    type: Filter = None,  # noqa: A002
) -> schemas.PageOf[schemas.EventOut]:
    """In the order in which they can be relied on: nothing ever appears before an event that was read.

    To follow the feed, keep the last event's `cursor` and ask with it again.
    """
    after = events.START if cursor is None else events.Position(*read_cursor(cursor, 2))
    rows = events.read_feed(session, after, limit + 1, subject=subject, type_=type)
    items = [_event_view(row) for row in rows[:limit]]
    return schemas.PageOf(items=items, next_cursor=items[-1].cursor if len(rows) > limit else None)


@audit_routes.get("")
def list_audit_entries(
    session: Db, _: Who, paged: Paged, resource: Filter = None, resource_id: Filter = None, actor: Filter = None
) -> schemas.PageOf[schemas.AuditOut]:
    """Who changed or saw what, when and from where."""
    query = matching(
        select(AuditEntry),
        (AuditEntry.resource, resource), (AuditEntry.resource_id, resource_id), (AuditEntry.actor, actor),
    )  # fmt: skip
    rows, cursor = list_page(session, query, AuditEntry.id, paged)
    return schemas.PageOf(items=[_audit_view(row) for row in rows], next_cursor=cursor)


@token_routes.get("")
def list_tokens(session: Db, _: Who, paged: Paged) -> schemas.PageOf[schemas.TokenOut]:
    rows, cursor = list_page(session, select(ApiToken), ApiToken.id, paged)
    return schemas.PageOf(items=[_token_view(row) for row in rows], next_cursor=cursor)


@token_routes.post("", status_code=201, response_model=schemas.NewTokenOut)
def create_token(body: schemas.TokenIn, session: Db, caller: Who) -> Response:
    """The token is shown here and never again, so this POST takes no Idempotency-Key; its name is unique."""
    row, secret = tokens.create_token(session, body.name, body.role, caller.actor)
    session.refresh(row)
    shown = schemas.NewTokenOut(**_token_view(row).model_dump(), token=secret)
    return Response(shown.model_dump_json(), 201, media_type="application/json")


@token_routes.delete("/{token_id}")
def revoke_token(token_id: str, session: Db, caller: Who, given: Given) -> schemas.TokenOut:
    return _token_view(tokens.revoke_token(session, parse_id(token_id, "token"), caller.actor, given.clock()))


def _event_view(row: Event) -> schemas.EventOut:
    return schemas.EventOut(
        id=str(row.id), cursor=make_cursor(row.transaction_id, row.id), at=row.at, type=row.type, subject=row.subject,
        payload=row.payload,
    )  # fmt: skip


def _audit_view(row: AuditEntry) -> schemas.AuditOut:
    return schemas.AuditOut(
        id=str(row.id), at=row.at, actor=row.actor, source=row.source, action=row.action, resource=row.resource,
        resource_id=row.resource_id, changes=row.changes,
    )  # fmt: skip


def _token_view(row: ApiToken) -> schemas.TokenOut:
    return schemas.TokenOut(
        id=str(row.id), name=row.name, role=row.role, created_at=row.created_at, last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )  # fmt: skip
