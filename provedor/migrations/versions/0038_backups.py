"""Backups of boxes' configurations, what boxes' users did, drills, credentials, and certificates that were shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0038_backups"
down_revision = "0037_napalm"
branch_labels = None
depends_on = None

_WHY = ("schedule", "before_change", "after_change", "drift", "asked")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "device_backup",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), _nas(), nullable=False),
        sa.Column("taken_at", moment, nullable=False),
        sa.Column("same_until", moment, nullable=False),
        sa.Column("why", sa.Enum(*_WHY, name="why", native_enum=False, length=32), nullable=False),
        sa.Column("job_id", sa.BigInteger(), sa.ForeignKey("provisioning_job.id", ondelete="SET NULL")),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("read_by", sa.Enum("export", "rows", name="readby", native_enum=False, length=32), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("octets", sa.Integer(), nullable=False),
        sa.Column("text_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("left_out", JSONB(), server_default="[]", nullable=False),
        sa.Column("changed_since", moment),
        sa.Column("changes", JSONB()),
        sa.Column("changed_by", JSONB(), server_default="[]", nullable=False),
    )
    op.create_index("ix_device_backup_nas", "device_backup", ["nas_id", "id"])
    op.create_table(
        "device_action",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), _nas(), nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.UniqueConstraint("nas_id", "source", "row", "by", "action"),
    )
    op.create_table(
        "backup_state",
        sa.Column("nas_id", sa.BigInteger(), _nas(), primary_key=True, autoincrement=False),
        sa.Column("checked_at", moment),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("claimed_until", moment),
        sa.Column("error", sa.Text()),
    )
    op.create_table(
        "restore_drill",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), _nas(), nullable=False),
        sa.Column("backup_id", sa.BigInteger(), sa.ForeignKey("device_backup.id", ondelete="CASCADE"), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("done_at", moment),
        sa.Column("ok", sa.Boolean()),
        sa.Column("commands", sa.Integer()),
        sa.Column("not_played", JSONB()),
        sa.Column("differences", JSONB()),
    )
    op.create_index("ix_restore_drill_nas", "restore_drill", ["nas_id", "id"])
    op.create_table(
        "device_credential",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("password_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("next_password_encrypted", sa.LargeBinary()),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", moment, server_default=sa.func.now(), nullable=False),
    )
    op.add_column("nas", sa.Column("routeros_next_password_encrypted", sa.LargeBinary()))
    op.create_table(
        "password_rotation",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("nas_id", sa.BigInteger(), _nas(), nullable=False),
        sa.Column("credential_id", sa.BigInteger(), sa.ForeignKey("device_credential.id", ondelete="CASCADE")),
        sa.Column("state", sa.Enum("waiting", "running", "done", name="rotationstate", native_enum=False, length=32),
                  nullable=False),
        sa.Column("created_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("claimed_until", moment),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("finished_at", moment),
    )  # fmt: skip
    op.create_index("ix_password_rotation_nas", "password_rotation", ["nas_id", "id"])
    op.create_index(
        "ix_password_rotation_due", "password_rotation", ["due_at"], postgresql_where=sa.text("state <> 'done'")
    )
    op.create_table(
        "shown_certificate",
        sa.Column("nas_id", sa.BigInteger(), _nas(), primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text()),
        sa.Column("since", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("shown_certificate")
    op.drop_table("password_rotation")
    op.drop_column("nas", "routeros_next_password_encrypted")
    op.drop_table("device_credential")
    op.drop_table("restore_drill")
    op.drop_table("backup_state")
    op.drop_table("device_action")
    op.drop_table("device_backup")


def _nas() -> sa.ForeignKey:
    return sa.ForeignKey("nas.id", ondelete="CASCADE")
