"""Live packets for somebody who watches: which to show, and how an exchange travels to them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from aaa.packet import Kind, Packet


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Shows exchanges of one login, or of one NAS by its source address, or all."""

    login: bytes | None = None
    address: str | None = None

    @classmethod
    def from_message(cls, message: dict[str, Any] | None) -> TraceFilter | None:
        if message is None:
            return None
        login = message.get("login")
        return cls(None if login is None else login.encode(), message.get("address"))

    def matches(self, packet: Packet, address: str) -> bool:
        if self.login is not None and packet.first(Kind.USER_NAME) != self.login:
            return False
        return self.address is None or self.address == address


class TracedExchange(msgspec.Struct, array_like=True):
    """A request with what became of it. `reply` is empty where nothing was sent (yet)."""

    at: float
    source: str
    source_port: int
    local: str
    local_port: int
    request: bytes
    reply: bytes
    reason: str


def traced_exchange(
    request: bytes, reply: bytes, source: tuple[Any, ...], local: tuple[Any, ...], reason: str
) -> TracedExchange:
    return TracedExchange(time.time(), source[0], source[1], local[0], local[1], request, reply, reason)
