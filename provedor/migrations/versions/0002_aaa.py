"""Accounting, spool positions, attempts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_aaa"
down_revision = "0001_core"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounting_record",
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("dedupe_key", postgresql.BYTEA(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("acct_session_id", sa.Text(), nullable=False),
        sa.Column("accept_id", sa.Text(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("session_seconds", sa.BigInteger(), nullable=False),
        sa.Column("input_octets", sa.BigInteger(), nullable=False),
        sa.Column("output_octets", sa.BigInteger(), nullable=False),
        sa.Column("terminate_cause", sa.SmallInteger(), nullable=True),
        sa.Column("framed_ipv4", sa.Text(), nullable=True),
        sa.Column("delegated_ipv6_prefix", sa.Text(), nullable=True),
        sa.Column("calling_station_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("received_on", "dedupe_key", name=op.f("pk_accounting_record")),
        postgresql_partition_by="RANGE (received_on)",
    )
    op.create_index("ix_accounting_record_session", "accounting_record", ["nas_id", "acct_session_id"], unique=False)
    op.create_table(
        "spool_position",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("spool", sa.Text(), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "spool", name=op.f("pk_spool_position")),
    )
    op.create_table(
        "authentication_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("calling_station_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authentication_attempt")),
    )
    op.create_index("ix_authentication_attempt_login", "authentication_attempt", ["login", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_authentication_attempt_login", table_name="authentication_attempt")
    op.drop_table("authentication_attempt")
    op.drop_table("spool_position")
    op.drop_index("ix_accounting_record_session", table_name="accounting_record")
    op.drop_table("accounting_record")
