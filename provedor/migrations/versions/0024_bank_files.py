"""Files of banks and their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024_bank_files"
down_revision = "0023_gateways"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)
_EMPTY = sa.text("'{}'")
_OPEN = sa.text("status IN ('waiting', 'awaits_payment')")


def upgrade() -> None:
    op.create_table(
        "bank_file",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("digest", "name", "format", "layout", "bank", "account", "company_document")
        ),
        sa.Column("period_from", sa.Date()),
        sa.Column("period_until", sa.Date()),
        sa.Column("lines_new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lines_repeated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problems", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("imported_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_file")),
        sa.UniqueConstraint("digest", name=op.f("uq_bank_file_digest")),
    )
    op.create_table(
        "bank_file_line",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("bank", "account", "title", "occurrence")),
        *(
            sa.Column(f"{name}_cents", sa.BigInteger(), nullable=name == "net")
            for name in ("paid", "nominal", "interest", "discount", "rebate", "fee", "net")
        ),
        *(sa.Column(f"{name}_on", sa.Date()) for name in ("occurred", "credited", "due")),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("document", "reference", "payer_name", "payer_document", "check_number", "memo", "method")
        ),
        sa.Column("reason", sa.Text()),
        sa.Column("suggestions", postgresql.JSONB(), server_default=_EMPTY, nullable=False),
        sa.Column("invoice_id", sa.BigInteger()),
        sa.Column("payment_id", sa.BigInteger()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_file_line")),
        sa.UniqueConstraint("identity", name=op.f("uq_bank_file_line_identity")),
        sa.ForeignKeyConstraint(["file_id"], ["bank_file.id"], name=op.f("fk_bank_file_line_file_id_bank_file")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_bank_file_line_invoice_id_invoice")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_bank_file_line_payment_id_payment")),
    )
    op.create_index("ix_bank_file_line_file_id", "bank_file_line", ["file_id", "number"])
    op.create_index("ix_bank_file_line_title", "bank_file_line", ["bank", "account", "title"])
    op.create_index("ix_bank_file_line_open", "bank_file_line", ["id"], postgresql_where=_OPEN)
    for name in ("invoice_id", "payment_id"):
        op.create_index(op.f(f"ix_bank_file_line_{name}"), "bank_file_line", [name])


def downgrade() -> None:
    op.drop_table("bank_file_line")
    op.drop_table("bank_file")
