"""Boxes other than RouterOS: how they are managed, what is known of them, and what their jobs need besides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision = "0037_napalm"
down_revision = "0036_local_access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("nas", sa.Column("management", JSONB(none_as_null=True)))
    op.add_column("nas", sa.Column("management_secret_encrypted", BYTEA()))
    op.create_check_constraint("management", "nas", "(management IS NULL) = (management_secret_encrypted IS NULL)")
    op.add_column("provisioning_job", sa.Column("host_key", sa.Text()))
    op.add_column("provisioning_job", sa.Column("cannot_undo", sa.Text()))
    op.create_table(
        "managed_device",
        sa.Column("nas_id", sa.BigInteger(), sa.ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True,
                  autoincrement=False),
        sa.Column("read_at", moment),
        sa.Column("facts", JSONB(), server_default="{}", nullable=False),
        sa.Column("environment", JSONB(), server_default="{}", nullable=False),
        sa.Column("names", JSONB(none_as_null=True)),
        sa.Column("names_read_at", moment),
        sa.Column("refused_host_key", sa.Text()),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("managed_device")
    op.drop_column("provisioning_job", "cannot_undo")
    op.drop_column("provisioning_job", "host_key")
    op.drop_constraint(op.f("ck_nas_management"), "nas")
    op.drop_column("nas", "management_secret_encrypted")
    op.drop_column("nas", "management")
