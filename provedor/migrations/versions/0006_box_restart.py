"""When each box last restarted, so that a record from before it may come after it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_box_restart"
down_revision = "0005_inbox_waiting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "box_restart",
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("nas_id", "box", name=op.f("pk_box_restart")),
    )


def downgrade() -> None:
    op.drop_table("box_restart")
