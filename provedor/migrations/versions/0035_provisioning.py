"""Provisioning: what each BRAS should be, the rows of ours that bear no mark, and jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0035_provisioning"
down_revision = "0034_early_discount"
branch_labels = None
depends_on = None

_STATES = ("planning", "in_step", "planned", "approved", "running", "done", "undone", "refused", "cancelled", "unknown")
_ROLLOUTS = ("planning", "planned", "running", "done", "stopped", "cancelled")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "bras_intent",
        sa.Column("nas_id", sa.BigInteger(), _nas(), primary_key=True, autoincrement=False),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("checked_at", moment),
        sa.Column("check_claimed_until", moment),
        sa.Column("check_error", sa.Text()),
        sa.Column("drift", JSONB()),
        sa.Column("drift_problems", JSONB()),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.create_table(
        "owned_row",
        sa.Column("nas_id", sa.BigInteger(), _nas(), primary_key=True, autoincrement=False),
        sa.Column("menu", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("mark", sa.Text(), nullable=False),
    )
    op.create_table(
        "rollout",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("state", sa.Enum(*_ROLLOUTS, name="rolloutstate", native_enum=False, length=32), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("canary", sa.Integer(), nullable=False),
        sa.Column("wave_size", sa.Integer(), nullable=False),
        sa.Column("soak_seconds", sa.Integer(), nullable=False),
        sa.Column("approved_at", moment),
        sa.Column("approved_by", sa.Text()),
        sa.Column("finished_at", moment),
        sa.Column("detail", sa.Text()),
    )
    op.create_table(
        "provisioning_job",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), _nas(), nullable=False),
        sa.Column("state", sa.Enum(*_STATES, name="jobstate", native_enum=False, length=32), nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("release", sa.Text()),
        sa.Column("plan_encrypted", sa.LargeBinary()),
        sa.Column("commands", JSONB(), server_default="[]", nullable=False),
        sa.Column("problems", JSONB(), server_default="[]", nullable=False),
        sa.Column("sessions", sa.Integer()),
        sa.Column("approved_at", moment),
        sa.Column("approved_by", sa.Text()),
        sa.Column("not_before", moment),
        sa.Column("cancelled_by", sa.Text()),
        sa.Column("steps_applied", sa.Integer(), server_default="0", nullable=False),
        sa.Column("undo_by", sa.Text()),
        sa.Column("claimed_until", moment),
        sa.Column("finished_at", moment),
        sa.Column("detail", sa.Text()),
        sa.Column("rollout_id", sa.BigInteger(), sa.ForeignKey("rollout.id")),
        sa.Column("wave", sa.Integer()),
        sa.Column("online_before", sa.Integer()),
    )
    op.create_index("ix_provisioning_job_rollout", "provisioning_job", ["rollout_id"])
    op.create_index("ix_provisioning_job_nas", "provisioning_job", ["nas_id", "id"])
    op.create_index(
        "ix_provisioning_job_at_work", "provisioning_job", ["claimed_until"],
        postgresql_where=sa.text("state IN ('planning', 'approved', 'running', 'unknown')"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("provisioning_job")
    op.drop_table("rollout")
    op.drop_table("owned_row")
    op.drop_table("bras_intent")


def _nas() -> sa.ForeignKey:
    return sa.ForeignKey("nas.id", ondelete="CASCADE")
