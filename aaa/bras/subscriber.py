"""One subscriber's line at the simulated BRAS: what the network gave it, and how its counters move."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Share of its rate that a line uses on the average.
LOAD = 0.2
_GIGAWORD = 1 << 32


class State(StrEnum):
    """offline -> authenticating -> online -> offline; a refused line goes back to offline and tries again."""

    OFFLINE = "offline"
    AUTHENTICATING = "authenticating"
    ONLINE = "online"


@dataclass
class Subscriber:
    login: str
    password: str
    method: str
    mac: str
    state: State = State.OFFLINE
    acct_session_id: str = ""
    framed_ipv4: bytes = b""
    classes: tuple[bytes, ...] = ()
    rate_limit: str = ""
    address_list: str = ""
    interim_s: float = 300.0
    session_timeout_s: int = 0
    started_at: float = 0.0
    counted_at: float = 0.0
    #: From the subscriber, and to the subscriber.
    input_octets: int = 0
    output_octets: int = 0
    logins: int = 0
    rejects: int = 0

    def begin(self, now: float) -> None:
        self.state = State.ONLINE
        self.started_at = self.counted_at = now
        self.input_octets = self.output_octets = 0
        self.logins += 1

    def end(self) -> None:
        self.state = State.OFFLINE
        self.classes, self.framed_ipv4, self.rate_limit, self.address_list = (), b"", "", ""

    def count(self, now: float) -> None:
        """Let traffic pass since the last time, at the rate that is applied."""
        elapsed_s = max(0.0, now - self.counted_at)
        up_kbps, down_kbps = parse_rate(self.rate_limit)
        self.input_octets += int(elapsed_s * up_kbps * 125 * LOAD)
        self.output_octets += int(elapsed_s * down_kbps * 125 * LOAD)
        self.counted_at = now


def parse_rate(rate_limit: str) -> tuple[int, int]:
    """(upload, download) in kbit/s out of `rx/tx …`; RouterOS takes rx for tx where it is missing."""
    first = rate_limit.split(" ", 1)[0]
    if not first:
        return 1000, 1000
    up, _, down = first.partition("/")
    return _kbps(up), _kbps(down or up)


def _kbps(rate: str) -> int:
    if rate[-1:] in "kK":
        return int(rate[:-1])
    if rate[-1:] in "mM":
        return int(rate[:-1]) * 1000
    return int(rate) // 1000
