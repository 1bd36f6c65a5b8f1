"""Boxes that let their subscribers in by themselves, and what stands at routers for sessions that are up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0036_local_access"
down_revision = "0035_provisioning"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    nas = sa.ForeignKey("nas.id", name="fk_local_access_nas_id_nas", ondelete="CASCADE")
    mode = sa.Enum("serve", "standby", "leaving", name="localmode", native_enum=False, length=32)
    op.create_table(
        "local_access",
        sa.Column("nas_id", sa.BigInteger(), nas, primary_key=True, autoincrement=False),
        sa.Column("mode", mode, nullable=False),
        sa.Column("watch_seconds", sa.Integer(), server_default="30", nullable=False),
        sa.Column("approved_by", sa.Text()),
        sa.Column("revision", sa.BigInteger()),
        sa.Column("looked_at", moment),
        sa.Column("look_due_at", moment),
        sa.Column("claimed_until", moment),
        sa.Column("services", sa.Integer(), server_default="0", nullable=False),
        sa.Column("in_use", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("problems", JSONB(), server_default="[]", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("to_do", JSONB(), server_default="{}", nullable=False),
        sa.Column("held_back", sa.Integer()),
        sa.Column("may_remove", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("watch_seconds BETWEEN 10 AND 3600", name=op.f("ck_local_access_watch_seconds")),
    )
    op.create_table(
        "local_service",
        sa.Column("nas_id", sa.BigInteger(), sa.ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True,
                  autoincrement=False),
        sa.Column("service_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    )  # fmt: skip
    op.create_table(
        "live_row",
        sa.Column("session_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("claimed_until", moment),
    )


def downgrade() -> None:
    op.drop_table("live_row")
    op.drop_table("local_service")
    op.drop_table("local_access")
