"""Policies of debts as data, holidays, promises, messages with their proof, and what a run decided of each contract."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025_dunning"
down_revision = "0024_bank_files"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, _WHEN, server_default=sa.text("now()"), nullable=False)


def _versioned() -> list[sa.Column[object]]:
    version: sa.Column[object] = sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
    return [version, _now("created_at"), _now("updated_at")]


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), nullable=False)


def _of_contract(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contract.id"], ondelete="CASCADE", name=op.f(f"fk_{table}_contract_id_contract")
        ),
    ]


def upgrade() -> None:
    _policies()
    _promises_and_messages()
    _runs()


def _policies() -> None:
    op.create_table(
        "billing_policy",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        _json("body"),
        sa.Column("default_for", sa.String(32)),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_policy")),
        sa.UniqueConstraint("name", name=op.f("uq_billing_policy_name")),
        sa.UniqueConstraint("default_for", name=op.f("uq_billing_policy_default_for")),
    )
    op.create_table(
        "contract_billing",
        *_of_contract("contract_billing"),
        sa.Column("policy_id", sa.BigInteger()),
        sa.Column("exemption", sa.Text()),
        sa.Column("exemption_review_on", sa.Date()),
        sa.Column("restricted_since", _WHEN),
        sa.Column("termination_proposed_at", _WHEN),
        *_versioned(),
        sa.PrimaryKeyConstraint("contract_id", name=op.f("pk_contract_billing")),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["billing_policy.id"], name=op.f("fk_contract_billing_policy_id_billing_policy")
        ),
    )
    # Who is restricted already goes on counting from there.
    op.execute(
        "INSERT INTO contract_billing (contract_id, restricted_since) SELECT s.contract_id, min(h.placed_at) "
        "FROM hold h JOIN service s ON s.id = h.service_id WHERE h.reason = 'billing' AND h.lifted_at IS NULL "
        "GROUP BY s.contract_id"
    )
    op.create_table(
        "holiday",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.SmallInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger()),
        sa.Column("state", sa.Text()),
        sa.Column("ibge_code", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holiday")),
    )


def _promises_and_messages() -> None:
    op.create_table(
        "promise",
        _id(),
        *_of_contract("promise"),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("invoice_id", sa.BigInteger()),
        sa.Column("until", _WHEN, nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text()),
        _now("created_at"),
        sa.Column("withdrawn_at", _WHEN),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promise")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.id"], ondelete="CASCADE", name=op.f("fk_promise_invoice_id_invoice")
        ),
    )
    op.create_index("ix_promise_contract_id", "promise", ["contract_id", "until"])
    op.create_table(
        "debt_message",
        _id(),
        *_of_contract("debt_message"),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("is_notice", sa.Boolean(), nullable=False),
        sa.Column("text_en", sa.Text(), nullable=False),
        sa.Column("text_pt", sa.Text(), nullable=False),
        _now("created_at"),
        sa.Column("reached_at", _WHEN),
        sa.Column("proof", sa.String(32)),
        sa.Column("evidence", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_debt_message")),
        sa.UniqueConstraint("invoice_id", "step", name=op.f("uq_debt_message_invoice_id_step")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.id"], ondelete="CASCADE", name=op.f("fk_debt_message_invoice_id_invoice")
        ),
    )
    op.create_index("ix_debt_message_contract_id", "debt_message", ["contract_id"])


def _runs() -> None:
    op.add_column("billing_run", sa.Column("messages", sa.Integer(), server_default="0", nullable=False))
    op.add_column("billing_run", sa.Column("forced_by", sa.Text()))
    op.create_table(
        "billing_decision",
        _id(),
        *_of_contract("billing_decision"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("step", sa.Text()),
        sa.Column("invoice_id", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_pt", sa.Text(), nullable=False),
        _json("service_ids"),
        sa.Column("done_at", _WHEN),
        sa.Column("outcome", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_decision")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["billing_run.id"], ondelete="CASCADE", name=op.f("fk_billing_decision_run_id_billing_run")
        ),
    )
    op.create_index("ix_billing_decision_run_id", "billing_decision", ["run_id"])
    op.create_index("ix_billing_decision_contract_id", "billing_decision", ["contract_id", "id"])
    op.execute(
        "INSERT INTO billing_decision (run_id, contract_id, action, policy, reason, reason_pt, service_ids, done_at) "
        "SELECT r.id, (c ->> 'contract_id')::bigint, c ->> 'action', 'Anatel 765', c ->> 'reason', c ->> 'reason_pt', "
        "c -> 'service_ids', r.finished_at FROM billing_run r, jsonb_array_elements(r.decisions -> 'changes') AS c "
        "WHERE EXISTS (SELECT FROM contract k WHERE k.id = (c ->> 'contract_id')::bigint)"
    )
    op.drop_column("billing_run", "decisions")


def downgrade() -> None:
    op.add_column("billing_run", sa.Column("decisions", postgresql.JSONB(), server_default="{}", nullable=False))
    op.alter_column("billing_run", "decisions", server_default=None)
    for name in ("messages", "forced_by"):
        op.drop_column("billing_run", name)
    for table in ("billing_decision", "debt_message", "promise", "holiday", "contract_billing", "billing_policy"):
        op.drop_table(table)
