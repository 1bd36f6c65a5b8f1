"""What a PPP secret gives whoever logs in by it.

Of what the secret does not say its profile does, and then the profile `default` (help.mikrotik.com, PPP AAA). A
profile's rate limit becomes a dynamic queue that stands before all others, so it counts before a simple queue.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aaa.takeover.rates import RateLimit, parse_rate_limit
from provisioning.adopt.found import LISTS, POOLS, PROFILES, QUEUES, SECRETS, Found, is_marked, says_blocked, words_of
from provisioning.routeros.client import Row
from provisioning.routeros.schema import canonical
from provisioning.routeros.schema.kinds import Kind

_DEFAULT: Final = "default"
_INTERFACE: Final = re.compile(r"<pppoe-(?P<login>.+)>")
#: What a database column holds.
KBPS_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Effect:
    """`limit`: what limits him, in RouterOS's words, and `limited_by` what says so (`by_profile`: no queue); `rate` as
    numbers, None where it cannot be read. `queues`: simple queues of his address alone, `other_queues`: of his
    interface, or called like him. `blocked`: why he has no access, or not all of it."""

    profile: str
    disabled: bool
    password: str | None = field(repr=False)
    caller_id: str
    address: str
    pool: str
    limit: str
    limited_by: str
    by_profile: bool
    rate: RateLimit | None
    address_list: str
    routes: str
    ipv6_prefix: str
    queues: tuple[str, ...] = ()
    other_queues: tuple[str, ...] = ()
    blocked: str = ""

    @property
    def keeps_out(self) -> bool:
        """He cannot log in at all."""
        return self.disabled


class Effects:
    """Of one router's secrets."""

    def __init__(self, found: Found) -> None:
        self._profiles = {row.get("name", ""): row for row in found.of(PROFILES)}
        self._pools = {row.get("name", "") for row in found.of(POOLS)}
        self._queues = _queues(found)
        self._addresses = {row.get("remote-address", "") for row in found.of(SECRETS)} - {""}
        self._blocked_addresses = {
            row.get("address", ""): row.get("list", "") for row in found.of(LISTS)
            if row.get("disabled") != "true" and says_blocked(row.get("list", "")) and not is_marked(row)
        }  # fmt: skip

    def profile(self, name: str) -> Row:
        return self._profiles.get(name, {})

    def said(self, profile: str, name: str) -> str:
        """By the profile, or the one that all begin with."""
        for row in (self._profiles.get(profile, {}), self._profiles.get(_DEFAULT, {})):
            if (value := row.get(name, "")) and value != _DEFAULT:
                return value
        return ""

    def is_pool(self, name: str) -> bool:
        return name in self._pools

    def of(self, secret: Row) -> Effect:
        login, profile = secret.get("name", ""), secret.get("profile", _DEFAULT)
        remote = secret.get("remote-address", "")
        address = "" if self.is_pool(remote) else remote
        pool = remote if remote and not address else self.said(profile, "remote-address")
        own = self._queues.by_address.get(address, ()) if address else ()
        others = self._other_queues(login, own)
        limit, limited_by = self.said(profile, "rate-limit"), f"the profile {words_of(profile)}"
        by_profile = bool(limit)
        if not limit and (queue := next(iter((*own, *others)), None)):
            limit, limited_by = _limit_of(queue), f"the queue {words_of(queue.get('name', ''))}"
        return Effect(
            profile, secret.get("disabled") == "true", secret.get("password"), secret.get("caller-id", ""), address,
            pool, limit, limited_by if limit else "", by_profile, rate_of(limit), self.said(profile, "address-list"),
            secret.get("routes", ""), secret.get("remote-ipv6-prefix", ""), _names(own), _names(others),
            self._blocked(secret, profile, address),
        )  # fmt: skip

    def is_blocking(self, profile: str) -> bool:
        """It is for those who do not pay: by its name, its comment, or its address list."""
        row = self._profiles.get(profile, {})
        return any(says_blocked(row.get(name, "")) for name in ("name", "comment", "address-list"))

    def _blocked(self, secret: Row, profile: str, address: str) -> str:
        if secret.get("disabled") == "true":
            return "its secret is disabled"
        if self.is_blocking(profile):
            return f"its profile is {words_of(profile)}"
        if address and (listed := self._blocked_addresses.get(address)):
            return f"its address is in the list {words_of(listed)}"
        return ""

    def _other_queues(self, login: str, own: Sequence[Row]) -> Sequence[Row]:
        """Of his interface, or called like him, unless it is of somebody else's address."""
        called = [row for row in self._queues.by_name.get(login, ()) if _target(row) not in self._addresses]
        found = {row[".id"]: row for row in (*self._queues.by_interface.get(login, ()), *called)}
        return [row for row_id, row in found.items() if row_id not in {one[".id"] for one in own}]


@dataclass(frozen=True, slots=True)
class _Queues:
    by_address: Mapping[str, Sequence[Row]]
    by_interface: Mapping[str, Sequence[Row]]
    by_name: Mapping[str, Sequence[Row]]


def _queues(found: Found) -> _Queues:
    """Of one subscriber each: those of whole networks, and disabled ones, say nothing of anybody."""
    by_address: dict[str, list[Row]] = defaultdict(list)
    by_interface: dict[str, list[Row]] = defaultdict(list)
    by_name: dict[str, list[Row]] = defaultdict(list)
    for row in found.of(QUEUES):
        if row.get("disabled") == "true" or is_marked(row):
            continue
        target = _target(row)
        interface = _INTERFACE.fullmatch(target)
        if interface is not None:
            by_interface[interface["login"]].append(row)
        elif not set(target) & set(",-/"):
            by_address[target].append(row)
            by_name[row.get("name", "")].append(row)
    return _Queues(by_address, by_interface, by_name)


def _target(queue: Row) -> str:
    return canonical(Kind.RANGES, queue.get("target", ""))


def _names(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(row.get("name", "") for row in rows)


def _limit_of(queue: Row) -> str:
    """A simple queue's limits as a profile would say them: "" where it limits nothing."""
    limit = canonical(Kind.RATE, queue.get("max-limit", "0/0"))
    up, _, down = limit.partition("/")
    if "0" in {up, down or up}:
        return ""
    burst = canonical(Kind.RATE, queue.get("burst-limit", "0/0"))
    if burst in {"0", "0/0"}:
        return limit
    threshold = canonical(Kind.RATE, queue.get("burst-threshold", "0/0"))
    return f"{limit} {burst} {threshold} {queue.get('burst-time', '0s/0s')}"


def rate_of(limit: str) -> RateLimit | None:
    rate = parse_rate_limit(limit)
    if rate is None or max(rate.up.rate, rate.down.rate, rate.up.burst, rate.down.burst) > KBPS_MAX:
        return None
    return rate


def online_by(found: Found) -> Mapping[str, set[str]]:
    """{login: by which services, of those whom the router let in itself}"""
    services: dict[str, set[str]] = defaultdict(set)
    for row in _own(found.active):
        services[row.get("name", "")].add(row.get("service", "pppoe"))
    return services


def _own(active: Iterable[Row]) -> Iterable[Row]:
    return (row for row in active if row.get("radius") != "true")
