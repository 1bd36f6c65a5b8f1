"""Routers that are there already: their rows become ours by REST, too, and what they are is shown as an intent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0042_adoption_by_rest"
down_revision = "0041_changes_in_words"
branch_labels = None
depends_on = None

_COLUMNS = ("to_own", "intent", "owned", "owned_intent")


def upgrade() -> None:
    asked = sa.Enum("look", "take", "own", "own_intent", name="asked", native_enum=False, length=32)
    op.add_column("box_adoption", sa.Column("asked", asked, server_default="look", nullable=False))
    op.execute("UPDATE box_adoption SET asked = 'take' WHERE take")
    op.drop_column("box_adoption", "take")
    for column in _COLUMNS:
        op.add_column("box_adoption", sa.Column(column, JSONB(), server_default="{}", nullable=False))


def downgrade() -> None:
    for column in reversed(_COLUMNS):
        op.drop_column("box_adoption", column)
    op.add_column("box_adoption", sa.Column("take", sa.Boolean(), server_default="false", nullable=False))
    op.execute("UPDATE box_adoption SET take = asked = 'take'")
    # whoever asked for what that version does not know is told that it is only looked at
    op.drop_column("box_adoption", "asked")
