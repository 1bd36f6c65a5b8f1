"""Which boxes let their subscribers in by themselves, and how far each has followed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, Versioned, enum_column


class LocalMode(StrEnum):
    #: By their rows alone.
    SERVE = "serve"
    #: While no RADIUS server of theirs answers.
    STANDBY = "standby"
    #: Not any more: what they have of ours is taken away, and then this row goes, too.
    LEAVING = "leaving"


class LocalAccess(Versioned, Base):
    __tablename__ = "local_access"
    __table_args__ = (CheckConstraint("watch_seconds BETWEEN 10 AND 3600", name="watch_seconds"),)

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    mode: Mapped[LocalMode] = mapped_column(enum_column(LocalMode))
    #: How often a box in standby looks for its RADIUS servers.
    watch_seconds: Mapped[int] = mapped_column(Integer, default=30, server_default="30")
    #: Nothing is changed at the box before somebody has.
    approved_by: Mapped[str | None]
    #: Of the revision feed: what changed up to here is at the box. None: it is to be looked at as a whole.
    revision: Mapped[int | None] = mapped_column(BigInteger)
    #: The last look at all of it.
    looked_at: Mapped[datetime | None]
    look_due_at: Mapped[datetime | None]
    #: Somebody was told to come; until then nobody else is.
    claimed_until: Mapped[datetime | None]
    #: Services that are kept there, and whether the box lets them in by these rows now.
    services: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    in_use: Mapped[bool] = mapped_column(default=False, server_default="false")
    #: What is wanted and cannot be had, for people; why the box could not be brought in step.
    problems: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    error: Mapped[str | None]
    #: What there is to do at a box that nobody has approved: {"/ppp/secret add": 812}.
    to_do: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: Secrets that would go at once, and are more than a mistake of ours should take; and that a person said they may.
    held_back: Mapped[int | None] = mapped_column(Integer)
    may_remove: Mapped[bool] = mapped_column(default=False, server_default="false")


class LocalService(Base):
    """A service whose rows a box has, or had when we last were there: one that leaves is of interest to it."""

    __tablename__ = "local_service"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    service_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
