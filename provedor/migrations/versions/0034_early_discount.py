"""Who pays early is let off something: by the terms, as the invoice has it, and as a charge asks for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034_early_discount"
down_revision = "0033_alarms_in_both_languages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("invoice", "charge"):
        op.add_column(table, sa.Column("early_discount_cents", sa.BigInteger(), server_default="0", nullable=False))
        op.add_column(table, sa.Column("early_discount_until", sa.Date()))
    op.create_check_constraint(
        op.f("ck_invoice_early_discount"),
        "invoice",
        "early_discount_cents = 0 AND early_discount_until IS NULL "
        "OR early_discount_cents BETWEEN 1 AND amount_cents - 1 AND early_discount_until IS NOT NULL "
        "AND early_discount_until <= due_date",
    )
    op.add_column("invoicing_terms", sa.Column("early_discount_bp", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "invoicing_terms", sa.Column("early_discount_days", sa.SmallInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    for name in ("early_discount_days", "early_discount_bp"):
        op.drop_column("invoicing_terms", name)
    op.drop_constraint(op.f("ck_invoice_early_discount"), "invoice")
    for table in ("charge", "invoice"):
        for name in ("early_discount_until", "early_discount_cents"):
            op.drop_column(table, name)
