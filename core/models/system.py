"""What keeps the house in order: events, outbox, revision feed, audit, operators, tokens, settings."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Sequence, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    FINANCE = "finance"
    SUPPORT = "support"
    TECHNICIAN = "technician"
    NOC = "noc"
    READONLY = "readonly"
    #: Answers authorities: the connection log and judicial requests, and nothing that changes the network.
    LEGAL = "legal"


class ChangeKind(StrEnum):
    SERVICE = "service"
    NAS = "nas"
    POOL = "pool"
    LEASE = "lease"
    PLAN = "plan"
    BALANCE = "balance"


class Event(Base):
    """Something that happened, for the feed at /events and whoever listens. Never changed."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_subject", "subject", "id"), Index("ix_event_feed", "transaction_id", "id"))

    id: Mapped[Id]
    #: The writing transaction's number, by which the feed knows what can no longer appear (see core.events). A dump
    #: restored into another cluster, whose numbers begin anew, sets it to 0.
    transaction_id: Mapped[int] = mapped_column(server_default=text("((pg_current_xact_id())::text)::bigint"))
    at: Mapped[CreatedAt]
    type: Mapped[str]
    #: What it is about, as "service:42".
    subject: Mapped[str]
    payload: Mapped[dict[str, Any]]


class OutboxItem(Base):
    """Work that a committed transaction owes. It exists until the work is done (see core.outbox)."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "queue", "due_at"),)

    id: Mapped[Id]
    topic: Mapped[str]
    queue: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
    #: Not to be published before; pushed ahead while a worker has it (the lease) and between retries.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    last_error: Mapped[str | None]


REVISION = Sequence("change_revision", metadata=Base.metadata)


class Change(Base):
    """One entry of the revision feed that RADIUS nodes follow. Commit order equals revision order."""

    __tablename__ = "change"

    revision: Mapped[int] = mapped_column(BigInteger, REVISION, primary_key=True)
    kind: Mapped[ChangeKind] = mapped_column(enum_column(ChangeKind))
    ref_id: Mapped[int]
    at: Mapped[CreatedAt]


class AuditEntry(Base):
    """Who changed what, when and from where. Secrets appear as "(changed)"."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_resource", "resource", "resource_id", "id"),)

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    actor: Mapped[str]
    source: Mapped[str | None]
    action: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[str]
    changes: Mapped[dict[str, Any]]


class Operator(Versioned, Base):
    __tablename__ = "operator"

    id: Mapped[Id]
    name: Mapped[str]
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[Role] = mapped_column(enum_column(Role))
    disabled_at: Mapped[datetime | None]


class ApiToken(Base):
    """A bearer token; only its SHA-256 is kept (the token itself has 256 random bits)."""

    __tablename__ = "api_token"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Role] = mapped_column(enum_column(Role))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Setting(Base):
    """A provider-wide switch that changes while running (enforcement freeze, feed epoch)."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class IdempotentReply(Base):
    """The answer that a POST with this Idempotency-Key got, kept for a day."""

    __tablename__ = "idempotent_reply"
    __table_args__ = (Index("ix_idempotent_reply_created_at", "created_at"),)

    token_id: Mapped[int] = mapped_column(ForeignKey("api_token.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    body: Mapped[dict[str, Any] | None]
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    created_at: Mapped[CreatedAt]
