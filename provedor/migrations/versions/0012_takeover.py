"""Taking over from another server: home servers, a mode per NAS, what was compared, what was imported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision = "0012_takeover"
down_revision = "0011_sessions"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "home_server",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("auth_port", sa.Integer(), server_default="1812", nullable=False),
        sa.Column("acct_port", sa.Integer(), server_default="1813", nullable=False),
        sa.Column("secret_encrypted", BYTEA(), nullable=False),
        sa.Column("response_window_ms", sa.Integer(), server_default="4000", nullable=False),
        sa.Column("status_server", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("require_message_authenticator", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.UniqueConstraint("name", name=op.f("uq_home_server_name")),
        sa.CheckConstraint(
            "auth_port BETWEEN 1 AND 65535 AND acct_port BETWEEN 1 AND 65535", name=op.f("ck_home_server_ports")
        ),
        sa.CheckConstraint("response_window_ms BETWEEN 100 AND 60000", name=op.f("ck_home_server_response_window")),
    )
    op.add_column("nas", sa.Column("mode", sa.String(32), server_default="serve", nullable=False))
    op.add_column("nas", sa.Column("home_server_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_nas_home_server_id_home_server"), "nas", "home_server", ["home_server_id"], ["id"])
    op.create_check_constraint(op.f("ck_nas_mode"), "nas", "mode = 'serve' OR home_server_id IS NOT NULL")
    op.create_table(
        "takeover_login",
        sa.Column("nas_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("login", sa.Text(), primary_key=True),
        sa.Column("comparisons", sa.BigInteger(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )
    op.create_table(
        "takeover_difference",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("theirs", sa.Text(), nullable=False),
        sa.Column("harmless", sa.Boolean(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.UniqueConstraint(
            "nas_id", "login", "kind", "attribute", name=op.f("uq_takeover_difference_nas_id_login_kind_attribute")
        ),
    )
    op.create_table(
        "imported_row",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("ref_id", sa.BigInteger(), nullable=False),
        sa.Column("values_encrypted", BYTEA(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("imported_row")
    op.drop_table("takeover_difference")
    op.drop_table("takeover_login")
    op.drop_constraint(op.f("ck_nas_mode"), "nas")
    op.drop_constraint(op.f("fk_nas_home_server_id_home_server"), "nas")
    op.drop_column("nas", "home_server_id")
    op.drop_column("nas", "mode")
    op.drop_table("home_server")
