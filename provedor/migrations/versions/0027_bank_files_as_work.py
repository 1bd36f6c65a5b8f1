"""Bank files are stored before they are read, and their lines are work; money told by two; mappings; expected files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027_bank_files_as_work"
down_revision = "0026_incidents"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, _WHEN, server_default=sa.text("now()"), nullable=False)


def _versioned() -> list[sa.Column[object]]:
    version: sa.Column[object] = sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
    return [version, _now("created_at"), _now("updated_at")]


def upgrade() -> None:
    _payments()
    _files()
    _lines()
    _mappings()
    _expected()


def _payments() -> None:
    for name in ("also_gateway", "also_id", "doubt", "doubt_pt"):
        op.add_column("payment", sa.Column(name, sa.Text()))
    op.create_index(
        "uq_payment_also", "payment", ["also_gateway", "also_id"], unique=True,
        postgresql_where=sa.text("also_id IS NOT NULL"),
    )  # fmt: skip


def _files() -> None:
    """Files from before were done when they were stored, and their octets were not kept."""
    op.add_column("bank_file", sa.Column("status", sa.String(32), server_default="done", nullable=False))
    op.add_column("bank_file", sa.Column("octets", postgresql.BYTEA(), server_default="", nullable=False))
    op.add_column("bank_file", sa.Column("how", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("bank_file", sa.Column("written_on", sa.Date()))
    op.add_column("bank_file", sa.Column("finished_at", _WHEN))
    op.execute("UPDATE bank_file SET finished_at = imported_at")
    for name in ("status", "octets", "how"):
        op.alter_column("bank_file", name, server_default=None)


def _lines() -> None:
    op.drop_column("bank_file_line", "suggestions")
    op.add_column("bank_file_line", sa.Column("due_file_id", sa.BigInteger()))
    op.create_foreign_key(
        op.f("fk_bank_file_line_due_file_id_bank_file"), "bank_file_line", "bank_file", ["due_file_id"], ["id"]
    )
    for name in ("end_to_end_id", "boleto_key"):
        op.add_column("bank_file_line", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("bank_file_line", sa.Column("reason_pt", sa.Text()))
    op.create_index(
        "ix_bank_file_line_due", "bank_file_line", ["due_file_id", "id"],
        postgresql_where=sa.text("due_file_id IS NOT NULL"),
    )  # fmt: skip

    _statement_lines()


def _statement_lines() -> None:
    """An entry of a statement is known by what it says as well: banks give one id to several. Its payment follows."""
    op.execute(
        "WITH line AS (UPDATE bank_file_line SET identity = identity || '/' || "
        "left(encode(sha256(convert_to(payer_name || E'\\n' || memo, 'UTF8')), 'hex'), 12) "
        "WHERE occurrence = '' RETURNING payment_id, identity) "
        "UPDATE payment SET external_id = line.identity FROM line WHERE payment.id = line.payment_id "
        "AND payment.account_id = 0 AND line.identity LIKE payment.external_id || '/%'"
    )


def _mappings() -> None:
    op.create_table(
        "bank_mapping",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_mapping")),
        sa.UniqueConstraint("name", name=op.f("uq_bank_mapping_name")),
    )


def _expected() -> None:
    op.create_table(
        "expected_bank_file",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("weekdays", postgresql.JSONB(), nullable=False),
        sa.Column("hour", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expected_bank_file")),
        sa.UniqueConstraint("bank", "account", name=op.f("uq_expected_bank_file_bank_account")),
    )


def downgrade() -> None:
    op.drop_table("expected_bank_file")
    op.drop_table("bank_mapping")
    op.add_column(
        "bank_file_line", sa.Column("suggestions", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
    )
    op.drop_index("ix_bank_file_line_due", "bank_file_line")
    for name in ("due_file_id", "end_to_end_id", "boleto_key", "reason_pt"):
        op.drop_column("bank_file_line", name)
    for name in ("status", "octets", "how", "written_on", "finished_at"):
        op.drop_column("bank_file", name)
    op.drop_index("uq_payment_also", "payment")
    for name in ("also_gateway", "also_id", "doubt", "doubt_pt"):
        op.drop_column("payment", name)
