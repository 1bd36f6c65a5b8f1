"""The connection log is read by when a holding ended: most of what began before a moment has ended before it, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_log_by_end"
down_revision = "0019_given"
branch_labels = None
depends_on = None

_END = sa.text("coalesce(ended_at, 'infinity'::timestamptz)")
_PLACES = (
    ("address_use", "address", ["started_at", "ended_at", "id"], ["ended_at", "id"]),
    (
        "port_block", "outside", ["started_at", "port_first", "port_last", "ended_at", "id"],
        ["port_first", "port_last", "ended_at", "id"],
    ),
)  # fmt: skip


def upgrade() -> None:
    for table, column, include, _ in _PLACES:
        op.drop_index(f"ix_{table}_{column}", table)
        op.create_index(f"ix_{table}_{column}", table, [column, _END], postgresql_include=include)


def downgrade() -> None:
    for table, column, _, include in _PLACES:
        op.drop_index(f"ix_{table}_{column}", table)
        op.create_index(f"ix_{table}_{column}", table, [column, "started_at"], postgresql_include=include)
