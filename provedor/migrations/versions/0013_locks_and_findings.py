"""Locks of services, attempts with what explains them, and what is wrong with a NAS"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013_locks_and_findings"
down_revision = "0012_takeover"
branch_labels = None
depends_on = None

_LOCKS = ("mac_lock", "circuit_lock", "nas_lock")
_LOGIN_KEY = sa.text("lower(btrim(split_part(login, '@', 1)))")


def upgrade() -> None:
    for name in _LOCKS:
        op.add_column("service", sa.Column(name, postgresql.JSONB(none_as_null=True), nullable=True))
    op.create_index(
        "ix_service_mac_lock", "service", ["mac_lock"], postgresql_using="gin",
        postgresql_where=sa.text("mac_lock IS NOT NULL"),
    )  # fmt: skip
    op.create_index("ix_service_login_key", "service", [_LOGIN_KEY], postgresql_where=sa.text("login IS NOT NULL"))
    _attempts()
    op.create_table(
        "nas_finding",
        sa.Column("nas_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("nas_id", "source", "kind", name=op.f("pk_nas_finding")),
    )
    op.create_index("ix_nas_finding_last_at", "nas_finding", ["last_at"])


def _attempts() -> None:
    op.add_column("authentication_attempt", sa.Column("service_id", sa.BigInteger(), nullable=True))
    op.add_column("authentication_attempt", sa.Column("times", sa.Integer(), server_default="1", nullable=False))
    op.add_column(
        "authentication_attempt",
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
    op.drop_index("ix_authentication_attempt_login", table_name="authentication_attempt")
    op.create_index("ix_authentication_attempt_login_key", "authentication_attempt", [_LOGIN_KEY, "id"])


def downgrade() -> None:
    op.drop_table("nas_finding")
    op.drop_index("ix_authentication_attempt_login_key", table_name="authentication_attempt")
    op.create_index("ix_authentication_attempt_login", "authentication_attempt", ["login", "id"])
    op.drop_column("authentication_attempt", "detail")
    op.drop_column("authentication_attempt", "times")
    op.drop_column("authentication_attempt", "service_id")
    op.drop_index("ix_service_login_key", table_name="service")
    op.drop_index("ix_service_mac_lock", table_name="service")
    for name in reversed(_LOCKS):
        op.drop_column("service", name)
