"""Changes of plan, now or on a day, and pauses that customers ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029_plan_changes"
down_revision = "0028_follow"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _of_service(table: str) -> list[sa.schema.SchemaItem]:
    """What the two tables share: whose, who asked, and when."""
    return [
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("created_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("withdrawn_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        _reference(table, "contract_id", "contract", "CASCADE"),
        _reference(table, "service_id", "service", "CASCADE"),
    ]


def _reference(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{target}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], ondelete=ondelete, name=name)


def upgrade() -> None:
    op.create_table(
        "plan_change",
        *_of_service("plan_change"),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("old_plan_id", sa.BigInteger(), nullable=False),
        sa.Column("new_plan_id", sa.BigInteger(), nullable=False),
        sa.Column("old_cents", sa.BigInteger(), nullable=False),
        sa.Column("new_cents", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", _WHEN),
        sa.Column("error", sa.Text()),
        _reference("plan_change", "old_plan_id", "plan"),
        _reference("plan_change", "new_plan_id", "plan"),
    )
    op.create_index(
        "uq_plan_change_service_id", "plan_change", ["service_id", "on"], unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )  # fmt: skip
    op.create_index("ix_plan_change_contract_id", "plan_change", ["contract_id"])
    op.create_index(
        "ix_plan_change_planned", "plan_change", ["on"],
        postgresql_where=sa.text("applied_at IS NULL AND withdrawn_at IS NULL AND error IS NULL"),
    )  # fmt: skip
    op.create_table(
        "pause",
        *_of_service("pause"),
        sa.Column("start", sa.Date(), nullable=False),
        sa.Column("end", sa.Date(), nullable=False),
        sa.Column("hold_id", sa.BigInteger()),
        sa.Column("ended_at", _WHEN),
        sa.Column("charged_from", sa.Date()),
        _reference("pause", "hold_id", "hold"),
    )
    op.create_index("ix_pause_service_id", "pause", ["service_id"])
    op.create_index("ix_pause_contract_id", "pause", ["contract_id"])
    op.create_index(
        "ix_pause_open", "pause", ["start"], postgresql_where=sa.text("ended_at IS NULL AND withdrawn_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("pause")
    op.drop_table("plan_change")
