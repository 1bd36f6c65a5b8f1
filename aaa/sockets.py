"""The UDP sockets of a RADIUS node: bound once by the supervisor, inherited by its workers.

For each address and port there are as many sockets as workers, sharing it with SO_REUSEPORT. A classic BPF
program picks the socket by the Identifier octet, so that one NAS with one source port uses every core, and a
retransmit (same Identifier) meets the worker whose duplicate cache knows it. Because the supervisor keeps the
sockets open, datagrams for a killed worker wait in its socket for the next one.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from ipaddress import IPv6Address, ip_address
from typing import Final

from aaa.datagrams import IP_PKTINFO
from core.errors import ConfigurationError

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_SO_RCVBUFFORCE: Final = 33
_IPV6_RECVPKTINFO: Final = 49
RECEIVE_BUFFER_OCTETS: Final = 8 * 1024 * 1024

# linux/bpf_common.h. A reuseport program sees the datagram from the UDP payload on: offset 1 is Identifier.
_LOAD_OCTET_AT: Final = 0x30  # BPF_LD | BPF_B | BPF_ABS
_MODULO: Final = 0x94  # BPF_ALU | BPF_MOD | BPF_K
_RETURN_ACCUMULATOR: Final = 0x16  # BPF_RET | BPF_A


def bind_group(address: str, port: int, workers: int) -> list[socket.socket]:
    """One socket per worker, in the order of the workers. Raises ConfigurationError naming address and port."""
    ip = ip_address(address)
    family = socket.AF_INET6 if isinstance(ip, IPv6Address) else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        _refuse_company(family, address, port)
        for _ in range(workers):
            one = _open(family, wildcard=ip.is_unspecified)
            sockets.append(one)
            one.bind((address, port))
        _choose_by_identifier(sockets[0], workers)
    except OSError as error:
        for one in sockets:
            one.close()
        raise ConfigurationError(f"cannot bind UDP {address} port {port}: {error.strerror}") from None
    return sockets


def _refuse_company(family: socket.AddressFamily, address: str, port: int) -> None:
    """Raises OSError where somebody has the port: another node of the same account could share it, and take our NASes'
    packets without a word."""
    with socket.socket(family, socket.SOCK_DGRAM) as alone:
        if family == socket.AF_INET6:
            alone.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        alone.bind((address, port))


def _open(family: socket.AddressFamily, *, wildcard: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_OCTETS)
    except PermissionError:  # an ordinary user gets what net.core.rmem_max allows
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if wildcard and family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    elif wildcard:
        one.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return one


def _choose_by_identifier(one: socket.socket, workers: int) -> None:
    instructions = [(_LOAD_OCTET_AT, 0, 0, 1), (_MODULO, 0, 0, workers), (_RETURN_ACCUMULATOR, 0, 0, 0)]
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(program)
    filter_ = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, filter_)
