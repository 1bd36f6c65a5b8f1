"""Leases out of our own pools: sticky, taken back in steps, and never held twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import psycopg
import pytest
from factories import make_plan, make_service
from feed_listener import wait_until
from hypothesis import given
from hypothesis import strategies as st
from radius_node import FULL, Box, Known, RadiusNode, nas, whole
from sqlalchemy import func, select, update

from aaa.feed import LEASE_TRUST_S, FrameReader, Message, SnapshotFollower, frame
from aaa.feed_source import FeedSource
from aaa.models import SpoolPosition
from aaa.packet import Code, Kind, parse
from aaa.pools import leases, nodes, pools, taking
from aaa.pools.adoption import Became, Holder, adopt
from aaa.pools.leases import GRACE
from aaa.pools.models import AddressLease, PoolKind, PoolRange
from aaa.pools.nodes import MISSED_AFTER, SETTLED_AFTER
from aaa.pools.ranges import capacity, nth, number_of
from aaa.pools.taking import PATIENCE
from aaa.vendors.base import lease_attributes
from core.audit import Actor
from core.database import Database, libpq_url
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import Keyring
from core.models.network import Session
from core.models.service import Service, ServiceStatus
from core.models.system import Event

ACTOR = Actor("test")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def make_pool(database: Database, *ranges: str, name: str = "homes", kind: PoolKind = PoolKind.IPV4) -> int:
    with database.transaction() as session:
        return pools.create_pool(session, {"name": name, "kind": kind, "ranges": list(ranges)}, ACTOR).id


def make_services(database: Database, keyring: Keyring, count: int, pool: str = "homes") -> list[int]:
    with database.transaction() as session:
        plan = make_plan(session, address_pool=pool)
        return [make_service(session, keyring, plan=plan).id for _ in range(count)]


def take(database: Database, service_id: int, now: datetime = NOW, pool: str = "homes") -> str | None:
    with database.transaction() as session:
        return taking.take(session, pool, [service_id], now).get(service_id)


def keep(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        leases.keep(session, now)


def states(database: Database) -> dict[str, str]:
    with database.transaction() as session:
        return {lease.address: lease.state.value for lease in session.scalars(select(AddressLease))}


def go_online(database: Database, service_id: int, address: str, at: datetime = NOW) -> int:
    with database.transaction() as session:
        live = Session(
            nas_id=1, box="bras", acct_session_id=f"{service_id}-{at.timestamp()}", service_id=service_id, login="x",
            started_at=at, updated_at=at, nas_address="127.0.0.1", framed_ipv4=address,
        )  # fmt: skip
        session.add(live)
        session.flush()
        return live.id


def go_offline(database: Database, session_id: int, at: datetime = NOW) -> None:
    with database.transaction() as session:
        session.execute(update(Session).where(Session.id == session_id).values(stopped_at=at, stop_kind="stop"))


prefixes = st.integers(20, 32).flatmap(
    lambda length: st.builds(
        lambda base: str(ip_network((base & ~((1 << (32 - length)) - 1), length))), st.integers(1 << 24, (1 << 32) - 1)
    )
)


@given(prefixes, st.data())
def test_each_number_of_a_network_is_another_address_inside_it(network: str, data: st.DataObject) -> None:
    count = capacity(network, 32)
    one, other = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    assert (nth(network, 32, one) == nth(network, 32, other)) == (one == other)
    assert ip_network(nth(network, 32, one)).subnet_of(ip_network(network))  # type: ignore[arg-type]


@given(st.integers(32, 56), st.integers(0, 8), st.data())
def test_delegated_prefixes_lie_side_by_side(length: int, more: int, data: st.DataObject) -> None:
    network = str(ip_network((0x20010DB8 << 96, length)))
    number = data.draw(st.integers(0, capacity(network, length + more) - 1))
    given_prefix = ip_network(nth(network, length + more, number))
    assert given_prefix.prefixlen == length + more
    assert given_prefix.subnet_of(ip_network(network))  # type: ignore[arg-type]


@given(st.sampled_from([("100.64.0.0/24", 32), ("100.64.0.4/31", 32), ("2001:db8::/48", 56)]), st.data())
def test_an_addresss_number_is_found_from_the_address(place: tuple[str, int], data: st.DataObject) -> None:
    network, length = place
    number = data.draw(st.integers(0, capacity(network, length) - 1))
    assert number_of(network, length, nth(network, length, number)) == number


@pytest.mark.parametrize("address", ["100.64.0.0", "100.64.0.255", "100.64.1.1", "100.63.255.255", "2001:db8::/64"])
def test_what_a_network_does_not_give_has_no_number(address: str) -> None:
    assert number_of("100.64.0.0/24", 32, address) is None


def test_neither_the_first_nor_the_last_address_of_a_subnet_is_given() -> None:
    assert [nth("192.0.2.0/30", 32, number) for number in range(capacity("192.0.2.0/30", 32))] == [
        "192.0.2.1", "192.0.2.2",
    ]  # fmt: skip
    assert capacity("192.0.2.4/31", 32) == 2
    assert nth("192.0.2.7/32", 32, 0) == "192.0.2.7"


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"ranges": ["192.0.2.1/24"]}, "ranges", "not a network"),
        ({"ranges": ["2001:db8::/32"]}, "ranges", "of the other IP version"),
        ({"ranges": ["127.0.0.0/8"]}, "ranges", "cannot be given to subscribers"),
        ({"ranges": ["192.0.2.0/24", "192.0.2.128/25"]}, "ranges", "overlaps 192.0.2.0/24"),
        ({"ranges": ["100.64.0.128/25"]}, "ranges", "overlaps 100.64.0.0/24"),
        ({"kind": "delegated", "ranges": ["2001:db8::/60"]}, "ranges", "smaller than one /56"),
        ({"prefix_length": 24, "ranges": ["192.0.2.0/24"]}, "prefix_length", "single addresses"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(database: Database, values: dict[str, Any], field: str, words: str) -> None:
    make_pool(database, "100.64.0.0/24")
    with pytest.raises(InvalidInput, match=words) as error, database.transaction() as session:
        pools.create_pool(session, {"name": "b", "kind": "ipv4", **values}, ACTOR)
    assert error.value.field == field


def test_a_range_with_leases_stays(database: Database, keyring: Keyring) -> None:
    pool_id = make_pool(database, "192.0.2.0/30")
    take(database, make_services(database, keyring, 1)[0])
    with database.transaction() as session, pytest.raises(Conflict, match=r"1 of 192\.0\.2\.0/30 are given"):
        pools.update_pool(session, pools.get_pool(session, pool_id), {"ranges": ["198.51.100.0/24"]}, ACTOR)
    with database.transaction() as session, pytest.raises(Conflict, match="1 of homes are given"):
        pools.delete_pool(session, pools.get_pool(session, pool_id), ACTOR)
    with database.transaction() as session:
        pool = pools.get_pool(session, pool_id)
        pools.update_pool(session, pool, {"ranges": ["192.0.2.0/30", "198.51.100.0/24"]}, ACTOR)
        assert (pools.use_of(session, pool).capacity, pools.use_of(session, pool).free) == (256, 255)


def test_a_lease_stays_with_its_service(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.0/29")
    one, other = make_services(database, keyring, 2)
    assert (take(database, one), take(database, other)) == ("192.0.2.1", "192.0.2.2")
    assert take(database, one, NOW + timedelta(days=400)) == "192.0.2.1"


def test_many_are_given_at_once_each_its_own(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.0/28", "198.51.100.0/29")
    ids = make_services(database, keyring, 22)
    with database.transaction() as session:
        make_service(session, keyring, ipv4_address="192.0.2.3")
        given = taking.take(session, "homes", [*ids, ids[0]], NOW)
        assert sorted(given) == ids[:19], "who asks first is given first; of 20, one is a service's own"
        assert len(set(given.values())) == 19
        assert taking.take(session, "homes", ids, NOW) == given


def test_a_static_address_inside_a_pool_is_given_to_nobody(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.0/29")
    with database.transaction() as session:
        make_service(session, keyring, ipv4_address="192.0.2.1")
    assert take(database, make_services(database, keyring, 1)[0]) == "192.0.2.2"


def became(database: Database, *holders: Holder) -> list[Became]:
    with database.transaction() as session:
        return [one.became for one in adopt(session, holders, NOW)]


def test_an_address_that_somebody_has_already_becomes_his_lease_and_is_given_to_nobody_else(
    database: Database, keyring: Keyring
) -> None:
    make_pool(database, "100.64.0.0/29")  # .1 to .6
    ana, eva, rui = make_services(database, keyring, 3)
    assert became(database, Holder("100.64.0.2", ana, "ana"), Holder("192.0.2.9", eva, "eva")) == [Became.LEASED]
    assert became(database, Holder("100.64.0.2", ana, "ana")) == [Became.KNOWN]
    assert became(database, Holder("100.64.0.2", eva, "eva")) == [Became.TAKEN]
    assert became(database, Holder("100.64.0.3", ana, "ana")) == [Became.SECOND]
    assert became(database, Holder("100.64.0.3", None, "who")) == [Became.STRANGER]
    assert take(database, ana) == "100.64.0.2"
    assert [take(database, one) for one in (eva, rui)] == ["100.64.0.1", "100.64.0.3"]


def test_nobody_has_two_of_what_is_adopted_at_once(database: Database, keyring: Keyring) -> None:
    make_pool(database, "100.64.0.0/29")
    ana, eva = make_services(database, keyring, 2)
    holders = Holder("100.64.0.2", ana, "ana"), Holder("100.64.0.2", eva, "eva"), Holder("100.64.0.4", ana, "ana")
    assert became(database, *holders) == [Became.LEASED, Became.TAKEN, Became.SECOND]


def test_a_pool_is_given_to_its_end_around_what_was_adopted(database: Database, keyring: Keyring) -> None:
    make_pool(database, "100.64.0.0/29")
    services = make_services(database, keyring, 7)
    adopted = became(database, *(Holder(f"100.64.0.{n}", services[n], "") for n in (2, 3, 6)))
    assert adopted == [Became.LEASED] * 3
    left = [one for number, one in enumerate(services) if number not in {2, 3, 6}]
    assert [take(database, one) for one in left] == ["100.64.0.1", "100.64.0.4", "100.64.0.5", None]
    with database.transaction() as session:
        assert session.execute(select(PoolRange.given, PoolRange.ahead)).one() == (6, 0)


def test_what_was_adopted_counts_when_a_pool_runs_low(database: Database, keyring: Keyring) -> None:
    """All six were somebody's before: who is offline must give his back before anybody is left without."""
    make_pool(database, "100.64.0.0/29")
    services = make_services(database, keyring, 6)
    became(database, *(Holder(f"100.64.0.{n}", one, "") for n, one in enumerate(services, 1)))
    keep(database, NOW)
    assert sorted(states(database).values()).count("revoked") == 1


def test_a_free_lease_is_adopted_as_well(database: Database, keyring: Keyring) -> None:
    make_pool(database, "100.64.0.0/29")
    ana, eva = make_services(database, keyring, 2)
    address = take(database, ana)
    assert address is not None
    with database.transaction() as session:
        session.execute(update(AddressLease).values(state="free"))
    assert became(database, Holder(address, eva, "eva")) == [Became.LEASED]
    assert take(database, eva) == address


def test_an_exhausted_pool_says_so_once_an_hour_and_gives_nothing(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.4/31")
    ids = make_services(database, keyring, 4)
    assert [take(database, one) for one in ids] == ["192.0.2.4", "192.0.2.5", None, None]
    with database.transaction() as session:
        said = select(func.count()).where(Event.type == "pool.exhausted")
        assert session.scalar(said) == 1


def test_a_lease_changes_hands_only_when_every_node_knows_and_nobody_uses_it(
    database: Database, keyring: Keyring
) -> None:
    make_pool(database, "192.0.2.4/31")
    first, second, third = make_services(database, keyring, 3)
    take(database, first)
    take(database, second)
    go_online(database, second, "192.0.2.5")
    hear = lambda name, revision, at: _hear(database, name, revision, at)  # noqa: E731
    hear("a", 1, NOW)
    hear("b", 1, NOW)
    keep(database, NOW)  # the pool is low: `first` has been offline the longest
    assert states(database) == {"192.0.2.4": "revoked", "192.0.2.5": "held"}
    newest = _newest(database)
    hear("a", newest, NOW)
    keep(database, NOW + 2 * GRACE)
    assert take(database, third) is None, "b has not confirmed"
    hear("b", newest, NOW + 2 * GRACE)
    hear("a", newest, NOW + 2 * GRACE)
    keep(database, NOW + 2 * GRACE)
    keep(database, NOW + 2 * GRACE + GRACE / 2)
    assert take(database, third) is None, "a session may still turn up"
    hear("a", newest, NOW + 3 * GRACE)
    keep(database, NOW + 3 * GRACE)
    assert take(database, third) is None, "b may have heard of one"
    hear("b", newest, NOW + 3 * GRACE)
    keep(database, NOW + 3 * GRACE)
    assert states(database)["192.0.2.4"] == "free"
    assert take(database, third) == "192.0.2.4"


def test_a_session_that_turns_up_keeps_its_address(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.4/31")
    first, second = make_services(database, keyring, 2)
    take(database, first)
    take(database, second)
    go_online(database, second, "192.0.2.5")
    keep(database, NOW)
    go_online(database, first, "192.0.2.4")  # accepted just before
    keep(database, NOW + GRACE)
    keep(database, NOW + 2 * GRACE)
    assert states(database) == {"192.0.2.4": "held", "192.0.2.5": "held"}
    assert take(database, first) == "192.0.2.4"


def test_who_comes_back_while_its_lease_is_being_taken_back_keeps_it(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.4/31")
    first, second = make_services(database, keyring, 2)
    take(database, first)
    take(database, second)
    go_online(database, second, "192.0.2.5")
    keep(database, NOW)
    keep(database, NOW)  # revoked, and confirmed
    assert states(database)["192.0.2.4"] == "revoked"
    assert take(database, first) == "192.0.2.4", "nobody else has it yet"
    keep(database, NOW + 2 * GRACE)
    assert states(database)["192.0.2.4"] != "free", "its revocation began anew, if at all"


def test_a_prefix_that_its_box_does_not_tell_of_stays_with_whoever_is_online(
    database: Database, keyring: Keyring
) -> None:
    make_pool(database, "2001:db8::/55", name="pd", kind=PoolKind.DELEGATED)
    first, second = make_services(database, keyring, 2)
    assert take(database, first, pool="pd") == "2001:db8::/56"
    take(database, second, pool="pd")
    go_online(database, second, "192.0.2.5")
    keep(database, NOW)
    go_online(database, first, "192.0.2.4")  # accepted just before, with the prefix, of which accounting says nothing
    keep(database, NOW + GRACE)
    keep(database, NOW + 2 * GRACE)
    assert states(database)["2001:db8::/56"] == "held"


def test_an_address_that_became_somebodys_own_is_given_no_more(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.0/29")
    (gone, other) = make_services(database, keyring, 2)
    assert take(database, gone) == "192.0.2.1"
    with database.transaction() as session:
        make_service(session, keyring, ipv4_address="192.0.2.1")
    keep(database, NOW)
    keep(database, NOW)
    keep(database, NOW + GRACE)
    assert states(database)["192.0.2.1"] == "free"
    assert take(database, other) == "192.0.2.2"


def test_as_many_are_taken_back_as_wait_for_one(database: Database, keyring: Keyring) -> None:
    pool_id = make_pool(database, "192.0.2.0/26")
    ids = make_services(database, keyring, 82)
    for one in ids:
        take(database, one)
    with database.transaction() as session:
        assert pools.use_of(session, pools.get_pool(session, pool_id)).waiting == 20
    keep(database, NOW)
    keep(database, NOW)
    keep(database, NOW + GRACE)
    assert list(states(database).values()).count("free") == 21, "those who wait, and the reserve"
    assert all(take(database, one, NOW + GRACE) for one in ids[62:])
    with database.transaction() as session:
        assert pools.use_of(session, pools.get_pool(session, pool_id)).waiting == 0


def test_who_does_not_ask_any_more_does_not_wait(database: Database, keyring: Keyring) -> None:
    pool_id = make_pool(database, "192.0.2.4/31")
    for one in make_services(database, keyring, 3):
        take(database, one)
    keep(database, NOW + 2 * PATIENCE)
    with database.transaction() as session:
        assert pools.use_of(session, pools.get_pool(session, pool_id)).waiting == 0


def test_an_address_is_not_given_on_while_accounting_waits_in_a_spool(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.4/31")
    for one in make_services(database, keyring, 2):
        take(database, one)
    keep(database, NOW)
    _hear(database, "a", _newest(database), NOW, shipped_until=None)
    keep(database, NOW)  # revoked, and confirmed
    keep(database, NOW + 2 * GRACE)
    assert "free" not in states(database).values(), "none of its spools was heard of yet"
    _hear(database, "a", _newest(database), NOW + 2 * GRACE, shipped_until=NOW)
    keep(database, NOW + 2 * GRACE)
    assert "free" not in states(database).values(), "what was accepted may be in there"
    _hear(database, "a", _newest(database), NOW + 2 * GRACE)
    keep(database, NOW + 2 * GRACE)
    assert "free" in states(database).values()


def test_a_node_that_is_lost_is_waited_for_until_an_operator_forgets_it(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.4/31")
    for one in make_services(database, keyring, 2):
        take(database, one)
    _hear(database, "lost", 0, NOW)
    keep(database, NOW)
    with database.transaction() as session, pytest.raises(Conflict, match="lost is alive"):
        nodes.forget(session, "lost", ACTOR, NOW + timedelta(seconds=30))
    later = NOW + timedelta(days=3)
    keep(database, later)
    keep(database, later)
    assert "free" not in states(database).values(), "its spool may tell who has it"
    with database.transaction() as session:
        assert nodes.missed(session, later) == ["lost"]
        nodes.forget(session, "lost", ACTOR, later)
        assert nodes.missed(session, later) == []
    keep(database, later)
    keep(database, later + GRACE)
    assert "free" not in states(database).values(), "sessions whose Start it had are told of by their boxes"
    keep(database, later + SETTLED_AFTER + GRACE)
    assert "free" in states(database).values()


def test_a_forgotten_node_that_comes_back_must_join_anew(database: Database) -> None:
    _hear(database, "a", 7, NOW)
    with database.transaction() as session:
        nodes.forget(session, "a", ACTOR, NOW + MISSED_AFTER)
    with database.transaction() as session:
        assert not nodes.hear(session, "a", 8, NOW + MISSED_AFTER)
        assert nodes.lowest_revision(session) is None
        nodes.join(session, "a", NOW + MISSED_AFTER)
        assert nodes.lowest_revision(session) == 0, "it reads a snapshot, and knows nothing yet"
        assert nodes.hear(session, "a", 8, NOW + MISSED_AFTER)


def test_a_cancelled_service_and_one_that_moved_give_their_leases_back(database: Database, keyring: Keyring) -> None:
    make_pool(database, "192.0.2.0/24")
    gone, moved, stays = make_services(database, keyring, 3)
    addresses = [take(database, one) for one in (gone, moved, stays)]
    with database.transaction() as session:
        session.execute(update(Service).where(Service.id == gone).values(status=ServiceStatus.CANCELLED))
        elsewhere = make_plan(session, address_pool="at the NAS")
        session.execute(update(Service).where(Service.id == moved).values(plan_id=elsewhere.id))
    keep(database, NOW)
    assert [states(database)[one or ""] for one in addresses] == ["revoked", "revoked", "held"]


_AT_ONCE: Any = object()


def _hear(
    database: Database, name: str, revision: int, now: datetime, shipped_until: datetime | None = _AT_ONCE
) -> None:
    """A node says how far it is, and ships what it has acknowledged."""
    until = now if shipped_until is _AT_ONCE else shipped_until
    with database.transaction() as session:
        if not nodes.hear(session, name, revision, now):
            nodes.join(session, name, now)
            nodes.hear(session, name, revision, now)
        session.merge(SpoolPosition(node=name, spool="acct-0", segment=1, position=0, shipped_until=until))


def _newest(database: Database) -> int:
    with database.transaction() as session:
        return int(session.execute(select(func.max(leases.Change.revision))).scalar_one())


# What a worker answers

POOLED = replace(FULL, address_pool="homes", delegated_ipv6_pool="pd")
V4, PD = lease_attributes("ipv4", "192.0.2.9"), lease_attributes("delegated", "2001:db8:100::/56")


def pooled(*more: bytes, fresh_at: float | None = None, **of_nas: Any) -> list[bytes]:
    import time

    frames = whole([nas(**of_nas)], [Known("ana", policy=POOLED), Known("eva")])
    told = [frame(Message.POOLS, [("homes", "ipv4"), ("pd", "delegated")]), *more]
    told.append(frame(Message.FRESH, time.time() if fresh_at is None else fresh_at))
    return [*frames[:-2], *told, *frames[-2:]]


def test_a_lease_takes_the_place_of_the_pools_name(start_node: Callable[..., RadiusNode]) -> None:
    node = start_node(pooled(frame(Message.LEASES, [("homes", 1, V4), ("pd", 1, PD)])))
    box = Box(node)
    reply = parse(box.ask(box.login("ana").octets))
    assert reply.code == Code.ACCESS_ACCEPT
    assert reply.first(Kind.FRAMED_IP_ADDRESS) == bytes((192, 0, 2, 9))
    assert reply.first(Kind.DELEGATED_IPV6_PREFIX) == b"\0\x38\x20\x01\x0d\xb8\x01\0\0"
    assert reply.first(Kind.FRAMED_POOL) is None
    assert parse(box.ask(box.login("eva", identifier=2).octets)).text(Kind.FRAMED_POOL) == "residential"


def test_who_has_no_lease_gets_one_asked_for_and_is_answered_once_it_is_there(
    start_node: Callable[..., RadiusNode],
) -> None:
    node = start_node(pooled(frame(Message.LEASES, [("pd", 1, PD)])))
    box = Box(node)
    login = box.login("ana")
    box.send(login.octets)
    node.wait_counted({"lease_awaited": 1})
    assert node.feed.wanted == [["homes", 1]]
    wait_until(node.reported_attempts)
    assert node.reported_attempts()[0].reason == "lease_awaited"
    node.feed.tell(frame(Message.LEASES, [("homes", 1, V4)]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert parse(box.ask(login.octets)).first(Kind.FRAMED_IP_ADDRESS) == bytes((192, 0, 2, 9))


def test_who_asks_again_when_there_is_no_lease_is_refused_in_words(start_node: Callable[..., RadiusNode]) -> None:
    node = start_node(pooled(frame(Message.LEASES, [("pd", 1, PD)])))
    box = Box(node)
    login = box.login("ana")
    box.send(login.octets)
    node.wait_counted({"lease_awaited": 1})
    node.feed.tell(frame(Message.NO_LEASE, [1]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert parse(box.ask(login.octets)).code == Code.ACCESS_REJECT
    node.wait_counted({"lease_awaited": 1, "pool_exhausted": 1})
    node.feed.tell(frame(Message.LEASES, [("homes", 1, V4)]), frame(Message.REVISION, 3))
    node.wait_revision(3)
    assert parse(box.ask(box.login("ana", identifier=2).octets)).code == Code.ACCESS_ACCEPT


def test_a_lease_that_was_taken_back_is_given_no_more(start_node: Callable[..., RadiusNode]) -> None:
    node = start_node(pooled(frame(Message.LEASES, [("homes", 1, V4), ("pd", 1, PD)])))
    box = Box(node)
    node.feed.tell(frame(Message.LEASES, [("homes", 1, None)]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    box.send(box.login("ana").octets)
    node.wait_counted({"lease_awaited": 1})


def test_a_node_that_heard_nothing_for_too_long_gives_no_leases_and_answers_the_others(
    start_node: Callable[..., RadiusNode],
) -> None:
    import time

    held = frame(Message.LEASES, [("homes", 1, V4), ("pd", 1, PD)])
    node = start_node(pooled(held, fresh_at=time.time() - LEASE_TRUST_S - 1))
    box = Box(node)
    assert parse(box.ask(box.login("eva").octets)).code == Code.ACCESS_ACCEPT
    box.send(box.login("ana", identifier=2).octets)
    node.wait_counted({"accepted": 1, "leases_stale": 1})


def test_a_nas_may_draw_from_a_pool_of_its_own_under_the_plans_name(start_node: Callable[..., RadiusNode]) -> None:
    held = frame(Message.LEASES, [("homes", 1, V4), ("pd", 1, PD)])
    node = start_node(pooled(held, names={"pools": {"homes": "at-the-nas"}}))
    box = Box(node)
    reply = parse(box.ask(box.login("ana").octets))
    assert reply.text(Kind.FRAMED_POOL) == "at-the-nas"
    assert reply.first(Kind.DELEGATED_IPV6_PREFIX) is not None


# Two nodes, against a model


@dataclass
class Node:
    """A RADIUS node as far as leases go: its copy follows the real feed, it answers as a worker does, and it has a
    spool."""

    name: str
    source: FeedSource
    follower: SnapshotFollower = field(default_factory=lambda: SnapshotFollower(with_services=True))
    fresh_at: datetime = NOW
    #: Whether the database can be reached.
    reads: bool = True
    alive: bool = True
    forgotten_at: datetime | None = None

    @property
    def ships(self) -> bool:
        return self.alive and self.reads

    def follow(self, database: Database, now: datetime) -> None:
        if not self.ships:
            return
        with database.transaction() as session:
            known = nodes.hear(session, self.name, 0, now)
        if not known:
            self._join(database, now)
        while (delta := self.source.changes_after(self.follower.current.revision)) is not None:
            for octets in delta.frames:
                self._hear(octets)
        self.fresh_at, self.forgotten_at = now, None
        _hear(database, self.name, self.follower.current.revision, now)

    def lease(self, service_id: int, now: datetime) -> bytes | None:
        if not self.alive or now - self.fresh_at > timedelta(seconds=LEASE_TRUST_S):
            return None
        return self.follower.current.leases["homes"].get(service_id)

    def _join(self, database: Database, now: datetime) -> None:
        with database.transaction() as session:
            nodes.join(session, self.name, now)
        for octets in self.source.full():
            self._hear(octets)
        self._hear(frame(Message.UP_TO_DATE, None))

    def _hear(self, octets: bytes) -> None:
        reader = FrameReader()
        reader.feed(octets)
        for kind, body in reader:
            self.follower.apply(kind, body)


@dataclass
class Line:
    """A subscriber who is online with an address; the node that has his Start may not have shipped it yet."""

    address: str
    node: Node
    recorded: int | None
    due: datetime


class Provider:
    """Subscribers who come and go at two nodes, more of them than addresses."""

    #: Once its node is forgotten, a box tells the other one of its sessions.
    INTERIM = timedelta(minutes=5)

    def __init__(self, database: Database, nodes: list[Node], service_ids: list[int], seed: int) -> None:
        self.database, self.nodes, self.service_ids = database, nodes, service_ids
        self.random = random.Random(seed)
        self.now = NOW
        self.online: dict[int, Line] = {}
        self.taken = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.now += timedelta(seconds=self.random.choice((0.1, 1, 5, 30, 120, 900)))
            self.random.choice((self.connect, self.connect, self.connect, self.disconnect, self.clock, self.trouble))()
            self.record()
            held = [line.address for line in self.online.values()]
            assert len(held) == len(set(held)), "an address is held twice"

    def connect(self) -> None:
        service_id, node = self.random.choice(self.service_ids), self.random.choice(self.nodes)
        if service_id in self.online:
            return
        leased = node.lease(service_id, self.now)
        if leased is None:
            if node.ships and take(self.database, service_id, self.now):
                self.taken += 1
            return
        address = ".".join(map(str, leased[2:6]))
        # The NAS says Start within a minute: less than GRACE.
        self.online[service_id] = Line(address, node, None, self.now + timedelta(seconds=self.random.uniform(0, 60)))

    def disconnect(self) -> None:
        recorded = [service_id for service_id, line in self.online.items() if line.recorded is not None]
        if recorded:
            service_id = self.random.choice(recorded)
            go_offline(self.database, self.online.pop(service_id).recorded or 0, self.now)

    def clock(self) -> None:
        for node in self.nodes:
            if self.random.random() < 0.7:
                self.record()
                node.follow(self.database, self.now)
        with self.database.transaction() as session:
            leases.note_use(session, self.now)
        keep(self.database, self.now)

    def trouble(self) -> None:
        """A node loses the database or finds it again, dies or is started again, or is forgotten."""
        node = self.random.choice(self.nodes)
        match self.random.choice(("database", "database", "life", "operator")):
            case "database":
                node.reads = not node.reads or self.random.random() < 0.5
            case "life":
                node.alive = not node.alive or self.random.random() < 0.5
            case "operator" if not node.alive and node.forgotten_at is None:
                self.forget(node)

    def forget(self, node: Node) -> None:
        try:
            with self.database.transaction() as session:
                nodes.forget(session, node.name, ACTOR, self.now)
        except (Conflict, NotFound):
            return
        node.forgotten_at = self.now

    def record(self) -> None:
        for service_id, line in self.online.items():
            if line.recorded is None and line.due <= self.now and self.is_told(line.node):
                line.recorded = go_online(self.database, service_id, line.address, self.now)

    def is_told(self, node: Node) -> bool:
        """Whether the spool is shipped, or a box tells of its sessions elsewhere."""
        lost = node.forgotten_at is not None and self.now - node.forgotten_at > self.INTERIM
        return node.ships or (lost and any(other.ships for other in self.nodes))


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("seed", range(6))
def test_no_address_is_held_twice_whatever_two_nodes_hear_and_miss(
    database: Database, keyring: Keyring, connection: psycopg.Connection[Any], seed: int
) -> None:
    make_pool(database, "192.0.2.0/28")
    service_ids = make_services(database, keyring, 25)
    both = [Node(name, FeedSource(connection, keyring)) for name in ("a", "b")]
    for node in both:
        node.follow(database, NOW)
    provider = Provider(database, both, service_ids, seed)
    provider.run(600)
    assert provider.taken > 14, "no address ever changed hands"
