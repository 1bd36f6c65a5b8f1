"""Usage by day, quotas, prepaid balances, and plans that are faster at some hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015_quota"
down_revision = "0014_pools"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan", sa.Column("quota_bytes", sa.BigInteger()))
    op.add_column("plan", sa.Column("quota_effect", sa.String(32), nullable=False, server_default="throttle"))
    op.add_column("plan", sa.Column("prepaid", sa.String(32)))
    op.add_column("plan", sa.Column("time_windows", JSONB(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("plan", sa.Column("open_window", sa.BigInteger()))
    op.create_table(
        "service_usage",
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("down_octets", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("up_octets", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("seconds", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("service_id", "day", name="pk_service_usage"),
    )
    op.create_table(
        "quota_notice",
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("cycle_start", sa.Date(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("service_id", "cycle_start", "level", name="pk_quota_notice"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_quota_notice_service_id_service"),
    )
    op.create_table(
        "prepaid_balance",
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("seconds", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("counted_day", sa.Date(), nullable=False),
        sa.Column("counted_octets", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("counted_seconds", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("told_octets", sa.BigInteger()),
        sa.Column("told_seconds", sa.BigInteger()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("service_id", name="pk_prepaid_balance"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="fk_prepaid_balance_service_id_service"),
    )


def downgrade() -> None:
    for table in ("prepaid_balance", "quota_notice", "service_usage"):
        op.drop_table(table)
    for name in ("open_window", "time_windows", "prepaid", "quota_effect", "quota_bytes"):
        op.drop_column("plan", name)
