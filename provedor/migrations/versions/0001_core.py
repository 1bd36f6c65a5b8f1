"""Core tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_core"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("change_revision")))
    op.create_table(
        "api_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "operator",
                "finance",
                "support",
                "technician",
                "noc",
                "readonly",
                name="role",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("token_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("name", name=op.f("uq_api_token_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_resource", "audit_entry", ["resource", "resource_id", "id"], unique=False)
    op.create_table(
        "change",
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Enum("service", "nas", name="changekind", native_enum=False, length=32), nullable=False),
        sa.Column("ref_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_change")),
    )
    op.create_table(
        "company",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("document", name=op.f("uq_company_document")),
    )
    op.create_table(
        "customer",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("person", "business", name="customerkind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("external_ref", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("document", name=op.f("uq_customer_document")),
        sa.UniqueConstraint("external_ref", name=op.f("uq_customer_external_ref")),
    )
    op.create_index(op.f("ix_customer_name"), "customer", ["name"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_subject", "event", ["subject", "id"], unique=False)
    op.create_table(
        "operator",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "operator",
                "finance",
                "support",
                "technician",
                "noc",
                "readonly",
                name="role",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator")),
        sa.UniqueConstraint("username", name=op.f("uq_operator_username")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due", "outbox", ["due_at"], unique=False)
    op.create_table(
        "plan",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("down_kbps", sa.BigInteger(), nullable=False),
        sa.Column("up_kbps", sa.BigInteger(), nullable=False),
        sa.Column("burst", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("address_pool", sa.Text(), nullable=True),
        sa.Column("address_list", sa.Text(), nullable=True),
        sa.Column("interim_seconds", sa.BigInteger(), nullable=False),
        sa.Column("session_seconds", sa.BigInteger(), nullable=True),
        sa.Column("throttle_down_kbps", sa.BigInteger(), nullable=False),
        sa.Column("throttle_up_kbps", sa.BigInteger(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("down_kbps > 0 AND up_kbps > 0", name=op.f("ck_plan_rates")),
        sa.CheckConstraint("interim_seconds >= 60", name=op.f("ck_plan_interim")),
        sa.CheckConstraint("price_cents >= 0", name=op.f("ck_plan_price")),
        sa.CheckConstraint("throttle_down_kbps > 0 AND throttle_up_kbps > 0", name=op.f("ck_plan_throttle")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("name", name=op.f("uq_plan_name")),
    )
    op.create_table(
        "policy_version",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_policy_version")),
    )
    op.create_table(
        "setting",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "role",
            sa.Enum("main", "billing", "technical", name="contactrole", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("whatsapp", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default="pt_BR", nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_contact_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    op.create_index(op.f("ix_contact_customer_id"), "contact", ["customer_id"], unique=False)
    op.create_table(
        "contract",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("payer_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("due_day", sa.SmallInteger(), nullable=False),
        sa.Column("term_months", sa.SmallInteger(), nullable=True),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("active", "cancelled", name="contractstatus", native_enum=False, length=32),
            server_default="active",
            nullable=False,
        ),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("due_day BETWEEN 1 AND 31", name=op.f("ck_contract_due_day")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_contract_company_id_company")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_contract_customer_id_customer")),
        sa.ForeignKeyConstraint(["payer_id"], ["customer.id"], name=op.f("fk_contract_payer_id_customer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
    )
    op.create_index(op.f("ix_contract_company_id"), "contract", ["company_id"], unique=False)
    op.create_index(op.f("ix_contract_customer_id"), "contract", ["customer_id"], unique=False)
    op.create_index(op.f("ix_contract_payer_id"), "contract", ["payer_id"], unique=False)
    op.create_table(
        "idempotent_reply",
        sa.Column("token_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"], ["api_token.id"], name=op.f("fk_idempotent_reply_token_id_api_token"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", "key", name=op.f("pk_idempotent_reply")),
    )
    op.create_index("ix_idempotent_reply_created_at", "idempotent_reply", ["created_at"], unique=False)
    op.create_table(
        "nas",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secret_encrypted", postgresql.BYTEA(), nullable=False),
        sa.Column(
            "vendor", sa.Enum("mikrotik", "generic", name="vendor", native_enum=False, length=32), nullable=False
        ),
        sa.Column("coa_port", sa.Integer(), server_default="3799", nullable=False),
        sa.Column(
            "message_authenticator",
            sa.Enum("auto", "require", "ignore", name="messageauthenticatormode", native_enum=False, length=32),
            server_default="auto",
            nullable=False,
        ),
        sa.Column("message_authenticator_learned", sa.Text(), nullable=True),
        sa.Column(
            "octets_direction",
            sa.Enum("nas", "client", name="octetsdirection", native_enum=False, length=32),
            server_default="nas",
            nullable=False,
        ),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "login_rules", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("disconnects_per_minute", sa.Integer(), server_default="120", nullable=False),
        sa.Column("enforcement_frozen", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("emergency", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("emergency_plan_id", sa.BigInteger(), nullable=True),
        sa.Column("emergency_fingerprint", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("coa_port BETWEEN 1 AND 65535", name=op.f("ck_nas_coa_port")),
        sa.CheckConstraint("disconnects_per_minute > 0", name=op.f("ck_nas_disconnects_per_minute")),
        sa.ForeignKeyConstraint(["emergency_plan_id"], ["plan.id"], name=op.f("fk_nas_emergency_plan_id_plan")),
        sa.ForeignKeyConstraint(
            ["emergency_fingerprint"],
            ["policy_version.fingerprint"],
            name=op.f("fk_nas_emergency_fingerprint_policy_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nas")),
        sa.UniqueConstraint("address", name=op.f("uq_nas_address")),
        sa.UniqueConstraint("name", name=op.f("uq_nas_name")),
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="BRL", nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum("open", "paid", "cancelled", "refunded", name="invoicestatus", native_enum=False, length=32),
            server_default="open",
            nullable=False,
        ),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("contested", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("external_gateway", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("pix_code", sa.Text(), nullable=True),
        sa.Column("boleto_line", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_invoice_amount")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_invoice_contract_id_contract")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("external_gateway", "external_id", name=op.f("uq_invoice_external_gateway_external_id")),
    )
    op.create_index(op.f("ix_invoice_contract_id"), "invoice", ["contract_id"], unique=False)
    op.create_index(
        "ix_invoice_open",
        "invoice",
        ["due_date", "contract_id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "service",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "pppoe",
                "ipoe",
                "hotspot",
                "dedicated",
                "voice",
                "other",
                name="servicekind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum("pending", "active", "cancelled", name="servicestatus", native_enum=False, length=32),
            server_default="active",
            nullable=False,
        ),
        sa.Column("login", sa.Text(), nullable=True),
        sa.Column("password_encrypted", postgresql.BYTEA(), nullable=True),
        sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("ipv4_address", sa.Text(), nullable=True),
        sa.Column(
            "ipv4_routes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("ipv6_prefix", sa.Text(), nullable=True),
        sa.Column("delegated_ipv6_prefix", sa.Text(), nullable=True),
        sa.Column(
            "access",
            sa.Enum("full", "throttled", "walled_garden", "blocked", name="access", native_enum=False, length=32),
            server_default="full",
            nullable=False,
        ),
        sa.Column("policy_fingerprint", sa.Text(), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(login IS NULL) = (password_encrypted IS NULL)", name=op.f("ck_service_credentials")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_service_contract_id_contract")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_service_plan_id_plan")),
        sa.ForeignKeyConstraint(
            ["policy_fingerprint"],
            ["policy_version.fingerprint"],
            name=op.f("fk_service_policy_fingerprint_policy_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service")),
    )
    op.create_index("ix_service_contract_id", "service", ["contract_id"], unique=False)
    op.create_index("ix_service_plan_id", "service", ["plan_id", "id"], unique=False)
    op.create_index(
        "uq_service_ipv4_address",
        "service",
        ["ipv4_address"],
        unique=True,
        postgresql_where=sa.text("status <> 'cancelled' AND ipv4_address IS NOT NULL"),
    )
    op.create_index(
        "uq_service_login", "service", ["login"], unique=True, postgresql_where=sa.text("status <> 'cancelled'")
    )
    op.create_table(
        "session",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("nas_id", sa.BigInteger(), nullable=False),
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("acct_session_id", sa.Text(), nullable=False),
        sa.Column("accept_id", sa.Text(), server_default="", nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("class_fingerprint", sa.Text(), nullable=True),
        sa.Column("applied_fingerprint", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "stop_kind",
            sa.Enum("stop", "nas_reboot", "stale", "not_found", name="stopkind", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("terminate_cause", sa.SmallInteger(), nullable=True),
        sa.Column("nas_address", sa.Text(), nullable=False),
        sa.Column("nas_port_id", sa.Text(), nullable=True),
        sa.Column("calling_station_id", sa.Text(), nullable=True),
        sa.Column("called_station_id", sa.Text(), nullable=True),
        sa.Column("framed_ipv4", sa.Text(), nullable=True),
        sa.Column("framed_ipv6_prefix", sa.Text(), nullable=True),
        sa.Column("delegated_ipv6_prefix", sa.Text(), nullable=True),
        sa.Column("input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_packets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_packets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("session_seconds", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("interims", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_session_active_nas",
        "session",
        ["nas_id", "box"],
        unique=False,
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_index(
        "ix_session_active_service",
        "session",
        ["service_id"],
        unique=False,
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_index("ix_session_service_started", "session", ["service_id", "started_at"], unique=False)
    op.create_index("uq_session_identity", "session", ["nas_id", "box", "acct_session_id", "accept_id"], unique=True)
    op.create_table(
        "contract_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("contract_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["contract_id"],
            ["contract.id"],
            name=op.f("fk_contract_item_contract_id_contract"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_contract_item_service_id_service")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_item")),
    )
    op.create_index("ix_contract_item_contract_id", "contract_item", ["contract_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum("billing", "admin", "abuse", "quota", "request", name="holdreason", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "effect",
            sa.Enum("throttle", "walled_garden", "block", name="holdeffect", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("placed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_hold_service_id_service")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index("ix_hold_live", "hold", ["service_id"], unique=False, postgresql_where=sa.text("lifted_at IS NULL"))
    op.create_index(op.f("ix_hold_service_id"), "hold", ["service_id"], unique=False)
    op.create_index(
        "ix_hold_until",
        "hold",
        ["until"],
        unique=False,
        postgresql_where=sa.text("lifted_at IS NULL AND until IS NOT NULL"),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), server_default="BRL", nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payment_amount")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoice.id"], name=op.f("fk_payment_invoice_id_invoice")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("gateway", "external_id", name=op.f("uq_payment_gateway_external_id")),
    )
    op.create_index(op.f("ix_payment_invoice_id"), "payment", ["invoice_id"], unique=False)
    # The identity of this database's revision history: a node that followed another reloads in full.
    op.execute(
        "INSERT INTO setting (key, value) VALUES ('feed_epoch', jsonb_build_object('epoch', gen_random_uuid()::text))"
    )


def downgrade() -> None:
    raise NotImplementedError("the first migration has nothing to go back to")
