"""One subscriber's line at the simulated BRAS: what the network gave it, and how its counters move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Final

#: Share of its rate that a line uses on the average.
LOAD: Final = 0.2
#: What a line without a limit is taken for.
UNLIMITED_KBPS: Final = 1000
#: Share of a dual-stack line's traffic that is IPv6.
IPV6_SHARE: Final = 0.3


class State(StrEnum):
    """offline -> authenticating -> online -> offline; a refused line goes back to offline and tries again."""

    OFFLINE = "offline"
    AUTHENTICATING = "authenticating"
    ONLINE = "online"


class TerminateCause(IntEnum):
    """RFC 2866 5.10, as far as a line ends here."""

    USER_REQUEST = 1
    SESSION_TIMEOUT = 5
    ADMIN_RESET = 6
    ADMIN_REBOOT = 7


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is active on a session: a dynamic profile, an ISG service, a dynamic template."""

    name: str
    up_kbps: int = 0
    down_kbps: int = 0
    #: Of its own accounting session; 0 where it has none.
    number: int = 0
    #: That session counts octets, too.
    volume: bool = False
    started_at: float = 0.0
    #: The line's counters when it started.
    input_octets: int = 0
    output_octets: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a session has, as its box understood it; a CoA replaces it as a whole or not at all."""

    classes: tuple[bytes, ...] = ()
    framed_ipv4: bytes = b""
    #: Where the address is taken from if none was given.
    pool: str = ""
    ipv6: bool = False
    #: Framed-IPv6-Prefix and Delegated-IPv6-Prefix, as they were given.
    ipv6_prefixes: bytes = b""
    #: 0: not limited.
    up_kbps: int = 0
    down_kbps: int = 0
    walled_garden: bool = False
    #: Address list, user group, service or filter that the line is in.
    address_list: str = ""
    #: Other things that are named (profiles, policies, filters, VRF), by what the vendor calls the place.
    names: Mapping[str, str] = field(default_factory=dict)
    #: Limits that the rates come from, by where the vendor applies them.
    limits: Mapping[str, int] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    interim_s: float = 300.0
    session_timeout_s: int = 0
    #: Of both directions, after which its box ends the session; 0: no limit.
    total_octets: int = 0


_NOTHING: Final = Grant()


@dataclass
class Subscriber:
    login: str
    password: str
    method: str
    mac: bytes
    state: State = State.OFFLINE
    acct_session_id: str = ""
    #: Number of its session at the box since the box began.
    number: int = 0
    #: What stands in every request of this session.
    identification: bytes = b""
    grant: Grant = _NOTHING
    framed_ipv4: bytes = b""
    started_at: float = 0.0
    counted_at: float = 0.0
    #: From the subscriber, and to the subscriber.
    input_octets: int = 0
    output_octets: int = 0
    logins: int = 0
    rejects: int = 0
    #: Accepted by the server, and refused by the box itself.
    setup_failures: int = 0

    @property
    def rate_limit(self) -> str:
        """Upload and download that are applied, in kbit/s; nothing where there is no limit."""
        grant = self.grant
        return f"{grant.up_kbps}k/{grant.down_kbps}k" if grant.up_kbps or grant.down_kbps else ""

    @property
    def address_list(self) -> str:
        return self.grant.address_list

    def begin(self, grant: Grant, now: float) -> None:
        self.state = State.ONLINE
        self.started_at = self.counted_at = now
        self.input_octets = self.output_octets = 0
        self.logins += 1
        self.take(grant, now)

    def take(self, grant: Grant, now: float) -> None:
        """Have this from now on: services that are new count from here."""
        self.grant = grant
        if all(one.started_at for one in grant.services.values()):
            return
        services = {
            name: service if service.started_at else self._started(service, now)
            for name, service in grant.services.items()
        }
        self.grant = replace(grant, services=services)

    def _started(self, service: Service, now: float) -> Service:
        return replace(service, started_at=now, input_octets=self.input_octets, output_octets=self.output_octets)

    def end(self) -> None:
        self.state = State.OFFLINE
        self.grant, self.framed_ipv4 = _NOTHING, b""

    def count(self, now: float) -> None:
        """Let traffic pass since the last time, at the rate that is applied."""
        elapsed_s = max(0.0, now - self.counted_at)
        up, down = self._octets_per_second()
        self.input_octets += int(elapsed_s * up)
        self.output_octets += int(elapsed_s * down)
        self.counted_at = now

    def seconds_left(self) -> float:
        """Until its limit of octets is reached, at the rate that is applied now; not above zero when it is."""
        return (self.grant.total_octets - self.input_octets - self.output_octets) / sum(self._octets_per_second())

    def _octets_per_second(self) -> tuple[float, float]:
        grant = self.grant
        return (grant.up_kbps or UNLIMITED_KBPS) * 125 * LOAD, (grant.down_kbps or UNLIMITED_KBPS) * 125 * LOAD
