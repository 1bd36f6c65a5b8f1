"""Invoices of our own: how they are made, the periods that were invoiced, extras, discounts and credits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030_invoicing"
down_revision = "0026_incidents"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, _WHEN, server_default=sa.text("now()"), nullable=False)


def _cents(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _reference(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, ondelete=ondelete)


def upgrade() -> None:
    _terms()
    _periods()
    _adjustments()
    op.add_column("invoice", sa.Column("fine_bp", sa.Integer(), server_default="200", nullable=False))
    op.add_column("invoice", sa.Column("interest_bp_month", sa.Integer(), server_default="100", nullable=False))
    op.add_column("charge", _cents("surcharge_cents"))
    # What a service costs is a price of its contract; who was sold one before has his plan's.
    op.execute(
        "INSERT INTO contract_item (contract_id, service_id, price_cents) SELECT s.contract_id, s.id, p.price_cents "
        "FROM service s JOIN plan p ON p.id = s.plan_id WHERE s.status <> 'cancelled' AND p.price_cents > 0 "
        "AND NOT EXISTS (SELECT FROM contract_item i WHERE i.contract_id = s.contract_id)"
    )


def _terms() -> None:
    op.create_table(
        "invoicing_terms",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("default_for", sa.String(32)),
        sa.Column("timing", sa.String(32), nullable=False),
        sa.Column("lead_days", sa.SmallInteger(), nullable=False),
        sa.Column("fine_bp", sa.Integer(), nullable=False),
        sa.Column("interest_bp_month", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger()),
        sa.Column("pix_key", sa.Text()),
        sa.Column("pix_name", sa.Text()),
        sa.Column("pix_city", sa.Text()),
        sa.Column("notice", sa.Text()),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoicing_terms")),
        sa.UniqueConstraint("name", name=op.f("uq_invoicing_terms_name")),
        sa.UniqueConstraint("default_for", name=op.f("uq_invoicing_terms_default_for")),
        _reference("invoicing_terms", "account_id", "gateway_account"),
    )
    op.add_column("contract_billing", sa.Column("invoicing_terms_id", sa.BigInteger()))
    op.add_column("contract_billing", sa.Column("invoiced_since", sa.Date()))
    op.add_column("contract_billing", sa.Column("invoicing_error", sa.Text()))
    op.add_column("contract_billing", sa.Column("settled_at", _WHEN))
    op.create_foreign_key(
        op.f("fk_contract_billing_invoicing_terms_id_invoicing_terms"), "contract_billing", "invoicing_terms",
        ["invoicing_terms_id"], ["id"],
    )  # fmt: skip


def _periods() -> None:
    op.create_table(
        "billed_period",
        _id(),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Date(), nullable=False) for name in ("start", "end", "cycle_start", "cycle_end")),
        sa.Column("invoice_id", sa.BigInteger()),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("charged_cents", sa.BigInteger(), nullable=False),
        _cents("corrected_cents"),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        _now("created_at"),
        sa.Column("cancelled_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billed_period")),
        sa.UniqueConstraint("invoice_id", name=op.f("uq_billed_period_invoice_id")),
        _reference("billed_period", "contract_id", "contract", ondelete="CASCADE"),
        _reference("billed_period", "invoice_id", "invoice"),
    )
    op.create_index(
        "uq_billed_period_contract_id", "billed_period", ["contract_id", "start"], unique=True,
        postgresql_where=sa.text("cancelled_at IS NULL"),
    )  # fmt: skip


def _adjustments() -> None:
    op.create_table(
        "contract_adjustment",
        _id(),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text_pt", sa.Text(), nullable=False),
        sa.Column("text_en", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger()),
        sa.Column("percent_bp", sa.Integer()),
        sa.Column("valid_from", sa.Date()),
        sa.Column("valid_until", sa.Date()),
        _cents("used_cents"),
        sa.Column("billed_period_id", sa.BigInteger()),
        sa.Column("corrects_period_id", sa.BigInteger()),
        sa.Column("given_by", sa.Text(), nullable=False),
        _now("created_at"),
        sa.Column("withdrawn_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_adjustment")),
        sa.CheckConstraint("(kind = 'discount') OR amount_cents IS NOT NULL", name="amount"),
        sa.CheckConstraint("amount_cents IS NULL OR percent_bp IS NULL", name="one_measure"),
        _reference("contract_adjustment", "contract_id", "contract", ondelete="CASCADE"),
        _reference("contract_adjustment", "billed_period_id", "billed_period"),
        _reference("contract_adjustment", "corrects_period_id", "billed_period"),
    )
    op.create_index("ix_contract_adjustment_contract_id", "contract_adjustment", ["contract_id"])
    op.create_index("ix_contract_adjustment_billed_period_id", "contract_adjustment", ["billed_period_id"])


def downgrade() -> None:
    op.drop_column("charge", "surcharge_cents")
    for name in ("fine_bp", "interest_bp_month"):
        op.drop_column("invoice", name)
    op.drop_table("contract_adjustment")
    op.drop_table("billed_period")
    for name in ("invoicing_terms_id", "invoiced_since", "invoicing_error", "settled_at"):
        op.drop_column("contract_billing", name)
    op.drop_table("invoicing_terms")
