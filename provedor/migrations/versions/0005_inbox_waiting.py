"""A reversal that came before its payment waits for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_inbox_waiting"
down_revision = "0004_billing"
branch_labels = None
depends_on = None

_WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    op.add_column("inbox_entry", sa.Column("awaits", sa.Text(), nullable=True))
    op.create_index("ix_inbox_entry_waiting", "inbox_entry", ["gateway", "awaits"], postgresql_where=_WAITING)


def downgrade() -> None:
    op.drop_index("ix_inbox_entry_waiting", table_name="inbox_entry", postgresql_where=_WAITING)
    op.drop_column("inbox_entry", "awaits")
