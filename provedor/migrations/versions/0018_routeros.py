"""Access to the API of RouterOS boxes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision = "0018_routeros"
down_revision = "0017_snmp"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nas", sa.Column("routeros", JSONB(none_as_null=True)))
    op.add_column("nas", sa.Column("routeros_password_encrypted", BYTEA()))
    op.create_check_constraint("routeros", "nas", "(routeros IS NULL) = (routeros_password_encrypted IS NULL)")


def downgrade() -> None:
    op.drop_constraint("routeros", "nas")
    op.drop_column("nas", "routeros_password_encrypted")
    op.drop_column("nas", "routeros")
