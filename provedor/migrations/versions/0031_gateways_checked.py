"""What is wrong soon with a gateway account, which found payments a webhook told after all, and when it told last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031_gateways_checked"
down_revision = "0030_invoicing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("gateway_account", sa.Column("warning", sa.Text()))
    op.add_column("inbox_entry", sa.Column("told_at", sa.DateTime(timezone=True)))
    op.create_index("ix_inbox_entry_account_id", "inbox_entry", ["account_id", "received_at"])
    op.create_index(
        "ix_inbox_entry_untold", "inbox_entry", ["account_id"], postgresql_where=sa.text("found AND told_at IS NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_entry_untold", "inbox_entry")
    op.drop_index("ix_inbox_entry_account_id", "inbox_entry")
    op.drop_column("inbox_entry", "told_at")
    op.drop_column("gateway_account", "warning")
