"""The table: boxes whose password is, or was, to be changed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, enum_column


class RotationState(StrEnum):
    #: For its time: the box has the old password, or may have the new one already.
    WAITING = "waiting"
    RUNNING = "running"
    #: The box has the new one, and we know no other.
    DONE = "done"


class PasswordRotation(Base):
    """Of one box. The passwords themselves are in its NAS entry."""

    __tablename__ = "password_rotation"
    __table_args__ = (
        Index("ix_password_rotation_nas", "nas_id", "id"),
        Index("ix_password_rotation_due", "due_at", postgresql_where=text("state <> 'done'")),
    )

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"))
    #: Where it is a shared one.
    credential_id: Mapped[int | None] = mapped_column(ForeignKey("device_credential.id", ondelete="CASCADE"))
    state: Mapped[RotationState] = mapped_column(enum_column(RotationState), default=RotationState.WAITING)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[str]
    due_at: Mapped[datetime]
    #: Who is at it is done by then, or died.
    claimed_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Why the last try failed, or why it was not wanted any more.
    detail: Mapped[str | None]
    finished_at: Mapped[datetime | None]
