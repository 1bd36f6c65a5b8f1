"""Incidents of the network; runs that stopped with their list; decisions with their facts, and reviews of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026_incidents"
down_revision = "0025_dunning"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, _WHEN, server_default=sa.text("now()"), nullable=False)


def _flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(), server_default="false", nullable=False)


def _body(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "incident",
        _id(),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("scope", postgresql.JSONB(), nullable=False),
        sa.Column("confirmed_scope", postgresql.JSONB()),
        _now("opened_at"),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("confirmed_at", _WHEN),
        sa.Column("confirmed_by", sa.Text()),
        sa.Column("expires_at", _WHEN, nullable=False),
        sa.Column("closed_at", _WHEN),
        sa.Column("closed_by", sa.Text()),
        _flag("expiry_told"),
        _flag("expired_told"),
        sa.Column("long_told_at", _WHEN),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("ix_incident_live", "incident", ["expires_at"], postgresql_where=sa.text("closed_at IS NULL"))
    _runs()
    op.create_table(
        "billing_review",
        _id(),
        sa.Column("decision_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("objection", sa.Text()),
        _now("asked_at"),
        sa.Column("noted_by", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(32)),
        sa.Column("remedy", sa.String(32)),
        sa.Column("answer", sa.Text()),
        sa.Column("reviewed_by", sa.Text()),
        sa.Column("reviewed_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_review")),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["billing_decision.id"],
            ondelete="CASCADE",
            name=op.f("fk_billing_review_decision_id_billing_decision"),
        ),
    )
    op.create_index("ix_billing_review_decision_id", "billing_review", ["decision_id"])
    op.create_index(
        "uq_billing_review_open", "billing_review", ["decision_id"], unique=True,
        postgresql_where=sa.text("reviewed_at IS NULL"),
    )  # fmt: skip


def _runs() -> None:
    op.add_column("billing_run", sa.Column("state", sa.String(32), server_default="running", nullable=False))
    op.execute("UPDATE billing_run SET state = 'done' WHERE finished_at IS NOT NULL")
    for name in ("stopped_for", "stopped_reason", "stopped_reason_pt"):
        op.add_column("billing_run", sa.Column(name, sa.Text()))
    op.add_column("billing_run", _body("policies"))
    op.create_index(
        "ix_billing_run_stopped", "billing_run", ["at"], postgresql_where=sa.text("state = 'stopped'")
    )  # fmt: skip
    for name in ("effect", "text_en", "text_pt"):
        op.add_column("billing_decision", sa.Column(name, sa.Text()))
    op.add_column("billing_decision", _body("facts"))


def downgrade() -> None:
    op.drop_table("billing_review")
    for name in ("facts", "text_pt", "text_en", "effect"):
        op.drop_column("billing_decision", name)
    op.drop_index("ix_billing_run_stopped", "billing_run")
    # A run that only asked did nothing, and would look like one whose workers stand still.
    op.execute("DELETE FROM billing_run WHERE state = 'stopped'")
    for name in ("policies", "stopped_reason_pt", "stopped_reason", "stopped_for", "state"):
        op.drop_column("billing_run", name)
    op.drop_table("incident")
