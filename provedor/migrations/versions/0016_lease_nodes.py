"""Who waits for an address, nodes that are gone for good, and prefixes found among services' own by index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_lease_nodes"
down_revision = "0015_quota"
branch_labels = None
depends_on = None

_PREFIXES = ("ipv6_prefix", "delegated_ipv6_prefix")


def upgrade() -> None:
    op.create_table(
        "lease_wait",
        sa.Column("pool_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "service_id", name="pk_lease_wait"),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["address_pool.id"], name="fk_lease_wait_pool_id_address_pool", ondelete="CASCADE"
        ),
    )
    op.add_column("radius_node", sa.Column("forgotten_at", sa.DateTime(timezone=True)))
    # Until now, a node that was silent for so long was not waited for: such a one may never come back.
    op.execute("UPDATE radius_node SET forgotten_at = now() WHERE seen_at < now() - interval '7800 seconds'")
    for name in _PREFIXES:
        op.create_index(f"ix_service_{name}", "service", [name], postgresql_where=sa.text(f"{name} IS NOT NULL"))


def downgrade() -> None:
    for name in _PREFIXES:
        op.drop_index(f"ix_service_{name}", "service")
    op.drop_column("radius_node", "forgotten_at")
    op.drop_table("lease_wait")
