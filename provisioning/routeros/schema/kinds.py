"""Kinds of values, and each value as RouterOS prints it over the API: what is the same is then written the same.

What is no value of its kind stays as it is, so that it differs from every other and is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import ip_interface
from typing import Final

from provisioning.routeros.values import duration_text, parse_duration

_RATE: Final = re.compile(r"(\d+)([kMG]?)")
_FACTORS: Final = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


class Kind(StrEnum):
    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DURATION = "duration"
    #: An address, or a network; of a single address the mask is not written.
    ADDRESS = "address"
    #: Addresses, networks and ranges, in their order.
    RANGES = "ranges"
    #: Bits a second, of two directions or one: "10M/20M".
    RATE = "rate"
    CHOICE = "choice"
    #: Words in any order.
    SET = "set"
    #: The same; a router prints those that are not had as well, as `!ftp`.
    POLICIES = "policies"
    #: The name of a row of another menu, or a word.
    REFERENCE = "reference"


def canonical(kind: Kind, value: str) -> str:
    return _CANONICAL.get(kind, _as_it_is)(value)


def _as_it_is(value: str) -> str:
    return value


def _boolean(value: str) -> str:
    return {"yes": "true", "no": "false"}.get(value, value)


def _integer(value: str) -> str:
    return str(int(value)) if value.isascii() and value.isdecimal() else value


def _duration(value: str) -> str:
    """A number alone is seconds."""
    if value.isascii() and value.isdecimal():
        value = f"{value}s"
    parsed = parse_duration(value)
    return value if parsed is None else duration_text(parsed)


def _address(value: str) -> str:
    try:
        found = ip_interface(value)
    except ValueError:
        return value
    return str(found.ip) if found.network.prefixlen == found.max_prefixlen else str(found)


def _ranges(value: str) -> str:
    return ",".join("-".join(map(_address, one.split("-"))) for one in value.split(","))


def _rate(value: str) -> str:
    return "/".join(map(_one_rate, value.split("/")))


def _one_rate(value: str) -> str:
    match = _RATE.fullmatch(value)
    return value if match is None else str(int(match[1]) * _FACTORS[match[2]])


def _set(value: str) -> str:
    return ",".join(sorted(filter(None, value.split(","))))


def _policies(value: str) -> str:
    return _set(",".join(word for word in value.split(",") if not word.startswith("!")))


_CANONICAL: Final[Mapping[Kind, Callable[[str], str]]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DURATION: _duration,
    Kind.ADDRESS: _address,
    Kind.RANGES: _ranges,
    Kind.RATE: _rate,
    Kind.SET: _set,
    Kind.POLICIES: _policies,
}
