"""Idempotency-Key on POST: the same key with the same body gets the same answer, for a day.

The key is written in the transaction of the change itself, so either both are kept or neither. A second request that
arrives while the first is at work waits for it, and then finds its answer.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api.context import Db, Who
from core.errors import InvalidInput
from core.models.system import IdempotentReply

KEY_LENGTH_MAX = 255


class Replay(Exception):
    """The request was answered before; the handler in `app` sends `body` again."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__()
        self.status = status
        self.body = body


class Once:
    """What a POST endpoint answers through."""

    def __init__(self, session: Session, stored: IdempotentReply | None) -> None:
        self._session = session
        self._stored = stored

    def created(self, output: BaseModel, status: int = 201) -> Response:
        """The answer, remembered under the request's key."""
        body = output.model_dump(mode="json")
        if self._stored is not None:
            self._stored.status, self._stored.body = status, body
            self._session.flush()
        headers = {"ETag": f'"{body["version"]}"'} if "version" in body else None
        return JSONResponse(body, status, headers)


async def body_hash(request: Request) -> bytes:
    return hashlib.sha256(request.url.path.encode() + b"\0" + await request.body()).digest()


def once(
    session: Db,
    caller: Who,
    digest: Annotated[bytes, Depends(body_hash)],
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=KEY_LENGTH_MAX)] = None,
) -> Once:
    if not idempotency_key:
        return Once(session, None)
    identity = (caller.token_id, idempotency_key)
    row = {"token_id": caller.token_id, "key": idempotency_key, "request_hash": digest}
    fresh = session.scalar(insert(IdempotentReply).values(row).on_conflict_do_nothing().returning(IdempotentReply.key))
    stored = session.get_one(IdempotentReply, identity)
    if fresh is None:
        if bytes(stored.request_hash) != digest:
            raise InvalidInput("this key was used for another request", field="Idempotency-Key")
        raise Replay(stored.status or 201, stored.body or {})
    return Once(session, stored)


OnceOnly = Annotated[Once, Depends(once, scope="function")]
