"""Provisioning: what a plan touches and whether it waits for a window, how often a box was asked in vain, and when it
was seen to be as it should be. And SNMP of intents.

Its community is the NAS entry's, and stands in the clear nowhere. It goes out of kept intents, of their audit entries,
and of the commands that jobs and looks show. A name that a box already has stays there; without `snmp` in the NAS
entry the next plan says so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039_provisioning_policy"
down_revision = "0038_backups"
branch_labels = None
depends_on = None

#: (table, column of commands)
_COMMANDS = (("provisioning_job", "commands"), ("bras_intent", "drift"))


def upgrade() -> None:
    for name in ("unanswered", "touched", "removed"):
        op.add_column("provisioning_job", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("provisioning_job", sa.Column("in_window", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("rollout", sa.Column("at_once", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("bras_intent", sa.Column("in_step_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE bras_intent SET in_step_at = checked_at WHERE drift = '[]'")
    op.execute("UPDATE bras_intent SET body = body #- '{management,snmp,community}'")
    op.execute(
        "UPDATE audit_entry SET changes = changes #- '{body,management,snmp,community}' WHERE resource = 'bras_intent'"
    )
    for table, column in _COMMANDS:
        op.execute(_masked(table, column))


def downgrade() -> None:
    """The older version cannot read SNMP without its community: that part is no longer managed by it."""
    op.execute(
        "UPDATE bras_intent SET body = jsonb_set(body, '{management,snmp}', 'null') "
        "WHERE body #> '{management,snmp}' IS NOT NULL"
    )
    op.drop_column("bras_intent", "in_step_at")
    op.drop_column("rollout", "at_once")
    for name in ("in_window", "removed", "touched", "unanswered"):
        op.drop_column("provisioning_job", name)


def _masked(table: str, column: str) -> str:
    one = """CASE WHEN command LIKE '/snmp community %'
                  THEN regexp_replace(command, ' name=[^] ]+', ' name="********"', 'g') ELSE command END"""
    commands = f"jsonb_array_elements_text({column}) WITH ORDINALITY AS of(command, place)"
    return (
        f"UPDATE {table} SET {column} = (SELECT jsonb_agg({one} ORDER BY place) FROM {commands}) "  # noqa: S608
        f"WHERE jsonb_typeof({column}) = 'array' AND {column}::text LIKE '%/snmp community%'"
    )
