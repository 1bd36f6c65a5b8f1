"""The connection log follows at once all sessions that a statement changed: one by one, a Stop cost as much as two."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0021_log_at_once"
down_revision = "0020_log_by_end"
branch_labels = None
depends_on = None

#: As `pg_input_is_valid` is: a function that claims more than what it calls is not inlined, but called each time.
_READABLE = "ALTER FUNCTION readable_cidr(text) STABLE"
#: Sessions whose addresses are others than before.
_MOVED = """
CREATE FUNCTION log_moved_session(o session, n session) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  kinds text[] := ARRAY['ipv4', 'ipv6', 'delegated'];
  before text[] := ARRAY[o.framed_ipv4, o.framed_ipv6_prefix, o.delegated_ipv6_prefix];
  present text[] := ARRAY[n.framed_ipv4, n.framed_ipv6_prefix, n.delegated_ipv6_prefix];
  address cidr;
BEGIN
  FOR i IN 1 .. 3 LOOP
    address := readable_cidr(present[i]);
    CONTINUE WHEN address IS NULL;
    IF before[i] IS DISTINCT FROM present[i] THEN
      IF readable_cidr(before[i]) IS NOT NULL THEN
        PERFORM tell_address(n, kinds[i], readable_cidr(before[i]), o.updated_at);
      END IF;
      PERFORM tell_address(n, kinds[i], address, n.updated_at);
    END IF;
    PERFORM settle_addresses(n, kinds[i], address);
  END LOOP;
  UPDATE address_use u SET
    ended_at = n.stopped_at, end_kind = n.stop_kind, service_id = n.service_id, login = n.login,
    calling_station_id = n.calling_station_id
  WHERE u.session_id = n.id AND u.kind = 'given' AND u.started_at >= n.started_at;
END
$$
"""
#: While a session keeps its addresses, only the ends that are the session's move with it: what `settle_addresses` would
#: say, for less. By index, whatever the planner believes of tables that have grown since it was told.
_FOLLOW = """
CREATE FUNCTION follow_sessions(
  ids bigint[], all_began timestamptz[], all_begin timestamptz[], all_ended timestamptz[], all_how text[],
  all_services bigint[], all_logins text[], all_devices text[], all_moved boolean[]) RETURNS void LANGUAGE plpgsql
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  UPDATE address_use u SET
    started_at = CASE WHEN u.started_at = s.began THEN s.begins ELSE u.started_at END,
    ended_at = CASE WHEN u.end_kind = 'changed' THEN u.ended_at ELSE s.ended END,
    end_kind = CASE WHEN u.end_kind = 'changed' THEN u.end_kind ELSE s.how END,
    service_id = s.service, login = s.login, calling_station_id = s.device
  FROM unnest(ids, all_began, all_begin, all_ended, all_how, all_services, all_logins, all_devices, all_moved)
    AS s (id, began, begins, ended, how, service, login, device, moved)
  WHERE NOT s.moved AND u.session_id = s.id AND u.started_at >= s.begins;
  UPDATE port_block b SET
    started_at = CASE WHEN b.started_at = s.began THEN s.begins ELSE b.started_at END,
    ended_at = s.ended, end_kind = s.how, service_id = s.service, login = s.login
  FROM unnest(ids, all_began, all_begin, all_ended, all_how, all_services, all_logins)
    AS s (id, began, begins, ended, how, service, login)
  WHERE b.session_id = s.id AND b.started_at >= s.begins;
END
$$
"""
_CHANGED = """
CREATE FUNCTION log_changed_sessions() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = on SET enable_nestloop = off AS $$
DECLARE
  ids bigint[];
  began timestamptz[];
  begins timestamptz[];
  ended timestamptz[];
  how text[];
  services bigint[];
  logins text[];
  devices text[];
  moved boolean[];
  o session;
  n session;
BEGIN
  SELECT array_agg(a.id), array_agg(w.started_at), array_agg(a.started_at), array_agg(a.stopped_at),
    array_agg(a.stop_kind), array_agg(a.service_id), array_agg(a.login), array_agg(a.calling_station_id),
    array_agg(told.other)
  INTO ids, began, begins, ended, how, services, logins, devices, moved
  FROM were w JOIN are a ON a.id = w.id CROSS JOIN LATERAL (SELECT
    w.framed_ipv4 IS DISTINCT FROM a.framed_ipv4 OR w.framed_ipv6_prefix IS DISTINCT FROM a.framed_ipv6_prefix
      OR w.delegated_ipv6_prefix IS DISTINCT FROM a.delegated_ipv6_prefix AS other) told
  WHERE told.other OR w.stopped_at IS DISTINCT FROM a.stopped_at OR w.stop_kind IS DISTINCT FROM a.stop_kind
    OR w.started_at > a.started_at OR w.service_id IS DISTINCT FROM a.service_id OR w.login <> a.login;
  IF ids IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM follow_sessions(ids, began, begins, ended, how, services, logins, devices, moved);
  IF true = ANY(moved) THEN
    FOR i IN 1 .. cardinality(ids) LOOP
      CONTINUE WHEN NOT moved[i];
      SELECT * INTO o FROM were WHERE id = ids[i];
      SELECT * INTO n FROM are WHERE id = ids[i];
      PERFORM log_moved_session(o, n);
    END LOOP;
  END IF;
  RETURN NULL;
END
$$
"""
_TRIGGER = """
CREATE TRIGGER session_addresses_changed AFTER UPDATE ON session REFERENCING OLD TABLE AS were NEW TABLE AS are
  FOR EACH STATEMENT EXECUTE FUNCTION log_changed_sessions()
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER session_addresses_changed ON session")
    op.execute("DROP FUNCTION log_changed_session")
    for statement in (_READABLE, _MOVED, _FOLLOW, _CHANGED, _TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER session_addresses_changed ON session")
    op.execute("ALTER FUNCTION readable_cidr(text) IMMUTABLE")
    op.execute("DROP FUNCTION log_changed_sessions, follow_sessions, log_moved_session")
    log = import_module("provedor.migrations.versions.0010_connection_log")
    op.execute(log._CHANGED)  # noqa: SLF001  (as it was)
    op.execute(log._TRIGGERS.partition(";")[2])  # noqa: SLF001  (the second of them)
