"""The duplicate cache: a request that comes again gets the same octets again, and is not worked on twice.

RFC 5080 2.2.2: a request is a duplicate when source address, source port and Identifier equal those of a recent
one and the Request Authenticator does too. An answered duplicate gets the cached reply; one whose answer is
still pending (a delayed reject) is discarded. The same key with another authenticator is a new request and
takes the old one's place. Only packets that passed verification may touch the cache.

Entries live between one and two `LIFETIME_S`: they stand in two generations, and the older is dropped whole when
the younger is old enough or full.
"""

from __future__ import annotations

from typing import Final

#: RFC 5080 2.2.2 asks for 5 to 30 seconds.
LIFETIME_S: Final = 12.0
#: Entries a generation may hold; one that fills earlier is retired earlier.
ENTRIES_MAX: Final = 100_000
#: What `find` says of a request whose answer has not been sent yet.
PENDING: Final = b""


class Duplicates:
    """One worker's cache; a retransmit meets it because workers are chosen by the Identifier octet.

    A source is the sender's `sockaddr`, address and port, as the kernel writes it.
    """

    __slots__ = ("_old", "_retire_at", "_young")

    def __init__(self, now_s: float) -> None:
        self._young: dict[tuple[bytes, int], tuple[bytes, bytes]] = {}
        self._old: dict[tuple[bytes, int], tuple[bytes, bytes]] = {}
        self._retire_at = now_s + LIFETIME_S

    def find(self, source: bytes, identifier: int, authenticator: bytes) -> bytes | None:
        """The reply to send again, PENDING, or None for a new request."""
        key = (source, identifier)
        known = self._young.get(key) or self._old.get(key)
        if known is None or known[0] != authenticator:
            return None
        return known[1]

    def remember(self, source: bytes, identifier: int, authenticator: bytes, reply: bytes) -> None:
        """Keep the reply (or PENDING) for retransmits of this request."""
        self._young[source, identifier] = (authenticator, reply)
        if len(self._young) >= ENTRIES_MAX:
            self._retire()

    def superseded(self, source: bytes, identifier: int, authenticator: bytes) -> bool:
        """Whether another request has taken this one's place since."""
        key = (source, identifier)
        known = self._young.get(key) or self._old.get(key)
        return known is not None and known[0] != authenticator

    def forget(self, source: bytes, identifier: int) -> None:
        """A request that could not be worked on: its retransmit is new again."""
        self._young.pop((source, identifier), None)
        self._old.pop((source, identifier), None)  # it may have been the one that filled a generation

    def expire(self, now_s: float) -> None:
        """Let time pass; call it about once a second."""
        if now_s >= self._retire_at:
            self._retire_at = now_s + LIFETIME_S
            self._retire()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _retire(self) -> None:
        self._old, self._young = self._young, {}
