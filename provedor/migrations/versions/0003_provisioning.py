"""Enforcement steps and pace"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_provisioning"
down_revision = "0002_aaa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "enforcement_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("from_fingerprint", sa.Text(), nullable=True),
        sa.Column("to_fingerprint", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_cause", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enforcement_step")),
    )
    op.create_index("ix_enforcement_step_service", "enforcement_step", ["service_id", "id"], unique=False)
    op.create_index("ix_enforcement_step_session", "enforcement_step", ["session_id", "id"], unique=False)
    op.create_table(
        "nas_pace",
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("silent", sa.Integer(), server_default="0", nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("nas_id", name=op.f("pk_nas_pace")),
    )


def downgrade() -> None:
    op.drop_table("nas_pace")
    op.drop_index("ix_enforcement_step_session", table_name="enforcement_step")
    op.drop_index("ix_enforcement_step_service", table_name="enforcement_step")
    op.drop_table("enforcement_step")
