"""From a profile, and what limits who logs in by it, to the plan that gives the same.

A profile that does more than a plan can say (a script, a queue type, a bridge) is kept: the plan names it, the secrets
stay in it, and its rate is changed at the router. Of all others the rate becomes the plan's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from aaa.takeover.rates import PRIORITY_LOWEST, RateLimit
from core.addresses import check_dns_servers
from core.errors import InvalidInput
from core.logins import check_name
from provisioning.adopt.effect import Effects
from provisioning.adopt.found import Found, words_of
from provisioning.routeros.client import Row
from provisioning.routeros.live_sessions import LOCAL_FAMILY
from provisioning.routeros.values import parse_duration

INTERIM_S_MIN: Final = 60
INTERIM_S_DEFAULT: Final = 300
SESSION_S_MIN: Final = 60
_BURST: Final = ("down_kbps", "up_kbps", "down_threshold_kbps", "up_threshold_kbps", "seconds")
#: What a plan cannot say, and what it is where nobody said anything.
_BEYOND: Final = {
    "parent-queue": {"", "none"}, "queue-type": {"", "default-small"}, "insert-queue-before": {""}, "bridge": {""},
    "interface-list": {""}, "wins-server": {""}, "use-compression": {"", "default", "no"},
    "use-encryption": {"", "default", "no"}, "use-mpls": {"", "default", "no"}, "use-upnp": {"", "default", "no"},
    "use-ipv6": {"", "yes", "default"}, "change-tcp-mss": {"", "yes"}, "on-up": {""}, "on-down": {""},
    "dhcpv6-use-radius": {"", "false", "no"}, "remote-ipv6-prefix-reuse": {"", "false", "no"},
}  # fmt: skip
#: A profile that was ours takes entries of ours away.
_LEAVES_LIST: Final = f"^provedor:({LOCAL_FAMILY}|"
#: Of these a profile of ours says something, so the profile `default` does not count any more.
_SAID_BY_OURS: Final = frozenset({"on-down", "use-ipv6", "change-tcp-mss"})


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a plan of ours has that gives the same; `profile`: the router's, where it is kept."""

    down_kbps: int
    up_kbps: int
    burst: tuple[int, int, int, int, int] | None
    address_pool: str | None
    address_list: str | None
    interim_seconds: int
    session_seconds: int | None
    idle_seconds: int | None
    dns_servers: tuple[str, ...]
    ingress_filter: str | None
    egress_filter: str | None
    ipv6_pool: str | None
    delegated_ipv6_pool: str | None
    profile: str | None
    session_limit: int | None

    def columns(self) -> dict[str, Any]:
        """As `core.plans` takes them."""
        burst = dict(zip(_BURST, self.burst, strict=True)) if self.burst else None
        return {**asdict(self), "burst": burst, "dns_servers": list(self.dns_servers)}


@dataclass(frozen=True, slots=True)
class Read:
    """`beyond`: what of the profile a plan cannot say. `lost`: what is not kept at all."""

    terms: PlanTerms
    beyond: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Reader:
    """Plans from one router's profiles."""

    def __init__(self, found: Found, effects: Effects) -> None:
        self._effects = effects
        interim = parse_duration(found.single("/ppp/aaa").get("interim-update", ""))
        seconds = int(interim.total_seconds()) if interim else 0
        self._interim_s = max(INTERIM_S_MIN, seconds) if seconds else INTERIM_S_DEFAULT

    def read(self, profile: str, pool: str, rate: RateLimit, limit: str, *, by_profile: bool) -> Read:
        """`pool`: where its addresses are from; `limit`: the rate in RouterOS's words; `by_profile`: no queue's."""
        lost: list[str] = []
        beyond = [*self._beyond(profile), *(_beyond_rates(rate) if by_profile else ())]
        lost += [] if by_profile else _beyond_rates(rate)
        lost += [] if _is_whole(limit) else [f"the rate {limit} becomes whole kbit/s"]
        kept = self._name(profile, "profile", lost) if beyond else None
        terms = PlanTerms(
            rate.down.rate, rate.up.rate, _burst(rate), self._pool(pool, lost),
            self._name(self._said(profile, "address-list"), "address-list", lost), self._interim_s,
            self._seconds(profile, "session-timeout", SESSION_S_MIN, lost),
            self._seconds(profile, "idle-timeout", 1, lost), self._dns(profile, lost),
            self._name(self._said(profile, "incoming-filter"), "incoming-filter", lost),
            self._name(self._said(profile, "outgoing-filter"), "outgoing-filter", lost),
            self._name(self._said(profile, "remote-ipv6-prefix-pool"), "remote-ipv6-prefix-pool", lost),
            self._name(self._said(profile, "dhcpv6-pd-pool"), "dhcpv6-pd-pool", lost), kept,
            1 if self._said(profile, "only-one") == "yes" else None,
        )  # fmt: skip
        return Read(terms, tuple(beyond), tuple(lost))

    def _said(self, profile: str, name: str) -> str:
        return self._effects.said(profile, name)

    def _beyond(self, profile: str) -> Iterator[str]:
        own: Row = self._effects.profile(profile)
        for name, plain in _BEYOND.items():
            value = self._said(profile, name) if name in _SAID_BY_OURS else own.get(name, "")
            if value not in plain and not (name == "on-down" and _LEAVES_LIST in value):
                yield name

    def _pool(self, pool: str, lost: list[str]) -> str | None:
        if pool and not self._effects.is_pool(pool):
            lost.append(f"all its users have the address {words_of(pool)}")
            return None
        return self._name(pool, "remote-address", lost)

    def _seconds(self, profile: str, name: str, least: int, lost: list[str]) -> int | None:
        duration = parse_duration(self._said(profile, name))
        seconds = int(duration.total_seconds()) if duration else 0
        if seconds and seconds < least:
            lost.append(f"{name} {seconds}s is less than {least}s")
            return None
        return seconds or None

    def _dns(self, profile: str, lost: list[str]) -> tuple[str, ...]:
        servers = [one for one in self._said(profile, "dns-server").split(",") if one]
        try:
            return tuple(check_dns_servers(servers))
        except InvalidInput as error:
            lost.append(f"dns-server: {error.detail}")
            return ()

    @staticmethod
    def _name(name: str, field: str, lost: list[str]) -> str | None:
        if not name:
            return None
        try:
            return check_name(name, field=field)
        except InvalidInput as error:
            lost.append(f"{field} {words_of(name)}: {error.detail}")
            return None


def _beyond_rates(rate: RateLimit) -> list[str]:
    found = []
    if rate.priority != PRIORITY_LOWEST:
        found.append(f"the queue priority {rate.priority}")
    if rate.guaranteed:
        found.append("the guaranteed rate")
    if rate.up.burst and rate.down.burst and rate.up.seconds != rate.down.seconds:
        found.append("a burst of different times by direction")
    return found


def _is_whole(limit: str) -> bool:
    """Every rate in it is of whole kbit/s, or named so."""
    rates = [one for part in limit.split()[:3] for one in part.split("/")]
    return all(not one.isdecimal() or int(one) % 1000 == 0 for one in rates)


def _burst(rate: RateLimit) -> tuple[int, int, int, int, int] | None:
    up, down = rate.up, rate.down
    if not up.burst and not down.burst:
        return None
    return (
        down.burst or down.rate, up.burst or up.rate, down.threshold or down.rate, up.threshold or up.rate,
        max(up.seconds, down.seconds, 1),
    )  # fmt: skip
