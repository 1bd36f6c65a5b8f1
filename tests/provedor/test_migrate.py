"""Migrations: two nodes that start at once on an empty database, and an upgrade that keeps what was there."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, text

from core.database import libpq_url, psycopg_url
from core.errors import ConfigurationError
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import alembic_config, head_revision, migrate, refuse_old
from provisioning.routeros.bras import intent_of


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    maintenance = libpq_url(postgres.url).replace("/provedor?", "/postgres?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS unmigrated WITH (FORCE)")
        connection.execute("CREATE DATABASE unmigrated")
    yield postgres.url.replace("/provedor?", "/unmigrated?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("DROP DATABASE unmigrated WITH (FORCE)")


def _migrate(url: str, start: Barrier) -> None:
    start.wait(timeout=30)
    migrate(url)


def test_two_nodes_that_start_at_once_make_the_schema_once(empty_url: str) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)
    nodes = [context.Process(target=_migrate, args=(empty_url, start)) for _ in range(3)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join(timeout=120)
    assert [node.exitcode for node in nodes] == [0, 0, 0]
    with psycopg.connect(libpq_url(empty_url)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(head_revision(),)]
        assert connection.execute("SELECT count(*) FROM setting WHERE key = 'feed_epoch'").fetchone() == (1,)
        waiting = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert waiting == (0,)


def test_payments_of_before_accounts_stay_the_same_payments(empty_url: str) -> None:
    """0008 on a database that was in use: the first account of a gateway keeps what came through that gateway."""
    engine = create_engine(psycopg_url(empty_url))
    with engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0007_session_updates")
        connection.execute(
            text(
                "INSERT INTO customer (name, kind) VALUES ('Ana', 'person');"
                "INSERT INTO contract (customer_id, payer_id, due_day, started_on) VALUES (1, 1, 5, '2026-01-01');"
                "INSERT INTO invoice (contract_id, due_date, amount_cents) VALUES (1, '2026-01-10', 100);"
                "INSERT INTO gateway_account (gateway, name, secret_encrypted) VALUES ('standard', 'erp', '\\x00');"
                "INSERT INTO payment (invoice_id, amount_cents, method, paid_at, gateway, external_id) VALUES"
                " (1, 60, 'pix', now(), 'standard', 'p1'), (1, 40, 'cash', now(), NULL, NULL);"
                "INSERT INTO event (type, subject, payload) VALUES ('a', 'b:1', '{}'), ('c', 'd:1', '{}')"
            )
        )
        command.upgrade(config, "head")
        rows = connection.execute(text("SELECT account_id, external_id FROM payment ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [(1, "p1"), (None, None)]
        assert connection.scalar(text("SELECT count(*) FROM event WHERE transaction_id > 0")) == 2
        connection.rollback()
    engine.dispose()


def test_communities_go_out_of_intents_their_audit_entries_and_commands_and_back_is_readable(empty_url: str) -> None:
    """0039, up and down."""
    engine = create_engine(psycopg_url(empty_url))
    body = '{"management": {"networks": ["192.0.2.0/24"], "snmp": {"community": "noc", "networks": ["192.0.2.9"]}}}'
    commands = '["/snmp community add name=noc addresses=192.0.2.9", "/snmp community set [find name=noc] a=b", "/a"]'
    with engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0035_provisioning")
        connection.exec_driver_sql(
            "INSERT INTO nas (name, address, secret_encrypted, vendor) VALUES ('bras', '192.0.2.1', '', 'mikrotik');"
            f"INSERT INTO bras_intent (nas_id, body, drift) VALUES (1, '{body}', '{commands}');"
            "INSERT INTO audit_entry (actor, action, resource, resource_id, changes)"
            f" VALUES ('ana', 'update', 'bras_intent', '1', '{{\"body\": {body}}}');"
            "INSERT INTO provisioning_job (nas_id, state, created_by, commands)"
            f" VALUES (1, 'done', 'ana', '{commands}')"
        )
        command.upgrade(config, "0039_provisioning_policy")
        for query in ("SELECT body FROM bras_intent", "SELECT changes->'body' FROM audit_entry"):
            kept = connection.execute(text(query)).scalar_one()
            assert kept["management"]["snmp"] == {"networks": ["192.0.2.9"]}
            intent_of(kept)
        for query in ("SELECT drift FROM bras_intent", "SELECT commands FROM provisioning_job"):
            first, second, third = connection.execute(text(query)).scalar_one()
            assert first == '/snmp community add name="********" addresses=192.0.2.9'
            assert (second, third) == ('/snmp community set [find name="********"] a=b', "/a")
        command.downgrade(config, "-1")
        kept = connection.execute(text("SELECT body FROM bras_intent")).scalar_one()
        assert kept["management"] == {"networks": ["192.0.2.0/24"], "snmp": None}
        connection.rollback()
    engine.dispose()


def test_a_postgresql_that_is_too_old_is_refused_with_the_setting_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"PostgreSQL 17, and 18 or later is needed.*PROVEDOR_DATABASE_URL"):
        refuse_old(170_009)
    refuse_old(180_000)
