"""Accounting of a NAS in shadow or proxy mode: kept here, acknowledged, and brought to the old server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from feed_listener import wait_until
from radius_node import Box, RadiusNode, nas, whole

from aaa.authenticator import SharedSecret, request_authenticator_valid, sign_accounting_response, sign_request
from aaa.packet import Code, Kind, Packet, integer_attribute, parse, proxy_states, text_attribute
from aaa.spool import list_segments
from aaa.takeover import outbound as outbound_module
from aaa.takeover.forwarder import Forwarder, Lane
from aaa.takeover.home import HomeRow, HomeServer
from aaa.takeover.outbound import Outbound

Start = Callable[..., RadiusNode]
SECRET = SharedSecret(b"old-secret")


class OldServer:
    """Takes accounting, by the test's rule."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.heard: list[Packet] = []
        self.refuses: set[str] = set()
        self.answers = True

    @property
    def row(self) -> HomeRow:
        port = int(self.socket.getsockname()[1])
        return HomeRow(4, "old", "127.0.0.1", port, port, SECRET.octets, 1.0, True, False)

    def serve(self) -> None:
        while True:
            try:
                octets, sender = self.socket.recvfrom(4096)
            except BlockingIOError:
                return
            packet = parse(octets)
            assert request_authenticator_valid(packet, SECRET)
            self.heard.append(packet)
            if self.answers and packet.text(Kind.ACCT_SESSION_ID) not in self.refuses:
                self.socket.sendto(sign_accounting_response(packet, proxy_states(packet), SECRET), sender)

    def sessions(self) -> list[str | None]:
        return [packet.text(Kind.ACCT_SESSION_ID) for packet in self.heard]


@pytest.fixture
def old() -> Iterator[OldServer]:
    server = OldServer()
    yield server
    server.socket.close()


def record(session: str, status: int = 1) -> bytes:
    body = integer_attribute(Kind.ACCT_STATUS_TYPE, status) + text_attribute(Kind.ACCT_SESSION_ID, session)
    return sign_request(Code.ACCOUNTING_REQUEST, 1, body, SharedSecret(b"nas"), message_authenticator=False)


def keep(directory: Path, *packets: bytes, at_s: float = 1000.0) -> Outbound:
    outbound = Outbound(directory, "acct-0")
    for packet in packets:
        outbound.append(4, int(at_s * 1e9), 1, "192.0.2.7", packet)
    outbound.flush(lambda _, why: pytest.fail(why))
    return outbound


class Road:
    """A lane and its server, in the test's time."""

    def __init__(self, directory: Path, old: OldServer, wall_s: float = 1000.0) -> None:
        self.old = old
        self.wall_s = wall_s
        self.now = 100.0
        self.lane = Lane(directory / "4" / "acct-0", HomeServer(old.row), lambda: self.wall_s)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall_s += seconds
        for _ in range(4):  # loopback delivers at once: each turn hears what the one before caused
            self.lane.turn(self.now)
            self.old.serve()
        self.lane.turn(self.now)


def test_records_arrive_in_order_and_are_not_sent_again(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, *(record(f"s{number}") for number in range(200)))
    road = Road(tmp_path, old)
    while len(old.heard) < 200:
        road.pass_s(0.1)
    assert old.sessions() == [f"s{number}" for number in range(200)]
    assert old.heard[0].first(Kind.NAS_IP_ADDRESS) == socket.inet_aton("192.0.2.7")
    assert road.lane.waiting_octets() == 0
    after = Road(tmp_path, old)
    after.pass_s(1)
    assert len(old.heard) == 200


def test_a_silent_server_is_asked_again_with_the_same_octets_then_with_the_time_it_waited(
    tmp_path: Path, old: OldServer
) -> None:
    keep(tmp_path, record("s1"))
    old.answers = False
    road = Road(tmp_path, old, wall_s=1005.0)
    for seconds in (0.0, 1.0, 2.0):
        road.pass_s(seconds)
    assert len({packet.octets for packet in old.heard}) == 1
    assert len(old.heard) == 3
    assert old.heard[0].integer(Kind.ACCT_DELAY_TIME) == 5
    old.answers = True
    road.pass_s(3.5)
    assert old.heard[-1].integer(Kind.ACCT_DELAY_TIME) == 11
    assert old.heard[-1].identifier != old.heard[0].identifier
    assert road.lane.waiting_octets() == 0


def test_a_sessions_records_wait_for_one_another(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, record("s1", 1), record("s1", 3), record("s1", 2))
    old.answers = False
    road = Road(tmp_path, old)
    road.pass_s(0)
    assert [packet.integer(Kind.ACCT_STATUS_TYPE) for packet in old.heard] == [1]
    old.answers = True
    for _ in range(4):
        road.pass_s(1.0)
    assert [packet.integer(Kind.ACCT_STATUS_TYPE) for packet in old.heard] == [1, 1, 3, 2]


def test_a_record_that_is_never_answered_holds_up_nobody_and_is_given_up(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, record("bad"), *(record(f"s{number}") for number in range(50)))
    old.refuses = {"bad"}
    road = Road(tmp_path, old)
    road.pass_s(0)
    while len(old.heard) < 51:
        road.pass_s(0.1)
    assert road.lane.waiting_octets() > 0  # it is not committed past what was not taken
    for _ in range(60):
        road.pass_s(1.0)
    assert road.lane.waiting_octets() == 0


def test_after_a_crash_what_was_not_committed_is_sent_again(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, record("s1"), record("s2"))
    old.answers = False
    Road(tmp_path, old).pass_s(0)
    old.answers = True
    old.heard.clear()
    road = Road(tmp_path, old)
    road.pass_s(0)
    assert sorted(filter(None, old.sessions())) == ["s1", "s2"]


def test_finished_segments_are_deleted(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, record("s1"))
    keep(tmp_path, record("s2"), at_s=2000.0)
    directory = tmp_path / "4" / "acct-0"
    assert len(list_segments(directory)) == 2
    road = Road(tmp_path, old)
    for _ in range(3):
        road.pass_s(0.1)
    assert old.sessions() == ["s1", "s2"]
    assert len(list_segments(directory)) == 1


def test_a_forged_reply_is_no_reply(tmp_path: Path, old: OldServer) -> None:
    keep(tmp_path, record("s1"))
    old.answers = False
    road = Road(tmp_path, old)
    road.lane.turn(road.now)
    octets, sender = old.socket.recvfrom(4096)
    forged = sign_accounting_response(parse(octets), b"", SharedSecret(b"guessed"))
    old.socket.sendto(forged, sender)
    road.lane.turn(road.now)
    assert road.lane.waiting_octets() > 0


def test_a_full_disk_for_the_old_server_costs_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_module, "SEGMENT_OCTETS_MAX", 1)
    outbound = Outbound(tmp_path, "acct-0", octets_max=100)
    lost: list[tuple[int, str]] = []
    for _ in range(3):
        outbound.append(4, 1, 1, "192.0.2.7", record("s1"))
        outbound.flush(lambda count, why: lost.append((count, why)))
    assert [count for count, _ in lost] == [1, 1]


@pytest.mark.parametrize(("mode", "forwarded"), [("serve", 0), ("shadow", 1), ("proxy", 1)])
def test_the_worker_keeps_a_copy_for_the_home_server_by_mode(
    start_node: Start, old: OldServer, mode: str, forwarded: int
) -> None:
    node = start_node(whole([nas(mode=mode, home=old.row)], []), role="acct")
    box = Box(node)
    assert box.ask(box.accounting(1))[0] == Code.ACCOUNTING_RESPONSE
    assert len(node.spooled()) == 1
    kept = list((node.directory / "outbound").glob("4/acct-0/*.spool"))
    assert len(kept) == forwarded


def test_from_the_nas_to_the_old_server_and_after_the_mode_is_serve_as_well(start_node: Start, old: OldServer) -> None:
    node = start_node(whole([nas(mode="shadow", home=old.row)], []), role="acct")
    box = Box(node)
    box.ask(box.accounting(1))
    forwarder = Forwarder(directory=node.directory / "outbound", feed_path=str(node.feed.path), on_ready=lambda: None)

    def arrived() -> bool:
        forwarder.turn()
        old.serve()
        return len(old.heard) == 1

    wait_until(arrived)
    assert old.heard[0].text(Kind.ACCT_SESSION_ID) == "s1"
