"""Routers: planning for a big one, changing one, and looking at a fleet of them for drift.

All are simulated, in a process of their own, which shares this machine's cores.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import fleet
from bench.node import HTTP_PORT, Node
from bench.paid import await_true
from bench.report import Line
from core.routeros import RouterOsAccess
from provisioning.routeros.bras import Surroundings, desired_of, intent_of
from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Desired, Place, Wanted, make_plan
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import Release

ROUTERS = 500
PORT = HTTP_PORT + 50
PLAN_S_MAX, FLEET_S_MAX = 2.0, 300.0
#: Changes of one router that are timed.
CHANGES = 1000
#: Of the worker between its first and its last look at the fleet.
GROWTH_MB_MAX = 32.0
INTENT: dict[str, Any] = {
    "radius": {"servers": [{"address": "127.0.0.1"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
    "pppoe": [{"interface": "ether2"}],
    "walled_garden": {"portal": "192.0.2.80"},
}


def measure_provisioning(node: Node) -> Iterator[Line]:
    with simulated_routers(ROUTERS), node.connect() as connection:
        yield from _big_router()
        yield from _one_change(node)
        yield from _fleet(node, connection)


@contextmanager
def simulated_routers(count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.fleet", str(count), str(PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.terminate()
        process.wait(30)


def _big_router() -> Iterator[Line]:
    """The secrets as they might be ours, every tenth with another password, and the walled garden before the rules."""
    client = RouterOs(RouterOsAccess(1, fleet.address(0), PORT, fleet.USER, fleet.PASSWORD, tls=False), timeout_s=60)
    release, menus = release_of(client), ("/ppp/secret", "/ip/firewall/filter")
    began = time.monotonic()
    actual = read_rows(client, menus, release)
    read_s = time.monotonic() - began
    client.close()
    for row in actual["/ppp/secret"]:
        row["comment"] = f"provedor:bench/{row['name']}"
    began = time.process_time()
    plan = make_plan(_wanted(release), actual, release, {})
    took_s = time.process_time() - began
    yield Line(
        f"plan for a router with {fleet.SECRETS} PPP secrets and {fleet.RULES} rules",
        f"{len(plan.steps)} steps; read in {read_s:.1f} s", "", f"{took_s:.2f} s of our processor",
        f"< {PLAN_S_MAX:.0f} s", took_s < PLAN_S_MAX and len(plan.steps) == fleet.SECRETS // 10 + 3,
    )  # fmt: skip


def _wanted(release: Release) -> Desired:
    rows = [
        Wanted("/ppp/secret", f"bench/user{one}", {"name": f"user{one}",
               "password": "another" if one % 10 == 0 else f"pass{one}", "profile": "default", "service": "any"})
        for one in range(fleet.SECRETS)
    ]  # fmt: skip
    around = Surroundings(release, "", 3799, "walled-garden")
    garden = desired_of(intent_of({"walled_garden": INTENT["walled_garden"]}), around)
    rows += [row for row in garden.rows if row.menu == "/ip/firewall/filter" and row.place is Place.FIRST]
    return Desired(tuple(rows), (), frozenset({"bench", "garden"}), frozenset({"/ppp/secret", "/ip/firewall/filter"}))


def _one_change(node: Node) -> Iterator[Line]:
    """Through the node: read, armed, applied, seen by a second connection, and called off."""
    pools = [{"name": f"pool{one}", "ranges": f"10.{one // 200}.{one % 200}.0/24"} for one in range(CHANGES)]
    with node.api() as api:
        nas = add_nas(api, 1)
        api.put(f"/nas/{nas}/intent", json={"body": {"pools": pools}}).raise_for_status()
        job = api.post("/provisioning/jobs", json={"nas_id": nas}).json()["id"]
        await_true(lambda: api.get(f"/provisioning/jobs/{job}").json()["state"] == "planned")
        began = time.monotonic()
        api.post(f"/provisioning/jobs/{job}/approve", json={}).raise_for_status()
        await_true(lambda: api.get(f"/provisioning/jobs/{job}").json()["finished_at"] is not None, 300.0)
        took_s = time.monotonic() - began
        state = api.get(f"/provisioning/jobs/{job}").json()["state"]
    yield Line(
        f"a change of {CHANGES} rows, from its approval to its end", f"{state}, {CHANGES / took_s:.0f} rows a second",
        "", f"{took_s:.1f} s", "(shown)", state == "done" or None,
    )  # fmt: skip


def _fleet(node: Node, connection: psycopg.Connection[Any]) -> Iterator[Line]:
    with node.api() as api:
        for number in range(2, ROUTERS):
            api.put(f"/nas/{add_nas(api, number)}/intent", json={"body": INTENT}).raise_for_status()
    await_true(lambda: _looked_at(connection) == ROUTERS - 1, 2 * FLEET_S_MAX)
    before_mb = _worker_mb(node)
    connection.execute("UPDATE bras_intent SET checked_at = NULL, drift = NULL")
    began = time.monotonic()
    await_true(lambda: _looked_at(connection) == ROUTERS - 1, 2 * FLEET_S_MAX)
    took_s, grown_mb = time.monotonic() - began, _worker_mb(node) - before_mb
    query = "SELECT count(*) FROM bras_intent WHERE jsonb_array_length(drift) > 0"
    (drifted,) = connection.execute(query).fetchall()[0]
    right = drifted == ROUTERS - 2  # the one that was changed is as it should be
    yield Line(
        f"{ROUTERS - 1} routers looked at for drift", f"{drifted} of them to be changed; the worker grew by "
        f"{grown_mb:.0f} MB, to {before_mb + grown_mb:.0f}", "", f"{took_s:.0f} s",
        f"< {FLEET_S_MAX:.0f} s, < {GROWTH_MB_MAX:.0f} MB", right and took_s < FLEET_S_MAX and grown_mb < GROWTH_MB_MAX,
    )  # fmt: skip


def add_nas(api: Any, number: int) -> str:  # noqa: ANN401
    body = {
        "name": f"router{number}", "address": fleet.address(number), "secret": "bench", "vendor": "mikrotik",
        "routeros": {"user": fleet.USER, "port": PORT, "tls": False}, "routeros_password": fleet.PASSWORD,
    }  # fmt: skip
    answer = api.post("/nas", json=body)
    answer.raise_for_status()
    found: str = answer.json()["id"]
    return found


def _looked_at(connection: psycopg.Connection[Any]) -> int:
    query = "SELECT count(*) FROM bras_intent WHERE drift IS NOT NULL"
    return int(connection.execute(query).fetchall()[0][0])


def _worker_mb(node: Node) -> float:
    return node.private_octets("worker") / 2**20
