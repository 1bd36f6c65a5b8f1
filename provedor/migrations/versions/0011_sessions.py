"""Sessions: totals that know turns of 32 bits, views and services of a line, limits by plan, and what silence means."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_sessions"
down_revision = "0010_connection_log"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_LIVE = sa.text("stopped_at IS NULL")
_TIED = sa.text("multi_session_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("session", sa.Column("input_base", sa.BigInteger(), server_default="0", nullable=True))
    op.add_column("session", sa.Column("output_base", sa.BigInteger(), server_default="0", nullable=True))
    op.add_column("session", sa.Column("kind", sa.String(32), server_default="line", nullable=False))
    op.add_column("session", sa.Column("multi_session_id", sa.Text(), nullable=True))
    op.add_column("session", sa.Column("verified_at", _TIME, nullable=True))
    op.create_index("ix_session_multi", "session", ["nas_id", "box", "multi_session_id"], postgresql_where=_TIED)
    op.drop_index("ix_session_active_service", table_name="session", postgresql_where=_LIVE)
    op.create_index("ix_session_active_service", "session", ["service_id", "id"], postgresql_where=_LIVE)
    for name in ("input_packets", "output_packets"):
        op.add_column("accounting_record", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("spool_position", sa.Column("shipped_until", _TIME, nullable=True))
    op.create_table(
        "box",
        sa.Column("nas_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("heard_at", _TIME, nullable=False),
        sa.Column("interim_seconds", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("nas_id", "box", name=op.f("pk_box")),
    )
    op.execute(
        "INSERT INTO box (nas_id, box, heard_at) "
        "SELECT nas_id, box, max(updated_at) FROM session WHERE stopped_at IS NULL GROUP BY nas_id, box"
    )
    op.add_column("plan", sa.Column("session_limit", sa.Integer(), nullable=True))
    op.add_column("plan", sa.Column("session_limit_strict", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(op.f("ck_plan_session_limit"), "plan", "session_limit > 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_plan_session_limit"), "plan")
    op.drop_column("plan", "session_limit_strict")
    op.drop_column("plan", "session_limit")
    op.drop_table("box")
    op.drop_column("spool_position", "shipped_until")
    op.drop_column("accounting_record", "output_packets")
    op.drop_column("accounting_record", "input_packets")
    op.drop_index("ix_session_active_service", table_name="session", postgresql_where=_LIVE)
    op.create_index("ix_session_active_service", "session", ["service_id"], postgresql_where=_LIVE)
    op.drop_index("ix_session_multi", table_name="session", postgresql_where=_TIED)
    for name in ("verified_at", "multi_session_id", "kind", "output_base", "input_base"):
        op.drop_column("session", name)
