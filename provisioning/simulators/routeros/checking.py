"""Is this a value of this field? By the field's kind, and by what the manual says of single fields beyond it.

The router's words are "input does not match any value of FIELD" where there is a list of what would, and "invalid
value for argument FIELD" elsewhere; "value of FIELD out of range" with the range in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_interface
from typing import Final

from provisioning.routeros.schema import Field, Kind, canonical
from provisioning.routeros.values import mac_address, parse_duration
from provisioning.simulators.routeros.errors import ARGUMENT, Refused, invalid, no_match
from provisioning.simulators.routeros.policies import POLICIES

#: Inclusive. Of the fields that somebody gets wrong; others take any number.
_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "vlan-id": (1, 4095), "port": (1, 65535), "authentication-port": (1, 65535), "accounting-port": (1, 65535),
    "remote-port": (1, 65535), "prefix-length": (1, 128), "netmask": (0, 32), "pado-delay": (0, 65535),
}  # fmt: skip
_RATE: Final = re.compile(r"\d+[kMG]?(/\d+[kMG]?)?")
_HOST: Final = re.compile(r"(?=.{1,253}$)([A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9_-]{1,63}")
_WORDS_FOR_DURATION: Final = frozenset({"none", "auto", "infinite", "received", "none-static", "none-dynamic"})
#: Menus whose addresses are of one version of IP.
_OF_ONE_VERSION: Final = ("/ip/address", "/ip/dhcp-server", "/ip/firewall", "/ip/pool", "/ipv6/")
_INTERFACES: Final = ("/interface",)
#: Fields that the schema has as text, and whose words must be names of rows: where, and what else they may say.
NAMED: Final[Mapping[str, tuple[tuple[str, ...], frozenset[str]]]] = {
    "in-interface": (_INTERFACES, frozenset({"all-ethernet", "all-ppp", "all-vlan", "all-wireless"})),
    "out-interface": (_INTERFACES, frozenset({"all-ethernet", "all-ppp", "all-vlan", "all-wireless"})),
    "in-interface-list": (("/interface/list",), frozenset()),
    "out-interface-list": (("/interface/list",), frozenset()),
    "queue": (("/queue/type",), frozenset()),
    "parent": (("/queue/simple", "/queue/tree", "/interface"), frozenset({"none", "global"})),
}

Exists = Callable[[str, str], bool]


def checked(menu: str, field: Field, value: str, exists: Exists) -> str:
    """The value as the router prints it. `exists(menu, name)`. Raises Refused."""
    if field.name == "policy":
        value = _policies(value)
    if not _CHECKS[field.kind](menu, field, value, exists):
        named = field.name.removeprefix("in-").removeprefix("out-")  # "input does not match any value of interface"
        raise no_match(named) if field.kind in _LISTED or field.name in NAMED else invalid(field.name)
    if field.kind is Kind.RATE and field.default and "/" in field.default and "/" not in value:
        value = f"{value}/{value}"
    if field.name == "mac-address" and value:
        value = mac_address(value) or value
    found = canonical(field.kind, value)
    _check_range(field, found)
    return found


def _check_range(field: Field, value: str) -> None:
    if field.kind is not Kind.INTEGER or field.name not in _RANGES:
        return
    least, most = _RANGES[field.name]
    if not least <= int(value) <= most:
        raise Refused(f"value of {field.name} out of range ({least}..{most})", ARGUMENT)


def _policies(value: str) -> str:
    """`!ftp` is what a policy is not."""
    return ",".join(word for word in value.split(",") if not word.startswith("!"))


def _text(menu: str, field: Field, value: str, exists: Exists) -> bool:
    if field.name == "mac-address":
        return not value or mac_address(value) is not None
    if field.name not in NAMED or not menu.startswith(("/ip/firewall", "/ipv6/firewall", "/queue")):
        return True
    menus, words = NAMED[field.name]
    return all(
        name in words or any(exists(one, name) for one in menus)
        for name in value.removeprefix("!").split("/" if field.name == "queue" else "\0")
    )


def _boolean(_menu: str, _field: Field, value: str, _exists: Exists) -> bool:
    return value in {"yes", "no", "true", "false"}


def _integer(_menu: str, _field: Field, value: str, _exists: Exists) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 20


def _duration(_menu: str, _field: Field, value: str, _exists: Exists) -> bool:
    return value in _WORDS_FOR_DURATION or (value.isascii() and value.isdecimal()) or parse_duration(value) is not None


def _address(menu: str, field: Field, value: str, _exists: Exists) -> bool:
    if "/firewall/" in menu or "walled-garden" in menu:
        value = value.removeprefix("!")
        if field.name == "address" and _HOST.fullmatch(value):
            return True
        return all(_is_address(menu, end) for end in value.split("-", 1))
    return _is_address(menu, value)


def _ranges(menu: str, field: Field, value: str, exists: Exists) -> bool:
    words = value.split(",") if value else []
    by_name = (menu, field.name) == ("/queue/simple", "target")
    return all(
        all(_is_address(menu, end) for end in one.split("-", 1))
        or (by_name and exists("/interface", one))
        or one == "none"
        for one in words
    )


def _rate(_menu: str, _field: Field, value: str, _exists: Exists) -> bool:
    return _RATE.fullmatch(value) is not None


def _choice(_menu: str, field: Field, value: str, _exists: Exists) -> bool:
    return value in field.choices


def _set(_menu: str, field: Field, value: str, _exists: Exists) -> bool:
    if field.name == "policy":
        return not value or POLICIES.issuperset(value.split(","))
    return not field.choices or not value or field.choices.issuperset(value.split(","))


def _reference(menu: str, field: Field, value: str, exists: Exists) -> bool:
    """An address where a pool may be named, too."""
    if value == field.default or exists(field.refers_to or "", value):
        return True
    return field.refers_to in {"/ip/pool", "/ipv6/pool"} and field.name != "next-pool" and _is_address(menu, value)


def _is_address(menu: str, value: str) -> bool:
    try:
        version = ip_interface(value).version
    except ValueError:
        return False
    return version == (6 if menu.startswith("/ipv6/") else 4) if menu.startswith(_OF_ONE_VERSION) else True


#: What is refused as matching no value of a list.
_LISTED: Final = frozenset({Kind.CHOICE, Kind.SET, Kind.POLICIES, Kind.REFERENCE})
_CHECKS: Final[Mapping[Kind, Callable[[str, Field, str, Exists], bool]]] = {
    Kind.TEXT: _text, Kind.BOOLEAN: _boolean, Kind.INTEGER: _integer, Kind.DURATION: _duration,
    Kind.ADDRESS: _address, Kind.RANGES: _ranges, Kind.RATE: _rate, Kind.CHOICE: _choice, Kind.SET: _set,
    Kind.POLICIES: _set, Kind.REFERENCE: _reference,
}  # fmt: skip
