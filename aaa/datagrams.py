"""Datagrams in batches: one system call takes up to BATCH of them, one sends as many replies.

A call of recvfrom and one of sendto a packet cost more than the packet's MD5s; recvmmsg(2) and sendmmsg(2) spread the
system call, and addresses stay what the kernel writes (a `sockaddr`, kept as octets) instead of becoming text and
back. All buffers are allocated once. Layouts are those of 64-bit Linux (<sys/socket.h>), checked by a test that
sends between real sockets.

Replies of one length to one source go through the network stack as one message, which the kernel cuts up at its far
end (UDP_SEGMENT, udp(7)): a fifth of the cost, and what a busy NAS with one source port gets are mostly such. Where
the kernel or the route will not have it, they are sent one by one from then on.

On a wildcard address the kernel tells with each datagram where it arrived (IP_PKTINFO), and that goes back with the
reply, so that it leaves from there: a NAS ignores a reply from another address than it asked.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from typing import Any, Final, NamedTuple

from aaa.packet import PACKET_OCTETS_MAX

#: Datagrams a system call may move.
BATCH: Final = 64
#: Longer replies are not sent in segments: a route's MTU may be as low, and BATCH of them must fit into one message.
SEGMENT_OCTETS_MAX: Final = 1000
_NAME_OCTETS: Final = 32
_CONTROL_OCTETS: Final = 64
#: struct mmsghdr: name*, namelen, iov*, iovlen, control*, controllen, flags, then msg_len.
_HEADER: Final = struct.Struct("@PIxxxxPNPNixxxxIxxxx")
_VECTOR: Final = struct.Struct("@PN")
_NAME_LENGTH_AT: Final = 8
_CONTROL_LENGTH_AT: Final = 40
_MESSAGE_LENGTH_AT: Final = 56
#: struct cmsghdr, then in_pktinfo (ifindex, spec_dst, addr) or in6_pktinfo (addr, ifindex).
_CONTROL_HEAD_OCTETS: Final = 16

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_libc.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


#: What the kernel says to segments that it, the socket or the route cannot have.
_NO_SEGMENTS: Final = frozenset({errno.EINVAL, errno.EIO, errno.EOPNOTSUPP})
#: linux/udp.h
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
#: struct cmsghdr with the length of a segment, padded to where another could follow.
_SEGMENT_CONTROL: Final = struct.Struct("@NiiHxxxxxx")

#: Octets, the sender's `sockaddr`, and what makes the reply leave from where this arrived (empty on a socket with one
#: address).
Datagram = tuple[bytes, bytes, bytes]


class _Ring:
    """BATCH message headers with their buffers, in memory that does not move."""

    def __init__(self) -> None:
        size = BATCH * (_HEADER.size + _VECTOR.size + _NAME_OCTETS + _CONTROL_OCTETS + PACKET_OCTETS_MAX)
        #: Slices of it are octets, though its stub says lists.
        self.memory: Any = ctypes.create_string_buffer(size)
        view = memoryview(self.memory).cast("B")
        self.address = ctypes.addressof(self.memory)
        vectors = BATCH * _HEADER.size
        names = vectors + BATCH * _VECTOR.size
        controls = names + BATCH * _NAME_OCTETS
        buffers = controls + BATCH * _CONTROL_OCTETS
        self.words = view[:vectors].cast("I")
        #: Address and length of each message's octets.
        self.vectors = view[vectors:names].cast("L")
        self.names_at, self.buffers_at = names, buffers
        self.buffers_address = self.address + buffers
        self.names = view[names:controls]
        self.controls = view[controls:buffers]
        self.buffers = view[buffers:]
        for slot in range(BATCH):
            name = self.address + names + slot * _NAME_OCTETS
            vector = vectors + slot * _VECTOR.size
            control = self.address + controls + slot * _CONTROL_OCTETS
            _HEADER.pack_into(
                view, slot * _HEADER.size, name, _NAME_OCTETS, self.address + vector, 1, control, _CONTROL_OCTETS, 0, 0
            )
            _VECTOR.pack_into(view, vector, self.buffers_address + slot * PACKET_OCTETS_MAX, PACKET_OCTETS_MAX)


_WORDS: Final = _HEADER.size // 4
_NAME_LENGTH: Final = _NAME_LENGTH_AT // 4
_CONTROL_LENGTH: Final = _CONTROL_LENGTH_AT // 4
_MESSAGE_LENGTH: Final = _MESSAGE_LENGTH_AT // 4


class _Message(NamedTuple):
    """What one header of sendmmsg(2) sends: a datagram, or several of `segment` octets each."""

    octets: bytes
    name: bytes
    control: bytes
    segment: int


class DatagramSocket:
    """A bound UDP socket that receives and replies in batches."""

    def __init__(self, bound: socket.socket) -> None:
        self.socket = bound
        self._descriptor = bound.fileno()
        #: Every sender's `sockaddr` has the length that the socket's family has.
        self._name_octets = 28 if bound.family == socket.AF_INET6 else 16
        self._incoming = _Ring()
        self._outgoing = _Ring()
        self._replies: dict[tuple[bytes, bytes, int], list[bytes]] = {}
        self._waiting = 0
        self._segments = True
        self._reply_controls: dict[bytes, bytes] = {}

    def fileno(self) -> int:
        return self._descriptor

    def receive(self) -> list[Datagram]:
        """What is waiting, at most BATCH datagrams; empty when nothing is."""
        ring = self._incoming
        count = _libc.recvmmsg(self._descriptor, ring.address, BATCH, socket.MSG_DONTWAIT, None)
        if count <= 0:  # nothing there, or the ICMP error of an earlier reply, which is thereby taken off
            return []
        words, memory = ring.words, ring.memory
        received = []
        at, name_at, word, name_octets = ring.buffers_at, ring.names_at, 0, self._name_octets
        for slot in range(count):
            control_length = words[word + _CONTROL_LENGTH]
            received.append(
                (
                    memory[at : at + words[word + _MESSAGE_LENGTH]],
                    memory[name_at : name_at + name_octets],
                    self._control_of(slot, control_length) if control_length else b"",
                )
            )
            words[word + _CONTROL_LENGTH] = _CONTROL_OCTETS
            at, name_at, word = at + PACKET_OCTETS_MAX, name_at + _NAME_OCTETS, word + _WORDS
        return received

    def reply(self, octets: bytes, name: bytes, control: bytes) -> None:
        """Queue a datagram; it leaves with `flush` or when BATCH are waiting."""
        kind = (name, control, len(octets))
        alike = self._replies.get(kind)
        if alike is None:
            self._replies[kind] = [octets]
        else:
            alike.append(octets)
        self._waiting += 1
        if self._waiting == BATCH:
            self.flush()

    def flush(self) -> None:
        """Send what is queued. What the kernel does not take is lost, and the NAS asks again."""
        if not self._waiting:
            return
        replies, self._replies, self._waiting = self._replies, {}, 0
        messages = self._messages(replies)
        self._lay_out(messages)
        sent = 0
        while sent < len(messages):
            headers = self._outgoing.address + sent * _HEADER.size
            count = _libc.sendmmsg(self._descriptor, headers, len(messages) - sent, socket.MSG_DONTWAIT)
            if count < 0:
                error = ctypes.get_errno()
                if error == errno.EAGAIN:
                    return
                if error in _NO_SEGMENTS and messages[sent].segment:
                    self._send_one_by_one(messages[sent:])
                    return
            # An error is the first message's own (unreachable, refused): go on with the next.
            sent += max(count, 1)

    def _messages(self, replies: dict[tuple[bytes, bytes, int], list[bytes]]) -> list[_Message]:
        messages: list[_Message] = []
        for (name, control, size), alike in replies.items():
            if len(alike) > 1 and self._segments and size <= SEGMENT_OCTETS_MAX:
                cut = _SEGMENT_CONTROL.pack(_CONTROL_HEAD_OCTETS + 2, _SOL_UDP, _UDP_SEGMENT, size)
                messages.append(_Message(b"".join(alike), name, control + cut, size))
            else:
                messages += [_Message(octets, name, control, 0) for octets in alike]
        return messages

    def _lay_out(self, messages: list[_Message]) -> None:
        """Messages stand one after the other in the buffers; together they have at most BATCH packets."""
        ring = self._outgoing
        at, name_at, control_at, word = 0, 0, 0, 0
        for slot, (octets, name, control, _) in enumerate(messages):
            ring.buffers[at : at + len(octets)] = octets
            ring.vectors[slot * 2] = ring.buffers_address + at
            ring.vectors[slot * 2 + 1] = len(octets)
            ring.names[name_at : name_at + len(name)] = name
            ring.words[word + _NAME_LENGTH] = len(name)
            ring.words[word + _CONTROL_LENGTH] = len(control)
            if control:
                ring.controls[control_at : control_at + len(control)] = control
            at, name_at, control_at = at + len(octets), name_at + _NAME_OCTETS, control_at + _CONTROL_OCTETS
            word += _WORDS

    def _send_one_by_one(self, messages: list[_Message]) -> None:
        self._segments = False
        for octets, name, control, segment in messages:
            step, plain = (segment, control[: -_SEGMENT_CONTROL.size]) if segment else (len(octets), control)
            for start in range(0, len(octets), step):
                self.reply(octets[start : start + step], name, plain)
        self.flush()

    def _control_of(self, slot: int, length: int) -> bytes:
        at = slot * _CONTROL_OCTETS
        control = bytes(self._incoming.controls[at : at + length])
        reply = self._reply_controls.get(control)
        if reply is None:
            reply = _reply_control(control)
            self._reply_controls[control] = reply
        return reply


def _reply_control(control: bytes) -> bytes:
    """The same control message without an interface: routing decides, the source address is what counts."""
    level, kind = struct.unpack_from("@ii", control, 8)
    body = control[_CONTROL_HEAD_OCTETS:]
    if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
        return control[:_CONTROL_HEAD_OCTETS] + bytes(4) + body[4:]
    if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
        return control[:_CONTROL_HEAD_OCTETS] + body[:16] + bytes(4) + body[20:]
    return b""


#: linux/in.h; the socket module has only the IPv6 one.
IP_PKTINFO: Final = 8


def address_of(name: bytes) -> tuple[str, int]:
    """Address and port in a `sockaddr_in` or `sockaddr_in6`."""
    family = int.from_bytes(name[:2], sys.byteorder)
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port
