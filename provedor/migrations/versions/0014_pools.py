"""Pools of our own, their leases, and how far each RADIUS node is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_pools"
down_revision = "0010_connection_log"
branch_labels = None
depends_on = None

_NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "address_pool",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("prefix_length", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("id", name="pk_address_pool"),
        sa.UniqueConstraint("name", name="uq_address_pool_name"),
    )
    op.create_table(
        "pool_range",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("pool_id", sa.BigInteger(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_pool_range"),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["address_pool.id"], name="fk_pool_range_pool_id_address_pool", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("network", name="uq_pool_range_network"),
    )
    op.create_index("ix_pool_range_pool_id", "pool_range", ["pool_id"])
    op.create_table(
        "address_lease",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("pool_id", sa.BigInteger(), nullable=False),
        sa.Column("range_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("service_id", sa.BigInteger()),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("revoked_revision", sa.BigInteger()),
        sa.Column("confirmed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_address_lease"),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["address_pool.id"], name="fk_address_lease_pool_id_address_pool", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["range_id"], ["pool_range.id"], name="fk_address_lease_range_id_pool_range", ondelete="CASCADE"
        ),
        sa.CheckConstraint("(state = 'free') OR (service_id IS NOT NULL)", name="ck_address_lease_holder"),
    )
    op.create_index("uq_address_lease_address", "address_lease", ["pool_id", "address"], unique=True)
    op.create_index(
        "uq_address_lease_service", "address_lease", ["service_id", "pool_id"], unique=True,
        postgresql_where=sa.text("state = 'held'"),
    )  # fmt: skip
    op.create_index(
        "ix_address_lease_free", "address_lease", ["pool_id", "changed_at"],
        postgresql_where=sa.text("state = 'free'"),
    )  # fmt: skip
    op.create_index("ix_address_lease_revoked", "address_lease", ["id"], postgresql_where=sa.text("state = 'revoked'"))
    op.create_table(
        "radius_node",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("name", name="pk_radius_node"),
    )


def downgrade() -> None:
    for table in ("radius_node", "address_lease", "pool_range", "address_pool"):
        op.drop_table(table)
