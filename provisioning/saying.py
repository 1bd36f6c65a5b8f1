"""What people say of any box, whoever makes it: how it is read, and what addresses and VLANs may be; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeVar

import msgspec

from core.errors import InvalidInput

VLAN_MAX: Final = 4094
#: As RouterOS takes it: "100-199,300".
_VLANS: Final = re.compile(r"[1-9][0-9]{0,3}(-[1-9][0-9]{0,3})?(,[1-9][0-9]{0,3}(-[1-9][0-9]{0,3})?)*")
_Said = TypeVar("_Said", bound=msgspec.Struct)


class RadiusServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str
    authentication_port: int = 1812
    accounting_port: int = 1813


def read(body: Mapping[str, Any], kind: type[_Said]) -> _Said:
    """Raises InvalidInput naming the field."""
    try:
        return msgspec.convert(dict(body), kind)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(detail, field=path.rstrip("`") or None) from None
    except UnicodeEncodeError as error:
        # RouterOS has octets, and whoever set it up may have typed Latin-1: they come as lone surrogates.
        raise InvalidInput(f"{error.object!r} is no Unicode text") from None


def vlan_ids(vlans: str) -> list[int]:
    ids: list[int] = []
    for part in vlans.split(","):
        first, _, last = part.partition("-")
        ids += range(int(first), int(last or first) + 1)
    return ids


def check_vlans(vlans: str, field: str) -> None:
    """Raises InvalidInput."""
    if not _VLANS.fullmatch(vlans):
        raise InvalidInput('as "100-199,300"', field=field)
    ids = vlan_ids(vlans)
    if not ids or max(ids) > VLAN_MAX or len(set(ids)) != len(ids):
        raise InvalidInput(f"each once, from 1 to {VLAN_MAX}, ranges upwards", field=field)


def address_of(text: str, field: str) -> IPv4Address | IPv6Address:
    """Raises InvalidInput."""
    try:
        return ip_address(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no address", field=field) from None


def network_of(text: str, field: str) -> IPv4Network | IPv6Network:
    """An address alone is one, too. Raises InvalidInput."""
    try:
        return ip_network(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no address or network", field=field) from None
