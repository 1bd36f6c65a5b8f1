"""Idempotency-Key on POST: what `core.replies` keeps, as a dependency that endpoints answer through."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.context import Db, Who
from core import replies
from core.models.system import IdempotentReply

KEY_LENGTH_MAX = 255


class Replay(Exception):
    """The request was answered before; the handler in `app` sends that answer again."""

    def __init__(self, kept: IdempotentReply) -> None:
        super().__init__()
        self.status = kept.status or 201
        self.body: dict[str, Any] = kept.body or {}
        self.headers: dict[str, str] = kept.headers


class Once:
    """What a POST endpoint answers through."""

    def __init__(self, session: Session, reply: IdempotentReply | None) -> None:
        self._session = session
        self._reply = reply

    def created(self, output: BaseModel, status: int = 201) -> Response:
        """The answer, remembered under the request's key."""
        body = output.model_dump(mode="json", by_alias=True)
        headers = {"ETag": f'"{body["version"]}"'} if "version" in body else {}
        if self._reply is not None:
            replies.keep(self._session, self._reply, status, body, headers)
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
    reply, answered = replies.claim(session, caller.token_id, idempotency_key, digest)
    if answered:
        raise Replay(reply)
    return Once(session, reply)


OnceOnly = Annotated[Once, Depends(once, scope="function")]
