"""Tables of billing: gateway accounts, the inbox, the suspension policy and the runs it made."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class InboxStatus(StrEnum):
    RECEIVED = "received"
    DONE = "done"
    #: A reversal that came before its payment; the payment's arrival wakes it.
    WAITING = "waiting"
    #: Understood as far as it goes and impossible to apply: a person looks at it.
    FAILED = "failed"


class GatewayAccount(Versioned, Base):
    """Whom webhooks may come from. While a secret is rotated, the one before it is valid for a time."""

    __tablename__ = "gateway_account"

    id: Mapped[Id]
    gateway: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    secret_encrypted: Mapped[bytes]
    previous_secret_encrypted: Mapped[bytes | None]
    previous_valid_until: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(default=True, server_default="true")


class InboxEntry(Base):
    """A webhook that was authentic, as it came. Unique by account and event id."""

    __tablename__ = "inbox_entry"
    __table_args__ = (
        UniqueConstraint("account_id", "event_id"),
        Index("ix_inbox_entry_open", "received_at", postgresql_where=text("status = 'received'")),
        Index("ix_inbox_entry_waiting", "account_id", "awaits", postgresql_where=text("status = 'waiting'")),
    )

    id: Mapped[Id]
    account_id: Mapped[int]
    gateway: Mapped[str]
    event_id: Mapped[str]
    body: Mapped[bytes]
    received_at: Mapped[CreatedAt]
    status: Mapped[InboxStatus] = mapped_column(
        enum_column(InboxStatus), default=InboxStatus.RECEIVED, server_default="received"
    )
    error: Mapped[str | None]
    #: The gateway's id of the payment that a waiting entry is about.
    awaits: Mapped[str | None]
    done_at: Mapped[datetime | None]


class BillingRun(Base):
    """One run of the suspension engine: what it decided and why, and what of it was done.

    `decisions` is the plan; `placed` and `lifted` count contracts as the chunks are done. A contract that was paid in
    between counts nowhere.
    """

    __tablename__ = "billing_run"

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    considered: Mapped[int] = mapped_column(Integer)
    placed: Mapped[int] = mapped_column(Integer, default=0)
    lifted: Mapped[int] = mapped_column(Integer, default=0)
    decisions: Mapped[dict[str, Any]]
    chunks_left: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    finished_at: Mapped[datetime | None]
