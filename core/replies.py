"""Answers kept under an Idempotency-Key: the same request again is answered as before, for a day.

The key is written in the transaction of the change itself, so either both are kept or neither. A second request that
arrives while the first is at work waits for it on the key's row, and then finds its answer, or takes its place where
the first one failed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.errors import InvalidInput
from core.models.system import IdempotentReply

KEPT_DAYS = 1


def claim(session: Session, token_id: int, key: str, request_hash: bytes) -> tuple[IdempotentReply, bool]:
    """The row of this key, and whether it was answered before. Raises InvalidInput for another request's key."""
    row = {"token_id": token_id, "key": key, "request_hash": request_hash}
    fresh = session.scalar(insert(IdempotentReply).values(row).on_conflict_do_nothing().returning(IdempotentReply.key))
    reply = session.get_one(IdempotentReply, (token_id, key))
    if fresh is None and bytes(reply.request_hash) != request_hash:
        raise InvalidInput("this key was used for another request", field="Idempotency-Key")
    return reply, fresh is None


def keep(session: Session, reply: IdempotentReply, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
    reply.status, reply.body, reply.headers = status, body, headers
    session.flush()


def forget_replies(session: Session) -> int:
    """Drop what is older than a day; returns how many. A key that comes later is a new one."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    return session.execute(delete(IdempotentReply).where(IdempotentReply.created_at < age)).rowcount  # type: ignore[attr-defined, no-any-return]
