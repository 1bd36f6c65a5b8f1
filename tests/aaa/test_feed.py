"""Feed and snapshot: frames survive any cutting, a snapshot is whole or not there, nothing grows for ever."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.feed import FeedConnection, FrameReader, Message, SnapshotFollower, frame
from aaa.snapshot import POLICIES_SPARE, Clients, NasRow, Snapshot
from core.access import Access
from core.policy import Policy

bodies = st.lists(st.tuples(st.sampled_from(Message), st.binary(max_size=80)), max_size=8)


def nas(nas_id: int = 1, address: str = "192.0.2.1", **changed: object) -> NasRow:
    row = NasRow(nas_id, f"nas-{nas_id}", address, b"secret", "mikrotik", "auto", None, {}, False, False, None)
    for name, value in changed.items():
        setattr(row, name, value)
    return row


def policy_row(number: int) -> tuple[str, dict[str, object]]:
    policy = Policy(Access.FULL, 1000 + number, 1000)
    return policy.fingerprint, policy.to_body()


def told(follower: SnapshotFollower, *messages: tuple[Message, object]) -> None:
    for kind, body in messages:
        follower.apply(kind, frame(kind, body)[5:])


@given(bodies, st.data())
def test_a_stream_cut_anywhere_gives_the_frames_that_were_sent(
    sent: list[tuple[Message, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(frame(kind, body) for kind, body in sent)
    reader, found = FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        found += list(reader)
    assert [(kind, msgspec.msgpack.decode(body)) for kind, body in found] == [(int(kind), body) for kind, body in sent]


def test_an_impossible_length_is_an_error_and_not_a_wait() -> None:
    reader = FrameReader()
    reader.feed(frame(Message.REVISION, 1) + b"\xff\xff\xff\xffR")
    frames = iter(reader)
    assert next(frames)[0] == Message.REVISION
    with pytest.raises(ValueError, match="octets"):
        next(frames)


def test_requests_meet_the_old_snapshot_until_the_new_one_is_whole() -> None:
    follower = SnapshotFollower(with_services=True)
    fingerprint, body = policy_row(0)
    whole = [
        (Message.BEGIN, "epoch"), (Message.POLICIES, [(fingerprint, body)]), (Message.NAS, [nas()]),
        (Message.SERVICES, [(1, b"ana", b"pw", fingerprint)]), (Message.REVISION, 5), (Message.UP_TO_DATE, None),
    ]  # fmt: skip
    told(follower, *whole)
    assert follower.ready
    told(follower, *whole[:2], (Message.NAS, []), (Message.SERVICES, [(2, b"bia", b"pw", fingerprint)]))
    assert (set(follower.current.subscribers), follower.current.revision) == ({b"ana"}, 5)
    follower.forget_partial()
    told(follower, (Message.SERVICES, [(3, b"caio", b"pw", fingerprint)]), (Message.REVISION, 6))
    assert (set(follower.current.subscribers), follower.current.revision) == ({b"ana", b"caio"}, 6)
    told(follower, *whole)
    assert set(follower.current.subscribers) == {b"ana"}


def test_a_copy_is_not_answered_from_before_what_changed_since_it_began_is_told_too() -> None:
    follower = SnapshotFollower(with_services=True)
    fingerprint, body = policy_row(0)
    copy = [
        (Message.BEGIN, "epoch"), (Message.POLICIES, [(fingerprint, body)]), (Message.NAS, [nas()]),
        (Message.SERVICES, [(1, b"ana", b"pw", fingerprint)]), (Message.REVISION, 5),
        (Message.SERVICES, [(1, None, b"", fingerprint), (2, b"bia", b"pw", fingerprint)]), (Message.REVISION, 6),
    ]  # fmt: skip
    told(follower, *copy)
    assert not follower.ready
    assert follower.current.clients.find("192.0.2.1") is None
    told(follower, (Message.UP_TO_DATE, None))
    assert follower.ready
    assert (set(follower.current.subscribers), follower.current.revision) == ({b"bia"}, 6)
    told(follower, (Message.SERVICES, [(3, b"caio", b"pw", fingerprint)]), (Message.REVISION, 7))
    told(follower, *copy)
    assert set(follower.current.subscribers) == {b"bia", b"caio"}


def test_counters_of_a_nas_go_on_when_its_entry_changes_and_when_everything_is_told_anew() -> None:
    follower = SnapshotFollower(with_services=True)
    whole = [(Message.BEGIN, ""), (Message.NAS, [nas()]), (Message.REVISION, 1), (Message.UP_TO_DATE, None)]
    told(follower, *whole)
    counts = follower.current.clients.all()[0].counts
    counts["accepted"] = 7
    told(follower, (Message.NAS, [nas(vendor="generic"), nas(2, "192.0.2.2")]), (Message.REVISION, 2))
    assert [client.counts for client in follower.current.clients.all()] == [{"accepted": 7}, {}]
    told(follower, *whole)
    assert follower.current.clients.all()[0].counts is counts


def test_policies_that_nobody_uses_any_more_are_dropped() -> None:
    """A subscriber with a static address has a policy of his own: after years of changes only the last one is kept."""
    follower = SnapshotFollower(with_services=True)
    told(follower, (Message.BEGIN, ""), (Message.REVISION, 1), (Message.UP_TO_DATE, None))
    emergency = policy_row(-1)
    told(follower, (Message.POLICIES, [emergency]), (Message.NAS, [nas(emergency_fingerprint=emergency[0])]))
    kept = 300
    for number in range(20 * kept):
        fingerprint, body = policy_row(number)
        service_id = number % kept
        told(
            follower, (Message.POLICIES, [(fingerprint, body)]),
            (Message.SERVICES, [(service_id, b"user%d" % service_id, b"", fingerprint)]), (Message.REVISION, number),
        )  # fmt: skip
        assert len(follower.current.policies) <= (kept + 1) * 5 // 4 + POLICIES_SPARE
    snapshot = follower.current
    for subscriber in snapshot.subscribers.values():
        assert snapshot.policies[subscriber.entry.fingerprint] is subscriber.entry
    assert emergency[0] in snapshot.policies


def test_a_login_that_passes_from_one_service_to_another_is_never_lost() -> None:
    fingerprint, body = policy_row(0)
    for order in ([(1, None), (2, b"ana")], [(2, b"ana"), (1, None)], [(2, b"ana"), (1, b"bia")]):
        snapshot = Snapshot()
        snapshot.add_policies([(fingerprint, body)])
        snapshot.set_services([(1, b"ana", b"", fingerprint)])
        snapshot.set_services([(number, login, b"", fingerprint) for number, login in order])
        assert snapshot.subscribers[b"ana"].service_id == 2
        assert len(snapshot.subscribers) == sum(login is not None for _, login in order)


def test_a_source_is_the_nas_with_that_address_else_the_one_with_the_longest_prefix() -> None:
    rows = [
        nas(1, "192.0.2.1"), nas(2, "192.0.2.0/24"), nas(3, "192.0.0.0/16"), nas(4, "2001:db8::1"),
        nas(5, "2001:db8::/32"), nas(6, "fe80::/64"),
    ]  # fmt: skip
    snapshot = Snapshot()
    snapshot.set_nas(rows)
    clients: Clients = snapshot.clients
    wanted = {
        "192.0.2.1": 1, "192.0.2.9": 2, "192.0.77.1": 3, "2001:db8::1": 4, "2001:db8::2": 5, "::ffff:192.0.2.1": 1,
        "::ffff:192.0.2.9": 2, "fe80::1%lo": 6,
    }  # fmt: skip
    for address, nas_id in (wanted | wanted).items():
        client = clients.find(address)
        assert client is not None
        assert client.nas_id == nas_id
    for address in ("198.51.100.1", "2001:db9::1", "::1", "::ffff:198.51.100.1"):
        assert clients.find(address) is None


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.bind(str(tmp_path / "feed.sock"))
        one.listen()
        yield one


def test_a_feeder_that_dies_while_it_is_told_something_is_noticed_by_who_polls(
    tmp_path: Path, listener: socket.socket
) -> None:
    """Whoever sends must not close: the descriptor is being polled, and its number may be another's at once."""
    one = FeedConnection(str(tmp_path / "feed.sock"), {"name": "auth-0", "role": "auth"})
    assert one.connect()
    feeder, _ = listener.accept()
    feeder.close()
    descriptor = one.fileno()
    for _ in range(3):
        one.send(Message.COUNTERS, {"packets": 1})
        assert one.fileno() == descriptor
    assert one.receive() is None
    assert one.fileno() == -1
    one.send(Message.COUNTERS, {})
    assert one.connect()
    one.close()


def test_a_feeder_that_does_not_read_loses_telemetry_and_costs_a_bounded_memory(
    tmp_path: Path, listener: socket.socket
) -> None:
    one = FeedConnection(str(tmp_path / "feed.sock"), {"name": "auth-0", "role": "auth"})
    assert one.connect()
    feeder, _ = listener.accept()
    for _ in range(200):
        one.send(Message.TRACE, b"x" * 10_000)
    assert len(one._unsent) < 300_000
    reader, frames = FrameReader(), 0
    feeder.setblocking(False)
    while frames < 20:  # what did get through is whole
        one.send(Message.COUNTERS, {})
        reader.feed(feeder.recv(1 << 20))
        frames += len(list(reader))
    one.close()
    feeder.close()
