"""FreeRADIUS's reply attributes as a plan's and a service's terms. Pure.

Attribute names are compared without regard to case, as FreeRADIUS does. What has no term of ours is told, never dropped
in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, NamedTuple

from aaa.takeover.rates import (
    PRIORITY_LOWEST,
    Direction,
    RateLimit,
    parse_cisco_rate,
    parse_filter_rate,
    parse_rate_limit,
)
from core import addresses
from core.errors import InvalidInput
from core.logins import check_name
from core.policy import ServiceTerms

INTERIM_S_MIN: Final = 60
INTERIM_S_DEFAULT: Final = 300
#: Said of every PPP session, or of the server's own working; nothing is lost without them.
_OF_COURSE: Final = frozenset(
    {
        "service-type", "framed-protocol", "framed-ip-netmask", "fall-through", "framed-compression", "framed-mtu",
        "framed-routing", "reply-message", "port-limit",
    }
)  # fmt: skip


class AttributeRow(NamedTuple):
    """A row of radreply, radgroupreply, radcheck or radgroupcheck."""

    attribute: str
    op: str
    value: str


class Note(NamedTuple):
    attribute: str
    why: str


@dataclass(frozen=True, slots=True)
class PlanValues:
    """A plan's terms but its name."""

    down_kbps: int
    up_kbps: int
    burst: tuple[int, int, int, int, int] | None = None
    address_pool: str | None = None
    address_list: str | None = None
    interim_seconds: int = INTERIM_S_DEFAULT
    session_seconds: int | None = None
    idle_seconds: int | None = None
    #: Of rates and queues, by its name at the NAS.
    profile: str | None = None
    #: FreeRADIUS lets a login in as often as it comes, unless it is told otherwise.
    session_limit: int | None = None

    def columns(self) -> dict[str, Any]:
        names = ("down_kbps", "up_kbps", "down_threshold_kbps", "up_threshold_kbps", "seconds")
        burst = dict(zip(names, self.burst, strict=True)) if self.burst else None
        return {**asdict(self), "burst": burst}


class Replies:
    """A reply list, filled as FreeRADIUS fills one: `=` where absent, `:=` instead of what is there, `+=` besides."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.notes: list[Note] = []

    def add(self, rows: Iterable[AttributeRow]) -> None:
        for name, op, value in rows:
            self._add(name.strip(), op.strip(), value)

    def _add(self, name: str, op: str, value: str) -> None:
        key = name.lower()
        self.names.setdefault(key, name)
        if "%{" in value or value.startswith("`"):
            self.notes.append(Note(name, "its value is computed for each request"))
        elif op == "+=":
            self.values.setdefault(key, []).append(value)
        elif op == ":=":
            self.values[key] = [value]
        elif op in {"=", "=="}:
            self.values.setdefault(key, [value])
        else:
            self.notes.append(Note(name, f"the operator {op} is not understood in a reply"))


class _Reader:
    """Takes what it understands; what is left at the end is told."""

    def __init__(self, replies: Replies) -> None:
        self.left = dict(replies.values)
        self._names = replies.names
        self.notes: list[Note] = []

    def one(self, name: str) -> str | None:
        """The value of an attribute that stands once."""
        values = self.left.pop(name, None)
        if not values:
            return None
        if len(values) > 1:
            self.note(name, f"stands {len(values)} times, the first one counts")
        return values[0].strip()

    def every(self, name: str) -> list[str]:
        return self.left.pop(name, [])

    def number(self, name: str) -> int | None:
        value = self.one(name)
        if value is None or value.isdigit():
            return int(value) if value else None
        self.note(name, "is no number")
        return None

    def note(self, name: str, why: str) -> None:
        self.notes.append(Note(self._names.get(name, name), why))

    def rest(self) -> list[Note]:
        return [Note(self._names[name], "has no counterpart here yet") for name in self.left if name not in _OF_COURSE]


def read_plan(replies: Replies, rate: tuple[int, int] | None = None) -> tuple[PlanValues | None, list[Note]]:
    """What the replies say of the plan; None where no rate can be found in them. `rate` (down, up) is the person's
    word for it. The notes tell of everything that is neither a plan's nor a service's."""
    reader = _Reader(replies)
    limit = _read_rates(reader)
    if rate is not None:
        limit = RateLimit(Direction(rate[1]), Direction(rate[0]))
    pool, address_list = (_name(reader, name) for name in ("framed-pool", "mikrotik-address-list"))
    profile = _name(reader, "mikrotik-group") or _name(reader, "huawei-qos-profile-name")
    interim, session = reader.number("acct-interim-interval"), reader.number("session-timeout")
    idle = reader.number("idle-timeout")
    if interim is not None and 0 < interim < INTERIM_S_MIN:
        reader.note("acct-interim-interval", f"{interim} becomes {INTERIM_S_MIN}, the least here")
    for name in _SERVICE_ATTRIBUTES:
        reader.left.pop(name, None)
    notes = reader.notes + reader.rest() + replies.notes
    if limit is None:
        return None, notes
    terms = PlanValues(
        limit.down.rate,
        limit.up.rate,
        _burst(limit),
        pool,
        address_list,
        max(interim, INTERIM_S_MIN) if interim else INTERIM_S_DEFAULT,
        session if session and session >= 60 else None,
        idle or None,
        profile,
    )
    return terms, notes


_SERVICE_ATTRIBUTES: Final = ("framed-ip-address", "framed-route", "framed-ipv6-prefix", "delegated-ipv6-prefix")


def read_service(replies: Replies) -> tuple[ServiceTerms, list[Note]]:
    """The addresses of one service. A bad one is told and left out."""
    reader = _Reader(replies)
    values: dict[str, Any] = {}
    address = reader.one("framed-ip-address")
    if address and address not in {"255.255.255.254", "255.255.255.255"}:
        _take(reader, values, "framed-ip-address", "ipv4_address", lambda: addresses.check_ipv4_address(address))
    routes = reader.every("framed-route")
    if routes:
        _take(reader, values, "framed-route", "ipv4_routes", lambda: tuple(map(_route, routes)))
    for name, field in (("framed-ipv6-prefix", "ipv6_prefix"), ("delegated-ipv6-prefix", "delegated_ipv6_prefix")):
        prefix = reader.one(name)
        if prefix:
            _take(reader, values, name, field, lambda prefix=prefix: addresses.check_ipv6_prefix(prefix))
    return ServiceTerms(**values), reader.notes


def _take(reader: _Reader, values: dict[str, Any], name: str, field: str, read: Any) -> None:  # noqa: ANN401
    try:
        values[field] = read()
    except (InvalidInput, ValueError) as error:
        reader.note(name, getattr(error, "detail", "cannot be read"))


def _route(text: str) -> str:
    """`10.1.0.0/24 0.0.0.0 1`, or with a mask in place of the length, or a bare address."""
    words = text.split()
    network = words[0]
    if len(words) > 2 and "/" not in network and words[1].count(".") == 3 and words[1].startswith("255."):
        network = f"{network}/{words[1]}"
    gateway = next((word for word in words[1:] if word.count(".") == 3 and not word.startswith("255.")), "0.0.0.0")  # noqa: S104
    if IPv4Address(gateway) != IPv4Address(0):
        raise InvalidInput(f"a route by the gateway {gateway}, not by the subscriber's own address")
    return str(IPv4Network(network))


def _read_rates(reader: _Reader) -> RateLimit | None:
    """In RouterOS's order of precedence, then what other boxes take."""
    limits = reader.every("mikrotik-rate-limit")
    candidates = (_wispr(reader), _ascend(reader), _huawei(reader), _pppd(reader), _cisco(reader), _filter(reader))
    if limits:
        limit = parse_rate_limit(limits[0])
        if limit is not None:
            _note_what_a_burst_loses(reader, limit)
            return limit
        reader.note("mikrotik-rate-limit", f"{limits[0]!r} is no rate")
    return next((candidate for candidate in candidates if candidate is not None), None)


def _note_what_a_burst_loses(reader: _Reader, limit: RateLimit) -> None:
    name = "mikrotik-rate-limit"
    if limit.priority != PRIORITY_LOWEST:
        reader.note(name, f"the queue priority {limit.priority} is not kept")
    if limit.guaranteed:
        reader.note(name, "the guaranteed rate is not kept")
    if (limit.up.burst == 0) != (limit.down.burst == 0) or limit.up.seconds != limit.down.seconds:
        reader.note(name, "a burst is kept with one time for both directions")


def _burst(limit: RateLimit) -> tuple[int, int, int, int, int] | None:
    down, up = limit.down, limit.up
    if not down.burst and not up.burst:
        return None
    return (
        down.burst or down.rate, up.burst or up.rate, down.threshold or down.rate, up.threshold or up.rate,
        max(down.seconds, up.seconds, 1),
    )  # fmt: skip


def _pair(down: int | None, up: int | None, divisor: int) -> RateLimit | None:
    if not down or not up:
        return None
    return RateLimit(Direction(max(1, up // divisor)), Direction(max(1, down // divisor)))


def _wispr(reader: _Reader) -> RateLimit | None:
    return _pair(reader.number("wispr-bandwidth-max-down"), reader.number("wispr-bandwidth-max-up"), 1000)


def _ascend(reader: _Reader) -> RateLimit | None:
    """RouterOS: the first Data-Rate is towards the subscriber, a second one from him; with a Xmit-Rate, which is
    towards him, the Data-Rate is from him."""
    data = [int(value) for value in reader.every("ascend-data-rate") if value.strip().isdigit()]
    transmit = reader.number("ascend-xmit-rate")
    if not data:
        return None
    if transmit:
        return _pair(transmit, data[0], 1000)
    return _pair(data[0], data[-1], 1000)


def _huawei(reader: _Reader) -> RateLimit | None:
    down, up = reader.number("huawei-output-average-rate"), reader.number("huawei-input-average-rate")
    for name in ("huawei-output-peak-rate", "huawei-input-peak-rate"):
        reader.left.pop(name, None)
    return _pair(down, up, 1000)


def _pppd(reader: _Reader) -> RateLimit | None:
    return _pair(reader.number("pppd-downstream-speed-limit"), reader.number("pppd-upstream-speed-limit"), 1)


def _cisco(reader: _Reader) -> RateLimit | None:
    rates: dict[str, int] = {}
    others = []
    for value in reader.every("cisco-avpair"):
        found = parse_cisco_rate(value)
        if found is None:
            others.append(value)
        else:
            rates.setdefault(*found)
    if others:
        reader.left["cisco-avpair"] = others
    return _pair(rates.get("down"), rates.get("up"), 1)


def _filter(reader: _Reader) -> RateLimit | None:
    """accel-ppp's rates in a Filter-Id; the name of a filter stays where it is."""
    values = reader.left.get("filter-id", [])
    found = parse_filter_rate(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    del reader.left["filter-id"]
    return _pair(*found, 1)


def _name(reader: _Reader, name: str) -> str | None:
    value = reader.one(name)
    if not value:
        return None
    try:
        return check_name(value, field=name)
    except InvalidInput as error:
        reader.note(name, error.detail)
        return None
