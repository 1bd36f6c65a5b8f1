"""The connection log: address uses and port blocks by month, NAT rules, look-ups, requests of authorities."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import CIDR, JSONB

revision = "0010_connection_log"
down_revision = "0009_vendors"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_WHEN = sa.DateTime(timezone=True)
_SIDES = ("inside", "outside")
_PORTS = ("ports_per_subscriber", "first_port", "last_port")

_CIDR = """
CREATE FUNCTION readable_cidr(value text) RETURNS cidr LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN pg_input_is_valid(value, 'inet') THEN network(value::inet) END
$$
"""
#: Sessions that appeared, in one statement: a power cut brings them by the thousand.
_OPENED = """
CREATE FUNCTION log_opened_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO address_use (started_at, session_id, kind, address, ended_at, end_kind, told_first_at, told_last_at,
    service_id, login, nas_id, box, acct_session_id, calling_station_id)
  SELECT s.started_at, s.id, told.kind, readable_cidr(told.address), s.stopped_at, s.stop_kind, s.updated_at,
    s.updated_at, s.service_id, s.login, s.nas_id, s.box, s.acct_session_id, s.calling_station_id
  FROM opened s CROSS JOIN LATERAL (VALUES ('ipv4', s.framed_ipv4), ('ipv6', s.framed_ipv6_prefix),
    ('delegated', s.delegated_ipv6_prefix)) AS told (kind, address)
  WHERE readable_cidr(told.address) IS NOT NULL;
  RETURN NULL;
END
$$
"""
#: An event at `told_at` told this address of the session.
_TELL = """
CREATE FUNCTION tell_address(s session, of_kind text, told cidr, told_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE address_use u
  SET told_first_at = least(u.told_first_at, told_at), told_last_at = greatest(u.told_last_at, told_at)
  WHERE u.session_id = s.id AND u.kind = of_kind AND u.address = told AND u.started_at >= s.started_at;
  IF NOT FOUND THEN
    INSERT INTO address_use (started_at, session_id, kind, address, ended_at, end_kind, told_first_at, told_last_at,
      service_id, login, nas_id, box, acct_session_id, calling_station_id)
    VALUES (s.started_at, s.id, of_kind, told, s.stopped_at, s.stop_kind, told_at, told_at, s.service_id, s.login,
      s.nas_id, s.box, s.acct_session_id, s.calling_station_id);
  END IF;
END
$$
"""
#: What the rows of a session and kind say, out of the session and of the events that told its addresses, whatever the
#: order in which those came: the first address holds from the session's start, the present one until the session's
#: end, any other until an event first told of the next (or, where an earlier one came back, as long as it was told).
_SETTLE = """
CREATE FUNCTION settle_addresses(s session, of_kind text, present cidr) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH known AS (
    SELECT u.id, u.started_at, u.address, u.told_first_at, u.told_last_at,
      u.told_first_at = min(u.told_first_at) OVER () AS earliest, count(*) OVER () > 1 AS moved
    FROM address_use u
    WHERE u.session_id = s.id AND u.kind = of_kind AND u.started_at >= s.started_at),
  settled AS (
    SELECT k.id, k.started_at, k.moved, CASE WHEN k.earliest THEN s.started_at ELSE k.told_first_at END AS begins,
      CASE WHEN k.address <> present THEN coalesce(
        (SELECT min(o.told_first_at) FROM known o WHERE o.told_first_at > k.told_last_at), k.told_last_at
      ) END AS changed_at
    FROM known k)
  UPDATE address_use u SET
    started_at = c.begins, ended_at = coalesce(c.changed_at, s.stopped_at),
    end_kind = CASE WHEN c.changed_at IS NOT NULL THEN 'changed' ELSE s.stop_kind END,
    service_id = s.service_id, login = s.login, calling_station_id = s.calling_station_id, moved = c.moved
  FROM settled c
  WHERE u.started_at = c.started_at AND u.id = c.id AND u.started_at >= s.started_at;
END
$$
"""
#: While a session keeps its addresses, only the ends that are the session's move with it: what `settle_addresses` would
#: say, for less.
_CHANGED = """
CREATE FUNCTION log_changed_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kinds text[] := ARRAY['ipv4', 'ipv6', 'delegated'];
  before text[] := ARRAY[OLD.framed_ipv4, OLD.framed_ipv6_prefix, OLD.delegated_ipv6_prefix];
  present text[] := ARRAY[NEW.framed_ipv4, NEW.framed_ipv6_prefix, NEW.delegated_ipv6_prefix];
  address cidr;
BEGIN
  IF before = present THEN
    UPDATE address_use u SET
      started_at = CASE WHEN u.started_at = OLD.started_at THEN NEW.started_at ELSE u.started_at END,
      ended_at = CASE WHEN u.end_kind = 'changed' THEN u.ended_at ELSE NEW.stopped_at END,
      end_kind = CASE WHEN u.end_kind = 'changed' THEN u.end_kind ELSE NEW.stop_kind END,
      service_id = NEW.service_id, login = NEW.login, calling_station_id = NEW.calling_station_id
    WHERE u.session_id = NEW.id AND u.started_at >= NEW.started_at;
  ELSE
    FOR i IN 1 .. 3 LOOP
      address := readable_cidr(present[i]);
      CONTINUE WHEN address IS NULL;
      IF before[i] IS DISTINCT FROM present[i] THEN
        IF readable_cidr(before[i]) IS NOT NULL THEN
          PERFORM tell_address(NEW, kinds[i], readable_cidr(before[i]), OLD.updated_at);
        END IF;
        PERFORM tell_address(NEW, kinds[i], address, NEW.updated_at);
      END IF;
      PERFORM settle_addresses(NEW, kinds[i], address);
    END LOOP;
  END IF;
  IF EXISTS (SELECT FROM port_block b WHERE b.session_id = NEW.id AND b.started_at >= NEW.started_at) THEN
    UPDATE port_block b SET
      started_at = CASE WHEN b.started_at = OLD.started_at THEN NEW.started_at ELSE b.started_at END,
      ended_at = NEW.stopped_at, end_kind = NEW.stop_kind, service_id = NEW.service_id, login = NEW.login
    WHERE b.session_id = NEW.id AND b.started_at >= NEW.started_at;
  END IF;
  RETURN NULL;
END
$$
"""
#: Interim-Updates that change nothing of this, nearly all there is, fail the condition and cost nothing.
_TRIGGERS = """
CREATE TRIGGER session_addresses_opened AFTER INSERT ON session REFERENCING NEW TABLE AS opened
  FOR EACH STATEMENT EXECUTE FUNCTION log_opened_sessions();
CREATE TRIGGER session_addresses_changed AFTER UPDATE ON session FOR EACH ROW
  WHEN (OLD.framed_ipv4 IS DISTINCT FROM NEW.framed_ipv4
    OR OLD.framed_ipv6_prefix IS DISTINCT FROM NEW.framed_ipv6_prefix
    OR OLD.delegated_ipv6_prefix IS DISTINCT FROM NEW.delegated_ipv6_prefix
    OR OLD.stopped_at IS DISTINCT FROM NEW.stopped_at OR OLD.stop_kind IS DISTINCT FROM NEW.stop_kind
    OR OLD.started_at > NEW.started_at OR OLD.service_id IS DISTINCT FROM NEW.service_id OR OLD.login <> NEW.login)
  EXECUTE FUNCTION log_changed_session();
"""
_APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are added, never changed', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER connection_lookup_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON connection_lookup
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    _address_use()
    _port_block()
    _nat_rule()
    _lookups_and_cases()
    for statement in (_CIDR, _OPENED, _TELL, _SETTLE, _CHANGED, _TRIGGERS, _APPEND_ONLY):
        op.execute(statement)
    # The sessions that are known already.
    op.execute(
        "SELECT tell_address(s, told.kind, readable_cidr(told.address), s.updated_at) FROM session s CROSS JOIN "
        "LATERAL (VALUES ('ipv4', s.framed_ipv4), ('ipv6', s.framed_ipv6_prefix), "
        "('delegated', s.delegated_ipv6_prefix)) AS told (kind, address) WHERE readable_cidr(told.address) IS NOT NULL"
    )


def _identity(table: str) -> list[sa.Column[object] | sa.PrimaryKeyConstraint]:
    return [
        sa.Column("started_at", _WHEN, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.PrimaryKeyConstraint("started_at", "id", name=op.f(f"pk_{table}")),
    ]


def _address_use() -> None:
    op.create_table(
        "address_use",
        *_identity("address_use"),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("address", CIDR(), nullable=False),
        sa.Column("ended_at", _WHEN),
        sa.Column("end_kind", sa.Text()),
        sa.Column("told_first_at", _WHEN, nullable=False),
        sa.Column("told_last_at", _WHEN, nullable=False),
        sa.Column("moved", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("service_id", sa.BigInteger()),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("acct_session_id", sa.Text(), nullable=False),
        sa.Column("calling_station_id", sa.Text()),
        postgresql_partition_by="RANGE (started_at)",
    )
    op.create_index(
        "ix_address_use_address", "address_use", ["address", "started_at"], postgresql_include=["ended_at", "id"]
    )
    op.create_index("ix_address_use_session", "address_use", ["session_id"])
    op.execute("CREATE TABLE address_use_other PARTITION OF address_use DEFAULT")


def _port_block() -> None:
    op.create_table(
        "port_block",
        *_identity("port_block"),
        sa.Column("outside", CIDR(), nullable=False),
        sa.Column("port_first", sa.Integer(), nullable=False),
        sa.Column("port_last", sa.Integer(), nullable=False),
        sa.Column("inside", CIDR()),
        sa.Column("ended_at", _WHEN),
        sa.Column("end_kind", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("start_known", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("session_id", sa.BigInteger()),
        sa.Column("service_id", sa.BigInteger()),
        sa.Column("login", sa.Text()),
        sa.CheckConstraint(
            "port_first BETWEEN 0 AND port_last AND port_last <= 65535", name=op.f("ck_port_block_ports")
        ),
        postgresql_partition_by="RANGE (started_at)",
    )
    op.create_index(
        "ix_port_block_outside", "port_block", ["outside", "started_at"],
        postgresql_include=["port_first", "port_last", "ended_at", "id"],
    )  # fmt: skip
    op.create_index(
        "ix_port_block_session", "port_block", ["session_id"], postgresql_where=sa.text("session_id IS NOT NULL")
    )
    op.execute("CREATE TABLE port_block_other PARTITION OF port_block DEFAULT")


def _nat_rule() -> None:
    op.create_table(
        "nat_rule",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *(sa.Column(f"{side}_{end}", CIDR(), nullable=False) for side in _SIDES for end in ("first", "last")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _PORTS),
        sa.Column("order", sa.String(32), nullable=False),
        sa.Column("valid_from", _WHEN, nullable=False),
        sa.Column("valid_until", _WHEN),
        *_versioned(),
        sa.CheckConstraint(
            "first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535", name=op.f("ck_nat_rule_ports")
        ),
        sa.CheckConstraint(
            "ports_per_subscriber BETWEEN 1 AND 65535", name=op.f("ck_nat_rule_ports_per_subscriber")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nat_rule")),
    )  # fmt: skip


def _lookups_and_cases() -> None:
    op.create_table(
        "connection_lookup",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("question", JSONB(), nullable=False),
        sa.Column("results", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection_lookup")),
    )
    texts = (
        "searched_by",
        "approved_by",
        "closed_by",
        "close_reason",
        "order_number",
        "legal_basis",
        "document_sha256",
    )
    op.create_table(
        "judicial_request",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), server_default="draft", nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("received_at", _WHEN, nullable=False),
        sa.Column("deadline", sa.Date()),
        *(sa.Column(name, _WHEN) for name in ("preserved_until", "searched_at", "approved_at", "closed_at")),
        sa.Column("secret", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("people", JSONB(), nullable=False),
        sa.Column("questions", JSONB(), nullable=False),
        sa.Column("findings", JSONB()),
        sa.Column("created_by", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in texts),
        sa.Column("document", sa.LargeBinary()),
        sa.Column("tolerance_s", sa.SmallInteger(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judicial_request")),
    )
    op.create_index("ix_judicial_request_state", "judicial_request", ["state", "id"])


def _versioned() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("updated_at", _WHEN, server_default=_NOW, nullable=False),
    ]


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER session_addresses_opened ON session; DROP TRIGGER session_addresses_changed ON session; "
        "DROP FUNCTION log_opened_sessions; DROP FUNCTION log_changed_session; DROP FUNCTION settle_addresses; "
        "DROP FUNCTION tell_address; DROP FUNCTION readable_cidr"
    )
    for table in ("judicial_request", "connection_lookup", "nat_rule", "port_block", "address_use"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change")
