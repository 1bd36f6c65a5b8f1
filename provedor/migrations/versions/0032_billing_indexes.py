"""The relay takes what is due of one queue at a time."""

from __future__ import annotations

from alembic import op

revision = "0032_billing_indexes"
down_revision = "0031_gateways_checked"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_outbox_due", "outbox")
    op.create_index("ix_outbox_due", "outbox", ["queue", "due_at"])


def downgrade() -> None:
    op.drop_index("ix_outbox_due", "outbox")
    op.create_index("ix_outbox_due", "outbox", ["due_at"])
