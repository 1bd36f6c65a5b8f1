"""How long an answer of the connection log takes, over thirteen months of holdings.

Filled as a provider's log is: addresses that hold one session after another, outside addresses whose ports are given
out in blocks, delegated prefixes. What is timed is `find_holders`, as the API calls it.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.orm import Session

from aaa.connection_log.find import Question, find_holders
from aaa.connection_log.store import keep_partitions
from bench.report import Line
from core.database import Database, psycopg_url
from provedor.embedded import EmbeddedPostgres
from provedor.embedded.postgres import ROOT_HOME
from provedor.migrate import migrate

BAR_MS = 50.0
QUESTIONS = 400
#: A connection that asks for the first time reads of every month's table what it is; a node's connections stay.
WARM_UP = 20
FIRST = datetime(2025, 11, 1, tzinfo=UTC)
SECONDS = 390 * 86400
#: A holding lasts six hours in the mean, and is followed by another of the same address after a moment.
HELD_S = 6 * 3600
INSIDE = IPv4Address("100.64.0.0")
PUBLIC = IPv4Address("198.18.0.0")
PREFIXES = IPv6Address("2001:db8::")
BLOCKS_PER_ADDRESS = 60
CHUNK = 1_000_000

#: Row n is the holding number n / addresses of the address n % addresses. A row in ten is a delegated prefix's.
_USES = """
INSERT INTO address_use (started_at, session_id, kind, address, ended_at, end_kind, told_first_at, told_last_at,
  service_id, login, nas_id, box, acct_session_id, calling_station_id)
SELECT made.at, n, CASE WHEN n %% 10 = 0 THEN 'delegated' ELSE 'ipv4' END,
  CASE WHEN n %% 10 = 0 THEN
    ('2001:db8:' || to_hex(made.prefix >> 8) || ':' || to_hex((made.prefix & 255) << 8) || '::/56')::cidr
    ELSE network('100.64.0.0'::inet + n %% %(addresses)s) END,
  made.at + make_interval(secs => %(held)s * 0.98), 'stop', made.at, made.at + make_interval(secs => %(held)s * 0.98),
  n %% 200000, 'user' || n %% 200000, 1, 'bras', 'session-' || n, 'AA:BB:CC:00:11:22'
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) n,
  LATERAL (SELECT %(first)s::timestamptz + make_interval(secs =>
    (n / %(addresses)s) * %(held)s + (n %% %(addresses)s) * 7919 %% %(held)s) AS at,
    (n / 10) %% %(prefixes)s AS prefix) made
"""
_BLOCKS = """
INSERT INTO port_block (started_at, outside, port_first, port_last, inside, ended_at, end_kind, source, reporter)
SELECT made.at, '198.18.0.0'::inet + (n / 60) %% %(outsides)s, 1024 + (n %% 60) * 1000, 2023 + (n %% 60) * 1000,
  '100.64.0.0'::inet + n %% %(addresses)s, made.at + make_interval(secs => %(held)s * 0.98), 'stop', 'syslog', 'nat'
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) n,
  LATERAL (SELECT %(first)s::timestamptz + make_interval(secs => (n / (60 * %(outsides)s)) * %(held)s) AS at) made
"""
_INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
WHERE i.indrelid IN ('address_use'::regclass, 'port_block'::regclass) AND NOT i.indisprimary
"""


def measure_lookups(data: Path, records: int) -> Iterator[Line]:
    """Half of the records are sessions' addresses, half are port blocks."""
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    try:
        migrate(server.url)
        database = Database(psycopg_url(server.url))
        sizes = _fill(server.url, database, records // 2)
        kinds: dict[str, Callable[[random.Random], tuple[str, int | None]]] = {
            "IPv4": lambda chance: (str(INSIDE + chance.randrange(sizes["addresses"])), None),
            "shared IPv4 and port": lambda chance: (
                str(PUBLIC + chance.randrange(sizes["outsides"])), chance.randrange(1024, 61000),
            ),
            "shared IPv4 without port": lambda chance: (str(PUBLIC + chance.randrange(sizes["outsides"])), None),
            "IPv6": lambda chance: (str(PREFIXES + (chance.randrange(sizes["prefixes"]) << 72) + 77), None),
        }  # fmt: skip
        for what, draw in kinds.items():
            yield _measure(database, what, draw, records)
        database.dispose()
    finally:
        home = Path(str(conninfo_to_dict(server.url)["host"])).parent
        server.stop()
        if home.parent == ROOT_HOME:
            shutil.rmtree(home)


def _fill(url: str, database: Database, rows: int) -> dict[str, int]:
    per_address = SECONDS // HELD_S
    addresses = max(10, rows // per_address // 10 * 10)  # so that a prefix's holdings follow one another
    sizes = {"addresses": addresses, "prefixes": max(1, addresses // 10),
             "outsides": max(1, rows // per_address // BLOCKS_PER_ADDRESS)}  # fmt: skip
    with database.transaction() as session:
        for month in range(0, 14, 3):
            keep_partitions(session, now=FIRST + timedelta(days=30 * month + 15), months=99)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'")
        indexes = connection.execute(_INDEXES).fetchall()  # made at the end, many rows come in sooner
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for low in range(0, rows, CHUNK):
            part: dict[str, Any] = {**sizes, "held": HELD_S, "first": FIRST, "low": low, "high": min(low + CHUNK, rows)}
            connection.execute(_USES, part)
            connection.execute(_BLOCKS, part)
        for _, definition in indexes:
            connection.execute(definition.replace(" ON ONLY ", " ON "))
        connection.execute("VACUUM (ANALYZE) address_use")
        connection.execute("VACUUM (ANALYZE) port_block")
        connection.execute("CHECKPOINT")
    return sizes


def _measure(
    database: Database, what: str, draw: Callable[[random.Random], tuple[str, int | None]], records: int
) -> Line:
    chance, taken, found = random.Random(7), [], 0
    for number in range(-WARM_UP, QUESTIONS):
        address, port = draw(chance)
        moment = FIRST + timedelta(seconds=chance.randrange(SECONDS - 2 * HELD_S))
        with database.transaction() as session:
            began = time.perf_counter()
            answered = bool(_ask(session, address, port, moment))
        if number >= 0:
            found += answered
            taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    p50, p99 = taken[QUESTIONS // 2], taken[QUESTIONS * 99 // 100]
    return Line(
        f"connection log, {records / 1e6:.0f} million records, by {what}", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", "",
        f"{found} of {QUESTIONS} answered with a candidate", f"p99 under {BAR_MS:.0f} ms",
        p99 < BAR_MS and found > QUESTIONS * 0.8,
    )  # fmt: skip


def _ask(session: Session, address: str, port: int | None, moment: datetime) -> int:
    return len(find_holders(session, Question(ip_address(address), port, moment, moment)).candidates)
