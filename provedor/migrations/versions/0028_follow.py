"""Other billing systems that are followed: sources, their subscribers, and the contracts that are under their word."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028_follow"
down_revision = "0027_bank_files_as_work"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, _WHEN, server_default=sa.text("now()"), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _json(name: str, default: str | None = "'{}'") -> sa.Column[object]:
    server_default = sa.text(default) if default else None
    return sa.Column(name, postgresql.JSONB(), server_default=server_default, nullable=False)


def _word() -> list[sa.Column[object]]:
    return [
        sa.Column("effect", sa.String(32)),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", _WHEN, nullable=False),
    ]


def _key(table: str, column: str, other: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], ondelete=ondelete, name=op.f(f"fk_{table}_{column}_{other}")
    )


def upgrade() -> None:
    op.create_table(
        "follow_source",
        _id(),
        _text("kind"),
        _text("name"),
        _json("settings"),
        sa.Column("credentials_encrypted", postgresql.BYTEA()),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("mode", sa.String(32), server_default="dry", nullable=False),
        sa.Column("calendar", sa.String(32), server_default="policy", nullable=False),
        sa.Column("every_s", sa.Integer()),
        sa.Column("asked_at", _WHEN),
        sa.Column("claimed_until", _WHEN),
        sa.Column("read_at", _WHEN),
        sa.Column("identified_at", _WHEN),
        sa.Column("error", sa.Text()),
        sa.Column("alarm", sa.Text()),
        sa.Column("stopped", sa.Text()),
        _json("malformed"),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_source")),
        sa.UniqueConstraint("name", name=op.f("uq_follow_source_name")),
    )
    _subscribers()
    op.create_table(
        "followed_contract",
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        *_word(),
        sa.Column("followed_since", _WHEN, nullable=False),
        _text("followed_by"),
        sa.PrimaryKeyConstraint("contract_id", name=op.f("pk_followed_contract")),
        _key("followed_contract", "contract_id", "contract", "CASCADE"),
        _key("followed_contract", "source_id", "follow_source"),
    )
    op.create_index("ix_followed_contract_source_id", "followed_contract", ["source_id"])


def _subscribers() -> None:
    op.create_table(
        "followed_subscriber",
        _id(),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        _text("key"),
        sa.Column("contract_id", sa.BigInteger()),
        sa.Column("matched_by", sa.Text()),
        *_word(),
        _text("name"),
        _text("document"),
        _text("customer_ref"),
        _json("logins", None),
        sa.Column("gone_at", _WHEN),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_followed_subscriber")),
        _key("followed_subscriber", "source_id", "follow_source", "CASCADE"),
        _key("followed_subscriber", "contract_id", "contract", "SET NULL"),
        sa.UniqueConstraint("source_id", "key", name=op.f("uq_followed_subscriber_source_id_key")),
        sa.UniqueConstraint("source_id", "contract_id", name=op.f("uq_followed_subscriber_source_id_contract_id")),
    )
    op.create_index("ix_followed_subscriber_contract_id", "followed_subscriber", ["contract_id"])


def downgrade() -> None:
    for table in ("followed_contract", "followed_subscriber", "follow_source"):
        op.drop_table(table)
