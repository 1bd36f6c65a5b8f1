"""Pools of our own, given out by two nodes under load while one of them, and then the database, is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from clusters import discard
from factories import make_contract, make_nas, make_plan, make_service
from pool_boxes import Box, Server, Subscribers, Taken, Witness
from small_provider import NAS_SECRET
from whole_node import Node, children_of, radius_node, wait_for, whole_node

from aaa.pools import pools
from core.audit import Actor
from core.database import Database, psycopg_url
from core.keyring import SERVICE_PASSWORD, load_keyring
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import migrate

pytestmark = pytest.mark.e2e

SERVICES: Final = 3500
POOLS: Final = {"homes": ("ipv4", "100.64.0.0/21"), "pd": ("delegated", "2001:db8::/45")}
CAPACITY: Final = {"homes": 2046, "pd": 2048}
#: With sessions of six seconds on the average, some 1,200 are online at any time.
RATE: Final = 200.0
SESSION_S: Final = (2.0, 10.0)
#: Addresses and prefixes; and how many of them go from one subscriber to another.
LEASES: Final = 10_000
MOVED: Final = 300
GRACE_S: Final = 8
NODE_AWAY_S: Final = 4.0
DATABASE_AWAY_S: Final = 5.0
PATIENCE_S: Final = 60.0
#: The boxes' own patience with a server that is silent, and some for a machine that others use.
GAP_S_MAX: Final = 4.0
#: What the database itself notes of every lease, beside what it says in the end.
_HISTORY: Final = """
CREATE TABLE lease_history (address text, before text, state text, was bigint, service_id bigint);
CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO lease_history VALUES (NEW.address, CASE TG_OP WHEN 'UPDATE' THEN OLD.state END, NEW.state,
    CASE TG_OP WHEN 'UPDATE' THEN OLD.service_id END, NEW.service_id);
  RETURN NULL; END $$;
CREATE TRIGGER note_new_lease AFTER INSERT ON address_lease FOR EACH ROW EXECUTE FUNCTION note_lease();
CREATE TRIGGER note_lease AFTER UPDATE ON address_lease FOR EACH ROW
  WHEN (NEW.state <> OLD.state OR NEW.service_id <> OLD.service_id) EXECUTE FUNCTION note_lease();
"""
_LIVE: Final = "SELECT login, framed_ipv4, delegated_ipv6_prefix, service_id FROM session WHERE stopped_at IS NULL"
#: Somebody who was refused, and never was online.
_REFUSED: Final = (
    "SELECT login FROM authentication_attempt a WHERE reason = 'pool_exhausted' "
    "AND NOT EXISTS (SELECT FROM session s WHERE s.login = a.login) LIMIT 1"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("outside") / "pg")
    server.start()
    yield server
    discard(server)


@pytest.fixture(scope="module")
def logins(server: EmbeddedPostgres, place: Path) -> dict[str, str]:
    """Passwords by login. Seeded in the database before the nodes start, so that it takes a second."""
    data = place / "a"
    data.mkdir(mode=0o700)
    keyring = load_keyring(data / "secret.key")
    migrate(server.url)
    database = Database(psycopg_url(server.url))
    with database.transaction() as session:
        for name, (kind, network) in POOLS.items():
            pools.create_pool(session, {"name": name, "kind": kind, "ranges": [network]}, Actor("test"))
        for name, address in (("bras-1", "127.0.0.2"), ("bras-2", "127.0.0.3")):
            make_nas(session, keyring, name=name, address=address, secret=NAS_SECRET, vendor="mikrotik")
        plan = make_plan(session, address_pool="homes", delegated_ipv6_pool="pd", session_limit=None)
        pattern = make_service(session, keyring, plan=plan, contract=make_contract(session))
        made = pattern.contract_id, plan.id, pattern.policy_fingerprint
    database.dispose()
    logins = {f"cliente{number}": f"senha{number}" for number in range(SERVICES)}
    with psycopg.connect(server.url, autocommit=True) as connection:
        columns = "contract_id, plan_id, policy_fingerprint, kind, login, password_encrypted"
        with connection.cursor().copy(f"COPY service ({columns}) FROM STDIN") as copy:
            for login, password in logins.items():
                copy.write_row((*made, "pppoe", login, keyring.seal(password, SERVICE_PASSWORD)))
        connection.execute(_HISTORY)
        connection.execute("ANALYZE")
    return logins


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="module")
def nodes(server: EmbeddedPostgres, place: Path, logins: dict[str, str]) -> Iterator[tuple[Node, Node]]:
    """A whole one, and RADIUS alone."""
    common = {"PROVEDOR_DATABASE_URL": server.url, "PROVEDOR_LEASE_GRACE_S": str(GRACE_S)}
    with (
        whole_node(place / "a", PROVEDOR_NODE="a", **common) as whole,
        radius_node(place / "b", whole, PROVEDOR_NODE="b") as other,
    ):
        yield whole, other


def kill_at_once(node: Node) -> None:
    """Every process of it, as when its machine loses power; its disk stays."""
    supervisor = node.process.pid
    os.kill(supervisor, signal.SIGSTOP)  # so that it starts nobody again
    for pid in [*children_of(supervisor), supervisor]:
        os.kill(pid, signal.SIGKILL)
    node.process.wait()


async def lose_node(node: Node) -> None:
    kill_at_once(node)
    await asyncio.sleep(NODE_AWAY_S)
    await asyncio.to_thread(node.launch, "--only", "radius")


async def lose_database(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    await asyncio.sleep(DATABASE_AWAY_S)
    while not _serves(server):  # not in a thread: PostgreSQL ends with the one that launched it
        if server.exit_code() is not None:
            server.launch()
        await asyncio.sleep(0.2)


def _serves(server: EmbeddedPostgres) -> bool:
    try:
        psycopg.connect(server.url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


class Load:
    """What the boxes do while things break, and what was seen of it."""

    def __init__(self, nodes: tuple[Node, Node], logins: dict[str, str]) -> None:
        self.witness = Witness()
        servers = [Server(name, node.auth_port, node.acct_port) for name, node in zip("ab", nodes, strict=True)]
        self.boxes = [
            Box(f"bras-{number}", f"127.0.0.{number + 1}", servers, self.witness, seed=number) for number in (1, 2)
        ]
        self._logins = logins
        self.gaps: dict[str, float] = {}

    async def run(self, node: Node, server: EmbeddedPostgres) -> None:
        for box in self.boxes:
            await box.open()
        subscribers = Subscribers(self.boxes, self._logins, rate=RATE, session_s=SESSION_S)
        coming_and_going = asyncio.create_task(subscribers.run())
        await self._until("logins refused", 1)  # addresses are being taken back
        await self._watch("node", lose_node(node))
        await self._until("leases moved", 1)
        await self._watch("database", lose_database(server))
        await self.boxes[1].reboot()
        await self._until("leases moved", MOVED)
        await self._until("leases given back", LEASES)
        subscribers.stopping = True
        await coming_and_going
        while any(box.unacknowledged for box in self.boxes):
            await asyncio.sleep(0.1)
        for box in self.boxes:
            box.close()
            assert not box.failures, box.failures[:3]

    async def _until(self, what: str, count: int) -> None:
        ends = time.monotonic() + PATIENCE_S
        while self.witness.counts[what] < count:
            assert time.monotonic() < ends, f"{what}: {self.witness.counts[what]} of {count}"
            await asyncio.sleep(0.2)

    async def _watch(self, what: str, breaking: Any) -> None:
        """The longest time without an accept while it was broken."""
        began = time.monotonic()
        await breaking
        self.gaps[what] = self.witness.longest_gap_s(began, time.monotonic())

    def online(self) -> list[Taken]:
        return [taken for box in self.boxes for taken in box.sessions.values()]


def told(taken: Taken) -> tuple[str, str, str]:
    """As accounting tells it."""
    ipv4, delegated = taken.addresses
    return taken.login, str(IPv4Address(ipv4)), str(IPv6Network((delegated[2:].ljust(16, b"\0"), delegated[1])))


def test_no_address_is_held_twice_by_two_nodes_one_of_which_is_lost(
    nodes: tuple[Node, Node], server: EmbeddedPostgres, logins: dict[str, str]
) -> None:
    whole, other = nodes
    load = Load(nodes, logins)
    began = time.monotonic()
    asyncio.run(load.run(other, server))
    lasted_s = time.monotonic() - began
    witness = load.witness
    with psycopg.connect(server.url, autocommit=True) as connection:

        def query(what: str) -> list[tuple[Any, ...]]:
            return connection.execute(what).fetchall()  # type: ignore[call-overload,no-any-return]

        print(  # noqa: T201  (shown with -s, and when the test fails)
            f"{lasted_s:.0f} s: {dict(witness.counts)}, longest time without an accept {load.gaps}; "
            f"in the database {query('SELECT before, state, count(*) FROM lease_history GROUP BY 1, 2 ORDER BY 1, 2')}"
        )
        assert not witness.twice, witness.twice[:5]
        held = sorted(map(told, load.online()))
        assert held, "somebody is online"
        wait_for(lambda: sorted(row[:3] for row in query(_LIVE)) == held, every_s=0.5)
        holders = {address: (state, holder) for address, state, holder in query(
            "SELECT address, state, service_id FROM address_lease"
        )}  # fmt: skip
        for _, ipv4, delegated, service_id in query(_LIVE):
            for address in (ipv4, delegated):
                assert holders[address] in {("held", service_id), ("revoked", service_id)}, address
        went_on = query("SELECT * FROM lease_history WHERE was <> service_id AND (before, state) <> ('free', 'held')")
        assert went_on == [], "a lease went to another without having been free"
        assert load.gaps["node"] < GAP_S_MAX
        assert load.gaps["database"] < GAP_S_MAX
        check_use(whole, {login for login, *_ in held})
        ((refused,),) = query(_REFUSED)
        assert "no address is free in the pool" in whole.run("explain", refused, "--language", "en")


def check_use(node: Node, online: set[str]) -> None:
    """The report says what is so."""

    def uses() -> dict[str, dict[str, int]]:
        return {pool["name"]: pool["use"] for pool in node.api.get("/address-pools").json()["items"]}

    assert {use["online"] for use in uses().values()} == {len(online)}
    for name, use in uses().items():
        assert use["capacity"] == CAPACITY[name]
        assert use["held"] + use["revoked"] + use["free"] == use["capacity"]
        assert use["held"] + use["revoked"] >= use["online"]
