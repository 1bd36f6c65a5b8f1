"""Sockets: every Identifier has its worker, whoever asks from wherever; nothing is lost while a worker is away."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from feed_listener import wait_until
from radius_node import Box, Known, RadiusNode, free_port, nas, whole

from aaa.authenticator import response_valid
from aaa.datagrams import BATCH, DatagramSocket, address_of
from aaa.packet import PACKET_OCTETS_MAX, Code, parse
from aaa.sockets import bind_group
from core.errors import ConfigurationError

Start = Callable[..., RadiusNode]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def group(port: int) -> Iterator[Callable[..., list[socket.socket]]]:
    opened: list[socket.socket] = []

    def bind(address: str, workers: int) -> list[socket.socket]:
        opened.extend(bind_group(address, port, workers))
        return opened

    yield bind
    for one in opened:
        one.close()


def drained(sockets: list[socket.socket]) -> list[list[bytes]]:
    """What waits in each socket."""
    found: list[list[bytes]] = []
    for one in sockets:
        found.append([])
        while True:
            try:
                found[-1].append(one.recv(4096))
            except BlockingIOError:
                break
    return found


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_an_identifier_has_one_worker_from_one_source_port_and_from_many(
    port: int, group: Callable[..., list[socket.socket]], address: str, workers: int
) -> None:
    sockets = group(address, workers)
    family = sockets[0].family
    boxes = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(8)]
    for identifier in range(256):
        for _ in range(2):  # as a NAS retransmits
            boxes[0].sendto(bytes((1, identifier)) + bytes(18), (address, port))
        boxes[identifier % 8].sendto(bytes((1, identifier)) + bytes(18), (address, port))
    for worker, datagrams in enumerate(drained(sockets)):
        assert {octets[1] for octets in datagrams} == {n for n in range(256) if n % workers == worker}
        assert len(datagrams) == 3 * len({octets[1] for octets in datagrams})
    for box in boxes:
        box.close()


def test_a_datagram_too_short_for_an_identifier_harms_nobody(
    port: int, group: Callable[..., list[socket.socket]]
) -> None:
    sockets = group("127.0.0.1", 2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
        for octets in (b"", b"\1", b"\1\1"):
            box.sendto(octets, ("127.0.0.1", port))
    assert b"\1\1" in drained(sockets)[1]


def test_a_port_that_is_taken_is_named(port: int, group: Callable[..., list[socket.socket]]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port}"):
            group("127.0.0.1", 2)


def test_more_datagrams_than_a_batch_and_the_greatest_ones_go_through(
    port: int, group: Callable[..., list[socket.socket]]
) -> None:
    server = DatagramSocket(group("127.0.0.1", 1)[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
        box.settimeout(5)
        box.connect(("127.0.0.1", port))
        sent = [bytes((n % 256,)) * (n % 7 + PACKET_OCTETS_MAX - 7) for n in range(2 * BATCH + 3)]
        for octets in sent:
            box.send(octets)
        received = []
        while batch := server.receive():
            assert len(batch) <= BATCH
            received += batch
        assert [octets for octets, _, _ in received] == sent
        assert {address_of(name) for _, name, _ in received} == {box.getsockname()}
        for octets, name, control in received:
            server.reply(octets[:3], name, control)
        server.reply(bytes(PACKET_OCTETS_MAX), received[0][1], b"")
        server.flush()
        assert [box.recv(65536) for _ in sent] == [octets[:3] for octets in sent]
        assert box.recv(65536) == bytes(PACKET_OCTETS_MAX)


def test_a_reply_that_nobody_takes_costs_the_others_nothing(
    port: int, group: Callable[..., list[socket.socket]]
) -> None:
    """The port of a client that left answers with an ICMP error, which the kernel tells at the next call."""
    server = DatagramSocket(group("127.0.0.1", 1)[0])
    gone, stays = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    stays.settimeout(5)
    for turn in range(5):
        for box in (gone, stays):
            box.sendto(b"ask", ("127.0.0.1", port))
        received = server.receive()
        received = received or server.receive()
        if turn == 0:
            gone_name = received[0][1]
            gone.close()
            gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _, name, control in received:
            server.reply(b"first", gone_name, control)
            server.reply(b"answer", name, control)
        server.flush()
        assert stays.recv(100) == b"answer"
    gone.close()
    stays.close()


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2", "127.99.0.1"]),
        ("::", ["::1"]),
        ("127.0.0.2", ["127.0.0.2"]),
    ],
)  # fmt: skip
def test_a_reply_leaves_from_the_address_that_was_asked(start_node: Start, bound: str, asked: list[str]) -> None:
    node = start_node(whole([nas(), nas(2, "::1")], [Known("ana")]), addresses=(bound,))
    for identifier, address in enumerate(asked):
        box = Box(node, to=address, source="::1" if ":" in address else "127.0.0.1")  # hears that address only
        assert box.ask(box.login("ana", identifier=identifier).octets)[0] == Code.ACCESS_ACCEPT
        box.send(box.login("ana", "wrong", identifier=identifier).octets)  # delayed, and still from there
        assert box.receive()[0] == Code.ACCESS_REJECT


def test_a_node_listens_on_several_addresses_of_both_families(start_node: Start) -> None:
    node = start_node(
        whole([nas(address="127.0.0.0/8"), nas(2, "::1")], [Known("ana")]),
        addresses=("127.0.0.1", "127.0.0.2", "::1"), workers=2,
    )  # fmt: skip
    for identifier, address in enumerate(("127.0.0.1", "127.0.0.2", "::1", "127.0.0.1", "127.0.0.2", "::1")):
        box = Box(node, to=address, source="::1" if ":" in address else "127.0.0.1")
        assert box.ask(box.login("ana", identifier=identifier).octets)[0] == Code.ACCESS_ACCEPT
    node.wait_counted({"accepted": 4})
    node.wait_counted({"accepted": 2}, who="nas-2")


@pytest.mark.parametrize("sources", [1, 16])
def test_a_retransmit_meets_the_worker_that_answered_first(start_node: Start, sources: int) -> None:
    node = start_node(whole([nas()], [Known("ana")]), workers=2)
    boxes = [Box(node) for _ in range(sources)]
    for identifier in range(64):
        box = boxes[identifier % sources]
        asked = box.login("ana", identifier=identifier).octets
        assert box.ask(asked) == box.ask(asked)
    node.wait_counted({"accepted": 64, "duplicate_answered": 64})
    shares = [counters["nas"]["nas-1"]["accepted"] for counters in node.feed.counters.values()]
    assert shares == [32, 32]


def test_what_is_sent_to_a_killed_worker_is_answered_by_the_next(start_node: Start) -> None:
    node = start_node(whole([nas()], [Known("ana")]), workers=2)
    box = Box(node)
    node.processes[0].kill()
    asked = {n: box.send(box.login("ana", identifier=n).octets) for n in range(200)}
    replies = [box.receive() for _ in range(100)]  # the other worker's half comes at once
    assert {reply[1] for reply in replies} == set(range(1, 200, 2))
    node.processes[0].start()
    replies += [box.receive() for _ in range(100)]
    assert len(replies) == len({reply[1] for reply in replies}) == 200
    for reply in replies:
        assert reply[0] == Code.ACCESS_ACCEPT
        assert response_valid(parse(reply), asked[reply[1]][4:20], box.secret)


def test_a_worker_without_a_snapshot_leaves_datagrams_where_they_are(start_node: Start) -> None:
    """A NAS that must ask again is better than a subscriber who is told that he does not exist."""
    node = start_node(whole([nas()], [Known("ana")]))
    box = Box(node)
    frames, node.feed._frames = node.feed._frames, []
    node.processes[0].kill()
    asked = box.send(box.login("ana").octets)
    wait_until(lambda: not node.feed._connections)
    node.processes[0].launch()
    wait_until(lambda: node.feed._connections)
    box.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        box.receive()
    box.socket.settimeout(10)
    node.feed.tell(*frames)
    assert response_valid(parse(box.receive()), asked[4:20], box.secret)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_port_that_another_node_has_is_refused_though_the_kernel_would_share_it(address: str) -> None:
    first = bind_group(address, 0, 1)
    port = first[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"port {port}: Address already in use"):
        bind_group(address, port, 2)
    first[0].close()
    for one in bind_group(address, port, 2):
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
        one.close()
