"""A capture file of traced exchanges, for Wireshark and its like: classic pcap, raw IPv4 and IPv6 packets.

The RADIUS octets are those of the wire; the IP and UDP headers around them are written anew, because a socket does
not tell them. Passwords in it are hidden as far as RADIUS hides them, so the file is made for its owner only.
"""

from __future__ import annotations

import os
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from aaa.tracing import TracedExchange

#: Magic (microseconds), version 2.4, zone 0, accuracy 0, snapshot length, LINKTYPE_RAW.
_FILE_HEADER: Final = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
_UDP: Final = 17
_TTL: Final = 64
Endpoint = tuple[str, int]


class PcapFile:
    """Written packet by packet, so that it can be read while the trace goes on."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(_FILE_HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, exchange: TracedExchange) -> None:
        """The request, and the reply where one was sent."""
        nas, server = (exchange.source, exchange.source_port), (exchange.local, exchange.local_port)
        self._record(exchange.at, ip_packet(nas, server, exchange.request))
        if exchange.reply:
            self._record(exchange.at, ip_packet(server, nas, exchange.reply))
        self._file.flush()

    def _record(self, at: float, packet: bytes) -> None:
        seconds, microseconds = divmod(int(at * 1_000_000), 1_000_000)
        self._file.write(struct.pack("=IIII", seconds, microseconds, len(packet), len(packet)) + packet)


def ip_packet(source: Endpoint, to: Endpoint, payload: bytes) -> bytes:
    """A UDP datagram in an IPv4 or IPv6 packet, with its checksums (RFC 768, 791, 8200)."""
    from_address, to_address = ip_address(source[0].partition("%")[0]), ip_address(to[0].partition("%")[0])
    addresses = from_address.packed + to_address.packed
    length = 8 + len(payload)
    plain = struct.pack("!HHHH", source[1], to[1], length, 0) + payload
    sum_ = checksum(addresses + struct.pack("!HH", _UDP, length) + plain) or 0xFFFF
    datagram = plain[:6] + sum_.to_bytes(2, "big") + payload
    if from_address.version == 6:
        return struct.pack("!IHBB", 6 << 28, length, _UDP, _TTL) + addresses + datagram
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _TTL, _UDP, 0) + addresses
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + datagram


def checksum(octets: bytes) -> int:
    """RFC 1071."""
    padded = octets + bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
