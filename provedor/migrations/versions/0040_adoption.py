"""Routers that are there already: what was read of them, for those who ask over REST."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0040_adoption"
down_revision = "0039_provisioning_policy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "box_adoption",
        sa.Column("nas_id", sa.BigInteger(), sa.ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True,
                  autoincrement=False),
        sa.Column("asked_at", moment),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("take", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("choices", JSONB(), server_default="{}", nullable=False),
        sa.Column("claimed_until", moment),
        sa.Column("looked_at", moment),
        sa.Column("taken_at", moment),
        sa.Column("error", sa.Text()),
        sa.Column("plans", JSONB(), server_default="[]", nullable=False),
        sa.Column("blocks", JSONB(), server_default="[]", nullable=False),
        sa.Column("counts", JSONB(), server_default="{}", nullable=False),
    )  # fmt: skip
    standing = sa.Enum("new", "here", "rejected", "left_out", "ours", name="standing", native_enum=False, length=32)
    op.create_table(
        "box_adoption_login",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), sa.ForeignKey("box_adoption.nas_id", ondelete="CASCADE"), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("standing", standing, nullable=False),
        sa.Column("service_id", sa.BigInteger()),
        sa.Column("plan", sa.Text()),
        sa.Column("customer", sa.Text()),
        sa.Column("ipv4_address", sa.Text()),
        sa.Column("hold", sa.Text()),
        sa.Column("told", JSONB(), server_default="[]", nullable=False),
    )
    op.add_column("local_access", sa.Column("keep_rows", sa.Boolean(), server_default="false", nullable=False))
    op.create_index("ix_box_adoption_login_nas_id", "box_adoption_login", ["nas_id", "id"])


def downgrade() -> None:
    op.drop_column("local_access", "keep_rows")
    op.drop_table("box_adoption_login")
    op.drop_table("box_adoption")
