"""An event feed that skips nothing, payments by the account they came through, billing runs in chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_money_and_feed"
down_revision = "0007_session_updates"
branch_labels = None
depends_on = None

_TRANSACTION = sa.text("((pg_current_xact_id())::text)::bigint")
_WAITING = sa.text("status = 'waiting'")
_EXTERNAL = sa.text("external_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("event", sa.Column("transaction_id", sa.BigInteger(), server_default=_TRANSACTION, nullable=False))
    op.create_index("ix_event_feed", "event", ["transaction_id", "id"])
    _payments_by_account()
    op.drop_index("ix_inbox_entry_waiting", table_name="inbox_entry", postgresql_where=_WAITING)
    op.create_index("ix_inbox_entry_waiting", "inbox_entry", ["account_id", "awaits"], postgresql_where=_WAITING)
    op.add_column("gateway_account", sa.Column("previous_valid_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("billing_run", sa.Column("chunks_left", sa.Integer(), server_default="0", nullable=False))
    op.add_column("billing_run", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE billing_run SET finished_at = at")
    op.alter_column("contract_item", "description", nullable=True)


def _payments_by_account() -> None:
    """Until now a gateway had one namespace; its first account keeps what came."""
    op.add_column("payment", sa.Column("account_id", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE payment SET account_id = coalesce("
        "(SELECT min(a.id) FROM gateway_account a WHERE a.gateway = payment.gateway), 0) WHERE external_id IS NOT NULL"
    )
    op.drop_constraint("uq_payment_gateway_external_id", "payment")
    op.create_unique_constraint(op.f("uq_payment_account_id_external_id"), "payment", ["account_id", "external_id"])
    op.create_check_constraint(op.f("ck_payment_external"), "payment", "(account_id IS NULL) = (external_id IS NULL)")
    op.add_column("invoice", sa.Column("external_account_id", sa.BigInteger(), nullable=True))
    op.drop_constraint("uq_invoice_external_gateway_external_id", "invoice")
    op.create_index(
        "uq_invoice_external", "invoice", ["external_gateway", "external_account_id", "external_id"], unique=True,
        postgresql_where=_EXTERNAL, postgresql_nulls_not_distinct=True,
    )  # fmt: skip


def downgrade() -> None:
    op.execute("UPDATE contract_item SET description = '' WHERE description IS NULL")
    op.alter_column("contract_item", "description", nullable=False)
    op.drop_column("billing_run", "finished_at")
    op.drop_column("billing_run", "chunks_left")
    op.drop_column("gateway_account", "previous_valid_until")
    op.drop_index("ix_inbox_entry_waiting", table_name="inbox_entry", postgresql_where=_WAITING)
    op.create_index("ix_inbox_entry_waiting", "inbox_entry", ["gateway", "awaits"], postgresql_where=_WAITING)
    op.drop_index("uq_invoice_external", table_name="invoice", postgresql_where=_EXTERNAL)
    op.drop_column("invoice", "external_account_id")
    op.create_unique_constraint(
        op.f("uq_invoice_external_gateway_external_id"), "invoice", ["external_gateway", "external_id"]
    )
    op.drop_constraint("uq_payment_account_id_external_id", "payment")
    op.drop_column("payment", "account_id")
    op.create_unique_constraint(op.f("uq_payment_gateway_external_id"), "payment", ["gateway", "external_id"])
    op.drop_index("ix_event_feed", table_name="event")
    op.drop_column("event", "transaction_id")
