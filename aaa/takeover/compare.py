"""In what the home server's answer and ours differ. Pure.

Attributes are compared by name and meaning, not by octets: order never counts, `50M/200M` is `50000k/200000k`, and a
route without a gateway is one by 0.0.0.0. What belongs to the exchange and not to the service (signatures, Class,
State, keys) is left out. Secrets are never in a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from enum import StrEnum
from typing import Final

import msgspec

from aaa.dictionary import describe
from aaa.packet import Code, Packet, header, parse
from aaa.takeover.rates import parse_rate_limit

#: Characters of a value that are kept.
SHOWN_MAX: Final = 200
#: Differences of one login that are kept.
DIFFERENCES_MAX: Final = 40
#: Octets of comparisons that go to the sink at once: fewer than a receiver reads.
DATAGRAM_OCTETS_MAX: Final = 48_000
LONG_DIFFERENCES: Final = 10
#: They belong to the exchange.
_LEFT_OUT: Final = frozenset(
    {
        "Message-Authenticator", "Proxy-State", "Class", "State", "EAP-Message", "Reply-Message", "MS-CHAP2-Success",
        "MS-CHAP-MPPE-Keys", "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key", "MS-CHAP-Error", "MS-CHAP-Domain",
        "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types",
    }
)  # fmt: skip
#: What says no more than is so without it.
_HARMLESS: Final = frozenset(
    {
        ("Service-Type", "Framed-User"), ("Service-Type", "2"), ("Framed-Protocol", "PPP"), ("Framed-Protocol", "1"),
        ("Framed-IP-Netmask", "255.255.255.255"), ("Framed-IP-Address", "255.255.255.254"),
        ("Framed-Compression", "Van-Jacobson-TCP-IP"), ("Framed-Compression", "None"),
    }
)  # fmt: skip


class Kind(StrEnum):
    #: Theirs accepts and ours would refuse; `ours` is our reason.
    WE_REFUSE = "we_refuse"
    WE_ACCEPT = "we_accept"
    NO_ANSWER = "no_answer"
    #: Theirs gives an address, and ours would give one that is free in the pool `ours`.
    NO_LEASE = "no_lease"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


class Difference(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    attribute: str = ""
    ours: str = ""
    theirs: str = ""
    harmless: bool = False


class Comparison(msgspec.Struct, array_like=True):
    """Of one login's answers at one NAS."""

    nas_id: int
    login: str
    differences: list[Difference]

    @property
    def mattering(self) -> int:
        return sum(not difference.harmless for difference in self.differences)


class Encoded(msgspec.Struct, frozen=True):
    octets: bytes
    #: Comparisons in it, from the first on.
    count: int


def encode_comparisons(comparisons: Iterable[Comparison]) -> Encoded:
    """One datagram's worth of them; one that is longer than a datagram may be keeps its first differences."""
    parts: list[msgspec.Raw] = []
    length = 0
    for comparison in comparisons:
        encoded = msgspec.msgpack.encode(comparison)
        if len(encoded) > DATAGRAM_OCTETS_MAX:
            first = comparison.differences[:LONG_DIFFERENCES]
            encoded = msgspec.msgpack.encode(Comparison(comparison.nas_id, comparison.login, first))
        length += len(encoded)
        if parts and length > DATAGRAM_OCTETS_MAX:
            break
        parts.append(msgspec.Raw(encoded))
    return Encoded(msgspec.msgpack.encode(parts), len(parts))


class Ours(msgspec.Struct, frozen=True):
    """What our own answer would be: an accept or not, why, and with which attributes."""

    accepts: bool
    reason: str
    attributes: bytes = b""
    #: Pools of ours of which the subscriber has no lease yet, by the attribute that will give it.
    unleased: Mapping[str, str] = {}


def compare(ours: Ours, reply: Packet | None) -> tuple[Difference, ...]:
    """Ours against the home server's reply, None for silence."""
    if reply is None:
        return (Difference(Kind.NO_ANSWER, ours=ours.reason),)
    if reply.code == Code.ACCESS_CHALLENGE:
        return ()
    accepted = reply.code == Code.ACCESS_ACCEPT
    if accepted and not ours.accepts:
        return (Difference(Kind.WE_REFUSE, ours=ours.reason, theirs="accepted"),)
    if ours.accepts and not accepted:
        return (Difference(Kind.WE_ACCEPT, ours=ours.reason, theirs="rejected"),)
    if not ours.accepts:
        return ()
    found = _attribute_differences(_named(ours.attributes), describe(reply))
    return tuple(_without_lease(one, ours.unleased) for one in found)


def _without_lease(found: Difference, unleased: Mapping[str, str]) -> Difference:
    pool = unleased.get(found.attribute)
    if pool is None or found.kind != Kind.MISSING:
        return found
    return Difference(Kind.NO_LEASE, found.attribute, pool, found.theirs)


def _named(attributes: bytes) -> list[tuple[str, str]]:
    return describe(parse(header(Code.ACCESS_ACCEPT, 0, len(attributes)) + bytes(16) + attributes))


def _attribute_differences(ours: Iterable[tuple[str, str]], theirs: Iterable[tuple[str, str]]) -> list[Difference]:
    our_values, their_values = _by_name(ours), _by_name(theirs)
    found = []
    for name in sorted(our_values.keys() | their_values.keys()):
        mine, others = our_values.get(name, []), their_values.get(name, [])
        if Counter(_meaning(name, value) for value in mine) == Counter(_meaning(name, value) for value in others):
            continue
        found.append(_difference(name, mine, others))
    return found[:DIFFERENCES_MAX]


def _difference(name: str, ours: list[str], theirs: list[str]) -> Difference:
    kind = Kind.DIFFERENT if ours and theirs else Kind.EXTRA if ours else Kind.MISSING
    harmless = kind is not Kind.DIFFERENT and all((name, value) in _HARMLESS for value in ours or theirs)
    return Difference(kind, name, _shown(ours), _shown(theirs), harmless)


def _by_name(attributes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in attributes:
        if name not in _LEFT_OUT:
            values.setdefault(name, []).append(value)
    return values


def _meaning(name: str, value: str) -> object:
    if name == "Mikrotik-Rate-Limit":
        limit = parse_rate_limit(value)
        return value if limit is None else astuple(limit)
    if name == "Framed-Route":
        network, gateway, metric, *_ = [*value.split(), "", ""]
        return network, gateway or "0.0.0.0", metric or "1"  # noqa: S104  (RFC 2865 5.22)
    return value


def _shown(values: list[str]) -> str:
    return ", ".join(values)[:SHOWN_MAX]
