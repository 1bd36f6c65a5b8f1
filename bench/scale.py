"""A million services: memory for each, how soon a node serves, and how soon every worker knows of a change."""

from __future__ import annotations

import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from aaa import testclient
from aaa.authenticator import SharedSecret
from bench import seed
from bench.node import AUTH_PORT, COA_PORT, Node, running_node
from bench.report import Line
from bench.standing import OCTETS_MAX, SETTLE_S, start_line
from core import holds
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.database import Database, psycopg_url
from core.services import find_by_login
from provedor.embedded import EmbeddedPostgres

SERVICES = 1_000_000
CHANGES = 200
DELAY_MS_MAX = 200.0
START_S_MAX = 60.0
MIKROTIK = 14988
RATE_LIMIT = 8


def measure_scale(scratch: Path, empty_octets: int) -> list[Line]:
    """On a provider of its own; `empty_octets`: an auth worker's own memory with one subscriber."""
    with seed.seeded(scratch / "million", SERVICES, COA_PORT) as data:
        with running_node(data) as node:
            lines = [start_line(node, SERVICES, "for the first time", START_S_MAX), _memory(node, empty_octets)]
            lines.append(_feed_delay(node))
        with running_node(data) as node:
            lines.append(start_line(node, SERVICES, "again", START_S_MAX))
    return lines


def _memory(node: Node, empty_octets: int) -> Line:
    time.sleep(SETTLE_S)
    octets = node.private_octets("auth-0")
    each = (octets - empty_octets) / SERVICES
    return Line(
        f"memory a subscriber in auth-0, at {SERVICES}", f"{octets / 2**20:.0f} MB private", "", f"{each:.0f} octets",
        f"<= {OCTETS_MAX}", each <= OCTETS_MAX,
    )  # fmt: skip


def _feed_delay(node: Node) -> Line:
    """From the commit of a hold until each worker answers by it, asked over and over as a NAS would."""
    database = Database(psycopg_url(EmbeddedPostgres(node.data / "postgres").url), pool_size=1)
    delays = []
    for number in range(CHANGES):
        with database.transaction() as session:
            service = find_by_login(session, seed.login(number))
            assert service is not None
            actor, now = Actor("bench"), datetime.now(UTC)
            holds.place_hold(
                session, service.id, reason=HoldReason.ADMIN, effect=HoldEffect.THROTTLE, actor=actor, now=now
            )
        committed = time.monotonic()
        for worker in (0, 1):
            while _rate(number, worker) != b"1024k/1024k":
                if time.monotonic() > committed + 10:
                    raise TimeoutError("a worker never heard of a change")
        delays.append(1000 * (time.monotonic() - committed))
    database.dispose()
    p99 = statistics.quantiles(delays, n=100)[98]
    return Line(
        f"feed: from a commit to every worker, at {SERVICES}",
        f"p50 {statistics.median(delays):.0f}, max {max(delays):.0f} ms, {CHANGES} changes", "", f"p99 {p99:.0f} ms",
        f"p99 < {DELAY_MS_MAX:.0f}", p99 < DELAY_MS_MAX,
    )  # fmt: skip


def _rate(number: int, worker: int) -> bytes:
    """What one worker gives this subscriber now: the kernel picks workers by the Identifier."""
    secret = SharedSecret(seed.SECRET.encode())
    password = f"pass{number:07d}"
    request = testclient.access_request(
        os.urandom(1)[0] & ~1 | worker, seed.login(number), password, "pap", b"", secret, os.urandom
    )
    reply = testclient.exchange("127.0.0.1", AUTH_PORT, request.octets, tries=3, timeout_s=1.0)
    if reply is None:
        return b""
    values = reply.vendor_values(MIKROTIK, RATE_LIMIT)
    return values[0] if values else b""
