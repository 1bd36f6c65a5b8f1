"""Tables: versions of boxes' configurations, what boxes say their users did, drills, and when a box is due."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, Id, enum_column
from provisioning.backups.texts import ReadBy


class Why(StrEnum):
    SCHEDULE = "schedule"
    BEFORE_CHANGE = "before_change"
    AFTER_CHANGE = "after_change"
    #: A look found that the box is not what it should be.
    DRIFT = "drift"
    #: By a person.
    ASKED = "asked"


class DeviceBackup(Base):
    """A version of a box's configuration: what it was from `taken_at` until `same_until` at least."""

    __tablename__ = "device_backup"
    __table_args__ = (Index("ix_device_backup_nas", "nas_id", "id"),)

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"))
    taken_at: Mapped[datetime]
    same_until: Mapped[datetime]
    why: Mapped[Why] = mapped_column(enum_column(Why))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("provisioning_job.id", ondelete="SET NULL"))
    release: Mapped[str]
    read_by: Mapped[ReadBy] = mapped_column(enum_column(ReadBy))
    #: Of what counts of the text (see provisioning.backups.difference).
    sha256: Mapped[str]
    octets: Mapped[int] = mapped_column(Integer)
    text_encrypted: Mapped[bytes]
    #: What of the configuration is not in it, for people.
    left_out: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    #: When it was still the version before; None for the first.
    changed_since: Mapped[datetime | None]
    #: What changed, without secrets; None for the first, and where the version before could not be opened.
    changes: Mapped[list[str] | None]
    #: Who may have: [{"job_id", "approved_by"}, {"user", "actions"}].
    changed_by: Mapped[list[dict[str, Any]]] = mapped_column(JSONB(), default=list, server_default="[]")


class DeviceAction(Base):
    """What a box's log or history says that one of its users did, and when we read that first."""

    __tablename__ = "device_action"
    __table_args__ = (UniqueConstraint("nas_id", "source", "row", "by", "action"),)

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"))
    seen_at: Mapped[datetime]
    #: history, log
    source: Mapped[str]
    #: Its id at the box, and the time of day, since ids begin anew with a reboot.
    row: Mapped[str]
    by: Mapped[str]
    action: Mapped[str]
    #: The box's own word for when.
    at: Mapped[str]


class BackupState(Base):
    """When a box is to be looked at next, and what became of the last look."""

    __tablename__ = "backup_state"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    #: None until the first look.
    checked_at: Mapped[datetime | None]
    due_at: Mapped[datetime]
    claimed_until: Mapped[datetime | None]
    #: Why the last look failed.
    error: Mapped[str | None]


class RestoreDrill(Base):
    """A version that was, or is to be, loaded into a simulated router."""

    __tablename__ = "restore_drill"
    __table_args__ = (Index("ix_restore_drill_nas", "nas_id", "id"),)

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"))
    backup_id: Mapped[int] = mapped_column(ForeignKey("device_backup.id", ondelete="CASCADE"))
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    done_at: Mapped[datetime | None]
    #: None until it is done.
    ok: Mapped[bool | None]
    #: Commands of the version, and those about menus that the simulator does not play.
    commands: Mapped[int | None] = mapped_column(Integer)
    not_played: Mapped[list[str] | None]
    #: What the simulated router had otherwise, without secrets; or why it could not be tried.
    differences: Mapped[list[str] | None]
