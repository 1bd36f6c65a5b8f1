"""Networks and prefixes that we gave to a session stand in the connection log, also where its NAS never tells them.

A routed network (Framed-Route) is in no accounting attribute, and not every NAS accounts for delegated prefixes.
"""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0019_given"
down_revision = "0018_routeros"
branch_labels = None
depends_on = None

#: By the policy of the session's Class; where there is none (another server let it in), as the service has them now.
#: Leases are the service's own.
_GIVEN = """
CREATE FUNCTION given_addresses(of_service bigint, of_policy text) RETURNS SETOF cidr LANGUAGE sql STABLE AS $$
  SELECT readable_cidr(told.address) FROM (
    SELECT jsonb_array_elements_text(
      coalesce(p.body -> 'ipv4_routes', '[]') || to_jsonb(array_remove(
        ARRAY[p.body ->> 'ipv6_prefix', p.body ->> 'delegated_ipv6_prefix'], NULL))) AS address
    FROM policy_version p WHERE p.fingerprint = of_policy
    UNION
    SELECT jsonb_array_elements_text(
      v.ipv4_routes || to_jsonb(array_remove(ARRAY[v.ipv6_prefix, v.delegated_ipv6_prefix], NULL)))
    FROM service v WHERE v.id = of_service AND of_policy IS NULL
    UNION
    SELECT l.address FROM address_pool p JOIN address_lease l
      ON l.pool_id = p.id AND l.service_id = of_service AND l.state = 'held'
    WHERE p.kind <> 'ipv4') AS told
  WHERE readable_cidr(told.address) IS NOT NULL
$$
"""
_OPENED = """
CREATE OR REPLACE FUNCTION log_opened_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO address_use (started_at, session_id, kind, address, ended_at, end_kind, told_first_at, told_last_at,
    service_id, login, nas_id, box, acct_session_id, calling_station_id)
  SELECT s.started_at, s.id, told.kind, readable_cidr(told.address), s.stopped_at, s.stop_kind, s.updated_at,
    s.updated_at, s.service_id, s.login, s.nas_id, s.box, s.acct_session_id, s.calling_station_id
  FROM opened s CROSS JOIN LATERAL (VALUES ('ipv4', s.framed_ipv4), ('ipv6', s.framed_ipv6_prefix),
    ('delegated', s.delegated_ipv6_prefix)) AS told (kind, address)
  WHERE readable_cidr(told.address) IS NOT NULL;
  INSERT INTO address_use (started_at, session_id, kind, address, ended_at, end_kind, told_first_at, told_last_at,
    service_id, login, nas_id, box, acct_session_id, calling_station_id)
  SELECT s.started_at, s.id, 'given', given, s.stopped_at, s.stop_kind, s.updated_at, s.updated_at, s.service_id,
    s.login, s.nas_id, s.box, s.acct_session_id, s.calling_station_id
  FROM opened s CROSS JOIN LATERAL given_addresses(s.service_id, s.class_fingerprint) AS given
  WHERE s.kind = 'line' AND s.service_id IS NOT NULL;
  RETURN NULL;
END
$$
"""
_LIVE = """
INSERT INTO address_use (started_at, session_id, kind, address, told_first_at, told_last_at, service_id, login, nas_id,
  box, acct_session_id, calling_station_id)
SELECT s.started_at, s.id, 'given', given, s.updated_at, s.updated_at, s.service_id, s.login, s.nas_id, s.box,
  s.acct_session_id, s.calling_station_id
FROM session s CROSS JOIN LATERAL given_addresses(s.service_id, s.class_fingerprint) AS given
WHERE s.stopped_at IS NULL AND s.kind = 'line' AND s.service_id IS NOT NULL
"""


def upgrade() -> None:
    for statement in (_GIVEN, _OPENED, _LIVE):
        op.execute(statement)


def downgrade() -> None:
    before = import_module("provedor.migrations.versions.0010_connection_log")
    op.execute(before._OPENED.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))  # noqa: SLF001  (as it was)
    op.execute("DELETE FROM address_use WHERE kind = 'given'")
    op.execute("DROP FUNCTION given_addresses")
