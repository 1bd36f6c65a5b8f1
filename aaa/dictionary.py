"""Attributes by name, for people: what `radius test` and `radius trace` print. Dictionaries are read by pyrad."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from pyrad.dictionary import Attribute, Dictionary

from aaa.packet import Kind, Packet, readable

_DIRECTORY: Final = Path(__file__).parent / "dictionaries"
HIDDEN: Final = "(hidden)"
#: Values that are a secret, or from which one can be guessed away from the server.
_SECRETS: Final = frozenset(
    {
        "User-Password",
        "CHAP-Password",
        "Tunnel-Password",
        "MS-CHAP-Response",
        "MS-CHAP-CPW-1",
        "MS-CHAP-CPW-2",
        "MS-CHAP-LM-Enc-PW",
        "MS-CHAP-NT-Enc-PW",
        "MS-CHAP-MPPE-Keys",
        "MS-MPPE-Send-Key",
        "MS-MPPE-Recv-Key",
        "MS-CHAP2-Response",
        "MS-CHAP2-Success",
        "MS-CHAP2-CPW",
        "Mikrotik-Wireless-Enc-Key",
        "Mikrotik-Wireless-PSK",
    }
)


def describe(packet: Packet) -> list[tuple[str, str]]:
    """(name, value) of every attribute in order; unknown ones by number."""
    described = []
    for kind, value in packet.attributes:
        if kind == Kind.VENDOR_SPECIFIC and len(value) > 4:
            described += _describe_vendor(value)
        else:
            described.append(_describe((0, kind), value))
    return described


def _describe_vendor(field: bytes) -> list[tuple[str, str]]:
    vendor = int.from_bytes(field[:4], "big")
    described: list[tuple[str, str]] = []
    at = 4
    while at + 2 <= len(field):
        end = at + field[at + 1]
        if end > len(field) or end < at + 2:
            return [*described, (f"Vendor-{vendor}", field[at:].hex())]
        described.append(_describe((vendor, field[at]), field[at + 2 : end]))
        at = end
    return described


def _describe(number: tuple[int, int], value: bytes) -> tuple[str, str]:
    known = _by_number().get(number)
    if known is None:
        name = f"Attr-{number[1]}" if number[0] == 0 else f"Attr-26.{number[0]}.{number[1]}"
        return name, value.hex()
    if known.name in _SECRETS:
        return known.name, HIDDEN
    return known.name, _readable(known, value)


def _readable(known: Attribute, value: bytes) -> str:
    kind = known.type
    if kind == "string":
        return readable(value)
    if kind == "integer" and len(value) == 4:
        named = known.values.HasBackward(value)
        return str(known.values.GetBackward(value) if named else int.from_bytes(value, "big"))
    if kind == "ipaddr" and len(value) == 4:
        return str(IPv4Address(value))
    if kind == "ipv6addr" and len(value) == 16:
        return str(IPv6Address(value))
    if kind == "date" and len(value) == 4:
        return datetime.fromtimestamp(int.from_bytes(value, "big"), UTC).isoformat().replace("+00:00", "Z")
    if kind == "ipv6prefix" and 2 <= len(value) <= 18:
        return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"
    return "0x" + value.hex()


@cache
def _dictionary() -> Dictionary:
    return Dictionary(str(_DIRECTORY / "dictionary"))


@cache
def _by_number() -> dict[tuple[int, int], Attribute]:
    """pyrad keeps attributes by name; ours is the other way."""
    dictionary = _dictionary()
    numbers = {}
    for attribute in dictionary.attributes.values():
        vendor = dictionary.vendors.GetForward(attribute.vendor) if attribute.vendor else 0
        numbers[vendor, attribute.code] = attribute
    return numbers
