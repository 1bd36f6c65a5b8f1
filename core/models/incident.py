"""Incidents: what is broken in the network, and whom that touches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned


class Incident(Versioned, Base):
    """Something is broken and people know of it. Owner functions: `core.incidents`.

    `scope` is what somebody, or a program, thinks it touches; `confirmed_scope` is what a person confirmed, and that
    alone spares (both as `core.incident_scope` has them). It is over when it was closed or has expired.
    """

    __tablename__ = "incident"
    __table_args__ = (Index("ix_incident_live", "expires_at", postgresql_where=text("closed_at IS NULL")),)

    id: Mapped[Id]
    title: Mapped[str]
    #: What is broken, in words.
    description: Mapped[str]
    scope: Mapped[dict[str, Any]]
    confirmed_scope: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    opened_at: Mapped[CreatedAt]
    opened_by: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    #: What was told of it, each once: that it expires soon, that it expired; and when last that it is open for long.
    expiry_told: Mapped[bool] = mapped_column(default=False, server_default="false")
    expired_told: Mapped[bool] = mapped_column(default=False, server_default="false")
    long_told_at: Mapped[datetime | None]
