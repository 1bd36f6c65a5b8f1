"""Accounts at gateways whose API is asked, and what a payment consists of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_gateways"
down_revision = "0022_log_by_statement"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "gateway_account", sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("gateway_account", sa.Column("credentials_encrypted", sa.LargeBinary()))
    op.add_column("gateway_account", sa.Column("reconciled_at", _WHEN))
    op.add_column("gateway_account", sa.Column("alarm", sa.Text()))
    op.add_column("inbox_entry", sa.Column("found", sa.Boolean(), server_default="false", nullable=False))
    for name in ("surcharge_cents", "discount_cents", "refunded_cents"):
        op.add_column("payment", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("payment", sa.Column("settled_at", _WHEN))
    op.add_column("payment", sa.Column("net_cents", sa.BigInteger()))
    op.create_check_constraint(
        op.f("ck_payment_parts"), "payment", "surcharge_cents BETWEEN 0 AND amount_cents AND discount_cents >= 0"
    )
    op.create_table(
        "charge",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("status", sa.String(32), server_default="ordered", nullable=False),
        sa.Column("charge_id", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
        sa.UniqueConstraint("account_id", "charge_id", name=op.f("uq_charge_account_id_charge_id")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.id"], ondelete="CASCADE", name=op.f("fk_charge_invoice_id_invoice")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["gateway_account.id"], name=op.f("fk_charge_account_id_gateway_account")
        ),
    )
    op.create_index("ix_charge_invoice_id", "charge", ["invoice_id"])


def downgrade() -> None:
    op.drop_table("charge")
    op.drop_column("inbox_entry", "found")
    for name in ("surcharge_cents", "discount_cents", "refunded_cents", "settled_at", "net_cents"):
        op.drop_column("payment", name)
    for name in ("settings", "credentials_encrypted", "reconciled_at", "alarm"):
        op.drop_column("gateway_account", name)
