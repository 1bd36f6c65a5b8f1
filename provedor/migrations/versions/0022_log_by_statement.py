"""Who changes many sessions at once tells the connection log in the same statement; a trigger follows everybody else.

With transition tables each Interim-Update, which changes nothing of the log, cost a third more than without.
"""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0022_log_by_statement"
down_revision = "0021_log_at_once"
branch_labels = None
depends_on = None

_FOLLOW = """
CREATE OR REPLACE FUNCTION follow_sessions(
  ids bigint[], all_began timestamptz[], all_begin timestamptz[], all_ended timestamptz[], all_how text[],
  all_services bigint[], all_logins text[], all_devices text[], all_moved boolean[]) RETURNS void LANGUAGE plpgsql
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  IF ids IS NULL THEN
    RETURN;
  END IF;
  UPDATE address_use u SET
    started_at = CASE WHEN u.started_at = s.began THEN s.begins ELSE u.started_at END,
    ended_at = CASE WHEN u.end_kind = 'changed' THEN u.ended_at ELSE s.ended END,
    end_kind = CASE WHEN u.end_kind = 'changed' THEN u.end_kind ELSE s.how END,
    service_id = s.service, login = s.login, calling_station_id = s.device
  FROM unnest(ids, all_began, all_begin, all_ended, all_how, all_services, all_logins, all_devices, all_moved)
    AS s (id, began, begins, ended, how, service, login, device, moved)
  WHERE NOT s.moved AND u.session_id = s.id AND u.started_at >= s.begins;
  -- Most providers have no blocks, and who has any has many.
  IF EXISTS (SELECT FROM port_block WHERE session_id IS NOT NULL) THEN
    UPDATE port_block b SET
      started_at = CASE WHEN b.started_at = s.began THEN s.begins ELSE b.started_at END,
      ended_at = s.ended, end_kind = s.how, service_id = s.service, login = s.login
    FROM unnest(ids, all_began, all_begin, all_ended, all_how, all_services, all_logins)
      AS s (id, began, begins, ended, how, service, login)
    WHERE b.session_id = s.id AND b.started_at >= s.begins;
  END IF;
END
$$
"""
_CHANGED = """
CREATE FUNCTION log_changed_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  moved boolean := OLD.framed_ipv4 IS DISTINCT FROM NEW.framed_ipv4
    OR OLD.framed_ipv6_prefix IS DISTINCT FROM NEW.framed_ipv6_prefix
    OR OLD.delegated_ipv6_prefix IS DISTINCT FROM NEW.delegated_ipv6_prefix;
BEGIN
  PERFORM follow_sessions(
    ARRAY[NEW.id], ARRAY[OLD.started_at], ARRAY[NEW.started_at], ARRAY[NEW.stopped_at], ARRAY[NEW.stop_kind]::text[],
    ARRAY[NEW.service_id], ARRAY[NEW.login], ARRAY[NEW.calling_station_id], ARRAY[moved]);
  IF moved THEN
    PERFORM log_moved_session(OLD, NEW);
  END IF;
  RETURN NULL;
END
$$
"""
#: Not where the statement says that it follows (aaa/session_statements.py). What changes nothing costs nothing.
_TRIGGER = """
CREATE TRIGGER session_addresses_changed AFTER UPDATE ON session FOR EACH ROW
  WHEN ((OLD.framed_ipv4 IS DISTINCT FROM NEW.framed_ipv4
    OR OLD.framed_ipv6_prefix IS DISTINCT FROM NEW.framed_ipv6_prefix
    OR OLD.delegated_ipv6_prefix IS DISTINCT FROM NEW.delegated_ipv6_prefix
    OR OLD.stopped_at IS DISTINCT FROM NEW.stopped_at OR OLD.stop_kind IS DISTINCT FROM NEW.stop_kind
    OR OLD.started_at > NEW.started_at OR OLD.service_id IS DISTINCT FROM NEW.service_id OR OLD.login <> NEW.login)
    AND current_setting('provedor.follows_sessions', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION log_changed_session()
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER session_addresses_changed ON session")
    op.execute("DROP FUNCTION log_changed_sessions")
    for statement in (_FOLLOW, _CHANGED, _TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER session_addresses_changed ON session")
    op.execute("DROP FUNCTION log_changed_session")
    before = import_module("provedor.migrations.versions.0021_log_at_once")
    op.execute(before._FOLLOW.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))  # noqa: SLF001  (as it was)
    op.execute(before._CHANGED)  # noqa: SLF001
    op.execute(before._TRIGGER)  # noqa: SLF001
