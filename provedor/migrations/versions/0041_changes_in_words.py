"""Provisioning: what a job and a look would change, as structures from which it is said in words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0041_changes_in_words"
down_revision = "0040_adoption"
branch_labels = None
depends_on = None

_COLUMNS = (("provisioning_job", "changes"), ("bras_intent", "drift_changes"))


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    for table, column in reversed(_COLUMNS):
        op.drop_column(table, column)
