"""Subscribers without RADIUS: 10,000 of them at 20 routers, kept there, restricted and let go, while they are online.

All routers are simulated, in a process of their own, which shares this machine's cores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import psycopg

from bench import fleet, seed
from bench.node import Node
from bench.paid import await_true
from bench.provisioning import PORT, add_nas, simulated_routers
from bench.report import Line, percentile, percentiles
from core import holds
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.database import Database, psycopg_url
from core.routeros import RouterOsAccess
from provedor.embedded import EmbeddedPostgres
from provisioning.routeros.client import RouterOs

ROUTERS: Final = 20
SERVICES: Final = 10_000
#: Restricted and let go one after another, at the quiet routers, before all are.
SINGLE: Final = 100
SINGLE_MS_MAX, ALL_S_MAX = 1000.0, 300.0
#: Holds that are placed in one transaction, as a billing run does.
CHUNK: Final = 200
PATIENCE_S: Final = 900.0
GARDEN: Final = "/ip/firewall/address-list"
INTENT: dict[str, Any] = {
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.63.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
}


def measure_local(node: Node) -> Iterator[Line]:
    with ExitStack() as stack:
        stack.enter_context(simulated_routers(ROUTERS + 1))
        connection = stack.enter_context(node.connect())
        api = stack.enter_context(node.api())
        routers = [stack.enter_context(closing(_router(number))) for number in range(1, ROUTERS + 1)]
        yield _kept(api, connection, routers)
        _everybody_dials(routers)
        yield from _one_by_one(api, connection, routers)
        yield _all(node, connection, routers)


def _kept(api: httpx.Client, connection: psycopg.Connection[Any], routers: list[RouterOs]) -> Line:
    """Each service may log in at one of them."""
    connection.execute("UPDATE service SET nas_lock = to_jsonb(ARRAY['0'])")
    for number in range(1, ROUTERS + 1):
        nas = add_nas(api, number)
        api.put(f"/nas/{nas}/intent", json={"body": INTENT}).raise_for_status()
        routers[number - 1].call("/ip/pool/add", {"name": "residential", "ranges": "100.64.0.2-100.64.63.254"})
        connection.execute(
            "UPDATE service SET nas_lock = to_jsonb(ARRAY[%s]) WHERE id %% %s = %s", (nas, ROUTERS, number - 1)
        )
        api.put(f"/nas/{nas}/local", json={"mode": "serve"}).raise_for_status()
    await_true(lambda: _count(connection, "looked_at IS NOT NULL") == ROUTERS, PATIENCE_S)
    began = time.monotonic()
    for (nas,) in connection.execute("SELECT nas_id FROM local_access").fetchall():
        api.post(f"/nas/{nas}/local/approve").raise_for_status()
    await_true(lambda: sum(map(_secrets, routers)) == SERVICES, PATIENCE_S)
    took_s = time.monotonic() - began
    await_true(lambda: _count(connection, "look_due_at IS NOT NULL") == ROUTERS, PATIENCE_S)
    return Line(
        f"{SERVICES} services to {ROUTERS} routers without RADIUS", f"{SERVICES / took_s:.0f} secrets a second", "",
        f"{took_s:.0f} s", "(shown)", None,
    )  # fmt: skip


def _everybody_dials(routers: list[RouterOs]) -> None:
    def dial(number: int) -> None:
        for one in range(SERVICES):
            if (one + 1) % ROUTERS == number:
                login = {"name": seed.login(one), "password": f"pass{one:07d}"}
                routers[number].call("/simulate/subscribers/dial", login)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(dial, range(ROUTERS)))


def _one_by_one(api: httpx.Client, connection: psycopg.Connection[Any], routers: list[RouterOs]) -> Iterator[Line]:
    """From the order over REST until the router has it: the secret, the entry of the live session, and back."""
    held_ms, lifted_ms = [], []
    for service_id, login in _some(connection):
        router = routers[service_id % ROUTERS]
        (active,) = router.rows("/ppp/active", ("address",), f"name={login}")
        body = {"reason": "billing", "effect": "walled_garden"}
        began = time.monotonic()
        hold = api.post(f"/services/{service_id}/holds", json=body).json()["id"]
        held_ms.append(_until(router, active["address"], began, there=True))
        began = time.monotonic()
        api.delete(f"/services/{service_id}/holds/{hold}").raise_for_status()
        lifted_ms.append(_until(router, active["address"], began, there=False))
    for what, times in (("suspended", held_ms), ("let go", lifted_ms)):
        p99 = percentile(times, 0.99)
        yield Line(
            f"{what} without RADIUS, from the order to the live session", f"{percentiles(times)}, {SINGLE} of them", "",
            f"p99 {p99:.0f} ms", f"p99 < {SINGLE_MS_MAX:.0f}", p99 < SINGLE_MS_MAX,
        )  # fmt: skip


def _all(node: Node, connection: psycopg.Connection[Any], routers: list[RouterOs]) -> Line:
    database = Database(psycopg_url(EmbeddedPostgres(node.data / "postgres").url), pool_size=1)
    service_ids = [row[0] for row in connection.execute("SELECT id FROM service ORDER BY id").fetchall()]
    began = time.monotonic()
    for start in range(0, SERVICES, CHUNK):
        with database.transaction() as session:
            for service_id in service_ids[start : start + CHUNK]:
                holds.place_hold(
                    session, service_id, reason=HoldReason.BILLING, effect=HoldEffect.WALLED_GARDEN,
                    actor=Actor("bench"), now=datetime.now(UTC),
                )  # fmt: skip
    placed_s = time.monotonic() - began
    await_true(lambda: sum(map(_entries, routers)) == SERVICES, PATIENCE_S, strict=False)
    took_s, entries = time.monotonic() - began, sum(map(_entries, routers))
    database.dispose()
    profiles = sum(_with_garden_profile(router) for router in routers)
    right = entries == profiles == SERVICES
    return Line(
        f"{SERVICES} suspended at {ROUTERS} routers", f"{entries} sessions in the walled garden, {profiles} secrets; "
        f"the holds were placed in {placed_s:.0f} s", "", f"{took_s:.0f} s", f"< {ALL_S_MAX:.0f} s",
        right and took_s < ALL_S_MAX,
    )  # fmt: skip


def _some(connection: psycopg.Connection[Any]) -> list[tuple[int, str]]:
    query = "SELECT id, login FROM service ORDER BY id LIMIT %s"
    return [(row[0], row[1]) for row in connection.execute(query, (SINGLE,)).fetchall()]


def _until(router: RouterOs, address: str, began: float, *, there: bool) -> float:
    while bool(router.rows(GARDEN, (".id",), "list=walled-garden", f"address={address}")) is not there:
        if time.monotonic() > began + 30:
            raise TimeoutError("a router never heard of a hold")
        time.sleep(0.005)
    return 1000 * (time.monotonic() - began)


def _count(connection: psycopg.Connection[Any], condition: str) -> int:
    query = f"SELECT count(*) FROM local_access WHERE {condition}"
    return int(connection.execute(query).fetchall()[0][0])


def _secrets(router: RouterOs) -> int:
    return int(router.call("/ppp/secret/print", {"count-only": ""})[0]["ret"])


def _entries(router: RouterOs) -> int:
    return int(router.call(f"{GARDEN}/print", {"count-only": ""})[0]["ret"])


def _with_garden_profile(router: RouterOs) -> int:
    return sum("-garden-" in row["profile"] for row in router.rows("/ppp/secret", ("profile",)))


def _router(number: int) -> RouterOs:
    access = RouterOsAccess(number, fleet.address(number), PORT, fleet.USER, fleet.PASSWORD, tls=False)
    return RouterOs(access, timeout_s=60)
