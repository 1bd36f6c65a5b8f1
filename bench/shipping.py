"""Whether spooled records reach PostgreSQL as fast as they are acknowledged."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from bench.node import ACCT_PORT, Node
from bench.peer import run_load
from bench.report import Line

PER_S = 20_000
SECONDS = 30
LATE_S_MAX = 1.0
#: Acknowledged at this share of the pace or more.
PACE_MIN = 0.98


def measure_shipper(node: Node, radload: str, users: int) -> Line:
    offered = PER_S * SECONDS
    load = ["-m", "acct", "-n", str(offered), "-s", "4", "-q", str(PER_S)]
    with node.connect() as connection:
        _await_still(connection)
        before = _stored(connection)
        acknowledged = run_load(radload, load, users, ACCT_PORT, "ship")
        missing = before + offered - _stored(connection)
        ended = time.monotonic()
        _await_still(connection, before + offered)
        late_s = time.monotonic() - ended
        stored = _stored(connection) - before
    return Line(
        f"shipper, {SECONDS} s at {PER_S}/s", f"{acknowledged:.0f}/s acknowledged, {stored} of {offered} stored", "",
        f"{missing} behind at the last answer, caught up in {late_s:.1f} s", f"all, in under {LATE_S_MAX:.0f} s",
        stored == offered and late_s < LATE_S_MAX and acknowledged >= PER_S * PACE_MIN,
    )  # fmt: skip


def _await_still(connection: psycopg.Connection[Any], wanted: int = 0) -> None:
    """Until so many are stored, or without a number until no more come."""
    last = -1
    for _ in range(600):
        now = _stored(connection)
        if now >= wanted if wanted else now == last:
            return
        last = now
        connection.execute("SELECT pg_sleep(0.1)")


def _stored(connection: psycopg.Connection[Any]) -> int:
    return int(connection.execute("SELECT count(*) FROM accounting_record").fetchall()[0][0])
