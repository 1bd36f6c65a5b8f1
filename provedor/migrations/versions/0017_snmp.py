"""How a NAS's SNMP agent is asked whether a session lives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision = "0017_snmp"
down_revision = "0016_lease_nodes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nas", sa.Column("snmp", JSONB(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("nas", sa.Column("snmp_secret_encrypted", BYTEA()))


def downgrade() -> None:
    op.drop_column("nas", "snmp_secret_encrypted")
    op.drop_column("nas", "snmp")
