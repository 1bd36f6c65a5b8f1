"""Tables: what each BRAS should be, the rows of ours that bear no mark, and jobs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class JobState(StrEnum):
    #: The box is being read.
    PLANNING = "planning"
    #: There is nothing to do.
    IN_STEP = "in_step"
    #: A person is asked.
    PLANNED = "planned"
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    #: The box is as it was.
    UNDONE = "undone"
    #: Nothing was begun: the box is another than was planned for, or could not be read or armed.
    REFUSED = "refused"
    CANCELLED = "cancelled"
    #: The box could not be asked what became of it; that is tried on.
    UNKNOWN = "unknown"


#: Of a job that somebody is at, or that waits for somebody.
LIVE = frozenset(
    {JobState.PLANNING, JobState.PLANNED, JobState.APPROVED, JobState.RUNNING, JobState.UNKNOWN}
)  # fmt: skip
#: Somebody is at it, or died at it; one that is approved is nobody's before its time.
AT_WORK = frozenset({JobState.PLANNING, JobState.APPROVED, JobState.RUNNING, JobState.UNKNOWN})


class RolloutState(StrEnum):
    #: Its boxes are being read.
    PLANNING = "planning"
    #: A person is asked.
    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    #: At the first harm.
    STOPPED = "stopped"
    CANCELLED = "cancelled"


class BrasIntent(Versioned, Base):
    """What a provider says of the box behind a NAS entry (see provisioning.routeros.bras.intent)."""

    __tablename__ = "bras_intent"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    body: Mapped[dict[str, Any]]
    #: The last look (see provisioning.jobs.drift): what there would be to do, what cannot be had, or why it failed.
    checked_at: Mapped[datetime | None]
    check_claimed_until: Mapped[datetime | None]
    check_error: Mapped[str | None]
    drift: Mapped[list[str] | None]
    #: The same as structures, as those of a job.
    drift_changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    #: When it was seen last to be what it should be, by what is said of it now.
    in_step_at: Mapped[datetime | None]
    drift_problems: Mapped[list[str] | None]


class OwnedRow(Base):
    """A row of ours in a menu whose rows have no comments, where only we know that it is ours."""

    __tablename__ = "owned_row"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    menu: Mapped[str] = mapped_column(primary_key=True)
    #: Values of the menu's key, joined by a line feed, which none has; sealed where people may not see one of them.
    key: Mapped[str] = mapped_column(primary_key=True)
    mark: Mapped[str]


class Rollout(Base):
    """Jobs of many boxes: the canary's first, then in waves of so many, each after the one before has stood."""

    __tablename__ = "rollout"

    id: Mapped[Id]
    state: Mapped[RolloutState] = mapped_column(enum_column(RolloutState), default=RolloutState.PLANNING)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[str]
    canary: Mapped[int] = mapped_column(Integer)
    wave_size: Mapped[int] = mapped_column(Integer)
    soak_seconds: Mapped[int] = mapped_column(Integer)
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[str | None]
    #: A person said so: its jobs wait for no window.
    at_once: Mapped[bool] = mapped_column(default=False, server_default="false")
    finished_at: Mapped[datetime | None]
    detail: Mapped[str | None]


class ProvisioningJob(Base):
    """A plan for one box, and what became of it. `plan_encrypted` holds secrets; `commands` show none."""

    __tablename__ = "provisioning_job"
    __table_args__ = (
        Index("ix_provisioning_job_nas", "nas_id", "id"),
        Index("ix_provisioning_job_rollout", "rollout_id"),
        Index(
            "ix_provisioning_job_at_work",
            "claimed_until",
            postgresql_where=text("state IN ('planning', 'approved', 'running', 'unknown')"),
        ),
    )

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"))
    state: Mapped[JobState] = mapped_column(enum_column(JobState), default=JobState.PLANNING)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[str]
    release: Mapped[str | None]
    plan_encrypted: Mapped[bytes | None]
    #: For people: one a step; and what is wanted and cannot be had.
    commands: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    #: The same as structures, from which it is said in words (see provisioning.routeros.planning.words).
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    problems: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    #: Online at the box when it was planned.
    sessions: Mapped[int | None] = mapped_column(Integer)
    #: So many of them may feel it, and so many rows that they may use it takes away (see provisioning.jobs.approval).
    touched: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    removed: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    approved_at: Mapped[datetime | None]
    approved_by: Mapped[str | None]
    not_before: Mapped[datetime | None]
    #: It begins within a window, and where that has closed, in the next.
    in_window: Mapped[bool] = mapped_column(default=False, server_default="false")
    cancelled_by: Mapped[str | None]
    steps_applied: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: How the box would undo it by itself, while it would.
    undo_by: Mapped[str | None]
    #: Why the box would not; somebody has to approve that in so many words.
    cannot_undo: Mapped[str | None]
    #: The SSH host key that was seen when none was approved yet; approving the job approves it.
    host_key: Mapped[str | None]
    #: How often the box could not be asked what became of it.
    unanswered: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Who is at it has said so until then; afterwards somebody else takes over.
    claimed_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    #: Why it is not done.
    detail: Mapped[str | None]
    rollout_id: Mapped[int | None] = mapped_column(ForeignKey("rollout.id"))
    #: Of its rollout; 0 is the canary.
    wave: Mapped[int | None] = mapped_column(Integer)
    #: By our own count, when its rollout approved it.
    online_before: Mapped[int | None] = mapped_column(Integer)
