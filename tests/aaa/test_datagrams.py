"""Datagrams in batches, between real sockets."""

from __future__ import annotations

import socket
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.datagrams import BATCH, SEGMENT_OCTETS_MAX, DatagramSocket, address_of

SO_NO_CHECK = 11


def pair(address: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ours, theirs = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    for one in (ours, theirs):
        one.bind((address, 0))
        one.settimeout(5)
    return ours, theirs


def arrived(one: socket.socket, count: int) -> list[bytes]:
    return [one.recv(8192) for _ in range(count)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from([1, 20, 190, SEGMENT_OCTETS_MAX, SEGMENT_OCTETS_MAX + 1, 1472, 4096])
        ),
        max_size=2 * BATCH + 3,
    )
)
def test_every_reply_arrives_once_where_it_belongs_whatever_its_length_and_company(
    address: str, wanted: list[tuple[int, int]]
) -> None:
    ours, first = pair(address)
    others = [pair(address) for _ in range(2)]
    sources = [first, *(one for _, one in others)]
    sender = DatagramSocket(ours)
    for source in sources:
        source.sendto(b"?", ours.getsockname())
    names = [name for _, name, _ in sender.receive()]
    sent: list[Counter[bytes]] = [Counter() for _ in sources]
    for number, (source, size) in enumerate(wanted):
        octets = number.to_bytes(2, "big").ljust(size, b".")[:size]
        sent[source][octets] += 1
        sender.reply(octets, names[source], b"")
    sender.flush()
    for source, octets_sent in zip(sources, sent, strict=True):
        assert Counter(arrived(source, octets_sent.total())) == octets_sent
    for one in (ours, *sources, *(one for one, _ in others)):
        one.close()


def test_a_socket_that_cannot_send_in_segments_sends_one_by_one() -> None:
    ours, theirs = pair("127.0.0.1")
    ours.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)  # segments need checksums (udp(7)): the kernel says EINVAL
    sender = DatagramSocket(ours)
    theirs.sendto(b"?", ours.getsockname())
    ((_, name, _),) = sender.receive()
    for _ in range(2):
        sender.reply(b"alone", name, b"")
        for number in range(5):
            sender.reply(bytes((number,)) * 190, name, b"")
        sender.flush()
        assert Counter(arrived(theirs, 6)) == Counter([b"alone", *(bytes((number,)) * 190 for number in range(5))])
    ours.close()
    theirs.close()


def test_what_waits_comes_in_batches_with_its_source() -> None:
    ours, theirs = pair("127.0.0.1")
    for number in range(BATCH + 5):
        theirs.sendto(bytes((number,)), ours.getsockname())
    receiver = DatagramSocket(ours)
    batches = [receiver.receive(), receiver.receive(), receiver.receive()]
    assert [len(batch) for batch in batches] == [BATCH, 5, 0]
    assert [octets for batch in batches for octets, _, _ in batch] == [bytes((number,)) for number in range(BATCH + 5)]
    assert {address_of(name) for batch in batches for _, name, _ in batch} == {theirs.getsockname()}
    ours.close()
    theirs.close()
