"""The data of a provider with so many services, in a data directory that a node then starts on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from core.access import Access
from core.keyring import GATEWAY_SECRET, NAS_SECRET, SERVICE_PASSWORD, Keyring, load_keyring
from core.policy import Policy
from provedor.embedded import EmbeddedPostgres
from provedor.embedded.postgres import ROOT_HOME
from provedor.migrate import migrate

SECRET = "testing123"
WEBHOOK_SECRET = "whsec_" + "YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g="
DEBT_CENTS = 9990
#: So that the walled garden's disconnects, which are paced, do not make the benchmark long.
DISCONNECTS_PER_MINUTE = 6000

Connection = psycopg.Connection[Any]


@contextmanager
def seeded(data: Path, services: int, coa_port: int) -> Iterator[Path]:
    """A data directory for a node. A node run as root keeps its cluster elsewhere; that is removed as well."""
    seed(data, services, coa_port)
    try:
        yield data
    finally:
        home = Path(str(conninfo_to_dict(EmbeddedPostgres(data / "postgres").url)["host"])).parent
        if home.parent == ROOT_HOME:
            shutil.rmtree(home)


def seed(data: Path, services: int, coa_port: int) -> None:
    """Customers with a contract and a service each; user0000000/pass0000000, … as the load generator has them."""
    data.mkdir(parents=True, mode=0o700)
    keyring = load_keyring(data / "secret.key")
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    migrate(server.url)
    policy = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300)
    with psycopg.connect(server.url) as connection:
        _network(connection, keyring, policy, coa_port)
        _subscribers(connection, keyring, policy, services)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    server.stop()


def _network(connection: Connection, keyring: Keyring, policy: Policy, coa_port: int) -> None:
    execute = connection.execute
    body = psycopg.types.json.Jsonb(policy.to_body())
    execute("INSERT INTO policy_version (fingerprint, body) VALUES (%s, %s)", (policy.fingerprint, body))
    execute(
        "INSERT INTO nas (name, address, secret_encrypted, vendor, coa_port, disconnects_per_minute) "
        "VALUES ('b', '127.0.0.1', %s, 'mikrotik', %s, %s)",
        (keyring.seal(SECRET, NAS_SECRET), coa_port, DISCONNECTS_PER_MINUTE),
    )
    execute(
        "INSERT INTO plan (name, down_kbps, up_kbps, address_pool, interim_seconds, throttle_down_kbps, "
        "throttle_up_kbps, price_cents) VALUES ('b', 200000, 50000, 'residential', 300, 1024, 1024, 0)"
    )
    execute(
        "INSERT INTO gateway_account (gateway, name, secret_encrypted) VALUES ('standard', 'bench', %s)",
        (keyring.seal(WEBHOOK_SECRET, GATEWAY_SECRET),),
    )


def _subscribers(connection: Connection, keyring: Keyring, policy: Policy, services: int) -> None:
    connection.execute(
        "INSERT INTO customer (name, kind) SELECT 'customer ' || n, 'person' FROM generate_series(1, %s) n", (services,)
    )
    connection.execute(
        "INSERT INTO contract (customer_id, payer_id, due_day, started_on) SELECT id, id, 1, '2026-01-01' FROM customer"
    )
    contracts = [row[0] for row in connection.execute("SELECT id FROM contract ORDER BY id").fetchall()]
    plan = connection.execute("SELECT id FROM plan").fetchall()[0][0]
    with connection.cursor().copy(
        "COPY service (contract_id, plan_id, kind, login, password_encrypted, policy_fingerprint) FROM STDIN"
    ) as copy:
        for number, contract in enumerate(contracts):
            sealed = keyring.seal(f"pass{number:07d}", SERVICE_PASSWORD)
            copy.write_row((contract, plan, "pppoe", login(number), sealed, policy.fingerprint))


def login(number: int) -> str:
    return f"user{number:07d}"


def owe(connection: Connection, numbers: list[int], *, overdue_days: int = 40) -> dict[str, tuple[str, str]]:
    """An invoice for each of these, notified ten days after its due date where that is past; by default long overdue.
    {login: (invoice id, service id)}"""
    now = datetime.now(UTC)
    rows = connection.execute(
        "WITH owed AS (INSERT INTO invoice (contract_id, due_date, amount_cents, notified_at) "
        "SELECT contract_id, %s, %s, %s FROM service WHERE login = ANY(%s) RETURNING id, contract_id) "
        "SELECT service.login, owed.id, service.id FROM owed JOIN service USING (contract_id)",
        (
            now.date() - timedelta(days=overdue_days), DEBT_CENTS,
            now - timedelta(days=overdue_days - 10) if overdue_days > 10 else None, [login(one) for one in numbers],
        ),
    ).fetchall()  # fmt: skip
    return {row[0]: (str(row[1]), str(row[2])) for row in rows}


def make_payable(connection: Connection, numbers: range) -> None:
    """With all that a gateway wants to know of a payer."""
    logins = [login(one) for one in numbers]
    connection.execute(
        "WITH payer AS (UPDATE customer c SET document = lpad(c.id::text, 11, '1') FROM contract k JOIN service s "
        "ON s.contract_id = k.id WHERE k.payer_id = c.id AND s.login = ANY(%s) RETURNING c.id) "
        "INSERT INTO contact (customer_id, role, name, email) SELECT id, 'billing', 'payer', 'payer@example.com' "
        "FROM payer",
        (logins,),
    )
    address = {"street": "Rua Um", "number": "1", "district": "Centro", "postal_code": "01001000",
               "city": "São Paulo", "state": "SP"}  # fmt: skip
    connection.execute(
        "UPDATE service SET address = %s WHERE login = ANY(%s)", (psycopg.types.json.Jsonb(address), logins)
    )
