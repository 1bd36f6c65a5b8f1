"""Live packets for somebody who watches: which to show, and how an exchange travels to them.

    worker: what became of each datagram --(only while somebody watches, and wants it)--> feeder --> who watches

Workers hold the filters of all who watch; the feeder gives each watcher what its own filter lets through.
"""

from __future__ import annotations

import socket
from typing import Final

import msgspec

from aaa.packet import Kind, MalformedPacket, parse, readable

#: struct cmsghdr, then in_pktinfo (ifindex, spec_dst, addr) or in6_pktinfo (addr, ifindex).
_CONTROL_HEAD_OCTETS: Final = 16
_IN_PKTINFO_OCTETS: Final = 12


class TracedExchange(msgspec.Struct, array_like=True):
    """A request with what became of it. `reply` is empty where nothing was sent (yet)."""

    at: float
    source: str
    source_port: int
    #: Name of the NAS entry; empty for a stranger.
    nas: str
    local: str
    local_port: int
    request: bytes
    reply: bytes
    reason: str
    detail: str = ""


class TraceFilter(msgspec.Struct, frozen=True):
    """Shows exchanges of one login and of one NAS (by its name or source address); all where neither is given.

    With `either`, one of the two is enough: a person names something and need not say what it is.
    """

    login: str | None = None
    nas: str | None = None
    either: bool = False

    def matches(self, exchange: TracedExchange) -> bool:
        if self.either:
            return self._matches_nas(exchange) or self._matches_login(exchange)
        if self.nas is not None and not self._matches_nas(exchange):
            return False
        return self.login is None or self._matches_login(exchange)

    def _matches_nas(self, exchange: TracedExchange) -> bool:
        return self.nas in {exchange.nas, exchange.source}

    def _matches_login(self, exchange: TracedExchange) -> bool:
        """However the NAS writes it: in capitals, or with a realm behind."""
        try:
            octets = parse(exchange.request).first(Kind.USER_NAME)
        except MalformedPacket:
            return False
        if octets is None or self.login is None:
            return False
        name, wanted = readable(octets).casefold(), self.login.casefold()
        return wanted in {name, name.partition("@")[0]}


def arrived_at(bound: str, control: bytes) -> str:
    """The address of ours that a datagram came to: the socket's own, or on a wildcard what the kernel told."""
    body = control[_CONTROL_HEAD_OCTETS:]
    if len(body) >= 16:
        return socket.inet_ntop(socket.AF_INET6, body[:16])
    if len(body) >= _IN_PKTINFO_OCTETS:
        return socket.inet_ntop(socket.AF_INET, body[4:8])
    return bound
