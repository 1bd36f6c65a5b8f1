"""What is wrong with gateway accounts and followed systems is said in Portuguese as well.

What was said before stays as it is until its next reading: while an alarm is there, nobody is restricted.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033_alarms_in_both_languages"
down_revision = "0032_billing_indexes"
branch_labels = None
depends_on = None

_SAID = {"gateway_account": ("alarm", "warning"), "follow_source": ("error", "alarm", "stopped")}


def upgrade() -> None:
    for table, names in _SAID.items():
        for name in names:
            op.add_column(table, sa.Column(f"{name}_pt", sa.Text()))
            op.execute(f"UPDATE {table} SET {name}_pt = {name}")  # noqa: S608  (names of ours)


def downgrade() -> None:
    for table, names in _SAID.items():
        for name in names:
            op.drop_column(table, f"{name}_pt")
