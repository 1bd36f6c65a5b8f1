"""Operators and API tokens. A token has 256 random bits and is kept as its SHA-256; passwords as scrypt."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import datetime, timedelta
from hmac import compare_digest

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.audit import Actor
from core.edits import flush_unique
from core.errors import InvalidInput, NotFound, Unauthenticated
from core.models.system import ApiToken, Operator, Role

PREFIX = "pvd_"
PASSWORD_LENGTH_MIN = 10
#: `last_used_at` is written no more often than this, so that a busy token costs no write a request.
USED_RESOLUTION = timedelta(minutes=5)
#: OWASP's parameters for interactive logins: 2^15 x 8 x 128 octets = 32 MiB.
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}


def create_token(session: Session, name: str, role: Role, actor: Actor) -> tuple[ApiToken, str]:
    """The row, and the token itself, which nobody can read again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(name=name, role=role, token_hash=_digest(secret))
    session.add(token)
    flush_unique(session, {"name": "name"})
    audit.record(session, actor, "create", "token", token.id, {"name": name, "role": role})
    return token, secret


def authenticate_token(session: Session, secret: str, now: datetime) -> ApiToken:
    """Raises Unauthenticated."""
    token = session.scalar(select(ApiToken).where(ApiToken.token_hash == _digest(secret)))
    if token is None or token.revoked_at is not None:
        raise Unauthenticated("the token is unknown or revoked")
    if token.last_used_at is None or now - token.last_used_at > USED_RESOLUTION:
        token.last_used_at = now
    return token


def revoke_token(session: Session, token_id: int, actor: Actor, now: datetime) -> ApiToken:
    token = session.get(ApiToken, token_id)
    if token is None:
        raise NotFound("token", token_id)
    if token.revoked_at is None:
        token.revoked_at = now
        session.flush()
        audit.record(session, actor, "revoke", "token", token.id, {})
    return token


def create_operator(session: Session, *, name: str, username: str, password: str, role: Role, actor: Actor) -> Operator:
    if len(password) < PASSWORD_LENGTH_MIN:
        raise InvalidInput(f"a password has at least {PASSWORD_LENGTH_MIN} characters", field="password")
    operator = Operator(name=name, username=username, password_hash=hash_password(password), role=role)
    session.add(operator)
    flush_unique(session, {"username": "username"})
    audit.record(session, actor, "create", "operator", operator.id, {"username": username, "role": role})
    return operator


def hash_password(password: str) -> str:
    salt = os.urandom(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()}"


def password_matches(password: str, stored: str) -> bool:
    _, salt, digest = stored.split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **_SCRYPT)
    return compare_digest(found, bytes.fromhex(digest))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
