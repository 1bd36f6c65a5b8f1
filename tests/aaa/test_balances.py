"""A prepaid service's login is given no more than is left to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from factories import make_plan, make_service
from hypothesis import given
from hypothesis import strategies as st
from radius_node import FULL, Box, Known, RadiusNode, nas, whole

from aaa.feed import FrameReader, Message, SnapshotFollower, frame
from aaa.feed_source import FeedSource
from aaa.packet import Kind, parse
from aaa.vendors import adapter
from aaa.vendors.base import within_balance
from core.database import Database, libpq_url
from core.keyring import Keyring
from core.models.network import Vendor
from core.models.system import Change, ChangeKind
from core.models.usage import Prepaid, PrepaidBalance

TOTAL_LIMIT, TOTAL_LIMIT_GIGAWORDS = 17, 18


@pytest.fixture
def node(start_node: Callable[..., RadiusNode]) -> RadiusNode:
    hours = replace(FULL, session_seconds=7200)
    frames = whole([nas()], [Known("volume"), Known("time", policy=hours), Known("neither")])
    balances = frame(Message.BALANCES, [(1, (5 << 32) + 7, None), (2, None, 3600)])
    return start_node([*frames[:-2], balances, *frames[-2:]])


def limits(box: Box, login: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    reply = parse(box.ask(box.login(login, identifier=hash(login) % 256).octets))
    low, high = (reply.vendor_values(14988, number) for number in (TOTAL_LIMIT, TOTAL_LIMIT_GIGAWORDS))
    return low, high, reply.every(Kind.SESSION_TIMEOUT)


def test_volume_and_time_that_are_left_go_with_the_accept(node: RadiusNode) -> None:
    box = Box(node)
    assert limits(box, "volume") == ([(7).to_bytes(4, "big")], [(5).to_bytes(4, "big")], [])
    assert limits(box, "time") == ([], [], [(3600).to_bytes(4, "big")])
    assert limits(box, "neither") == ([], [], [])


def test_a_recharge_and_the_end_of_being_prepaid_are_heard(node: RadiusNode) -> None:
    box = Box(node)
    node.feed.tell(frame(Message.BALANCES, [(1, None, None), (2, None, 86_400)]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert limits(box, "volume") == ([], [], [])
    assert limits(box, "time")[2] == [(7200).to_bytes(4, "big")], "the plan's own is less"


@given(st.sampled_from(list(Vendor)), st.none() | st.integers(0, 1 << 50), st.none() | st.integers(0, 1 << 31))
def test_a_reply_has_one_session_timeout_and_loses_nothing_else(
    vendor: Vendor, octets: int | None, seconds: int | None
) -> None:
    one = adapter(vendor)
    plain = b"\x1b\x06\0\0\x0e\x10" + b"\x55\x06\0\0\1\x2c"  # Session-Timeout 3600, Acct-Interim-Interval 300
    limited = within_balance(plain, one, octets, seconds)
    packet = parse(b"\2\0" + (20 + len(limited)).to_bytes(2, "big") + bytes(16) + limited)
    assert packet.integer(Kind.ACCT_INTERIM_INTERVAL) == 300
    expected = 3600 if seconds is None else min(3600, max(1, seconds))
    assert packet.every(Kind.SESSION_TIMEOUT) == [expected.to_bytes(4, "big")]


def test_the_feed_tells_what_is_left_and_when_a_plan_is_no_longer_prepaid(
    database: Database, keyring: Keyring, database_url: str
) -> None:
    from datetime import UTC, date, datetime

    with database.transaction() as session:
        plan = make_plan(session, prepaid=Prepaid.VOLUME)
        service = make_service(session, keyring, plan=plan)
        session.add(
            PrepaidBalance(service_id=service.id, octets=5, seconds=9, counted_day=date(2026, 11, 25),
                           updated_at=datetime.now(UTC))
        )  # fmt: skip
        service_id, plan_id = service.id, plan.id
    follower = SnapshotFollower(with_services=True)

    def hear(*frames: bytes) -> None:
        reader = FrameReader()
        reader.feed(b"".join(frames))
        for kind, body in reader:
            follower.apply(kind, body)

    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        source = FeedSource(connection, keyring)
        hear(*source.full(), frame(Message.UP_TO_DATE, None))
        assert follower.current.balances == {service_id: (5, None)}
        with database.transaction() as session:
            session.get_one(type(plan), plan_id).prepaid = None
            session.add(Change(kind=ChangeKind.SERVICE, ref_id=service_id))
        delta = source.changes_after(follower.current.revision)
        assert delta is not None
        hear(*delta.frames)
    assert follower.current.balances == {}
