"""What a plan says in every vendor's dialect, and what a NAS entry says about its own box."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009_vendors"
down_revision = "0008_money_and_feed"
branch_labels = None
depends_on = None

_TEXTS = (
    "vrf", "ingress_filter", "egress_filter", "ipv6_pool", "delegated_ipv6_pool", "profile", "throttle_profile",
)  # fmt: skip


def upgrade() -> None:
    for name in _TEXTS:
        op.add_column("plan", sa.Column(name, sa.Text()))
    op.add_column("plan", sa.Column("idle_seconds", sa.BigInteger()))
    op.add_column("plan", sa.Column("dns_servers", JSONB(), nullable=False, server_default=sa.text("'[]'")))
    for table, column in (("plan", "vendor_attributes"), ("service", "vendor_attributes"), ("nas", "options")):
        op.add_column(table, sa.Column(column, JSONB(), nullable=False, server_default=sa.text("'{}'")))


def downgrade() -> None:
    for table, column in (("plan", "vendor_attributes"), ("service", "vendor_attributes"), ("nas", "options")):
        op.drop_column(table, column)
    for name in (*_TEXTS, "idle_seconds", "dns_servers"):
        op.drop_column("plan", name)
