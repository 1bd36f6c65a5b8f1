"""Accounting costs fewer indexes: an Interim-Update changes none, a record none but its key's."""

from __future__ import annotations

from alembic import op

revision = "0007_session_updates"
down_revision = "0006_box_restart"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_session_service_started", table_name="session")
    op.create_index("ix_session_service", "session", ["service_id", "id"])
    op.execute("ALTER TABLE session SET (fillfactor = 50)")
    op.drop_index("ix_accounting_record_session", table_name="accounting_record")


def downgrade() -> None:
    op.create_index("ix_accounting_record_session", "accounting_record", ["nas_id", "acct_session_id"])
    op.execute("ALTER TABLE session SET (fillfactor = 70)")
    op.drop_index("ix_session_service", table_name="session")
    op.create_index("ix_session_service_started", "session", ["service_id", "started_at"])
