"""Who watches sees what they asked for, and a capture file that other programs read."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.packet import Kind, attribute, header
from aaa.pcap import PcapFile, checksum, ip_packet
from aaa.tracing import TracedExchange, TraceFilter, arrived_at


def request(login: bytes) -> bytes:
    body = attribute(Kind.USER_NAME, login)
    return header(1, 7, len(body)) + bytes(16) + body


def exchange(octets: bytes, reply: bytes = b"", source: str = "192.0.2.1", local: str = "192.0.2.9") -> TracedExchange:
    return TracedExchange(1_700_000_000.25, source, 40000, "bras-1", local, 1812, octets, reply, "accepted")


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (TraceFilter(), True),
        (TraceFilter(login="maria"), True),
        (TraceFilter(login="Maria@isp.example"), True),
        (TraceFilter(login="mari"), False),
        (TraceFilter(nas="bras-1"), True),
        (TraceFilter(nas="192.0.2.1"), True),
        (TraceFilter(nas="192.0.2.2"), False),
        (TraceFilter(login="maria", nas="bras-2"), False),
        (TraceFilter(login="bras-1", nas="bras-1", either=True), True),
        (TraceFilter(login="maria", nas="maria", either=True), True),
        (TraceFilter(login="joao", nas="joao", either=True), False),
    ],
)
def test_a_filter_shows_one_login_or_one_nas(wanted: TraceFilter, shown: bool) -> None:
    assert wanted.matches(exchange(request(b"MARIA@isp.example"))) is shown


@given(st.binary(max_size=64), st.text(max_size=8))
def test_any_octets_match_or_do_not(octets: bytes, login: str) -> None:
    assert TraceFilter().matches(exchange(octets))
    assert TraceFilter(login=login).matches(exchange(octets)) in {True, False}


def test_an_exchange_survives_the_way_to_who_watches() -> None:
    traced = exchange(b"\x01\xff", b"\x02")
    assert msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(traced)), TracedExchange) == traced


def test_the_address_a_datagram_came_to_is_what_the_kernel_told() -> None:
    four = struct.pack("@Nii", 28, socket.IPPROTO_IP, 8) + bytes(4) + bytes((192, 0, 2, 9)) + bytes(4)
    six = struct.pack("@Nii", 36, socket.IPPROTO_IPV6, 50) + ip_address("2001:db8::9").packed + bytes(4)
    assert arrived_at("0.0.0.0", four) == "192.0.2.9"
    assert arrived_at("::", six) == "2001:db8::9"
    assert arrived_at("198.51.100.1", b"") == "198.51.100.1"


def records(octets: bytes) -> list[tuple[float, bytes]]:
    """What a reader of classic pcap finds (draft-ietf-opsawg-pcap)."""
    magic, major, minor, _, _, length_max, link = struct.unpack_from("=IHHiIII", octets)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    at, found = 24, []
    while at < len(octets):
        seconds, microseconds, kept, length = struct.unpack_from("=IIII", octets, at)
        assert kept == length <= length_max
        found.append((seconds + microseconds / 1e6, octets[at + 16 : at + 16 + kept]))
        at += 16 + kept
    assert at == len(octets)
    return found


def udp(packet: bytes) -> tuple[str, int, str, int, bytes]:
    """Addresses, ports and payload of an IP packet, whose lengths and checksums must be right."""
    if packet[0] >> 4 == 6:
        length, following = struct.unpack_from("!HB", packet, 4)
        addresses, datagram = packet[8:40], packet[40:]
        assert (following, length) == (17, len(datagram))
        source, to = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        assert packet[0] == 0x45
        assert packet[9] == 17
        assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
        assert checksum(packet[:20]) == 0
        addresses, datagram = packet[12:20], packet[20:]
        source, to = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    source_port, port, length = struct.unpack_from("!HHH", datagram)
    assert length == len(datagram)
    assert checksum(addresses + struct.pack("!HH", 17, length) + datagram) == 0
    return source, source_port, to, port, datagram[8:]


def test_a_capture_holds_requests_and_replies_of_both_families(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    with PcapFile(path) as capture:
        capture.write(exchange(request(b"maria"), b"reply"))
        capture.write(exchange(request(b"six"), source="2001:db8::1", local="2001:db8::9"))
    found = records(path.read_bytes())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [at for at, _ in found] == [1_700_000_000.25] * 3
    assert [udp(packet) for _, packet in found] == [
        ("192.0.2.1", 40000, "192.0.2.9", 1812, request(b"maria")),
        ("192.0.2.9", 1812, "192.0.2.1", 40000, b"reply"),
        ("2001:db8::1", 40000, "2001:db8::9", 1812, request(b"six")),
    ]


@given(st.sampled_from([("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "::1")]), st.binary(max_size=200))
def test_any_payload_has_a_right_checksum(addresses: tuple[str, str], payload: bytes) -> None:
    source, to = addresses
    assert udp(ip_packet((source, 1), (to, 65535), payload)) == (source, 1, to, 65535, payload)
